package rtp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// speech is a source whose every byte tells where it stands, so that what is lost, repeated or out of place shows.
type speech struct {
	*phone
	at int
}

func spoken(at int) byte { return byte(at%251) | 1 }

func (s *speech) payload(ms int) []byte {
	b := make([]byte, ms*sampleBytes)
	for i := range b {
		b[i] = spoken(s.at + i)
	}
	s.at += len(b)
	return b
}

// frame is the next packet of so many ms; it isn't sent yet.
func (s *speech) frame(ms int) []byte {
	b := s.packet(s.payload(ms))
	s.ts += uint32(ms*sampleBytes) - 160
	return b
}

// cut is a pair of phones whose second asks for packets of its own length.
type cut struct {
	tb   testing.TB
	a, b *desk
	one  *speech
	two  *phone
	last packet
	ms   int
}

func newCut(tb testing.TB, ms int, lines ...string) *cut {
	c := &cut{tb: tb, a: newDesk(tb, nil), b: newDesk(tb, nil), one: &speech{phone: newPhone(tb, "127.0.0.1")}, two: newPhone(tb, "127.0.0.1"), ms: ms}
	bridge(c.a, c.b)
	c.a.call(c.one.phone)
	c.b.call(c.two, append([]string{"m=audio %d RTP/AVP 0 101", fmt.Sprintf("a=ptime:%d", ms)}, lines...)...)
	return c
}

// hears checks the next packet: whole, in order, and what was spoken at that place.
func (c *cut) hears(at int) {
	c.tb.Helper()
	k := c.two.hear()
	c.follows(k, 1, c.ms*sampleBytes)
	for i, x := range k.payload {
		if x != spoken(at+i) {
			c.tb.Fatalf("byte %d of the packet that begins at %d is %#x, want %#x", i, at, x, spoken(at+i))
		}
	}
}

// follows checks that a packet has its length, and so much distance to the one before.
func (c *cut) follows(k packet, numbers uint16, stamps int) {
	c.tb.Helper()
	if len(k.payload) != c.ms*sampleBytes {
		c.tb.Fatalf("a packet has %d bytes, want %d", len(k.payload), c.ms*sampleBytes)
	}
	if c.last.SSRC != 0 && (k.Seq != c.last.Seq+numbers || k.TS != c.last.TS+uint32(stamps) || k.SSRC != c.last.SSRC) {
		c.tb.Fatalf("%+v after %+v, want %d numbers and %d timestamps on", k.Header, c.last.Header, numbers, stamps)
	}
	c.last = k
}

func TestReframe(t *testing.T) {
	times := []int{10, 20, 30, 40, 60}
	for _, from := range times {
		for _, to := range times {
			t.Run(fmt.Sprintf("%d to %d ms", from, to), func(t *testing.T) {
				c := newCut(t, to)
				heard := 0
				for c.one.at < 600*sampleBytes {
					c.one.write(c.one.frame(from))
					for ; heard+to*sampleBytes <= c.one.at; heard += to * sampleBytes {
						c.hears(heard)
						if c.last.Marker != (heard == 0) {
							t.Errorf("the packet at %d has marker %v", heard, c.last.Marker)
						}
					}
				}
				in, _ := c.a.counts()
				_, out := c.b.counts()
				if in.Lost != 0 || in.Bytes != 600*sampleBytes || out.Bytes != 600*sampleBytes || out.Packets != uint64(600/to) {
					t.Errorf("counted %+v in, %+v out", in, out)
				}
				if n := c.b.Negotiated().Ptime; n != to {
					t.Errorf("negotiated %d ms", n)
				}
			})
		}
	}
}

// What is asked for, by whom, and what is sent then.
func TestPacketTime(t *testing.T) {
	for _, c := range []struct {
		own   int
		lines []string
		want  int
		says  string
	}{
		{0, nil, 20, "a=ptime:20"},
		{0, []string{"a=ptime:40"}, 40, "a=ptime:40"},
		{0, []string{"a=maxptime:10"}, 10, "a=ptime:10"},
		{0, []string{"a=ptime:40", "a=maxptime:30"}, 30, "a=ptime:30"},
		{0, []string{"a=maxptime:150"}, 20, "a=ptime:20"},
		{0, []string{"a=ptime:200"}, 60, "a=ptime:200"}, // no longer ones are made
		{0, []string{"a=ptime:5"}, 10, "a=ptime:5"},
		{30, nil, 30, "a=ptime:30"},
		{30, []string{"a=ptime:20"}, 30, "a=ptime:30"},
		{30, []string{"a=maxptime:20"}, 20, "a=ptime:20"},
	} {
		d := newDesk(t, func(cfg *Config) { cfg.Ptime = c.own })
		p, err := d.Answer(t.Context(), newPhone(t, "127.0.0.1").sdp(c.lines...), media.Want{})
		must(t, err)
		if !bytes.Contains(p.SDP(), []byte(c.says+"\r\n")) {
			t.Errorf("own %d, %v: answered without %s:\n%s", c.own, c.lines, c.says, p.SDP())
		}
		must(t, p.Commit())
		if n := d.Negotiated().Ptime; n != c.want {
			t.Errorf("own %d, %v: %d ms, want %d", c.own, c.lines, n, c.want)
		}
		if c.own != 0 {
			if o := d.offers(media.Want{}); !bytes.Contains(o.SDP(), []byte(fmt.Sprintf("a=ptime:%d\r\n", c.own))) {
				t.Errorf("own %d: offered\n%s", c.own, o.SDP())
			}
		}
	}
}

