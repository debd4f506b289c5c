package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/gateway/doctor"
	"github.com/patchbay/patchbay/sip"
)

var (
	// ErrNoTrunk is the answer to an order for a trunk that isn't configured.
	ErrNoTrunk = errors.New("no such trunk")
	// ErrExamined is the answer to a second examination of a trunk while one runs.
	ErrExamined = errors.New("the trunk is being examined already")
)

// Examine looks at a trunk from the sockets, and with the credentials, that its calls have.
func (g *Gateway) Examine(ctx context.Context, id string, e doctor.Exam) (doctor.Report, error) {
	t := g.trunks[id]
	if t == nil {
		return doctor.Report{}, fmt.Errorf("trunk %q: %w", id, ErrNoTrunk)
	}
	if !t.examined.CompareAndSwap(false, true) {
		return doctor.Report{}, fmt.Errorf("trunk %q: %w", id, ErrExamined)
	}
	defer t.examined.Store(false)
	mp := g.portsFor(party{media: t.Media, peer: t.peer()})
	p := t.patient(t.ua, told(mp.MediaAddr))
	if reg := t.reg.Load(); reg != nil {
		s := reg.Status()
		p.Registration = &s
	}
	if e.Call != "" {
		g.log.Info("test call", "trunk", id, "to", clip(e.Call))
	}
	r, err := doctor.Examine(ctx, p, e)
	r.Via = "the running gateway"
	return r, err
}

// Examine looks at a trunk without a gateway, from sockets of a front that is there for nothing else.
func Examine(ctx context.Context, front *sip.Front, t Trunk, agent string, media MediaAddr, e doctor.Exam) (doctor.Report, error) {
	ua, err := front.NewUA(t.agent(agent))
	if err != nil {
		return doctor.Report{}, fmt.Errorf("trunk %s: %w", t.ID, err)
	}
	defer ua.Close()
	r, err := doctor.Examine(ctx, t.patient(ua, told(media)), e)
	r.Via = "this command"
	return r, err
}

// told is the address that SDP says.
func told(a MediaAddr) netip.Addr {
	if a.Advertise.IsValid() {
		return a.Advertise
	}
	return a.Bind
}

// agent is a trunk's user agent, as far as what it sends goes.
func (t *Trunk) agent(name string) sip.Config {
	uc := sip.Config{Name: "trunk:" + t.ID, UserAgent: name, Credentials: t.Creds, Advertise: t.Advertise, TLS: t.TLS, Reliable: t.Reliable, Preconditions: t.Preconditions, Session: t.Session}
	if t.Bind.IsValid() {
		uc.Bind = &sip.Listen{Network: "", Addr: t.Bind, Advertise: t.Advertise}
	}
	return uc
}

func (t *Trunk) patient(ua *sip.UA, media netip.Addr) doctor.Patient {
	p := doctor.Patient{ID: t.ID, UA: ua, Proxy: t.at(t.next(t.Proxy)), Route: t.preloaded(), Domain: t.Domain, User: t.User, Creds: t.Creds, Advertise: t.Advertise, TLS: t.TLS,
		Codecs: t.Codecs, Reliable: t.Reliable, Timers: t.Session.Interval >= 0, Media: media}
	if t.Register {
		p.Registrar = t.at(t.next(t.Registrar))
	}
	p.Caller = cmp.Or(t.FromNumber, t.User, "anonymous")
	return p
}

func (g *Gateway) restTest(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Timeout string `json:"timeout"`
		Call    string `json:"call"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		problem(w, http.StatusBadRequest, fmt.Errorf(`body: expected {"timeout": "15s", "call": ""}: %w`, err))
		return
	}
	e := doctor.Exam{Call: in.Call}
	if in.Timeout != "" {
		d, err := time.ParseDuration(in.Timeout)
		if err != nil {
			problem(w, http.StatusBadRequest, fmt.Errorf("timeout %q: expected a duration such as 15s", clip(in.Timeout)))
			return
		}
		e.Timeout = d
	}
	if err := e.Check(); err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	report, err := g.Examine(r.Context(), r.PathValue("id"), e)
	switch {
	case errors.Is(err, ErrNoTrunk):
		problem(w, http.StatusNotFound, err)
	case err != nil:
		problem(w, http.StatusConflict, err)
	default:
		reply(w, http.StatusOK, report)
	}
}
