//go:build linux

package main

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/patchbay/patchbay/media/udp"
)

// plain relays datagrams as they are: what media/udp alone costs. It learns
// each side's address from its last packet, as the C floor does, and looks at
// nothing inside.
type plain struct {
	net     *udp.Net
	ports   *udp.Ports
	ip      netip.Addr
	relayed atomic.Uint64
}

type plainCall struct{ a, b *plainLeg }

type plainLeg struct {
	relay  *plain
	other  *plainLeg
	socket *udp.Socket
	rtcp   *udp.Socket

	mu  sync.Mutex
	far udp.Addr
}

func (r *plain) Packets() uint64 { return r.relayed.Load() }

func (r *plain) Call() (call, error) {
	c := &plainCall{&plainLeg{relay: r}, &plainLeg{relay: r}}
	c.a.other, c.b.other = c.b, c.a
	for _, l := range []*plainLeg{c.a, c.b} {
		rtp, rtcp, err := r.net.OpenPair(r.ip, r.ports, l, silent{})
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		l.mu.Lock()
		l.socket, l.rtcp = rtp, rtcp
		l.mu.Unlock()
	}
	return c, nil
}

func (c *plainCall) Ports() (a, b uint16) {
	return c.a.socket.LocalAddr().Port(), c.b.socket.LocalAddr().Port()
}

func (c *plainCall) Close() error {
	var errs []error
	for _, l := range []*plainLeg{c.a, c.b} {
		if l.socket != nil {
			errs = append(errs, l.socket.Close(), l.rtcp.Close())
		}
	}
	return errors.Join(errs...)
}

func (l *plainLeg) Datagram(p []byte, from udp.Addr, _ int64) {
	l.mu.Lock()
	l.far = from
	l.mu.Unlock()
	l.other.push(p)
}

func (l *plainLeg) Tick(int64) {}

// push sends p to this leg's peer, once it is known.
func (l *plainLeg) push(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.far.IsValid() && l.socket != nil && l.socket.WriteTo(p, &l.far) == nil {
		l.relay.relayed.Add(1)
	}
}

// silent is the RTCP side: there is none.
type silent struct{}

func (silent) Datagram([]byte, udp.Addr, int64) {}
func (silent) Tick(int64)                       {}
