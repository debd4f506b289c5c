// Package recorder is an element that records what it hears, and sees, to a file of WebM, Matroska, MP4, FLV or WAV. Its file is as long as the
// time in which there was something: of what is heard that which is missing in between, a muted track or lost packets, is silence; of
// what is seen pictures are left out that can't be decoded. Both have one clock.
package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/pcm"
)

// File is where a recording goes.
type File interface {
	container.Output
	// Finish makes what was written last, where it is wanted; it may take long, and gives up when ctx ends.
	Finish(ctx context.Context) error
	// Close leaves it as it is.
	Close() error
}

// Form of a recording.
type Form uint8

const (
	WebM     Form = iota // Opus; VP8, VP9
	Matroska             // Opus; VP8, VP9, H264, H265, AV1
	WAV                  // 16 bits at 8 kHz; no video
	MP4                  // Opus; VP9, H264, H265, AV1
	FLV                  // G.711 µ-law; H264
)

// Config of a recorder.
type Config struct {
	Form   Form
	Video  []*media.Format      // of the form's codecs, best first; nil = none. What comes first is the recording's codec
	Silent bool                 // video alone
	Create func() (File, error) // makes the file; it is called by Record, once
	// Behind does something that may take long, beside, and awaits its end; nil = Close does.
	Behind func(do func(ctx context.Context))
	// Post is told media.Failed when the file can't be made or written; what was recorded until then is kept. Changed is told each
	// other state, Done once all that could be saved is. Each may be nil; none blocks or calls the recorder.
	Post    func(media.Notice)
	Changed func(State)
}

// State of a recorder.
type State uint8

const (
	Idle State = iota
	Recording
	Paused
	Stopping // the file is being finished
	Done     // for good
)

// Errors.
var (
	ErrDone  = errors.New("recorder: has recorded already")
	ErrWrite = errors.New("recording") // can't be written, or sent; the cause comes with it
)

// Recorder is the element.
type Recorder struct {
	media.Inlet
	cfg  Config
	caps *media.Caps
	in   *pcm.In // WAV's
	film *film   // nil: no video

	control sync.Mutex // one of Record, Pause, Stop and Close at a time
	wake    chan struct{}
	quit    chan struct{}
	done    chan struct{} // closed when all is saved
	writer  sync.WaitGroup
	behind  sync.WaitGroup

	mu      sync.Mutex
	state   State
	origin  origin
	line    timeline
	ring    ring
	frames  uint64
	late    uint64
	ignored uint64
}

