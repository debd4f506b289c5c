package media_test

import (
	"math"
	"slices"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

func TestFeedbackIsMerged(t *testing.T) {
	s := mediatest.NewTalker(nil, media.PCMU())
	a, b, c := mediatest.NewRecorder(media.PCMU()), mediatest.NewRecorder(media.PCMU()), mediatest.NewRecorder(media.PCMU())
	for _, k := range []*mediatest.Recorder{a, b, c} {
		s.Link(k)
	}
	var told int
	expect := func(what string, want ...media.Feedback) {
		t.Helper()
		heard := s.Heard()[told:]
		told += len(heard)
		if !slices.Equal(heard, want) {
			t.Errorf("%s: heard %v, want %v", what, heard, want)
		}
	}
	rate := func(v float64) media.Feedback { return media.Feedback{Kind: media.Bitrate, Value: v} }
	loss := func(v float64) media.Feedback { return media.Feedback{Kind: media.Loss, Value: v} }
	a.Upstream(media.Feedback{Kind: media.KeyFrame})
	b.Upstream(media.Feedback{Kind: media.KeyFrame})
	expect("key frames", media.Feedback{Kind: media.KeyFrame}, media.Feedback{Kind: media.KeyFrame})
	a.Upstream(rate(64e3))
	b.Upstream(rate(32e3))
	c.Upstream(rate(48e3))
	expect("the least rate", rate(64e3), rate(32e3), rate(32e3))
	a.Upstream(loss(0.01))
	b.Upstream(loss(0.2))
	a.Upstream(loss(0.05))
	expect("the greatest loss", loss(0.01), loss(0.2), loss(0.2))
	a.Upstream(rate(math.NaN()))
	expect("not a number")
	s.Unlink(b)
	expect("the slowest went", rate(48e3), loss(0.05))
	b.Upstream(rate(1))
	expect("a sink that isn't linked")
	s.Unlink(a)
	s.Unlink(c)
	expect("the others went") // a's word changes nothing, and after c nobody says anything
}

func TestFeedbackFollowsTheSpeaker(t *testing.T) {
	s, o := mediatest.NewTalker(nil, media.PCMU()), mediatest.NewTalker(nil, media.PCMU())
	k, j := mediatest.NewRecorder(media.PCMU()), mediatest.NewRecorder(media.PCMU())
	s.Link(k)
	o.Link(j)
	restore := s.Override(o.Source)
	k.Upstream(media.Feedback{Kind: media.Bitrate, Value: 10})
	j.Upstream(media.Feedback{Kind: media.Bitrate, Value: 20})
	restore() // k's word goes with k
	want := []media.Feedback{{Kind: media.Bitrate, Value: 10}, {Kind: media.Bitrate, Value: 10}, {Kind: media.Bitrate, Value: 20}}
	if got := o.Heard(); !slices.Equal(got, want) {
		t.Errorf("the override heard %v, want %v", got, want)
	}
	if got := s.Heard(); len(got) != 0 {
		t.Errorf("the overridden heard %v", got)
	}
}

// asking is a sink that gives feedback from Push.
type asking struct {
	media.Inlet
	caps *media.Caps
}

func (a *asking) Caps() *media.Caps { return a.caps }
func (a *asking) Push(*media.Frame) { a.Upstream(media.Feedback{Kind: media.KeyFrame}) }

func TestFeedbackFromPushPassesFilters(t *testing.T) {
	u := media.PCMU()
	s := mediatest.NewTalker(nil, u)
	f := new(circle)
	f.Init(nil, u)
	s.Link(f)
	f.Source(media.Pad{}).Link(&asking{caps: &media.Caps{Formats: []*media.Format{u}}})
	s.Say([]byte{1})
	if got := s.Heard(); len(got) != 1 || got[0].Kind != media.KeyFrame {
		t.Errorf("heard %v, want one key frame request", got)
	}
	f.Close()
	s.Say([]byte{1})
	if got := s.Heard(); len(got) != 1 || f.Linked() {
		t.Errorf("a closed filter is linked, or its sinks are heard: %v", got)
	}
}

// Feedback ends where links form a circle, whatever stands in it, and a chain of many passes it on.
func TestFeedbackCircles(t *testing.T) {
	u := media.PCMU()
	filter := func() (media.Sink, *media.Source) {
		f := new(circle)
		f.Init(nil, u)
		return f, f.Source(media.Pad{})
	}
	through := func() (media.Sink, *media.Source) {
		e := media.NewThrough(nil)
		return e, e.Out()
	}
	for name, c := range map[string][]func() (media.Sink, *media.Source){
		"one": {through}, "two": {through, through}, "filters": {filter, filter}, "both": {through, filter, through},
	} {
		t.Run(name, func(*testing.T) {
			_, last := c[0]()
			k := mediatest.NewRecorder(u)
			last.Link(k) // outside of the circle
			var sinks []media.Sink
			var sources []*media.Source
			for _, make := range c {
				in, out := make()
				sinks, sources = append(sinks, in), append(sources, out)
			}
			for i := range sinks {
				sources[i].Link(sinks[(i+1)%len(sinks)])
			}
			sources[0].Link(k)
			for _, fb := range []media.Feedback{{Kind: media.KeyFrame}, {Kind: media.Bitrate, Value: 1e5}, {Kind: media.Loss, Value: 0.1}} {
				k.Upstream(fb)
			}
			for _, s := range sources {
				s.Close()
			}
		})
	}
	s := mediatest.NewTalker(nil, u)
	defer s.Close()
	last := s.Source
	for range 100 {
		in, out := through()
		last.Link(in)
		last = out
	}
	k := mediatest.NewRecorder(u)
	last.Link(k)
	k.Upstream(media.Feedback{Kind: media.Bitrate, Value: 1e5})
	if got := s.Heard(); len(got) != 1 || got[0].Value != 1e5 {
		t.Errorf("through 100 pads came %v", got)
	}
}
