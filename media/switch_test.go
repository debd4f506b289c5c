package media_test

import (
	"errors"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

func TestSwitchElement(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) { return media.NewSwitch(nil).Add(), nil })
}

// party is a port with somebody who speaks and hears by it.
type party struct {
	*media.Port
	say  *mediatest.Talker
	hear *mediatest.Recorder
}

func join(t *testing.T, h *media.Switch, at media.Pad, f *media.Format) *party {
	p := &party{h.Add(), mediatest.NewTalker(nil, f), mediatest.NewRecorder(f)}
	p.say.Link(p.Sink(at))
	p.Source(at).Link(p.hear)
	t.Cleanup(func() {
		p.say.Close()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// heard lets each party say its number, and returns whom each heard.
func heard(parties ...*party) (out []string) {
	before := make([]int, len(parties))
	for i, p := range parties {
		before[i] = p.hear.Len()
	}
	for i, p := range parties {
		p.say.Say([]byte{byte('0' + i)})
	}
	for i, p := range parties {
		s := ""
		for _, f := range p.hear.Frames()[before[i]:] {
			s += string(f.Payload)
		}
		out = append(out, s)
	}
	return out
}

func TestSwitch(t *testing.T) {
	for _, kind := range []media.Kind{media.Audio, media.Video} {
		h := media.NewSwitch(nil)
		at := media.Pad{Kind: kind}
		f := &media.Format{Kind: kind, Codec: "X", Clock: 1000, Channels: 1}
		a, b, c := join(t, h, at, f), join(t, h, at, f), join(t, h, at, f)
		all := []*party{a, b, c}
		want := func(step string, err error, want ...string) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s %s: %v", kind, step, err)
			}
			for i, got := range heard(all...) {
				if got != want[i] {
					t.Errorf("%s %s: %d hears %q, want %q", kind, step, i, got, want[i])
				}
			}
		}
		want("nobody connected", nil, "", "", "")
		want("a to b", h.Connect(a.Port, b.Port), "", "0", "")
		want("a to c", h.Connect(a.Port, c.Port), "", "0", "0")
		want("b to c", h.Connect(b.Port, c.Port), "", "0", "1")
		want("c to itself", h.Connect(c.Port, c.Port), "", "0", "2")
		want("b to all", h.Broadcast(b.Port), "1", "1", "1")
		all = append(all, join(t, h, at, f))
		want("one more", nil, "1", "1", "1", "1")
		want("c to all", h.Broadcast(c.Port), "2", "2", "2", "2")
		if h.Feeder(a.Port) != c.Port || h.Feeder(c.Port) != c.Port {
			t.Error("all should be fed by c")
		}
		h.Silence()
		want("nobody", nil, "", "", "", "")
		h.Silence()
		want("nobody twice", nil, "", "", "", "")
		want("a to all", h.Broadcast(a.Port), "0", "0", "0", "0")
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		want("a left", nil, "", "", "", "")
		if h.Feeder(b.Port) != nil || h.Feeder(a.Port) != nil {
			t.Error("b or a is fed by one that left")
		}
		want("b to c again", h.Connect(b.Port, c.Port), "", "", "1", "")
		other := media.NewSwitch(nil).Add()
		for _, err := range []error{h.Connect(a.Port, b.Port), h.Connect(b.Port, a.Port), h.Broadcast(a.Port), h.Broadcast(nil), h.Connect(other, b.Port)} {
			if !errors.Is(err, media.ErrStranger) {
				t.Errorf("a stranger: %v", err)
			}
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Feedback crosses the media.
func TestSwitchFeedback(t *testing.T) {
	h := media.NewSwitch(nil)
	f := media.PCMU()
	a, b := join(t, h, media.Pad{}, f), join(t, h, media.Pad{}, f)
	if err := h.Connect(a.Port, b.Port); err != nil {
		t.Fatal(err)
	}
	b.hear.Upstream(media.Feedback{Kind: media.KeyFrame})
	if n := len(a.say.Heard()); n != 1 {
		t.Errorf("%d words came upstream", n)
	}
}

func TestSwitchDoesNotAllocate(t *testing.T) {
	h := media.NewSwitch(nil)
	f := media.PCMU()
	talker := mediatest.NewTalker(nil, f)
	defer talker.Close()
	from := h.Add()
	talker.Link(from.Sink(media.Pad{}))
	var ports []*media.Port
	for range 3 {
		p := h.Add()
		p.Source(media.Pad{}).Link(mediatest.NewCounter(f))
		ports = append(ports, p)
	}
	if err := h.Broadcast(from); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 160)
	if n := testing.AllocsPerRun(500, func() { talker.Say(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for _, p := range append(ports, from) {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
