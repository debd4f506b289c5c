package rtp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// phone is a peer with a pair of plain sockets, which sends what the test says.
type phone struct {
	tb        testing.TB
	rtp, rtcp *net.UDPConn
	to        netip.AddrPort // where RTP goes
	pt        uint8
	marker    bool
	seq       uint16
	ts, ssrc  uint32
}

func newPhone(tb testing.TB, ip string) *phone {
	tb.Helper()
	for range 100 {
		a, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
		if err != nil {
			tb.Fatal(err)
		}
		b, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip), Port: a.LocalAddr().(*net.UDPAddr).Port + 1})
		if err != nil {
			_ = a.Close()
			continue
		}
		tb.Cleanup(func() { _ = a.Close(); _ = b.Close() })
		return &phone{tb: tb, rtp: a, rtcp: b, seq: 100, ts: 5000, ssrc: 0xabcd}
	}
	tb.Fatal("no pair of ports")
	return nil
}

func (p *phone) addr() netip.AddrPort {
	a := p.rtp.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// sdp is the phone's description with its real address, PCMU, PCMA and events at 101 unless lines say else.
func (p *phone) sdp(lines ...string) []byte { return description(p.addr(), lines...) }

func description(a netip.AddrPort, lines ...string) []byte {
	family := "IP4"
	if a.Addr().Is6() {
		family = "IP6"
	}
	body := []string{"v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", fmt.Sprintf("c=IN %s %s", family, a.Addr()), "t=0 0"}
	media := fmt.Sprintf("m=audio %d RTP/AVP 0 8 101", a.Port())
	if len(lines) > 0 && strings.HasPrefix(lines[0], "m=") {
		media, lines = fmt.Sprintf(lines[0], a.Port()), lines[1:]
	}
	body = append(body, media, "a=rtpmap:101 telephone-event/8000")
	return []byte(strings.Join(append(body, lines...), "\r\n") + "\r\n")
}

// packet makes the phone's next packet; number and timestamp move on.
func (p *phone) packet(payload []byte) []byte {
	b := make([]byte, 12, 12+len(payload)+64)
	b[0], b[1] = 0x80, p.pt
	if p.marker {
		b[1] |= 0x80
		p.marker = false
	}
	binary.BigEndian.PutUint16(b[2:], p.seq)
	binary.BigEndian.PutUint32(b[4:], p.ts)
	binary.BigEndian.PutUint32(b[8:], p.ssrc)
	p.seq++
	p.ts += 160
	return append(b, payload...)
}

// say sends one packet with a payload of 160 times mark.
func (p *phone) say(mark byte) {
	p.tb.Helper()
	p.write(p.packet(tone(mark)))
}

func (p *phone) write(b []byte) {
	p.tb.Helper()
	if _, err := p.rtp.WriteToUDPAddrPort(b, p.to); err != nil {
		p.tb.Fatal(err)
	}
}

func tone(mark byte) []byte {
	b := make([]byte, 160)
	for i := range b {
		b[i] = mark
	}
	return b
}

// packet as it came to a phone.
type packet struct {
	rtpstream.Header
	payload []byte
	from    netip.AddrPort
}

// hear waits for one packet.
func (p *phone) hear() packet {
	p.tb.Helper()
	k, ok := p.next(patience)
	if !ok {
		p.tb.Fatalf("nothing came within %v", patience)
	}
	return k
}

// deaf asserts that nothing comes.
func (p *phone) deaf() {
	p.tb.Helper()
	if k, ok := p.next(60 * time.Millisecond); ok {
		p.tb.Fatalf("%+v came", k)
	}
}

func (p *phone) next(limit time.Duration) (packet, bool) {
	p.tb.Helper()
	b, from, ok := read(p.tb, p.rtp, limit)
	if !ok {
		return packet{}, false
	}
	k := packet{from: from}
	if !k.Parse(b) {
		p.tb.Fatalf("no RTP came: %x", b)
	}
	k.payload = b[k.Size:]
	return k, true
}

// patience is how long a test waits for what must come: nobody knows how busy the machine is.
const patience = 30 * time.Second

func read(tb testing.TB, c *net.UDPConn, limit time.Duration) ([]byte, netip.AddrPort, bool) {
	tb.Helper()
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, 2048)
	n, from, err := c.ReadFromUDPAddrPort(b)
	return b[:n], from, err == nil
}

// desk is an endpoint and what it noticed.
type desk struct {
	*Endpoint
	tb testing.TB

	mu    sync.Mutex
	heard []media.Notice
}

// newDesk makes an endpoint on a network of its own. change may alter its settings.
func newDesk(tb testing.TB, change func(*Config)) *desk {
	tb.Helper()
	n, ports := network(tb)
	d := &desk{tb: tb}
	cfg := Config{Net: n, Ports: ports, Bind: localhost, Registry: registry(), Name: "desk", report: time.Hour,
		Notify: func(n media.Notice) {
			d.mu.Lock()
			d.heard = append(d.heard, n)
			d.mu.Unlock()
		}}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	d.Endpoint = e
	return d
}

// notices of one kind so far.
func notices[T media.Notice](d *desk) []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []T
	for _, n := range d.heard {
		if t, ok := n.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// await waits until ok.
func await(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// takes lets the endpoint answer an offer.
func (d *desk) takes(offer []byte, w media.Want) {
	d.tb.Helper()
	p, err := d.Answer(context.Background(), offer, w)
	if err != nil {
		d.tb.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		d.tb.Fatal(err)
	}
}

// call lets a phone offer itself to the endpoint.
func (d *desk) call(p *phone, lines ...string) {
	d.tb.Helper()
	d.takes(p.sdp(lines...), media.Want{})
	p.to = d.LocalAddr()
}

// counts are the endpoint's two streams.
func (d *desk) counts() (in, out media.Stream) {
	var s media.Snapshot
	d.Stats(&s)
	return s.Streams[0], s.Streams[1]
}

// bridge links two endpoints both ways.
func bridge(a, b *desk) {
	zero := media.Pad{}
	a.Source(zero).Link(b.Sink(zero))
	b.Source(zero).Link(a.Sink(zero))
}

// inject is a packet on the endpoint's loop without a network.
func (d *desk) inject(b []byte, from netip.AddrPort, now int64) {
	a := udp.From(from)
	d.receive(b, &a, now)
}
