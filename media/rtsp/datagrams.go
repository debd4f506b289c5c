package rtsp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media/uri"
)

// datagrams is a socket that speaks with one host alone.
type datagrams struct {
	*net.UDPConn
	host netip.Addr
	tap  atomic.Pointer[tap]
}

// tap is where packets of a track go that need no decryption.
type tap struct {
	port int   // of the host's that they come from
	kind uint8 // payload type
	take func(p *rtp.Packet)
}

// ReadFrom reads a datagram. The library behind it puts packets in order, and where one is lost waits until 64 have come after it: seconds, of sound.
// So they are taken here, and put in order by a ring.
func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := d.UDPConn.ReadFrom(b)
	if t := d.tap.Load(); t != nil && err == nil && n < len(b) {
		var p rtp.Packet
		at, ok := from.(*net.UDPAddr)
		if ok && at.Port == t.port && at.AddrPort().Addr().WithZone("").Unmap() == d.host && p.Unmarshal(b[:n]) == nil && p.PayloadType == t.kind {
			t.take(&p)
		}
	}
	return n, from, err
}

// straighten has a track's packets taken where they come, if they come in datagrams in clear.
func (s *Stream) straighten(t *track, f format.Format, transport base.HeaderValue) {
	var h headers.Transport
	n := len(s.sockets)
	if n < 2 || h.Unmarshal(transport) != nil || h.Protocol != headers.TransportProtocolUDP || h.Profile != headers.TransportProfileAVP || h.ServerPorts == nil ||
		t.medium.KeyMgmtMikey != nil || t.medium.KeyMgmtSDES != nil {
		return
	}
	d := s.sockets[n-2] // media's, and that of its reports behind it
	s.ring.direct(t)
	d.tap.Store(&tap{h.ServerPorts[0], f.PayloadType(), func(p *rtp.Packet) { s.packet(t, p, true) }})
}

// packet takes one of a track's, from the library or directly.
func (s *Stream) packet(t *track, p *rtp.Packet, direct bool) {
	if s.ring.packet(t, p, time.Now(), direct) {
		s.ask(t, p.SSRC)
	}
}

// listen opens a socket for what the server of a connection sends, on the address that it is reached from.
func (s *Stream) listen(conn net.Conn, network, address string) (net.PacketConn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil || conn == nil {
		return nil, fmt.Errorf("no socket for %s: %w", address, err)
	}
	local, err1 := netip.ParseAddrPort(conn.LocalAddr().String())
	remote, err2 := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c, err := net.ListenPacket(network, net.JoinHostPort(local.Addr().String(), port))
	if err != nil {
		return nil, err
	}
	d := &datagrams{UDPConn: c.(*net.UDPConn), host: remote.Addr().WithZone("").Unmap()}
	s.sockets = append(s.sockets, d)
	return d, nil
}

// WriteTo sends to the host alone, whatever the server said.
func (d *datagrams) WriteTo(b []byte, to net.Addr) (int, error) {
	at, ok := to.(*net.UDPAddr)
	if !ok || at.AddrPort().Addr().WithZone("").Unmap() != d.host {
		return 0, fmt.Errorf("%w: the server has media sent by %s, expected by itself, %s", uri.ErrRefused, to, d.host)
	}
	return d.UDPConn.WriteTo(b, to)
}
