package webrtc

import (
	"bytes"
	"context"
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// flood is checks that come to a port at one time, handed to it without a network.
type flood struct {
	tb testing.TB
	s  *socket
	l  *leg
	c  *caller

	now int64
}

func (f *flood) from(at udp.Addr, m *stun.Message, times int) {
	for range times {
		f.s.Datagram(bytes.Clone(m.Raw), at, f.now)
	}
}

// forged is a check under both ufrags with a wrong password.
func (f *flood) forged(name string) *stun.Message {
	f.tb.Helper()
	return must[*stun.Message](f.tb)(stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(name),
		stun.NewShortTermIntegrity("not the password, but as long"), stun.Fingerprint))
}

// checks lets the peer send good ones, and counts those that are taken.
func (f *flood) checks(times int) float64 {
	before := f.l.notes()["webrtc.checks"]
	f.from(udp.From(f.c.addr()), f.c.check(), times)
	return f.l.notes()["webrtc.checks"] - before
}

// neighbour is an address whose checks share a bucket with the peer's as long as that is unknown.
func (f *flood) neighbour() udp.Addr {
	own := udp.From(f.c.addr())
	want := f.s.limit.index(f.c.yours.ufrag, &own)
	for port := uint16(1); port < 65535; port++ {
		a := udp.From(netip.AddrPortFrom(f.c.addr().Addr(), port))
		if a != own && f.s.limit.index(f.c.yours.ufrag, &a) == want {
			return a
		}
	}
	f.tb.Fatal("no other port has the bucket")
	return own
}

// Whatever is forged, from a peer's very address or beside it, a peer's own checks are taken, and forged ones aren't
// looked at for ever.
func TestForgedChecksStarveNobody(t *testing.T) {
	port := newPort(t, nil)
	f := &flood{t, port.sockets[0], newLeg(t, port, nil), newCaller(t), udp.Now()}
	f.c.offers(f.l, "actpass")
	own, names := udp.From(f.c.addr()), f.c.yours.ufrag+":"+f.c.mine.ufrag
	// Who doesn't know the names takes nothing from a peer that comes for the first time.
	f.from(own, f.forged("nobody:"+f.c.mine.ufrag), 3*maxChecks)
	f.from(own, f.forged(f.c.yours.ufrag+":nobody"), 3*maxChecks)
	f.from(own, must[*stun.Message](t)(stun.Build(stun.BindingRequest, stun.TransactionID)), 3*maxChecks)
	if n := f.checks(1); n != 1 {
		t.Fatalf("%v of the first check is taken", n)
	}
	// Who knows them doesn't either, once the peer has shown where it is.
	before := drops(port)["webrtc.port.limited"]
	f.from(f.neighbour(), f.forged(names), 3*maxForged)
	if n := drops(port)["webrtc.port.limited"] - before; n != 2*maxForged {
		t.Errorf("%v forged checks of a stranger weren't looked at, expected %d", n, 2*maxForged)
	}
	f.from(own, f.forged(names), maxForgedKnown/2)
	if n := f.checks(10); n != 10 {
		t.Errorf("%v of 10 checks are taken", n)
	}
	// Its own are limited for themselves.
	if n := f.checks(3 * maxChecks); n != maxChecks-10 { // the first came before the address had a bucket
		t.Errorf("%v checks are taken, expected %d", n, maxChecks-10)
	}
	f.now += 1e9
	before = drops(port)["webrtc.port.stun"]
	f.from(own, f.forged(names), 2*maxForgedKnown)
	if n := drops(port)["webrtc.port.stun"] - before; n != maxForgedKnown {
		t.Errorf("%v forged checks were looked at, expected %d", n, maxForgedKnown)
	}
	f.now += 1e9
	if n := f.checks(1); n != 1 {
		t.Error("a check isn't taken in the next second")
	}
}

// The bucket of an address isn't to be guessed: another port has others.
func TestBucketsAreSeeded(t *testing.T) {
	var a, b limiter
	a.init()
	b.init()
	same := 0
	for i := range uint16(1000) {
		at := udp.From(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 1000+i))
		if a.index("ufrag", &at) == b.index("ufrag", &at) {
			same++
		}
	}
	if same > 50 {
		t.Errorf("%d of 1000 addresses have the same bucket under two seeds", same)
	}
	at := udp.From(netip.MustParseAddrPort("[2001:db8::1]:4000"))
	if n := testing.AllocsPerRun(100, func() { a.of(nil, "ufrag", &at, 5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A packet with its SRTP tag stays below what every path carries: 1280 bytes with the headers of IPv6 and UDP.
func TestDatagramsHaveRoomForTheTag(t *testing.T) {
	for _, profile := range []string{"AEAD_AES_128_GCM", "SRTP_AES128_CM_HMAC_SHA1_80"} {
		l, c := newLeg(t, newPort(t, func(p *PortConfig) { p.Profiles = []string{profile} }), nil), newCaller(t)
		c.connects(l)
		f := l.Sink(media.Pad{}).Caps().Formats[0]
		src := media.NewSource(nil, nil)
		src.SetFormats(f)
		src.Link(l.Sink(media.Pad{}))
		fr := media.Frame{Format: f, Arrival: 1}
		largest := 0
		for size := 1100; size < 1500; size += 4 {
			fr.Sequence++
			fr.Timestamp += 160
			fr.Payload = make([]byte, size)
			_, before := l.counts()
			src.Send(&fr)
			if _, after := l.counts(); after.Packets > before.Packets {
				largest = max(largest, c.size())
			}
		}
		if most := 1280 - 40 - 8; largest > most || largest < most-40 {
			t.Errorf("%s: the largest datagram has %d bytes, expected nearly %d", profile, largest, most)
		}
	}
}

// size is that of the next RTP packet as it came.
func (c *caller) size() int {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5e9)
	defer cancel()
	for {
		select {
		case b := <-c.rest:
			if len(b) >= 12 && b[0] >= 128 && b[1] < 192 {
				return len(b)
			}
		case <-ctx.Done():
			c.tb.Fatal("nothing came")
		}
	}
}
