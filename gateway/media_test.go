package gateway

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestEarlyMedia(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	alice := b.phone("alice")
	ha, hc := newHandset(t, 440), newHandset(t, 880)
	offer := ha.offer(media.Want{})
	a := b.from(alice, "9123", offer.SDP())
	c := b.carrier.Incoming()
	answer := hc.answers(c.Request().Body, media.Want{})
	if err := c.Progress(183, "", answer); err != nil {
		t.Fatal(err)
	}
	e := a.Wait(sip.KindProgress)
	if e.Status != 183 || len(e.Body) == 0 {
		t.Fatalf("progress %d with %q", e.Status, e.Body)
	}
	ha.takes(offer, e.Body)
	ha.hear(880)
	if rec := b.ledger.records(t)[0]; rec.AnsweredAt != nil || rec.EarlyMediaAt == nil {
		t.Errorf("record %+v", rec)
	}
	if err := c.Answer(answer); err != nil {
		t.Fatal(err)
	}
	a.Wait(sip.KindAnswered)
	hc.hear(440)
	ha.hear(880)
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if !rec.Legs[1].EarlyMedia || rec.Duration <= rec.Bill {
		t.Errorf("record %+v", rec)
	}
	b.idle()
}

// A carrier that forks: early media of one branch, then of another, which answers; then the first answers too.
func TestForkedCallee(t *testing.T) {
	t.Parallel()
	peer := siptest.NewPeer(t, netip.AddrPort{})
	b := newBench(t, func(s *settings) { s.Trunks[0].Proxy.Port = peer.Addr().Port() })
	alice := b.phone("alice")
	ha, h1, h2 := newHandset(t, 440), newHandset(t, 440), newHandset(t, 880)
	offer := ha.offer(media.Want{})
	a := b.from(alice, "9123", offer.SDP())
	inv := peer.Request("INVITE")
	s1, s2 := string(h1.answers([]byte(inv.Body), media.Want{})), string(h2.answers([]byte(inv.Body), media.Want{}))
	peer.Reply(inv, 183, "one", s1, peer.Contact())
	e := a.Wait(sip.KindProgress)
	ha.takes(offer, e.Body)
	ha.hear(440)
	peer.Reply(inv, 183, "two", s2, peer.Contact())
	a.Wait(sip.KindProgress)
	ha.hear(880)
	peer.Reply(inv, 200, "two", s2, peer.Contact())
	if ack := peer.Request("ACK"); ack.Tag("To") != "two" {
		t.Errorf("ACK to %q", ack.Tag("To"))
	}
	a.Wait(sip.KindAnswered)
	peer.Reply(inv, 200, "one", s1, peer.Contact())
	if ack := peer.Request("ACK"); ack.Tag("To") != "one" {
		t.Errorf("ACK to %q", ack.Tag("To"))
	}
	bye := peer.Request("BYE")
	if bye.Tag("To") != "one" {
		t.Errorf("BYE to %q", bye.Tag("To"))
	}
	peer.Reply(bye, 200, "", "")
	ha.hear(880)
	go a.Bye()
	peer.Reply(peer.Request("BYE"), 200, "", "")
	rec := b.ends(call.Caller, 16, 200)
	if !b.noted(rec.ID, "further party answered") || rec.Legs[1].RemoteTag != "two" {
		t.Errorf("record %+v", rec.Legs[1])
	}
	b.idle()
}

