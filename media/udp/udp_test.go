package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 5 * time.Second

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// each runs a test of the conformance suite on both engines (off Linux they
// are the same).
func each(t *testing.T, cfg Config, f func(t *testing.T, n *Net)) {
	t.Helper()
	for name, start := range map[string]func(*Net) (engine, error){"system": newEngine, "portable": newStreams} {
		t.Run(name, func(t *testing.T) {
			n, err := newNet(cfg, start)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := n.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if left := n.Sockets(); left != 0 {
					t.Errorf("%d sockets left after Close", left)
				}
			})
			f(t, n)
		})
	}
}

// funcs is a Handler of functions; nil ones do nothing.
type funcs struct {
	datagram func(p []byte, from Addr, now int64)
	tick     func(now int64)
}

func (f *funcs) Datagram(p []byte, from Addr, now int64) {
	if f.datagram != nil {
		f.datagram(p, from, now)
	}
}

func (f *funcs) Tick(now int64) {
	if f.tick != nil {
		f.tick(now)
	}
}

type received struct {
	p    string
	from Addr
	now  int64
}

// inbox is a Handler that passes on what it gets.
func inbox() (*funcs, chan received) {
	c := make(chan received, 4096)
	return &funcs{datagram: func(p []byte, from Addr, now int64) { c <- received{string(p), from, now} }}, c
}

func next(t *testing.T, c <-chan received) received {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(patience):
		t.Fatal("nothing received")
		return received{}
	}
}

