package gateway

import (
	"errors"
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// progress relays a provisional response to the caller, with early media if there is some.
func (c *Call) progress(l *sipLeg, e LegEvent) {
	if e.Shut {
		c.hush(l)
	}
	if !l.fresh(e) {
		return // a callee that rings on has nothing new to say
	}
	c.rec.note(l.no, e.At, call.Progress{Status: e.Status, Phrase: clip(e.Phrase), Tag: e.Tag, EarlyMedia: e.Early, Dialog: l.state()})
	if e.Status == 199 { // one of several early dialogs has ended (RFC 6228); the others go on
		return
	}
	if e.Early && c.several { // who would be heard is chance: the caller hears ringing until one is left, or answers
		e.Early, e.Status = false, 180
	}
	if c.errand != nil {
		c.progressErrand(e)
		return
	}
	if c.caller == nil {
		c.progressApp(l, e)
		return
	}
	if c.heir != nil && e.Status == 180 && !c.rang {
		c.tellHeir(&move{from: c, status: 180, phrase: phraseOf(180)})
	}
	if c.caller.over { // its heir hears of it elsewhere
		c.rang = c.rang || e.Status == 180
		return
	}
	early := false
	if e.Early {
		c.noteMedia(l, e.At)
		c.link(l)
		early = c.caller.mayHear()
	}
	status := e.Status
	if status != 180 && status != 183 {
		status = 180
	}
	if !early && status == 180 && c.rang {
		return
	}
	c.hands(l, c.caller, e.Headers)
	if err := c.caller.Progress(status, phraseOf(status), early, c.callerWant(l)); err != nil && !errors.Is(err, sip.ErrEnded) {
		c.log.Warn("progress not relayed", "err", err)
		c.rec.note(1, time.Now(), call.Note{Text: "progress not relayed: " + err.Error()})
		return
	}
	c.rang = c.rang || status == 180
	c.rec.note(1, time.Now(), call.Progress{Status: status, EarlyMedia: early})
	if early {
		c.caller.earlier = true
		c.noteMedia(c.caller, time.Now())
	}
}

// maxProgress is how many provisional responses of one attempt are told on: each costs an event, and they are free for
// the peer.
const maxProgress = 32

// fresh tells whether a provisional response says something that none before it said.
func (l *sipLeg) fresh(e LegEvent) bool {
	said := said{e.Status, e.Tag, e.Early}
	if e.Early || len(l.progresses) >= maxProgress || slices.Contains(l.progresses, said) {
		return e.Early && l.earlies.take()
	}
	l.progresses = append(l.progresses, said)
	return true
}

// said is what a provisional response says.
type said struct {
	status int
	tag    string
	early  bool
}

// allowance is how often something may still be told.
type allowance int

func (a *allowance) take() bool {
	*a++
	return *a <= maxProgress
}

func phraseOf(status int) string {
	if status == 183 {
		return "Session Progress"
	}
	return "Ringing"
}

// callerWant is our answer to the caller's offer, made from what the callee agreed to, so that media passes through; l is
// nil where an application answers.
func (c *Call) callerWant(l *sipLeg) media.Want {
	own := formats(c.caller.party.codecs, c.caller.party.dtmf)
	if c.caller.hasOffer() {
		if d, err := c.caller.firstOffer(); err == nil {
			own = c.caller.party.order(offered(d))
		}
	}
	if !c.caller.party.prefers() && l != nil {
		own = firstOf(own, l.current())
	}
	if l != nil && (l.party.passing || c.caller.party.passing) {
		own = keepAudio(own, agreed(l.ep).Codec)
	}
	if c.caller.hasOffer() {
		var common []*media.Format
		theirs := c.callerFormats()
		for _, f := range own {
			if find(theirs, f) != nil {
				common = append(common, f)
			}
		}
		own = only(common)
	}
	w := media.Want{Formats: own, Direction: sdp.SendRecv, SRTP: c.caller.party.srtp}
	if l != nil && l == c.callee {
		w.Direction = direction(l.peer.Sends(), l.peer.Receives())
	}
	return w
}

// callerFormats is what the caller offers, in its order; all that it may use when it offers nothing yet. An application prefers
// what its other media has.
func (c *Call) callerFormats() []*media.Format {
	if c.caller == nil {
		return c.preferred()
	}
	if c.caller.hasOffer() {
		if d, err := c.caller.firstOffer(); err == nil {
			return offered(d)
		}
	}
	return formats(c.caller.party.codecs, c.caller.party.dtmf)
}

// link joins the caller's media with that of one attempt; an attempt linked before is left.
func (c *Call) link(l *sipLeg) {
	pad := media.Pad{}
	for _, o := range c.tries {
		if o != l && o.ep.Sink(pad) != nil {
			c.pipeline.Unbridge(c.caller.ep, o.ep, pad)
		}
	}
	if err := c.pipeline.Bridge(c.caller.ep, l.ep, pad); err != nil {
		c.log.Error("bridge", "err", err)
	}
}

// hush ends that the caller hears an attempt's early media: its carrier has shut what it had let through.
func (c *Call) hush(l *sipLeg) {
	if c.caller == nil || c.errand != nil {
		return
	}
	c.pipeline.Unbridge(c.caller.ep, l.ep, media.Pad{})
	if l.hushes.take() {
		c.rec.note(l.no, time.Now(), call.Note{Text: "early media is shut again"})
	}
}
