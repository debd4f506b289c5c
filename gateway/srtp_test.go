package gateway

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// A user that requires keys in SDP and a carrier that is offered them: tones both ways, and the record says
// so. Without keys the user's call is refused before anybody rings.
func TestKeysInSDP(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Users[0].SRTP, s.Trunks[0].SRTP = media.SRTPRequire, media.SRTPPrefer })
	alice := b.phone("alice")
	require := media.Want{SRTP: media.SRTPRequire}
	ha, hc := newHandset(t, 440), newHandset(t, 880)
	plain := newHandset(t, 440).offer(media.Want{})
	refused(t, b.from(alice, "9123", plain.SDP()), 488)
	b.ends(call.System, 88, 488)

	offer := ha.offer(require)
	a := b.from(alice, "9123", offer.SDP())
	c := b.carrier.Incoming()
	d, err := sdp.Parse(c.Request().Body)
	if err != nil || d.Audio().Proto != "RTP/AVP" || len(d.Audio().Crypto) == 0 {
		t.Fatalf("the carrier is offered\n%s", c.Request().Body)
	}
	if err := c.Answer(hc.answers(c.Request().Body, require)); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	e := a.Wait(sip.KindAnswered)
	if !strings.Contains(string(e.Body), "RTP/SAVP ") || strings.Count(string(e.Body), "a=crypto:") != 1 {
		t.Errorf("answered with\n%s", e.Body)
	}
	ha.takes(offer, e.Body)
	ha.hear(880)
	hc.hear(440)
	a.Bye()
	c.Wait(sip.KindEnded)
	rec := b.ends(call.Caller, 16, 200)
	for _, l := range rec.Legs {
		if l.Media.SRTP != "sdes" || l.Quality == nil || l.Quality.Received < 15 {
			t.Errorf("leg %d: %+v, quality %+v", l.No, l.Media, l.Quality)
		}
	}
}

// A carrier that doesn't know keys takes an offer that has them beside plain RTP.
func TestKeysAreOptional(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *settings) { s.Trunks[0].SRTP = media.SRTPPrefer })
	alice := b.phone("alice")
	ha, hc := newHandset(t, 440), newHandset(t, 880)
	offer := ha.offer(media.Want{})
	a := b.from(alice, "9123", offer.SDP())
	c := b.carrier.Incoming()
	if err := c.Answer(hc.answers(c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	ha.takes(offer, a.Wait(sip.KindAnswered).Body)
	ha.hear(880)
	hc.hear(440)
	a.Bye()
	c.Wait(sip.KindEnded)
	for _, l := range b.ends(call.Caller, 16, 200).Legs {
		if l.Media.SRTP != "none" {
			t.Errorf("leg %d: %+v", l.No, l.Media)
		}
	}
}
