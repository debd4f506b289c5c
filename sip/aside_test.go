package sip_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// A server that answers 503 with Retry-After gets no calls until then: the carrier's other one has them, and when it says the
// same, calls fail without a message. Urgent ones are sent all the same.
func TestServerStandsAside(t *testing.T) {
	p := newPair(t)
	d := p.call()
	p.first.Reply(p.first.Request("INVITE"), 503, "one", "", "Retry-After: 60 (busy)")
	p.first.Request("ACK")
	inv := p.second.Request("INVITE")
	expect(t, d, sip.KindMoved)
	p.answers(d, p.second, inv)
	d = p.call()
	p.second.Reply(p.second.Request("INVITE"), 503, "two", "", "Retry-After: 30;duration=10")
	p.second.Request("ACK")
	if e := ended(t, d, sip.ByPeer, 503); e.Headers.Get("Retry-After") == "" {
		t.Error("the end doesn't say when to come again")
	}
	d = p.call()
	e := ended(t, d, sip.ByTransport, 503)
	var busy *sip.AsideError
	if !errors.As(e.Err, &busy) || busy.Server != p.second.Addr() || busy.Wait > 30*time.Second || busy.Wait < 20*time.Second {
		t.Errorf("ended with %v", e.Err)
	}
	if after := sip.RetryAfter(e.Headers); after < 20*time.Second || after > 30*time.Second {
		t.Errorf("Retry-After %v", after)
	}
	p.first.Silence(50 * time.Millisecond)
	p.second.Silence(50 * time.Millisecond)
	d = p.dial(p.first, func(i *sip.Invite) { i.Urgent = true })
	p.first.Reply(p.first.Request("INVITE"), 486, "one", "")
	ended(t, d, sip.ByPeer, 486)
}

// Without Retry-After, or with 0, the next call is sent as ever.
func TestServerOnlyBusy(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	for _, h := range []string{"X-Nothing: 1", "Retry-After: 0", "Retry-After: soon"} {
		d := b.dial(p, nil)
		p.Reply(p.Request("INVITE"), 503, "one", "", h)
		p.Request("ACK")
		ended(t, d, sip.ByPeer, 503)
	}
}

// registering begins a registration at a carrier of two servers.
func registering(t *testing.T, p *pair, change func(*sip.RegisterConfig)) *sip.Registration {
	t.Helper()
	cfg := sip.RegisterConfig{
		Registrar: mustURI("sip:carrier.test"), AOR: sip.NameAddr{URI: mustURI("sip:trunk@carrier.test")},
		Destination: sip.Destination{Network: "udp", Host: "carrier.test"}, Backoff: time.Hour, BackoffMax: time.Hour,
	}
	if change != nil {
		change(&cfg)
	}
	reg, err := p.ua.Register(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// 503 and 504 of one registrar go on to the next; when the last has said no, Retry-After is the least wait. 305 is a failure like
// another: nobody sends us elsewhere.
func TestRegistrarElsewhere(t *testing.T) {
	for _, status := range []int{503, 504, 408} {
		p := newPair(t)
		reg := registering(t, p, nil)
		p.first.Reply(p.first.Request("REGISTER"), status, "one", "", "Retry-After: 7200")
		p.second.Reply(p.second.Request("REGISTER"), 503, "two", "", "Retry-After: 7200")
		eventually(t, "failing", func() bool { return reg.Status().State == sip.Failing && !reg.Status().Next.IsZero() })
		if wait := time.Until(reg.Status().Next); wait < 59*time.Minute || wait > 73*time.Minute {
			t.Errorf("the next try is in %v, expected an hour, which is the most that a registrar may ask for", wait)
		}
		reg.Close()
	}
	p := newPair(t)
	elsewhere := siptest.NewPeer(t, p.addr)
	reg := registering(t, p, nil)
	p.first.Reply(p.first.Request("REGISTER"), 305, "one", "", elsewhere.Contact())
	eventually(t, "failing", func() bool { return reg.Status().State == sip.Failing })
	if s := reg.Status(); s.Status != 305 {
		t.Errorf("status %+v", s)
	}
	elsewhere.Silence(50 * time.Millisecond)
	reg.Close()
}

// The least wait that a registrar asks for is kept, with a little more so that not all come at once.
func TestRegistrationWaits(t *testing.T) {
	b := newBench(t, nil)
	for range 5 {
		p := siptest.NewPeer(t, b.addr)
		reg, err := b.ua.Register(sip.RegisterConfig{
			Registrar: mustURI("sip:" + p.Addr().String()), AOR: sip.NameAddr{URI: mustURI("sip:trunk@carrier.test")}, Backoff: time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		p.Reply(p.Request("REGISTER"), 503, "r", "", "Retry-After: 100")
		eventually(t, "failing", func() bool { return !reg.Status().Next.IsZero() })
		if wait := time.Until(reg.Status().Next); wait < 95*time.Second || wait > 120*time.Second {
			t.Errorf("the next try is in %v, expected 100 to 120 s", wait)
		}
		reg.Close()
	}
}

// A block of numbers is registered by a Contact without a user (RFC 6140), through an outbound proxy.
func TestBulkRegistration(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	proxy := mustURI("sip:" + p.Addr().String() + ";lr")
	reg, err := b.ua.Register(sip.RegisterConfig{
		Registrar: mustURI("sip:carrier.test"), AOR: sip.NameAddr{URI: mustURI("sip:pbx@carrier.test")}, Bulk: true, Route: []sip.URI{proxy},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := p.Request("REGISTER")
	contact, _, _ := strings.Cut(m.Headers.Get("Contact"), ";expires")
	if want := "<sip:" + b.addr.String() + ";bnc>"; contact != want {
		t.Errorf("Contact %q, expected %q", contact, want)
	}
	for name, want := range map[string]string{"Require": "gin", "Proxy-Require": "gin", "Supported": "path", "Route": "<" + proxy.String() + ">", "To": "<sip:pbx@carrier.test>"} {
		if got := m.Headers.Get(name); got != want {
			t.Errorf("%s %q, expected %q", name, got, want)
		}
	}
	p.Reply(m, 200, "r", "", "Contact: "+contact+";expires=7200", "Path: <sip:edge.carrier.test;lr>", "Service-Route: <sip:core.carrier.test;lr>")
	eventually(t, "registered", func() bool { return reg.Status().State == sip.Registered })
	if s := reg.Status(); s.Granted != 2*time.Hour || len(s.Path) != 1 || len(s.ServiceRoute) != 1 {
		t.Errorf("status %+v", s)
	}
	// A call to any number of the block.
	p.Write(siptest.Ask{Method: "INVITE", URI: "sip:+4930123456@" + b.addr.String(), Body: siptest.SDP})
	if d := b.inbound(); d.Request().URI.User != "+4930123456" {
		t.Errorf("a call to %s", d.Request().URI)
	}
	reg.Close()
}
