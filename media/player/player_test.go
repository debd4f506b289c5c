package player

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/resample"
)

// file is one in memory.
type file struct{ *bytes.Reader }

func (f file) Size() (int64, bool) { return f.Reader.Size(), true }

type opened struct {
	container.Reader
	closed func()
}

func (o opened) Close() error {
	if o.closed != nil {
		o.closed()
	}
	return nil
}

// wave is a WAV of a tone at -10 dBm0.
func wave(rate, channels int, hz float64, length time.Duration) []byte {
	n := int(length * time.Duration(rate) / time.Second)
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, uint32(36+n*channels*2))...)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00"...)
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(rate*channels*2))
	b = le.AppendUint16(b, uint16(channels*2))
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(n*channels*2))
	peak := g711.A().Peak() * math.Pow(10, -0.5)
	for i := range n {
		for range channels {
			b = le.AppendUint16(b, uint16(int16(peak*math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))))
		}
	}
	return b
}

// stage is a player in time that a test owns, and what it told.
type stage struct {
	*testing.T
	*Player
	clock *media.Clock
	reg   *media.Registry
	mu    sync.Mutex
	told  []string
}

func newStage(t *testing.T, ahead time.Duration, open func(ctx context.Context) (Stream, error)) *stage {
	reg := media.NewRegistry()
	s := &stage{T: t, clock: media.NewClock(), reg: reg}
	reg.Register(g711.Conversions()...)
	reg.Register(resample.Conversions()...)
	tell := func(format string, args ...any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, fmt.Sprintf(format, args...))
	}
	var err error
	s.Player, err = New(Config{Open: open, Ahead: ahead, Clock: s.clock, Registry: reg, Changed: func(st State) { tell("state %d", st) },
		Post: func(n media.Notice) {
			if f, ok := n.(media.Failed); ok {
				tell("failed: %v", f.Err)
				return
			}
			if l, ok := n.(media.Lacks); ok {
				tell("lacks: %v", l.Err)
				return
			}
			tell("%T", n)
		}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) close() {
	if err := s.Player.Close(); err != nil {
		s.Error(err)
	}
	s.clock.Close()
	if err := s.reg.Close(); err != nil {
		s.Error(err)
	}
}

func (s *stage) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.told
	s.told = nil
	return out
}

func opens(b []byte, name string) func(context.Context) (Stream, error) {
	return func(context.Context) (Stream, error) {
		r, err := container.Open(file{bytes.NewReader(b)}, name, "")
		return opened{Reader: r}, err
	}
}

// A file plays once, in time, at its level, and can be played again; its end is told after its state.
func TestPlaysWAV(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 44100, 48000} {
		for channels := 1; channels <= 2; channels++ {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, 0, opens(wave(rate, channels, 1000, 1010*time.Millisecond), "a.wav"))
				defer s.close()
				r := mediatest.NewRecorder(media.PCMA())
				s.Source(media.Pad{}).Link(r)
				for again := range 2 {
					r.Forget()
					begin := time.Now()
					if err := s.Play(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(500 * time.Millisecond)
					if at := s.Position(); at < 440*time.Millisecond || at > 500*time.Millisecond {
						t.Errorf("after 500 ms at %s", at)
					}
					time.Sleep(700 * time.Millisecond)
					if got := s.heard(); !slices.Equal(got, []string{"state 1", "state 0", "media.Ended"}) {
						t.Fatalf("%d Hz, time %d: told %q", rate, again, got)
					}
					times := r.Times()
					if last := times[len(times)-1].Sub(begin); last < 980*time.Millisecond || last > 1100*time.Millisecond {
						t.Errorf("last frame after %s", last)
					}
					var sound []int16
					for i, f := range r.Frames() {
						sound = append(sound, mediatest.Linear(media.PCMA(), f.Payload)...)
						if f.Timestamp-r.Frames()[0].Timestamp != uint32(160*i) || f.Sequence-r.Frames()[0].Sequence != uint16(i) || f.Marker != (i == 0) {
							t.Fatalf("%d Hz, %d channels, time %d, frame %d of %d: %d %d %t", rate, channels, again, i, r.Len(), f.Timestamp, f.Sequence, f.Marker)
						}
					}
					if n := len(sound); n < 8000 || n > 8160 {
						t.Errorf("%d Hz: %d samples, want 8080", rate, n)
					}
					if l := mediatest.Level(sound[800:7200], 8000, 1000, g711.A().Peak()); math.Abs(l+10) > 0.2 {
						t.Errorf("%d Hz, %d channels: level %.2f dBm0, want -10", rate, channels, l)
					}
				}
			})
		}
	}
}

