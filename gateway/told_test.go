package gateway

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
)

// Who pays may call neither a number that the lists refuse nor one that a trunk's rules make of another: what the carrier is told counts as
// well as what was dialled.
func TestTollOfWhatACarrierIsTold(t *testing.T) {
	for _, x := range []struct {
		name    string
		toll    Toll
		numbers numbering.Config
		number  string
		why     string // "" = it may
	}{
		{"as it is", Toll{Allow: []string{Home}}, numbering.Config{}, "+4930123456", ""},
		{"in another form", Toll{Allow: []string{"+4930"}}, numbering.Config{Country: "DE", Format: numbering.National}, "+4930123456", ""},
		{"behind an access code", Toll{Allow: []string{Home}}, out("", numbering.Rule{Match: "+*", Strip: 1, Prefix: "7777"}), "+4930123456", ""},
		{"a 0 is taken off", Toll{Allow: []string{Home}}, out("", numbering.Rule{Match: "+49*", Strip: 3}), "+498816123456", "isn't understood as a number of DE"},
		{"which its country allows", Toll{Allow: []string{Home}}, out("DE", numbering.Rule{Match: "+49*", Strip: 3}), "+498816123456", ""},
		{"abroad", Toll{Allow: []string{Home}}, out("DE", numbering.Rule{Match: "/\\+49(30.*)/", Replace: "+43$1"}), "+4930123456", "+4330123456 is in AT: user:a may call DE and what allow lists: the trunk would be told +4330123456 for +4930123456"},
		{"premium", Toll{Allow: []string{Anywhere}, NoPremium: true}, out("DE", numbering.Rule{Match: "402", Replace: "+499001234567"}), "402", "is a premium rate number"},
		{"premium, by the trunk's country", Toll{Allow: []string{Anywhere}, NoPremium: true}, numbering.Config{Country: "AT", Format: numbering.Plain}, "0900123456", "is a premium rate number"},
		{"denied", Toll{Allow: []string{Home}, Deny: []string{"+4931"}}, out("DE", numbering.Rule{Match: "/\\+4930(.*)/", Replace: "+4931$1"}), "+4930123456", "+4931123456 is none of the numbers that user:a may call"},
		{"denied in the carrier's form", Toll{Allow: []string{Home}, Deny: []string{"030"}}, numbering.Config{Country: "DE", Format: numbering.National}, "+4930123456", "030123456 is none of the numbers that user:a may call"},
		{"allowed by name", Toll{Allow: []string{Home, "+43"}}, out("DE", numbering.Rule{Match: "/\\+49(30.*)/", Replace: "+43$1"}), "+4930123456", ""},
		{"no bounds", Toll{}, out("DE", numbering.Rule{Match: "402", Replace: "+499001234567"}), "402", ""},
	} {
		plan, err := numbering.New(x.numbers)
		if err != nil {
			t.Fatal(err)
		}
		home, err := numbering.New(numbering.Config{})
		if err != nil {
			t.Fatal(err)
		}
		g := &Gateway{plan: home, trunks: map[string]*trunk{"t": {plan: plan}}}
		a := newAccount("user:a", x.toll)
		if err := a.resides("DE"); err != nil {
			t.Fatal(err)
		}
		number, told := g.asked(Hop{Trunk: "t", Number: x.number})
		if why := a.never(number, told); (why == "") != (x.why == "") || !strings.Contains(why, x.why) {
			t.Errorf("%s: of %s the carrier is told %+v: %q, expected %q", x.name, x.number, told, why, x.why)
		}
	}
	// An application's URI is asked about as what it says, context included.
	g := &Gateway{}
	g.plan, _ = numbering.New(numbering.Config{})
	uri, err := sip.ParseURI("tel:61234567;phone-context=+881")
	if err != nil {
		t.Fatal(err)
	}
	a := newAccount("user:a", Toll{NoPremium: true})
	if why := a.never(g.asked(Hop{Number: "61234567", uri: uri})); !strings.Contains(why, "satellite telephone's") {
		t.Errorf("a URI with a context: %q", why)
	}
}

// out is a plan whose first rule for calls that go out is this one.
func out(country string, r numbering.Rule) numbering.Config {
	return numbering.Config{Country: country, Out: numbering.Rules{Called: []numbering.Rule{r}}}
}

// Nothing of such a call reaches the carrier; it counts as a strike, is on record, told to the phone, and foretold by a trial.
func TestTollOfATrunksRules(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Numbers = out("", numbering.Rule{Match: "49123", Replace: "+881612345678"})
		s.Users[0].Toll = Toll{Allow: []string{"49"}, NoPremium: true, LockAfter: 1}
	})
	alice := b.phone("alice")
	e := refused(t, b.from(alice, "9123", nil), 403)
	const why = "+881612345678 is none of the numbers that user:alice may call: the trunk would be told +881612345678 for 49123"
	if w := e.Headers.Get("Warning"); !strings.Contains(w, why) {
		t.Errorf("Warning %q", w)
	}
	if rec := b.ends(call.System, 21, 403); !b.noted(rec.ID, why) {
		t.Errorf("the record doesn't say %q", why)
	}
	if len(b.Locks()) != 1 || strings.Contains(strings.Join(b.ledger.order(), "\n"), "sent INVITE trunk:carrier") {
		t.Error("the account isn't locked, or the carrier was called")
	}
	trial, err := Try(t.Context(), b.cfg, TrialRequest{User: "alice", Number: "9123"})
	if err != nil || !strings.Contains(trial.Refused, why) {
		t.Errorf("tried: %+v, %v", trial, err)
	}
}

// A caller whose number is longer than any isn't told on in part: of a carrier the call is refused with the reason; what a phone
// claims so is left out, which its record says.
func TestCallersThatAreTooLong(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Caller = Caller{Send: []string{byPAI}, Screen: screenNone}
		s.Trunks[0].Headers.Diversion = []string{"diversion"}
	})
	bob, longest := b.phone("bob"), strings.Repeat("7", maxNumber)
	a := b.from(b.second, "4930101", nil, header("P-Asserted-Identity", "<sip:"+longest+"@x.test>"))
	if rec := b.finish(a, bob.Incoming()); rec.From != longest || rec.FromN != longest {
		t.Errorf("the record has %s, expected all of %s", rec.From, longest)
	}
	e := refused(t, b.from(b.second, "4930101", nil, header("P-Asserted-Identity", "<sip:"+longest+"7@x.test>")), 400)
	if w := e.Headers.Get("Warning"); !strings.Contains(w, callerTooLong) {
		t.Errorf("Warning %q", w)
	}
	b.ends(call.System, 28, 400)
	a = b.from(b.phone("alice"), "9123", nil, header("P-Preferred-Identity", "<sip:"+longest+"7@x.test>"))
	c := b.carrier.Incoming()
	if got := c.Request().Headers.Get("P-Asserted-Identity"); !strings.Contains(got, "sip:100@") {
		t.Errorf("the carrier is told %s, expected the user's number", got)
	}
	if rec := b.finish(a, c); !b.noted(rec.ID, callerTooLong) {
		t.Errorf("the record doesn't say %q", callerTooLong)
	}
	b.idle()
}
