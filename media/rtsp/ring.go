package rtsp

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/player"
	"github.com/patchbay/patchbay/media/uri"
)

const (
	mostUnits = 1024
	mostBytes = 8 << 20
)

// ring is what has come and isn't read yet. What comes doesn't wait: where there is no room it is lost, and video goes on with a key
// picture.
type ring struct {
	mu     sync.Mutex
	more   *sync.Cond
	tracks []*track
	units  []container.Unit
	bytes  int
	err    error  // no more comes
	lost   uint64 // units there was no room for

	stall    time.Duration
	duration time.Duration // 0 = unknown
	watch    *time.Timer
	paused   bool
	halted   bool // the server pauses too
	woken    bool // a read that waits is to return
	begun    bool
	origin   time.Time // of the stream's time; moves on while it pauses
	held     time.Time // when it paused

	moving bool // nobody knows yet from where it plays
	from   time.Duration
	early  []early
	many   int // bytes of them
}

func (r *ring) init(stall time.Duration) {
	r.more, r.stall = sync.NewCond(&r.mu), stall
	r.watch = time.AfterFunc(time.Hour, func() { r.end(uri.ErrStalled) })
	r.watch.Stop()
}

func (r *ring) has(k media.Kind) bool {
	for _, t := range r.tracks {
		if t.track.Format.Kind == k {
			return true
		}
	}
	return false
}

// add adds a track, before the server plays.
func (r *ring) add(t *track) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.index = len(r.tracks)
	r.tracks = append(r.tracks, t)
}

// packet takes one that came. It reports whether a key picture should be asked for.
func (r *ring) packet(t *track, p *rtp.Packet, now time.Time, direct bool) (asks bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || direct != t.direct {
		return false
	}
	if r.moving {
		if len(r.early) < mostEarly && r.many+len(p.Payload) <= largeEarly {
			r.early = append(r.early, keep(t, p, now))
			r.many += len(p.Payload)
		}
		return false
	}
	r.sort(t, p, now)
	if !r.halted {
		r.watch.Reset(r.patience())
	}
	return t.key != nil && t.waits && !t.isKey && !r.paused && r.asks(t, now)
}

// take has a packet become a part of the stream. The lock is held.
func (r *ring) take(t *track, p *rtp.Packet, now time.Time) {
	t.source = p.SSRC
	if !r.begun {
		r.begun, r.origin, r.held = true, now.Add(-r.from), now
	}
	if r.paused {
		t.restart()
		return
	}
	lost := t.begun && p.SequenceNumber != t.sequence+1
	if t.key != nil && t.begun && p.Timestamp != t.timestamp && len(t.picture) > 0 { // its end is lost, or wasn't said
		t.damaged = t.damaged || lost
		t.finish(t.at, r.put)
	}
	at := t.time(p, now.Sub(r.origin))
	t.begun, t.sequence = true, p.SequenceNumber
	if t.key != nil {
		t.gather(p, lost, at, r.put)
	} else if len(p.Payload) > 0 {
		r.put(container.Unit{Track: t.index, At: at, For: t.length(p.Payload), Key: true, Data: t.mono(p.Payload)})
	}
}

// put adds a unit, if there is room. The lock is held.
func (r *ring) put(u container.Unit) {
	if len(r.units) >= mostUnits || r.bytes+len(u.Data) > mostBytes {
		r.lost++
		r.tracks[u.Track].waits = true
		return
	}
	u.Data = append([]byte(nil), u.Data...)
	r.units = append(r.units, u)
	r.bytes += len(u.Data)
	r.more.Broadcast()
}

// bye notes that the server ended a track; with the last the stream ends.
func (r *ring) bye(t *track) {
	r.mu.Lock()
	t.ended = !r.moving // else what was played before ended
	all := t.ended
	for _, t := range r.tracks {
		all = all && t.ended
	}
	r.mu.Unlock()
	if all {
		r.end(io.EOF)
	}
}

// end says that no more comes, and why. The first time counts.
func (r *ring) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		if (errors.Is(err, uri.ErrStalled) || errors.Is(err, uri.ErrBroken)) && r.ending() {
			err = io.EOF
		}
		for _, t := range r.tracks {
			r.giveUp(t)
		}
		r.err = err
		r.watch.Stop()
		r.more.Broadcast()
	}
}

// wake has a read that waits return.
func (r *ring) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken = true
	r.more.Broadcast()
}

// isPaused reports whether what comes is left out.
func (r *ring) isPaused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paused
}

// shut says that nobody wants more, ended or not.
func (r *ring) shut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil || errors.Is(r.err, io.EOF) {
		r.err = player.ErrStopped
		r.watch.Stop()
		r.more.Broadcast()
	}
}

// pause has what comes left out, or not any more. Where it begins to, and the stream goes on, do is called under the lock.
func (r *ring) pause(on bool, now time.Time, do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case on == r.paused:
		return
	case on:
		r.held = now
	case r.begun:
		r.origin = r.origin.Add(now.Sub(r.held))
		for _, t := range r.tracks {
			t.begun, t.waits = false, true // its time goes on from now
		}
	}
	if r.paused = on; on && r.err == nil {
		do()
	}
}

// read waits for a unit.
func (r *ring) read(u *container.Unit) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.units) == 0 {
		if r.woken {
			r.woken = false
			*u = container.Unit{Track: -1}
			return nil
		}
		if r.err != nil {
			return r.err
		}
		r.more.Wait()
	}
	*u = r.units[0]
	r.units[0] = container.Unit{}
	r.units = r.units[1:]
	r.bytes -= len(u.Data)
	return nil
}
