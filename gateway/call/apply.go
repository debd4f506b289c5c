package call

import (
	"fmt"
	"time"
)

// Apply advances the record by one event. Events must come in order; one that was applied already is ignored, a gap
// is an error. It is the only definition of what a record says: the database and `why` both use it.
func (c *Call) Apply(e Event) error {
	switch {
	case c.Version == 0 && e.Seq == 1:
		if _, ok := e.Data.(Start); !ok {
			return fmt.Errorf("call %s: first event is %s, expected %s", e.Call, e.Data.Kind(), KindStart)
		}
	case e.Seq <= c.Version:
		return nil
	case e.Call != c.ID || e.Seq != c.Version+1:
		return fmt.Errorf("call %s at version %d: event %s/%d does not follow", c.ID, c.Version, e.Call, e.Seq)
	}
	c.Version = e.Seq
	if e.Leg != 0 {
		return c.applyLeg(e)
	}
	switch d := e.Data.(type) {
	case Start:
		c.ID, c.State, c.SetupAt, c.startMono = e.Call, Open, e.At, e.Mono
		c.Tenant, c.LinkedID, c.Node, c.Epoch = d.Tenant, d.LinkedID, d.Node, d.Epoch
		c.Origin, c.SessionID, c.App, c.Direction = d.Origin, d.SessionID, d.App, d.Direction
		c.Payer, c.brought = d.User, d.Trunk != ""
		c.User, c.Trunk, c.From, c.To = d.User, d.Trunk, d.From, d.To
		c.ICID, c.ICIDAt, c.OrigIOI, c.TermIOI = d.ICID, d.ICIDAt, d.OrigIOI, d.TermIOI
		c.FromN, c.ToN = d.FromN, d.ToN
	case Decision:
		set(&c.Route, d.Route)
		set(&c.FromN, d.FromN)
		set(&c.ToN, d.ToN)
		set(&c.Direction, d.To)
	case Forward:
		if !d.Refuse {
			set(&c.Payer, d.User)
		}
	case Link:
		c.LinkedID = d.LinkedID
		set(&c.SessionID, d.SessionID)
	case Interim:
		for no, q := range d.Quality {
			if l := c.Leg(no); l != nil {
				l.Quality = q
			}
		}
	case Measured:
		c.measured(d)
	case PartialRecord:
		if c.Live() {
			c.State, c.PartialNo = Partial, d.No
			c.lasts(e.Mono)
		}
	case Note:
		c.Incomplete = c.Incomplete || d.Lost
	case End:
		c.State, c.EndedBy, c.Cause = Closed, d.By, d.Cause
		if d.Unsaid {
			c.AnsweredAt, c.answMono = nil, 0
			if l := c.Leg(1); l != nil {
				l.AnsweredAt = nil
			}
		}
		c.close(e.At, e.Mono)
	case RecoveredEnd:
		c.State, c.EndedBy, c.Incomplete = Recovered, Lost, true
		c.Cause = NodeLost
		c.close(d.EndAt, d.EndMono)
		for _, l := range c.Legs {
			if l.EndedAt == nil {
				l.EndedAt, l.Cause = c.EndedAt, NodeLost
			}
		}
	}
	return nil
}

