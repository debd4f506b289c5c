package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// RegisterConfig describes a registration at a registrar.
type RegisterConfig struct {
	Registrar URI      // request-URI, such as sip:carrier.example
	AOR       NameAddr // To and From
	Contact   string   // user of our Contact; "" = that of AOR
	// Bulk registers all numbers that AOR stands for at once (RFC 6140): calls come to our Contact with any user.
	Bulk        bool
	Credentials Credentials
	Expires     time.Duration // asked for; default 1 h
	Route       []URI         // outbound proxy
	Destination Destination   // zero: first Route, else Registrar
	Headers     []Header
	// Timeout bounds one REGISTER with its challenge; default 64*T1.
	Timeout time.Duration
	// Backoff is the first wait after a failure; it doubles to BackoffMax, each ±20 %. Defaults 5 s and 10 min.
	Backoff, BackoffMax time.Duration
	// Changed is told each change of status, on the registration's goroutine; it must return soon and not call
	// Unregister or Close.
	Changed func(RegistrationStatus)
}

// RegistrationState is where a registration stands.
type RegistrationState string

// The states of a registration.
const (
	Registering  RegistrationState = "registering"
	Registered   RegistrationState = "registered"
	Failing      RegistrationState = "failing" // the last try failed; more follow
	Unregistered RegistrationState = "unregistered"
)

// RegistrationStatus is a registration now.
type RegistrationStatus struct {
	State        RegistrationState
	Since        time.Time // of State
	Expires      time.Time // when the granted binding ends; zero if there is none
	Granted      time.Duration
	Next         time.Time      // the next REGISTER
	Status       int            // last final status; 0 if none came
	Err          error          // why it fails
	Learned      netip.AddrPort // how the registrar sees us (RFC 3581)
	ServiceRoute []string       // RFC 3608
	Path         []string       // RFC 3327
	Associated   []string       // P-Associated-URI (RFC 7315)
}

// Registration keeps us registered at a registrar until Unregister or Close.
type Registration struct {
	ua     *UA
	cfg    RegisterConfig
	auth   *auth.Client
	callID string
	tag    string
	ctx    context.Context
	stop   context.CancelFunc
	done   chan struct{}

	leaving atomic.Bool // Unregister was called

	mu      sync.Mutex
	status  RegistrationStatus
	cseq    uint32
	contact string // as registered last
	asked   time.Duration
	failed  int
	moved   time.Time // when we last took another address for ours
}

// forbiddenWait is the least wait after 403: the carrier has said no, a person must look.
const forbiddenWait = 10 * time.Minute

// Register starts to register and to keep the registration: refreshed from what was granted, 600 s before its end if
// that is more than 1,200 s and at half of it otherwise; 423 obeyed; after failures with growing waits.
func (u *UA) Register(cfg RegisterConfig) (*Registration, error) {
	if err := cfg.check(u); err != nil {
		return nil, err
	}
	r := &Registration{ua: u, cfg: cfg, auth: u.auth, callID: u.newCallID(), tag: newTag(), done: make(chan struct{}), asked: cfg.Expires}
	if !cfg.Credentials.IsZero() {
		r.auth = auth.NewClient(cfg.Credentials)
	}
	r.cseq = uint32(rand.IntN(1 << 16))
	r.status = RegistrationStatus{State: Registering, Since: time.Now()}
	r.ctx, r.stop = context.WithCancel(u.ctx)
	if !u.spawn(r.run) {
		return nil, ErrClosed
	}
	return r, nil
}

func (c *RegisterConfig) check(u *UA) error {
	if c.Bulk {
		c.Contact = "" // RFC 6140 5.1
	} else if c.Contact == "" {
		c.Contact = wire.Unescape(c.AOR.URI.User)
	}
	for what, err := range map[string]error{
		"Registrar": c.Registrar.Check(), "AOR": c.AOR.Check(), "Headers": checkHeaders(c.Headers), "Contact": wire.Safe("contact user", c.Contact),
	} {
		if err != nil {
			return fmt.Errorf("sip: RegisterConfig.%s: %w", what, err)
		}
	}
	for _, r := range c.Route {
		if err := r.Check(); err != nil {
			return fmt.Errorf("sip: RegisterConfig.Route: %w", err)
		}
	}
	for v, def := range map[*time.Duration]time.Duration{
		&c.Expires: time.Hour, &c.Timeout: u.timers.life(), &c.Backoff: 5 * time.Second, &c.BackoffMax: 10 * time.Minute,
	} {
		if *v < 0 {
			return fmt.Errorf("sip: RegisterConfig: a negative time %v", *v)
		}
		if *v == 0 {
			*v = def
		}
	}
	return nil
}

// Status is the registration now.
func (r *Registration) Status() RegistrationStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Close stops to refresh, without unregistering, and awaits the goroutine. The status is unregistered then, though the
// registrar keeps the binding until Expires.
func (r *Registration) Close() error {
	r.stop()
	<-r.done
	return nil
}

