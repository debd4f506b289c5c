package webrtc

import (
	"encoding/binary"
	"math"
	"net/netip"
	"runtime"
	"testing"

	"github.com/pion/srtp/v3"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/udp"
)

// stream is packets that are encrypted beforehand, so that what is measured is the leg alone.
type stream struct {
	l       *leg
	c       *caller
	packets [][]byte
	buf     []byte
	i       int
	from    udp.Addr
	now     int64
}

func newStream(tb testing.TB, l *leg, c *caller, n int) *stream {
	s := &stream{l: l, c: c, buf: make([]byte, 2048), from: udp.From(c.addr()), now: udp.Now()}
	s.more(n)
	return s
}

func (s *stream) more(n int) {
	s.packets, s.i = s.packets[:0], 0
	for range n {
		s.packets = append(s.packets, s.c.packet(0, tone(0x55)))
	}
}

// packet is the next one, as if it had just been read.
func (s *stream) packet() {
	p := s.buf[:copy(s.buf, s.packets[s.i])]
	s.i++
	s.now += 20e6
	s.l.cfg.Port.sockets[0].Datagram(p, s.from, s.now)
}

func TestPacketsDoNotAllocate(t *testing.T) {
	port := newPort(t, nil)
	a, b, c, d := newLeg(t, port, nil), newLeg(t, port, nil), newCaller(t), newCaller(t)
	c.connects(a)
	d.connects(b)
	await(t, "sleep", func() bool { return a.peer().Stats().Asleep && b.peer().Stats().Asleep })
	a.Source(media.Pad{}).Link(b.Sink(media.Pad{}))
	s := newStream(t, a, c, 1200)
	for range 100 {
		s.packet()
	}
	_, before := b.counts()
	least, sent := math.Inf(1), uint64(0)
	for try := 0; try < 5 && least != 0; try++ { // what other goroutines allocate meanwhile, which is not of packets, is counted too
		least = min(least, testing.AllocsPerRun(200, s.packet))
		sent += 201
	}
	if least != 0 {
		t.Errorf("a packet forwarded allocates %v times", least)
	}
	if _, after := b.counts(); after.Packets-before.Packets != sent {
		t.Errorf("%d packets were forwarded, expected %d", after.Packets-before.Packets, sent)
	}
	if in, _ := a.counts(); in.Lost != 0 || in.Rejected != 0 || in.Epochs != 1 {
		t.Errorf("counted %+v", in)
	}
}

// phone is an endpoint of plain RTP that has agreed with a peer that only listens.
func newPhone(b *testing.B, n *udp.Net) *rtp.Endpoint {
	b.Helper()
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 21000, Max: 60000, Hold: -1})
	if err != nil {
		b.Fatal(err)
	}
	e, err := rtp.New(rtp.Config{Net: n, Ports: ports, Bind: localhost})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	x := newCaller(b)
	body := []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio " +
		netip.AddrPortFrom(localhost, x.addr().Port()).String()[len("127.0.0.1:"):] + " RTP/AVP 0\r\n")
	p, err := e.Answer(b.Context(), body, media.Want{})
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkToRTP is a packet of a browser's from the shared port's handler to the phone's sendto: demultiplexing, SRTP, link.
func BenchmarkToRTP(b *testing.B) {
	port := newPort(b, nil)
	l, c := newLeg(b, port, nil), newCaller(b)
	c.connects(l)
	e := newPhone(b, port.cfg.Net)
	l.Source(media.Pad{}).Link(e.Sink(media.Pad{}))
	s := newStream(b, l, c, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if s.i == len(s.packets) {
			b.StopTimer()
			s.more(len(s.packets))
			b.StartTimer()
		}
		s.packet()
	}
}

// BenchmarkFromRTP is a frame of a phone's into the browser's leg, up to sendto: numbering, SRTP.
func BenchmarkFromRTP(b *testing.B) {
	l, c := newLeg(b, newPort(b, nil), nil), newCaller(b)
	c.connects(l)
	f := l.Sink(media.Pad{}).Caps().Formats[0]
	src := media.NewSource(nil, nil)
	src.SetFormats(f)
	src.Link(l.Sink(media.Pad{}))
	fr := media.Frame{Format: f, Payload: tone(0x55), Arrival: udp.Now()}
	b.ReportAllocs()
	for b.Loop() {
		fr.Sequence++
		fr.Timestamp += 160
		fr.Arrival += 20e6
		src.Send(&fr)
	}
}

// BenchmarkSRTP is the encryption alone.
func BenchmarkSRTP(b *testing.B) {
	for name, p := range map[string]srtp.ProtectionProfile{"GCM": srtp.ProtectionProfileAeadAes128Gcm, "CM": srtp.ProtectionProfileAes128CmHmacSha1_80} {
		b.Run(name, func(b *testing.B) {
			salt, _ := p.SaltLen()
			ctx, err := srtp.CreateContext(make([]byte, 16), make([]byte, salt), p)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 172, 300)
			buf[0] = 0x80
			b.ReportAllocs()
			for i := uint16(0); b.Loop(); i++ {
				binary.BigEndian.PutUint16(buf[2:], i)
				if _, err := ctx.EncryptRTP(buf, buf, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A leg that is asleep is small.
func TestLegsAreSmall(t *testing.T) {
	port := newPort(t, nil)
	const legs = 20
	var all []*leg
	var callers []*caller
	for range legs {
		all, callers = append(all, newLeg(t, port, nil)), append(callers, newCaller(t))
		callers[len(callers)-1].offers(all[len(all)-1], "actpass")
	}
	sizes := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := sizes()
	for i, c := range callers {
		c.finds()
		if err := c.shakes(); err != nil {
			t.Fatal(err)
		}
		await(t, "keys", func() bool { return all[i].Negotiated().Profile != "" })
		_ = c.session.Close()
		c.session = nil
	}
	for _, l := range all {
		await(t, "sleep", func() bool { return l.peer().Stats().Asleep })
	}
	// The callers' own contexts and queues count too, so this is more than what a leg has.
	if each := (int64(sizes()) - int64(before)) / legs; each > 60_000 {
		t.Errorf("a leg that is asleep has %d bytes, expected 60,000 at most", each)
	} else {
		t.Logf("a leg that is asleep has %d bytes or less", each)
	}
}
