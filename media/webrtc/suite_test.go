package webrtc

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var localhost = netip.MustParseAddr("127.0.0.1")

func registry() *media.Registry {
	r := media.NewRegistry()
	r.Register(g711.Conversions()...)
	return r
}

// newPort opens a port on a network of its own. change may alter its settings.
func newPort(tb testing.TB, change func(*PortConfig)) *Port {
	tb.Helper()
	p, done := openPort(tb, change)
	tb.Cleanup(done)
	return p
}

func openPort(tb testing.TB, change func(*PortConfig)) (*Port, func()) {
	tb.Helper()
	n, err := udp.New(udp.Config{Loops: 1})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := PortConfig{Net: n, Bind: []netip.AddrPort{netip.AddrPortFrom(localhost, 0)}, linger: 200 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	p, err := NewPort(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return p, func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
		if err := n.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// leg is an endpoint and what it noticed.
type leg struct {
	*Endpoint
	tb testing.TB

	mu    sync.Mutex
	heard []media.Notice
}

func newLeg(tb testing.TB, p *Port, change func(*Config)) *leg {
	tb.Helper()
	l := &leg{tb: tb}
	cfg := Config{Port: p, Registry: registry(), Name: "leg", Notify: func(n media.Notice) {
		l.mu.Lock()
		l.heard = append(l.heard, n)
		l.mu.Unlock()
	}}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	l.Endpoint = e
	return l
}

// notices of one kind so far.
func notices[T media.Notice](l *leg) []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []T
	for _, n := range l.heard {
		if t, ok := n.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// await waits until ok.
func await(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within 60 s", what)
		}
	}
}

func newBrowser(tb testing.TB, cfg webrtctest.Config) *webrtctest.Browser {
	tb.Helper()
	b, err := webrtctest.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// call lets the browser offer and the leg answer. through may change either description.
func (l *leg) call(b *webrtctest.Browser, w media.Want, restart bool) {
	l.tb.Helper()
	ctx := context.Background()
	offer := must[[]byte](l.tb)(b.Offer(ctx, restart))
	p := must[media.Pending](l.tb)(l.Answer(ctx, offer, w))
	if err := p.Commit(); err != nil {
		l.tb.Fatal(err)
	}
	if err := b.Accept(p.SDP()); err != nil {
		l.tb.Fatalf("%v\n%s", err, p.SDP())
	}
}

// dial lets the leg offer and the browser answer.
func (l *leg) dial(b *webrtctest.Browser, w media.Want) {
	l.tb.Helper()
	ctx := context.Background()
	o := must[media.Offer](l.tb)(l.Offer(ctx, w))
	answer := must[[]byte](l.tb)(b.Answer(ctx, o.SDP()))
	if err := o.Accept("x", answer); err != nil {
		l.tb.Fatalf("%v\n%s", err, answer)
	}
	if err := o.Commit("x"); err != nil {
		l.tb.Fatal(err)
	}
}

func isUp(tb testing.TB, b *webrtctest.Browser) {
	tb.Helper()
	select {
	case <-b.Connected():
	case <-time.After(5 * time.Second):
		tb.Fatal("not connected within 5 s")
	}
}

// stacks are which stack every other endpoint of a check has: all must speak to each other, whoever offers.
var stacks = []struct {
	name string
	has  [2]Stack
}{{"own", [2]Stack{Own, Own}}, {"PeerConnection", [2]Stack{PeerConnection, PeerConnection}}, {"both", [2]Stack{Own, PeerConnection}}}

func TestConformance(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.name, func(t *testing.T) {
			made := 0
			mediatest.Endpoint(t, func() (media.Endpoint, func()) {
				p, done := openPort(t, nil)
				made++
				e, err := New(Config{Port: p, Registry: registry(), Name: "suite", Stack: s.has[made%2]})
				if err != nil {
					t.Fatal(err)
				}
				return e, done
			})
		})
	}
}

// newRichLeg makes endpoints with video and data, of a port each.
func newRichLeg(t *testing.T) (*Endpoint, func()) {
	p, done := openPort(t, nil)
	e, err := New(Config{Port: p, Registry: registry(), Name: "suite", Video: pictures(), Data: true})
	if err != nil {
		t.Fatal(err)
	}
	return e, done
}

// The suites of endpoints with video and data channels.
func TestRichConformance(t *testing.T) {
	t.Run("as an element", func(t *testing.T) {
		mediatest.PictureElement(t, func() (media.Endpoint, func()) { return newRichLeg(t) })
	})
	t.Run("pictures", func(t *testing.T) {
		mediatest.Pictures(t, func() (media.Endpoint, func()) { return newRichLeg(t) })
	})
	t.Run("messages", func(t *testing.T) {
		mediatest.Messages(t, func() mediatest.Talks {
			e, done := newRichLeg(t)
			return mediatest.Talks{Endpoint: e, Done: done, Open: func() error {
				return e.OpenChannel(ChannelOptions{Label: "suite", MaxLife: -1, MaxAgain: -1})
			}}
		})
	})
}

func TestBrowserCalls(t *testing.T) {
	l, b := newLeg(t, newPort(t, nil), nil), newBrowser(t, webrtctest.Config{})
	l.call(b, media.Want{}, false)
	isUp(t, b)
	t.Logf("%+v", l.Negotiated())
}

func TestBrowserIsCalled(t *testing.T) {
	l, b := newLeg(t, newPort(t, nil), nil), newBrowser(t, webrtctest.Config{})
	l.dial(b, media.Want{})
	isUp(t, b)
	t.Logf("%+v", l.Negotiated())
}
