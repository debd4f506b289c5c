package webrtc

import (
	"net/netip"
	"testing"
	"unsafe"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// What a packet touches of a leg lies on few lines of the cache, and Warm fetches all of them.
func TestLayout(t *testing.T) {
	const line = 64
	var e Endpoint
	var p peer
	end := func(base unsafe.Pointer, field unsafe.Pointer, size uintptr) uintptr {
		return uintptr(field) - uintptr(base) + size
	}
	for _, c := range []struct {
		name  string
		from  unsafe.Pointer
		bytes uintptr
		lines uintptr
	}{
		{"the peer, in", unsafe.Pointer(&p.mu), end(unsafe.Pointer(&p.mu), unsafe.Pointer(&p.header), unsafe.Sizeof(p.header)), linesPeerIn},
		{"the peer, out", unsafe.Pointer(&p.out), unsafe.Sizeof(p.out), linesPeerOut},
		{"way in", unsafe.Pointer(&e.in), unsafe.Offsetof(e.in.seq) + rtpstream.HotSize, linesIn},
		{"way out", unsafe.Pointer(&e.sink), unsafe.Offsetof(e.sink.buf), linesOut},
	} {
		// Where the allocator puts the whole isn't known here; at worst a field begins at the end of a line.
		if n := (c.bytes + line - 1) / line; n > c.lines {
			t.Errorf("%s: %d bytes are on %d lines, expected %d", c.name, c.bytes, n, c.lines)
		}
	}
}

// noted is a party that notes what it gets, and what it is warmed for.
type noted struct {
	got    []byte
	warmed int
	then   func() // after a datagram
}

func (n *noted) datagram(_ *socket, p []byte, _ *udp.Addr, _ int64) {
	n.got = append(n.got, p[11])
	if n.then != nil {
		n.then()
	}
}
func (n *noted) live(*socket, *udp.Addr, int64) bool { return false }
func (n *noted) warm(int)                            { n.warmed++ }

// Datagrams whose senders were looked up together reach who has the address when they are handled, not who had it then.
func TestForesee(t *testing.T) {
	port := newPort(t, nil)
	s := newSocket(port)
	s.udp, s.open = port.sockets[0].udp, true
	at := func(n uint16) udp.Addr {
		return udp.From(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), n))
	}
	var a, b, c noted
	one, two, none := at(1001), at(1002), at(1003)
	s.learn(&one, &a, 1)
	s.learn(&two, &b, 1)
	packet := func(n byte) []byte { return []byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n} }
	from := []udp.Addr{one, two, none, one, two, one}
	s.Foresee(from)
	b.then = func() { // after its first datagram it goes, and another comes to its address
		b.then = nil
		s.forget(&two, &b)
		s.learn(&two, &c, 1)
	}
	for i, f := range from {
		if i != 3 { // as one that was too large
			s.Datagram(packet(byte(i)), f, 1)
		}
	}
	s.Datagram(packet(9), two, 1) // not foreseen
	for name, x := range map[string]struct {
		p      *noted
		got    string
		warmed int
	}{"first": {&a, "\x00\x05", 3 * warmSteps}, "gone": {&b, "\x01", 2 * warmSteps}, "its heir": {&c, "\x04\x09", 0}} {
		if string(x.p.got) != x.got || x.p.warmed != x.warmed {
			t.Errorf("%s: got % x and was warmed %d times, expected % x and %d", name, x.p.got, x.p.warmed, x.got, x.warmed)
		}
	}
	if n := testing.AllocsPerRun(10, func() { s.Foresee(from) }); n != 0 {
		t.Errorf("Foresee allocates %v times", n)
	}
}
