package gateway

import (
	"context"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/meter"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/sip/siptest"
)

// level of all tones, in dBm0.
const level = -10

// handset is a party's media: it says one frequency and listens to another.
type handset struct {
	*rtp.Endpoint
	tb    testing.TB
	says  *tone.Tone
	hears *meter.Meter
	clock *media.Clock

	mu     sync.Mutex
	digits string
}

// newHandset makes a handset that says one frequency; it hears both.
func newHandset(tb testing.TB, says float64, codecs ...string) *handset {
	tb.Helper()
	return handsetOf(tb, says, rtp.Config{Bind: loopback}, codecs...)
}

// handsetOf is a handset with further settings of its endpoint.
func handsetOf(tb testing.TB, says float64, cfg rtp.Config, codecs ...string) *handset {
	tb.Helper()
	h := &handset{tb: tb, clock: media.NewClock()}
	n, err := udp.New(udp.Config{Loops: 1, Tick: 20 * time.Millisecond})
	if err != nil {
		tb.Fatal(err)
	}
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 22000, Max: 60000, Hold: -1})
	if err != nil {
		tb.Fatal(err)
	}
	if codecs == nil {
		codecs = []string{"PCMU", "PCMA"}
	}
	cfg.Net, cfg.Ports, cfg.Formats, cfg.Timeout = n, ports, formats(codecs, "rfc4733"), -1
	cfg.Notify = func(n media.Notice) {
		if d, ok := n.(media.Digit); ok {
			h.mu.Lock()
			h.digits += string(d.Digit)
			h.mu.Unlock()
		}
	}
	h.Endpoint, err = rtp.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	registry := media.NewRegistry()
	registry.Register(g711.Conversions()...)
	if h.says, err = tone.New(tone.Config{Sound: tone.Sound{Sines: []tone.Sine{{Hz: says, Level: level}}}, Clock: h.clock, Registry: registry}); err != nil {
		tb.Fatal(err)
	}
	h.listen()
	h.says.Source(media.Pad{}).Link(h.Endpoint.Sink(media.Pad{}))
	h.says.Start()
	tb.Cleanup(func() {
		h.says.Close()
		h.clock.Close()
		h.Endpoint.Close()
		h.hears.Close()
		n.Close()
	})
	return h
}

// listen begins a new measurement.
func (h *handset) listen() {
	h.tb.Helper()
	if h.hears != nil {
		h.hears.Close()
	}
	var err error
	if h.hears, err = meter.New(meter.Config{Frequencies: []float64{440, 880}}); err != nil {
		h.tb.Fatal(err)
	}
	h.Endpoint.Source(media.Pad{}).Link(h.hears)
}

// hear measures until one frequency has been there for a while, at its level within 1 dB and alone.
func (h *handset) hear(hz float64) {
	h.tb.Helper()
	var r meter.Reading
	for end := time.Now().Add(siptest.Patience); ; { // the first windows may hold the beginning, and on a busy machine others a gap
		var ok bool
		if r, ok = h.window(hz, func() bool { return false }); ok {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	h.tb.Fatalf("heard %+v, expected %v Hz alone at %d dBm0", r.Tones, hz, level)
}

// window measures 300 ms, or until it is too late, and tells whether they are of one frequency.
func (h *handset) window(hz float64, late func() bool) (r meter.Reading, ok bool) {
	h.tb.Helper()
	own := map[float64]int{440: 0, 880: 1}[hz]
	h.listen()
	eventually(h.tb, "some audio", func() bool { r = h.hears.Read(); return r.Time >= 300*time.Millisecond || late() })
	want, other := r.Tones[own], r.Tones[1-own]
	return r, r.Time >= 300*time.Millisecond && math.Abs(want.Level-level) <= 1 && other.Level <= level-40
}

// deaf asserts that nothing comes for a while, once what was on its way has come.
func (h *handset) deaf() {
	h.tb.Helper()
	for end := time.Now().Add(siptest.Patience); ; {
		time.Sleep(60 * time.Millisecond)
		h.listen()
		time.Sleep(120 * time.Millisecond)
		r := h.hears.Read()
		if r.Frames == 0 {
			return
		}
		if time.Now().After(end) {
			h.tb.Fatalf("%d frames came, expected none", r.Frames)
		}
	}
}

func (h *handset) offer(w media.Want) media.Offer {
	h.tb.Helper()
	o, err := h.Endpoint.Offer(context.Background(), w)
	if err != nil {
		h.tb.Fatal(err)
	}
	return o
}

// takes makes an answer the agreement.
func (h *handset) takes(o media.Offer, answer []byte) {
	h.tb.Helper()
	if err := o.Accept("", answer); err != nil {
		h.tb.Fatalf("%v\n%s", err, answer)
	}
	if err := o.Commit(""); err != nil {
		h.tb.Fatal(err)
	}
}

// answers an offer.
func (h *handset) answers(offer []byte, w media.Want) []byte {
	h.tb.Helper()
	p, err := h.Endpoint.Answer(context.Background(), offer, w)
	if err != nil {
		h.tb.Fatalf("%v\n%s", err, offer)
	}
	if err := p.Commit(); err != nil {
		h.tb.Fatal(err)
	}
	return p.SDP()
}

func (h *handset) heard() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.digits
}

// dial sends digits as telephone-events in place of the tone.
func (h *handset) dial(tb testing.TB, digits string) error {
	s, err := dtmf.NewSender(dtmf.Config{Clock: h.clock})
	if err != nil {
		return err
	}
	restore := h.says.Source(media.Pad{}).Override(s.Source(media.Pad{}))
	tb.Cleanup(func() { s.Close() })
	if err := s.Dial(digits, 80*time.Millisecond); err != nil {
		return err
	}
	eventually(tb, "digits are sent", func() bool {
		var n media.Snapshot
		s.Stats(&n)
		return int(n.Notes["dtmf.sent"]) == len(digits)
	})
	restore()
	return nil
}

func prefix(tb testing.TB, s string) netip.Prefix {
	tb.Helper()
	p, err := netip.ParsePrefix(s)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
