package udp

import (
	"errors"
	"net/netip"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stalled is a Net of one loop that stands in a handler until go is called, so
// that the kernel collects events meanwhile.
func stalled(t *testing.T, cfg Config) (n *Net, from *Socket, resume func()) {
	t.Helper()
	cfg.Loops = 1
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	entered, release := make(chan struct{}), make(chan struct{})
	from = open1(t, n, loopback4, &funcs{datagram: func([]byte, Addr, int64) { close(entered); <-release }})
	send(t, from, "x", addr(from))
	<-entered
	return n, from, func() { close(release) }
}

// Three sockets are ready in one wake-up. The first one's handler closes the
// others and opens two in their place: same slot, descriptor and port. What was
// meant for the old ones must not reach them.
func TestGeneration(t *testing.T) {
	n, from, resume := stalled(t, Config{})
	hc, inc := inbox()
	var old [3]*Socket
	opened := make(chan [2]*Socket, 1)
	swap := func() {
		if len(opened) > 0 {
			return
		}
		var fresh [2]*Socket
		for i, s := range old[1:] {
			s.Close()
			c, err := n.Open(s.LocalAddr(), hc)
			if err != nil {
				t.Error(err)
				return
			}
			if c.slot != s.slot || c.fd != s.fd || c.gen == s.gen {
				t.Errorf("slot %d descriptor %d generation %d followed %d %d %d: expected another generation in the same place", c.slot, c.fd, c.gen, s.slot, s.fd, s.gen)
			}
			fresh[i] = c
		}
		opened <- fresh
	}
	old[0] = open1(t, n, loopback4, &funcs{datagram: func([]byte, Addr, int64) { swap() }})
	for i := range old[1:] {
		old[i+1] = open1(t, n, loopback4, &funcs{datagram: func([]byte, Addr, int64) { t.Error("called after Close") }})
	}
	for _, s := range old {
		send(t, from, "old call", addr(s))
	}
	resume()
	var fresh [2]*Socket
	select {
	case fresh = <-opened:
	case <-time.After(patience):
		t.Fatal("first handler not called")
	}
	for _, s := range fresh {
		send(t, from, "new call", addr(s))
		if r := next(t, inc); r.p != "new call" {
			t.Errorf("the new socket got %q", r.p)
		}
	}
	if old[1].Stats().PacketsIn+old[2].Stats().PacketsIn != 0 {
		t.Error("an old socket took a packet after Close")
	}
}

// A flooded socket doesn't keep others waiting.
func TestFairness(t *testing.T) {
	n, from, resume := stalled(t, Config{ReadBuffer: 4 << 20})
	const flood = 1000
	order := make(chan byte, 2*flood)
	h := &funcs{datagram: func(p []byte, _ Addr, _ int64) { order <- p[0] }}
	flooded := open1(t, n, loopback4, h)
	quiet := make([]*Socket, 20)
	for i := range quiet {
		quiet[i] = open1(t, n, loopback4, h)
	}
	for range flood {
		if err := from.WriteTo([]byte("F"), addr(flooded)); err != nil {
			t.Fatal(err)
		}
	}
	queued := flood - int(flooded.Stats().Lost) // the system may allow less buffer
	if queued < 5*burst {
		t.Fatalf("only %d datagrams queued", queued)
	}
	for _, s := range quiet {
		for range 2 {
			send(t, from, "q", addr(s))
		}
	}
	resume()
	floods, quiets := 0, 0
	for quiets < 2*len(quiet) {
		select {
		case c := <-order:
			if c == 'F' {
				floods++
			} else {
				quiets++
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d quiet datagrams arrived", quiets, 2*len(quiet))
		}
	}
	if limit := 3 * burst; floods > limit {
		t.Errorf("%d datagrams of the flood came before the last quiet one, expected at most %d", floods, limit)
	}
	eventually(t, "the flood is read to its end", func() bool { return int(flooded.Stats().PacketsIn) == queued })
}

// With IP_RECVERR the kernel reports a peer's ICMP error at the socket's next
// call, be it a receive or a send.
func TestPendingError(t *testing.T) {
	n, from, resume := stalled(t, Config{})
	h, in := inbox()
	s := open1(t, n, loopback4, h)
	if err := unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
		t.Fatal(err)
	}
	gone := open1(t, n, loopback4, &funcs{})
	gone.Close()
	send(t, s, "to nobody", addr(gone))
	send(t, s, "to nobody", addr(gone)) // the error of the first is pending: this one is tried again
	send(t, from, "to somebody", addr(s))
	resume()
	if r := next(t, in); r.p != "to somebody" {
		t.Errorf("got %q", r.p)
	}
	eventually(t, "the error is counted", func() bool { return s.Stats().ErrorsIn == 1 })
	if st := s.Stats(); st.PacketsOut != 2 || st.ErrorsOut != 0 {
		t.Errorf("%+v, expected 2 packets out", st)
	}
}

func TestLost(t *testing.T) {
	n, from, resume := stalled(t, Config{ReadBuffer: 4096})
	h, in := inbox()
	s := open1(t, n, loopback4, h)
	const sent = 100
	for i := range sent {
		send(t, from, strconv.Itoa(i), addr(s))
	}
	lost := s.Stats().Lost
	if lost == 0 || lost >= sent {
		t.Fatalf("%d of %d lost in a buffer of 4096 bytes", lost, sent)
	}
	resume()
	eventually(t, "the rest arrives", func() bool { return uint64(len(in)) == sent-lost })
	s.Close()
	if got := s.Stats().Lost; got != lost {
		t.Errorf("%d lost after Close, %d before", got, lost)
	}
}

func TestSendErrors(t *testing.T) {
	for errno, want := range map[unix.Errno]error{0: nil, unix.EAGAIN: ErrFull, unix.ENOBUFS: ErrFull, unix.EPERM: unix.EPERM} {
		if got := sendErr(errno); !errors.Is(got, want) || (want == nil) != (got == nil) {
			t.Errorf("%v gives %v, expected %v", errno, got, want)
		}
	}
}

// Sockets spread over the loops, pairs stay together, and more of them than a
// chunk holds keep apart.
func TestPlaces(t *testing.T) {
	n, err := New(Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ports := must(NewPorts(PortsConfig{Min: 20000, Max: 39999, Hold: -1}))
	type got struct{ socket, p int }
	c := make(chan got, 2048)
	var sockets []*Socket
	count := map[*loop]int{}
	for len(sockets) < 2*chunkSize+100 {
		i := len(sockets)
		h := func(i int) Handler {
			return &funcs{datagram: func(p []byte, _ Addr, _ int64) {
				v, _ := strconv.Atoi(string(p))
				c <- got{i, v}
			}}
		}
		a, b, err := n.OpenPair(loopback4, ports, h(i), h(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if a.loop != b.loop {
			t.Fatal("a pair on two loops")
		}
		count[a.loop] += 2
		sockets = append(sockets, a, b)
	}
	if len(count) != 2 || count[sockets[0].loop] != len(sockets)/2 {
		t.Errorf("%v, expected the same on two loops", count)
	}
	from := open1(t, n, loopback4, &funcs{})
	for i, s := range sockets {
		send(t, from, strconv.Itoa(i), addr(s))
		select {
		case g := <-c:
			if g.socket != i || g.p != i {
				t.Fatalf("socket %d got %d, expected %d", g.socket, g.p, i)
			}
		case <-time.After(patience):
			t.Fatalf("socket %d got nothing", i)
		}
	}
	// Closed places are used again before new ones.
	for _, s := range sockets {
		s.Close()
	}
	high := n.engine.(*loops).all[0].high.Load()
	for range chunkSize {
		s, err := n.Open(netip.AddrPortFrom(loopback4, 0), &funcs{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if now := n.engine.(*loops).all[0].high.Load(); now != high {
		t.Errorf("%d slots after reuse, %d before", now, high)
	}
}

// A packet out touches one line of a Socket, one in two.
func TestSocketLayout(t *testing.T) {
	var s Socket
	if end := unsafe.Offsetof(s.out) + unsafe.Sizeof(s.out); end > 64 {
		t.Errorf("sending touches %d bytes, expected 64 at most", end)
	}
	if size := unsafe.Sizeof(s.hot); size > 128 {
		t.Errorf("hot has %d bytes, expected 128 at most", size)
	}
	if size := unsafe.Sizeof(s); size <= 240 || size > 256 {
		t.Errorf("Socket has %d bytes, expected 241 to 256, the size class that is aligned", size)
	}
}
