package webrtc

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// nat stands between a browser and a port, and may change the address that the port sees.
type nat struct {
	tb   testing.TB
	in   *net.UDPConn
	gw   *net.UDPAddr
	out  atomic.Pointer[net.UDPConn]
	from atomic.Pointer[net.UDPAddr]
	work sync.WaitGroup
}

func newNAT(tb testing.TB, p *Port) *nat {
	tb.Helper()
	n := &nat{tb: tb, gw: net.UDPAddrFromAddrPort(p.main())}
	n.in = must[*net.UDPConn](tb)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	n.rebind()
	n.work.Go(func() {
		for b := make([]byte, 2048); ; {
			k, from, err := n.in.ReadFromUDP(b)
			if err != nil {
				return
			}
			n.from.Store(from)
			_, _ = n.out.Load().WriteToUDP(b[:k], n.gw)
		}
	})
	tb.Cleanup(func() {
		_ = n.in.Close()
		_ = n.out.Load().Close()
		n.work.Wait()
	})
	return n
}

// rebind gives the browser another address.
func (n *nat) rebind() {
	o := must[*net.UDPConn](n.tb)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	if old := n.out.Swap(o); old != nil {
		_ = old.Close()
	}
	n.work.Go(func() {
		for b := make([]byte, 2048); ; {
			k, _, err := o.ReadFromUDP(b)
			if err != nil {
				return
			}
			if to := n.from.Load(); to != nil {
				_, _ = n.in.WriteToUDP(b[:k], to)
			}
		}
	})
}

// through puts the nat's address into an answer's candidates.
func (n *nat) through(answer []byte) []byte {
	return bytes.ReplaceAll(answer, fmt.Appendf(nil, "127.0.0.1 %d typ", n.gw.Port), fmt.Appendf(nil, "127.0.0.1 %d typ", n.in.LocalAddr().(*net.UDPAddr).Port))
}
