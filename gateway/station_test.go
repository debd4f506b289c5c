package gateway

import (
	"math"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/meter"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/sip/siptest"
)

// station is an application's media: it says one frequency into a call and listens to it.
type station struct {
	testing.TB
	says  *tone.Tone
	hears *meter.Meter
	ep    media.Endpoint
}

func newStation(tb testing.TB, says float64) *station {
	tb.Helper()
	clock, registry := media.NewClock(), media.NewRegistry()
	registry.Register(g711.Conversions()...)
	s := &station{TB: tb}
	var err error
	if s.says, err = tone.New(tone.Config{Sound: tone.Sound{Sines: []tone.Sine{{Hz: says, Level: level}}}, Clock: clock, Registry: registry}); err != nil {
		tb.Fatal(err)
	}
	s.says.Start()
	tb.Cleanup(func() {
		s.says.Close()
		clock.Close()
		if s.hears != nil {
			s.hears.Close()
		}
	})
	return s
}

// attach links the station with an endpoint.
func (s *station) attach(ep media.Endpoint) {
	s.Helper()
	if ep == nil {
		s.Fatal("there is no endpoint")
	}
	s.ep = ep
	s.says.Source(media.Pad{}).Link(ep.Sink(media.Pad{}))
	s.listen()
}

func (s *station) listen() {
	s.Helper()
	if s.hears != nil {
		s.hears.Close()
	}
	var err error
	if s.hears, err = meter.New(meter.Config{Frequencies: []float64{440, 880}}); err != nil {
		s.Fatal(err)
	}
	s.ep.Source(media.Pad{}).Link(s.hears)
}

// hear measures until one frequency has been there for a while, at its level within 1 dB and alone.
func (s *station) hear(hz float64) {
	s.Helper()
	own := map[float64]int{440: 0, 880: 1}[hz]
	var r meter.Reading
	for range 3 {
		s.listen()
		eventually(s, "some audio", func() bool { r = s.hears.Read(); return r.Time >= 300*time.Millisecond })
		if want, other := r.Tones[own], r.Tones[1-own]; math.Abs(want.Level-level) <= 1 && other.Level <= level-40 {
			return
		}
	}
	s.Fatalf("heard %+v, expected %v Hz alone at %d dBm0", r.Tones, hz, level)
}

// expect waits for an application's next event and wants it to be of that kind.
func expect(tb testing.TB, a *AppCall, kind AppKind) AppEvent {
	tb.Helper()
	select {
	case e, ok := <-a.Events():
		if !ok || e.Kind != kind {
			tb.Fatalf("event %d (status %d %s, cause %v, open %v), expected %d", e.Kind, e.Status, e.Phrase, e.Cause, ok, kind)
		}
		return e
	case <-time.After(siptest.Patience):
		tb.Fatalf("event %d doesn't come", kind)
	}
	return AppEvent{}
}

// over expects the last event, and that nothing comes after it.
func over(tb testing.TB, a *AppCall, by call.Party, q850, status int) AppEvent {
	tb.Helper()
	e := expect(tb, a, AppEnded)
	if e.By != by || e.Cause.Q850 != q850 || e.Cause.SIP != status {
		tb.Errorf("ended by %s with %s, expected %s, Q.850 %d, SIP %d", e.By, e.Cause, by, q850, status)
	}
	if _, ok := <-a.Events(); ok || !closed(a.Done()) || a.Endpoint() != nil {
		tb.Error("something is left after the end")
	}
	return e
}

// dial calls for an application of the default tenant.
func (b *bench) dial(r DialRequest) *AppCall {
	b.Helper()
	r.Tenant = "default"
	a, err := b.Dial(r)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// listens takes offers of an application.
func (b *bench) listens(app string) chan Offer {
	b.Helper()
	offers := make(chan Offer, 16)
	stop, err := b.Listen("default", app, func(o Offer) { offers <- o })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(stop)
	return offers
}

// claims takes the next offer.
func (b *bench) claims(offers chan Offer) (*AppCall, Offer) {
	b.Helper()
	select {
	case o := <-offers:
		a, err := b.Claim("default", o.ID, "session-1")
		if err != nil {
			b.Fatal(err)
		}
		return a, o
	case <-time.After(siptest.Patience):
		b.Fatal("no call is offered")
	}
	return nil, Offer{}
}
