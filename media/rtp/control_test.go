package rtp

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
)

// often makes an endpoint report each 40 ms.
func often(c *Config) { c.report = 40 * time.Millisecond }

// seldom leaves a busy machine a second to write a sender report of what was sent.
func seldom(c *Config) { c.report = 500 * time.Millisecond }

// reports sends RTCP to the endpoint.
func (p *phone) report(list ...prtcp.Packet) {
	p.tb.Helper()
	b, err := prtcp.Marshal(list)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.control(b)
}

func (p *phone) control(b []byte) {
	p.tb.Helper()
	if _, err := p.rtcp.WriteToUDPAddrPort(b, netip.AddrPortFrom(p.to.Addr(), p.to.Port()+1)); err != nil {
		p.tb.Fatal(err)
	}
}

// reported waits for a compound packet that pleases.
func (p *phone) reported(pleases func([]prtcp.Packet) bool) []prtcp.Packet {
	p.tb.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		b, _, ok := read(p.tb, p.rtcp, time.Second)
		if !ok {
			continue
		}
		list, err := rtpstream.Unmarshal(b)
		if err != nil {
			p.tb.Fatalf("%x: %v", b, err)
		}
		if pleases(list) {
			return list
		}
	}
	p.tb.Fatal("no such report in time")
	return nil
}

func TestReports(t *testing.T) {
	a, b := newDesk(t, seldom), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	for i := range 20 {
		k := one.packet(tone(1))
		if i%4 != 2 {
			one.write(k)
		}
		two.say(1)
		one.hear()
	}
	one.report(&prtcp.SenderReport{SSRC: one.ssrc, NTPTime: 0x1111222233334444}, prtcp.NewCNAMESourceDescription(one.ssrc, "one"))
	said := uint32(20)
	list := one.reported(func(l []prtcp.Packet) bool {
		sr, ok := l[0].(*prtcp.SenderReport)
		if ok && len(sr.Reports) == 1 && sr.Reports[0].LastSenderReport != 0 {
			return true
		}
		two.say(1) // who was silent for two reports is no sender any more
		said++
		return false
	})
	sr := list[0].(*prtcp.SenderReport)
	_, out := a.counts()
	if sr.SSRC != out.SSRC || sr.PacketCount < 20 || sr.PacketCount > said || sr.OctetCount != 160*sr.PacketCount {
		t.Errorf("sender report is %+v", sr)
	}
	wall := time.Unix(int64(sr.NTPTime>>32)-2208988800, int64(sr.NTPTime&0xffffffff*1e9>>32))
	if d := time.Since(wall); d < 0 || d > 30*time.Second {
		t.Errorf("its time is %s ago", d)
	}
	r := sr.Reports[0]
	if r.SSRC != one.ssrc || r.TotalLost != 5 || r.LastSequenceNumber != uint32(one.seq-1) || r.LastSenderReport != 0x22223333 {
		t.Errorf("reception report is %+v", r)
	}
	if d := time.Duration(r.Delay) * time.Second / 65536; d > 30*time.Second {
		t.Errorf("delay is %s", d)
	}
	if name, ok := list[1].(*prtcp.SourceDescription); !ok || len(name.Chunks) != 1 || name.Chunks[0].Items[0].Type != prtcp.SDESCNAME || name.Chunks[0].Items[0].Text == "" {
		t.Errorf("the second is %+v", list[1])
	}
}

