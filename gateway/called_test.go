package gateway

import (
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// Carriers that write our account into the request-URI say whom a call is for elsewhere: in To, or, if they are trusted, in
// P-Called-Party-ID. Of others To says nothing.
func TestCalledInTo(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name        string
		to, trusted bool
		header      sip.Header
		want        string
	}{
		{"request-URI", false, true, sip.Header{Name: "P-Called-Party-ID", Value: "<sip:4930103@x.test>"}, "4930101"},
		{"To", true, true, sip.Header{Name: "X-None", Value: "1"}, "4930102"},
		{"P-Called-Party-ID", true, true, sip.Header{Name: "P-Called-Party-ID", Value: `"X" <tel:4930103;phone-context=x.test>;npi=1`}, "4930103"},
		{"not trusted", true, false, sip.Header{Name: "P-Called-Party-ID", Value: "<sip:4930103@x.test>"}, "4930102"},
		{"unreadable", true, true, sip.Header{Name: "P-Called-Party-ID", Value: "<sip:@@>"}, "4930102"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(s *settings) { s.Trunks[0].CalledInTo, s.Trunks[0].Trusted = x.to, x.trusted })
			bob := b.phone("bob")
			a := b.carrier.DialInvite(sip.Invite{Target: b.carrier.AOR("4930101"), To: sip.NameAddr{URI: b.carrier.AOR("4930102")}, From: sip.NameAddr{URI: b.carrier.AOR("4930777")},
				Contact: "carrier", Destination: sip.Destination{Network: "udp", Addr: b.addr}, Headers: []sip.Header{x.header}, Body: []byte(siptest.SDP)})
			c := b.up(a, bob, nil)
			a.Bye()
			c.Wait(sip.KindEnded)
			if rec := b.ends(call.Caller, 16, 200); rec.To != x.want {
				t.Errorf("the call is for %s, expected %s", rec.To, x.want)
			}
		})
	}
}
