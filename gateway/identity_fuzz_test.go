package gateway

import (
	"testing"

	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// What a trusted carrier says of callers and diversions, whatever it is, leaves as header fields that can be sent, and not too many.
func FuzzCallerHeaders(f *testing.F) {
	f.Add("P-Asserted-Identity", `"A" <sip:+49301234567@c;user=phone>, <tel:+49-30-1>`, "id;critical")
	f.Add("Remote-Party-ID", `<sip:1@c>;party=calling;privacy=full`, "none,session")
	f.Add("Diversion", `"x" <sip:1@c>;reason="user-busy";counter=99999999999;privacy=full, <tel:*1>`, "history")
	f.Add("History-Info", `<sip:a@b?Privacy=history>;index=1, <tel:+1;cause=302>;index=1.1, <sip:c@d;cause=486>;index=1.1.1`, "HEADER")
	f.Add("User-to-User", "a1;encoding=hex", "")
	g := &Gateway{instance: newInstance()}
	g.plan, _ = numbering.New(numbering.Config{Country: "DE"})
	in, err := g.newTrunk(Trunk{ID: "in", Trusted: true, Domain: "in.test", Caller: Caller{Read: []string{byPAI, byRPID, byPPI}}, Headers: HeaderPolicy{In: Names{"X-*", "User-to-User"}}})
	if err != nil {
		f.Fatal(err)
	}
	var outs []*trunk
	for _, form := range []numbering.Form{numbering.SIP, numbering.Phone, numbering.Tel} {
		out, err := g.newTrunk(Trunk{ID: "out", Domain: "out.test", Trusted: form == numbering.Phone, Numbers: numbering.Config{Country: "DE", Format: numbering.National, Form: form},
			Caller: Caller{Send: []string{byPAI, byRPID}}, Headers: HeaderPolicy{Out: Names{"*"}, Diversion: []string{"diversion", "history-info"}}})
		if err != nil {
			f.Fatal(err)
		}
		outs = append(outs, out)
	}
	f.Fuzz(func(t *testing.T, name, value, privacy string) {
		h := sip.Headers{{Name: name, Value: value}, {Name: "Privacy", Value: privacy}}
		from, err := sip.NewURI("0301234567", "in.test", 0)
		if err != nil {
			t.Fatal(err)
		}
		c := &Call{g: g, src: source{trunk: in}}
		c.src.hear(g, &sip.Request{URI: from, From: sip.NameAddr{URI: from}, Headers: h})
		for _, out := range outs {
			o, cause := out.present(Hop{Trunk: "out"}, "+49301234567", c.src.who, c.src)
			target := target{uri: o.uri, header: o.header, trunk: out}
			if !cause.IsZero() || c.dress(&target) != nil {
				continue
			}
			for _, x := range target.header {
				if err := wire.CheckHeader(x); err != nil {
					t.Errorf("%s: %q would leave: %v", x.Name, x.Value, err)
				}
			}
			if err := o.from.Check(); err != nil {
				t.Errorf("From %q would leave: %v", o.from, err)
			}
		}
	})
}
