package rtp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/udp"
)

func testNet(t testing.TB) (*udp.Net, *udp.Ports) {
	t.Helper()
	n, err := udp.New(udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	p, err := udp.NewPorts(udp.PortsConfig{Min: 30000, Max: 39999, Hold: -1})
	if err != nil {
		t.Fatal(err)
	}
	return n, p
}

func registry() *media.Registry {
	r := media.NewRegistry()
	r.Register(g711.Conversions()...)
	return r
}

func TestConforms(t *testing.T) {
	n, p := testNet(t)
	mediatest.Endpoint(t, func() (media.Endpoint, func()) {
		e, err := New(Config{Net: n, Ports: p, Bind: netip.MustParseAddr("127.0.0.1"), Registry: registry(), Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return e, nil
	})
}
