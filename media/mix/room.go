// Package mix mixes audio: each port of a room hears all others, or those it is connected to, at the highest rate that any of
// them has. What comes is evened out by a buffer that adapts; who doesn't speak adds no noise, and all who don't speak share one
// mix, which is coded once for each format.
package mix

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
)

const (
	tick    = media.Tick
	perTick = int(time.Second / tick)
	// rests is for how many ticks nobody has spoken or listened when a room rests: all levels are down by then.
	rests = 5 * perTick
)

// rates are what rooms mix at, in Hz.
var rates = [...]int{8000, 16000, 48000}

// Config of a room.
type Config struct {
	Registry *media.Registry // has to have the ways between L16 and what ports are linked to
	Clock    *media.Clock
	// Chosen: a port hears the ports that Connect says, not all others.
	Chosen bool
	// Video: ports have video too; each shows the last one that Connect said.
	Video bool
	// Speaker is told who the active speaker is, when that changes, on a goroutine of the room. It may be nil. A port that left is
	// no speaker: then it is told nil.
	Speaker func(*Port)
}

// Room mixes what comes into its ports.
type Room struct {
	cfg    Config
	video  *media.Switch
	common *output // what all hear who don't speak

	mu     sync.Mutex // held during a tick
	ports  []*Port
	rate   int
	stop   func()
	stamp  uint32
	seq    uint16
	talk   floorHolder
	said   *Port // the speaker that Speaker was told
	sum    []int32
	idle   int // ticks in which nobody could speak or listen, up to rests
	closed bool

	wake    chan struct{}
	done    chan struct{}
	began   time.Time
	control sync.WaitGroup
}

// ErrClosed is returned by a closed room.
var ErrClosed = errors.New("mix: the room is closed")

// ErrStranger says that a port isn't one of the room's, or not any more.
var ErrStranger = errors.New("mix: not a port of this room")

// New makes a room without ports.
func New(cfg Config) *Room {
	r := &Room{cfg: cfg, video: media.NewSwitch(cfg.Registry), wake: make(chan struct{}, 1), done: make(chan struct{}), began: time.Now()}
	r.common = newOutput(cfg.Registry)
	r.setRate(rates[0])
	r.control.Go(r.follow)
	return r
}

// Add makes a port. It fails with ErrClosed.
func (r *Room) Add() (*Port, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	p := newPort(r)
	p.setRate(r.rate)
	p.out.tell(r.rate)
	r.ports = append(slices.Clip(r.ports), p)
	if r.stop == nil {
		r.stop = r.cfg.Clock.Every(r.mix)
	}
	return p, nil
}

// Connect has a port hear another, beside whom it hears already. It may hear itself. Video of a port replaces what was heard.
func (r *Room) Connect(kind media.Kind, from, to *Port) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.has(from) || !r.has(to) {
		return ErrStranger
	}
	switch {
	case kind == media.Video && r.cfg.Video:
		return r.video.Connect(from.video, to.video)
	case kind != media.Audio:
		return fmt.Errorf("mix: %s isn't mixed", kind)
	}
	if !slices.Contains(to.hears, from) {
		to.hears = append(slices.Clip(to.hears), from)
	}
	return nil
}

// Disconnect has a port hear another no more.
func (r *Room) Disconnect(from, to *Port) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.has(from) || !r.has(to) {
		return ErrStranger
	}
	to.hears = without(to.hears, from)
	return nil
}

// Rate is what the room mixes at now, in Hz.
func (r *Room) Rate() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rate
}

// Speaker is who speaks, or spoke last; nil if nobody did.
func (r *Room) Speaker() *Port {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.talk.active
}

// Close takes all ports out of the room and ends it; twice is as good as once.
func (r *Room) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	ports, stop := r.ports, r.stop
	r.mu.Unlock()
	if stop != nil {
		stop()
	}
	close(r.done)
	r.control.Wait()
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.Close())
	}
	r.common.src.Close()
	return errors.Join(errs...)
}

func (r *Room) has(p *Port) bool { return p != nil && slices.Contains(r.ports, p) }