// Codes of a law are played as they are to sinks of that law.
func TestPlaysRawCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codes := make([]byte, 1000)
		for i := range codes {
			codes[i] = byte(i)
		}
		s := newStage(t, 0, opens(codes, "x.ulaw"))
		defer s.close()
		r := mediatest.NewRecorder(media.PCMU())
		s.Source(media.Pad{}).Link(r)
		if err := s.Play(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if !bytes.Equal(r.Audio(), codes) {
			t.Errorf("%d codes are played otherwise: %d", len(codes), len(r.Audio()))
		}
	})
}

// Pause stands still and goes on; before Play it makes ready; Seek goes on elsewhere, paused or not, and after the last was read.
func TestPauseAndSeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codes := make([]byte, 16000)
		for i := range codes {
			codes[i] = byte(i / 160)
		}
		s := newStage(t, 0, opens(codes, "x.ulaw"))
		defer s.close()
		r := mediatest.NewRecorder(media.PCMU())
		s.Source(media.Pad{}).Link(r)
		if err := s.Seek(t.Context(), 300*time.Millisecond); err != nil || s.Position() != 300*time.Millisecond {
			t.Errorf("seek before play: %v, at %s", err, s.Position())
		}
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s.Position() != 300*time.Millisecond {
			t.Errorf("sought before play, at %s", s.Position())
		}
		if i := s.Info(); i != (Info{true, 2 * time.Second, true}) || r.Len() != 0 || s.State() != Paused {
			t.Errorf("paused: %+v, %d frames, state %d", i, r.Len(), s.State())
		}
		if err := s.Seek(t.Context(), time.Second); err != nil || s.Position() != time.Second {
			t.Errorf("seek: %v, at %s", err, s.Position())
		}
		_ = s.Play()
		_ = s.Play()
		time.Sleep(500 * time.Millisecond)
		_ = s.Pause()
		n := r.Len()
		if f := r.Frames(); n < 23 || n > 25 || f[0].Payload[0] != 50 || f[n-1].Payload[0] != byte(50+n-1) {
			t.Fatalf("%d frames, from %d to %d", n, f[0].Payload[0], f[n-1].Payload[0])
		}
		time.Sleep(5 * time.Second)
		if r.Len() != n {
			t.Errorf("%d frames came while it paused", r.Len()-n)
		}
		if err := s.Seek(t.Context(), 200*time.Millisecond); err != nil {
			t.Error(err)
		}
		_ = s.Play()
		time.Sleep(3 * time.Second)
		f := r.Frames()
		if len(f) != n+90 || f[n].Payload[0] != 10 || f[n].Epoch == f[n-1].Epoch || f[len(f)-1].Payload[0] != 99 {
			t.Errorf("%d frames after the second seek, the first is %d", len(f)-n, f[n].Payload[0])
		}
		if got := s.heard(); !slices.Equal(got, []string{"state 2", "state 1", "state 2", "state 1", "state 0", "media.Ended"}) {
			t.Errorf("told %q", got)
		}
	})
}

// slow is a stream whose reads wait for a test.
type slow struct {
	container.Reader
	give chan error // nil lets a read through
	end  chan struct{}
	once sync.Once
}

func (s *slow) Read(u *container.Unit) error {
	select {
	case err, ok := <-s.give:
		if err != nil {
			return err
		}
		if !ok {
			return io.ErrUnexpectedEOF
		}
		return s.Reader.Read(u)
	case <-s.end:
		return ErrClosed
	}
}

func (s *slow) Close() error {
	s.once.Do(func() { close(s.end) })
	return nil
}