// Unregister stops to refresh and removes the binding (Expires 0, with credentials). Without a binding it only stops.
func (r *Registration) Unregister(ctx context.Context) error {
	r.leaving.Store(true)
	r.Close()
	if r.Status().Expires.IsZero() {
		r.set(left)
		return nil
	}
	m, _, err := r.send(ctx, 0)
	if err == nil {
		err = statusError(m)
	}
	r.set(func(s *RegistrationStatus) {
		s.State, s.Err, s.Expires, s.Next = Unregistered, err, time.Time{}, time.Time{}
	})
	return err
}

// left is the status of a registration that nobody keeps up: an end that was wished for is no failure.
func left(s *RegistrationStatus) {
	s.State, s.Err, s.Next = Unregistered, nil, time.Time{}
}

// run registers and refreshes until it is stopped.
func (r *Registration) run() {
	defer close(r.done)
	defer func() {
		if !r.leaving.Load() { // else Unregister says so, when it is done
			r.set(left)
		}
	}()
	for {
		wait, bound := r.once()
		if r.ctx.Err() != nil {
			return
		}
		r.set(func(s *RegistrationStatus) { s.Next = time.Now().Add(wait) })
		switch err := r.rest(wait, bound); {
		case r.ctx.Err() != nil:
			return
		case err != nil && !sleep(r.ctx, time.Second/2+rand.N(time.Second)): // the connection has ended, and with it our binding
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once sends one REGISTER and returns how long to wait for the next, and the way that the binding leads back; nil: there is none.
func (r *Registration) once() (time.Duration, *flow.Flow) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	defer cancel()
	m, f, err := r.send(ctx, r.asked)
	if err == nil && m.Status == 423 {
		if least, perr := strconv.ParseUint(m.Headers.Get("Min-Expires"), 10, 31); perr == nil && time.Duration(least)*time.Second > r.asked {
			r.asked = time.Duration(least) * time.Second
			m, f, err = r.send(ctx, r.asked)
		}
	}
	if err == nil {
		err = statusError(m)
	}
	if err != nil && r.ctx.Err() != nil {
		return 0, nil // we were stopped, which says nothing of the registrar
	}
	if err != nil {
		return r.fail(err), nil
	}
	return r.succeed(m, f), f
}

func (r *Registration) succeed(m *wire.Message, f *flow.Flow) time.Duration {
	granted := r.granted(m)
	r.failed = 0
	moved := r.learn(m, f)
	r.set(func(s *RegistrationStatus) {
		s.State, s.Status, s.Err, s.Granted, s.Expires = Registered, m.Status, nil, granted, time.Now().Add(granted)
		s.Path = m.Headers.Values("Path")
		s.ServiceRoute, s.Associated = m.Headers.Values("Service-Route"), m.Headers.Values("P-Associated-URI")
	})
	if moved {
		return 0 // register the address that the registrar really sees
	}
	return refresh(granted)
}

// refresh is when to refresh a binding (TS 24.229 5.1.1.4.1), up to 10 % earlier, so that not all come at once.
func refresh(granted time.Duration) time.Duration {
	at := granted / 2
	if granted > 1200*time.Second {
		at = granted - 600*time.Second
	}
	return max(at-time.Duration(rand.Int64N(int64(at)/10+1)), time.Second/2)
}

// granted reads how long our contact is kept (RFC 3261 10.2.4).
func (r *Registration) granted(m *wire.Message) time.Duration {
	pick := func(v string) (time.Duration, bool) {
		n, err := strconv.ParseUint(v, 10, 31)
		return time.Duration(n) * time.Second, err == nil && n > 0
	}
	mine, _ := ParseNameAddr(r.contact)
	for _, v := range m.Headers.Values("Contact") {
		n, err := ParseNameAddr(v)
		if err != nil || n.URI.User != mine.URI.User || n.URI.Host != mine.URI.Host || n.URI.Port != mine.URI.Port {
			continue
		}
		if v, ok := n.Param("expires"); ok {
			if d, ok := pick(v); ok {
				return d
			}
		}
	}
	if d, ok := pick(m.Headers.Get("Expires")); ok {
		return d
	}
	return r.asked
}

// learn takes how the registrar sees us from Via (RFC 3581). It tells whether our Contact should say so instead.
func (r *Registration) learn(m *wire.Message, f *flow.Flow) bool {
	addr, err := netip.ParseAddr(strings.Trim(m.Via.Received, "[]"))
	if err != nil {
		addr = f.Local().Addr()
		if addr.IsUnspecified() {
			return false
		}
	}
	port := f.Local().Port()
	if p, err := strconv.ParseUint(m.Via.RPort, 10, 16); err == nil && p > 0 {
		port = uint16(p)
	}
	if !strings.EqualFold(m.Via.Transport, f.Network()) {
		return false // REGISTER was too large for UDP: that says nothing of our UDP
	}
	seen := netip.AddrPortFrom(addr.Unmap(), port)
	r.set(func(s *RegistrationStatus) { s.Learned = seen })
	if f.Network() != "udp" || !r.ua.cfg.Advertise.IsZero() {
		return false
	}
	before := r.ua.contactURI(r.cfg.Contact, f, r.cfg.Registrar.Scheme)
	if before.Host == seen.Addr().String() && before.Port == seen.Port() {
		return false
	}
	if s := r.ua.socketFor("udp", f.Remote().Addr()); s != nil && !s.listen.Advertise.IsZero() {
		return false // somebody has said what we are
	}
	if time.Since(r.moved) < time.Minute {
		return false // a NAT that changes its mind each time can't be followed
	}
	r.moved = time.Now()
	r.ua.learned.Store(&seen)
	r.ua.log.Info("learned our address from the registrar", "registrar", r.cfg.Registrar, "addr", seen)
	return true
}

// fail notes a failure and says how long to wait.
func (r *Registration) fail(err error) time.Duration {
	r.failed++
	wait := r.cfg.Backoff << min(r.failed-1, 16)
	if wait > r.cfg.BackoffMax || wait <= 0 {
		wait = r.cfg.BackoffMax
	}
	status, least := 0, time.Duration(0)
	var s *StatusError
	if errors.As(err, &s) {
		status = s.Status
		least = RetryAfter(s.Headers)
		if status == 403 || status == 401 || status == 407 {
			wait = max(wait, forbiddenWait)
			err = fmt.Errorf("sip: the registrar refuses %s as %s: %w", r.cfg.AOR.URI, r.user(), err)
		}
	}
	wait += time.Duration((rand.Float64() - 0.5) * 0.4 * float64(wait))
	if wait < least {
		wait = least + rand.N(least/5+1) // never before its time, and not all at once after it
	}
	r.set(func(st *RegistrationStatus) {
		st.State, st.Status, st.Err = Failing, status, err
		if time.Now().After(st.Expires) {
			st.Expires, st.Granted = time.Time{}, 0
		}
	})
	return wait
}

func (r *Registration) user() string {
	if !r.cfg.Credentials.IsZero() {
		return r.cfg.Credentials.Username
	}
	return r.ua.cfg.Credentials.Username
}

// send sends a REGISTER, with its challenge answered.
func (r *Registration) send(ctx context.Context, expires time.Duration) (*wire.Message, *flow.Flow, error) {
	list, err := r.places(ctx)
	if err != nil {
		return nil, nil, err
	}
	next := func() uint32 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cseq++
		return r.cseq
	}
	return r.ua.exchangeAmong(ctx, list, func(f *flow.Flow) *outgoing { return r.request(f, expires, next()) }, r.auth, next)
}

// request is a REGISTER for a way to the registrar.
func (r *Registration) request(f *flow.Flow, expires time.Duration, cseq uint32) *outgoing {
	seconds := strconv.Itoa(int(expires.Seconds()))
	uri := r.ua.contactURI(r.cfg.Contact, f, r.cfg.Registrar.Scheme)
	if r.cfg.Bulk {
		uri = uri.With("bnc", "")
	}
	contact := "<" + uri.String() + ">"
	value := contact + ";expires=" + seconds
	if r.contact != "" && r.contact != contact && expires > 0 {
		value += ", " + r.contact + ";expires=0" // our address changed: the old one is no longer ours
	}
	r.contact = contact
	routes := make([]string, 0, len(r.cfg.Route))
	for _, u := range r.cfg.Route {
		routes = append(routes, "<"+u.String()+">")
	}
	aor := r.cfg.AOR.WithTag("")
	headers := append([]Header{{Name: "Expires", Value: seconds}, {Name: "Supported", Value: "path"}, r.ua.allow()}, r.cfg.Headers...)
	if r.cfg.Bulk { // no proxy on the way may take it for a common one
		headers = append(headers, Header{Name: "Require", Value: "gin"}, Header{Name: "Proxy-Require", Value: "gin"})
	}
	return &outgoing{
		method: "REGISTER", uri: r.cfg.Registrar, from: aor.WithTag(r.tag).String(), to: aor.String(), callID: r.callID, cseq: cseq,
		routes: routes, contact: value, headers: headers,
	}
}

func (r *Registration) places(ctx context.Context) ([]place, error) {
	switch {
	case !r.cfg.Destination.IsZero():
		return r.ua.places(ctx, r.cfg.Destination)
	case len(r.cfg.Route) > 0:
		return r.ua.placesFor(ctx, r.cfg.Route[0], "")
	}
	return r.ua.placesFor(ctx, r.cfg.Registrar, "")
}

// set changes the status and tells it.
func (r *Registration) set(change func(*RegistrationStatus)) {
	r.mu.Lock()
	before := r.status.State
	beforeErr := r.status.Err
	change(&r.status)
	now := r.status
	if now.State != before {
		r.status.Since = time.Now()
		now.Since = r.status.Since
	}
	r.mu.Unlock()
	if r.cfg.Changed != nil && (now.State != before || !sameError(beforeErr, now.Err)) {
		r.cfg.Changed(now)
	}
}

func sameError(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}
