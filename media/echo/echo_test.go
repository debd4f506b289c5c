package echo

import (
	"bytes"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

func TestConforms(t *testing.T) {
	mediatest.Element(t, func() (media.Element, func()) { return New(Config{Events: true}), nil })
}

func TestSendsBackTheSame(t *testing.T) {
	for _, events := range []bool{false, true} {
		e := New(Config{Events: events})
		defer e.Close()
		back := mediatest.NewRecorder(media.PCMA(), media.PCMU(), media.TelephoneEvent(8000))
		e.Source(media.Pad{}).Link(back)
		voice, keys := mediatest.NewTalker(nil, media.PCMU()), mediatest.NewTalker(nil, media.TelephoneEvent(8000))
		voice.Link(e)
		said := mediatest.Tone(media.PCMU(), 440, -10, 5)
		for _, p := range said {
			voice.Say(p)
		}
		got := back.Frames()
		if len(got) != 5 || !bytes.Equal(back.Audio(), bytes.Join(said, nil)) {
			t.Fatalf("%d frames came back", len(got))
		}
		for i, f := range got {
			if f.Format.Codec != "PCMU" || f.Sequence != uint16(1000+i) || f.Timestamp != uint32(160000+160*i) || f.Marker != (i == 0) {
				t.Errorf("frame %d: %+v", i, f)
			}
		}
		back.Forget()
		keys.Link(e)
		keys.Say([]byte{5, 0x8a, 3, 0x20})
		if got := back.Frames(); (len(got) == 1 && got[0].Kind == media.Event && got[0].Payload[0] == 5) != events {
			t.Errorf("events %v: %+v came back", events, got)
		}
	}
}
