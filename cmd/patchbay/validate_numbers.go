package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/numbering"
)

var (
	transcodes = []string{"allow", "never"}
	tellings   = []string{"pai", "ppi", "rpid"}
)

// trunkNumbers checks how a trunk writes numbers, names callers and lets header fields through.
func (d *document) trunkNumbers(f string, t *Trunk) {
	d.numbering(f+".numbers", t.Numbers)
	d.trunkCaller(f+".caller", t)
	d.names(f+".headers.in", t.Headers.In, t.Trusted)
	d.names(f+".headers.out", t.Headers.Out, t.Trusted)
	d.list(f+".headers.diversion", t.Headers.Diversion, []string{"diversion", "history-info"})
	if t.Transcode != "" {
		d.choice(f+".transcode", t.Transcode, transcodes)
	}
}

func (d *document) numbering(f string, n Numbers) {
	d.country(f+".country", n.Country)
	if n.Format != "" {
		d.choice(f+".format", n.Format, numbering.Formats())
	}
	if n.Format == string(numbering.National) && n.Country == "" {
		d.bad(f+".country", "missing, expected the country whose national numbers the carrier takes, such as DE")
	}
	if n.URI != "" {
		d.choice(f+".uri", n.URI, numbering.Forms())
	}
	if n.Context != "" && numbering.CheckContext(n.Context) != nil {
		d.bad(f+".context", "expected + and digits, such as +49, or a domain (RFC 3966 5.1.5)")
	}
	for _, l := range [...]struct {
		key  string
		list []NumberRule
	}{{".in.called", n.In.Called}, {".in.caller", n.In.Caller}, {".out.called", n.Out.Called}, {".out.caller", n.Out.Caller}} {
		for i, r := range l.list {
			d.rule(fmt.Sprintf("%s%s[%d]", f, l.key, i), r)
		}
	}
}

// rule reports the field of a rule that is wrong. What stands there is shown by the report itself.
func (d *document) rule(f string, r NumberRule) {
	var e *numbering.RuleError
	if err := numbering.Rule(r).Check(); errors.As(err, &e) {
		problem := strings.Replace(e.Problem, "is missing: expected", "missing, expected", 1)
		if _, shown := d.places[f+"."+e.Field]; shown {
			if _, after, ok := strings.Cut(problem, ": "); ok && !strings.HasPrefix(problem, "has ") {
				problem = after
			}
		}
		d.bad(f+"."+e.Field, "%s", problem)
	}
}

func (d *document) country(field, code string) {
	if code != "" && numbering.CheckCountry(code) != nil {
		d.bad(field, "expected two letters of ISO 3166-1, such as DE, FR, GB or US")
	}
}

func (d *document) trunkCaller(f string, t *Trunk) {
	c := t.Caller
	d.list(f+".read", c.Read, append(tellings[:len(tellings):len(tellings)], "from"))
	d.list(f+".send", c.Send, tellings)
	for _, x := range [...]struct {
		key, value string
		choices    []string
	}{{".privacy", c.Privacy, []string{"asked", "always"}}, {".screen", c.Screen, []string{"users", "all", "none"}}, {".names", c.Names, []string{"send", "none"}}} {
		if x.value != "" {
			d.choice(f+x.key, x.value, x.choices)
		}
	}
	for i, n := range c.Numbers {
		if p := strings.TrimSuffix(n, "*"); !dialable(p) {
			d.bad(fmt.Sprintf("%s.numbers[%d]", f, i), "expected a number, or the beginning of numbers followed by *, such as +4930123400*")
		}
	}
	switch {
	case len(c.Numbers) > 0 && c.Screen != "all":
		d.bad(f+".numbers", "expected none unless screen is all")
	case c.Screen == "all" && len(c.Numbers) == 0:
		d.bad(f+".numbers", "missing, expected the numbers that may be shown, since screen is all")
	case len(c.Read) > 0 && !t.Trusted && t.Mode != "carrier" && !slices.Equal(c.Read, []string{"from"}):
		d.bad(f+".read", "expected none unless trusted is true: what others assert isn't believed")
	}
}

// list checks that each of some words is one of the choices, and stands there once.
func (d *document) list(field string, list, choices []string) {
	for i, v := range list {
		f := fmt.Sprintf("%s[%d]", field, i)
		d.choice(f, v, choices)
		if slices.Contains(list[:i], v) {
			d.bad(f, "stands twice in %s", field)
		}
	}
}

// names checks header fields that go through a trunk.
func (d *document) names(field string, list []string, trusted bool) {
	for i, n := range list {
		f := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !gateway.Carriable(n):
			d.bad(f, "expected X-NAME, X-* for all of those, User-to-User, Alert-Info, Call-Info, Subject, Organization, Priority, Accept-Contact, Geolocation or Identity: others are Patchbay's own to write")
		case strings.EqualFold(n, "Identity") && !trusted:
			d.bad(f, "expected none unless trusted is true")
		}
	}
}
