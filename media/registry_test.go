package media_test

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
)

// doubling makes twice as much of a payload, halving keeps each second byte; both move the timestamp to their clock.
type doubling struct{}

func (doubling) Convert(dst, src *media.Frame) bool {
	for _, b := range src.Payload {
		dst.Payload = append(dst.Payload, b, b)
	}
	dst.Timestamp = src.Timestamp * 2
	return true
}

func wide(n string) *media.Format { return &media.Format{Codec: n, Clock: 16000, Channels: 1} }

func TestTwoConversionsInARow(t *testing.T) {
	reg := media.NewRegistry()
	mid, far := wide("MID"), &media.Format{Codec: "FAR", Clock: 32000, Channels: 1}
	reg.Register(
		media.Conversion{From: media.PCMU(), To: mid, Cost: 1, New: func() media.Converter { return doubling{} }},
		media.Conversion{From: mid, To: far, Cost: 1, New: func() media.Converter { return doubling{} }},
		media.Conversion{From: media.PCMU(), To: wide("DEAR"), Cost: 50, New: func() media.Converter { return doubling{} }},
	)
	s := mediatest.NewTalker(reg, media.PCMU())
	k := mediatest.NewRecorder(wide("DEAR"), far)
	s.Link(k)
	s.Say([]byte{7})
	got := k.Frames()
	if len(got) != 1 || got[0].Format != far || string(got[0].Payload) != "\x07\x07\x07\x07" || got[0].Timestamp != 4*160000 {
		t.Fatalf("got %+v, want the cheapest way, and the timestamp of both", got)
	}
	if !reg.Converts(media.PCMU(), far) || reg.Converts(far, media.PCMU()) || reg.Converts(media.TelephoneEvent(8000), far) {
		t.Error("converts the wrong way round, or events")
	}
	var none *media.Registry
	if none.Converts(media.PCMU(), far) {
		t.Error("no registry converts")
	}
}

// A direct conversion is taken though a way round costs less: it may be by a lower rate.
func TestDirectConversionComesFirst(t *testing.T) {
	reg := media.NewRegistry()
	far := wide("FAR")
	reg.Register(
		media.Conversion{From: media.PCMU(), To: wide("MID"), Cost: 1, New: func() media.Converter { return doubling{} }},
		media.Conversion{From: wide("MID"), To: far, Cost: 1, New: func() media.Converter { return doubling{} }},
		media.Conversion{From: media.PCMU(), To: far, Cost: 9, New: func() media.Converter { return doubling{} }},
	)
	s, k := mediatest.NewTalker(reg, media.PCMU()), mediatest.NewRecorder(far)
	s.Link(k)
	s.Say([]byte{7})
	if got := k.Frames(); len(got) != 1 || string(got[0].Payload) != "\x07\x07" {
		t.Fatalf("got %+v, want what the direct conversion makes", got)
	}
}

func TestRegisterPanicsOnMistakes(t *testing.T) {
	good := g711.Conversions()[0]
	for name, c := range map[string]media.Conversion{
		"twice":          good,
		"same format":    {From: media.PCMU(), To: media.PCMU(), Cost: 1, New: good.New},
		"no constructor": {From: media.PCMU(), To: wide("X"), Cost: 1},
		"no cost":        {From: media.PCMU(), To: wide("X"), New: good.New},
		"no format":      {To: wide("X"), Cost: 1, New: good.New},
	} {
		t.Run(name, func(t *testing.T) {
			reg := media.NewRegistry()
			reg.Register(good)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			reg.Register(c)
		})
	}
}

func TestFormatNames(t *testing.T) {
	for want, f := range map[string]*media.Format{
		"PCMU/8000":               media.PCMU(),
		"L16/16000":               media.L16(16000),
		"TELEPHONE-EVENT/8000":    media.TelephoneEvent(8000),
		"OPUS/48000/2;stereo=1":   {Codec: "OPUS", Clock: 48000, Channels: 2, Params: "stereo=1"},
		"none":                    nil,
		"H264/90000;profile=42e0": {Kind: media.Video, Codec: "H264", Clock: 90000, Params: "profile=42e0"},
	} {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var none *media.Format
	if !none.Same(nil) || none.Same(media.PCMU()) || media.PCMU().Same(nil) || !media.PCMU().Same(media.PCMU()) || media.PCMU().Same(media.PCMA()) {
		t.Error("same and different are mixed up")
	}
	if media.Event.String() != "event" || media.Kind(200).String() != "unknown" {
		t.Error("kinds are misnamed")
	}
}
