package call

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// at is an event of a call by the second.
type at struct {
	second float64
	leg    int
	data   Data
}

// tells makes a call of events.
func tells(t *testing.T, id ID, list ...at) *Call {
	t.Helper()
	c := &Call{}
	for i, x := range list {
		mono := int64(math.Round(x.second * 1e9))
		if err := c.Apply(Event{Call: id, Seq: uint64(i + 1), At: id.Started().Add(time.Duration(mono)), Mono: mono, Leg: x.leg, Data: x.data}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// talks are what a call's legs talked: leg, way, ms, and what it is rated by; and what the house talked.
func talks(c *Call) string {
	var out []string
	for _, x := range c.Talks() {
		way := "out"
		if x.In {
			way = "in"
		}
		who := x.User
		if x.Trunk != "" {
			who = "trunk " + x.Trunk
		}
		if who == "" {
			who = "tenant " + x.Tenant
		}
		out = append(out, fmt.Sprintf("%d %s %d after %d at %v %s %s", x.Leg.No, way, x.Talk, x.TalkMS, x.At.Sub(c.ID.Started()), x.Number, who))
	}
	if h, ok := c.House(); ok {
		out = append(out, fmt.Sprintf("house %d at %v %s", h.Talk, h.At.Sub(c.ID.Started()), h.User))
	}
	return strings.Join(out, "; ")
}

func user(id string) Start {
	return Start{Tenant: "default", Direction: Out, User: id, From: "100"}
}

func dials(s Start, number string) Start {
	s.To, s.ToN = number, "+"+number
	return s
}

func brought(trunk string) Start {
	return Start{Tenant: "default", Direction: In, Trunk: trunk, From: "100"}
}

func caller(user, trunk string) LegNew {
	return LegNew{Role: CallerLeg, Medium: "sip", Direction: In, User: user, Trunk: trunk}
}

func callee(user, trunk string) LegNew {
	return LegNew{Attempt: 1, Role: CalleeLeg, Medium: "sip", Direction: Out, User: user, Trunk: trunk}
}

func comes(side Role, way Direction, user, trunk string) LegNew {
	return LegNew{Role: side, Medium: "sip", Direction: way, User: user, Trunk: trunk}
}

// Every leg at a trunk is paid for what it talked, by who called it, or whom it called, in whichever calls, and once; talk of the house is that of no trunk.
func TestTalks(t *testing.T) {
	one, two, three := NewID(), NewID(), NewID()
	left, over := LegEnd{Cause: Transferred, Left: true}, End{By: Callee, Cause: Normal}
	wants := func(what string, c *Call, want string) {
		t.Helper()
		if got := talks(c); got != want {
			t.Errorf("%s:\n%s\nexpected\n%s", what, got, want)
		}
	}

	// alice dials 111, then 222, and joins both: 111 takes her place in the second call, and is sent on from there to bob.
	first := tells(t, one, at{0, 0, dials(user("alice"), "111")}, at{0, 1, caller("alice", "")}, at{1, 2, callee("", "carrier")}, at{5, 2, Answer{}}, at{5.0004, 1, Answer{}},
		at{35.0004, 2, left}, at{35.0004, 1, LegEnd{Cause: Transferred}}, at{35.0004, 0, End{By: Caller, Cause: Transferred}})
	wants("the first call", first, "2 out 30000 after 0 at 5.0004s +111 alice")
	carried := first.Carry(2)
	second := func(more ...at) *Call {
		return tells(t, two, append([]at{{10, 0, dials(user("alice"), "222")}, {10, 1, caller("alice", "")}, {11, 2, callee("", "other")}, {15, 2, Answer{}}, {15, 1, Answer{}},
			{34, 3, comes(CallerLeg, Out, "", "carrier")}, {35.0004, 3, Answer{Carried: carried}}, {35.0004, 1, left}}, more...)...)
	}
	whole := second(at{80.0004, 3, LegEnd{Cause: Normal, HungUp: true}}, at{80.0009, 2, LegEnd{Cause: Normal}}, at{80.0009, 0, over})
	wants("the second call", whole, fmt.Sprintf("2 out 65000 after 0 at 15s +222 alice; 3 out 45000 after 30000 at %v +111 alice", one.Started().Add(5000400*time.Microsecond).Sub(two.Started())))
	sent := second(at{50, 3, left}, at{50, 2, left}, at{50, 0, over})
	third := sent.Carry(3)
	if third == nil || third.From != two || third.TalkMS != 45_000 || third.Number != "+111" || third.User != "alice" {
		t.Errorf("what goes on is %+v", third)
	}
	wants("the third call", tells(t, three, at{49, 0, dials(user("bob"), "101")}, at{49, 2, callee("carol", "")}, at{49.5, 2, Answer{}}, at{49.8, 1, comes(CallerLeg, Out, "", "carrier")}, at{50, 1, Answer{Carried: third}},
		at{60, 0, over}), fmt.Sprintf("1 out 10000 after 45000 at %v +111 alice", one.Started().Add(5000400*time.Microsecond).Sub(three.Started())))

	// The other way round: 222 goes to the first call.
	y := tells(t, two, at{10, 0, dials(user("alice"), "222")}, at{10, 1, caller("alice", "")}, at{11, 2, callee("", "other")}, at{15, 2, Answer{}}, at{15, 1, Answer{}}, at{35, 2, left}, at{35, 0, over}).Carry(2)
	wants("222 goes to the first call", tells(t, one, at{0, 0, dials(user("alice"), "111")}, at{0, 1, caller("alice", "")}, at{1, 2, callee("", "carrier")}, at{5, 2, Answer{}}, at{5, 1, Answer{}},
		at{34, 3, comes(CallerLeg, Out, "", "other")}, at{35, 3, Answer{Carried: y}}, at{35, 1, left}, at{80, 0, over}),
		fmt.Sprintf("2 out 75000 after 0 at 5s +111 alice; 3 out 45000 after 20000 at %v +222 alice", two.Started().Add(15*time.Second).Sub(one.Started())))

	// A carrier's call comes in for bob, who asks carol and hands it over: bob pays for it on and on, and for what he talked with carol.
	in := tells(t, one, at{0, 0, dials(brought("carrier"), "102")}, at{0, 1, caller("", "carrier")}, at{1, 2, callee("bob", "")}, at{2, 2, Answer{}}, at{2, 1, Answer{}}, at{30, 1, left}, at{30, 0, over})
	wants("a call that comes in", in, "1 in 28000 after 0 at 2s +102 bob")
	wants("with whom bob asked", tells(t, two, at{10, 0, dials(user("bob"), "103")}, at{10, 1, caller("bob", "")}, at{11, 2, callee("carol", "")}, at{12, 2, Answer{}}, at{12, 1, Answer{}},
		at{29, 3, comes(CallerLeg, In, "", "carrier")}, at{30, 3, Answer{Carried: in.Carry(1)}}, at{30, 1, left}, at{40, 0, over}),
		fmt.Sprintf("3 in 10000 after 28000 at %v +102 bob; house 18000 at 12s bob", one.Started().Add(2*time.Second).Sub(two.Started())))

	// A carrier that transfers pays for both that it has called, as it did.
	x := tells(t, one, at{0, 0, dials(brought("pbx"), "111")}, at{0, 1, caller("", "pbx")}, at{1, 2, callee("", "first")}, at{2, 2, Answer{}}, at{2, 1, Answer{}}, at{9, 2, left}, at{9, 1, LegEnd{}}, at{9, 0, over}).Carry(2)
	wants("a carrier's own transfer", tells(t, two, at{3, 0, dials(brought("pbx"), "222")}, at{3, 1, caller("", "pbx")}, at{4, 2, callee("", "next")}, at{5, 2, Answer{}}, at{5, 1, Answer{}},
		at{8, 3, comes(CallerLeg, Out, "", "first")}, at{9, 3, Answer{Carried: x}}, at{9, 1, left}, at{20, 0, over}),
		fmt.Sprintf("2 out 15000 after 0 at 5s +222 trunk pbx; 3 out 11000 after 7000 at %v +111 trunk pbx", one.Started().Add(2*time.Second).Sub(two.Started())))
	wants("a carrier's blind transfer", tells(t, two, at{3, 0, dials(brought("pbx"), "222")}, at{4, 2, callee("", "next")}, at{5, 2, Answer{}}, at{8, 1, comes(CallerLeg, Out, "", "first")}, at{9, 1, Answer{Carried: x}}, at{20, 0, over}),
		fmt.Sprintf("2 out 11000 after 0 at 9s +222 trunk pbx; 1 out 11000 after 7000 at %v +111 trunk pbx", one.Started().Add(2*time.Second).Sub(two.Started())))
	wants("a carrier that leaves bob and carol alone", tells(t, two, at{0, 0, dials(brought("pbx"), "102")}, at{0, 1, caller("", "pbx")}, at{1, 2, callee("bob", "")}, at{2, 2, Answer{}}, at{2, 1, Answer{}},
		at{8, 3, comes(CallerLeg, In, "carol", "")}, at{9, 3, Answer{}}, at{9, 1, left}, at{20, 0, over}), "1 in 7000 after 0 at 2s +102 bob; house 11000 at 9s ")

	// Nobody pays for who waits alone, nor for a call that nobody heard of.
	wants("who waits alone", tells(t, two, at{0, 0, dials(brought("pbx"), "102")}, at{0, 1, caller("", "pbx")}, at{1, 2, callee("bob", "")}, at{2, 2, Answer{}}, at{2, 1, Answer{}}, at{9, 1, left}, at{20, 0, over}),
		"1 in 7000 after 0 at 2s +102 bob")
	wants("an answer that was never told", tells(t, two, at{0, 0, dials(user("alice"), "111")}, at{0, 1, caller("alice", "")}, at{1, 2, callee("", "carrier")}, at{2, 2, Answer{}}, at{2, 1, Answer{}}, at{3, 0, End{Unsaid: true}}), "")
	wants("straight from one trunk to another", tells(t, two, at{0, 0, dials(brought("pbx"), "111")}, at{0, 1, caller("", "pbx")}, at{1, 2, callee("", "carrier")}, at{2, 2, Answer{}}, at{2, 1, Answer{}}, at{3, 0, over}),
		"2 out 1000 after 0 at 2s +111 trunk pbx")
	wants("killed", tells(t, two, at{0, 0, dials(user("alice"), "111")}, at{0, 1, caller("alice", "")}, at{1, 2, callee("", "carrier")}, at{2, 2, Answer{}}, at{2, 1, Answer{}}, at{9, 0, RecoveredEnd{EndAt: two.Started().Add(5 * time.Second), EndMono: 5e9}}),
		"2 out 3000 after 0 at 2s +111 alice")
	if c := in.Carry(2); c != nil {
		t.Errorf("a user's leg carries %+v", c)
	}
}
