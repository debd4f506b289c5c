package gateway

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
	"github.com/patchbay/patchbay/sip"
)

// toneEar hears tones at a handset.
type toneEar struct {
	mu      sync.Mutex
	digits  string
	longest int // ms
}

func (h *handset) tones(tb testing.TB) *toneEar {
	e := new(toneEar)
	d := dtmf.NewDetector(func(n media.Notice) {
		if n, ok := n.(media.Digit); ok {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.digits += string(n.Digit)
			e.longest = max(e.longest, n.Duration)
		}
	})
	h.Endpoint.Source(media.Pad{}).Link(d)
	tb.Cleanup(func() { d.Close() })
	return e
}

func (e *toneEar) heard() (string, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.digits, e.longest
}

// play sends digits as tones in place of the handset's own.
func (h *handset) play(tb testing.TB, digits string, each time.Duration) {
	tb.Helper()
	s, err := dtmf.NewSender(dtmf.Config{Clock: h.clock, Tones: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close()
	defer h.says.Source(media.Pad{}).Override(s.Source(media.Pad{}))()
	if err := s.Dial(digits, each); err != nil {
		tb.Fatal(err)
	}
	eventually(tb, "tones are sent", func() bool {
		var n media.Snapshot
		s.Stats(&n)
		return int(n.Notes["dtmf.sent"]) == len(digits)
	})
}

// dialled is who sent which digit, and how, in a call's record.
func (k *talk) dialled(rec *call.Call) (all []string) {
	for _, e := range k.ledger.of(rec.ID) {
		if d, ok := e.Data.(call.DTMF); ok {
			all = append(all, map[int]string{1: "caller ", 2: "callee "}[e.Leg]+d.Digit+" "+d.By)
		}
	}
	return all
}

// A carrier that has nothing but tones, and a phone that has events: each gets the other's digits in its own way, once, and the record
// says how they came. Of a tone the phone hears the beginning alone, and the event lasts for the rest.
func TestTonesAndEvents(t *testing.T) {
	t.Parallel()
	const all = "0123456789*#ABCD"
	k := newTalk(t, func(s *settings) { s.Trunks[0].DTMF, s.Digits = inband, true })
	if body := string(k.c.Request().Body); strings.Contains(body, "telephone-event") {
		t.Errorf("the carrier is offered events:\n%s", body)
	}
	atPhone, atCarrier := k.ha.tones(t), k.hc.tones(t)
	k.hc.play(t, all, 80*time.Millisecond)
	eventually(t, "digits at the phone", func() bool { return k.ha.heard() == all })
	k.hc.play(t, "5", time.Second)
	eventually(t, "a long digit at the phone", func() bool { return k.ha.heard() == all+"5" })
	if _, longest := atPhone.heard(); longest > 600 {
		t.Errorf("a tone of a second is heard for %d ms beside its event", longest)
	}
	k.ha.hear(880) // the audio is back
	if err := k.ha.dial(t, all); err != nil {
		t.Fatal(err)
	}
	eventually(t, "tones at the carrier", func() bool { got, _ := atCarrier.heard(); return got == all })
	rec := k.ledger.records(t)[0]
	if err := k.Digits(t.Context(), rec.ID, 2, "42"); err != nil { // on order
		t.Fatal(err)
	}
	eventually(t, "ordered tones", func() bool { got, _ := atCarrier.heard(); return got == all+"42" })
	k.hc.hear(440)
	rec = k.end()
	var want []string
	for _, d := range all + "5" {
		want = append(want, "callee "+string(d)+" inband")
	}
	for _, d := range all {
		want = append(want, "caller "+string(d)+" rfc4733")
	}
	if got := k.dialled(rec); !slices.Equal(got, want) {
		t.Errorf("record %q, expected %q", got, want)
	}
	if rec.Legs[0].Media.DTMF != "rfc4733" || rec.Legs[1].Media.DTMF != inband || rec.Transcoded {
		t.Errorf("legs %+v and %+v, transcoded %v", rec.Legs[0].Media, rec.Legs[1].Media, rec.Transcoded)
	}
}

// Tones become INFO for a phone that has nothing else, and INFO tones.
func TestTonesAndInfo(t *testing.T) {
	t.Parallel()
	k := newTalk(t, func(s *settings) { s.Trunks[0].DTMF, s.Users[0].DTMF = inband, "info" })
	atCarrier := k.hc.tones(t)
	k.hc.play(t, "7#", 100*time.Millisecond)
	for _, d := range "7#" {
		if e := k.a.Wait(sip.KindInfo); !strings.Contains(string(e.Body), "Signal="+string(d)+"\r\n") {
			t.Errorf("INFO %q, expected %c", e.Body, d)
		}
	}
	for _, d := range "90" {
		if err := k.a.Info(t.Context(), "application/dtmf-relay", []byte("Signal="+string(d)+"\r\nDuration=120\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "tones at the carrier", func() bool { got, _ := atCarrier.heard(); return got == "90" })
	k.end()
}

// Between two sides that have tones these pass as audio, as they are, and are told once.
func TestTonesOnBothSides(t *testing.T) {
	t.Parallel()
	k := newTalk(t, func(s *settings) { s.Trunks[0].DTMF, s.Users[0].DTMF, s.Digits = inband, inband, true })
	atPhone, atCarrier := k.ha.tones(t), k.hc.tones(t)
	k.hc.play(t, "31", 100*time.Millisecond)
	k.ha.play(t, "20", 100*time.Millisecond)
	eventually(t, "tones at both", func() bool {
		a, _ := atPhone.heard()
		c, _ := atCarrier.heard()
		return a == "31" && c == "20"
	})
	k.ha.hear(880)
	k.hc.hear(440)
	rec := k.end()
	want := []string{"callee 3 inband", "callee 1 inband", "caller 2 inband", "caller 0 inband"}
	if got := k.dialled(rec); !slices.Equal(got, want) {
		t.Errorf("record %q, expected %q", got, want)
	}
}

// Nobody listens to the audio of calls whose settings don't ask for it.
func TestTonesWithoutTheSetting(t *testing.T) {
	t.Parallel()
	k := newTalk(t, nil)
	k.hc.play(t, "31", 100*time.Millisecond)
	k.hc.dial(t, "9")
	eventually(t, "an event at the phone", func() bool { return k.ha.heard() == "9" })
	if n := len(k.dialled(k.end())); n != 1 {
		t.Errorf("%d digits in the record, expected that of the event alone", n)
	}
}

func TestAppHearsTones(t *testing.T) {
	t.Parallel()
	k := newAppTalk(t, func(s *settings) { s.Trunks[0].DTMF = inband })
	atCarrier := k.hc.tones(t)
	k.hc.play(t, "9#0", 100*time.Millisecond)
	for _, d := range "9#0" {
		if e := expect(t, k.a, AppDigit); rune(e.Digit) != d || e.Held < 60 {
			t.Errorf("digit %c for %d ms, expected %c", e.Digit, e.Held, d)
		}
	}
	if err := k.a.SendDTMF(t.Context(), "12*A"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "tones at the carrier", func() bool { got, _ := atCarrier.heard(); return got == "12*A" })
	k.hc.hear(440) // the audio is back
	k.end()
}

// A party that is transferred goes on being heard in its new call, and has tones played to it there.
func TestTonesAfterTransfer(t *testing.T) {
	t.Parallel()
	k := newTalk(t, func(s *settings) { s.Trunks[0].DTMF = inband })
	bob := k.phone("bob")
	k.refers(k.a, "sip:101@home.test", "")
	c := bob.Incoming()
	k.a.Bye()
	hb := newHandset(t, 440)
	if err := c.Answer(hb.answers(c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	k.hc.hear(440)
	atCarrier := k.hc.tones(t)
	k.hc.play(t, "18", 100*time.Millisecond)
	eventually(t, "events at bob", func() bool { return hb.heard() == "18" })
	if err := hb.dial(t, "6"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a tone at the carrier", func() bool { got, _ := atCarrier.heard(); return got == "6" })
	if got := k.ha.heard(); got != "" {
		t.Errorf("alice, who has left, hears %q", got)
	}
	k.c.Bye()
	c.Wait(sip.KindEnded)
	k.idle()
}
