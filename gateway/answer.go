package gateway

import (
	"errors"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// noteAnswer records a callee's 2xx.
func (c *Call) noteAnswer(l *sipLeg, e LegEvent) {
	l.answered.Store(c.g.clock.at(e.At))
	l.heard = e.Headers
	a := call.Answer{RemoteTag: l.d.RemoteTag(), Dialog: l.state()}
	if l.trunk != nil && l.trunk.Trusted {
		a.TermIOI = charged(e.Headers.Get("P-Charging-Vector"))["term-ioi"]
	}
	c.rec.note(l.no, e.At, a)
}

func (c *Call) noteMedia(l *sipLeg, at time.Time) {
	n := negotiated(l.ep, l.party.dtmf)
	if far := c.far(l); far != nil {
		n.Transcoded = transcodes(l.ep, far.ep)
	}
	c.rec.note(l.no, at, n)
}

// notePath records where a leg's media went if that was found out after the answer: by ICE.
func (c *Call) notePath(l *sipLeg, at time.Time) {
	n, known := agreed(l.ep), c.rec.call.Leg(l.no)
	if known == nil || known.Media.Codec == "" || !n.Remote.IsValid() || n.Remote == known.Media.Remote {
		return
	}
	m := known.Media
	m.Local, m.Remote = n.Local, n.Remote
	c.rec.note(l.no, at, call.Negotiated{Media: m})
}

// connect answers the caller with what the callee agreed to. The record of the answer is on disk before the 200 leaves.
func (c *Call) connect(l *sipLeg) (ending, bool) {
	c.callee = l
	c.link(l)
	l.learn(l.want)
	want := c.callerWant(l)
	noted := false
	c.hands(l, c.caller, l.heard)
	err := c.caller.Answer(want, func() error {
		if closed(c.caller.d.Ended()) {
			return sip.ErrEnded
		}
		at := time.Now()
		c.caller.answered.Store(c.g.clock.at(at))
		c.rec.note(1, at, call.Answer{RemoteTag: c.caller.d.RemoteTag(), Dialog: c.caller.confirmed()})
		c.noteMedia(c.caller, at)
		c.noteMedia(l, at)
		c.rec.note(0, at, call.Bridge{With: l.no})
		noted = true
		return c.rec.commit()
	})
	if err != nil {
		c.unsaid = noted
		return c.unanswered(err), false
	}
	c.caller.want = want.Direction
	if c.caller.body != nil && c.caller.earlier {
		c.caller.want = sdp.SendRecv // as the early answer said
	}
	c.g.stats.answered.Add(1)
	c.log.Info("call answered", "leg", l.no, "codec", agreed(l.ep).Codec, "transcoded", c.rec.call.Transcoded)
	c.canDial(c.caller)
	c.canDial(l)
	c.align(c.caller)
	return ending{}, true
}

// canDial makes what sends digits to a leg, whatever feeds it, and what hears tones of it.
func (c *Call) canDial(l *sipLeg) {
	var err error
	if l.digits, err = newDigits(c.pipeline, l.ep.Sink(media.Pad{}), l.party.dtmf == inband); err != nil {
		c.log.Error("DTMF sender", "leg", l.no, "err", err)
	}
	if err = c.hearsTones(l); err != nil {
		c.log.Error("DTMF detector", "leg", l.no, "err", err)
	}
}

// unanswered is the ending of a call whose callee answered, but whose caller could not be told.
func (c *Call) unanswered(err error) ending {
	if errors.Is(err, sip.ErrEnded) { // the CANCEL crossed
		return c.farewell()
	}
	c.log.Error("caller could not be answered", "err", err)
	c.rec.note(1, time.Now(), call.Note{Text: "the caller could not be answered: " + err.Error()})
	if errors.Is(err, errStalled) {
		return bySystem(call.JournalDown)
	}
	return bySystem(call.Failure)
}
