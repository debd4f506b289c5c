package gateway

import (
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// bob transfers the carrier's caller while alice, whom he has called, still rings: her phone rings on, and she has the caller once she answers,
// whether bob waits for that, hangs up the call that is transferred, or gives up the one that rings.
func TestSemiAttendedTransfer(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"he waits", "he hangs up", "he gives up", "he does both"} {
		v := newVisit(t, nil)
		asks := v.from(v.bob, "100", nil)
		c := v.alice.Incoming()
		if err := c.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
		rings := asks.Wait(sip.KindProgress)
		v.refers(v.b, "sip:100@home.test", asks.CallID()+";to-tag="+rings.Tag+";from-tag="+asks.LocalTag())
		v.told(v.b, 100, 180)
		if how == "he hangs up" || how == "he does both" {
			v.b.Bye()
		}
		if how == "he gives up" || how == "he does both" {
			if err := asks.Cancel(sip.Reason{}); err != nil {
				t.Fatal(err)
			}
			asks.Wait(sip.KindEnded)
		}
		ha := newHandset(t, 880)
		v.hb.says.Close()
		if err := c.Answer(ha.answers(c.Request().Body, media.Want{})); err != nil {
			t.Fatal(err)
		}
		c.Wait(sip.KindAcked)
		if how == "he waits" || how == "he gives up" {
			v.told(v.b, 200)
			v.b.Wait(sip.KindEnded)
		}
		if how == "he waits" || how == "he hangs up" {
			refused(t, asks, 487)
		}
		v.hc.hear(880)
		ha.hear(440)
		c.Bye()
		v.a.Wait(sip.KindEnded)
		v.idle()
		all := v.family(2)
		first, second := all["4930101"], all["100"]
		if d, _ := v.moved(first.ID); !d.Attended || d.Linked != second.ID || second.LinkedID != first.ID || first.Cause.Text != "transferred" {
			t.Errorf("%s: transfer %+v, records %+v and %+v", how, d, first, second)
		}
		if second.AnsweredAt == nil || second.EndedBy != call.Callee || second.Cause.SIP != 200 {
			t.Errorf("%s: record %+v", how, second)
		}
	}
}

// When the one who rings doesn't answer the call is as it was; and who is transferred may hang up before.
func TestSemiAttendedTransferFails(t *testing.T) {
	t.Parallel()
	for _, declined := range []bool{true, false} {
		v := newVisit(t, nil)
		asks := v.from(v.bob, "100", nil)
		c := v.alice.Incoming()
		if err := c.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
		rings := asks.Wait(sip.KindProgress)
		v.refers(v.b, "sip:100@home.test", asks.CallID()+";to-tag="+rings.Tag+";from-tag="+asks.LocalTag())
		v.told(v.b, 100, 180)
		if declined {
			if err := c.Reject(486, ""); err != nil {
				t.Fatal(err)
			}
			refused(t, asks, 486)
			v.told(v.b, 486)
			v.hc.hear(880) // as before
			v.a.Bye()
			v.b.Wait(sip.KindEnded)
		} else {
			v.a.Bye()
			v.b.Wait(sip.KindEnded)
			if err := c.Answer(newHandset(t, 880).answers(c.Request().Body, media.Want{})); err != nil {
				t.Fatal(err)
			}
			asks.Wait(sip.KindAnswered) // bob, who has called her, has her now
			c.Bye()
			asks.Wait(sip.KindEnded)
		}
		v.idle()
	}
}
