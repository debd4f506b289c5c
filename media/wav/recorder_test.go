package wav

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

// disk is a file in memory that can stall and fail.
type disk struct {
	gate sync.Mutex // held while stalled
	mu   sync.Mutex
	b    []byte
	fail error
	shut int
}

func (d *disk) Write(b []byte) (int, error) {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return 0, d.fail
	}
	d.b = append(d.b, b...)
	return len(b), nil
}

func (d *disk) WriteAt(b []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return copy(d.b[at:], b), d.fail
}

func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut++
	return nil
}

func (d *disk) bytes() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.b)
}

func record(t *testing.T, d File, f *media.Format) (*Recorder, *mediatest.Talker) {
	t.Helper()
	r, err := NewRecorder(RecorderConfig{File: d})
	if err != nil {
		t.Fatal(err)
	}
	s := mediatest.NewTalker(nil, f)
	s.Link(r)
	return r, s
}

func TestRecordsToAFile(t *testing.T) {
	for _, f := range []*media.Format{media.PCMU(), media.PCMA(), media.L16(8000)} {
		path := filepath.Join(t.TempDir(), "call.wav")
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		r, s := record(t, out, f)
		said := mediatest.Tone(f, 440, -10, 60)
		for _, p := range said {
			s.Say(p)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatalf("second close: %v", err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := head(60 * 320); !bytes.Equal(b[:header], want[:]) || len(b) != header+60*320 {
			t.Errorf("%s: %d bytes, header %x", f, len(b), b[:header])
		}
		var samples []int16
		for _, p := range said {
			samples = append(samples, mediatest.Linear(f, p)...)
		}
		got, err := Read(bytes.NewReader(b))
		if err != nil || !bytes.Equal(got.a, FromSamples(samples).a) {
			t.Errorf("%s: what was recorded isn't what was said: %v", f, err)
		}
	}
}

// A recording that was never closed can be played to its last second.
func TestPlayableAfterAKill(t *testing.T) {
	d := new(disk)
	r, s := record(t, d, media.PCMU())
	defer r.Close()
	tone := mediatest.Tone(media.PCMU(), 440, -10, 1)[0]
	for i := range 150 { // 3 s
		s.Say(tone)
		if i%batch == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	var got *Clip
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		b := d.bytes()
		n := int(b[40]) | int(b[41])<<8 | int(b[42])<<16
		if n > len(b)-header {
			t.Fatalf("the header knows of %d bytes, there are %d", n, len(b)-header)
		}
		if got, _ = Read(bytes.NewReader(b)); got != nil && got.Duration() >= 2*time.Second {
			break
		}
	}
	if got == nil {
		t.Fatal("a recording of 3 s, killed, can't be read")
	}
	if got.Duration() < 2*time.Second || !bytes.Equal(got.mu[:160], tone) {
		t.Errorf("a recording of 3 s, killed, has %v", got.Duration())
	}
}

func TestWhatDidNotComeIsSilence(t *testing.T) {
	d := new(disk)
	r, err := NewRecorder(RecorderConfig{File: d})
	if err != nil {
		t.Fatal(err)
	}
	u := media.PCMU()
	s := media.NewSource(nil, nil)
	s.SetFormats(u)
	s.Link(r)
	loud := bytes.Repeat([]byte{0x80}, 160)
	for _, f := range []struct{ ts, epoch uint32 }{
		{0xffffff60, 1}, {0, 1}, // goes on across the wrap
		{480, 1},              // 320 samples are missing
		{160, 1},              // late: dropped
		{640, 1}, {777777, 2}, // another stream: nothing is missing
	} {
		s.Send(&media.Frame{Format: u, Payload: loud, Timestamp: f.ts, Epoch: f.epoch})
	}
	var sn media.Snapshot
	r.Stats(&sn)
	r.Close()
	c, err := Read(bytes.NewReader(d.b))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Join([][]byte{loud, loud, bytes.Repeat([]byte{0xff}, 320), loud, loud, loud}, nil)
	if !bytes.Equal(c.mu, want) || sn.Notes["recorder.late"] != 1 {
		t.Errorf("%d samples, want %d; counts %v", len(c.mu), len(want), sn.Notes)
	}
}

// While the disk stalls the oldest frames are lost, and they become silence: the end stands where it should.
func TestAStalledDiskKeepsTime(t *testing.T) {
	d := new(disk)
	r, s := record(t, d, media.PCMA())
	d.gate.Lock()
	said := mediatest.Tone(media.PCMA(), 440, -10, 300)
	for i, p := range said {
		s.Say(p)
		if i == 20 {
			time.Sleep(20 * time.Millisecond) // the writer is in the stall by now
		}
	}
	var sn media.Snapshot
	r.Stats(&sn)
	d.gate.Unlock()
	r.Close()
	c, err := Read(bytes.NewReader(d.b))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.a) != 300*160 || sn.Notes["recorder.dropped"] < 200 || sn.Notes["recorder.frames"] != 300 {
		t.Fatalf("%d samples, want %d; counts %v", len(c.a), 300*160, sn.Notes)
	}
	samples := g711.A().Decode(nil, c.a)
	if l := mediatest.Level(samples[len(samples)-ring*160:], 8000, 440, g711.A().Peak()); math.Abs(l+10) > 0.1 {
		t.Errorf("the end has %.2f dBm0, want -10", l)
	}
	if l := mediatest.Level(samples[100*160:200*160], 8000, 440, g711.A().Peak()); l > -60 {
		t.Errorf("what was dropped has %.2f dBm0, want silence", l)
	}
}

func TestABrokenDiskIsTold(t *testing.T) {
	d := new(disk)
	told := make(chan media.Notice, 10)
	r, err := NewRecorder(RecorderConfig{File: d, Post: func(n media.Notice) { told <- n }})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	d.mu.Lock()
	d.fail = full
	d.mu.Unlock()
	s := mediatest.NewTalker(nil, media.PCMU())
	s.Link(r)
	for range 2 * batch {
		s.Say(make([]byte, 160))
	}
	select {
	case n := <-told:
		if f, ok := n.(media.Failed); !ok || !errors.Is(f.Err, full) {
			t.Errorf("told %+v", n)
		}
	case <-time.After(2 * time.Second):
		t.Error("nothing was told")
	}
	s.Say(make([]byte, 160))
	if err := r.Close(); !errors.Is(err, full) {
		t.Errorf("close: %v", err)
	}
	if len(told) != 0 || d.shut != 1 {
		t.Errorf("told again, or closed %d times", d.shut)
	}
	if _, err := NewRecorder(RecorderConfig{File: d}); !errors.Is(err, full) {
		t.Errorf("a recorder on a broken disk: %v", err)
	}
	if _, err := NewRecorder(RecorderConfig{}); err == nil {
		t.Error("a recorder without a file")
	}
}

func TestRecorderConforms(t *testing.T) {
	mediatest.Sink(t, func() mediatest.Subject {
		d := new(disk)
		r, err := NewRecorder(RecorderConfig{File: d})
		if err != nil {
			t.Fatal(err)
		}
		return mediatest.Subject{
			Element: r,
			Stall:   func() func() { d.gate.Lock(); return d.gate.Unlock },
			Output:  d.bytes,
		}
	})
}