// Frames that were lost, come late, twice or far too late.
func TestReframeLoss(t *testing.T) {
	c := newCut(t, 30)
	var frames [][]byte
	for range 30 {
		frames = append(frames, c.one.frame(20))
	}
	send := func(list ...int) {
		for _, i := range list {
			c.one.write(frames[i])
		}
	}
	packet := func(n int) { c.hears(n * 240) }
	send(0, 1, 2)
	packet(0)
	packet(1)
	send(4, 3, 5) // 4 overtook 3
	packet(2)
	packet(3)
	send(6, 6, 7) // twice
	packet(4)
	send(9) // 8 is lost; packet 5 has its second half
	c.two.deaf()
	send(10)
	k := c.two.hear()
	c.follows(k, 1, 240)
	for i, x := range k.payload {
		if at := 5*240 + i; at < 8*160 && x != spoken(at) || at >= 8*160 && x != spoken(at-240) {
			t.Fatalf("byte %d of the packet with a gap is %#x", i, x)
		}
	}
	packet(6)
	send(8) // too late
	send(11)
	packet(7)
	send(12, 13, 14)
	packet(8)
	packet(9)
	send(19) // 15 to 18 are lost: packets 10, 11 and a part of 12 with them
	send(20)
	k = c.two.hear()
	c.follows(k, 3, 3*240)
	if k.payload[160] != spoken(19*160) || k.payload[239] != spoken(19*160+79) {
		t.Fatalf("packet 12 is %x", k.payload)
	}
	packet(13)
	_, out := c.b.counts()
	if want := uint64(12); out.Packets != want {
		t.Errorf("%d packets went out, want %d", out.Packets, want)
	}
}

// A talkspurt ends with a whole packet, the next one begins with the marker and its own timestamp.
func TestReframePause(t *testing.T) {
	c := newCut(t, 30)
	c.one.marker = true
	c.one.write(c.one.frame(20))
	c.one.write(c.one.frame(20))
	c.hears(0)
	c.one.ts += 800 // 100 ms of silence that isn't sent
	c.one.marker = true
	c.one.write(c.one.frame(20))
	k := c.two.hear()
	c.follows(k, 1, 240)
	if k.payload[79] != spoken(319) || k.payload[80] != 0xff || k.payload[239] != 0xff || k.Marker {
		t.Errorf("the end of the talkspurt is %x, marker %t", k.payload, k.Marker)
	}
	c.one.write(c.one.frame(20))
	k = c.two.hear()
	c.follows(k, 1, 80+800) // from 240 to 320+800
	if !k.Marker || k.payload[0] != spoken(320) {
		t.Errorf("the next talkspurt has marker %t and begins with %x", k.Marker, k.payload[0])
	}
	c.one.ts += 8000 // long: the 80 bytes that are left are nobody's any more
	c.one.marker = true
	c.one.write(c.one.frame(30))
	k = c.two.hear()
	c.follows(k, 1, 320+8000)
	if !k.Marker || k.payload[0] != spoken(640) {
		t.Errorf("after a long pause it goes on with %x, marker %t", k.payload[0], k.Marker)
	}
}

// Digits are passed on at once, one timestamp for each, after the audio that was spoken before them.
func TestReframeEvents(t *testing.T) {
	c := newCut(t, 40)
	c.one.write(c.one.frame(20))
	c.one.write(c.one.frame(20))
	c.hears(0)
	c.one.write(c.one.frame(20))
	press(c.one.phone, 7)
	k := c.two.hear()
	c.follows(k, 1, 320)
	if k.payload[159] != spoken(479) || k.payload[160] != 0xff {
		t.Errorf("the audio before the digit is %x", k.payload[158:])
	}
	start := c.last.TS + 160
	for i, want := range keys(7) {
		k := c.two.hear()
		if k.PT != 101 || !bytes.Equal(k.payload, want.payload()) || k.Seq != c.last.Seq+1 || k.TS != start || k.Marker != (i == 0) {
			t.Errorf("packet %d of the digit came as %+v, %x", i, k.Header, k.payload)
		}
		c.last = k
	}
	c.one.write(c.one.frame(20))
	c.one.write(c.one.frame(20))
	k = c.two.hear()
	c.follows(k, 1, 5*160)
	if k.payload[0] != spoken(480) {
		t.Errorf("after the digit it goes on with %x", k.payload[0])
	}
	if d := notices[media.Digit](c.a); len(d) != 1 || d[0].Digit != '7' || d[0].Duration != 60 {
		t.Errorf("told %+v", d)
	}
}