// A stream that gets slow makes the player wait, until Ahead is there again, and nothing is lost; one that breaks off is told
// once all that came is played.
func TestSlowStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		give := make(chan error, 1000)
		s := newStage(t, 200*time.Millisecond, func(context.Context) (Stream, error) {
			r, err := container.Open(file{bytes.NewReader(make([]byte, 160000))}, "x.ulaw", "")
			return &slow{Reader: r, give: give, end: make(chan struct{})}, err
		})
		defer s.close()
		r := mediatest.NewRecorder(media.PCMU())
		s.Source(media.Pad{}).Link(r)
		feed := func(n int) {
			for range n {
				give <- nil
			}
		}
		_ = s.Play()
		feed(9)
		time.Sleep(time.Second)
		if r.Len() != 0 {
			t.Errorf("%d frames before 200 ms were there", r.Len())
		}
		feed(1)
		time.Sleep(time.Second)
		if r.Len() != 10 {
			t.Errorf("%d of 10 frames", r.Len())
		}
		feed(5)
		time.Sleep(time.Second)
		if r.Len() != 10 {
			t.Errorf("%d frames though it waits for 200 ms again", r.Len())
		}
		feed(20)
		close(give)
		time.Sleep(time.Second)
		if r.Len() != 35 {
			t.Errorf("%d of 35 frames", r.Len())
		}
		times, first := r.Times(), r.Frames()[0]
		for i, f := range r.Frames() {
			if by := time.Duration(f.Timestamp-first.Timestamp) * time.Second / 8000; (by - times[i].Sub(times[0])).Abs() > 20*time.Millisecond {
				t.Errorf("frame %d has a timestamp of %s, %s after the first", i, by, times[i].Sub(times[0]))
			}
			if f.Marker != (i == 0 || i == 10) {
				t.Errorf("frame %d: marker %t", i, f.Marker)
			}
		}
		if got := s.heard(); !slices.Equal(got, []string{"state 1", "state 0", "failed: unexpected EOF"}) {
			t.Errorf("told %q", got)
		}
		var n media.Snapshot
		s.Stats(&n)
		if n.Notes["player.frames"] != 35 || n.Notes["player.starved"] < 100 {
			t.Errorf("notes %v", n.Notes)
		}
	})
}

// What can't be opened is an error that is told, paused or not; what hangs is left by Stop and by Close.
func TestWhatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("no such thing")
		for name, open := range map[string]func(context.Context) (Stream, error){
			"failed: no such thing": func(context.Context) (Stream, error) { return nil, bad },
			"failed: no such thing ": func(context.Context) (Stream, error) {
				time.Sleep(time.Second)
				return nil, bad
			},
			`failed: player: nothing in it can be played: it has ["A_VORBIS"]`: func(context.Context) (Stream, error) { return opened{Reader: foreign{}}, nil },
		} {
			for _, start := range []func(*stage) error{func(s *stage) error { return s.Play() }, func(s *stage) error { return s.Pause() }} {
				s := newStage(t, 0, open)
				if err := start(s); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * time.Second)
				got := s.heard()
				if len(got) == 0 || got[len(got)-1] != name && got[len(got)-1]+" " != name || s.State() != Stopped {
					t.Errorf("%s: told %q, state %d", name, got, s.State())
				}
				s.close()
			}
		}
		hang := func(ctx context.Context) (Stream, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s := newStage(t, 0, hang)
		_ = s.Play()
		time.Sleep(time.Second)
		s.Stop()
		_ = s.Play()
		s.close()
		if err := s.Play(); !errors.Is(err, ErrClosed) {
			t.Errorf("play of a closed player: %v", err)
		}
		if got := s.heard(); !slices.Equal(got, []string{"state 1", "state 0", "state 1", "state 0"}) {
			t.Errorf("told %q", got)
		}
	})
}

type foreign struct{ container.Reader }

func (foreign) Tracks() []container.Track { return []container.Track{{Name: "A_VORBIS"}} }

// The suite of elements.
func TestElement(t *testing.T) {
	clock := media.NewClock()
	defer clock.Close()
	reg := media.NewRegistry()
	reg.Register(g711.Conversions()...)
	mediatest.Element(t, func() (media.Element, func()) {
		p, err := New(Config{Open: opens(wave(8000, 1, 1000, time.Hour/60), "a.wav"), Clock: clock, Registry: reg})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Play(); err != nil {
			t.Fatal(err)
		}
		return p, nil
	})
}
