package recorder

import (
	"bytes"
	"slices"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
)

const (
	audioTrack = iota
	videoTrack
)

// settled is how long after its time no frame is awaited any more: timestamps may be off from the clock, and packets late.
const settled = off + 500*time.Millisecond

// tape puts frames into the file. While there is video it keeps units until their order is certain.
type tape struct {
	r      *Recorder
	w      container.Writer
	data   []byte
	pcm    []int16
	end    time.Duration // of the sound that was written
	sounds bool          // there was sound
	reel   *reel         // nil until there is video
	wait   []container.Unit
	last   [2]time.Duration // of each track
}

// drain writes all that waits; at the end, also what else might come between.
func (t *tape) drain(end bool) error {
	t.r.mu.Lock()
	paused, wall, next := t.r.state != Recording, t.r.origin.next, t.r.origin.next
	if t.r.origin.begun { // else it stands still: after a pause until the next frame comes
		wall = time.Since(t.r.origin.start)
	}
	if m := t.r.film; m != nil && m.ring.count > 0 && t.reel == nil {
		t.reel = &reel{tape: t}
	}
	t.r.mu.Unlock()
	if err := t.sound(); err != nil || t.reel == nil {
		return err
	}
	end = end || paused
	if err := t.reel.drain(end); err != nil {
		return err
	}
	horizon := max(wall-settled, min(t.last[audioTrack], t.last[videoTrack]))
	silent := wall - settled
	if end {
		horizon, silent = 1<<63-1, next
	}
	if t.sounds {
		if err := t.fill(silent); err != nil {
			return err
		}
	}
	return t.release(horizon)
}

// sound takes the sound that waits.
func (t *tape) sound() error {
	for {
		t.r.mu.Lock()
		data, at, f, ok := t.r.ring.take(t.data)
		t.r.mu.Unlock()
		t.data = data
		if !ok {
			return nil
		}
		if err := t.put(at, f.Format, data); err != nil {
			return err
		}
	}
}

func (t *tape) put(at time.Duration, f *media.Format, data []byte) error {
	u := container.Unit{At: at, For: container.Length(f, data), Key: true, Data: data}
	if t.r.in != nil {
		t.pcm, _ = t.r.in.Read(t.pcm[:0], &media.Frame{Format: f, Payload: data})
		u.Data = make([]byte, 0, 2*len(t.pcm))
		for _, s := range t.pcm {
			u.Data = append(u.Data, byte(uint16(s)>>8), byte(s))
		}
		return t.w.Write(&u)
	}
	if !t.sounds {
		t.sounds, t.end = true, at
	}
	if err := t.fill(at); err != nil {
		return err
	}
	t.end = max(t.end, at+u.For)
	return t.write(&u)
}

// fill writes silence up to a time.
func (t *tape) fill(to time.Duration) error {
	const piece = 20 * time.Millisecond
	for ; to-t.end >= piece; t.end += piece {
		if err := t.write(&container.Unit{At: t.end, For: piece, Key: true, Data: t.r.cfg.Form.silence()}); err != nil {
			return err
		}
	}
	return nil
}

// write writes a unit, in its turn if there are two tracks.
func (t *tape) write(u *container.Unit) error {
	t.last[u.Track] = max(t.last[u.Track], u.At)
	if t.reel == nil {
		return t.w.Write(u)
	}
	v := *u
	v.Data = bytes.Clone(u.Data)
	i := len(t.wait)
	for i > 0 && t.wait[i-1].At > v.At && (t.wait[i-1].Track != v.Track || v.Track == audioTrack) { // pictures keep the order of decoding
		i--
	}
	t.wait = slices.Insert(t.wait, i, v)
	return nil
}

// release writes what stands before a time.
func (t *tape) release(to time.Duration) error {
	n := 0
	for ; n < len(t.wait) && t.wait[n].At <= to; n++ {
		if err := t.w.Write(&t.wait[n]); err != nil {
			return err
		}
	}
	t.wait = slices.Delete(t.wait, 0, n)
	return nil
}

// close ends the file. A track in which there was nothing isn't in it, if there was another.
func (t *tape) close() error {
	if w, ok := t.w.(describer); ok && !t.sounds && t.reel != nil && t.reel.shown {
		if err := w.Describe(audioTrack, container.Track{}); err != nil {
			return err
		}
	}
	return t.w.Close()
}
