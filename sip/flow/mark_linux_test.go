package flow

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

const dscp = 24

// tos reads an option of a socket of either family.
func tos(t *testing.T, c syscall.Conn, six bool) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var v int
	if cerr := raw.Control(func(fd uintptr) {
		if six {
			v, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS)
		} else {
			v, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS)
		}
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return v
}

// tells has a socket tell the TOS or traffic class of each datagram that comes.
func tells(t *testing.T, c *net.UDPConn, six bool) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) {
		if six {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVTCLASS, 1)
		} else {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVTOS, 1)
		}
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
}

// readTOS reads one datagram's TOS.
func readTOS(t *testing.T, c *net.UDPConn) int {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b, oob := make([]byte, 2048), make([]byte, 128)
	_, n, _, _, err := c.ReadMsgUDP(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	list, err := syscall.ParseSocketControlMessage(oob[:n])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		switch {
		case m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == syscall.IP_TOS:
			return int(m.Data[0])
		case m.Header.Level == syscall.IPPROTO_IPV6 && m.Header.Type == syscall.IPV6_TCLASS:
			return int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	t.Fatal("the datagram came without its TOS")
	return 0
}

// What leaves is marked, over UDP as it arrives, on connections of either side.
func TestMark(t *testing.T) {
	for name, x := range map[string]struct {
		listen string
		peer   string
	}{"IPv4": {"127.0.0.1:0", "127.0.0.1"}, "IPv6": {"[::1]:0", "::1"}, "both at IPv4": {"[::]:0", "127.0.0.1"}, "both at IPv6": {"[::]:0", "::1"}} {
		t.Run(name, func(t *testing.T) {
			six := netip.MustParseAddr(x.peer).Is6()
			at := netip.MustParseAddrPort(x.listen)
			u, err := ListenUDP(at, newSink(), limits())
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			if err := u.Mark(dscp); err != nil {
				t.Fatal(err)
			}
			peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(x.peer)})
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			tells(t, peer, six)
			if err := u.Flow(peer.LocalAddr().(*net.UDPAddr).AddrPort()).Send([]byte(text("x"))); err != nil {
				t.Fatal(err)
			}
			if got := readTOS(t, peer); got != dscp<<2 {
				t.Errorf("a datagram came with TOS %#x, want %#x", got, dscp<<2)
			}

			s := newSink()
			l, err := ListenTCP(at, s, limits())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.Mark(dscp); err != nil {
				t.Fatal(err)
			}
			d := NewDialer(netip.Addr{}, 4, newSink(), limits())
			defer d.Close()
			d.DSCP = dscp
			f, err := d.Dial(context.Background(), netip.AddrPortFrom(netip.MustParseAddr(x.peer), l.Addr().Port()))
			if err != nil {
				t.Fatal(err)
			}
			if got := tos(t, f.conn.(*net.TCPConn), six); got != dscp<<2 {
				t.Errorf("a connection that we opened has TOS %#x, want %#x", got, dscp<<2)
			}
			if err := f.Send([]byte(text("x"))); err != nil {
				t.Fatal(err)
			}
			if got := tos(t, s.next(t).flow.conn.(*net.TCPConn), six); got != dscp<<2 {
				t.Errorf("a connection that we accepted has TOS %#x, want %#x", got, dscp<<2)
			}
		})
	}
	u, err := ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), newSink(), limits())
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	if err := u.Mark(dscp); err == nil {
		t.Error("a closed socket was marked")
	}
}
