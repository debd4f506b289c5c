package mix

import (
	"sync/atomic"

	"github.com/patchbay/patchbay/media"
)

// Port is an element that enters a room: what comes into it is mixed into what others hear, and what it hears leaves it.
type Port struct {
	room    *Room
	in      inlet
	out     *output
	video   *media.Port  // nil: none
	natural atomic.Int64 // the highest rate of what may come, in Hz; 0 while nothing may
	shares  atomic.Bool  // its sinks hear the common mix
	restore func()       // ends that; the room's follow alone has it

	// The room's mutex guards these.
	hears  []*Port // where that is chosen
	voice  voice
	speaks bool
	pcm    []int16 // what came, of this tick
	mixed  []int16
}

// inlet is where a port's audio enters.
type inlet struct {
	media.Inlet
	port *Port
	buf  buffer
	list [len(rates)]*media.Caps
	caps atomic.Pointer[media.Caps]
}

func newPort(r *Room) *Port {
	p := &Port{room: r, out: newOutput(r.cfg.Registry), voice: newVoice()}
	if r.cfg.Video {
		p.video = r.video.Add()
	}
	p.in.port = p
	for i, hz := range rates {
		p.in.list[i] = &media.Caps{Formats: []*media.Format{media.L16(hz)}}
	}
	p.in.Follow(p.heed)
	return p
}

// heed notes the rate of what may come. It is called while links change.
func (p *Port) heed(formats []*media.Format) {
	rate := 0
	for _, f := range formats {
		rate = max(rate, rateOf(f))
	}
	if int(p.natural.Swap(int64(rate))) != rate {
		p.room.poke()
	}
}

// rateOf is the least rate of a room that keeps all that a format holds.
func rateOf(f *media.Format) int {
	hz := f.Clock
	switch {
	case f.Kind != media.Audio:
		return 0
	case f.Codec == "G722": // its clock is 8000 by an old mistake (RFC 3551 4.5.2)
		hz = 16000
	}
	for _, rate := range rates {
		if hz <= rate {
			return rate
		}
	}
	return rates[len(rates)-1]
}

// setRate has the port take and give another rate. It is called under the room's mutex.
func (p *Port) setRate(rate int) {
	for i, hz := range rates {
		if hz == rate {
			p.in.caps.Store(p.in.list[i])
		}
	}
	p.in.buf.setRate(rate)
	p.out.setRate(rate)
	p.pcm, p.mixed = make([]int16, rate/perTick), make([]int16, rate/perTick)
	p.speaks = false
}

// Caps is linear PCM at the room's rate.
func (in *inlet) Caps() *media.Caps { return in.caps.Load() }

// Push takes a frame into the port's buffer.
func (in *inlet) Push(f *media.Frame) {
	if f.Format == nil || f.Kind != media.Audio || f.Format.Codec != "L16" {
		return
	}
	in.buf.write(f.Payload, f.Format.Clock, f.Timestamp, f.Epoch, in.port.room.now())
}

// listen takes what came for this tick. It is called under the room's mutex.
func (p *Port) listen(now int64) {
	if p.in.buf.read(p.pcm, now) {
		p.speaks = p.voice.hear(p.pcm)
	} else {
		p.speaks = p.voice.quiet()
	}
}

// others mixes all but the port itself.
func (p *Port) others(sum []int32) {
	for i, s := range sum {
		if p.speaks {
			s -= int32(p.pcm[i])
		}
		p.mixed[i] = cut(s)
	}
}

// chosen mixes those that the port hears. sum is only room to do so.
func (p *Port) chosen(sum []int32) {
	clear(sum)
	for _, o := range p.hears {
		if !o.speaks {
			continue
		}
		for i, s := range o.pcm {
			sum[i] += int32(s)
		}
	}
	for i, s := range sum {
		p.mixed[i] = cut(s)
	}
}

// Sink is where media of the pad's kind enters the room.
func (p *Port) Sink(at media.Pad) media.Sink {
	switch {
	case at.Name != "":
		return nil
	case at.Kind == media.Audio:
		return &p.in
	case at.Kind == media.Video && p.video != nil:
		return p.video.Sink(at)
	}
	return nil
}

// Source is where what the port hears leaves.
func (p *Port) Source(at media.Pad) *media.Source {
	switch {
	case at.Name != "":
		return nil
	case at.Kind == media.Audio:
		return p.out.src
	case at.Kind == media.Video && p.video != nil:
		return p.video.Source(at)
	}
	return nil
}

// Level is how loud the port is, in dB below full scale, -100 at least.
func (p *Port) Level() float64 {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	return p.voice.level
}

// Stats adds what happened to what came.
func (p *Port) Stats(s *media.Snapshot) {
	c, delay := p.in.buf.count()
	for name, n := range map[string]uint64{"frames": c.Frames, "late": c.Late, "concealed": c.Concealed, "shorter": c.Shorter, "longer": c.Longer, "shifted": c.Shifted} {
		s.Note("mix_"+name, float64(n))
	}
	s.Note("mix_delay_ms", float64(delay.Microseconds())/1000)
}

// Close takes the port out of its room.
func (p *Port) Close() error {
	p.room.leave(p)
	p.in.Detach()
	p.out.src.Close()
	if p.video != nil {
		return p.video.Close()
	}
	return nil
}
