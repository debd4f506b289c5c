package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

func TestRoutes(t *testing.T) {
	users := []User{{ID: "alice", Tenant: "default", Login: "alice", Numbers: []string{"100", "+49301000"}, Ring: 20 * time.Second},
		{ID: "x", Tenant: "other", Login: "x", Numbers: []string{"100"}}}
	carrier := []Hop{{Trunk: "one", Ring: time.Minute}, {Trunk: "two", Ring: time.Minute}}
	r, err := newRoutes(users, []Route{
		{ID: "emergency", Tenant: "default", Source: []string{"any"}, Number: []string{"110", "112"}, Hops: carrier[:1]},
		{ID: "abroad", Tenant: "default", Source: []string{"user"}, Number: []string{"00*"}, Strip: 2, Prefix: "+", Hops: carrier},
		{ID: "local", Tenant: "default", Source: []string{"user:alice"}, Number: []string{`/0([1-9]\d+)/`}, Replace: "+49$1", Hops: carrier},
		{ID: "desk", Tenant: "default", Source: []string{"trunk:one"}, Number: []string{"5*"}, Replace: "100", Hops: []Hop{{User: "alice"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, trunk, to string
		route, number   string
		hops            int
	}{
		{user: "bob", to: "100", route: "user-alice", number: "100", hops: 1},
		{trunk: "one", to: "+49301000", route: "user-alice", number: "+49301000", hops: 1},
		{user: "bob", to: "112", route: "emergency", number: "112", hops: 1},
		{user: "bob", to: "0044207946", route: "abroad", number: "+44207946", hops: 2},
		{user: "alice", to: "0309876", route: "local", number: "+49309876", hops: 2},
		{user: "bob", to: "0309876"},     // local is alice's
		{trunk: "one", to: "0044207946"}, // abroad is for users
		{trunk: "one", to: "512", route: "desk", number: "100", hops: 1},
		{trunk: "two", to: "512"},
		{user: "alice", to: "1120"},     // exact isn't prefix
		{user: "alice", to: "x0309876"}, // expressions match the whole number
	} {
		in := &call.Call{Tenant: "default", User: c.user, Trunk: c.trunk, To: c.to}
		p, err := r.Route(context.Background(), in)
		if c.hops == 0 {
			var ref *Refusal
			if !errors.As(err, &ref) || ref.Cause.SIP != 404 || !strings.Contains(ref.Cause.Text, c.to) {
				t.Errorf("%s%s dials %s: %v %v, expected a refusal that names the number", c.user, c.trunk, c.to, p, err)
			}
			continue
		}
		if err != nil || p.Route != c.route || p.Number != c.number || len(p.Hops) != c.hops {
			t.Errorf("%s%s dials %s: route %q number %q, %d hops, %v; expected %q %q %d", c.user, c.trunk, c.to, p.Route, p.Number, len(p.Hops), err, c.route, c.number, c.hops)
		}
	}
	if p, err := r.Route(context.Background(), &call.Call{Tenant: "other", User: "x", To: "100"}); err != nil || p.Hops[0].User != "x" {
		t.Errorf("tenant other dials 100: %v %v, expected its own user x", p, err)
	}
	if _, err := newRoutes(nil, []Route{{ID: "bad", Number: []string{"/(/"}}}); err == nil || !strings.Contains(err.Error(), "bad") {
		t.Errorf("a broken expression: %v, expected an error that names the route", err)
	}
}

func TestFailover(t *testing.T) {
	retry, some := Failover{Retry: true}, Failover{Retry: true, Status: []int{486}}
	for _, c := range []struct {
		cause      call.Cause
		retry, all bool
	}{
		{call.FromStatus(503, ""), true, true},
		{call.FromStatus(408, ""), true, true},
		{call.FromStatus(500, ""), true, true},
		{call.NoResponse, true, true},
		{call.FromStatus(486, ""), false, true},
		{call.FromStatus(404, ""), false, false},
		{call.FromStatus(603, ""), false, false},
		{call.NoAnswer, false, false},
		{call.Cancelled, false, false},
	} {
		if got := retry.Next(c.cause); got != c.retry {
			t.Errorf("retry after %s: %v", c.cause, got)
		}
		if got := some.Next(c.cause); got != c.all {
			t.Errorf("retry and 486 after %s: %v", c.cause, got)
		}
		if (Failover{}).Next(c.cause) {
			t.Errorf("none after %s: goes on", c.cause)
		}
	}
}

func TestInfoDigit(t *testing.T) {
	for _, c := range []struct {
		content, body string
		digit         byte
		ms            int
	}{
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5', 160},
		{"application/dtmf-relay", "Signal= 11\nDuration=80", '#', 80},
		{"application/dtmf-relay; charset=utf-8", "signal=*", '*', 100},
		{"application/dtmf", "d", 'D', 100},
		{"application/dtmf", "10", '*', 100},
		{"application/dtmf", "12", 0, 0},
		{"application/dtmf-relay", "Signal=55", 0, 0},
		{"application/dtmf-relay", "Duration=5", 0, 0},
		{"application/sdp", "5", 0, 0},
		{"", "5", 0, 0},
	} {
		d, ms, ok := infoDigit(c.content, []byte(c.body))
		if ok != (c.digit != 0) || ok && (d != c.digit || ms != c.ms) {
			t.Errorf("%s %q: %q %d ms %v, expected %q %d ms", c.content, c.body, d, ms, ok, c.digit, c.ms)
		}
	}
}

func FuzzInfoDigit(f *testing.F) {
	f.Add("application/dtmf-relay", []byte("Signal=5\r\nDuration=160\r\n"))
	f.Add("application/dtmf", []byte("#"))
	f.Fuzz(func(t *testing.T, content string, body []byte) {
		if d, ms, ok := infoDigit(content, body); ok && (!strings.ContainsRune("0123456789*#ABCD", rune(d)) || ms <= 0 || ms > 10000) {
			t.Errorf("%q %q: %q for %d ms", content, body, d, ms)
		}
	})
}