func TestRoundTrip(t *testing.T) {
	a, b := newDesk(t, seldom), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	loss := make(chan float64, 100)
	src := media.NewSource(nil, func(f media.Feedback) {
		if f.Kind == media.Loss {
			loss <- f.Value
		}
	})
	two.say(1)
	one.hear()
	one.say(1)
	two.hear()
	src.SetFormats(media.PCMU())
	src.Link(a.Sink(media.Pad{}))
	defer src.Close()
	sr := one.reported(func(l []prtcp.Packet) bool {
		_, ok := l[0].(*prtcp.SenderReport)
		if !ok {
			two.say(1) // who was silent for two reports is no sender any more
		}
		return ok
	})[0].(*prtcp.SenderReport)
	const trip = 60 * time.Millisecond
	time.Sleep(trip + 40*time.Millisecond) // 40 ms of it is the phone's own delay
	one.report(&prtcp.ReceiverReport{SSRC: one.ssrc, Reports: []prtcp.ReceptionReport{{
		SSRC: sr.SSRC, FractionLost: 64, TotalLost: 0xffffff, Jitter: 80, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 65536 * 40 / 1000,
	}}})
	await(t, "round trip", func() bool { in, _ := a.counts(); return in.RTT > 0 })
	in, out := a.counts()
	if in.RTT < trip-5*time.Millisecond || in.RTT > trip+500*time.Millisecond || out.RTT != in.RTT {
		t.Errorf("round trip is %s and %s, want about %s", in.RTT, out.RTT, trip)
	}
	if out.Lost != -1 || out.Jitter != 10*time.Millisecond || out.JitterMax != 10*time.Millisecond {
		t.Errorf("outbound is %+v", out)
	}
	if f := <-loss; math.Abs(f-0.25) > 1e-9 {
		t.Errorf("feedback is %v, want 0.25", f)
	}
}

// What a phone says in an extended report of what it gets stands with our stream; one that is malformed leaves the rest of it good.
func TestExtendedReports(t *testing.T) {
	d, one := newDesk(t, nil), newPhone(t, "127.0.0.1")
	d.call(one)
	one.say(1)
	await(t, "the phone's first packet", func() bool { in, _ := d.counts(); return in.Packets > 0 })
	_, out := d.counts()
	about := func(lost uint32) *prtcp.ReceiverReport {
		return &prtcp.ReceiverReport{SSRC: one.ssrc, Reports: []prtcp.ReceptionReport{{SSRC: out.SSRC, TotalLost: lost}}}
	}
	broken := prtcp.RawPacket{0x80, 207, 0, 2, 0, 0, 0xab, 0xcd, 7, 0, 0xff, 0xff}
	one.report(about(3), &broken)
	await(t, "the report beside the broken one", func() bool { _, out = d.counts(); return out.Reported })
	if out.Lost != 3 || out.XR != nil {
		t.Errorf("%d lost, %+v", out.Lost, out.XR)
	}
	one.report(about(4), &prtcp.ExtendedReport{SenderSSRC: one.ssrc, Reports: []prtcp.ReportBlock{&prtcp.VoIPMetricsReportBlock{SSRC: out.SSRC, DiscardRate: 64, RFactor: 80, MOSLQ: 40, MOSCQ: 127}}})
	await(t, "the extended report", func() bool { _, out = d.counts(); return out.XR != nil })
	if x := out.XR; out.Lost != 4 || x.Discard == nil || *x.Discard != 25 || x.R == nil || *x.R != 80 || x.MOSLQ == nil || *x.MOSLQ != 4 || x.MOSCQ != nil {
		t.Errorf("%d lost, %+v", out.Lost, x)
	}
	var s media.Snapshot
	if d.Stats(&s); len(s.Streams) != 2 || s.Streams[0].XR != nil {
		t.Errorf("streams %+v", s.Streams)
	}
}

