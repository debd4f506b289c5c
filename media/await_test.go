package media_test

import (
	"sync"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// A source and a sink tell of the next frame once, and awaiting disturbs no stream.
func TestAwait(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	reg, _ := counting()
	s := mediatest.NewTalker(reg, u)
	defer s.Close()
	k := mediatest.NewRecorder(a)
	var out, in []*media.Format
	toOut, toIn := func(p media.Passed) { out = append(out, p.Format) }, func(p media.Passed) { in = append(in, p.Format) }
	say := func() { s.Say(make([]byte, 160)) }

	s.Await(toOut)
	say() // nobody takes it
	if len(out) != 1 || out[0] != u {
		t.Fatalf("a source without sinks told %v", out)
	}
	media.Await(k, toIn)
	s.Link(k)
	say()
	say()
	if len(out) != 1 || len(in) != 1 || in[0] != k.Caps().Formats[0] {
		t.Fatalf("told out %v, in %v", out, in)
	}
	epoch := k.Frames()[1].Epoch
	media.Await(k, toIn)
	media.Await(k, toIn)
	say()
	media.Await(k, toIn)
	media.Await(k, nil)
	say()
	if len(in) != 2 {
		t.Errorf("the sink told %d times, want twice", len(in))
	}
	for i, f := range k.Frames() {
		if f.Epoch != epoch {
			t.Errorf("frame %d begins a stream", i)
		}
	}
	media.Await(k, toIn)
	s.Anew()
	say()
	frames := k.Frames()
	if f := frames[len(frames)-1]; f.Epoch == epoch || len(in) != 3 {
		t.Errorf("another stream: epoch %d was %d, told %d times", f.Epoch, epoch, len(in))
	}
	media.Await(k, toIn)
	s.Unlink(k)
	s.Link(k)
	say()
	frames = k.Frames()
	if f := frames[len(frames)-1]; f.Epoch != epoch+2 || len(in) != 4 {
		t.Errorf("linked anew: epoch %d was %d, told %d times", f.Epoch, epoch, len(in))
	}
	s.Await(toOut)
	s.Await(nil)
	say()
	if len(out) != 1 {
		t.Errorf("a source that nobody awaits told %d times", len(out))
	}
}

// Awaiting again and again costs the packet path no allocation, and is safe beside it.
func TestAwaitBesideFrames(t *testing.T) {
	send, sinks := path(media.PCMU())
	var mu sync.Mutex
	n := 0
	do := func(media.Passed) { mu.Lock(); n++; mu.Unlock() }
	var wait sync.WaitGroup
	wait.Go(func() {
		for range 2000 {
			media.Await(sinks[0], do)
		}
	})
	for range 2000 {
		send()
	}
	wait.Wait()
	media.Await(sinks[0], do)
	send()
	mu.Lock()
	defer mu.Unlock()
	if n == 0 {
		t.Error("nothing was told")
	}
	media.Await(sinks[0], func(media.Passed) {})
	if a := testing.AllocsPerRun(200, send); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// A codec that was asked for is sent to those who take it, though they take what there is, and to nobody else.
func TestSetCodec(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	reg, _ := counting()
	s := mediatest.NewTalker(reg, u)
	defer s.Close()
	both, only := mediatest.NewRecorder(u, a), mediatest.NewRecorder(u)
	s.Link(both)
	s.Link(only)
	say := func() (x, y string) {
		s.Say(make([]byte, 160))
		f, g := both.Frames(), only.Frames()
		return f[len(f)-1].Format.Codec, g[len(g)-1].Format.Codec
	}
	for _, c := range []struct {
		codec, both string
		converts    int
	}{{"", "PCMU", 0}, {"PCMA", "PCMA", 1}, {"OPUS", "PCMU", 0}, {"PCMU", "PCMU", 0}, {"PCMA", "PCMA", 1}, {"", "PCMU", 0}} {
		s.SetCodec(c.codec)
		if x, y := say(); x != c.both || y != "PCMU" {
			t.Errorf("codec %q: %s and %s come", c.codec, x, y)
		}
		if relayed, converted := s.Ways(u); converted != c.converts || relayed+converted != 2 {
			t.Errorf("codec %q: %d relayed, %d converted", c.codec, relayed, converted)
		}
	}
	for _, f := range []*media.Format{a, nil} {
		if relayed, converted := s.Ways(f); relayed+converted != 0 {
			t.Errorf("%s, which it doesn't have, goes %d ways", f, relayed+converted)
		}
	}
}
