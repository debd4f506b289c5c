package gateway

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
)

// inband is the setting of a party whose digits are tones in its audio, both ways. Others' audio is listened to by nobody.
const inband = "inband"

// hearsTones begins to listen for digits in what a party says, where the settings ask for it.
func (c *Call) hearsTones(l *sipLeg) error {
	if l.party.dtmf != inband || l.tones != nil {
		return nil
	}
	d := dtmf.NewDetector(l.notify)
	if err := c.pipeline.Add(d); err != nil {
		return err
	}
	l.tones = d
	l.ep.Source(media.Pad{}).Link(d)
	return nil
}

// pressed hands a tone that has begun across as a telephone-event, which lasts as long and takes the place of the rest of it. Where
// there are no events it stays audible, and what it was is told at its end.
func (c *Call) pressed(l *sipLeg, e LegEvent) {
	far := c.far(l)
	if far == nil || far.digits == nil || !agreed(far.ep).Events {
		return
	}
	l.release()
	if err := far.digits.press(e.Digit); err != nil {
		c.log.Warn("digit not sent", "leg", far.no, "err", err)
		return
	}
	l.presses = far.digits
}

// release ends the event that stands for the leg's tone; ok if there is one.
func (l *sipLeg) release() (ok bool) {
	if l.presses == nil {
		return false
	}
	l.presses.sender.Release()
	l.presses = nil
	return true
}

// leaves ends what sends digits to a leg, and what hears them.
func (c *Call) leaves(l *sipLeg) {
	l.digits.close(c.pipeline)
	l.digits = nil
	l.release()
	if l.tones != nil {
		_ = c.pipeline.Remove(l.tones) // its Close has nothing to fail
		l.tones = nil
	}
}
