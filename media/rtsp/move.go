package rtsp

import (
	"errors"
	"io"
	"time"
)

const (
	mostEarly  = 512
	largeEarly = 1 << 20 // bytes
)

// move forgets what came: the server is about to play from elsewhere. What comes until moved is kept for that.
func (r *ring) move() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moving, r.begun, r.early, r.many = true, false, nil, 0
	r.units, r.bytes = nil, 0
	if errors.Is(r.err, io.EOF) { // it ended, and is played again
		r.err = nil
	}
	for _, t := range r.tracks {
		t.restart()
		t.at, t.start, t.ended = 0, nil, false
	}
}

// moved says from where the server plays, and where its tracks begin there (by index; may be fewer); now silence is waited for.
func (r *ring) moved(from time.Duration, starts []*start) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.moving, r.halted = from, false, false
	for i, s := range starts {
		if i < len(r.tracks) {
			r.tracks[i].start = s
		}
	}
	for i := range r.early {
		e := &r.early[i]
		r.sort(e.track, &e.rtp, e.at)
	}
	r.early, r.many = nil, 0
	if r.err == nil {
		r.watch.Reset(r.patience())
	}
}

// halt notes that the server pauses: its silence means nothing.
func (r *ring) halt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.halted = true
	r.watch.Stop()
}

// unsure forgets where tracks begin, and how they come: the server plays anew, in the connection, and nobody heard what it said.
func (r *ring) unsure() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracks {
		t.start, t.direct = nil, false
	}
}

// near is how far from its end a stream may fall silent, or its server leave, so that it has ended; and how long it is silent then.
const near = time.Second

// ending reports whether the end is near. The lock is held.
func (r *ring) ending() bool {
	if r.duration == 0 || r.paused || r.moving {
		return false
	}
	return r.farthest() >= r.duration-near && r.begun
}

// farthest is how far any track has come. The lock is held.
func (r *ring) farthest() (at time.Duration) {
	for _, t := range r.tracks {
		at = max(at, t.at)
	}
	return at
}

// reached is how far the stream has come.
func (r *ring) reached() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.farthest()
}

// patience is how long a server may be silent now. The lock is held.
func (r *ring) patience() time.Duration {
	if r.ending() {
		return min(r.stall, 2*near)
	}
	return r.stall
}
