//go:build linux

package udp

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// A prefetch of what isn't there is ignored by the processor; that of the last line reads no further.
func TestPrefetch(t *testing.T) {
	Prefetch(nil, 1)
	Prefetch(nil, 0)
	Prefetch(nil, -1)
	b := make([]byte, 64*8)
	Prefetch(unsafe.Pointer(&b[0]), 100)
	if n := testing.AllocsPerRun(10, func() { Prefetch(unsafe.Pointer(&b[0]), 8) }); n != 0 {
		t.Errorf("Prefetch allocates %v times", n)
	}
}

// warmed counts what is called. The first datagram holds the loop up until others are ready too.
type warmed struct {
	warm, came atomic.Int32
	hold       chan struct{}
	once       sync.Once
}

func (w *warmed) Warm()      { w.warm.Add(1) }
func (w *warmed) Tick(int64) {}
func (w *warmed) Datagram([]byte, Addr, int64) {
	w.once.Do(func() { <-w.hold })
	w.came.Add(1)
}

func TestWarm(t *testing.T) {
	n, err := New(Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const sockets = 3 * ahead / 2 // more than one group
	w := &warmed{hold: make(chan struct{})}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range sockets + 1 {
		s, err := n.Open(netip.AddrPortFrom(loopback4, 0), w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteToUDPAddrPort([]byte("media"), s.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	close(w.hold)
	for end := time.Now().Add(3 * time.Second); w.came.Load() < sockets+1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d datagrams came, expected %d", w.came.Load(), sockets+1)
		}
	}
	if n := w.warm.Load(); n != sockets+1 {
		t.Errorf("handlers were warmed %d times, expected %d: each before its datagram", n, sockets+1)
	}
}
