package rtp

import (
	"bytes"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// What passes through other elements between two phones is relayed as it is where both can, converted at the end where they
// can't, events included; whether links or negotiation come first.
func TestRelayThrough(t *testing.T) {
	audio := media.Pad{}
	for _, early := range []bool{true, false} {
		for _, law := range []uint8{0, 8} {
			a, b := newDesk(t, nil), newDesk(t, nil)
			one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
			pass, sw := media.NewPassThrough(b.cfg.Registry), media.NewSwitch(b.cfg.Registry)
			in, out := sw.Add(), sw.Add()
			link := func() {
				a.Source(audio).Link(pass.Sink(audio))
				pass.Source(audio).Link(in.Sink(audio))
				if err := sw.Connect(in, out); err != nil {
					t.Fatal(err)
				}
				out.Source(audio).Link(b.Sink(audio))
			}
			if early {
				link()
			}
			a.call(one, "m=audio %d RTP/AVP 0 8 101")
			b.call(two, "m=audio %d RTP/AVP "+string('0'+law)+" 101")
			if !early {
				link()
			}
			one.pt = 0
			for i := range byte(5) {
				one.say(0x80 + i)
				k := two.hear()
				want := tone(0x80 + i)
				if law == 8 {
					want = bytes.Repeat(alaw(0x80 + i)[:1], len(want))
				}
				if k.PT != law || !bytes.Equal(k.payload, want) {
					t.Fatalf("links first %t, law %d: PCMU %#x came as PT %d, %d bytes of %#x", early, law, 0x80+i, k.PT, len(k.payload), k.payload[0])
				}
			}
			one.pt = 101
			one.write(one.packet([]byte{5, 10, 0, 160}))
			if k := two.hear(); k.PT != 101 || k.payload[0] != 5 {
				t.Errorf("links first %t, law %d: an event came as PT %d", early, law, k.PT)
			}
			for _, e := range []media.Element{pass, in, out} {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
