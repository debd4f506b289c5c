package gateway

import (
	"errors"
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

const sdpType = "application/sdp"

// conditionsTime is how long a caller may take for the resources that its call must have before anybody's phone rings.
const conditionsTime = 20 * time.Second

// conditions is what a trunk's media makes of preconditions.
func (t *Trunk) conditions() sdp.Preconditions {
	switch {
	case t.Reliable == sip.ReliableNever, t.Preconditions == sip.PreconditionsNever:
		return sdp.PreconditionsIgnored
	case t.Preconditions == sip.PreconditionsOffered:
		return sdp.PreconditionsOffered
	}
	return sdp.PreconditionsAnswered
}

// unmet tells whether a peer's offer demands of the peer's own resources what isn't there yet (RFC 3312 5.1).
func unmet(d *sdp.Description) bool {
	return slices.ContainsFunc(d.Media, func(m sdp.Media) bool { return m.Kind == "audio" && m.Port != 0 && m.Unmet() })
}

// demanded is the SDP for the 580 to an offer whose preconditions can't be met; nil: that isn't what is wrong with it.
func demanded(err error) []byte {
	var r *sdp.Refusal
	if errors.As(err, &r) && errors.Is(err, sdp.ErrPrecondition) {
		return r.SDP
	}
	return nil
}

func preconditionFailed(err error) call.Cause {
	c := call.Cause{Q850: 47, SIP: 580, Text: err.Error()}
	if _, text, ok := sdp.Warning(err); ok {
		c.Text = text
	}
	return c
}

// refusalBody is the body of a refusal of the caller's INVITE.
func (c *Call) refusalBody(status int) (content string, body []byte) {
	if status == 580 && c.demands != nil {
		return sdpType, c.demands
	}
	if status == 380 && c.src.urgent {
		return elsewhereType, []byte(elsewhere)
	}
	return "", nil
}

// awaitConditions waits for the resources that the caller has said its call must have. Nobody's phone rings before: the answer goes
// ahead in a reliable 183, and an UPDATE tells when they are there. ok is false if the call ends instead.
func (c *Call) awaitConditions() (end ending, ok bool) {
	l := c.caller
	if l.party.preconditions == sdp.PreconditionsIgnored || !l.hasOffer() {
		return ending{}, true
	}
	offer, err := l.firstOffer()
	if err != nil || !unmet(offer) {
		return ending{}, true
	}
	failed := func(text string) (ending, bool) {
		c.decide(text)
		return bySystem(call.Cause{Q850: 47, SIP: 580, Text: text}), false
	}
	if !l.d.Reliable() {
		return failed("the caller's preconditions can't be answered: it doesn't know 100rel")
	}
	l.demands = true
	if err := l.Progress(183, phraseOf(183), true, c.callerWant(nil)); err != nil {
		if errors.Is(err, sip.ErrEnded) {
			return c.farewell(), false
		}
		return failed("the caller's preconditions can't be answered: " + err.Error())
	}
	l.earlier = true
	c.rec.note(1, time.Now(), call.Progress{Status: 183, EarlyMedia: true})
	c.noteMedia(l, time.Now())
	c.decide("the caller isn't ready yet: nobody is called before its preconditions are met")
	timer := time.NewTimer(conditionsTime)
	defer timer.Stop()
	for l.demands {
		select {
		case e := <-c.events:
			if c.callerWhileRinging(e) {
				return c.gone(e), false
			}
		case cmd := <-c.box:
			if cmd.kind == cmdHangup {
				respond(cmd, nil)
				return ending{by: cmd.by, cause: cmd.cause}, false
			}
			c.early(cmd)
		case <-timer.C:
			return failed("the caller's preconditions weren't met in " + conditionsTime.String())
		case <-c.ctx.Done():
			return bySystem(call.ShuttingDown), false
		}
	}
	return ending{}, true
}
