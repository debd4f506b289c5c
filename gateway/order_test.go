package gateway

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

func price(tb testing.TB, s string) Price {
	tb.Helper()
	p, err := ParsePrice(s)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestPrice(t *testing.T) {
	for _, s := range []string{"0", "1", "0.0135", "12.5", "999999999.999999", "0.000001"} {
		if got := price(t, s).String(); got != s {
			t.Errorf("%s is written %s", s, got)
		}
	}
	for _, s := range []string{"", ".5", "1.", "-1", "1,5", "1e3", "0.0000001", "1234567890", "1.2.3", "+1"} {
		if p, err := ParsePrice(s); err == nil {
			t.Errorf("%q is %s, expected an error", s, p)
		}
	}
	if got := price(t, "0.10").of(90 * time.Second); got != price(t, "0.15") {
		t.Errorf("90 s at 0.10 cost %s", got)
	}
}

// tariff is a Rates of a test.
type tariff map[string]Price

func (f tariff) Cost(_ context.Context, trunk, number string) (Price, bool) {
	p, ok := f[trunk+" "+number]
	return p, ok
}

func (r *routes) hops(tb testing.TB, c *call.Call) string {
	tb.Helper()
	p, err := r.Route(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, h := range p.Hops {
		out = append(out, h.Trunk)
	}
	return p.Route + ": " + strings.Join(out, " ")
}

func TestLongestNumberWins(t *testing.T) {
	to := func(id string) []Hop { return []Hop{{Trunk: id}} }
	list := []Route{
		{ID: "all", Tenant: "default", Source: []string{"any"}, Number: []string{"*"}, Hops: to("a")},
		{ID: "de", Tenant: "default", Source: []string{"any"}, Number: []string{"+49*"}, Hops: to("b")},
		{ID: "mobile", Tenant: "default", Source: []string{"any"}, Number: []string{`/\+491[567]\d+/`}, Hops: to("c")},
		{ID: "berlin", Tenant: "default", Source: []string{"user:alice"}, Number: []string{"+4930*", "+4933*"}, Hops: to("d")},
		{ID: "one", Tenant: "default", Source: []string{"any"}, Number: []string{"+4930100"}, Hops: to("e")},
		{ID: "second", Tenant: "default", Source: []string{"any"}, Number: []string{"+49*"}, Hops: to("f")},
	}
	r, err := newRoutes(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ user, to, first, longest string }{
		{"bob", "0800", "all: a", "all: a"},
		{"bob", "+43", "all: a", "all: a"},
		{"bob", "+49891", "all: a", "de: b"}, // of equals the first
		{"bob", "+491511", "all: a", "mobile: c"},
		{"bob", "+491911", "all: a", "de: b"},
		{"bob", "+49301", "all: a", "de: b"},
		{"alice", "+49301", "all: a", "berlin: d"},
		{"alice", "+4930100", "all: a", "one: e"},
	} {
		c := &call.Call{Tenant: "default", User: x.user, To: x.to}
		r.longest = false
		if got := r.hops(t, c); got != x.first {
			t.Errorf("%s dials %s: %s, expected %s", x.user, x.to, got, x.first)
		}
		r.longest = true
		if got := r.hops(t, c); got != x.longest {
			t.Errorf("%s dials %s, longest: %s, expected %s", x.user, x.to, got, x.longest)
		}
	}
}

func TestRoutesByTime(t *testing.T) {
	day, err := NewHours(HoursConfig{Zone: "Europe/Berlin", Week: []string{"Mon-Fri 08:00-18:00"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRoutes(nil, []Route{
		{ID: "day", Tenant: "default", Source: []string{"any"}, Number: []string{"*"}, Hours: day, Hops: []Hop{{Trunk: "a"}}},
		{ID: "night", Tenant: "default", Source: []string{"any"}, Number: []string{"*"}, Hops: []Hop{{Trunk: "b"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{"2026-03-04T07:30:00Z": "day: a", "2026-03-04T17:30:00Z": "night: b", "2026-03-07T10:00:00Z": "night: b"} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		r.now = func() time.Time { return now }
		if got := r.hops(t, &call.Call{Tenant: "default", To: "1"}); got != want {
			t.Errorf("at %s: %s, expected %s", at, got, want)
		}
	}
}

func TestRoutesByCostAndWeight(t *testing.T) {
	hop := func(id, cost string, weight int) Hop {
		h := Hop{Trunk: id, Weight: weight}
		if cost != "" {
			h.Cost, h.Priced = price(t, cost), true
		}
		return h
	}
	rng := rand.New(rand.NewPCG(1, 2))
	count := func(rt Route, rates Rates, n int) map[string]int {
		rt.ID, rt.Tenant, rt.Source, rt.Number = "r", "default", []string{"any"}, []string{"*"}
		r, err := newRoutes(nil, []Route{rt})
		if err != nil {
			t.Fatal(err)
		}
		r.draw, r.rates = rng.IntN, rates
		got := map[string]int{}
		for range n {
			got[strings.TrimPrefix(r.hops(t, &call.Call{Tenant: "default", To: "49"}), "r: ")]++
		}
		return got
	}
	only := func(what string, got map[string]int, want string) {
		t.Helper()
		if len(got) != 1 || got[want] == 0 {
			t.Errorf("%s: %v, expected %s", what, got, want)
		}
	}
	only("as listed", count(Route{Hops: []Hop{hop("a", "3", 0), hop("b", "1", 0)}}, nil, 3), "a b")
	only("by cost", count(Route{ByCost: true, Hops: []Hop{hop("x", "", 0), hop("a", "0.3", 0), hop("b", "0.0135", 0), hop("free", "0", 0)}}, nil, 3), "free b a x")
	only("by rated cost", count(Route{ByCost: true, Hops: []Hop{hop("a", "0.3", 0), hop("b", "0.2", 0), hop("c", "0.1", 0)}},
		tariff{"a 49": price(t, "0.01"), "b 49": price(t, "0.5")}, 3), "a c b")
	// One takes three of four calls, the third its fixed place.
	got := count(Route{Hops: []Hop{hop("a", "", 3), hop("b", "", 1), hop("c", "", 0)}}, nil, 4000)
	if n := got["a b c"]; len(got) != 2 || n < 2900 || n > 3100 || n+got["b a c"] != 4000 {
		t.Errorf("by weights 3 and 1: %v", got)
	}
	// Equals by cost alone are drawn.
	got = count(Route{ByCost: true, Hops: []Hop{hop("dear", "2", 5), hop("a", "1", 1), hop("b", "1", 1)}}, nil, 1000)
	if len(got) != 2 || got["a b dear"] < 400 || got["b a dear"] < 400 {
		t.Errorf("by cost and weight: %v", got)
	}
}

func TestFailoverTable(t *testing.T) {
	f := Failover{Status: []int{408, 5, 480}, Stop: []int{501}, Later: []int{502}}
	for _, x := range []struct {
		cause call.Cause
		want  Verdict
	}{
		{call.FromStatus(503, ""), VerdictNext}, {call.FromStatus(580, ""), VerdictNext}, {call.FromStatus(501, ""), VerdictStop},
		{call.FromStatus(502, ""), VerdictLater}, {call.FromStatus(480, ""), VerdictNext}, {call.FromStatus(486, ""), VerdictStop},
		{call.FromStatus(603, ""), VerdictStop}, {call.FromStatus(404, ""), VerdictStop}, {call.NoResponse, VerdictNext},
		{call.Cause{Q850: 38, SIP: 503}, VerdictNext}, {call.Cause{Q850: 34}, VerdictNext},
	} {
		if got := f.Verdict(x.cause); got != x.want {
			t.Errorf("%s: %d, expected %d", x.cause, got, x.want)
		}
	}
	for v, want := range map[string]time.Duration{"120": 2 * time.Minute, " 5 (busy)": 5 * time.Second, "7;duration=3": 7 * time.Second, "": 0, "soon": 0, "-1": 0} {
		if got := retryAfter(v); got != want {
			t.Errorf("Retry-After %q is %v, expected %v", v, got, want)
		}
	}
}