// The same under keys, and to the other law.
func TestReframeSRTP(t *testing.T) {
	for _, s := range suites() {
		d, other := newDesk(t, nil), newDesk(t, nil)
		bridge(d, other)
		v, plain := newVault(t, s.name), newPhone(t, "127.0.0.1")
		v.calls(d, media.Want{SRTP: media.SRTPRequire}, "a=ptime:30")
		other.call(plain, "m=audio %d RTP/AVP 8 101", "a=ptime:60")
		plain.pt = 8
		var last packet
		for i := range 30 {
			plain.say(0x55)
			if i%3 == 0 {
				continue
			}
			k := v.hear()
			if k.PT != 8 || len(k.payload) != 240 || last.SSRC != 0 && (k.Seq != last.Seq+1 || k.TS != last.TS+240) {
				t.Fatalf("%s: %+v, %d bytes, after %+v", s.name, k.Header, len(k.payload), last.Header)
			}
			last = k
		}
		for i := range 30 {
			v.say(0xff)
			if i%3 != 2 {
				continue
			}
			if k := plain.hear(); k.PT != 8 || len(k.payload) != 480 || k.payload[0] != alaw(0xff)[0] || k.payload[479] != alaw(0xff)[0] {
				t.Fatalf("%s: came as %+v, %d bytes", s.name, k.Header, len(k.payload))
			}
		}
	}
}

// A re-INVITE that asks for another length, or for that of what comes.
func TestReframeRenegotiated(t *testing.T) {
	c := newCut(t, 30)
	for range 6 {
		c.one.write(c.one.frame(20))
	}
	for i := range 4 {
		c.hears(i * 240)
	}
	for _, ms := range []int{20, 40, 20} {
		c.b.call(c.two, "m=audio %d RTP/AVP 0 101", fmt.Sprintf("a=ptime:%d", ms))
		before := c.last
		c.last, c.ms = packet{}, ms
		for i := range 4 {
			at := c.one.at
			for range max(ms/20, 1) {
				c.one.write(c.one.frame(20))
			}
			c.hears(at)
			if i == 0 && c.last.Seq != before.Seq+1 {
				t.Fatalf("%d ms: number %d after %d", ms, c.last.Seq, before.Seq)
			}
		}
	}
}

// A source that changes its own length is one stream without a seam.
func TestReframeSource(t *testing.T) {
	c := newCut(t, 20)
	heard := 0
	for _, ms := range []int{20, 20, 40, 10, 10, 30, 10, 20, 60, 20} {
		c.one.write(c.one.frame(ms))
		for ; heard+160 <= c.one.at; heard += 160 {
			c.hears(heard)
		}
	}
	c.one.ssrc, c.one.seq, c.one.ts = 77, 40000, 0xffffff00 // another stream
	c.one.write(c.one.frame(40))                            // on probation
	c.one.write(c.one.frame(40))
	k := c.two.hear()
	if k.Seq != c.last.Seq+1 || k.SSRC != c.last.SSRC || !k.Marker || len(k.payload) != 160 {
		t.Errorf("another stream begins with %+v after %+v", k.Header, c.last.Header)
	}
}

func TestReframeDoesNotAllocate(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, ms := range []int{10, 30, 60} {
			a, b := newDesk(t, nil), newDesk(t, nil)
			bridge(a, b)
			one, v := newPhone(t, "127.0.0.1"), newVault(t, suites()[0].name)
			a.call(one)
			line := fmt.Sprintf("a=ptime:%d", ms)
			if secure {
				v.calls(b, media.Want{SRTP: media.SRTPRequire}, line)
			} else {
				b.call(v.phone, line)
			}
			p, from, now := one.packet(tone(0x55)), udp.From(one.addr()), udp.Now()
			seq, ts := one.seq, one.ts
			step := func() {
				now += 20e6
				binary.BigEndian.PutUint16(p[2:], seq)
				binary.BigEndian.PutUint32(p[4:], ts)
				seq, ts = seq+1, ts+160
				a.receive(p, &from, now)
			}
			for range 10 {
				step()
			}
			_, before := b.counts()
			if n := testing.AllocsPerRun(300, step); n != 0 && !(racing && secure) {
				t.Errorf("a packet of %d ms, secure %t, allocates %v times", ms, secure, n)
			}
			if _, after := b.counts(); after.Bytes-before.Bytes < 300*160-480 {
				t.Errorf("%d bytes went out", after.Bytes-before.Bytes)
			}
		}
	}
}