func TestTranscoding(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[0].Codecs = []string{"PCMA"} })
	alice := b.phone("alice")
	ha, hc := newHandset(t, 440, "PCMU"), newHandset(t, 880, "PCMA")
	offer := ha.offer(media.Want{})
	a := b.from(alice, "9123", offer.SDP())
	c := b.carrier.Incoming()
	if err := c.Answer(hc.answers(c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	ha.takes(offer, a.Wait(sip.KindAnswered).Body)
	ha.hear(880)
	hc.hear(440)
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	if !rec.Transcoded || rec.Legs[0].Media.Codec != "PCMU/8000" || rec.Legs[1].Media.Codec != "PCMA/8000" {
		t.Errorf("record %+v, legs %+v, %+v", rec, rec.Legs[0].Media, rec.Legs[1].Media)
	}
	b.idle()
}

// talk is an answered call between alice and the carrier, with media.
type talk struct {
	*bench
	a, c   *siptest.Call
	ha, hc *handset
}

func newTalk(t *testing.T, change func(*settings)) *talk {
	b := newBench(t, change)
	k := &talk{bench: b, ha: newHandset(t, 440), hc: newHandset(t, 880)}
	offer := k.ha.offer(media.Want{})
	k.a = b.from(b.phone("alice"), "9123", offer.SDP())
	k.c = b.carrier.Incoming()
	if err := k.c.Answer(k.hc.answers(k.c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	k.c.Wait(sip.KindAcked)
	k.ha.takes(offer, k.a.Wait(sip.KindAnswered).Body)
	return k
}

// end hangs up and checks that nothing is left.
func (k *talk) end() *call.Call {
	k.Helper()
	k.a.Bye()
	k.c.Wait(sip.KindEnded)
	rec := k.ends(call.Caller, 16, 200)
	k.idle()
	return rec
}

// reoffer sends a re-INVITE with a direction.
func (h *handset) reoffer(c *siptest.Call, d sdp.Direction) error {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), siptest.Patience)
	defer cancel()
	o := h.offer(media.Want{Direction: d})
	answer, err := c.Reinvite(ctx, o.SDP())
	if err != nil {
		o.Rollback()
		return err
	}
	h.takes(o, answer)
	return nil
}

// reoffered answers a re-INVITE with what the handset wants, and returns what the peer asked for.
func (h *handset) reoffered(c *siptest.Call, want sdp.Direction) sdp.Direction {
	h.tb.Helper()
	e := c.Wait(sip.KindOffer)
	d, err := h.Remote(e.Offer.Body)
	if err != nil {
		h.tb.Fatal(err)
	}
	if err := e.Offer.Answer(h.answers(e.Offer.Body, media.Want{Direction: want})); err != nil {
		h.tb.Fatal(err)
	}
	return d.Direction()
}

func TestHoldAndResume(t *testing.T) {
	t.Parallel()
	const silence = 800 * time.Millisecond // what a busy machine doesn't make of media that flows
	k := newTalk(t, func(s *settings) { s.Media.Timeout = silence })
	for _, side := range []struct {
		holder, held   *handset
		from, to       *siptest.Call
		heldHz, holdHz float64
		leg            int
	}{{k.ha, k.hc, k.a, k.c, 880, 440, 1}, {k.hc, k.ha, k.c, k.a, 440, 880, 2}} {
		if err := side.holder.reoffer(side.from, sdp.SendOnly); err != nil {
			t.Fatal(err)
		}
		if got := side.held.reoffered(side.to, sdp.SendRecv); got != sdp.SendOnly {
			t.Errorf("the far side is asked for %v, expected sendonly", got)
		}
		side.to.Expect(sip.KindAcked)
		side.held.hear(side.holdHz) // music on hold, say
		side.holder.deaf()
		time.Sleep(silence) // longer than is allowed otherwise
		if err := side.holder.reoffer(side.from, sdp.SendRecv); err != nil {
			t.Fatal(err)
		}
		if got := side.held.reoffered(side.to, sdp.SendRecv); got != sdp.SendRecv {
			t.Errorf("the far side is asked for %v, expected sendrecv", got)
		}
		side.to.Expect(sip.KindAcked)
		side.holder.hear(side.heldHz)
		side.held.hear(side.holdHz)
	}
	rec := k.end()
	holds := map[int]int{}
	for _, e := range k.ledger.of(rec.ID) {
		if e.Data.Kind() == call.KindHold || e.Data.Kind() == call.KindResume {
			holds[e.Leg]++
		}
	}
	if holds[1] != 2 || holds[2] != 2 {
		t.Errorf("holds and resumes by leg: %v, expected 2 of each", holds)
	}
}

func TestHoldWhileHeld(t *testing.T) {
	t.Parallel()
	k := newTalk(t, nil)
	if err := k.ha.reoffer(k.a, sdp.SendOnly); err != nil {
		t.Fatal(err)
	}
	k.hc.reoffered(k.c, sdp.SendRecv)
	k.c.Expect(sip.KindAcked)
	if err := k.hc.reoffer(k.c, sdp.Inactive); err != nil { // and now the other side, too
		t.Fatal(err)
	}
	if got := k.ha.reoffered(k.a, sdp.SendOnly); got != sdp.Inactive {
		t.Errorf("asked for %v, expected inactive", got)
	}
	k.a.Expect(sip.KindAcked)
	if err := k.ha.reoffer(k.a, sdp.SendRecv); err != nil { // resumes, but is held
		t.Fatal(err)
	}
	if got := k.hc.reoffered(k.c, sdp.Inactive); got != sdp.SendRecv {
		t.Errorf("asked for %v, expected sendrecv", got)
	}
	k.c.Expect(sip.KindAcked)
	k.ha.deaf()
	k.hc.deaf()
	if err := k.hc.reoffer(k.c, sdp.SendRecv); err != nil {
		t.Fatal(err)
	}
	if got := k.ha.reoffered(k.a, sdp.SendRecv); got != sdp.SendRecv {
		t.Errorf("asked for %v, expected sendrecv", got)
	}
	k.a.Expect(sip.KindAcked)
	k.ha.hear(880)
	k.hc.hear(440)
	k.end()
}

func TestRefusedHold(t *testing.T) {
	t.Parallel()
	k := newTalk(t, nil)
	if err := k.ha.reoffer(k.a, sdp.SendOnly); err != nil {
		t.Fatal(err)
	}
	if err := k.c.Wait(sip.KindOffer).Offer.Reject(488, ""); err != nil {
		t.Fatal(err)
	}
	k.hc.hear(440)
	if err := k.ha.reoffer(k.a, sdp.SendRecv); err != nil {
		t.Fatal(err)
	}
	k.ha.hear(880)
	if rec := k.end(); !k.noted(rec.ID, "re-offer (sendonly) failed") {
		t.Error("the record doesn't tell of the refusal")
	}
}

// Both sides re-offer at once: whoever must wait, waits, and in the end both have what they asked for.
func TestGlare(t *testing.T) {
	t.Parallel()
	k := newTalk(t, nil)
	if err := k.ha.reoffer(k.a, sdp.SendOnly); err != nil {
		t.Fatal(err)
	}
	offer := k.c.Wait(sip.KindOffer).Offer // our re-INVITE is at the carrier, which now refuses it and offers itself
	o := k.hc.offer(media.Want{Direction: sdp.SendRecv})
	if err := offer.Reject(491, ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), siptest.Patience)
	defer cancel()
	began := time.Now()
	answer, err := k.c.Reinvite(ctx, o.SDP())
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the peer's offer waited %v for ours", took)
	}
	k.hc.takes(o, answer)
	d, err := k.hc.Remote(answer)
	if err != nil {
		t.Fatal(err)
	}
	if d.Direction() != sdp.SendOnly { // the hold went along in our answer
		if got := k.hc.reoffered(k.c, sdp.SendRecv); got != sdp.SendOnly {
			t.Errorf("asked for %v, expected sendonly", got)
		}
	}
	k.ha.deaf()
	k.hc.hear(440)
	k.end()
}

