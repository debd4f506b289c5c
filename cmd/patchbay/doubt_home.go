package main

import (
	"slices"
	"strings"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/numbering"
)

// doubtHome: users that could call out through trunks, if it were known which country is theirs.
func (d *document) doubtHome(c *Config) {
	out := func(r Route) bool {
		return slices.ContainsFunc(r.To, func(h Hop) bool { return h.Trunk != "" }) &&
			(len(r.Source) == 0 || slices.ContainsFunc(r.Source, func(s string) bool { return s == "any" || strings.HasPrefix(s, "user") }))
	}
	if c.SIP.Country != "" || !slices.ContainsFunc(c.Routes, out) {
		return
	}
	var homeless []string
	for _, u := range c.Users {
		if allow := u.Outbound.or(c.Outbound).Allow; len(allow) > 1 || len(allow) == 1 && allow[0] != gateway.Home {
			continue
		}
		if !slices.ContainsFunc(append([]string{u.CallerID}, u.Numbers...), func(n string) bool { c, _ := numbering.Country(n); return len(c) == 2 }) {
			homeless = append(homeless, u.ID)
		}
	}
	if len(homeless) > 0 {
		d.warn("sip.country", "is missing, and the numbers of %s don't tell their country either: they call numbers of up to 6 digits alone through trunks; set it, or outbound.allow",
			strings.Join(homeless[:min(len(homeless), 5)], ", "))
	}
}
