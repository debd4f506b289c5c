package pcm

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

func TestOutSpeaksWhatIsWanted(t *testing.T) {
	o := NewOut(nil)
	k := mediatest.NewRecorder()
	o.Source().Link(k)
	codes := make([]byte, PerFrame)
	send := func(talk bool) { law := o.Law(); o.Send(law, codes, talk) }
	if o.Law() != g711.Mu() {
		t.Error("without a sink it speaks A-law")
	}
	send(true)
	k.Take(media.PCMA(), media.PCMU())
	o.Source().Unlink(k)
	o.Source().Link(k)
	send(true)
	send(false)
	k.Take(media.PCMU()) // renegotiated in the middle
	o.Source().Unlink(k)
	o.Source().Link(k)
	send(true)
	got := k.Frames()
	if len(got) != 3 {
		t.Fatalf("%d frames, want 3", len(got))
	}
	for i, want := range []struct {
		codec  string
		marker bool
	}{{"PCMA", false}, {"PCMA", false}, {"PCMU", true}} {
		f := got[i]
		if f.Format.Codec != want.codec || f.Marker != want.marker || f.Sequence != uint16(i+1) || f.Timestamp != uint32(PerFrame*(i+1)) {
			t.Errorf("frame %d: %s %+v, want %+v", i, f.Format, f, want)
		}
	}
}

func TestInReadsTheThreeFormats(t *testing.T) {
	in := NewIn()
	room := make([]int16, 0, Most)
	for _, f := range in.Caps().Formats {
		want := mediatest.Tone(f, 440, -10, 1)[0]
		got, peak := in.Read(room, &media.Frame{Format: f, Payload: want})
		if len(got) != PerFrame || peak < 22600 || peak > 22900 {
			t.Fatalf("%s: %d samples, peak %v", f, len(got), peak)
		}
		for i, s := range mediatest.Linear(f, want) {
			if got[i] != s {
				t.Fatalf("%s: sample %d is %d, want %d", f, i, got[i], s)
			}
		}
		for name, fr := range map[string]*media.Frame{
			"too long":       {Format: f, Payload: make([]byte, 2*Most+2)},
			"an event":       {Kind: media.Event, Format: f, Payload: want},
			"another format": {Format: media.PCMU(), Payload: want},
		} {
			if got, _ := in.Read(room, fr); len(got) != 0 {
				t.Errorf("%s: %d samples of %s", f, len(got), name)
			}
		}
		longest := make([]byte, Most)
		if f.Codec == "L16" {
			longest = make([]byte, 2*Most)
		}
		if n := testing.AllocsPerRun(20, func() { in.Read(room, &media.Frame{Format: f, Payload: longest}) }); n != 0 {
			t.Errorf("%s: reading allocates %v times", f, n)
		}
	}
}
