package rtp

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/udp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var localhost = netip.MustParseAddr("127.0.0.1")

// network opens a Net that ticks fast, and a range of ports. A test closes its endpoints before.
func network(tb testing.TB) (*udp.Net, *udp.Ports) {
	tb.Helper()
	n, err := udp.New(udp.Config{Loops: 1, Tick: 20 * time.Millisecond})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := n.Close(); err != nil {
			tb.Error(err)
		}
	})
	p, err := udp.NewPorts(udp.PortsConfig{Min: 21000, Max: 60000, Hold: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return n, p
}

func registry() *media.Registry {
	r := media.NewRegistry()
	r.Register(g711.Conversions()...)
	return r
}

func TestConformance(t *testing.T) {
	mediatest.Endpoint(t, func() (media.Endpoint, func()) {
		n, p := network(t)
		e, err := New(Config{Net: n, Ports: p, Bind: localhost, Registry: registry(), Signalling: localhost, Name: "suite"})
		if err != nil {
			t.Fatal(err)
		}
		return e, func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// The suite of endpoints with a line of video.
func TestPicturesConformance(t *testing.T) {
	pair := func() (media.Endpoint, func()) {
		n, p := network(t)
		e, err := New(Config{Net: n, Ports: p, Bind: localhost, Registry: registry(), Signalling: localhost, Name: "suite",
			Video: videoFormats(), Feedback: true})
		if err != nil {
			t.Fatal(err)
		}
		return e, func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Run("as an element", func(t *testing.T) { mediatest.PictureElement(t, pair) })
	mediatest.Pictures(t, pair)
}