// leave takes a port out of the room.
func (r *Room) leave(p *Port) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports = without(r.ports, p)
	for _, o := range r.ports {
		o.hears = without(o.hears, p)
	}
	if r.talk.active == p {
		r.talk = floorHolder{}
	}
	r.poke()
}

func without(list []*Port, p *Port) []*Port {
	return slices.DeleteFunc(slices.Clone(list), func(o *Port) bool { return o == p })
}

// now counts since the room was made, in ns.
func (r *Room) now() int64 { return int64(time.Since(r.began)) }

// mix is one tick.
func (r *Room) mix(time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.still() {
		return
	}
	now := r.now()
	clear(r.sum)
	changed := false
	for _, p := range r.ports {
		p.listen(now)
		changed = changed || p.speaks == p.shares.Load()
		if p.speaks {
			for i, s := range p.pcm {
				r.sum[i] += int32(s)
			}
		}
	}
	r.seq++
	r.stamp += uint32(r.rate / perTick)
	if r.cfg.Chosen {
		r.each(func(p *Port) { p.chosen(r.sum) })
	} else {
		r.each(func(p *Port) { p.others(r.sum) })
		r.common.send(r.sum, r.seq, r.stamp)
	}
	if r.talk.next(r.ports) || changed && !r.cfg.Chosen {
		r.poke()
	}
}

// still reports whether the room rests: it costs next to nothing while nothing is connected to any of its ports.
func (r *Room) still() bool {
	r.idle++
	if r.common.src.Heard() || slices.ContainsFunc(r.ports, func(p *Port) bool { return p.in.Linked() || p.out.src.Heard() }) {
		r.idle = 0
	}
	r.idle = min(r.idle, rests)
	return r.idle == rests
}

// each sends to all who don't share a mix.
func (r *Room) each(mix func(*Port)) {
	for _, p := range r.ports {
		if !p.shares.Load() {
			mix(p)
			p.out.sendSamples(p.mixed, r.seq, r.stamp)
		}
	}
}

// poke has follow look.
func (r *Room) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// follow does what takes longer than a tick has time for: routes that change, and telling who speaks.
func (r *Room) follow() {
	for {
		select {
		case <-r.done:
			return
		case <-r.wake:
		}
		r.adapt()
		if !r.cfg.Chosen {
			r.share()
		}
		r.tell()
	}
}

// adapt mixes at another rate if the ports need it.
func (r *Room) adapt() {
	r.mu.Lock()
	rate := rates[0]
	for _, p := range r.ports {
		rate = max(rate, int(p.natural.Load()))
	}
	if rate == r.rate || r.closed {
		r.mu.Unlock()
		return
	}
	r.setRate(rate)
	ports := r.ports
	for _, p := range ports {
		p.setRate(rate)
	}
	r.mu.Unlock()
	r.common.tell(rate)
	for _, p := range ports {
		p.out.tell(rate)
		media.Renegotiate(p)
	}
}

// setRate makes room for what a tick mixes.
func (r *Room) setRate(rate int) {
	r.rate = rate
	r.sum = make([]int32, rate/perTick)
	r.common.setRate(rate)
}

// share has those who speak hear a mix of their own, and those who don't the common one.
func (r *Room) share() {
	r.mu.Lock()
	ports := r.ports
	r.mu.Unlock()
	for _, p := range ports {
		r.mu.Lock()
		own := p.speaks
		r.mu.Unlock()
		switch {
		case own && p.shares.Load():
			p.shares.Store(false) // first: both are sent until the sinks let in the other
			p.restore()
		case !own && !p.shares.Load():
			p.restore = p.out.src.Override(r.common.src)
			p.shares.Store(true)
		}
	}
}

// tell says who the active speaker is.
func (r *Room) tell() {
	r.mu.Lock()
	who := r.talk.active
	same := who == r.said
	r.said = who
	r.mu.Unlock()
	if !same && r.cfg.Speaker != nil {
		r.cfg.Speaker(who)
	}
}
