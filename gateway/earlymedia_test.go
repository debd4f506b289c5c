package gateway

import (
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// A carrier that is trusted says when its early media may be heard: a shut dialog's isn't, until it is let through, without SDP of its
// own, and can be shut again. The end of another early dialog is no news. One that isn't trusted is asked for nothing, and what it says changes nothing.
func TestEarlyMediaIsGated(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		peer := siptest.NewPeer(t, netip.AddrPort{})
		b := newBench(t, func(s *settings) { s.Trunks[0].Proxy.Port, s.Trunks[0].Trusted = peer.Addr().Port(), trusted })
		ha, hc := newHandset(t, 440), newHandset(t, 880)
		offer := ha.offer(media.Want{})
		a := b.from(b.phone("alice"), "9123", offer.SDP())
		inv := peer.Request("INVITE")
		if got, want := inv.Headers.Get("P-Early-Media"), map[bool]string{true: "supported"}[trusted]; got != want {
			t.Errorf("trusted %v: the INVITE has P-Early-Media %q, expected %q", trusted, got, want)
		}
		answer := string(hc.answers([]byte(inv.Body), media.Want{}))
		peer.Reply(inv, 183, "one", answer, peer.Contact(), "P-Early-Media: inactive;gated")
		e := a.Wait(sip.KindProgress)
		if e.Status != 183 || (len(e.Body) == 0) != trusted {
			t.Errorf("trusted %v: the caller gets %d with %q of early media that is shut", trusted, e.Status, e.Body)
		}
		if trusted {
			peer.Reply(inv, 199, "other", "")
			peer.Reply(inv, 183, "one", "", peer.Contact(), "P-Early-Media: sendrecv, inactive")
			if e = a.Wait(sip.KindProgress); e.Status != 183 || len(e.Body) == 0 {
				t.Errorf("the caller gets %d with %q of early media that is let through", e.Status, e.Body)
			}
		}
		ha.takes(offer, e.Body)
		ha.hear(880)
		if trusted { // what was let through can be shut, and let through again; what another early dialog says is no matter
			peer.Reply(inv, 183, "other", "", peer.Contact(), "P-Early-Media: inactive")
			ha.hear(880)
			peer.Reply(inv, 183, "one", "", peer.Contact(), "P-Early-Media: inactive")
			eventually(t, "early media that is shut isn't heard", func() bool {
				ha.listen()
				time.Sleep(120 * time.Millisecond)
				return ha.hears.Read().Frames == 0
			})
			peer.Reply(inv, 183, "one", "", peer.Contact(), "P-Early-Media: sendrecv")
			ha.hear(880)
		}
		peer.Reply(inv, 486, "one", "")
		refused(t, a, 486)
		b.ends(call.Callee, 17, 486)
	}
}

// A trusted carrier's INVITE that asks for it hears that our early media is meant to be heard.
func TestEarlyMediaIsAnnounced(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{true, false} {
		b := newBench(t, nil)
		bob := b.phone("bob")
		var header []sip.Header
		if asked {
			header = []sip.Header{{Name: "P-Early-Media", Value: "supported"}}
		}
		a := b.from(b.carrier, "4930101", nil, header...)
		c := bob.Incoming()
		if err := c.Progress(183, "", []byte(siptest.SDP)); err != nil {
			t.Fatal(err)
		}
		e := a.Wait(sip.KindProgress)
		if got, want := e.Headers.Get("P-Early-Media"), map[bool]string{true: "sendrecv"}[asked]; got != want || len(e.Body) == 0 {
			t.Errorf("asked %v: the carrier gets P-Early-Media %q with %q, expected %q with early media", asked, got, e.Body, want)
		}
		if err := c.Reject(486, ""); err != nil {
			t.Fatal(err)
		}
		refused(t, a, 486)
		b.ends(call.Callee, 17, 486)
	}
}