func TestLateOffer(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[1].Addresses = []netip.Prefix{prefix(t, "127.0.0.2/32")} })
	bob := b.phone("bob")
	h, hb := newHandset(t, 440), newHandset(t, 880)
	peer := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	ask := peer.Write(siptest.Ask{Method: "INVITE", URI: "sip:4930101@home.test"})
	c := bob.Incoming()
	if err := c.Answer(hb.answers(c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	res := peer.Response(200)
	peer.Ack(ask, res, string(h.answers([]byte(res.Body), media.Want{})))
	h.hear(880)
	hb.hear(440)
	// A re-INVITE without an offer resumes a call (RFC 3261 14.2).
	hold := h.offer(media.Want{Direction: sdp.SendOnly})
	inside := func(cseq int, body string) siptest.Message {
		again := ask
		again.CSeq, again.Branch, again.Body, again.To = cseq, "", body, res.Headers.Get("To")
		again = peer.Write(again)
		m := peer.Response(200)
		if body != "" {
			peer.Ack(again, m, "")
			return m
		}
		peer.Ack(again, m, string(h.answers([]byte(m.Body), media.Want{})))
		return m
	}
	m := inside(2, string(hold.SDP()))
	h.takes(hold, []byte(m.Body))
	if got := hb.reoffered(c, sdp.SendRecv); got != sdp.SendOnly {
		t.Errorf("asked for %v, expected sendonly", got)
	}
	m = inside(3, "")
	if !strings.Contains(m.Body, "telephone-event") {
		t.Errorf("our offer has no events:\n%s", m.Body)
	}
	if got := hb.reoffered(c, sdp.SendRecv); got != sdp.SendRecv {
		t.Errorf("asked for %v, expected sendrecv", got)
	}
	h.hear(880)
	hb.hear(440)
	go func() { _ = c.Hangup(context.Background(), sip.Reason{}, 0) }()
	peer.Reply(peer.Request("BYE"), 200, "", "")
	b.ends(call.Callee, 16, 200)
	b.idle()
}

func TestDigits(t *testing.T) {
	t.Parallel()
	k := newTalk(t, func(s *settings) {
		s.Users[0].DTMF = "info"
		s.Digits = true
	})
	// INFO becomes telephone-events; the audio comes back afterwards.
	for _, d := range "15" {
		if err := k.a.Info(t.Context(), "application/dtmf-relay", []byte("Signal="+string(d)+"\r\nDuration=120\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "digits at the carrier", func() bool { return k.hc.heard() == "15" })
	k.hc.hear(440)
	// Telephone-events become INFO, in order.
	if err := k.hc.dial(t, "9#0"); err != nil {
		t.Fatal(err)
	}
	for _, d := range "9#0" {
		if e := k.a.Wait(sip.KindInfo); !strings.Contains(string(e.Body), "Signal="+string(d)) {
			t.Errorf("INFO %q, expected %c", e.Body, d)
		}
	}
	// On order, to either leg.
	rec := k.ledger.records(t)[0]
	if err := k.Digits(t.Context(), rec.ID, 1, "7"); err != nil {
		t.Fatal(err)
	}
	if e := k.a.Wait(sip.KindInfo); !strings.Contains(string(e.Body), "Signal=7") {
		t.Errorf("INFO %q", e.Body)
	}
	if err := k.Digits(t.Context(), rec.ID, 2, "*8"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ordered digits", func() bool { return k.hc.heard() == "15*8" })
	k.hc.hear(440)
	k.ha.hear(880)
	if err := k.Digits(t.Context(), rec.ID, 5, "1"); err == nil || !strings.Contains(err.Error(), "no leg 5") {
		t.Errorf("leg 5: %v", err)
	}
	if err := k.Digits(t.Context(), rec.ID, 1, "1x"); err == nil {
		t.Error("x is a digit")
	}
	if err := k.Digits(t.Context(), call.NewID(), 1, "1"); !errors.Is(err, ErrNoCall) {
		t.Errorf("no call: %v", err)
	}
	k.end()
	var told []string
	for _, e := range k.ledger.of(rec.ID) {
		if d, ok := e.Data.(call.DTMF); ok {
			told = append(told, d.Digit+" "+d.By)
		}
	}
	if got := strings.Join(told, ","); got != "1 info,5 info,9 rfc4733,# rfc4733,0 rfc4733" {
		t.Errorf("record %s", got)
	}
}

func TestDigitsInMediaAreRelayedAndMasked(t *testing.T) {
	t.Parallel()
	k := newTalk(t, nil)
	if err := k.ha.dial(t, "42"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "digits at the carrier", func() bool { return k.hc.heard() == "42" })
	rec := k.end()
	n := 0
	for _, e := range k.ledger.of(rec.ID) {
		if d, ok := e.Data.(call.DTMF); ok {
			n++
			if d.Digit != "*masked*" || d.By != "rfc4733" || e.Leg != 1 {
				t.Errorf("leg %d: %+v", e.Leg, d)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d digits in the record, expected 2", n)
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	k := newTalk(t, func(s *settings) { s.Media.Timeout = 600 * time.Millisecond })
	for range 3 {
		k.ha.hear(880) // media flows for longer than that
	}
	k.hc.says.Close()
	if e := k.a.Wait(sip.KindEnded); e.By != sip.ByPeer {
		t.Errorf("ended %+v", e)
	}
	k.c.Wait(sip.KindEnded)
	if rec := k.ends(call.System, call.MediaLost.Q850, 200); !strings.Contains(rec.Cause.Text, "no media from the callee") {
		t.Errorf("cause %v", rec.Cause)
	}
	k.idle()
}

// A caller that is silent before the answer is told of once only: it counts from the answer.
func TestSilenceBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	l := &sipLeg{role: call.CallerLeg, peer: sdp.SendRecv, want: sdp.SendRecv, silent: true}
	c := &Call{g: &Gateway{cfg: Config{Media: Media{Timeout: time.Second}}}}
	now := newMonotonic()
	l.answered.Store(now.mono)
	if _, ok := c.mute(l); ok {
		t.Error("hung up just after the answer")
	}
	l.answered.Store(now.mono - int64(2*time.Second))
	if _, ok := c.mute(l); !ok {
		t.Error("silence before the answer is forgotten")
	}
	for _, d := range []sdp.Direction{sdp.SendOnly, sdp.RecvOnly, sdp.Inactive} {
		l.peer = d
		if _, ok := c.mute(l); ok {
			t.Errorf("hung up while the peer is %v", d)
		}
	}
}