func open1(t *testing.T, n *Net, ip netip.Addr, h Handler) *Socket {
	t.Helper()
	s, err := n.Open(netip.AddrPortFrom(ip, 0), h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addr(s *Socket) *Addr {
	a := From(s.LocalAddr())
	return &a
}

func send(t *testing.T, s *Socket, p string, to *Addr) {
	t.Helper()
	if err := s.WriteTo([]byte(p), to); err != nil {
		t.Fatalf("WriteTo %s: %v", to, err)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func TestExchange(t *testing.T) {
	each(t, Config{}, func(t *testing.T, n *Net) {
		for _, ip := range []netip.Addr{loopback4, loopback6} {
			ha, ina := inbox()
			hb, inb := inbox()
			a, b := open1(t, n, ip, ha), open1(t, n, ip, hb)
			before := Now()
			send(t, a, "over", addr(b))
			r := next(t, inb)
			if r.p != "over" || r.from != *addr(a) || r.now < before || r.now > Now() {
				t.Errorf("%s: got %q from %s at %d, expected %q from %s after %d", ip, r.p, r.from, r.now, "over", addr(a), before)
			}
			send(t, b, "", &r.from)
			if r := next(t, ina); r.p != "" || !r.from.Equal(addr(b)) {
				t.Errorf("%s: got %q from %s, expected an empty datagram from %s", ip, r.p, r.from, addr(b))
			}
			sa, sb := a.Stats(), b.Stats()
			if sa.PacketsOut != 1 || sa.BytesOut != 4 || sa.PacketsIn != 1 || sb.PacketsIn != 1 || sb.BytesIn != 4 || sb.LastIn != r.now {
				t.Errorf("%s: stats %+v and %+v", ip, sa, sb)
			}
		}
	})
}

// A socket of both families knows an IPv4 peer by its IPv4 address.
func TestBothFamilies(t *testing.T) {
	each(t, Config{}, func(t *testing.T, n *Net) {
		hw, inw := inbox()
		wild := open1(t, n, netip.IPv6Unspecified(), hw)
		for _, ip := range []netip.Addr{loopback4, loopback6} {
			h, in := inbox()
			s := open1(t, n, ip, h)
			to := From(netip.AddrPortFrom(ip, wild.LocalAddr().Port()))
			send(t, s, "in", &to)
			r := next(t, inw)
			if r.from != *addr(s) {
				t.Errorf("from %s, expected %s", r.from, addr(s))
			}
			send(t, wild, "out", &r.from)
			if r := next(t, in); r.p != "out" || r.from != to {
				t.Errorf("got %q from %s, expected %q from %s", r.p, r.from, "out", to)
			}
		}
	})
	each(t, Config{V6Only: true}, func(t *testing.T, n *Net) {
		wild := open1(t, n, netip.IPv6Unspecified(), &funcs{})
		h := &funcs{}
		s, err := n.Open(netip.AddrPortFrom(netip.IPv4Unspecified(), wild.LocalAddr().Port()), h)
		if err != nil {
			t.Errorf("with V6Only the IPv4 port should be free: %v", err)
			return
		}
		if err := wild.WriteTo([]byte("x"), addr(open1(t, n, loopback4, h))); err == nil {
			t.Error("an IPv6-only socket sent to IPv4")
		}
		_ = s
	})
}

func TestSizes(t *testing.T) {
	each(t, Config{}, func(t *testing.T, n *Net) {
		type size struct{ len, room int }
		c := make(chan size, 10)
		s := open1(t, n, loopback4, &funcs{datagram: func(p []byte, _ Addr, _ int64) {
			c <- size{len(p), cap(p) - len(p)}
			p = p[:len(p)+Room] // an SRTP trailer may be written here
			clear(p)
		}})
		a := open1(t, n, loopback4, &funcs{})
		for _, l := range []int{MaxDatagram + 1, MaxDatagram, 1} {
			send(t, a, strings.Repeat("x", l), addr(s))
		}
		for _, l := range []int{MaxDatagram, 1} {
			select {
			case got := <-c:
				if got.len != l || got.room < Room {
					t.Errorf("datagram of %d bytes with %d behind it, expected %d and at least %d", got.len, got.room, l, Room)
				}
			case <-time.After(patience):
				t.Fatalf("datagram of %d bytes didn't arrive", l)
			}
		}
		if st := s.Stats(); st.Oversize != 1 || st.PacketsIn != 2 {
			t.Errorf("stats %+v, expected 1 oversize, 2 in", st)
		}
	})
}

func TestTick(t *testing.T) {
	each(t, Config{Tick: 32 * time.Millisecond}, func(t *testing.T, n *Net) {
		var ticks, datagrams atomic.Int32
		h := &funcs{tick: func(int64) { ticks.Add(1) }, datagram: func([]byte, Addr, int64) { datagrams.Add(1) }}
		s, other := open1(t, n, loopback4, h), open1(t, n, loopback4, &funcs{})
		eventually(t, "ticks of an idle socket", func() bool { return ticks.Load() >= 3 })
		start, before := time.Now(), ticks.Load()
		for time.Since(start) < 400*time.Millisecond { // traffic must neither stop nor speed them up
			send(t, other, "x", addr(s))
			time.Sleep(2 * time.Millisecond)
		}
		got := float64(ticks.Load() - before)
		if want := time.Since(start).Seconds() / 0.032; got < want/3 || got > want+2 {
			t.Errorf("%v ticks in %s, expected about %.0f", got, time.Since(start), want)
		}
		s.Close()
		after := ticks.Load()
		time.Sleep(100 * time.Millisecond)
		if ticks.Load() != after || datagrams.Load() == 0 {
			t.Errorf("%d ticks after Close, %d datagrams before", ticks.Load()-after, datagrams.Load())
		}
		// The timer starts again with the next socket, and the first has ended.
		other.Close()
		open1(t, n, loopback4, h)
		eventually(t, "ticks after a pause", func() bool { return ticks.Load() > after+1 })
	})
}

func TestPair(t *testing.T) {
	each(t, Config{Loops: 2}, func(t *testing.T, n *Net) {
		ports := must(NewPorts(PortsConfig{Min: 41001, Max: 42998, Hold: -1}))
		var inside, calls, overlaps atomic.Int32
		h := &funcs{datagram: func([]byte, Addr, int64) {
			if inside.Add(1) > 1 {
				overlaps.Add(1)
			}
			time.Sleep(100 * time.Microsecond)
			inside.Add(-1)
			calls.Add(1)
		}}
		rtp, rtcp, err := n.OpenPair(loopback4, ports, h, h)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := rtp.LocalAddr().Port(), rtcp.LocalAddr().Port(); a%2 != 0 || b != a+1 || a < 41002 || b > 42998 {
			t.Errorf("ports %d and %d, expected even and odd in 41002-42998", a, b)
		}
		from := open1(t, n, loopback4, &funcs{})
		for range 50 {
			send(t, from, "rtp", addr(rtp))
			send(t, from, "rtcp", addr(rtcp))
		}
		eventually(t, "100 datagrams", func() bool { return calls.Load() == 100 })
		if overlaps.Load() != 0 {
			t.Errorf("the pair's handlers overlapped %d times", overlaps.Load())
		}
		if st := ports.Stats(); st.Used != 1 || st.Free != 997 {
			t.Errorf("%+v, expected 1 used, 997 free", st)
		}
		rtp.Close()
		if st := ports.Stats(); st.Used != 1 {
			t.Errorf("%+v with RTCP still open, expected 1 used", st)
		}
		rtcp.Close()
		rtcp.Close()
		if st := ports.Stats(); st.Used != 0 || st.Free != 998 {
			t.Errorf("%+v after both closed, expected 998 free", st)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// freeRange finds n adjacent ports from an even one that are free now.
func freeRange(t *testing.T, n int) (lo, hi uint16) {
	t.Helper()
search:
	for base := 45000; base < 60000; base += 100 {
		var open []net.PacketConn
		for i := range n {
			c, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", base+i))
			if err != nil {
				for _, c := range open {
					c.Close()
				}
				continue search
			}
			open = append(open, c)
		}
		for _, c := range open {
			c.Close()
		}
		return uint16(base), uint16(base + n - 1)
	}
	t.Fatal("no free range")
	return 0, 0
}

func TestPortExhaustion(t *testing.T) {
	each(t, Config{}, func(t *testing.T, n *Net) {
		lo, hi := freeRange(t, 6)
		ports := must(NewPorts(PortsConfig{Min: lo, Max: hi, Hold: 50 * time.Millisecond}))
		// Another program has one odd port: its pair can't be used.
		c, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", lo+1))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var open [][2]*Socket
		for range 2 {
			a, b, err := n.OpenPair(loopback4, ports, &funcs{}, &funcs{})
			if err != nil {
				t.Fatal(err)
			}
			if a.LocalAddr().Port() == lo {
				t.Fatalf("got port %d although %d is in use", lo, lo+1)
			}
			open = append(open, [2]*Socket{a, b})
		}
		_, _, err = n.OpenPair(loopback4, ports, &funcs{}, &funcs{})
		if !errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), fmt.Sprintf("%d-%d", lo, hi)) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Fatalf("error %v, expected one that names 127.0.0.1 and the range %d-%d", err, lo, hi)
		}
		if n.Sockets() != 4 {
			t.Errorf("%d sockets, expected 4: failed attempts must leave none", n.Sockets())
		}
		open[0][0].Close()
		open[0][1].Close()
		a, _, err := n.OpenPair(loopback4, ports, &funcs{}, &funcs{})
		if err != nil || a.LocalAddr().Port() != open[0][0].LocalAddr().Port() {
			t.Fatalf("after a pair without traffic was closed: %v, expected its ports at once", err)
		}
		c.Close()
		eventually(t, "the other program's ports are tried again", func() bool {
			_, _, err := n.OpenPair(loopback4, ports, &funcs{}, &funcs{})
			return err == nil
		})
		if st := ports.Stats(); st != (PortsStats{Used: 3}) {
			t.Errorf("%+v, expected 3 used", st)
		}
	})
}

// TestAttack: media of a call that is over reaches no other.
func TestAttack(t *testing.T) { t.Run("attack_port_reuse_by_stale_media", staleMedia) }

// Ports that had a packet in their last second are held back.
func staleMedia(t *testing.T) {
	each(t, Config{}, func(t *testing.T, n *Net) {
		lo, hi := freeRange(t, 2)
		const hold = 500 * time.Millisecond
		ports := must(NewPorts(PortsConfig{Min: lo, Max: hi, Hold: hold}))
		h, in := inbox()
		a, b, err := n.OpenPair(loopback4, ports, h, h)
		if err != nil {
			t.Fatal(err)
		}
		send(t, open1(t, n, loopback4, &funcs{}), "late media", addr(b))
		next(t, in)
		closed := time.Now()
		a.Close()
		b.Close()
		// The system's reader may not be back from the handler yet: who is last gives the ports back.
		eventually(t, "the ports are held", func() bool { return ports.Stats() == PortsStats{Held: 1} })
		if _, _, err := n.OpenPair(loopback4, ports, h, h); !errors.Is(err, ErrExhausted) {
			t.Errorf("error %v while held, expected ErrExhausted", err)
		}
		eventually(t, "held ports come back", func() bool {
			_, _, err := n.OpenPair(loopback4, ports, h, h)
			return err == nil
		})
		if d := time.Since(closed); d < hold {
			t.Errorf("ports were back after %s, expected %s at least", d, hold)
		}
	})
}

func TestCloseInHandler(t *testing.T) {
	each(t, Config{Loops: 2}, func(t *testing.T, n *Net) {
		ports := must(NewPorts(PortsConfig{Min: 43000, Max: 44999, Hold: -1}))
		var calls atomic.Int32
		var rtp, rtcp, elsewhere *Socket
		ready, done := make(chan struct{}), make(chan error, 1)
		h := &funcs{datagram: func([]byte, Addr, int64) {
			<-ready
			calls.Add(1)
			if err := errors.Join(rtp.Close(), rtcp.Close(), elsewhere.Close()); err != nil {
				done <- err
			}
			done <- n.Close()
		}}
		rtp, rtcp, err := n.OpenPair(loopback4, ports, h, h)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere = open1(t, n, loopback4, &funcs{})
		from := open1(t, n, loopback4, &funcs{})
		for range 20 {
			send(t, from, "x", addr(rtp))
			send(t, from, "x", addr(rtcp))
		}
		close(ready)
		select {
		case err := <-done:
			if !errors.Is(err, ErrInHandler) {
				t.Errorf("Net.Close in a handler: %v, expected ErrInHandler", err)
			}
		case <-time.After(patience):
			t.Fatal("deadlock")
		}
		eventually(t, "sockets are gone", func() bool { return n.Sockets() == 1 })
		if calls.Load() != 1 {
			t.Errorf("%d calls, expected none after Close in the first", calls.Load())
		}
		if err := elsewhere.WriteTo([]byte("x"), addr(from)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteTo after Close: %v, expected net.ErrClosed", err)
		}
	})
}

// Close from outside waits for the handler that runs, and there is no other.
func TestCloseWaits(t *testing.T) {
	each(t, Config{Loops: 1}, func(t *testing.T, n *Net) {
		entered, release := make(chan struct{}), make(chan struct{})
		var left atomic.Bool
		s := open1(t, n, loopback4, &funcs{datagram: func([]byte, Addr, int64) {
			close(entered) // a second call would panic
			<-release
			left.Store(true)
		}})
		from := open1(t, n, loopback4, &funcs{})
		send(t, from, "1", addr(s))
		send(t, from, "2", addr(s))
		<-entered
		closed := make(chan bool, 2)
		for range 2 {
			go func() {
				s.Close()
				closed <- left.Load()
			}()
		}
		select {
		case <-closed:
			t.Error("Close returned while the handler was running")
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		for range 2 {
			if !<-closed {
				t.Error("Close returned before the handler did")
			}
		}
	})
}

// Sockets are opened and closed under traffic, while others write from them.
func TestCloseUnderTraffic(t *testing.T) {
	each(t, Config{Loops: 2}, func(t *testing.T, n *Net) {
		sink := open1(t, n, loopback4, &funcs{})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var current atomic.Pointer[Socket]
		for range 2 {
			from := open1(t, n, loopback4, &funcs{})
			wg.Go(func() {
				to := addr(sink)
				for p := []byte("x"); ; time.Sleep(20 * time.Microsecond) {
					select {
					case <-stop:
						return
					default:
					}
					if s := current.Load(); s != nil {
						a := From(s.LocalAddr())
						_ = from.WriteTo(p, &a)
						if err := s.WriteTo(p, to); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, ErrFull) {
							t.Errorf("WriteTo beside Close: %v", err)
							return
						}
						_ = s.Stats()
					}
				}
			})
		}
		var got int
		for range 200 {
			var closed atomic.Bool
			var in atomic.Int32
			s := open1(t, n, loopback4, &funcs{datagram: func([]byte, Addr, int64) {
				if closed.Load() {
					t.Error("called after Close")
				}
				in.Add(1)
			}})
			current.Store(s)
			for end := time.Now().Add(5 * time.Millisecond); in.Load() == 0 && time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
			}
			s.Close()
			closed.Store(true)
			got += int(in.Load())
		}
		close(stop)
		wg.Wait()
		if got < 100 {
			t.Errorf("%d datagrams into 200 sockets: no traffic", got)
		}
	})
}

// An ICMP "port unreachable" in answer to one peer's packet leaves the others' traffic alone.
func TestUnreachable(t *testing.T) {
	each(t, Config{}, func(t *testing.T, n *Net) {
		gone := open1(t, n, loopback4, &funcs{})
		h, in := inbox()
		s, peer := open1(t, n, loopback4, h), open1(t, n, loopback4, &funcs{})
		gone.Close()
		for range 5 {
			send(t, s, "to nobody", addr(gone))
			send(t, peer, "to somebody", addr(s))
			if r := next(t, in); r.p != "to somebody" {
				t.Errorf("got %q", r.p)
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	for name, start := range map[string]func(*Net) (engine, error){"system": newEngine, "portable": newStreams} {
		t.Run(name, func(t *testing.T) {
			n := must(newNet(Config{Loops: 1}, start))
			defer n.Close()
			var echoed atomic.Int64
			var self atomic.Pointer[Socket] // a handler may run before Open returns
			ready := make(chan struct{}, 1)
			b := open1(t, n, loopback4, &funcs{datagram: func(p []byte, from Addr, _ int64) {
				sent(self.Load(), p, &from)
			}})
			self.Store(b)
			a := open1(t, n, loopback4, &funcs{datagram: func([]byte, Addr, int64) { echoed.Add(1); ready <- struct{}{} }})
			p, to := bytes.Repeat([]byte{0x80}, 172), addr(b)
			got := testing.AllocsPerRun(500, func() {
				sent(a, p, to)
				<-ready
			})
			if got != 0 {
				t.Errorf("%v allocations for two datagrams in and two out, expected 0", got)
			}
			if echoed.Load() != 501 {
				t.Errorf("%d echoes, expected 501", echoed.Load())
			}
		})
	}
}

// sent sends again what a socket had no time for: that is all that a machine which stands still may make of it.
func sent(s *Socket, p []byte, to *Addr) {
	err := ErrFull
	for err == ErrFull {
		err = s.WriteTo(p, to)
	}
	if err != nil {
		panic(err)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Loops: -1}, "Loops is -1, expected 0 to 256"},
		{Config{ReadBuffer: -5}, "ReadBuffer is -5"},
		{Config{Tick: time.Millisecond}, "Tick is 1ms, expected 16ms to 1h"},
		{Config{DSCP: 64}, "DSCP is 64, expected 0 to 63"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, expected %q", c.cfg, err, c.want)
		}
	}
	for _, c := range []PortsConfig{{}, {Min: 5000, Max: 5000}, {Min: 5001, Max: 5002}, {Min: 65535, Max: 65535}, {Min: 6, Max: 5}} {
		if _, err := NewPorts(c); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d-%d", c.Min, c.Max)) {
			t.Errorf("range %d-%d: %v", c.Min, c.Max, err)
		}
	}
	each(t, Config{DSCP: 46}, func(t *testing.T, n *Net) {
		s := open1(t, n, loopback4, &funcs{})
		if _, err := n.Open(s.LocalAddr(), &funcs{}); err == nil || !strings.Contains(err.Error(), s.LocalAddr().String()) {
			t.Errorf("a port in use: %v, expected an error that names %s", err, s.LocalAddr())
		}
		if _, err := n.Open(netip.AddrPort{}, &funcs{}); err == nil {
			t.Error("the zero address was opened")
		}
		if _, err := n.Open(netip.AddrPortFrom(loopback4, 0), nil); err == nil {
			t.Error("opened without a handler")
		}
		if _, err := n.Open(netip.MustParseAddrPort("203.0.113.1:0"), &funcs{}); err == nil {
			t.Error("an address that isn't ours was opened")
		}
		ports := must(NewPorts(PortsConfig{Min: 45000, Max: 45009}))
		if _, _, err := n.OpenPair(netip.MustParseAddr("203.0.113.1"), ports, &funcs{}, &funcs{}); err == nil || errors.Is(err, ErrExhausted) {
			t.Errorf("pair at an address that isn't ours: %v, expected the kernel's reason", err)
		}
		if st := ports.Stats(); st.Free != 5 {
			t.Errorf("%+v, expected 5 free", st)
		}
		if err := s.WriteTo([]byte("x"), &Addr{}); err == nil {
			t.Error("sent to no address")
		}
		if st := s.Stats(); st.ErrorsOut != 1 {
			t.Errorf("%+v, expected 1 error out", st)
		}
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := n.Open(netip.AddrPortFrom(loopback4, 0), &funcs{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Open after Close: %v, expected net.ErrClosed", err)
		}
		if err := s.Close(); err != nil || s.Stats().ErrorsOut != 1 {
			t.Errorf("second Close: %v, stats %+v", err, s.Stats())
		}
	})
}

func TestGuard(t *testing.T) {
	for range 200 {
		var g guard
		var last atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for g.acquire() {
					if g.release() {
						last.Add(1)
					}
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				if g.close() && g.release() {
					last.Add(1)
				}
			})
		}
		wg.Wait()
		if last.Load() != 1 {
			t.Fatalf("%d were the last, expected 1", last.Load())
		}
	}
}
