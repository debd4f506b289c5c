package call

import (
	"cmp"
	"slices"
	"time"
)

// Carried is what a leg at a trunk is rated by where it goes on in another call: as before, from where it stopped.
type Carried struct {
	From   ID        `json:"from"`            // the call that it came from
	Number string    `json:"number"`          // that it was called by, or that called
	User   string    `json:"user,omitempty"`  // id of the user who pays, as long as its party talks
	Trunk  string    `json:"trunk,omitempty"` // or of the trunk that brought the call in which it began
	Tenant string    `json:"tenant"`          // of who pays
	At     time.Time `json:"at"`              // when it was answered: prices are those of then
	TalkMS int64     `json:"talkMs"`          // that it has talked in all calls before
}

// Talked is what a leg at a trunk has talked in a call.
type Talked struct {
	Carried       // what it is rated by; its TalkMS is what it talked in calls before, From zero if there were none
	Leg     *Leg  // nil: none, but parties of the house
	In      bool  // the trunk brought it
	Talk    int64 // ms, in this call
}

// Talks are the legs at trunks that have talked in the call, each once, whoever came and went meanwhile: those that it called, and then those
// that called, but for one whose call went straight to another trunk: that is paid with the other leg. A leg that came from another call
// is paid by who paid for it there.
func (c *Call) Talks() []Talked {
	if c.AnsweredAt == nil {
		return nil
	}
	before := c.recordedBefore()
	source, taker, outside := c.source(), "", false
	var out, in []Talked
	for _, l := range c.Legs {
		if l.Role == CalleeLeg && l.AnsweredAt != nil {
			taker = cmp.Or(taker, l.User)
		}
		if l.Trunk == "" || !l.talked(before) {
			continue
		}
		t := Talked{Leg: l, In: l.came(before), Talk: l.Talk}
		if before {
			t.Talk = c.Bill
		}
		outside = outside || !t.In && l.Carried == nil
		if t.In {
			in = append(in, t)
		} else {
			out = append(out, t)
		}
	}
	taker = cmp.Or(taker, c.Payer)
	in = slices.DeleteFunc(in, func(t Talked) bool { return t.Leg.Carried == nil && outside && taker == "" })
	for i := range out {
		out[i].Carried = Carried{Number: c.Dialled(), User: c.Payer, Tenant: c.Tenant}
		if c.Payer == "" {
			out[i].Trunk = source
		}
		out[i].since(c)
	}
	for i := range in {
		in[i].Carried = Carried{Number: c.Dialled(), User: taker, Tenant: c.Tenant}
		if outside { // not where it was forwarded to
			in[i].Number = c.To
		}
		in[i].since(c)
	}
	return append(out, in...)
}

// since is when the leg was answered, or what another call has told of it.
func (t *Talked) since(c *Call) {
	t.At = c.AnsweredAt.Add(time.Duration(t.Leg.TalkFrom) * time.Millisecond)
	if t.Leg.Carried != nil {
		t.Carried = *t.Leg.Carried
	}
}

// recordedBefore tells whether the record is one of before it was kept how long each leg talks.
func (c *Call) recordedBefore() bool {
	return !slices.ContainsFunc(c.Legs, func(l *Leg) bool { return l.Talk > 0 })
}

func (l *Leg) talked(before bool) bool {
	if before {
		return l.AnsweredAt != nil || l.Role == CallerLeg && l.Direction != Out
	}
	return l.Talk > 0
}

// came tells whether the leg's trunk has brought it, be it whose side it is on now.
func (l *Leg) came(before bool) bool {
	if before || l.Direction == "" {
		return l.Role == CallerLeg
	}
	return l.Direction == In
}

// source is the trunk that brought the call, or that has transferred somebody to it; "" if none did.
func (c *Call) source() string {
	for _, l := range c.Legs {
		if l.Role == CallerLeg && l.Trunk != "" && l.Carried == nil && l.Direction != Out {
			return l.Trunk
		}
	}
	if c.User == "" && c.App == "" {
		return c.Trunk
	}
	return ""
}

// House is what parties of the house have talked while no leg at a trunk was there; false if they haven't.
func (c *Call) House() (Talked, bool) {
	t := Talked{Carried: Carried{Number: c.Dialled(), User: c.Payer, Tenant: c.Tenant}}
	if c.AnsweredAt == nil {
		return t, false
	}
	t.At = *c.AnsweredAt
	if c.recordedBefore() {
		t.Talk = c.Bill
		return t, !slices.ContainsFunc(c.Legs, func(l *Leg) bool { return l.Trunk != "" && (l.Role == CallerLeg || l.AnsweredAt != nil) })
	}
	var edges []int64
	for _, l := range c.Legs {
		edges = append(edges, l.TalkFrom, l.TalkFrom+l.Talk)
	}
	slices.Sort(edges)
	for i := 1; i < len(edges); i++ {
		from, to := edges[i-1], edges[i]
		if from == to || !c.inHouse(from, to) {
			continue
		}
		if t.Talk == 0 {
			t.At = c.AnsweredAt.Add(time.Duration(from) * time.Millisecond)
		}
		t.Talk += to - from
	}
	return t, t.Talk > 0
}

// inHouse tells whether all who talked from one instant to another, between which nobody came or went, are of the house.
func (c *Call) inHouse(from, to int64) bool {
	parties := 0
	for _, l := range c.Legs {
		switch {
		case l.TalkFrom > from || l.TalkFrom+l.Talk < to:
		case l.Trunk != "":
			return false
		default:
			parties++
		}
	}
	return parties > 1
}

// Carry is what another call has to know of a leg that goes on there, once it has left this one; nil if it has to know nothing.
func (c *Call) Carry(no int) *Carried {
	for _, t := range c.Talks() {
		if t.Leg.No != no || t.In && t.User == "" && t.Leg.Carried == nil { // nobody has taken it yet
			continue
		}
		t.From, t.TalkMS = c.ID, t.TalkMS+t.Talk
		return &t.Carried
	}
	return nil
}
