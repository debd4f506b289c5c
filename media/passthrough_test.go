package media_test

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

func TestPassThroughElement(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) { return media.NewPassThrough(nil), nil })
}

// Each kind of media has a way of its own.
func TestPassThroughKinds(t *testing.T) {
	p := media.NewPassThrough(nil)
	defer func() { _ = p.Close() }()
	for _, kind := range []media.Kind{media.Audio, media.Video, media.Data} {
		f := &media.Format{Kind: kind, Codec: "X", Clock: 1000, Channels: 1}
		s, r := mediatest.NewTalker(nil, f), mediatest.NewRecorder(f)
		defer s.Close()
		s.Link(p.Sink(media.Pad{Kind: kind}))
		p.Source(media.Pad{Kind: kind}).Link(r)
		s.Say([]byte(kind.String()))
		if frames := r.Frames(); len(frames) != 1 || string(frames[0].Payload) != kind.String() {
			t.Errorf("%s: %v came", kind, frames)
		}
	}
	if p.Sink(media.Pad{Kind: media.Event}) != nil || p.Source(media.Pad{Name: "x"}) != nil {
		t.Error("there are pads that there shouldn't be")
	}
}
