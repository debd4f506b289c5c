package dtmf

import (
	"strings"
	"sync/atomic"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/pcm"
)

// Detector is a sink that tells the digits that it hears as tones (ITU-T Q.23, within the tolerances of Q.24): media.Pressed as soon
// as one is sure, 30 to 60 ms after it began, and media.Digit at its end. Push allocates nothing but what it tells.
type Detector struct {
	media.Inlet
	in   *pcm.In
	post func(media.Notice)

	// Push's own.
	ear     *ear
	samples []int16
	next    uint32 // timestamp that goes on where the last frame ended
	epoch   uint32
	begun   bool
	seen    int // digit of the latest look, -1 = none
	run     int // looks in a row that saw it
	now     int // digit that is sure, -1 = none
	looks   int // since it began
	last    int // the latest of them that saw it
	heard   atomic.Uint64
	closed  atomic.Bool
}

// skip is the most that may be missing of a stream, in samples, without being a pause: lost packets in a digit don't make it two.
const skip = 39 * pcm.Rate / 1000

// NewDetector makes a detector that posts media.Pressed and media.Digit.
func NewDetector(post func(media.Notice)) *Detector {
	return &Detector{in: pcm.NewIn(), post: post, ear: newEar(), samples: make([]int16, 0, pcm.Most), seen: -1, now: -1}
}

// Caps is PCMU, PCMA and L16/8000.
func (d *Detector) Caps() *media.Caps { return d.in.Caps() }

// Push listens to one frame.
func (d *Detector) Push(f *media.Frame) {
	if d.closed.Load() {
		return
	}
	samples, peak := d.in.Read(d.samples[:0], f)
	if len(samples) == 0 {
		return
	}
	if missing := int32(f.Timestamp - d.next); !d.begun || d.epoch != f.Epoch || missing > skip || missing < -pcm.Rate {
		d.end()
		d.ear.reset()
		d.seen, d.run = -1, 0
	} else if missing < 0 { // one that is late, or came twice
		return
	}
	d.begun, d.epoch, d.next = true, f.Epoch, f.Timestamp+uint32(len(samples))
	for _, s := range samples {
		if digit, looked := d.ear.hear(float64(s) / peak); looked {
			d.look(digit)
		}
	}
}

// look takes what the ear saw.
func (d *Detector) look(digit int) {
	if digit != d.seen {
		d.seen, d.run = digit, 0
	}
	d.run++
	d.looks++
	switch {
	case d.now >= 0 && digit == d.now:
		d.last = d.looks
	case digit >= 0 && d.run == lasting:
		d.end()
		d.now, d.looks, d.last = digit, lasting, lasting
		d.tell(media.Pressed{Digit: pairs[digit]})
	case d.now >= 0 && d.looks-d.last >= gone:
		d.end()
	}
}

// end tells that the digit that is heard now has ended.
func (d *Detector) end() {
	if d.now < 0 {
		return
	}
	d.heard.Add(1)
	digit := pairs[d.now]
	d.now = -1
	// A tone is seen in as many looks as it lasts hops, less about one.
	d.tell(media.Digit{Digit: digit, Duration: (d.last + 1) * hop * 1000 / pcm.Rate, Tone: true})
}

func (d *Detector) tell(n media.Notice) {
	if d.post != nil {
		d.post(n)
	}
}

// Source is nil: a detector sends nothing.
func (d *Detector) Source(media.Pad) *media.Source { return nil }

// Sink is the input, for the zero Pad.
func (d *Detector) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return d
	}
	return nil
}

// Stats notes the digits heard.
func (d *Detector) Stats(s *media.Snapshot) { s.Note("dtmf.tones", float64(d.heard.Load())) }

// Close ends the link to whatever it hears. A digit that is heard now isn't told any more.
func (d *Detector) Close() error {
	d.closed.Store(true)
	d.Detach()
	return nil
}

// pairOf is the frequencies of a digit.
func pairOf(digit byte) (lowHz, highHz float64) {
	i := strings.IndexByte(pairs, digit)
	return low[i/4], high[i%4]
}
