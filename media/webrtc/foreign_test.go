package webrtc

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A server that a foreign client names is neither this machine nor something on its link: an address is refused at once, a
// name when it is resolved, so that nothing is sent there.
func TestForeignServers(t *testing.T) {
	p := port(t)
	e, err := New(Config{Port: p})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	hosts := map[string]bool{"192.0.2.1": true, "2001:db8::1": true, "10.1.2.3": true, "stun.example.com": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false,
		"169.254.169.254": false, "fe80::1": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "localhost": false,
		"LocalHost.": false, "a.localhost": false}
	own, err := interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for a := range own {
		hosts[a.String()] = false
	}
	for host, want := range hosts {
		c := ICE{STUN: net.JoinHostPort(host, "3478"), Foreign: []string{host}}
		if err := e.SetICE(c); (err == nil) != want || !want && !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", host, err)
		}
		c.Foreign = nil
		if err := e.SetICE(c); err != nil {
			t.Errorf("%s, of our own: %v", host, err)
		}
	}
	// "localhost" stands for a name that its owner has lead to loopback after it was set.
	for _, turn := range []bool{false, true} {
		for _, foreign := range []bool{false, true} {
			server, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(localhost, 0)))
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			at := net.JoinHostPort("localhost", netip.MustParseAddrPort(server.LocalAddr().String()).String()[len("127.0.0.1:"):])
			c := ICE{STUN: at, NoTCP: true}
			if turn {
				c = ICE{TURN: TURN{Address: at, User: "u", Password: "p"}, NoTCP: true}
			}
			if foreign {
				c.Foreign = []string{"localhost"}
			}
			creds, err := p.enroll()
			if err != nil {
				t.Fatal(err)
			}
			a, err := newAgent(p, creds, c, slog.New(slog.DiscardHandler), func(candidateFound) {})
			if err != nil {
				t.Fatal(err)
			}
			if err := a.gather(); err != nil {
				t.Fatal(err)
			}
			came := make(chan bool, 1)
			go func() {
				_, _, err := server.ReadFrom(make([]byte, 1500))
				came <- err == nil
			}()
			asked := false
			select {
			case asked = <-came:
			case <-a.done: // there are no more candidates: what is sent before is there
				_ = server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				asked = <-came
			}
			if asked == foreign {
				t.Errorf("TURN %t, foreign %t: the server on loopback was asked: %t", turn, foreign, asked)
			}
			_ = server.Close()
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			p.withdraw(creds)
		}
	}
}
