package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

// file is one in memory. It can be full, and it can be slow.
type file struct {
	mu       sync.Mutex
	b        []byte
	most     int // bytes it takes; 0 = any
	held     chan struct{}
	finished bool
	closed   bool
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	at := int64(len(f.b))
	f.mu.Unlock()
	return f.WriteAt(p, at)
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	held := f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.most > 0 && at+int64(len(p)) > int64(f.most) {
		return 0, syscall.ENOSPC
	}
	if n := int(at) + len(p); n > len(f.b) {
		f.b = append(f.b, make([]byte, n-len(f.b))...)
	}
	return copy(f.b[at:], p), nil
}

func (f *file) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.b))
}

func (f *file) bytes() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.b)
}

func (f *file) Finish(context.Context) error { f.finished = true; return nil }
func (f *file) Close() error                 { f.closed = true; return nil }

// input is a file to read.
type input struct{ *bytes.Reader }

func (i input) Size() (int64, bool) { return i.Reader.Size(), true }

// stage is a recorder, its file, and what it told.
type stage struct {
	*testing.T
	*Recorder
	*file
	mu   sync.Mutex
	told []string
}

func newStage(t *testing.T, form Form) *stage {
	s := &stage{T: t, file: &file{}}
	tell := func(text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, text)
	}
	var err error
	s.Recorder, err = New(Config{Form: form, Create: func() (File, error) { return s.file, nil },
		Changed: func(st State) { tell(fmt.Sprint(st)) }, Post: func(n media.Notice) { tell(n.(media.Failed).Err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) record() {
	if err := s.Record(); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) end() {
	s.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Wait(ctx); err != nil {
		s.Error(err)
	}
	if err := s.Recorder.Close(); err != nil {
		s.Error(err)
	}
}

// read gives a recording's units and how long it says it is.
func read(t *testing.T, b []byte) (container.Reader, []container.Unit) {
	t.Helper()
	r, err := container.Open(input{bytes.NewReader(b)}, "", "")
	if err != nil {
		t.Fatalf("recording of %d bytes: %v", len(b), err)
	}
	var out []container.Unit
	for {
		var u container.Unit
		if err := r.Read(&u); errors.Is(err, io.EOF) {
			return r, out
		} else if err != nil {
			t.Fatal(err)
		}
		u.Data = bytes.Clone(u.Data)
		out = append(out, u)
	}
}

// packets are of Opus, 20 ms each, each another.
func packets(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = []byte{0x78, byte(i >> 8), byte(i), 1}
	}
	return out
}

func opusTalker() *mediatest.Talker {
	return mediatest.NewTalker(nil, &media.Format{Codec: "OPUS", Clock: 48000, Channels: 2})
}

// say sends packets in time.
func say(t *mediatest.Talker, list [][]byte) {
	for _, p := range list {
		t.Say(p)
		time.Sleep(20 * time.Millisecond)
	}
}

// All that comes is in the file, which says how long it is, and what it says is so.
func TestRecordsOpus(t *testing.T) {
	for _, form := range []Form{WebM, Matroska, MP4} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, form)
			talker := opusTalker()
			talker.Link(s)
			talker.Say([]byte{0x78, 1}) // before Record
			s.record()
			time.Sleep(3 * time.Second) // nothing comes: time begins with the first
			list := packets(250)
			say(talker, list)
			s.end()
			talker.Close()
			r, got := read(t, s.bytes())
			if d := r.Duration(); (d-5*time.Second).Abs() > time.Millisecond || len(got) != 250 {
				t.Fatalf("%s, %d units", d, len(got))
			}
			for i, u := range got {
				if !bytes.Equal(u.Data, list[i]) || u.At != time.Duration(i)*20*time.Millisecond {
					t.Fatalf("unit %d at %s is %x, want %x", i, u.At, u.Data, list[i])
				}
			}
			if !slices.Equal(s.told, []string{"1", "3", "4"}) || !s.finished {
				t.Errorf("told %q, finished %t", s.told, s.finished)
			}
			if err := r.Seek(2500 * time.Millisecond); err != nil {
				t.Error(err)
			}
			if err := s.Record(); !errors.Is(err, ErrDone) {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

// A gap in the stream, a pause of whoever sends, and another stream's beginning are silence as long as they were; Pause leaves time out.
func TestGapsAreSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, WebM)
		talker := opusTalker()
		defer talker.Close()
		talker.Link(s)
		s.record()
		say(talker, packets(50)) // 0 to 1 s
		for range 25 {           // lost
			talker.Say(nil)
			time.Sleep(20 * time.Millisecond)
		}
		say(talker, packets(25)) // 1.5 to 2 s
		time.Sleep(4 * time.Second)
		say(talker, packets(25)) // its timestamps stood still: 6 to 6.5 s
		talker.Anew()
		say(talker, packets(25)) // 6.5 to 7 s
		_ = s.Pause()
		say(talker, packets(100))
		s.record()
		say(talker, packets(50)) // 7 to 8 s
		s.end()
		r, got := read(t, s.bytes())
		if d := r.Duration(); (d - 8*time.Second).Abs() > 40*time.Millisecond {
			t.Errorf("%s, want 8s", d)
		}
		silent := 0
		for i, u := range got {
			if bytes.Equal(u.Data, container.Silence()) {
				silent++
			}
			if i > 0 && (u.At-got[i-1].At-20*time.Millisecond).Abs() > 20*time.Millisecond {
				t.Errorf("unit %d at %s after %s", i, u.At, got[i-1].At)
			}
		}
		if silent < 220 || silent > 230 {
			t.Errorf("%d units of silence, want 225", silent)
		}
		if !slices.Equal(s.told, []string{"1", "2", "1", "3", "4"}) {
			t.Errorf("told %q", s.told)
		}
	})
}

