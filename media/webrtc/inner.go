package webrtc

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/deadline"
)

// inner is the network of a PeerConnection: a wire to the line, whose agent looks after the real one. So there can be
// other credentials, or other paths, without the PeerConnection's knowing: its DTLS and its counters go on. Its own ICE wants a
// peer to check, which inner plays, and is connected at once.
type inner struct {
	send  func([]byte) error // a packet, towards the network
	in    chan []byte
	read  *deadline.Deadline
	done  chan struct{}
	once  sync.Once
	asked sync.Once
	drop  func() // counts a packet that there was no room for

	ours, theirs credentials // of the PeerConnection, and of the peer that we play
}

// The two ends of the wire are addresses that nobody has (RFC 5737).
func innerOurs() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 4000)
}
func innerTheirs() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 2}), 4000)
}

func newInner(send func([]byte) error, drop func(), rich bool) *inner {
	queue := agentQueue
	if rich { // a key picture comes as a burst
		queue *= 8
	}
	return &inner{
		send: send, drop: drop, in: make(chan []byte, queue), read: deadline.New(), done: make(chan struct{}),
		ours: credentials{token(ufragSize), token(pwdSize)}, theirs: credentials{token(ufragSize), token(pwdSize)},
	}
}

// put hands a packet to the PeerConnection. It never waits: what there is no room for is lost, as on a network.
func (c *inner) put(p []byte) {
	select {
	case c.in <- append([]byte(nil), p...):
	default:
		c.drop()
	}
}

func (c *inner) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p), net.UDPAddrFromAddrPort(innerTheirs()), nil
	case <-c.read.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *inner) WriteTo(b []byte, _ net.Addr) (int, error) {
	if len(b) > 0 && b[0] < 4 {
		if err := c.check(b); err != nil {
			return 0, fmt.Errorf("webrtc: answer the PeerConnection's check: %w", err)
		}
		return len(b), nil
	}
	if err := c.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// check answers a check of the PeerConnection's as its peer would, and nominates.
func (c *inner) check(b []byte) error {
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if err := m.Decode(); err != nil {
		return err
	}
	if m.Type != stun.BindingRequest {
		return nil
	}
	at := innerOurs()
	r, err := stun.Build(stun.BindingSuccess, stun.NewTransactionIDSetter(m.TransactionID),
		stun.XORMappedAddress{IP: at.Addr().AsSlice(), Port: int(at.Port())}, stun.NewShortTermIntegrity(c.theirs.pwd), stun.Fingerprint)
	if err != nil {
		return err
	}
	c.put(r.Raw)
	c.asked.Do(func() {
		tie := binary.BigEndian.Uint64(m.TransactionID[:])
		r, err = stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(c.ours.ufrag+":"+c.theirs.ufrag),
			priority(110<<24|65535<<8|255), role{stun.AttrICEControlling, tie}, useCandidate(true),
			stun.NewShortTermIntegrity(c.ours.pwd), stun.Fingerprint)
		if err == nil {
			c.put(r.Raw)
		}
	})
	return err
}

func (c *inner) Close() error                       { c.once.Do(func() { close(c.done) }); return nil }
func (c *inner) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(innerOurs()) }
func (c *inner) SetReadDeadline(t time.Time) error  { c.read.Set(t); return nil }
func (c *inner) SetDeadline(t time.Time) error      { c.read.Set(t); return nil }
func (c *inner) SetWriteDeadline(t time.Time) error { return nil }

// innerMux is the wire, as pion's agent wants it.
type innerMux struct{ *inner }

func (m innerMux) GetListenAddresses() []net.Addr                   { return []net.Addr{m.inner.LocalAddr()} }
func (m innerMux) GetConn(string, net.Addr) (net.PacketConn, error) { return m.inner, nil }
func (m innerMux) RemoveConnByUfrag(string)                         {}
func (m innerMux) Close() error                                     { return nil }
