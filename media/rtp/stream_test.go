package rtp

import (
	"testing"

	"github.com/patchbay/patchbay/media"
)

// The counts of a scripted pattern, by real packets.
func TestCounts(t *testing.T) {
	d, p := newDesk(t, nil), newPhone(t, "127.0.0.1")
	d.call(p)
	for i := range 100 {
		b := p.packet(tone(1))
		switch {
		case i%10 == 3: // lost
		case i%20 == 7: // twice
			p.write(b)
			p.write(b)
		default:
			p.write(b)
		}
	}
	await(t, "95 packets", func() bool { in, _ := d.counts(); return in.Packets+in.Duplicate == 95 })
	in, _ := d.counts()
	if in.Lost != 10-5 || in.Duplicate != 5 || in.Reordered != 0 || in.SSRC != p.ssrc || !in.Inbound || in.First == 0 || in.Last < in.First {
		t.Errorf("counted %+v", in)
	}
}

// A stream that jumps, pauses or is replaced is one without gaps to the far peer.
func TestRebase(t *testing.T) {
	now := int64(1e9)
	a, b := newDesk(t, nil), newDesk(t, func(c *Config) { c.now = func() int64 { return now } })
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	from := one.addr()
	say := func(mark byte) {
		now += 20e6
		a.inject(one.packet(tone(mark)), from, now)
	}
	for range 5 {
		say(1)
	}
	var last packet
	for range 5 {
		last = two.hear()
	}
	follow := func(what string, samples uint32) {
		t.Helper()
		k := two.hear()
		if k.Seq != last.Seq+1 || k.TS != last.TS+samples || k.SSRC != last.SSRC || !k.Marker {
			t.Errorf("%s: %+v after %+v, want %d samples on, marked", what, k.Header, last.Header, samples)
		}
		last = k
	}
	one.ssrc, one.seq, one.ts = 77, 40000, 0xffffff00
	say(2) // on probation
	say(2)
	follow("another SSRC", 320)
	if s := notices[media.Switched](a); len(s) != 1 || s[0].SSRC != 77 {
		t.Errorf("switched: %v", s)
	}
	one.ts += 8000 * 3600
	say(3)
	follow("another timestamp", 160)
	one.seq += 20000
	say(4) // on probation
	say(4)
	follow("other numbers", 320)
	now += 5e9 // the peer's timestamps stood still while it paused
	say(5)
	follow("a pause", 160+5*8000)
	one.pt = 8
	now += 20e6
	a.inject(one.packet(tone(6)), from, now)
	if k := two.hear(); k.PT != 8 || k.Seq != last.Seq+1 || k.TS != last.TS+160 || k.Marker {
		t.Errorf("another payload type: %+v after %+v", k.Header, last.Header)
	}
	in, _ := a.counts()
	if in.Epochs != 4 || in.Lost != 0 {
		t.Errorf("epochs %d, lost %d; want 4, 0", in.Epochs, in.Lost)
	}
}