// A recording whose process was killed, here one whose bytes of a moment are taken, can be played up to a second before.
func TestKilled(t *testing.T) {
	for _, form := range []Form{WebM, Matroska, MP4, WAV} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, form)
			talker := opusTalker()
			list := packets(370)
			if form == WAV {
				talker = mediatest.NewTalker(nil, media.PCMU())
				list = mediatest.Tone(media.PCMU(), 1000, -10, 370)
			}
			talker.Link(s)
			s.record()
			say(talker, list)
			dead := s.bytes()
			talker.Close()
			s.end()
			r, got := read(t, dead)
			if d := r.Duration(); d < 5*time.Second || d > 7400*time.Millisecond || len(got) < 250 {
				t.Errorf("form %d: %s, %d units of 7.4 s", form, d, len(got))
			}
		})
	}
}

// WAV has the level of what was said.
func TestRecordsWAV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, WAV)
		talker := mediatest.NewTalker(nil, media.PCMA())
		defer talker.Close()
		talker.Link(s)
		s.record()
		list := mediatest.Tone(media.PCMA(), 1000, -10, 100)
		say(talker, list[:50])
		talker.Say(nil) // lost
		time.Sleep(20 * time.Millisecond)
		say(talker, list[51:])
		s.end()
		r, got := read(t, s.bytes())
		var sound []int16
		for _, u := range got {
			sound = append(sound, mediatest.Linear(media.L16(8000), u.Data)...)
		}
		if r.Duration() != 2*time.Second || len(sound) != 16000 {
			t.Fatalf("%s, %d samples", r.Duration(), len(sound))
		}
		if l := mediatest.Level(sound[:8000], 8000, 1000, g711.A().Peak()); math.Abs(l+10) > 0.1 {
			t.Errorf("level %.2f dBm0", l)
		}
		if slices.Max(sound[8000:8160]) != 0 {
			t.Error("what was lost isn't silence")
		}
	})
}

