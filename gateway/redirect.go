package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// redirection is the number that a Contact of a 3xx names: of a tel URI, or of a sip one at a host that may be named.
func (g *Gateway) redirection(contact string, mayName func(host string) bool) (string, error) {
	na, err := sip.ParseNameAddr(contact)
	if err != nil {
		return "", fmt.Errorf("contact %q can't be read", clip(contact))
	}
	u := na.URI
	switch {
	case u.Scheme == "tel":
	case u.Scheme != "sip":
		return "", fmt.Errorf("%s isn't a number", clip(u.String()))
	case !mayName(u.Host):
		return "", fmt.Errorf("%s is at a foreign host", clip(u.String()))
	case u.User == "":
		return "", fmt.Errorf("%s names nobody", clip(u.String()))
	}
	n := number(u)
	if strings.ContainsAny(n, ": ") || checkUser("contact", n, "host.invalid") != nil || escapedControl(u.String()) {
		return "", fmt.Errorf("%s isn't a number", clip(u.String()))
	}
	return n, nil
}

// redirects tells whether a callee said that it can be reached elsewhere: 305 and 380 name no other address of it.
func redirects(c call.Cause) bool { return c.SIP >= 300 && c.SIP <= 302 }

// byPreference sorts the Contacts of a redirection, the preferred first (RFC 3261 8.1.3.4).
func byPreference(contacts []string) []string {
	q := func(s string) float64 {
		v, ok := wire.Param(s, "q")
		if f, err := strconv.ParseFloat(v, 64); ok && err == nil {
			return f
		}
		return 1
	}
	out := slices.Clone(contacts)
	slices.SortStableFunc(out, func(a, b string) int {
		switch x, y := q(a), q(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return out
}

// redirected follows a carrier's 3xx, where the trunk's settings allow it: to numbers at the same carrier, and nowhere else. The
// number is one that whoever pays may call.
func (c *Call) redirected(t *trunk, hop Hop, r tried) tried {
	if !redirects(r.end.cause) || len(c.redirect) == 0 {
		return r
	}
	contacts := byPreference(c.redirect)
	e := call.Forward{Trunk: t.ID, From: hop.Number, To: clip(contacts[0]), Reason: forwardRedirect, Depth: len(c.diversions) + 1, Refuse: true}
	if !t.Redirects {
		e.Text = "the trunk's redirections aren't followed"
		c.rec.note(0, time.Now(), e)
		return r
	}
	err := errors.New("it names no number")
	for _, contact := range contacts {
		var to string
		if to, err = c.g.redirection(contact, t.own); err != nil {
			continue
		}
		if why := c.astray(t.ID + " " + to); why != "" {
			err = errors.New(why)
			continue
		}
		e.To, e.Refuse = to, false
		c.diverts(e)
		c.path = append(c.path, t.ID+" "+to)
		hop.Number = to
		return c.dialTrunk(hop, to)
	}
	e.Text = err.Error()
	c.rec.note(0, time.Now(), e)
	return r
}

// own tells whether a host is the carrier's own.
func (t *trunk) own(host string) bool {
	for _, h := range []string{t.Domain, t.Proxy.Host, t.Registrar.Host} {
		if h != "" && strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}
