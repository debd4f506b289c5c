package media_test

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// Frames go through as they come, whatever they are, to sinks that were linked before or after.
func TestThrough(t *testing.T) {
	video := &media.Format{Kind: media.Video, Codec: "VP8", Clock: 90000, Channels: 1}
	for _, f := range []*media.Format{media.PCMU(), video, {Kind: media.Data, Codec: "TEXT", Clock: 1000, Channels: 1}, media.TelephoneEvent(8000)} {
		s := mediatest.NewTalker(nil, f)
		one, two := media.NewThrough(nil), media.NewThrough(nil)
		before, after := mediatest.NewRecorder(f), mediatest.NewRecorder(f)
		one.Out().Link(two)
		two.Out().Link(before)
		if one.Caps() != nil {
			t.Errorf("%s: takes %v without a source", f, one.Caps().Formats)
		}
		s.Link(one)
		two.Out().Link(after)
		s.Say([]byte("what there is"))
		for _, r := range []*mediatest.Recorder{before, after} {
			frames := r.Frames()
			if len(frames) != 1 || string(frames[0].Payload) != "what there is" || frames[0].Sequence != 1000 {
				t.Errorf("%s: %v came out", f, frames)
			}
		}
		s.Unlink(one)
		if one.Caps() != nil || len(two.Out().Formats()) != 0 {
			t.Errorf("%s: unlinked, it still takes %v", f, one.Caps())
		}
		s.Close()
		for _, e := range []*media.Through{one, two} {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// What a source can say is chosen by who hears it in the end, across as many pads as there are, also when that changes.
func TestThroughPrefers(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	reg, made := counting()
	s := media.NewSource(reg, nil)
	s.SetFormats(u, a)
	defer s.Close()
	one, two := media.NewThrough(reg), media.NewThrough(reg)
	s.Link(one)
	one.Out().Link(two)
	wants := func(want *media.Format) {
		t.Helper()
		if got := s.Wanted(); got != want {
			t.Errorf("wanted is %s, want %s", got, want)
		}
	}
	wants(u)
	k := mediatest.NewRecorder(a)
	two.Out().Link(k)
	wants(a)
	s.Send(&media.Frame{Format: a, Payload: make([]byte, 160)})
	s.Send(&media.Frame{Format: u, Payload: make([]byte, 160)})
	if n := k.Len(); n != 2 || made.Load() != 1 {
		t.Errorf("%d frames came by %d converters, want 2 by 1", n, made.Load())
	}
	k2, k3 := mediatest.NewRecorder(u), mediatest.NewRecorder(u)
	two.Out().Link(k2)
	two.Out().Link(k3)
	wants(u)
	two.Out().Unlink(k2)
	two.Out().Unlink(k3)
	wants(a)
	s.SetFormats(u)
	wants(u)
	if caps := two.Caps(); caps == nil || len(caps.Formats) != 1 || caps.Formats[0] != u {
		t.Errorf("two takes %v", caps)
	}
}

// Pads that form circles come to rest, in any order of linking, and frames end there.
func TestThroughCircles(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	s := mediatest.NewTalker(nil, u)
	defer s.Close()
	one, two := media.NewThrough(nil), media.NewThrough(nil)
	k := mediatest.NewRecorder(a, u)
	one.Out().Link(two)
	one.Out().Link(k)
	two.Out().Link(one)
	s.Link(one)
	s.Say(make([]byte, 160))
	two.Out().Link(one) // takes the source's place
	s.SetFormats(a)
	s.Say(make([]byte, 160))
	if n := k.Len(); n != 1 {
		t.Errorf("%d frames came out, want 1", n)
	}
	self := media.NewThrough(nil)
	self.Out().Link(self)
	s.Link(self)
	self.Out().Link(self)
	for _, e := range []*media.Through{one, two, self} {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		s.Link(e)
		if e.Caps() != nil {
			t.Error("a closed pad takes something")
		}
	}
}

// Feedback goes upstream, and an override's formats go down.
func TestThroughFeedbackAndOverride(t *testing.T) {
	u, a := media.PCMU(), media.PCMA()
	reg, _ := counting()
	s, other := mediatest.NewTalker(reg, u), mediatest.NewTalker(reg, a)
	defer s.Close()
	defer other.Close()
	e := media.NewThrough(reg)
	defer func() { _ = e.Close() }()
	s.Link(e)
	k := mediatest.NewRecorder(u)
	e.Out().Link(k)
	k.Upstream(media.Feedback{Kind: media.KeyFrame})
	if n := len(s.Heard()); n != 1 {
		t.Errorf("%d words came upstream, want 1", n)
	}
	restore := s.Override(other.Source)
	other.Say(make([]byte, 160))
	if k.Len() != 1 || e.Caps().Formats[0] != other.Format {
		t.Errorf("%d frames came of an override", k.Len())
	}
	restore()
	s.Say(make([]byte, 160))
	if k.Len() != 2 || e.Caps().Formats[0] != s.Format {
		t.Errorf("%d frames came in the end", k.Len())
	}
}

func TestThroughDoesNotAllocate(t *testing.T) {
	send, s := throughPath()
	defer s.Close()
	if n := testing.AllocsPerRun(500, send); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// throughPath is four pads from a source to a sink.
func throughPath() (func(), *media.Source) {
	u := media.PCMU()
	s := media.NewSource(nil, nil)
	s.SetFormats(u)
	last := s
	for range 4 {
		e := media.NewThrough(nil)
		last.Link(e)
		last = e.Out()
	}
	last.Link(mediatest.NewCounter(u))
	frame := &media.Frame{Format: u, Payload: make([]byte, 160)}
	return func() { frame.Sequence++; s.Send(frame) }, s
}

func BenchmarkThrough(b *testing.B) {
	send, s := throughPath()
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}
