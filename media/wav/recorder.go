package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/pcm"
)

// File is where a recording goes; an *os.File that wasn't opened for appending.
type File interface {
	io.Writer
	io.WriterAt
	io.Closer
}

// RecorderConfig is the Config of a recorder.
type RecorderConfig struct {
	File File               // empty; the recorder closes it
	Post func(media.Notice) // is told media.Failed once if the file can't be written; may be nil; must not call Close
}

const (
	ring      = 64  // frames that wait for the file, more than a second as a rule
	batch     = 10  // frames that are worth a write
	longest   = 480 // samples of a frame, 60 ms
	maxGap    = 60 * pcm.Rate
	header    = 44
	maxData   = 1<<32 - 1 - header
	syncEvery = 2 * pcm.Rate // bytes between updates of the header, one second
)

// Recorder is an element that writes what it hears as 16-bit mono at 8 kHz. Time in which nothing came is silence in the
// file, so that its length is the length of what was heard. Its header is right to the last second at any time, so that the
// file can be played even if the process is killed.
type Recorder struct {
	media.Inlet
	in    *pcm.In
	file  File
	post  func(media.Notice)
	wake  chan struct{}
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
	fail  error // the writer's; read after done
	piece []int16

	mu      sync.Mutex
	slots   [ring]slot
	head    int // the oldest
	count   int
	closed  bool
	frames  uint64
	dropped uint64
	late    uint64
	ignored uint64
	begun   bool
	next    uint32 // timestamp that goes on from the last frame
	epoch   uint32
}

// slot is a frame that waits.
type slot struct {
	gap     int // samples of silence before it
	n       int
	samples [longest]int16
}

// NewRecorder starts a recording: it writes the header.
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	if cfg.File == nil {
		return nil, errors.New("wav: a recorder needs a file")
	}
	r := &Recorder{
		in: pcm.NewIn(), file: cfg.File, post: cfg.Post, piece: make([]int16, 0, pcm.Most),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	h := head(0)
	if _, err := r.file.Write(h[:]); err != nil {
		return nil, fmt.Errorf("wav: header: %w", err)
	}
	go r.write()
	return r, nil
}

// head is the header of a file with so much data.
func head(data uint32) (h [header]byte) {
	le := binary.LittleEndian
	copy(h[:], "RIFF....WAVEfmt ")
	le.PutUint32(h[4:], data+header-8)
	le.PutUint32(h[16:], 16)
	le.PutUint16(h[20:], tagPCM)
	le.PutUint16(h[22:], 1)
	le.PutUint32(h[24:], pcm.Rate)
	le.PutUint32(h[28:], 2*pcm.Rate)
	le.PutUint16(h[32:], 2)
	le.PutUint16(h[34:], 16)
	copy(h[36:], "data")
	le.PutUint32(h[40:], data)
	return h
}

// Caps is PCMU, PCMA and L16/8000.
func (r *Recorder) Caps() *media.Caps { return r.in.Caps() }

// Push puts a frame into the ring. If that is full the oldest frame becomes silence.
func (r *Recorder) Push(f *media.Frame) {
	samples, _ := r.in.Read(r.piece[:0], f)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return
	case len(samples) == 0 || len(samples) > longest:
		r.ignored++
		return
	}
	gap := 0
	if r.begun && r.epoch == f.Epoch {
		if gap = int(int32(f.Timestamp - r.next)); gap < 0 {
			r.late++
			return
		}
		gap = min(gap, maxGap)
	}
	r.begun, r.epoch, r.next = true, f.Epoch, f.Timestamp+uint32(len(samples))
	if r.count == ring {
		old := &r.slots[r.head]
		r.head = (r.head + 1) % ring
		r.slots[r.head].gap = min(r.slots[r.head].gap+old.gap+old.n, maxGap)
		r.count--
		r.dropped++
	}
	s := &r.slots[(r.head+r.count)%ring]
	s.gap, s.n = gap, copy(s.samples[:], samples)
	r.count++
	r.frames++
	if r.count >= batch {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// write is the goroutine that waits for the file.
func (r *Recorder) write() {
	defer close(r.done)
	w := tape{file: r.file, buf: make([]byte, 0, 64<<10)}
	for end := false; !end; {
		select {
		case <-r.wake:
		case <-r.quit:
			end = true
		}
		if err := r.drain(&w); err != nil {
			r.failed(err)
			return
		}
	}
	if err := w.head(); err != nil {
		r.failed(err)
	}
}

// failed ends the recording: nothing is taken any more.
func (r *Recorder) failed(err error) {
	r.fail = fmt.Errorf("wav: recording: %w", err)
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if r.post != nil {
		r.post(media.Failed{Err: r.fail})
	}
}

// drain writes all that waits.
func (r *Recorder) drain(w *tape) error {
	for {
		r.mu.Lock()
		if r.count == 0 {
			r.mu.Unlock()
			return w.flush()
		}
		s := &r.slots[r.head]
		gap := s.gap
		w.piece = append(w.piece[:0], s.samples[:s.n]...)
		r.head = (r.head + 1) % ring
		r.count--
		r.mu.Unlock()
		if err := w.put(gap, w.piece); err != nil {
			return err
		}
	}
}

// tape writes samples and keeps the header right.
type tape struct {
	file   File
	buf    []byte
	piece  []int16
	data   int64 // bytes written
	headed int64 // bytes that the header knows of
}

var errFull = errors.New("the file is as large as WAV allows, 4 GiB")

func (t *tape) put(gap int, samples []int16) error {
	for ; gap > 0; gap-- {
		if err := t.sample(0); err != nil {
			return err
		}
	}
	for _, s := range samples {
		if err := t.sample(s); err != nil {
			return err
		}
	}
	return nil
}

func (t *tape) sample(s int16) error {
	t.buf = append(t.buf, byte(s), byte(uint16(s)>>8))
	if len(t.buf) < cap(t.buf) {
		return nil
	}
	return t.flush()
}

func (t *tape) flush() error {
	if t.data+int64(len(t.buf)) > maxData {
		return errFull
	}
	n, err := t.file.Write(t.buf)
	t.data += int64(n)
	t.buf = t.buf[:0]
	if err != nil {
		return err
	}
	if t.data-t.headed >= syncEvery {
		return t.head()
	}
	return nil
}

// head updates the header.
func (t *tape) head() error {
	h := head(uint32(t.data))
	_, err := t.file.WriteAt(h[:], 0)
	t.headed = t.data
	return err
}

// Source is nil: a recorder sends nothing.
func (r *Recorder) Source(media.Pad) *media.Source { return nil }

// Sink is the input, for the zero Pad.
func (r *Recorder) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return r
	}
	return nil
}

// Stats notes what was recorded and what wasn't: dropped because the file was too slow, late, or in another format.
func (r *Recorder) Stats(s *media.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Note("recorder.frames", float64(r.frames))
	s.Note("recorder.dropped", float64(r.dropped))
	s.Note("recorder.late", float64(r.late))
	s.Note("recorder.ignored", float64(r.ignored))
}

// Close writes what waits, fixes the header and closes the file. It waits for the file as long as that takes. It reports
// what failed while recording, each time.
func (r *Recorder) Close() error {
	r.once.Do(func() {
		r.Detach()
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		close(r.quit)
		<-r.done
		if err := r.file.Close(); err != nil {
			r.fail = errors.Join(r.fail, fmt.Errorf("wav: close: %w", err))
		}
	})
	return r.fail
}
