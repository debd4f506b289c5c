package dtmf

import (
	"sync/atomic"

	"github.com/patchbay/patchbay/media"
)

// Collector is a sink that tells the digits it hears, each once, at its end. If all three packets that say the end are lost
// it tells the digit when the next one begins.
type Collector struct {
	media.Inlet
	caps *media.Caps
	post func(media.Notice)

	// Push's own.
	code     int // of the digit that is heard now; -1 = none
	begun    uint32
	epoch    uint32
	duration uint16
	rate     int
	told     bool

	heard  atomic.Uint64
	closed atomic.Bool
}

// NewCollector makes a collector that posts media.Digit.
func NewCollector(post func(media.Notice)) *Collector {
	return &Collector{
		caps: &media.Caps{Formats: []*media.Format{media.TelephoneEvent(8000), media.TelephoneEvent(48000)}},
		post: post, code: -1,
	}
}

// Caps is telephone-event at 8 and at 48 kHz.
func (c *Collector) Caps() *media.Caps { return c.caps }

// Push reads one event.
func (c *Collector) Push(f *media.Frame) {
	if c.closed.Load() || f.Format != c.caps.Formats[0] && f.Format != c.caps.Formats[1] {
		return
	}
	e, ok := parse(f.Payload)
	if !ok || int(e.code) >= len(digits) {
		return // hook flash, fax tones: not digits
	}
	if c.code != int(e.code) || c.begun != f.Timestamp || c.epoch != f.Epoch {
		if c.epoch == f.Epoch && c.code >= 0 && int32(f.Timestamp-c.begun) < 0 {
			return // a packet of an earlier digit, late
		}
		c.tell()
		c.code, c.begun, c.epoch = int(e.code), f.Timestamp, f.Epoch
		c.duration, c.rate, c.told = 0, f.Format.Clock, false
	}
	c.duration = max(c.duration, e.duration)
	if e.end {
		c.tell()
	}
}

// tell posts the digit that is heard now, unless it was.
func (c *Collector) tell() {
	if c.code < 0 || c.told {
		return
	}
	c.told = true
	c.heard.Add(1)
	if c.post != nil {
		c.post(media.Digit{Digit: digits[c.code], Duration: int(c.duration) * 1000 / c.rate})
	}
}

// Source is nil: a collector sends nothing.
func (c *Collector) Source(media.Pad) *media.Source { return nil }

// Sink is the input, for the zero Pad.
func (c *Collector) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return c
	}
	return nil
}

// Stats notes the digits heard.
func (c *Collector) Stats(s *media.Snapshot) { s.Note("dtmf.heard", float64(c.heard.Load())) }

// Close ends the link to whatever it hears.
func (c *Collector) Close() error {
	c.closed.Store(true)
	c.Detach()
	return nil
}
