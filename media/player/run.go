package player

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/resample"
)

// run is one stream being read, by a goroutine of its own: files and servers may take their time.
type run struct {
	p      *Player
	ctx    context.Context
	cancel context.CancelFunc
	more   *sync.Cond // there is room again, or something is wanted; with the player's lock

	// Guarded by the player's lock.
	stream Stream
	live   Live   // the stream, if it is; nil = it waits
	seeker Seeker // the stream, if it is live and can be sought
	opened bool
	info   Info
	done   bool          // all was read
	err    error         // why it ended, nil at the end of the stream
	last   time.Duration // up to where there is something to send
	until  time.Duration // where the last unit ends
	wanted *seeking

	// Of the reading goroutine.
	begin   time.Duration // the stream's own time of its beginning
	begun   bool
	from    time.Duration // what comes earlier is left out
	audio   int           // tracks; -1 = none
	video   int
	key     bool                // of video: a key unit has come
	rate    *resample.Resampler // nil: sound goes out as it is
	to      int                 // the rate that it is brought to
	in, out []int16
	bytes   []byte        // brought to it, not yet put
	at      time.Duration // where they begin
}

// seeking is a wish to go on elsewhere.
type seeking struct {
	to   time.Duration
	done chan error
}

func newRun(p *Player) *run {
	r := &run{p: p, more: sync.NewCond(&p.mu), audio: -1, video: -1}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// close ends reading. It is called without the lock.
func (r *run) close() {
	r.cancel()
	r.p.mu.Lock()
	stream := r.stream
	r.more.Broadcast()
	r.p.mu.Unlock()
	if stream != nil {
		_ = stream.Close() // it was read: nothing is lost
	}
}

// read is the goroutine.
func (r *run) read() {
	stream, err := r.p.cfg.Open(r.ctx)
	if err == nil {
		defer func() { _ = stream.Close() }()
		err = r.begins(stream)
	}
	for err == nil {
		err = r.next()
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.done = true
	if !errors.Is(err, io.EOF) {
		r.err = err
	}
	if r.wanted != nil {
		r.wanted.done <- ErrStopped
		r.wanted = nil
	}
	if r.p.run == r && r.p.state != Playing && r.err != nil { // nobody ticks
		r.p.run = nil
		r.p.change(Stopped)
		r.p.post(media.Failed{Err: r.err})
	}
}

// begins looks at what the stream has.
func (r *run) begins(s Stream) error {
	r.p.mu.Lock()
	r.stream = s
	r.p.mu.Unlock()
	if err := r.ctx.Err(); err != nil {
		return err
	}
	var names []string
	var pack packer
	for i, t := range s.Tracks() {
		switch {
		case t.Other:
		case t.Format == nil:
			names = append(names, t.Name)
		case t.Format.Kind == media.Audio && r.audio < 0:
			r.audio = i
		case t.Format.Kind == media.Video && r.video < 0:
			if pack = newPacker(t); pack != nil {
				r.video = i
			} else {
				names = append(names, t.Name)
			}
		}
	}
	if r.audio < 0 && r.video < 0 {
		return fmt.Errorf("%w: it has %q", ErrNothing, names)
	}
	if r.audio >= 0 {
		r.p.audio.start(r.sound(s.Tracks()[r.audio].Format), nil)
	}
	if r.video >= 0 {
		r.p.video.start(s.Tracks()[r.video].Format, pack)
	}
	if len(names) > 0 && (r.audio < 0 || r.video < 0) {
		r.p.post(media.Lacks{Err: fmt.Errorf("%w: it has %q", ErrPart, names)})
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.opened = true
	if live, ok := s.(Live); ok && r.p.run == r {
		live.Pause(r.p.state == Paused)
		r.live = live
		if seeker, ok := s.(Seeker); ok && s.Duration() > 0 {
			r.seeker, r.begun = seeker, true // its times are the server's
		} else {
			r.p.at = 0 // wherever it was sought
		}
	}
	r.info = Info{Known: true, Duration: s.Duration(), Seekable: s.Duration() > 0}
	r.more.Broadcast()
	return nil
}

// start says what the lane sends from now on. A format that it sent before stays the same value: links needn't change.
func (l *lane) start(f *media.Format, pack packer) {
	l.pack = pack
	if l.format.Same(f) {
		return
	}
	l.format = f
	l.src.SetFormats(f)
}

// sound is the format that a track's sound leaves in.
func (r *run) sound(f *media.Format) *media.Format {
	r.rate = nil
	if f.Codec != "L16" || slices.Contains(resample.Rates(), f.Clock) {
		return f
	}
	r.to = 48000
	if f.Clock < 16000 {
		r.to = 16000
	}
	r.rate = resample.New(f.Clock, r.to)
	return media.L16(r.to)
}

// next reads a unit and waits for room for it.
func (r *run) next() error {
	if err := r.sought(); err != nil {
		return err
	}
	var u container.Unit
	if err := r.stream.Read(&u); err != nil {
		if !errors.Is(err, io.EOF) {
			return err
		}
		if err := r.flush(); err != nil {
			return err
		}
		if r.idle() {
			return nil // sought at the end
		}
		return err
	}
	l := &r.p.audio
	switch u.Track {
	case r.audio:
	case r.video:
		l = &r.p.video
		if r.key = r.key || u.Key; !r.key {
			return nil
		}
	default:
		return nil
	}
	if !r.begun {
		r.begin, r.begun = u.At, true
	}
	at := u.At - r.begin
	if at < 0 || u.Track == r.audio && at+u.For <= r.from && r.from > 0 {
		return nil
	}
	if u.Track == r.audio && r.rate != nil {
		return r.resampled(at, u.Data)
	}
	return r.put(l, at, u.For, u.Key, u.Data)
}

// put has a unit wait, once there is room for it.
func (r *run) put(l *lane, at, length time.Duration, key bool, data []byte) error {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	for r.p.run == r && r.wanted == nil && l.full() {
		r.more.Wait()
	}
	switch {
	case r.p.run != r:
		return ErrStopped
	case r.wanted == nil:
		l.put(at, key, data)
		r.last, r.until = max(r.last, at+length), max(r.until, at+length)
	}
	return nil
}

// resampled brings a unit to another rate and puts what comes of it, in units of 20 ms.
func (r *run) resampled(at time.Duration, data []byte) error {
	if len(r.bytes) == 0 {
		r.at = at
	}
	r.in = r.in[:0]
	for ; len(data) >= 2; data = data[2:] {
		r.in = append(r.in, int16(binary.BigEndian.Uint16(data)))
	}
	r.out = r.rate.Run(r.out[:0], r.in)
	for _, s := range r.out {
		r.bytes = binary.BigEndian.AppendUint16(r.bytes, uint16(s))
	}
	return r.whole(r.to / 50 * 2)
}

// whole puts what there is in units of n bytes.
func (r *run) whole(n int) error {
	rest := r.bytes
	for n > 0 && len(rest) >= n {
		length := time.Duration(n/2) * time.Second / time.Duration(r.to)
		if err := r.put(&r.p.audio, r.at, length, true, rest[:n]); err != nil {
			return err
		}
		r.at += length
		rest = rest[n:]
	}
	r.bytes = append(r.bytes[:0], rest...)
	return nil
}

// flush puts what is left of sound that is resampled, to the millisecond.
func (r *run) flush() error {
	if len(r.bytes) == 0 {
		return nil
	}
	unit := r.to / 1000 * 2
	err := r.whole(len(r.bytes) - len(r.bytes)%unit)
	r.bytes = r.bytes[:0]
	return err
}

// idle waits at the end of the stream while something of it is still to be played: somebody may seek. It reports whether somebody
// did.
func (r *run) idle() bool {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.done = true
	for r.p.run == r && r.wanted == nil {
		r.more.Wait()
	}
	if r.p.run != r || r.wanted == nil {
		return false
	}
	r.done = false
	return true
}

// want has the goroutine, whatever it waits for, go on elsewhere. The lock is held.
func (r *run) want(s *seeking) {
	r.wanted = s
	r.more.Broadcast()
	if r.seeker != nil {
		r.seeker.Wake()
	}
}

// resume has a server that paused go on from here. The lock is held.
func (r *run) resume() {
	if r.seeker != nil && r.wanted == nil && !r.done {
		r.want(&seeking{r.p.at, make(chan error, 1)})
	}
}

// seek has the goroutine go on elsewhere, and waits for that.
func (r *run) seek(ctx context.Context, to time.Duration) error {
	s := &seeking{to, make(chan error, 1)}
	r.p.mu.Lock()
	if r.done && r.err != nil || r.p.run != r {
		r.p.mu.Unlock()
		return ErrStopped
	}
	r.want(s)
	r.p.mu.Unlock()
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sought does what seek wants.
func (r *run) sought() error {
	r.p.mu.Lock()
	s := r.wanted
	r.p.mu.Unlock()
	if s == nil {
		return nil
	}
	if !r.begun {
		var u container.Unit
		if err := r.stream.Read(&u); err != nil {
			return err
		}
		r.begin, r.begun = u.At, true
	}
	if d := r.stream.Duration(); d > 0 {
		s.to = min(s.to, d)
	}
	err := r.stream.Seek(s.to + r.begin)
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if r.wanted == s {
		r.wanted = nil
	}
	if err == nil {
		if r.seeker != nil {
			s.to = r.seeker.From()
		}
		r.from, r.key, r.bytes = s.to, false, r.bytes[:0]
		r.last, r.until = s.to, s.to
		r.p.at, r.p.waiting = s.to, true
		r.p.audio.clear()
		r.p.video.clear()
	}
	s.done <- err
	if err != nil && !errors.Is(err, container.ErrSeek) {
		return err
	}
	return nil
}
