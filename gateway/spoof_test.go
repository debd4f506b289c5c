package gateway

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// foreignCallers: a user's phone that says to be somebody else, in whichever header field, is told to the carrier as the user; what a
// carrier that isn't trusted says beside From is told to nobody, and stands nowhere.
func foreignCallers(t *testing.T) {
	t.Parallel()
	const foreign = "4930999999"
	claims := []sip.Header{header("P-Asserted-Identity", "<sip:+"+foreign+"@carrier.test>, <tel:+"+foreign+">"), header("P-Preferred-Identity", "<sip:+"+foreign+"@x.test>"),
		header("Remote-Party-ID", "<sip:+"+foreign+"@x.test>;party=calling;screen=yes"), header("Diversion", "<sip:+"+foreign+"@x.test>;reason=unconditional"),
		header("History-Info", "<sip:+"+foreign+"@x.test>;index=1"), header("Identity", foreign), header("P-Charging-Vector", "icid-value="+foreign), header("Privacy", "none")}
	says := func(r *sip.Request) {
		t.Helper()
		for _, h := range r.Headers {
			if strings.Contains(h.Value, foreign) {
				t.Errorf("the callee is told %s: %s", h.Name, h.Value)
			}
		}
		if from := r.From.String(); strings.Contains(from, foreign) {
			t.Errorf("the callee is told From: %s", from)
		}
	}
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Caller.Send = []string{"pai", "ppi", "rpid"}
		s.Trunks[1].Trusted, s.Trunks[1].Caller.Read = false, []string{"pai", "rpid", "ppi", "from"}
	})
	a := b.from(b.phone("alice"), "9123", nil, claims...)
	c := b.carrier.Incoming()
	says(c.Request())
	b.finish(a, c)
	bob := b.phone("bob")
	a = b.from(b.second, "4930101", nil, claims...)
	c = b.up(a, bob, nil)
	says(c.Request())
	a.Bye()
	c.Wait(sip.KindEnded)
	if rec := b.ends(call.Caller, 16, 200); rec.From != "4930777" || rec.ICID != "" {
		t.Errorf("the record says from %q, icid %q", rec.From, rec.ICID)
	}
}
