package gateway

import (
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// Two accounts at one carrier, whose server is both's: a call to an account is that account's, and so are its route, tenant and limits;
// one to neither is the first's.
func TestAccountsAtOneCarrier(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[1].Proxy = s.Trunks[0].Proxy
		s.Trunks[0].User, s.Trunks[1].User = "main", "branch"
		s.Routes = append(s.Routes, Route{ID: "accounts", Tenant: "default", Source: []string{"trunk:second"}, Number: []string{"branch"}, Hops: s.Routes[2].Hops},
			Route{ID: "account", Tenant: "default", Source: []string{"trunk:carrier"}, Number: []string{"main", "4930*"}, Hops: s.Routes[2].Hops})
	})
	bob := b.phone("bob")
	for _, c := range []struct{ called, trunk string }{{"branch", "second"}, {"main", "carrier"}, {"4930101", "carrier"}, {"branch", "second"}} {
		a := b.from(b.carrier, c.called, nil)
		in := b.up(a, bob, nil)
		a.Bye()
		in.Wait(sip.KindEnded)
		if rec := b.ends(call.Caller, 16, 200); rec.Trunk != c.trunk {
			t.Errorf("a call to %s counts as trunk %s's, expected %s's", c.called, rec.Trunk, c.trunk)
		}
	}
}
