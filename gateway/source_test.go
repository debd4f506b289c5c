package gateway

import (
	"testing"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// A caller's own name is shown to users, unless it has a configured one; to trunks it isn't.
func TestCallersOwnName(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Users[0].CallerName = "" })
	alice, bob := b.phone("alice"), b.phone("bob")
	calls := func(p, callee *siptest.Phone, number, name string) string {
		t.Helper()
		p.DialInvite(sip.Invite{Target: p.AOR(number), From: sip.NameAddr{URI: p.AOR("4930777"), Display: name}, Contact: p.UA.Name(),
			Destination: sip.Destination{Network: "udp", Addr: b.addr}, Body: []byte(siptest.SDP)})
		c := callee.Incoming()
		if err := c.Reject(486, ""); err != nil {
			t.Error(err)
		}
		b.record()
		return c.Request().From.Display
	}
	for _, c := range []struct {
		what           string
		caller, callee *siptest.Phone
		number, want   string
	}{
		{"a user without a configured name", alice, bob, "101", `Al "the" Ice`}, {"one with a name", bob, alice, "100", "BOB"},
		{"a carrier", b.carrier, bob, "4930101", `Al "the" Ice`}, {"a user to a carrier", alice, b.carrier, "9123", ""},
	} {
		if got := calls(c.caller, c.callee, c.number, `Al "the" Ice`); got != c.want {
			t.Errorf("%s is shown as %q, expected %q", c.what, got, c.want)
		}
	}
}
