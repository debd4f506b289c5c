package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway"
)

// hours checks when a route takes calls.
func (d *document) hours(field string, h Hours) {
	_, err := gateway.NewHours(gateway.HoursConfig(h))
	var f *gateway.FieldError
	switch {
	case errors.As(err, &f):
		_, expected, _ := strings.Cut(f.Problem, ": ") // the value is shown anyway
		d.bad(field+"."+f.Field, "%s", expected)
	case h.Zone != "" && len(h.Week)+len(h.Also)+len(h.Never) == 0:
		d.bad(field+".week", "missing, expected times in that zone, such as Mon-Fri 08:00-18:00")
	}
}

// groups: who rings for which number.
func (d *document) groups(c *Config, p parties) {
	ids, owners := map[string]string{}, map[string]string{}
	for i, u := range c.Users {
		for _, n := range append([]string{cmp.Or(u.Login, u.ID)}, u.Numbers...) {
			owners[n] = fmt.Sprintf("users[%d]", i)
		}
	}
	for i, g := range c.Groups {
		f := fmt.Sprintf("groups[%d]", i)
		d.id(f+".id", g.ID)
		d.once(ids, f+".id", g.ID, "this id")
		d.tenant(f+".tenant", g.Tenant)
		for j, n := range g.Numbers {
			nf := fmt.Sprintf("%s.numbers[%d]", f, j)
			if !dialable(n) {
				d.bad(nf, "expected a number to dial: digits, with + in front if it is international")
			}
			d.once(owners, nf, n, "this login or number")
		}
		if g.Strategy != "" {
			d.choice(f+".strategy", g.Strategy, []string{"parallel", "sequential", "random"})
		}
		d.ring(f+".ring", g.Ring)
		if n := len(g.Members); n == 0 || n > maxMembers {
			d.bad(f+".members", "has %d entries, expected 1 to %d: each a user, or a trunk and a number", n, maxMembers)
		}
		for j, m := range g.Members {
			d.member(fmt.Sprintf("%s.members[%d]", f, j), g.Tenant, m, p)
		}
	}
}

// maxMembers bounds the phones that one call rings.
const maxMembers = 32

func (d *document) member(f, tenant string, m Member, p parties) {
	d.ring(f+".ring", m.Ring)
	switch {
	case (m.User == "") == (m.Trunk == ""):
		d.bad(f, "expected either user, or trunk and number")
	case m.User != "":
		d.party(f+".user", m.User, "user", tenant, p.users)
		if m.Number != "" {
			d.bad(f+".number", "expected none beside user: all of the user's phones ring")
		}
	default:
		d.party(f+".trunk", m.Trunk, "trunk", tenant, p.trunks)
		if !dialable(m.Number) {
			d.bad(f+".number", "expected the number to dial at the trunk: digits, with + in front if it is international")
		}
	}
}

func (d *document) ring(field string, v time.Duration) {
	if v != 0 {
		d.between(field, v, time.Second, 10*time.Minute)
	}
}

// forwards: that users' calls are forwarded to somebody.
func (d *document) forwards(c *Config, p parties) {
	for i, u := range c.Users {
		f := fmt.Sprintf("users[%d].forward", i)
		for _, x := range [...]struct{ key, to string }{{"always", u.Forward.Always}, {"busy", u.Forward.Busy}, {"no_answer", u.Forward.NoAnswer}, {"offline", u.Forward.Offline}} {
			kind, id, named := strings.Cut(x.to, ":")
			at := f + "." + x.key
			switch {
			case x.to == "":
			case named && kind == "user" && id == u.ID:
				d.bad(at, "expected somebody else than the user")
			case named && kind == "user":
				d.party(at, id, "user", u.Tenant, p.users)
			case named && kind == "group":
				d.party(at, id, "group", u.Tenant, p.groups)
			case !dialable(x.to):
				d.bad(at, "expected user:ID, group:ID or a number as the user would dial it")
			}
		}
		if u.Forward.After != 0 {
			d.between(f+".after", u.Forward.After, time.Second, 10*time.Minute)
			if u.Forward.NoAnswer == "" {
				d.bad(f+".after", "expected none without no_answer")
			}
		}
	}
}
