package numbering

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// Of is the number or name that a URI stands for, and its phone-context, if it gives one (RFC 3966 5.1.5). Visual separators
// of telephone numbers are taken out. A URI without a user stands for its host.
func Of(u sip.URI) (number, context string) {
	n := u.User
	phone := u.Scheme == "tel"
	switch {
	case phone:
		n = u.Opaque
	case n == "":
		return u.Host, ""
	}
	n, params, _ := strings.Cut(n, ";")
	for p := range strings.SplitSeq(params, ";") {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(k, "phone-context") {
			context = compact(wire.Unescape(v))
		}
	}
	if v, _ := u.Param("user"); strings.EqualFold(v, "phone") {
		phone = true
	}
	if n = wire.Unescape(n); phone || strings.HasPrefix(n, "+") {
		n = compact(n)
	}
	return n, context
}

// URI makes the URI of a number at a host, in the plan's form. What is no telephone number always stands in a plain sip URI.
func (p *Plan) URI(number, host string) (sip.URI, error) {
	if p.cfg.Form != Tel || !subscriber(number) {
		return p.AtHost(number, host)
	}
	opaque, context := strings.ReplaceAll(number, "#", "%23"), p.context(number)
	if context == "" && opaque[0] != '+' {
		context = host
	}
	// An address is no domain name, which is what a context that isn't a number has to be.
	if _, err := netip.ParseAddr(strings.Trim(context, "[]")); err == nil {
		return sip.URI{}, fmt.Errorf("tel:%s needs a phone-context: expected numbers.context, or a domain that is a name", number)
	}
	if context != "" {
		opaque += ";phone-context=" + context
	}
	u := sip.URI{Scheme: "tel", Opaque: opaque}
	return u, u.Check()
}

// AtHost is URI where it has to be a sip URI, as in From: with user=phone where the form is tel.
func (p *Plan) AtHost(number, host string) (sip.URI, error) {
	u, err := sip.NewURI(number, host, 0)
	if err != nil || p.cfg.Form == SIP || !subscriber(number) {
		return u, err
	}
	if context := p.context(number); context != "" {
		u.User += ";phone-context=" + context
	}
	u = u.With("user", "phone")
	return u, u.Check()
}

// context is the configured one, of a number that needs it.
func (p *Plan) context(number string) string {
	if strings.HasPrefix(number, "+") {
		return ""
	}
	return p.cfg.Context
}

// subscriber tells a telephone-subscriber without parameters (RFC 3966 3).
func subscriber(n string) bool {
	digits := strings.TrimPrefix(n, "+")
	return digits != "" && strings.Trim(digits, "0123456789*#") == "" && (digits == n || strings.Trim(digits, "0123456789") == "")
}

// CheckContext tells whether something can be a phone-context.
func CheckContext(s string) error {
	if digits, ok := strings.CutPrefix(s, "+"); ok {
		if digits == "" || len(digits) > maxE164 || strings.Trim(digits, "0123456789") != "" {
			return fmt.Errorf("context %q: expected + and up to %d digits, or a domain", s, maxE164)
		}
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil || strings.ContainsAny(s, ":;@<>\" ") || len(s) > 253 {
		return errors.New("context " + `"` + s + `": expected + and digits, or a domain`)
	}
	_, err := sip.NewURI("", s, 0)
	if err != nil {
		return fmt.Errorf("context %q: expected + and digits, or a domain", s)
	}
	return nil
}