// A full disk, or none, is told once, what is there is kept, and what comes is let pass.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, form := range []Form{WebM, MP4, WAV} {
			s := newStage(t, form)
			s.most = 9000
			talker := opusTalker()
			list := packets(3000)
			if form == WAV {
				talker = mediatest.NewTalker(nil, media.PCMU())
				list = mediatest.Tone(media.PCMU(), 1000, -10, 3000)
			}
			talker.Link(s)
			s.record()
			say(talker, list)
			if !slices.Equal(s.told, []string{"1", "3", "recording: no space left on device", "4"}) || !s.finished {
				t.Errorf("told %q, finished %t", s.told, s.finished)
			}
			talker.Close()
			s.end()
			if form != WAV {
				if _, got := read(t, s.bytes()); len(got) < 100 {
					t.Errorf("%d units are kept", len(got))
				}
			}
		}
		s := newStage(t, WebM)
		s.cfg.Create = func() (File, error) { return nil, syscall.EROFS }
		s.record()
		s.end()
		if !slices.Equal(s.told, []string{"read-only file system", "4"}) {
			t.Errorf("told %q", s.told)
		}
	})
}

// Nothing is left of recordings: no file, no goroutine, no memory.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	fds := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	cycle := func(i int) {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i%10)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(Config{Create: func() (File, error) { return &onDisk{File: f}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		talker := opusTalker()
		talker.Link(r)
		if err := r.Record(); err != nil {
			t.Fatal(err)
		}
		for _, p := range packets(5) {
			talker.Say(p)
		}
		talker.Close()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for i := range 20 {
		cycle(i)
	}
	beforeFds, beforeRoutines, beforeHeap := fds(), runtime.NumGoroutine(), heap()
	for i := range 500 {
		cycle(i)
	}
	if n := fds(); n > beforeFds {
		t.Errorf("%d files are open, %d before", n, beforeFds)
	}
	// The last one's goroutine has said that it is done, and may not have returned yet.
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > beforeRoutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), beforeRoutines)
		}
	}
	if n := heap(); n > beforeHeap+1<<20 {
		t.Errorf("%d bytes of heap, %d before", n, beforeHeap)
	}
}

// A recorder has memory for what waits only while something comes: programs make many that nothing comes to.
func TestMemoryIsForWhatComes(t *testing.T) {
	r, err := New(Config{Video: []*media.Format{media.VideoFormat("VP8", "")}, Create: func() (File, error) { return &file{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	has := func() (sound, film bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.ring.buf != nil, r.film.ring.buf != nil
	}
	if err := r.Record(); err != nil {
		t.Fatal(err)
	}
	if s, f := has(); s || f {
		t.Error("a recorder that nothing comes to has memory for it")
	}
	talker := opusTalker()
	defer talker.Close()
	talker.Link(r)
	talker.Say(packets(1)[0])
	if s, f := has(); !s || f {
		t.Errorf("sound came: has memory for it %v, for pictures %v", s, f)
	}
	r.Stop()
	if err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, f := has(); s || f {
		t.Error("a recorder that is done has memory for what comes")
	}
}

// onDisk is a real file.
type onDisk struct {
	*os.File
	size int64
}

func (f *onDisk) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.size)
	f.size += int64(n)
	return n, err
}
func (f *onDisk) Size() int64                  { return f.size }
func (f *onDisk) Finish(context.Context) error { return f.Close() }

// The suite of sinks, with a disk that stalls.
func TestSuite(t *testing.T) {
	for _, form := range []Form{WebM, MP4, WAV} {
		mediatest.Sink(t, func() mediatest.Subject {
			f := &file{}
			r, err := New(Config{Form: form, Create: func() (File, error) { return f, nil }})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Record(); err != nil {
				t.Fatal(err)
			}
			return mediatest.Subject{Element: r, Output: f.bytes, Stall: func() func() {
				held := make(chan struct{})
				f.mu.Lock()
				f.held = held
				f.mu.Unlock()
				return func() {
					f.mu.Lock()
					f.held = nil
					f.mu.Unlock()
					close(held)
				}
			}}
		})
	}
}
