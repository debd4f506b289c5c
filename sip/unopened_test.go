package sip_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// fullListener is a TCP listener that takes no connection any more, nor refuses one: what is sent to it is lost, as with a host that
// is gone or behind a firewall.
func fullListener(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 64 {
		c, err := net.DialTimeout("tcp", at.String(), 200*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the listener takes all connections")
	return at
}

// mute is a TCP listener that takes connections and says nothing, as if its TLS had died.
func mute(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// A server that no connection can be opened to, and that doesn't say so, is passed by like one that doesn't respond: the time of the
// call isn't spent on it.
func TestNextServerUnopened(t *testing.T) {
	authority := siptest.NewAuthority(t)
	for _, c := range []struct {
		name, network, service string
		first                  func(*testing.T) netip.AddrPort
	}{
		{"tcp", "tcp", "_sip._tcp", fullListener},
		{"tls", "tls", "_sips._tcp", fullListener},
		{"handshake", "tls", "_sips._tcp", mute},
	} {
		t.Run(c.name, func(t *testing.T) {
			var good *bench
			var at netip.AddrPort
			if c.network == "tls" {
				secure := newTLSBench(t, authority.Issue("carrier.test"), authority)
				good, at = secure.bench, secure.at
			} else {
				good = newBench(t, nil)
				at = good.tcp
			}
			first := c.first(t)
			names := siptest.NewDNS(t,
				fmt.Sprintf("%s.carrier.test. 60 IN SRV 10 0 %d one.carrier.test.", c.service, first.Port()),
				fmt.Sprintf("%s.carrier.test. 60 IN SRV 20 0 %d two.carrier.test.", c.service, at.Port()),
				"one.carrier.test. 60 IN A 127.0.0.1", "two.carrier.test. 60 IN A 127.0.0.1")
			ours := newBench(t, func(fc *sip.FrontConfig, uc *sip.Config) {
				fc.DNS = []netip.AddrPort{names.Addr}
				uc.TLS = func() *tls.Config { return &tls.Config{RootCAs: authority.Pool()} }
			})
			inv := sip.Invite{Target: mustURI("sip:100@carrier.test"), From: sip.NameAddr{URI: mustURI("sip:200@home.test")}, Body: []byte(siptest.SDP),
				Destination: sip.Destination{Network: c.network, Host: "carrier.test"}, TrialTimeout: 10 * time.Second}
			begun := time.Now()
			d, err := ours.ua.Dial(t.Context(), inv)
			if err != nil {
				t.Fatal(err)
			}
			in := good.inbound()
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("the second server was asked after %v", took)
			}
			if err := in.Answer([]byte(siptest.SDP)); err != nil {
				t.Fatal(err)
			}
			for e := expectAny(t, d); e.Kind != sip.KindAnswered; {
				e = expectAny(t, d)
			}
			done := make(chan error, 1)
			go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
