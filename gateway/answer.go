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
	c.rec.note(l.no, e.At, call.Answer{RemoteTag: l.d.RemoteTag(), Dialog: l.state()})
}

func (c *Call) noteMedia(l *sipLeg, at time.Time) {
	n := negotiated(l.ep, l.party.dtmf)
	if far := c.far(l); far != nil {
		n.Transcoded = transcodes(l.ep, far.ep)
	}
	c.rec.note(l.no, at, n)
}

// connect answers the caller with what the callee agreed to. The record of the answer is on disk before the 200 leaves.
func (c *Call) connect(l *sipLeg) (ending, bool) {
	c.callee = l
	c.link(l)
	at := time.Now()
	err := c.caller.Answer(c.callerWant(l), func() error {
		at = time.Now()
		c.caller.answered.Store(c.g.clock.at(at))
		c.rec.note(1, at, call.Answer{RemoteTag: c.caller.d.RemoteTag(), Dialog: c.caller.state()})
		c.noteMedia(c.caller, at)
		c.noteMedia(l, at)
		c.rec.note(0, at, call.Bridge{With: l.no})
		return c.rec.commit()
	})
	switch {
	case errors.Is(err, sip.ErrEnded): // the CANCEL crossed: its event follows
		return c.crossed()
	case err != nil:
		c.log.Error("caller could not be answered", "err", err)
		cause := call.Failure
		if errors.Is(err, errStalled) {
			cause = call.JournalDown
		}
		cause.Text += ": " + err.Error()
		return bySystem(cause), false
	}
	c.caller.want = sdp.SendRecv
	c.g.stats.answered.Add(1)
	c.log.Info("call answered", "leg", l.no, "codec", l.ep.Negotiated().Codec, "transcoded", c.rec.call.Transcoded)
	// Digits for a leg are spoken over whatever feeds it.
	for _, to := range []*sipLeg{c.caller, l} {
		if to.digits, err = newDigits(c.pipeline, c.far(to).ep.Source(media.Pad{})); err != nil {
			c.log.Error("DTMF sender", "leg", to.no, "err", err)
		}
	}
	return ending{}, true
}

// crossed waits for the end of a caller who hung up while the callee answered.
func (c *Call) crossed() (ending, bool) {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	for {
		select {
		case e := <-c.events:
			if e.Leg == Leg(c.caller) && e.Kind == LegEnded {
				c.legEnded(c.caller, e)
				return ending{call.Caller, e.Cause}, false
			}
		case <-timer.C:
			return ending{call.Caller, call.Cancelled}, false
		}
	}
}
