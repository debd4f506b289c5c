package rtp

import (
	"bytes"
	"context"
	"net/netip"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

func TestRelay(t *testing.T) {
	for _, pt := range []uint8{0, 8} {
		a, b := newDesk(t, nil), newDesk(t, nil)
		bridge(a, b)
		one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
		a.call(one)
		b.call(two)
		one.pt, one.seq = pt, 65530
		var last packet
		for i := range byte(20) {
			one.say(i)
			k := two.hear()
			if k.PT != pt || !bytes.Equal(k.payload, tone(i)) || k.from != b.LocalAddr() {
				t.Fatalf("packet %d came as %+v from %s", i, k.Header, k.from)
			}
			if k.Marker != (i == 0) {
				t.Errorf("packet %d has marker %v", i, k.Marker)
			}
			if i > 0 && (k.Seq != last.Seq+1 || k.TS != last.TS+160 || k.SSRC != last.SSRC) {
				t.Errorf("packet %d is %+v after %+v", i, k.Header, last.Header)
			}
			last = k
		}
		if last.SSRC == one.ssrc {
			t.Error("the peer's SSRC is passed on")
		}
		in, _ := a.counts()
		_, out := b.counts()
		if in.Packets != 20 || in.Bytes != 3200 || in.Lost != 0 || out.Packets != 20 || out.Bytes != 3200 {
			t.Errorf("counted %+v in, %+v out", in, out)
		}
		if f := notices[media.Flowing](a); len(f) != 1 || f[0].From != one.addr() {
			t.Errorf("flowing was told as %v", f)
		}
	}
}

func TestTranscoding(t *testing.T) {
	a, b := newDesk(t, nil), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one, "m=audio %d RTP/AVP 0 101")
	b.call(two, "m=audio %d RTP/AVP 8 101")
	two.pt = 8
	for i := range byte(5) {
		one.say(0x80 + i)
		if k := two.hear(); k.PT != 8 || len(k.payload) != 160 || k.payload[0] != alaw(0x80 + i)[0] {
			t.Fatalf("PCMU %#x came as PT %d, %#x", 0x80+i, k.PT, k.payload[0])
		}
		two.say(0x55)
		if k := one.hear(); k.PT != 0 || len(k.payload) != 160 {
			t.Fatalf("PCMA came as PT %d, %d bytes", k.PT, len(k.payload))
		}
	}
}

// alaw is a u-law code as A-law.
func alaw(mu byte) []byte {
	var c media.Converter
	for _, w := range g711.Conversions() {
		if w.From.Same(media.PCMU()) && w.To.Same(media.PCMA()) {
			c = w.New()
		}
	}
	dst := &media.Frame{Payload: make([]byte, 0, 10)}
	c.Convert(dst, &media.Frame{Payload: []byte{mu}})
	return dst.Payload
}

// The peer is sent the number that it named; it may send by ours and, as some do, by its own.
func TestPayloadTypes(t *testing.T) {
	a, b := newDesk(t, nil), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	o, err := b.Offer(context.Background(), media.Want{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Accept("x", two.sdp("m=audio %d RTP/AVP 0 99", "a=rtpmap:99 telephone-event/8000")); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit("x"); err != nil {
		t.Fatal(err)
	}
	two.to = b.LocalAddr()
	one.pt = 101
	one.write(one.packet([]byte{5, 10, 0, 160}))
	if k := two.hear(); k.PT != 99 {
		t.Errorf("events come as %d, want 99", k.PT)
	}
	for _, pt := range []uint8{101, 99} {
		two.pt = pt
		two.write(two.packet([]byte{6, 10, 0, 160}))
		if k := one.hear(); k.PT != 101 {
			t.Errorf("events sent as %d come as %d, want 101", pt, k.PT)
		}
	}
}

func TestIPv6(t *testing.T) {
	six := netip.MustParseAddr("::1")
	a, b := newDesk(t, func(c *Config) { c.Bind = six }), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "::1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	one.say(1)
	two.hear()
	two.say(2)
	if k := one.hear(); k.payload[0] != 2 || k.from.Addr() != six {
		t.Errorf("%x came from %s", k.payload[0], k.from)
	}
	if n := a.Negotiated(); n.Local != a.LocalAddr() || n.Remote != one.addr() {
		t.Errorf("negotiated %+v", n)
	}
	if _, err := b.Answer(context.Background(), one.sdp(), media.Want{}); err == nil {
		t.Error("an IPv4 endpoint takes an IPv6 peer")
	} else if code, _, ok := sdp.Warning(err); !ok || code != 301 {
		t.Errorf("%v has no warning 301", err)
	}
}

// injected is a bridge of two endpoints, and a packet that can be injected again and again.
type injected struct {
	a    *desk
	b    []byte
	from udp.Addr
	now  int64
}

func inject(tb testing.TB) *injected {
	a, b := newDesk(tb, nil), newDesk(tb, nil)
	bridge(a, b)
	one, two := newPhone(tb, "127.0.0.1"), newPhone(tb, "127.0.0.1")
	a.call(one)
	b.call(two)
	in := &injected{a: a, b: one.packet(tone(0x55)), from: udp.From(one.addr()), now: udp.Now()}
	for range 10 {
		in.packet()
	}
	return in
}

// packet is the next packet of the stream.
func (in *injected) packet() {
	in.now += 20e6
	if in.b[3]++; in.b[3] == 0 {
		in.b[2]++
	}
	if in.b[7] += 160; in.b[7] < 160 {
		if in.b[6]++; in.b[6] == 0 {
			in.b[5]++
		}
	}
	in.a.receive(in.b, &in.from, in.now)
}

func TestPacketsDoNotAllocate(t *testing.T) {
	in := inject(t)
	before, _ := in.a.counts()
	if n := testing.AllocsPerRun(1000, in.packet); n != 0 {
		t.Errorf("a packet relayed allocates %v times", n)
	}
	after, _ := in.a.counts()
	if after.Packets-before.Packets != 1001 || after.Lost != 0 || after.Rejected != 0 || after.Epochs != 0 {
		t.Errorf("the packets weren't relayed: %+v", after)
	}
}

// BenchmarkRelay is a packet from handler to sendto; BenchmarkSendto is the system call alone.
func BenchmarkRelay(b *testing.B) {
	in := inject(b)
	b.ReportAllocs()
	for b.Loop() {
		in.packet()
	}
}

func BenchmarkSendto(b *testing.B) {
	d, p := newDesk(b, nil), newPhone(b, "127.0.0.1")
	to, packet := udp.From(p.addr()), p.packet(tone(1))
	b.ReportAllocs()
	for b.Loop() {
		_ = d.rtp.WriteTo(packet, &to) // a full receive buffer drops, as in BenchmarkRelay
	}
}
