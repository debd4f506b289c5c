package gateway

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// Route says where calls go. Of those whose source, number and hours fit, the first is taken, or with Config.Longest the one
// that says most of the number.
type Route struct {
	ID      string
	Tenant  string
	Source  []string // any, user, trunk, app, user:ID, trunk:ID, app:ID
	Number  []string // exact, prefix followed by *, or /regular expression/
	Strip   int      // characters taken off the front
	Prefix  string   // then put in front
	Replace string   // or the whole number; $1 is a regular expression's first group
	Hours   *Hours   // when it takes calls; nil = always
	ByCost  bool     // the cheapest hop first, those without a price last; otherwise as they are listed
	Hops    []Hop
}

// routes is the Router that the settings describe: users' own numbers, then the list.
type routes struct {
	numbers map[string]*User  // number or login, by tenant
	groups  map[string]*Group // number, by tenant
	list    []compiled
	longest bool // the route that says most of the number, not the first
	rates   Rates
	now     func() time.Time
	draw    func(n int) int // a random number below n
}

type compiled struct {
	Route
	patterns []pattern
}

type pattern struct {
	text   string
	prefix bool
	expr   *regexp.Regexp
	begins int // characters that every number has in common
}

// exact is what a whole number says, beside prefixes.
const exact = 1 << 10

func newRoutes(users []User, list []Route) (*routes, error) {
	r := &routes{numbers: map[string]*User{}, groups: map[string]*Group{}, now: time.Now, draw: rand.IntN}
	for i := range users {
		u := &users[i]
		for _, n := range append([]string{u.Login}, u.Numbers...) {
			r.numbers[u.Tenant+"\x00"+n] = u
		}
	}
	for _, rt := range list {
		c := compiled{Route: rt}
		for _, n := range rt.Number {
			p := pattern{text: n, begins: exact}
			switch {
			case len(n) > 1 && strings.HasPrefix(n, "/") && strings.HasSuffix(n, "/"):
				e, err := regexp.Compile(`^(?:` + n[1:len(n)-1] + `)$`)
				if err != nil {
					return nil, fmt.Errorf("route %s: number %q: %w", rt.ID, n, err)
				}
				p.expr = e
				if bare, err := regexp.Compile(n[1 : len(n)-1]); err == nil {
					begins, whole := bare.LiteralPrefix()
					if p.begins = len(begins); whole {
						p.begins = exact
					}
				}
			case strings.HasSuffix(n, "*"):
				p.text, p.prefix = strings.TrimSuffix(n, "*"), true
				p.begins = len(p.text)
			}
			c.patterns = append(c.patterns, p)
		}
		r.list = append(r.list, c)
	}
	return r, nil
}

// Route implements Router.
func (r *routes) Route(ctx context.Context, c *call.Call) (Plan, error) {
	// An extension goes before the number that its digits might be.
	if u := cmp.Or(r.numbers[c.Tenant+"\x00"+c.To], r.numbers[c.Tenant+"\x00"+c.Dialled()]); u != nil {
		return Plan{Route: "user-" + u.ID, Number: c.To, Hops: []Hop{{User: u.ID, Ring: ringing(u.Ring)}},
			Why: fmt.Sprintf("%s is a number of user %s", c.To, u.ID)}, nil
	}
	if g := cmp.Or(r.groups[c.Tenant+"\x00"+c.To], r.groups[c.Tenant+"\x00"+c.Dialled()]); g != nil {
		return Plan{Route: "group-" + g.ID, Number: c.To, Hops: []Hop{{Group: g.ID}}, Why: fmt.Sprintf("%s is a number of group %s", c.To, g.ID)}, nil
	}
	rt, number := r.find(c)
	if rt == nil {
		return Plan{}, &Refusal{call.Cause{Q850: call.NoRoute.Q850, SIP: 404, Text: fmt.Sprintf("no user has the number %s and no route takes it", clip(c.To))}}
	}
	hops, order := r.order(ctx, rt, number)
	return Plan{Route: rt.ID, Number: number, Hops: hops, Why: fmt.Sprintf("route %s takes %s as %s%s", rt.ID, c.Dialled(), number, order)}, nil
}

// find is the route that takes the call, and the number that it makes of the called one; nil: none does.
func (r *routes) find(c *call.Call) (best *compiled, number string) {
	most, now := -1, r.now()
	for i := range r.list {
		rt := &r.list[i]
		if rt.Tenant != c.Tenant || !rt.from(c) || !rt.Hours.Open(now) {
			continue
		}
		for _, p := range rt.patterns {
			n, ok := p.match(c.Dialled(), &rt.Route)
			if !ok || p.begins <= most {
				continue
			}
			best, number, most = rt, n, p.begins
			if !r.longest {
				return best, number
			}
		}
	}
	return best, number
}

func ringing(d time.Duration) time.Duration {
	if d == 0 {
		return time.Minute
	}
	return d
}

func (rt *compiled) from(c *call.Call) bool {
	for _, s := range rt.Source {
		switch {
		case s == "any",
			s == "user" && c.User != "", s == "trunk" && c.Trunk != "", s == "app" && c.Origin == jsonrpc,
			c.App != "" && s == "app:"+c.App,
			c.User != "" && s == "user:"+c.User, c.Trunk != "" && s == "trunk:"+c.Trunk:
			return true
		}
	}
	return false
}

func (p pattern) match(number string, rt *Route) (string, bool) {
	switch {
	case p.expr != nil:
		m := p.expr.FindStringSubmatchIndex(number)
		if m == nil {
			return "", false
		}
		if rt.Replace != "" {
			return string(p.expr.ExpandString(nil, rt.Replace, number, m)), true
		}
	case p.prefix:
		if !strings.HasPrefix(number, p.text) {
			return "", false
		}
	case number != p.text:
		return "", false
	}
	if rt.Replace != "" {
		return rt.Replace, true
	}
	return rt.Prefix + number[min(rt.Strip, len(number)):], true
}

// clip keeps what a stranger wrote short where it is shown.
func clip(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(slices.Clip(r[:64])) + "…"
	}
	return s
}