func TestBye(t *testing.T) {
	a, b := newDesk(t, nil), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	two.say(1)
	one.hear()
	one.say(1)
	two.hear()
	one.report(&prtcp.ReceiverReport{SSRC: one.ssrc}, &prtcp.Goodbye{Sources: []uint32{999}})
	one.report(&prtcp.ReceiverReport{SSRC: one.ssrc}, &prtcp.Goodbye{Sources: []uint32{one.ssrc}})
	await(t, "the peer's BYE", func() bool { return len(notices[media.Gone](a)) > 0 })
	if n := len(notices[media.Gone](a)); n != 1 {
		t.Errorf("gone was told %d times", n)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	_, out := a.counts()
	one.reported(func(l []prtcp.Packet) bool {
		g, ok := l[len(l)-1].(*prtcp.Goodbye)
		return ok && len(g.Sources) == 1 && g.Sources[0] == out.SSRC
	})
	c, mute := newDesk(t, nil), newPhone(t, "127.0.0.1")
	c.call(mute)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if b, _, ok := read(t, mute.rtcp, 30*time.Millisecond); ok {
		t.Errorf("who said nothing says goodbye: %x", b)
	}
}

func TestControlIsChecked(t *testing.T) {
	d, one, stranger := newDesk(t, often), newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.66")
	d.call(one)
	stranger.to = one.to
	for range 5 {
		one.say(1)
	}
	await(t, "the lock", func() bool { in, _ := d.counts(); return in.Packets == 5 })
	bye, err := prtcp.Marshal([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: one.ssrc}, &prtcp.Goodbye{Sources: []uint32{one.ssrc}}})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := d.counts()
	for range 5 {
		stranger.control(bye)
	}
	await(t, "rejection", func() bool { in, _ := d.counts(); return in.Rejected == before.Rejected+5 })
	longer := append([]byte(nil), bye...)
	binary.BigEndian.PutUint16(longer[10:], 9) // the BYE claims more than is there
	for _, b := range [][]byte{{}, {0x80}, bye[8:], bye[:len(bye)-2], longer, append([]byte{0x40}, bye[1:]...), append(bye[:len(bye):len(bye)], 1, 2, 3, 4)} {
		one.control(b)
	}
	await(t, "malformed ones", func() bool {
		var s media.Snapshot
		d.Stats(&s)
		return s.Notes["rtp.malformed"] == 7
	})
	if n := notices[media.Gone](d); len(n) != 0 {
		t.Error("a bad BYE counts")
	}
	one.control(bye)
	await(t, "a good BYE", func() bool { return len(notices[media.Gone](d)) == 1 })
	if b, _, ok := read(t, stranger.rtcp, 30*time.Millisecond); ok {
		t.Errorf("a stranger is sent %x", b)
	}
}

func TestMux(t *testing.T) {
	d, one := newDesk(t, often), newPhone(t, "127.0.0.1")
	d.call(one, "m=audio %d RTP/AVP 0", "a=rtcp-mux")
	one.say(1)
	await(t, "a packet", func() bool { in, _ := d.counts(); return in.Packets == 1 })
	b, err := prtcp.Marshal([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: one.ssrc}, &prtcp.Goodbye{Sources: []uint32{one.ssrc}}})
	if err != nil {
		t.Fatal(err)
	}
	one.write(b)
	await(t, "the BYE on RTP's port", func() bool { return len(notices[media.Gone](d)) == 1 })
	got, from, ok := read(t, one.rtp, patience)
	if list, err := rtpstream.Unmarshal(got); !ok || err != nil || from != d.LocalAddr() || len(list) != 2 {
		t.Errorf("%x came from %s: %v", got, from, err)
	}
}

// b=RS:0 and b=RR:0 turn RTCP off; hold alone doesn't.
func TestReportsWhileHeld(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  bool
	}{{[]string{"a=inactive"}, true}, {[]string{"b=RS:0", "b=RR:0", "a=inactive"}, false}, {[]string{"c=IN IP4 0.0.0.0"}, false}} {
		d, one := newDesk(t, often), newPhone(t, "127.0.0.1")
		d.call(one, append([]string{"m=audio %d RTP/AVP 0"}, c.lines...)...)
		limit := patience
		if !c.want {
			limit = 150 * time.Millisecond
		}
		if _, _, ok := read(t, one.rtcp, limit); ok != c.want {
			t.Errorf("%q: reports come: %v, want %v", c.lines, ok, c.want)
		}
	}
}

func TestReportsDoNotAllocate(t *testing.T) {
	in := inject(t)
	a := in.a.agreed.Load()
	before := in.a.rtcp.Stats().PacketsOut
	now := in.now
	if n := testing.AllocsPerRun(100, func() { now += 5e9; in.a.sendControl(a, now, false) }); n != 0 {
		t.Errorf("a report allocates %v times", n)
	}
	if n := in.a.rtcp.Stats().PacketsOut - before; n < 100 {
		t.Errorf("%d reports were sent, want 100 or more", n)
	}
}
