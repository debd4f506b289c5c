package sip_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/sip/wire"
)

// A NAT before us is shown that the way of a registration over UDP is in use, between its REGISTERs, from the very socket.
func TestRegistrationKeepsItsWayOpen(t *testing.T) {
	b := newBench(t, func(fc *sip.FrontConfig, _ *sip.Config) { fc.Refresh = 30 * time.Millisecond })
	registrar, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer registrar.Close()
	registrar.SetReadDeadline(time.Now().Add(siptest.Patience))
	at := registrar.LocalAddr().(*net.UDPAddr).AddrPort()
	reg, err := b.ua.Register(sip.RegisterConfig{Registrar: mustURI("sip:carrier.test"), AOR: sip.NameAddr{URI: mustURI("sip:u@carrier.test")},
		Expires: time.Minute, Destination: sip.Destination{Network: "udp", Addr: at}})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	parser, buf := wire.NewParser(wire.Limits{Bytes: 65535, Headers: 128}), make([]byte, 65536)
	for kept := 0; kept < 3; {
		n, from, err := registrar.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatalf("the way was shown to be in use %d times, expected 3: %v", kept, err)
		}
		if from != b.addr {
			t.Errorf("%d bytes from %s, expected them from %s", n, from, b.addr)
		}
		if string(buf[:n]) == "\r\n\r\n" {
			kept++
			continue
		}
		if kept > 0 {
			t.Errorf("another request: %s", buf[:n])
		}
		m, ref := parser.Parse(buf[:n])
		if ref != nil {
			t.Fatal(ref)
		}
		if _, err := registrar.WriteToUDPAddrPort(wire.Respond(m, from, 200, "OK", "x", []wire.Header{{Name: "Expires", Value: "60"}}, nil), from); err != nil {
			t.Fatal(err)
		}
	}
}