// New makes a recorder.
func New(cfg Config) (*Recorder, error) {
	if cfg.Create == nil {
		return nil, errors.New("recorder: needs a file")
	}
	r := &Recorder{cfg: cfg, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	r.line.origin = &r.origin
	if len(cfg.Video) > 0 {
		for _, f := range cfg.Video {
			if !cfg.Form.holds(f) {
				return nil, fmt.Errorf("recorder: the form doesn't hold %s", f)
			}
		}
		r.film = &film{r: r, caps: &media.Caps{Formats: cfg.Video}, line: timeline{origin: &r.origin}}
	} else if cfg.Silent {
		return nil, errors.New("recorder: neither sound nor video")
	}
	switch cfg.Form {
	case WAV:
		r.in = pcm.NewIn()
		r.caps = r.in.Caps()
	case FLV:
		r.caps = &media.Caps{Formats: []*media.Format{media.PCMU()}}
	default:
		r.caps = &media.Caps{Formats: []*media.Format{{Codec: "OPUS", Clock: 48000, Channels: 2}}}
	}
	return r, nil
}

// holds reports whether the form has video of a codec.
func (form Form) holds(f *media.Format) bool {
	switch f.Codec {
	case "VP8":
		return form == WebM || form == Matroska
	case "VP9", "H265", "AV1":
		return form == Matroska || form == MP4 || form == WebM && f.Codec == "VP9"
	case "H264":
		return form == Matroska || form == MP4 || form == FLV
	}
	return false
}

// silence is 20 ms in which nothing is heard, as the form has it.
func (form Form) silence() []byte {
	if form == FLV {
		return bytes.Repeat([]byte{0xff}, 160) // G.711
	}
	return container.Silence()
}

// Record begins, or goes on after Pause. After Stop it fails with ErrDone.
func (r *Recorder) Record() error {
	r.control.Lock()
	defer r.control.Unlock()
	r.mu.Lock()
	state := r.state
	if state == Paused {
		r.resume()
		r.become(Recording)
	}
	r.mu.Unlock()
	switch {
	case state == Paused:
		r.look()
		return nil
	case state == Recording:
		return nil
	case state != Idle:
		return ErrDone
	}
	file, err := r.cfg.Create()
	if err == nil {
		var w container.Writer
		if w, err = r.begin(file); err == nil {
			r.mu.Lock()
			r.become(Recording)
			r.mu.Unlock()
			r.look()
			r.writer.Go(func() { r.write(file, w) })
			return nil
		}
		err = errors.Join(err, file.Close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail(err)
	r.become(Done)
	close(r.done)
	return nil
}

// resume has what comes next follow what was recorded last. The lock is held.
func (r *Recorder) resume() {
	r.origin.begun, r.line.joined = false, false
	if m := r.film; m != nil {
		m.line.joined, m.open = false, false
		r.origin.next = max(r.origin.next, m.line.next+m.line.step)
	}
}

// look asks for a picture to begin with.
func (r *Recorder) look() {
	if r.film != nil {
		r.film.Upstream(media.Feedback{Kind: media.KeyFrame})
	}
}

// describer is a writer whose tracks can be described when they begin.
type describer interface {
	Describe(i int, t container.Track) error
}

// begin writes what stands at the beginning of a file.
func (r *Recorder) begin(f File) (container.Writer, error) {
	if r.cfg.Form == WAV {
		return container.NewWAV(f, pcm.Rate)
	}
	tracks := make([]container.Track, 2) // video's is described when it is known
	if !r.cfg.Silent {
		tracks[audioTrack].Format = r.caps.Formats[0]
	}
	switch r.cfg.Form {
	case MP4:
		return container.NewMP4(f, tracks)
	case FLV:
		return container.NewFLV(f, tracks)
	}
	return container.NewMatroska(f, r.cfg.Form == WebM, tracks)
}

// Pause lets what comes pass by, and time with it.
func (r *Recorder) Pause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == Recording {
		r.become(Paused)
	}
	return nil
}

// Stop ends the recording; the file is finished soon.
func (r *Recorder) Stop() {
	r.control.Lock()
	defer r.control.Unlock()
	r.stop()
}

func (r *Recorder) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.state {
	case Idle:
		r.become(Done)
		close(r.done)
	case Recording, Paused:
		r.become(Stopping)
		close(r.quit)
	}
}

// Wait waits until the recording is saved, or given up.
func (r *Recorder) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// State is the recorder's now.
func (r *Recorder) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// become changes the state and tells; the lock is held.
func (r *Recorder) become(s State) {
	if r.state == s {
		return
	}
	r.state = s
	if r.cfg.Changed != nil {
		r.cfg.Changed(s)
	}
}

func (r *Recorder) fail(err error) {
	if r.cfg.Post != nil {
		r.cfg.Post(media.Failed{Err: err})
	}
}

// Caps is what the form holds.
func (r *Recorder) Caps() *media.Caps { return r.caps }

// Push puts a frame into the ring; where that is full the oldest give way, and are silence in the file.
func (r *Recorder) Push(f *media.Frame) {
	length := container.Length(f.Format, f.Payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state != Recording:
		return
	case f.Kind != media.Audio || length <= 0 || length > 200*time.Millisecond || len(f.Payload) > largest || r.caps.Find(f.Format) != f.Format:
		r.ignored++
		return
	}
	at, ok := r.line.take(f, length, time.Now())
	if !ok {
		r.late++
		return
	}
	r.frames++
	if r.ring.buf == nil {
		r.ring.init(slots, arena)
	}
	if r.ring.put(at, f) >= batch {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// Source is nil: a recorder sends nothing.
func (r *Recorder) Source(media.Pad) *media.Source { return nil }

// Sink is the input of audio, or of video.
func (r *Recorder) Sink(p media.Pad) media.Sink {
	switch {
	case p == media.Pad{} && !r.cfg.Silent:
		return r
	case p == media.Pad{Kind: media.Video} && r.film != nil:
		return r.film
	}
	return nil
}

// Stats notes what was recorded and what wasn't: dropped because the file was too slow, late, or not what the form holds.
func (r *Recorder) Stats(s *media.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Note("recorder.frames", float64(r.frames))
	dropped := r.ring.dropped
	if r.film != nil {
		dropped += r.film.ring.dropped
	}
	s.Note("recorder.dropped", float64(dropped))
	s.Note("recorder.late", float64(r.late))
	s.Note("recorder.ignored", float64(r.ignored))
}

// Close stops. What is on its way to a server goes on its way.
func (r *Recorder) Close() error {
	r.control.Lock()
	defer r.control.Unlock()
	r.Detach()
	if r.film != nil {
		r.film.Detach()
	}
	r.stop()
	r.writer.Wait()
	r.behind.Wait()
	return nil
}

// write is the goroutine that waits for the file.
func (r *Recorder) write(file File, w container.Writer) {
	t := tape{r: r, w: w}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var err error
	for end := false; !end && err == nil; {
		flush := false
		select {
		case <-r.wake:
		case <-tick.C:
			flush = true
		case <-r.quit:
			end = true
		}
		if err = t.drain(end); err == nil && flush {
			err = w.Flush()
		}
	}
	if err == nil {
		err = t.close()
	}
	if err != nil {
		r.broken(fmt.Errorf("%w: %w", ErrWrite, err))
	}
	r.finish(file)
}

// broken says that the file takes no more.
func (r *Recorder) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != Stopping {
		r.become(Stopping)
	}
	r.fail(err)
}

// finish saves the file, and tells when that is done.
func (r *Recorder) finish(file File) {
	do := func(ctx context.Context) {
		err := file.Finish(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.fail(fmt.Errorf("%w: %w", ErrWrite, err))
		}
		r.ring.free()
		if r.film != nil {
			r.film.ring.free()
		}
		r.become(Done)
		close(r.done)
	}
	if r.cfg.Behind != nil {
		r.cfg.Behind(do)
		return
	}
	r.behind.Go(func() { do(context.Background()) })
}
