package gateway

import (
	"errors"
	"fmt"
	"strings"
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

// A part of a number is somebody else's: what is too long is called by nobody, neither dialled, transferred to, nor by an application.
func TestNumbersThatAreTooLong(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[0].MaxCalls = 0 })
	alice := b.phone("alice")
	longest := strings.Repeat("9", maxNumber)
	for _, x := range []struct {
		number       string
		status, q850 int
		why          string
	}{
		{longest, 503, 34, "limit of 0 calls of trunk carrier"}, // it has found its way
		{longest + "1", 484, 28, numberTooLong},
		{strings.Repeat("9", 2000), 484, 28, numberTooLong},
	} {
		refused(t, b.from(alice, x.number, nil), x.status)
		if rec := b.ends(call.System, x.q850, x.status); !b.noted(rec.ID, x.why) {
			t.Errorf("%d digits: the record doesn't say %q", len(x.number), x.why)
		}
	}
	for _, form := range []string{"%s", "tel:%s", "sip:%s@host.test"} {
		if _, _, err := parseTarget("to", fmt.Sprintf(form, longest)); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		var bad *FieldError
		if digits, _, err := parseTarget("to", fmt.Sprintf(form, longest+"1")); !errors.As(err, &bad) {
			t.Errorf("%s of %d digits is taken as %q, with %v", form, maxNumber+1, digits, err)
		}
	}
}
