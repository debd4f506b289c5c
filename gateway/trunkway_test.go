package gateway

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// A trunk behind an outbound proxy registers its whole block of numbers through it; calls go the way that the registrar told, and
// calls to any number of the block come in.
func TestTrunkBehindOutboundProxy(t *testing.T) {
	t.Parallel()
	edge := siptest.NewPeer(t, netip.AddrPort{})
	b := newBench(t, func(s *settings) {
		x := &s.Trunks[0]
		x.Register, x.Bulk, x.User, x.Domain, x.Expires = true, true, "pbx", "carrier.test", time.Hour
		x.Registrar, x.Proxy = sip.HostPort{Host: "carrier.test"}, sip.HostPort{Host: "carrier.test"}
		x.Outbound = sip.HostPort{Host: "127.0.0.1", Port: edge.Addr().Port()}
	})
	trunk := b.trunks["carrier"]
	if err := trunk.start(); err != nil {
		t.Fatal(err)
	}
	outbound := "<sip:" + edge.Addr().String() + ";lr>"
	m := edge.Request("REGISTER")
	if got := m.Headers.Lines("Route"); !slices.Equal(got, []string{outbound}) || m.Headers.Get("Require") != "gin" || m.Start != "REGISTER sip:carrier.test SIP/2.0" {
		t.Errorf("%s with Route %q, Require %q", m.Start, got, m.Headers.Get("Require"))
	}
	edge.Reply(m, 200, "r", "", "Contact: "+m.Headers.Get("Contact"), "Service-Route: <sip:core.carrier.test;lr>")
	eventually(t, "the trunk is up", trunk.up)

	alice := b.phone("alice")
	a := b.from(alice, "9123", nil)
	inv := edge.Request("INVITE")
	if got := inv.Headers.Lines("Route"); !slices.Equal(got, []string{outbound, "<sip:core.carrier.test;lr>"}) || inv.Start != "INVITE sip:49123@carrier.test SIP/2.0" {
		t.Errorf("%s with Route %q", inv.Start, got)
	}
	edge.Reply(inv, 200, "c", siptest.SDP, edge.Contact(), "Record-Route: <sip:"+edge.Addr().String()+";lr;x=1>")
	ack := edge.Request("ACK")
	a.Wait(sip.KindAnswered)
	a.Bye()
	bye := edge.Request("BYE")
	edge.Reply(bye, 200, "", "")
	for _, m := range []siptest.Message{ack, bye} {
		if got := m.Headers.Lines("Route"); !slices.Equal(got, []string{"<sip:" + edge.Addr().String() + ";lr;x=1>"}) {
			t.Errorf("%s with Route %q, expected the recorded one", m.Method(), got)
		}
	}
	b.ends(call.Caller, 16, 200)

	bob := b.phone("bob")
	in := edge.Write(siptest.Ask{Method: "INVITE", URI: "sip:4930777@" + b.addr.String(), Body: siptest.SDP})
	c := bob.Incoming()
	if err := c.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	edge.Ack(in, edge.Response(486), "")
	if rec := b.ends(call.Callee, 17, 486); rec.Trunk != "carrier" || rec.To != "4930777" {
		t.Errorf("record %+v", rec)
	}
	stopped := make(chan struct{})
	go func() {
		trunk.stop()
		close(stopped)
	}()
	edge.Reply(edge.Request("REGISTER"), 200, "r", "")
	<-stopped
}

// When no carrier has room the caller hears when the first of them has again.
func TestCallerHearsWhenToComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	a := b.from(alice, "8123", nil)
	for _, x := range []struct {
		phone *siptest.Phone
		after string
	}{{b.carrier, "40"}, {b.second, "90"}} {
		if err := x.phone.Incoming().Reject(503, "", sip.Header{Name: "Retry-After", Value: x.after}); err != nil {
			t.Fatal(err)
		}
	}
	if e := a.Wait(sip.KindEnded); e.Status != 503 || e.Headers.Get("Retry-After") != "40" {
		t.Errorf("ended with %d, Retry-After %q", e.Status, e.Headers.Get("Retry-After"))
	}
	b.ends(call.Callee, 41, 503)
	b.idle()
	a = b.from(alice, "8124", nil) // both are put aside
	if e := a.Wait(sip.KindEnded); e.Status != 503 || sip.RetryAfter(e.Headers) > 40*time.Second || sip.RetryAfter(e.Headers) < 20*time.Second {
		t.Errorf("ended with %d, Retry-After %q", e.Status, e.Headers.Get("Retry-After"))
	}
}
