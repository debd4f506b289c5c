package udp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A shared socket takes and gives what many peers send at once, on both engines, and every datagram goes back to whom it came from.
func TestShared(t *testing.T) {
	for _, e := range []struct {
		name  string
		start func(*Net) (engine, error)
	}{{"loops", newEngine}, {"streams", newStreams}} {
		for _, local := range []string{"127.0.0.1", "::1", "::"} {
			t.Run(e.name+" "+local, func(t *testing.T) {
				n, err := newNet(Config{Loops: 2}, e.start)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := n.Close(); err != nil {
						t.Error(err)
					}
				}()
				var s atomic.Pointer[Socket]
				h := &funcs{datagram: func(p []byte, from Addr, now int64) {
					if s := s.Load(); s != nil {
						if cap(p)-len(p) < Room {
							t.Errorf("%d bytes of room, expected %d", cap(p)-len(p), Room)
						}
						if err := s.WriteTo(append(p, 0xee), &from); err != nil {
							t.Error(err)
						}
					}
				}}
				ss, err := n.OpenShared(netip.AddrPortFrom(netip.MustParseAddr(local), 0), h)
				if err != nil {
					t.Fatal(err)
				}
				s.Store(ss)
				to := netip.AddrPortFrom(netip.MustParseAddr(map[string]string{"127.0.0.1": "127.0.0.1", "::1": "::1", "::": "127.0.0.1"}[local]), ss.LocalAddr().Port())
				const peers, each = 20, 30
				var wg sync.WaitGroup
				for p := range peers {
					c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					wg.Go(func() {
						for i := range each {
							if _, err := c.Write(binary.BigEndian.AppendUint32(nil, uint32(p*1000+i))); err != nil {
								t.Error(err)
							}
						}
						b := make([]byte, 100)
						_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
						for i := range each {
							k, err := c.Read(b)
							if want := append(binary.BigEndian.AppendUint32(nil, uint32(p*1000+i)), 0xee); err != nil || !bytes.Equal(b[:k], want) {
								t.Errorf("peer %d got %x, %v, expected %x", p, b[:k], err, want)
								return
							}
						}
					})
				}
				wg.Wait()
				// The last is counted just after the kernel took it, when its peer may have it already.
				for end := time.Now().Add(time.Second); ss.Stats().PacketsOut < peers*each && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				if st := ss.Stats(); st.PacketsIn != peers*each || st.PacketsOut != peers*each || st.BytesOut != peers*each*5 || st.Dropped+st.ErrorsOut != 0 {
					t.Errorf("counted %+v", st)
				}
				one, two := ss.Close(), ss.Close()
				for end := time.Now().Add(time.Second); n.Sockets() > 0 && time.Now().Before(end); { // a loop may just be sending what is queued
					time.Sleep(time.Millisecond)
				}
				if one != nil || two != nil || n.Sockets() != 0 {
					t.Errorf("close gave %v and %v, %d sockets are left", one, two, n.Sockets())
				}
			})
		}
	}
}

// What other goroutines write while loops are busy leaves too, in order, and within the wake-up.
func TestSharedFromOutside(t *testing.T) {
	n, err := New(Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s, err := n.OpenShared(netip.AddrPortFrom(loopback4, 0), &funcs{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadBuffer(1 << 20)
	to, busy := From(c.LocalAddr().(*net.UDPAddr).AddrPort()), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // keeps the loop awake, off and on
		noise := From(s.LocalAddr())
		for {
			select {
			case <-busy:
				return
			default:
				_ = s.WriteTo([]byte{1}, &noise)
				time.Sleep(50 * time.Microsecond)
			}
		}
	})
	b := make([]byte, 8)
	for i := range uint32(2000) {
		if err := s.WriteTo(binary.BigEndian.AppendUint32(nil, i), &to); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
		if k, err := c.Read(b); err != nil || k != 4 || binary.BigEndian.Uint32(b) != i {
			t.Fatalf("datagram %d came as %x, %v", i, b[:k], err)
		}
	}
	close(busy)
	wg.Wait()
	to = From(s.LocalAddr())
	p := make([]byte, 200)
	if n := testing.AllocsPerRun(200, func() { _ = s.WriteTo(p, &to) }); n != 0 {
		t.Errorf("a datagram allocates %v times", n)
	}
}
