// Package numbering reads and writes telephone numbers as carriers want them: rules of their own (strip, prefix, regular
// expression), E.164 by the numbering plans of countries, and the tel and sip URIs that numbers stand in (RFC 3966).
//
// Within the gateway a number that is understood is E.164 with + in front; what isn't (an extension, a service or emergency
// number, a name) stays as it was dialled.
package numbering

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/sip"
)

// Format is how a carrier writes numbers.
type Format string

// The formats of one number of Berlin.
const (
	AsIs     Format = "as-is"    // whatever stands there
	E164     Format = "e164"     // +4930123456
	Plain    Format = "plain"    // 4930123456
	Zeros    Format = "00"       // 004930123456
	National Format = "national" // 030123456; of other countries with the international prefix that is dialled here
)

// Formats are all formats.
func Formats() []string {
	return []string{string(AsIs), string(E164), string(Plain), string(Zeros), string(National)}
}

// Form is which URI numbers stand in.
type Form string

// The forms of URIs.
const (
	SIP   Form = "sip"   // sip:+4930123456@carrier
	Phone Form = "phone" // the same with ;user=phone (RFC 3261 19.1.1)
	Tel   Form = "tel"   // tel:+4930123456
)

// Forms are all forms.
func Forms() []string { return []string{string(SIP), string(Phone), string(Tel)} }

// Config is how a trunk, or our users, write numbers. The zero value leaves numbers as they are.
type Config struct {
	Country string // ISO 3166-1, such as DE: whose national numbers and prefixes are understood; "" = none
	Format  Format // "" = AsIs
	Form    Form   // "" = SIP
	// Context is the phone-context of numbers that aren't global (RFC 3966 5.1.5): + and digits, or a domain. "" = the
	// trunk's domain in tel URIs, none in sip URIs.
	Context string
	// Rules of calls that come in and go out, for the called and the calling number.
	In, Out Rules
}

// Rules of one direction. The first that fits a number is applied.
type Rules struct{ Called, Caller []Rule }

// Plan is a Config at work. It is immutable.
type Plan struct {
	cfg     Config
	in, out struct{ called, caller []rule }
}

// Side says whose number it is.
type Side uint8

// The sides.
const (
	Called Side = iota
	Caller
)

// maxNumber bounds a number, in bytes: expressions cost time in its length.
const maxNumber = 64

// New compiles a Config; an error names the rule at fault.
func New(cfg Config) (*Plan, error) {
	p := &Plan{cfg: cfg}
	p.cfg.Country = strings.ToUpper(cfg.Country)
	if cfg.Format == "" {
		p.cfg.Format = AsIs
	}
	if cfg.Form == "" {
		p.cfg.Form = SIP
	}
	var errs []error
	if err := CheckCountry(cfg.Country); cfg.Country != "" && err != nil {
		errs = append(errs, err)
	}
	if p.cfg.Format == National && cfg.Country == "" {
		errs = append(errs, errors.New("format national needs a country"))
	}
	if !slices.Contains(Formats(), string(p.cfg.Format)) {
		errs = append(errs, fmt.Errorf("format %q: expected one of %s", cfg.Format, strings.Join(Formats(), ", ")))
	}
	if !slices.Contains(Forms(), string(p.cfg.Form)) {
		errs = append(errs, fmt.Errorf("uri %q: expected one of %s", cfg.Form, strings.Join(Forms(), ", ")))
	}
	if err := CheckContext(cfg.Context); cfg.Context != "" && err != nil {
		errs = append(errs, err)
	}
	for _, l := range []struct {
		name string
		from []Rule
		to   *[]rule
	}{{"in.called", cfg.In.Called, &p.in.called}, {"in.caller", cfg.In.Caller, &p.in.caller},
		{"out.called", cfg.Out.Called, &p.out.called}, {"out.caller", cfg.Out.Caller, &p.out.caller}} {
		for i, r := range l.from {
			c, err := r.compile()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: %w", l.name, i, err))
			}
			*l.to = append(*l.to, c)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Result is a number after its rules.
type Result struct {
	Number string
	Rule   int // the index of the rule that was applied; -1 = none fitted
}

// In reads a number that came from the peer: its rules first, then E.164 if it can be understood so.
func (p *Plan) In(s Side, raw string) Result {
	list := p.in.called
	if s == Caller {
		list = p.in.caller
	}
	r := apply(list, raw)
	if e, ok := p.read(r.Number); ok {
		r.Number = e
	}
	return r
}

// InURI reads the number of a URI, with the context that it may give.
func (p *Plan) InURI(s Side, u sip.URI) (raw string, r Result) {
	raw, context := Of(u)
	if strings.HasPrefix(context, "+") && !strings.HasPrefix(raw, "+") {
		if e, ok := within(raw, context); ok {
			return raw, p.In(s, e)
		}
	}
	return raw, p.In(s, raw)
}

// Out writes a number for the peer: in its format, then by its rules.
func (p *Plan) Out(s Side, number string) Result {
	list := p.out.called
	if s == Caller {
		list = p.out.caller
	}
	return apply(list, p.write(number))
}

// Read is a number's E.164 form, + in front; ok is false if it can't be understood so.
func (p *Plan) Read(number string) (e164 string, ok bool) { return p.read(number) }

// Same tells whether two numbers are one, however they are written.
func (p *Plan) Same(a, b string) bool {
	if a == b {
		return true
	}
	x, ok := p.read(a)
	y, ok2 := p.read(b)
	return ok && ok2 && x == y
}
