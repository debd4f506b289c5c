package numbering

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Told is what a peer is told of a called number, and what it may read there.
type Told struct {
	Text   string
	Number string // E.164 if it can be understood so, else the same
	// Same tells that it is the number itself, however the peer reads it: in another form, or behind something that a rule puts in front of
	// all numbers, such as a carrier's access code.
	Same bool
}

// Tell is what the peer is told of a called number, which is E.164 if it is understood. Where a rule has made another number of it,
// or one that the peer may take for another, it isn't Same.
func (p *Plan) Tell(number string) Told {
	r := p.Out(Called, number)
	t := Told{Text: r.Number, Number: r.Number, Same: true}
	if r.Number == number {
		return t
	}
	e164, ok := p.read(r.Number)
	if ok {
		t.Number = e164
	}
	switch {
	case r.Rule < 0 || ok && e164 == number: // in the plan's format
	case ok:
		t.Same = false
	default:
		t.Same = p.holds(r.Number, number)
	}
	return t
}

// holds tells whether something that isn't understood ends with a number, or is that number without what stands before it in the plan's
// country.
func (p *Plan) holds(text, number string) bool {
	digits, plus := strings.CutPrefix(number, "+")
	if digits == "" || strings.HasSuffix(text, digits) {
		return digits != ""
	}
	if !plus || p.cfg.Country == "" {
		return false
	}
	n, err := phonenumbers.Parse(number, "")
	if err != nil || int(n.GetCountryCode()) != phonenumbers.GetCountryCodeForRegion(p.cfg.Country) {
		return false
	}
	nsn := phonenumbers.GetNationalSignificantNumber(n)
	return text == nsn || strings.HasSuffix(text, phonenumbers.GetNddPrefixForRegion(p.cfg.Country, true)+nsn) && text != nsn
}
