package gateway

import (
	"strings"

	"github.com/patchbay/patchbay/gateway/numbering"
)

// asked is what accounts are asked about before a hop's trunk is called: the number, as our users' numbering understands it, and what
// the trunk is told of it. Its rules may make another number of it, its country another than ours, and an application dials a URI.
func (g *Gateway) asked(h Hop) (number string, t numbering.Told) {
	number = g.dialledAs(h.Number)
	switch trunk := g.trunks[h.Trunk]; {
	case !h.uri.IsZero():
		_, r := g.plan.InURI(numbering.Called, h.uri)
		if raw, context := numbering.Of(h.uri); !global(r.Number) && global(context) { // no plan knows it, but somebody may
			r.Number = context + raw
		}
		t = numbering.Told{Text: h.uri.String(), Number: r.Number, Same: r.Number == number}
	case trunk == nil: // it isn't called
		t = numbering.Told{Text: number, Number: number, Same: true}
	default:
		t = trunk.plan.Tell(h.Number)
	}
	if global(t.Number) && global(number) && t.Number != number {
		t.Same = false
	}
	return number, t
}

// global tells a number that says its country.
func global(number string) bool { return strings.HasPrefix(number, "+") }

// never is why the account may not call a number, of which a carrier is told something, whenever; "" = it may. allow is asked about the
// number, and about another one that the carrier is told, but needn't list all forms of one.
func (a *account) never(number string, t numbering.Told) string {
	why := a.forbids(number)
	if why != "" || t.Text == number || t.Text == "" {
		return why
	}
	switch {
	case !t.Same:
		why = a.forbids(t.Number)
	case a.denies(t.Text), a.denies(t.Number):
		why = clip(t.Text) + " is none of the numbers that " + a.name + " may call"
	case global(t.Number) && a.dear(t.Number) != "":
		why = clip(t.Number) + " is " + a.dear(t.Number) + " number, which " + a.name + " may not call"
	}
	if why != "" {
		why += ": the trunk would be told " + clip(t.Text) + " for " + clip(number)
	}
	return why
}

// denies tells whether the account's lists deny a number by name, and don't allow more of it.
func (a *account) denies(number string) bool {
	denied := a.longest(a.Deny, number)
	return denied >= 0 && a.longest(a.Allow, number) <= denied
}
