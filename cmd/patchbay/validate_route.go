package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/media/stream"
)

// parties are what routes speak of: tenant by id.
type parties struct {
	users, trunks, apps, groups map[string]string
}

// names of one kind, sorted, for a suggestion.
func names(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for id := range m {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// taken is a source and a pattern of an earlier route: what a later one no longer gets.
type taken struct {
	tenant, source string
	pattern        pattern
	by             string
}

// routes: that each is reachable, and leads to something that exists.
func (d *document) routes(c *Config) {
	p := c.parties()
	if c.Demo {
		d.demoNames(c)
	}
	d.choice("routing.order", c.Routing.Order, []string{"listed", "longest"})
	d.groups(c, p)
	d.tolls(c, p)
	d.forwards(c, p)
	ids := map[string]string{}
	before := ownNumbers(c)
	for i := range c.Routes {
		r := &c.Routes[i]
		f := fmt.Sprintf("routes[%d]", i)
		d.id(f+".id", r.ID)
		d.once(ids, f+".id", r.ID, "this id")
		if strings.HasPrefix(r.ID, ownRoute) || strings.HasPrefix(r.ID, groupRoute) {
			d.bad(f+".id", "expected another beginning: %s and %s are for the routes to users' and groups' own numbers", ownRoute, groupRoute)
		}
		d.tenant(f+".tenant", r.Tenant)
		d.sources(f, r, p)
		patterns := d.numbers(f, r)
		d.count(f+".strip", r.Strip, 0, 32)
		if r.Prefix != "" && !userPart(r.Prefix) && !dialable(r.Prefix) {
			d.bad(f+".prefix", "expected digits, with + in front if it is international")
		}
		if r.Replace != "" && (r.Strip != 0 || r.Prefix != "") {
			d.bad(f+".replace", "expected either replace, or strip and prefix")
		}
		d.hours(f+".hours", r.Hours)
		if r.By != "" {
			d.choice(f+".by", r.By, []string{"listed", "cost"})
		}
		d.hops(f+".to", r.Tenant, r.To, p)
		before = d.reachable(f, c, r, patterns, before)
	}
}

// parties are those that the file names, and the demo's.
func (c *Config) parties() parties {
	p := parties{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}}
	for _, g := range c.Groups {
		p.groups[g.ID] = cmp.Or(g.Tenant, "default")
	}
	for _, a := range c.Apps {
		p.apps[a.ID] = cmp.Or(a.Tenant, "default")
	}
	for _, t := range c.Trunks {
		p.trunks[t.ID] = cmp.Or(t.Tenant, "default")
	}
	for _, u := range c.Users {
		p.users[u.ID] = cmp.Or(u.Tenant, "default")
	}
	if c.Demo {
		p.users["alice"], p.users["bob"], p.trunks["demo"], p.apps["demo"] = "default", "default", "default", "default"
	}
	return p
}

// ownRoute begins the ids of the routes that a user's numbers make, groupRoute those of a group's.
const (
	ownRoute   = "user-"
	groupRoute = "group-"
)

// ownNumbers are taken before any route: who calls a user's number reaches the user.
func ownNumbers(c *Config) []taken {
	var list []taken
	for i, u := range c.Users {
		for _, n := range append([]string{cmp.Or(u.Login, u.ID)}, u.Numbers...) {
			list = append(list, taken{cmp.Or(u.Tenant, "default"), "any", pattern{text: n}, fmt.Sprintf("users[%d]", i)})
		}
	}
	for i, g := range c.Groups {
		for _, n := range g.Numbers {
			list = append(list, taken{cmp.Or(g.Tenant, "default"), "any", pattern{text: n}, fmt.Sprintf("groups[%d]", i)})
		}
	}
	return list
}

// demoNames keeps the names that the demo adds from being given twice.
func (d *document) demoNames(c *Config) {
	for i, u := range c.Users {
		for _, n := range append([]string{u.ID, u.Login}, u.Numbers...) {
			if slices.Contains([]string{"alice", "bob", "100", "101", "102"}, n) {
				d.bad(fmt.Sprintf("users[%d]", i), "%s belongs to the demo: leave out demo, or choose another", n)
			}
		}
	}
	for i, t := range c.Trunks {
		if t.ID == "demo" {
			d.bad(fmt.Sprintf("trunks[%d].id", i), "belongs to the demo: leave out demo, or choose another")
		}
	}
	for i, a := range c.Apps {
		if a.ID == "demo" {
			d.bad(fmt.Sprintf("apps[%d].id", i), "belongs to the demo: leave out demo, or choose another")
		}
	}
	for i, r := range c.Routes {
		if r.ID == "demo" || r.ID == "demo-app" {
			d.bad(fmt.Sprintf("routes[%d].id", i), "belongs to the demo: leave out demo, or choose another")
		}
	}
}

func (d *document) sources(f string, r *Route, p parties) {
	for i, s := range r.Source {
		sf := fmt.Sprintf("%s.source[%d]", f, i)
		kind, id, one := strings.Cut(s, ":")
		switch {
		case one && kind == "user":
			d.party(sf, id, "user", r.Tenant, p.users)
		case one && kind == "trunk":
			d.party(sf, id, "trunk", r.Tenant, p.trunks)
		case one && kind == "app":
			d.party(sf, id, "app", r.Tenant, p.apps)
		case one || !slices.Contains(sourceKinds, s):
			d.bad(sf, "expected any, user, trunk, app, user:ID, trunk:ID or app:ID%s", meant(kind, sourceKinds))
		}
	}
}

// sourceKinds are what a source may be without an id.
var sourceKinds = []string{"any", "user", "trunk", "app"}

// apps: who they are, and what they show when they call.
func (d *document) apps(c *Config) {
	ids := map[string]string{}
	for i, a := range c.Apps {
		f := fmt.Sprintf("apps[%d]", i)
		d.id(f+".id", a.ID)
		d.once(ids, f+".id", a.ID, "this id")
		d.tenant(f+".tenant", a.Tenant)
		if a.CallerID != "" && !userPart(a.CallerID) {
			d.bad(f+".caller_id", "expected a number or a SIP user name")
		}
		if !printable(a.CallerName) || strings.ContainsAny(a.CallerName, `"\`) {
			d.bad(f+".caller_name", `expected printable text without " and \`)
		}
		d.count(f+".max_calls", a.MaxCalls, 0, 100_000)
		d.stream(f+".stream", a.Stream)
	}
}

// stream checks where an application's calls go.
func (d *document) stream(f string, s AppStream) {
	if s.URL == "" {
		if s.Encoding != "" || s.Rate != 0 || s.Token != "" || s.Binary || s.Buffer != 0 || len(s.Parameters) > 0 {
			d.bad(f+".url", "expected ws:// or wss:// with a host: the other settings of the stream need it")
		}
		return
	}
	cfg := stream.Config{URL: s.URL, Encoding: stream.Encoding(s.Encoding), Rate: s.Rate, Buffer: s.Buffer}
	if field, problem, ok := cfg.Check(); !ok {
		d.bad(f+"."+field, "%s", problem)
	}
	for i, p := range s.Parameters {
		if name, value, ok := strings.Cut(p, "="); !ok || name == "" || !printable(p) || len(value) > 1000 {
			d.bad(fmt.Sprintf("%s.parameters[%d]", f, i), "expected name=value, a printable one of at most 1000 characters")
		}
	}
}

// party checks that a user, trunk or application exists, in the route's tenant.
func (d *document) party(field, id, what, tenant string, of map[string]string) {
	t, ok := of[id]
	switch {
	case !ok:
		d.bad(field, "there is no %s %q, expected %s%s", what, id, oneOf(names(of)), meant(id, names(of)))
	case t != cmp.Or(tenant, "default"):
		d.bad(field, "%s %q is of tenant %q, expected one of tenant %q, the route's", what, id, t, cmp.Or(tenant, "default"))
	}
}

func (d *document) numbers(f string, r *Route) []pattern {
	var list []pattern
	for i, s := range r.Number {
		p, err := parsePattern(s)
		if err == nil && r.Replace != "" {
			if err := checkReplace(r.Replace, p); err != nil {
				d.bad(f+".replace", "%v", err)
			}
		}
		if err != nil {
			d.bad(fmt.Sprintf("%s.number[%d]", f, i), "%v", err)
			continue
		}
		list = append(list, p)
	}
	if len(r.Number) == 0 {
		list = []pattern{{text: "*"}}
		if r.Replace != "" {
			if err := checkReplace(r.Replace, list[0]); err != nil {
				d.bad(f+".replace", "%v", err)
			}
		}
	}
	return list
}

// hops: what a route's, or another list's, calls go to.
func (d *document) hops(f, tenant string, list []Hop, p parties) {
	if len(list) == 0 {
		d.bad(f, "missing, expected at least one hop: trunk, user, app or group")
	}
	for i, h := range list {
		hf := fmt.Sprintf("%s[%d]", f, i)
		named := 0
		for _, x := range [...]struct {
			what, id string
			of       map[string]string
		}{{"trunk", h.Trunk, p.trunks}, {"user", h.User, p.users}, {"app", h.App, p.apps}, {"group", h.Group, p.groups}} {
			if x.id != "" {
				named++
				d.party(hf+"."+x.what, x.id, x.what, tenant, x.of)
			}
		}
		if named != 1 {
			d.bad(hf, "expected either trunk, user, app or group")
		}
		if h.Ring != 0 {
			d.between(hf+".ring", h.Ring, time.Second, 10*time.Minute)
		}
		d.failover(hf+".failover", h.Failover)
		if h.Cost != "" {
			if _, err := gateway.ParsePrice(h.Cost); err != nil {
				d.bad(hf+".cost", "%v", err)
			}
		}
		d.count(hf+".weight", h.Weight, 0, 1000)
		for j, o := range list[:i] {
			if o.Trunk == h.Trunk && o.User == h.User && o.App == h.App && o.Group == h.Group {
				d.bad(hf, "is the same as to[%d], expected another trunk, user, app or group", j)
				break
			}
		}
	}
}

// failover checks a list of outcomes.
func (d *document) failover(field string, list []string) {
	for i, s := range list {
		f := fmt.Sprintf("%s[%d]", field, i)
		n, err := strconv.Atoi(s)
		switch {
		case s == "none" && len(list) > 1:
			d.bad(f, "expected to stand alone")
		case s == "none" || s == "retry" || slices.Contains(statusClasses, s):
		case err != nil:
			d.bad(f, "expected retry, none, a SIP status of 300 to 699, or a class such as 5xx%s", meant(s, []string{"retry", "none"}))
		case n < 300 || n > 699:
			d.bad(f, "expected a SIP status of 300 to 699: others don't end an attempt")
		}
	}
}

// statusClasses are failures in hundreds.
var statusClasses = []string{"3xx", "4xx", "5xx", "6xx"}

// reachable reports a route of which every source and number is taken by an earlier one, and adds what it takes. Where the route
// that says most of a number is taken, only the same pattern hides another; one that has hours hides none.
func (d *document) reachable(f string, c *Config, r *Route, patterns []pattern, before []taken) []taken {
	longest := c.Routing.Order == "longest"
	sources := r.Source
	if len(sources) == 0 {
		sources = []string{"any"}
	}
	var own []taken
	shadow, free := "", len(patterns) == 0
	for _, s := range sources {
		for _, p := range patterns {
			t := taken{cmp.Or(r.Tenant, "default"), s, p, f}
			i := slices.IndexFunc(before, func(b taken) bool {
				return b.covers(t) && (!longest || b.pattern.text == t.pattern.text || b.by == "" || !strings.HasPrefix(b.by, "routes"))
			})
			if i < 0 {
				free = true
			} else {
				shadow = before[i].by
			}
			own = append(own, t)
		}
	}
	if !free {
		d.bad(f, "is never reached: %s%s takes the same calls before it", shadow, d.line(shadow))
	}
	if h := r.Hours; len(h.Week)+len(h.Also)+len(h.Never) > 0 {
		return before
	}
	return append(before, own...)
}

func (b taken) covers(t taken) bool {
	source := b.source == "any" || b.source == t.source || strings.HasPrefix(t.source, b.source+":")
	return source && b.tenant == t.tenant && b.pattern.covers(t.pattern)
}
