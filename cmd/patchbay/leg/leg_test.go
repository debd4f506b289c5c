package leg_test

import (
	"context"
	"flag"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/sip"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // calls wait far more than they work
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// side is one end of a call under test.
type side struct {
	t   *testing.T
	ua  *sip.UA
	cfg leg.Config
	leg *leg.Leg
}

// pair makes a call between two legs; answer says what the called one does.
func pair(t *testing.T, codecs []string, answer func(*leg.Leg) error) (caller, callee *side) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	taken := make(chan *leg.Leg, 1)
	make := func(name string, codecs []string) *side {
		f, err := sip.NewFront(sip.FrontConfig{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		m, err := leg.OpenMedia(leg.MediaConfig{Bind: loopback, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		formats, err := leg.Formats(codecs)
		if err != nil {
			t.Fatal(err)
		}
		s := &side{t: t, cfg: leg.Config{Media: m, Formats: formats, Log: log}}
		s.ua, err = f.NewUA(sip.Config{Name: name, Bind: &sip.Listen{Network: "udp", Addr: netip.AddrPortFrom(loopback, 0)},
			Match: func(sip.Inbound) bool { return true },
			Invite: func(d *sip.Dialog) {
				l, err := leg.Take(s.cfg, d)
				if err == nil {
					err = answer(l)
				}
				if err != nil {
					t.Error(err)
				}
				taken <- l
				<-d.Ended()
			}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if s.leg != nil {
				s.leg.Close()
				if err := s.leg.Close(); err != nil {
					t.Error(err)
				}
			}
			f.Close()
			m.Close()
		})
		return s
	}
	b := make("callee", nil)
	a := make("caller", codecs)
	target, err := sip.NewURI("bob", loopback.String(), b.ua.Addrs()[0].Addr.Port())
	if err != nil {
		t.Fatal(err)
	}
	from, _ := sip.NewURI("alice", loopback.String(), 0)
	if a.leg, err = leg.Dial(t.Context(), a.cfg, a.ua, sip.Invite{Target: target, From: sip.NameAddr{URI: from}}); err != nil {
		t.Fatal(err)
	}
	b.leg = <-taken
	return a, b
}

// until reads a side's events up to one of a kind.
func (s *side) until(k leg.Kind) leg.Event {
	s.t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case e, ok := <-s.leg.Events():
			if !ok {
				s.t.Fatalf("the leg ended before an event of kind %d", k)
			}
			if e.Kind == k {
				return e
			}
		case <-late:
			s.t.Fatalf("no event of kind %d", k)
		}
	}
}

func (s *side) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// hears measures anew for a while and checks what comes; hz 0 is nothing.
func (s *side) hears(hz, level float64) {
	s.t.Helper()
	time.Sleep(100 * time.Millisecond) // what was under way
	s.must(s.leg.Listen())
	time.Sleep(600 * time.Millisecond)
	got := s.leg.Report().Heard
	if hz == 0 {
		if got.Seconds > 0 {
			s.t.Errorf("hears %+v, want nothing", got)
		}
		return
	}
	if math.Abs(got.Strongest.Hz-hz) > 2 || math.Abs(got.Strongest.Level-level) > 0.3 {
		s.t.Errorf("hears %+v, want %.0f Hz at %.1f dBm0", got.Strongest, hz, level)
	}
}

func sine(hz, level float64) tone.Sound {
	return tone.Sound{Sines: []tone.Sine{{Hz: hz, Level: level}}}
}

func TestHold(t *testing.T) {
	t.Parallel()
	a, b := pair(t, []string{"pcma"}, (*leg.Leg).Answer)
	a.until(leg.Answered)
	b.until(leg.Answered)
	a.must(a.leg.Tone(sine(440, -10), nil))
	b.must(b.leg.Tone(sine(880, -20), nil))
	a.hears(880, -20)
	b.hears(440, -10)
	if c := a.leg.Report().Codec; c != "PCMA/8000" {
		t.Errorf("codec %s", c)
	}
	a.must(a.leg.Hold(t.Context(), true))
	b.until(leg.Held)
	if !b.leg.Report().Held {
		t.Error("the report doesn't say that it is held")
	}
	a.hears(0, 0)
	b.hears(440, -10) // hold music goes on
	a.must(a.leg.Hold(t.Context(), false))
	b.until(leg.Resumed)
	a.hears(880, -20)
	// And from the other side, with echo instead of a tone.
	a.must(a.leg.Echo())
	a.hears(880, -20)
	b.hears(880, -20)
	b.must(b.leg.Hold(t.Context(), true))
	a.until(leg.Held)
	b.hears(0, 0)
}

func TestDigitsBothWaysAndByInfo(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil, (*leg.Leg).Answer)
	a.until(leg.Answered)
	b.until(leg.Answered)
	a.must(a.leg.Silence())
	done, err := a.leg.Press("12*", 0) // over what is played
	a.must(err)
	for _, want := range "12*" {
		if e := b.until(leg.Digit); e.Digit != byte(want) || !e.InMedia {
			t.Errorf("heard %+v, want %c", e, want)
		}
	}
	<-done
	done, err = b.leg.Press("#D", 60*time.Millisecond) // nothing is played
	b.must(err)
	<-done
	for _, want := range "#D" {
		if e := a.until(leg.Digit); e.Digit != byte(want) {
			t.Errorf("heard %+v, want %c", e, want)
		}
	}
	a.must(a.leg.Dialog().Info(t.Context(), "application/dtmf-relay", []byte("Signal=7\r\nDuration=160\r\n")))
	if e := b.until(leg.Digit); e.Digit != '7' || e.InMedia {
		t.Errorf("heard %+v, want 7 by INFO", e)
	}
	if got := b.leg.Report().Digits; got != "12*7" {
		t.Errorf("the report has %q", got)
	}
	if _, err := a.leg.Press("x", 0); err == nil {
		t.Error("x was sent")
	}
}

func TestRefusedForItsMedia(t *testing.T) {
	t.Parallel()
	a, _ := pair(t, nil, func(l *leg.Leg) error { return l.RejectFor(context.DeadlineExceeded) })
	if e := a.until(leg.Ended); e.Status != 500 || e.By != sip.ByPeer {
		t.Errorf("%+v", e)
	}
	// What the callee can't take is refused with the reason in words.
	b, _ := pair(t, []string{"pcmu"}, func(l *leg.Leg) error { return l.Reject(488, 65, "Bearer capability not implemented") })
	e := b.until(leg.Ended)
	if e.Status != 488 || e.Reason.Cause != 65 || !strings.Contains(e.String(), "488") {
		t.Errorf("%+v", e)
	}
}

func TestHangupIsTold(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil, (*leg.Leg).Answer)
	a.until(leg.Answered)
	a.must(a.leg.Hangup(t.Context(), 0, ""))
	e := b.until(leg.Ended)
	if e.By != sip.ByPeer || e.Reason.Cause != 16 {
		t.Errorf("%+v", e)
	}
	r := b.leg.Report()
	if r.EndedBy != "peer" || r.Ended == nil || r.Answered == nil || r.Ended.Before(*r.Answered) {
		t.Errorf("report %+v", r)
	}
	a.until(leg.Ended)
	if r := a.leg.Report(); r.EndedBy != "us" {
		t.Errorf("report %+v", r)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, codecs := range [][]string{{"g729"}, {"pcmu", "PCMU"}, {""}} {
		if _, err := leg.Formats(codecs); err == nil {
			t.Errorf("codecs %q were taken", codecs)
		}
	}
	for _, cfg := range []leg.MediaConfig{{}, {Bind: netip.IPv4Unspecified()}, {Bind: loopback, MinPort: 5, MaxPort: 4}} {
		if m, err := leg.OpenMedia(cfg); err == nil {
			m.Close()
			t.Errorf("%+v was taken", cfg)
		}
	}
	m, err := leg.OpenMedia(leg.MediaConfig{Bind: loopback})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f, err := sip.NewFront(sip.FrontConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ua, err := f.NewUA(sip.Config{Name: "x", Bind: &sip.Listen{Network: "udp", Addr: netip.AddrPortFrom(loopback, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	formats, _ := leg.Formats(nil)
	for name, cfg := range map[string]leg.Config{
		"no target": {Media: m, Formats: formats},
		"recording": {Media: m, Formats: formats, Record: filepath.Join(t.TempDir(), "no", "such.wav")},
	} {
		if l, err := leg.Dial(t.Context(), cfg, ua, sip.Invite{}); err == nil {
			l.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
