// Package doctor examines a trunk from the outside: what DNS says of the carrier, who answers there, and whether our account,
// codecs and extensions will do. It changes nothing at the carrier; calls it makes only when told to.
package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// Patient is a trunk as the doctor sees it.
type Patient struct {
	ID        string
	UA        *sip.UA
	Proxy     sip.Destination // where calls go
	Route     []sip.URI       // through which they go there: the outbound proxy
	Registrar sip.Destination // where we register; zero if we don't
	Domain    string
	User      string // our account there; "" = none
	Creds     sip.Credentials
	Advertise sip.HostPort // what the settings have us say in Contact
	TLS       func() *tls.Config
	Codecs    []string // that we offer
	Reliable  sip.Reliability
	Timers    bool // we ask for session timers
	// Registration is that of the running gateway; nil: none runs, or it doesn't register.
	Registration *sip.RegistrationStatus
	Caller       string     // of a test call
	Media        netip.Addr // told in a test call's offer
}

// Exam is what to do beside looking.
type Exam struct {
	// Call is a number to dial, "" for none: what OPTIONS doesn't tell is told by an INVITE, which is taken back as soon as
	// it rings, and hung up if it is answered. It may cost money.
	Call string
	// Timeout ends the examination, 2 s to 25 s; 0 is 15 s.
	Timeout time.Duration
}

// Verdict of one check.
type Verdict string

// Verdicts: as it must be, worth a look, and what keeps the trunk from working.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Check is one thing that was looked at.
type Check struct {
	Step    string  `json:"step"` // dns, tcp, tls, options, address, digest, registration, codecs, 100rel, timers, clock, call
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`             // what was found
	Advice  string  `json:"advice,omitempty"` // what to do about it
}

// Report is an examination.
type Report struct {
	Trunk  string  `json:"trunk"`
	Via    string  `json:"via"` // who asked: the running gateway, or the command itself
	OK     bool    `json:"ok"`  // nothing failed; there may be warnings
	Checks []Check `json:"checks"`
	Took   float64 `json:"seconds"`
}

// Bounds of an examination, and of its parts.
const (
	MinTimeout     = 2 * time.Second
	MaxTimeout     = 25 * time.Second
	defaultTimeout = 15 * time.Second

	// Of its parts, each at most a third.
	dnsTime     = 5 * time.Second
	connectTime = 3 * time.Second
	answerTime  = 4 * time.Second
	callTime    = 8 * time.Second

	maxServers = 8 // that are asked
	clipped    = 160
)

// Check checks an exam's values.
func (e *Exam) Check() error {
	if e.Timeout == 0 {
		e.Timeout = defaultTimeout
	}
	if e.Timeout < MinTimeout || e.Timeout > MaxTimeout {
		return fmt.Errorf("timeout %v: expected %v to %v", e.Timeout, MinTimeout, MaxTimeout)
	}
	if len(e.Call) > 64 {
		return fmt.Errorf("call: a number of %d characters: expected at most 64", len(e.Call))
	}
	if e.Call != "" {
		if _, err := sip.NewURI(e.Call, "carrier.invalid", 0); err != nil {
			return fmt.Errorf("call %q: expected a number: %w", e.Call, err)
		}
	}
	return nil
}

// Examine looks at a trunk. It returns within the exam's timeout, whatever is dead.
func Examine(ctx context.Context, p Patient, e Exam) (Report, error) {
	if err := e.Check(); err != nil {
		return Report{}, err
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	x := &examination{Patient: p, exam: e, shut: map[sip.Server]bool{}}
	x.run(ctx)
	r := Report{Trunk: p.ID, OK: true, Checks: x.checks, Took: time.Since(begun).Seconds()}
	for _, c := range r.Checks {
		r.OK = r.OK && c.Verdict != Fail
	}
	return r, nil
}

// examination is one at work.
type examination struct {
	Patient
	exam   Exam
	checks []Check
	reply  *sip.Reply          // of the first server that answered OPTIONS with anything
	told   *sip.Reply          // of the registrar
	body   []byte              // an SDP of the carrier's
	dialed *dialed             // of a test call
	shut   map[sip.Server]bool // there is no connection to it
}

// part is how long a part may take.
func (x *examination) part(d time.Duration) time.Duration {
	return min(d, x.exam.Timeout/3).Round(100 * time.Millisecond)
}

func (x *examination) run(ctx context.Context) {
	servers := x.names(ctx, "", x.Proxy)
	registrars := servers
	if !x.Registrar.IsZero() && x.Registrar != x.Proxy {
		registrars = x.names(ctx, "registrar ", x.Registrar)
	}
	x.servers(ctx, servers)
	x.address()
	x.digest(ctx, registrars)
	x.registration()
	if x.exam.Call != "" {
		x.call(ctx)
	}
	x.codecs()
	x.reliable()
	x.timers()
	x.clock()
}

func (x *examination) add(step string, v Verdict, advice, format string, args ...any) {
	x.checks = append(x.checks, check(step, v, advice, format, args...))
}

func check(step string, v Verdict, advice, format string, args ...any) Check {
	return Check{Step: step, Verdict: v, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// clip shortens what a peer wrote.
func clip(s string) string {
	if len(s) > clipped {
		return s[:clipped] + "…"
	}
	return s
}

// ms is a time for people.
func ms(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
