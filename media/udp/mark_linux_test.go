package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What leaves carries its DSCP as it arrives, from sockets of either family and of both.
func TestDSCP(t *testing.T) {
	n := must(New(Config{DSCP: 46}))
	defer n.Close()
	for name, x := range map[string][2]string{"IPv4": {"127.0.0.1", "127.0.0.1"}, "IPv6": {"::1", "::1"}, "both at IPv4": {"::", "127.0.0.1"}, "both at IPv6": {"::", "::1"}} {
		t.Run(name, func(t *testing.T) {
			six := netip.MustParseAddr(x[1]).Is6()
			peer := must(net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(x[1])}))
			defer peer.Close()
			raw := must(peer.SyscallConn())
			var err error
			if cerr := raw.Control(func(fd uintptr) {
				if six {
					err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
				} else {
					err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
				}
			}); cerr != nil || err != nil {
				t.Fatal(cerr, err)
			}
			received := func(what string, want int) {
				t.Helper()
				if err := peer.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				oob := make([]byte, 128)
				_, size, _, _, err := peer.ReadMsgUDP(make([]byte, 16), oob)
				if err != nil {
					t.Fatal(err)
				}
				got := -1
				for _, m := range must(unix.ParseSocketControlMessage(oob[:size])) {
					switch {
					case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS:
						got = int(m.Data[0])
					case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS:
						got = int(binary.NativeEndian.Uint32(m.Data))
					}
				}
				if got != want {
					t.Errorf("%s: TOS %#x, want %#x", what, got, want)
				}
			}
			for kind, open := range map[string]func(netip.AddrPort, Handler) (*Socket, error){"own": n.Open, "shared": n.OpenShared} {
				s := must(open(netip.AddrPortFrom(netip.MustParseAddr(x[0]), 0), &funcs{}))
				to := From(peer.LocalAddr().(*net.UDPAddr).AddrPort())
				if err := s.WriteTo([]byte("x"), &to); err != nil {
					t.Fatal(err)
				}
				received(kind+" socket", 46<<2)
				for dscp, want := range map[int]int{34: 34 << 2, -1: 0, 0: 46 << 2} {
					if err := s.WriteMarked([]byte("x"), &to, dscp); err != nil {
						t.Fatal(err)
					}
					received(fmt.Sprintf("%s socket, marked %d", kind, dscp), want)
				}
				if n := testing.AllocsPerRun(100, func() { _ = s.WriteMarked([]byte("x"), &to, 34) }); n != 0 {
					t.Errorf("%s socket: a marked datagram allocates %v times", kind, n)
				}
				for range 101 {
					received(kind+" socket, many", 34<<2)
				}
			}
		})
	}
}
