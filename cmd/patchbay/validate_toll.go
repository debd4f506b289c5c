package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway"
)

// tolls: what accounts may call, and calls for help.
func (d *document) tolls(c *Config, p parties) {
	d.outbound("outbound", c.Outbound)
	for i, u := range c.Users {
		d.outbound(fmt.Sprintf("users[%d].outbound", i), u.Outbound)
	}
	ids := map[string]string{}
	for i, t := range c.Tenants {
		f := fmt.Sprintf("tenants[%d]", i)
		d.id(f+".id", t.ID)
		d.once(ids, f+".id", t.ID, "this id")
		d.outbound(f+".outbound", t.Outbound)
	}
	for i, n := range c.Emergency.Numbers {
		if !dialable(n) {
			d.bad(fmt.Sprintf("emergency.numbers[%d]", i), "expected a number to dial: digits, with + in front if it is international")
		}
	}
	if len(c.Emergency.Numbers) == 0 && len(c.Emergency.To) > 0 {
		d.bad("emergency.numbers", "is empty, expected the numbers that are called by emergency.to")
	}
	d.choice("emergency.without", c.Emergency.Without, []string{"refuse", "alternative"})
	for i, h := range c.Emergency.To {
		f := fmt.Sprintf("emergency.to[%d]", i)
		named := 0
		for _, x := range [...]struct {
			what, id string
			of       map[string]string
		}{{"trunk", h.Trunk, p.trunks}, {"user", h.User, p.users}, {"group", h.Group, p.groups}} {
			if x.id == "" {
				continue
			}
			named++
			if _, ok := x.of[x.id]; !ok {
				d.bad(f+"."+x.what, "there is no %s %q, expected %s%s", x.what, x.id, oneOf(names(x.of)), meant(x.id, names(x.of)))
			}
		}
		if named != 1 {
			d.bad(f, "expected either trunk, user or group")
		}
		d.ring(f+".ring", h.Ring)
	}
}

// outbound checks an account's bounds.
func (d *document) outbound(f string, o Outbound) {
	for _, l := range [...]struct {
		key, or string
		list    []string
	}{{"allow", ", or home, or any", o.Allow}, {"deny", "", o.Deny}} {
		for i, n := range l.list {
			if l.key == "allow" && (n == gateway.Home || n == gateway.Anywhere) {
				continue
			}
			if digits := strings.TrimPrefix(n, "+"); digits == "" || len(digits) > 32 || strings.Trim(digits, "0123456789*#") != "" {
				d.bad(fmt.Sprintf("%s.%s[%d]", f, l.key, i), "expected the beginning of a number, such as +49900%s", l.or)
			}
		}
	}
	if o.Premium != "" && o.Premium != "refuse" && o.Premium != "allow" {
		d.bad(f+".premium", "expected refuse or allow")
	}
	d.count(f+".max_calls", o.MaxCalls, 0, 100_000)
	d.rate(f+".max_rate", o.MaxRate)
	d.duration(f+".duration", o.Duration)
	for _, x := range [...]struct {
		key  string
		v    time.Duration
		most time.Duration
	}{{"talk_hour", o.TalkHour, 10_000 * time.Hour}, {"talk_day", o.TalkDay, 100_000 * time.Hour}} {
		if x.v != 0 {
			d.between(f+"."+x.key, x.v, time.Second, x.most)
		}
	}
	for _, x := range [...]struct{ key, v string }{{"spend_hour", o.SpendHour}, {"spend_day", o.SpendDay}} {
		if x.v == "" {
			continue
		}
		if _, err := gateway.ParsePrice(x.v); err != nil {
			d.bad(f+"."+x.key, "%v", err)
		}
	}
	d.count(f+".lock_after", o.LockAfter, 0, 1000)
}