func (c *Call) applyLeg(e Event) error {
	if d, ok := e.Data.(LegNew); ok {
		l := &Leg{No: e.Leg, Attempt: d.Attempt, Role: d.Role, Kind: d.Medium, Direction: d.Direction, User: d.User,
			Trunk: d.Trunk, Transport: d.Transport, SIPCallID: d.SIPCallID, LocalTag: d.LocalTag, RemoteTag: d.RemoteTag,
			FromURI: d.FromURI, ToURI: d.ToURI, RequestURI: d.RequestURI, Contact: d.Contact, PAI: d.PAI,
			Diversion: d.Diversion, Claims: d.Claims, UserAgent: d.UserAgent, Signalling: d.Signalling, InviteAt: e.At,
			Dialog: d.Dialog, inviteMono: e.Mono}
		c.Legs = append(c.Legs, l)
		if d.Role == CalleeLeg && d.Attempt > 0 { // else it comes from another call
			c.Attempts++
			if d.Trunk != "" && !c.brought {
				c.Trunk = d.Trunk
			}
		}
		return nil
	}
	l := c.Leg(e.Leg)
	if l == nil {
		return fmt.Errorf("call %s: event %d (%s) is of leg %d, which never began", c.ID, e.Seq, e.Data.Kind(), e.Leg)
	}
	switch d := e.Data.(type) {
	case Progress:
		c.progress(l, d, e)
	case Negotiated:
		l.Media = d.Media
		c.Transcoded = c.Transcoded || d.Transcoded
	case Answer:
		set(&l.RemoteTag, d.RemoteTag)
		set(&c.TermIOI, d.TermIOI)
		l.AnsweredAt, l.answMono = &e.At, e.Mono
		if d.Carried != nil {
			l.Carried = d.Carried
		}
		if d.Dialog != nil {
			l.Dialog = d.Dialog
		}
		if l.Role == CalleeLeg {
			c.firstResponse(l, e)
		}
		// The call is answered, and paid, from the moment its caller was told so. A call without a caller's leg
		// (an application dials) is answered by its callee.
		if c.AnsweredAt == nil && (l.Role == CallerLeg || c.Leg(1) == l) {
			c.AnsweredAt, c.answMono = &e.At, e.Mono
			if c.ringMono != 0 {
				c.Ring = ms(e.Mono - c.ringMono)
			}
		}
	case Dialog:
		l.Dialog = d.Dialog
	case LegEnd:
		l.EndedAt, l.Cause, l.HungUp = &e.At, d.Cause, d.HungUp
		if d.Quality != nil {
			l.Quality = d.Quality
		}
		if d.Left {
			l.leftMono = e.Mono
			c.talks(l, e.Mono)
		}
	}
	return nil
}

func (c *Call) progress(l *Leg, d Progress, e Event) {
	if d.Dialog != nil {
		l.Dialog = d.Dialog
	}
	set(&l.RemoteTag, d.Tag)
	if d.EarlyMedia {
		l.EarlyMedia = true
		if c.EarlyMediaAt == nil && l.Role == CalleeLeg {
			c.EarlyMediaAt = &e.At
		}
	}
	if d.Status <= 100 || l.Role != CalleeLeg {
		return
	}
	if l.ProgressAt == nil {
		l.ProgressAt = &e.At
	}
	if c.ProgressAt == nil {
		c.ProgressAt, c.ringMono = &e.At, e.Mono
	}
	c.firstResponse(l, e)
}

// firstResponse ends the post-dialling delay of a callee's leg and, once, of the call.
func (c *Call) firstResponse(l *Leg, e Event) {
	if l.PDD == nil {
		l.PDD = ms(e.Mono - l.inviteMono)
	}
	if c.PDD == nil {
		c.PDD = ms(e.Mono - c.startMono)
	}
}

func (c *Call) close(at time.Time, mono int64) {
	c.EndedAt = &at
	c.lasts(mono)
	if c.AnsweredAt == nil && c.ringMono != 0 {
		c.Ring = ms(mono - c.ringMono)
	}
}

// lasts is how long it has come to last.
func (c *Call) lasts(mono int64) {
	c.Duration, c.Bill = max(0, (mono-c.startMono)/1e6), 0
	if c.AnsweredAt != nil {
		c.Bill = max(0, (mono-c.answMono)/1e6)
	}
	for _, l := range c.Legs {
		c.talks(l, mono)
	}
}

// talks is how long a leg has come to talk: from the call's answer, or its own if it came later, until it left, or the call ended.
func (c *Call) talks(l *Leg, mono int64) {
	l.Talk, l.TalkFrom = 0, 0
	if c.AnsweredAt == nil || l.AnsweredAt == nil {
		return
	}
	if l.leftMono != 0 {
		mono = min(mono, l.leftMono)
	}
	from := max(0, (l.answMono-c.answMono)/1e6) // both ends are told from the call's answer: who comes as another goes leaves no gap
	if l.Talk = max(0, (mono-c.answMono)/1e6-from); l.Talk > 0 {
		l.TalkFrom = from
	}
}

func ms(ns int64) *int64 {
	v := max(0, ns/1e6)
	return &v
}

func set[T ~string](p *T, v T) {
	if v != "" {
		*p = v
	}
}
