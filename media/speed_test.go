package media_test

import (
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
)

// path builds what a frame goes through: a source of PCMU and sinks of these formats.
func path(to ...*media.Format) (send func(), sinks []*mediatest.Counter) {
	reg, _ := counting()
	u := media.PCMU()
	s := media.NewSource(reg, nil)
	s.SetFormats(u)
	for _, f := range to {
		k := mediatest.NewCounter(f)
		s.Link(k)
		sinks = append(sinks, k)
	}
	frame := &media.Frame{Format: u, Payload: mediatest.Tone(u, 440, -10, 1)[0]}
	return func() { frame.Sequence++; s.Send(frame) }, sinks
}

func TestSendDoesNotAllocate(t *testing.T) {
	for name, to := range map[string][]*media.Format{
		"relay":              {media.PCMU()},
		"relay to three":     {media.PCMU(), media.PCMU(), media.PCMU()},
		"convert":            {media.PCMA()},
		"convert and relay":  {media.PCMA(), media.PCMU(), media.L16(8000)},
		"nobody takes it":    {media.L16(16000)},
		"no sink is linked":  nil,
		"convert for two":    {media.PCMA(), media.PCMA()},
		"convert to linear":  {media.L16(8000)},
		"no way, one relays": {media.L16(16000), media.PCMU()},
	} {
		send, _ := path(to...)
		if n := testing.AllocsPerRun(500, send); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	for _, c := range []struct {
		name string
		to   []*media.Format
	}{
		{"relay", []*media.Format{media.PCMU()}},
		{"relay3", []*media.Format{media.PCMU(), media.PCMU(), media.PCMU()}},
		{"convert", []*media.Format{media.PCMA()}},
		{"convert3", []*media.Format{media.PCMA(), media.PCMA(), media.PCMA()}},
		{"nobody", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			send, _ := path(c.to...)
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}

// BenchmarkFilters shows what each element on the way costs beside the first link.
func BenchmarkFilters(b *testing.B) {
	u := media.PCMU()
	s := media.NewSource(nil, nil)
	s.SetFormats(u)
	last := s
	for range 4 {
		f := new(circle)
		f.Init(nil, u)
		last.Link(f)
		last = f.Source(media.Pad{})
	}
	last.Link(mediatest.NewCounter(u))
	frame := &media.Frame{Format: u, Payload: make([]byte, 160)}
	b.ReportAllocs()
	for b.Loop() {
		s.Send(frame)
	}
}
