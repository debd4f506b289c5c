package gateway

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// visit is a call of the carrier's to bob, who has alice beside him. Each has a handset.
type visit struct {
	*bench
	alice, bob *siptest.Phone
	a, b       *siptest.Call
	hc, hb     *handset // of the carrier's caller, and bob's
}

func newVisit(t *testing.T, change func(*settings)) *visit {
	v := &visit{bench: newBench(t, change), hc: newHandset(t, 440), hb: newHandset(t, 880)}
	v.alice, v.bob = v.phone("alice"), v.phone("bob")
	offer := v.hc.offer(media.Want{})
	v.a = v.from(v.carrier, "4930101", offer.SDP())
	v.b = v.bob.Incoming()
	if err := v.b.Answer(v.hb.answers(v.b.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	v.b.Wait(sip.KindAcked)
	v.hc.takes(offer, v.a.Wait(sip.KindAnswered).Body)
	return v
}

// refers asks for a transfer.
func (b *bench) refers(c *siptest.Call, to, replaces string) {
	b.Helper()
	u, err := sip.ParseURI(to)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Refer(b.Context(), u, replaces); err != nil {
		b.Fatal(err)
	}
}

// told expects what the transferor is told, in order.
func (b *bench) told(c *siptest.Call, statuses ...int) {
	b.Helper()
	for _, s := range statuses {
		e := c.Wait(sip.KindNotify)
		state := e.Headers.Get("Subscription-State")
		if e.Status != s || strings.HasPrefix(state, "terminated") != (s >= 200) {
			b.Errorf("told %d %s (%s), expected %d", e.Status, e.Phrase, state, s)
		}
	}
}

// family are the records of all calls once they are closed, by the number that was called.
func (b *bench) family(n int) map[string]*call.Call {
	b.Helper()
	out := map[string]*call.Call{}
	eventually(b, "the records are closed", func() bool {
		list := b.ledger.records(b)
		for _, c := range list {
			if c.State != call.Closed {
				return false
			}
			out[c.To] = c
		}
		return len(list) == n
	})
	for _, c := range out {
		for _, l := range c.Legs {
			if l.EndedAt == nil {
				b.Errorf("call to %s: leg %d never ended", c.To, l.No)
			}
		}
	}
	return out
}

// moved is the transfer in a record.
func (b *bench) moved(id call.ID) (call.Transfer, call.Kind) {
	for _, e := range b.ledger.of(id) {
		if d, ok := e.Data.(call.Transfer); ok {
			return d, e.Data.Kind()
		}
	}
	return call.Transfer{}, ""
}

func TestBlindTransfer(t *testing.T) {
	v := newVisit(t, nil)
	if err := v.hb.reoffer(v.b, sdp.SendOnly); err != nil { // bob holds
		t.Fatal(err)
	}
	v.hc.reoffered(v.a, sdp.SendRecv)
	v.a.Wait(sip.KindAcked)
	v.refers(v.b, "sip:100@home.test", "")
	c := v.alice.Incoming()
	r := c.Request()
	if r.From.URI.User != "4930777" || r.Headers.Get("Referred-By") != "<sip:101@home.test>" {
		t.Errorf("INVITE from %s, Referred-By %q", r.From, r.Headers.Get("Referred-By"))
	}
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	v.told(v.b, 100, 180)
	v.hc.hear(880) // the transferred party keeps its media until then
	ha := newHandset(t, 880)
	v.hb.says.Close()
	if err := c.Answer(ha.answers(r.Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	v.told(v.b, 200)
	if got := v.hc.reoffered(v.a, sdp.SendRecv); got != sdp.SendRecv { // it was on hold
		t.Errorf("the transferred party is asked for %v", got)
	}
	v.hc.hear(880)
	ha.hear(440)
	v.b.Wait(sip.KindEnded) // bob doesn't hang up: we do
	v.a.Bye()
	c.Wait(sip.KindEnded)
	calls := v.family(2)
	first, next := calls["4930101"], calls["100"]
	if first == nil || next == nil {
		t.Fatalf("records %v", calls)
	}
	if first.Cause.Text != "transferred" || first.EndedBy != call.Callee || next.EndedBy != call.Caller || next.LinkedID != first.ID ||
		next.User != "bob" || next.AnsweredAt == nil || !next.AnsweredAt.Equal(*first.EndedAt) || len(next.Legs) != 2 || next.Attempts != 1 {
		t.Errorf("first %+v\nnext %+v", first, next)
	}
	if l := next.Leg(1); l.Trunk != "carrier" || l.SIPCallID != v.a.CallID() || !l.HungUp || l.Media.Codec != "PCMU/8000" {
		t.Errorf("the transferred party's leg %+v", l)
	}
	if m, kind := v.moved(first.ID); m.To != "100" || m.Linked != next.ID || kind != call.KindBlind {
		t.Errorf("transfer %+v, %s", m, kind)
	}
	v.idle()
}

// Who transfers may hang up at once; the transferred party hears it ring.
func TestBlindTransferAndGone(t *testing.T) {
	v := newVisit(t, nil)
	v.refers(v.b, "sip:100@home.test", "")
	c := v.alice.Incoming()
	v.b.Bye()
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	v.hc.listen()
	eventually(t, "ringback", func() bool { return v.hc.hears.Read().Time >= 100*time.Millisecond })
	ha := newHandset(t, 880)
	if err := c.Answer(ha.answers(c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	v.hc.hear(880)
	ha.hear(440)
	c.Bye()
	v.a.Wait(sip.KindEnded)
	calls := v.family(2)
	if first, next := calls["4930101"], calls["100"]; first.Cause.Text != "transferred" || next.EndedBy != call.Callee || next.Bill < 250 {
		t.Errorf("first %+v\nnext %+v", first, next)
	}
	v.idle()
}

func TestBlindTransferFails(t *testing.T) {
	v := newVisit(t, nil)
	v.refers(v.b, "sip:100@home.test", "")
	if err := v.alice.Incoming().Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	v.told(v.b, 100, 486)
	v.hc.hear(880) // and the call is as it was
	v.hb.hear(440)
	// Nobody to go back to: the transferred party is told why.
	v.refers(v.b, "sip:100@home.test", "")
	c := v.alice.Incoming()
	v.b.Bye()
	if err := c.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	if e := v.a.Wait(sip.KindEnded); e.Reason.Cause != 17 {
		t.Errorf("ended %+v", e)
	}
	list := v.ledger.records(t)
	v.family(3)
	if !v.noted(list[0].ID, "transfer to 100 failed") {
		t.Error("the record doesn't tell of the failure")
	}
	v.idle()
}

// The transferred party hangs up while the next one rings.
func TestBlindTransferForNobody(t *testing.T) {
	v := newVisit(t, nil)
	v.refers(v.b, "sip:100@home.test", "")
	c := v.alice.Incoming()
	v.a.Bye()
	if e := c.Wait(sip.KindEnded); e.Method != "CANCEL" {
		t.Errorf("ended %+v", e)
	}
	v.b.Wait(sip.KindEnded)
	calls := v.family(2)
	if first, next := calls["4930101"], calls["100"]; first.EndedBy != call.Caller || next.AnsweredAt != nil || next.EndedBy != call.Caller {
		t.Errorf("first %+v\nnext %+v", first, next)
	}
	v.idle()
}

func TestTransfersAreRefused(t *testing.T) {
	v := newVisit(t, func(s *settings) { s.Users[1].MaxCalls = 1; s.Users[0].MaxCalls = 1 })
	status := func(c *siptest.Call, to, replaces string) int {
		u, err := sip.ParseURI(to)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Refer(t.Context(), u, replaces)
		var refused *sip.StatusError
		if err == nil {
			return 202
		}
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		return refused.Status
	}
	for to, want := range map[string]int{"sip:100@elsewhere.test": 404, "sip:100@home.test;method=BYE": 501} {
		if got := status(v.b, to, ""); got != want {
			t.Errorf("%s: %d, expected %d", to, got, want)
		}
	}
	if got := status(v.a, "sip:100@home.test", ""); got != 403 {
		t.Errorf("a trunk's: %d, expected 403", got)
	}
	// A number that bob may not call: the number has no route.
	v.refers(v.b, "sip:777@home.test", "")
	v.told(v.b, 100, 404)
	// alice's own call takes her only place.
	other := v.from(v.alice, "9123", nil)
	far := v.up(other, v.carrier, nil)
	v.refers(v.b, "sip:100@home.test", "")
	v.told(v.b, 100, 486)
	if got := status(v.b, "sip:100@home.test", other.CallID()+";to-tag="+other.RemoteTag()+";from-tag="+other.LocalTag()); got != 403 {
		t.Errorf("somebody else's call: %d, expected 403", got)
	}
	if got := status(v.b, "sip:100@home.test", v.b.CallID()+";to-tag="+v.b.RemoteTag()+";from-tag="+v.b.LocalTag()); got != 400 {
		t.Errorf("the call itself: %d, expected 400", got)
	}
	other.Bye()
	far.Wait(sip.KindEnded)
	// bob has one call and no room for another, but transfers what he has.
	v.refers(v.b, "sip:9555@home.test", "")
	c := v.carrier.Incoming()
	if r := c.Request(); r.From.URI.User != "101" || r.URI.User != "49555" {
		t.Errorf("INVITE %s from %s", r.URI, r.From)
	}
	if got := status(v.b, "sip:100@home.test", ""); got != 491 {
		t.Errorf("a second one: %d, expected 491", got)
	}
	c.Accept()
	v.told(v.b, 100, 180, 200)
	v.b.Wait(sip.KindEnded)
	v.a.Bye()
	c.Wait(sip.KindEnded)
	v.idle()
}

// A carrier that may transfers our user to another one.
func TestTrunkTransfers(t *testing.T) {
	v := newVisit(t, func(s *settings) { s.Trunks[0].Transfers = true })
	foreign, _ := sip.ParseURI("sip:4930101@anything.test")
	if err := v.a.Refer(t.Context(), foreign, ""); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("to a host that is neither ours nor the carrier's: %v", err)
	}
	v.refers(v.a, "sip:4930101@carrier.test", "")
	if e := v.a.Wait(sip.KindNotify); e.Status != 100 {
		t.Errorf("told %d", e.Status)
	}
	c := v.bob.Incoming() // himself, on a second line
	c.Accept()
	v.told(v.a, 180, 200)
	v.a.Wait(sip.KindEnded)
	v.b.Bye()
	c.Wait(sip.KindEnded)
	calls := v.ledger.records(t)
	v.idle()
	if calls[1].Trunk != "carrier" || calls[1].User != "" || calls[1].Direction != call.In {
		t.Errorf("record %+v", calls[1])
	}
}

// bob asks alice, and gives her the carrier's caller: whichever of his calls he sends the REFER in.
func TestAttendedTransfer(t *testing.T) {
	for _, way := range []string{"the first call is referred", "the second is"} {
		t.Run(way, func(t *testing.T) {
			v := newVisit(t, nil)
			if err := v.hb.reoffer(v.b, sdp.SendOnly); err != nil {
				t.Fatal(err)
			}
			v.hc.reoffered(v.a, sdp.SendRecv)
			v.a.Wait(sip.KindAcked)
			ha := newHandset(t, 880)
			asks := v.from(v.bob, "100", nil)
			c := v.alice.Incoming()
			if err := c.Answer(ha.answers(c.Request().Body, media.Want{})); err != nil {
				t.Fatal(err)
			}
			c.Wait(sip.KindAcked)
			asks.Wait(sip.KindAnswered)
			in, named := v.b, asks
			if way != "the first call is referred" {
				in, named = asks, v.b
			}
			v.refers(in, "sip:x@phone.invalid", named.CallID()+";to-tag="+named.RemoteTag()+";from-tag="+named.LocalTag())
			v.told(in, 100, 200)
			if got := v.hc.reoffered(v.a, sdp.SendRecv); got != sdp.SendRecv {
				t.Errorf("the transferred party is asked for %v", got)
			}
			v.hc.hear(880)
			ha.hear(440)
			in.Wait(sip.KindEnded)
			named.Wait(sip.KindEnded)
			c.Bye()
			v.a.Wait(sip.KindEnded)
			calls := v.family(2)
			gives, takes := calls["4930101"], calls["100"]
			if named == v.b {
				gives, takes = takes, gives
			}
			if gives.Cause.Text != "transferred" || gives.LinkedID != takes.LinkedID || len(takes.Legs) != 3 || takes.Legs[2].Attempt != 0 {
				t.Errorf("gives %+v\ntakes %+v", gives, takes)
			}
			if m, kind := v.moved(gives.ID); m.Linked != takes.ID || !m.Attended || kind != call.KindAttended {
				t.Errorf("transfer %+v, %s", m, kind)
			}
			if at := *takes.Legs[2].AnsweredAt; !at.Equal(*gives.EndedAt) {
				t.Errorf("taken at %v, given at %v", at, *gives.EndedAt)
			}
			v.idle()
		})
	}
}

// Another phone of bob's takes his call over, and a colleague picks up one that rings.
func TestReplaces(t *testing.T) {
	v := newVisit(t, nil)
	mobile := v.phone("bob")
	value := func(c *siptest.Call) sip.Header {
		return sip.Header{Name: "Replaces", Value: c.CallID() + ";to-tag=" + c.RemoteTag() + ";from-tag=" + c.LocalTag()}
	}
	hm := newHandset(t, 880)
	v.hb.says.Close()
	offer := hm.offer(media.Want{})
	m := v.from(mobile, "101", offer.SDP(), value(v.b))
	hm.takes(offer, m.Wait(sip.KindAnswered).Body)
	v.b.Wait(sip.KindEnded)
	v.hc.hear(880)
	hm.hear(440)
	// Only a call that rings: this one is answered.
	early := value(m)
	early.Value += ";early-only"
	refused(t, v.from(v.bob, "101", nil, early), 486)
	// The carrier may not.
	refused(t, v.from(v.carrier, "101", nil, value(m)), 481)
	v.a.Bye()
	m.Wait(sip.KindEnded)
	v.idle()
	calls := v.ledger.records(t)
	if len(calls[0].Legs) != 3 || calls[0].EndedBy != call.Caller || calls[1].LinkedID != calls[0].ID || calls[1].Cause.Text != "transferred" {
		t.Errorf("records %+v\n%+v", calls[0], calls[1])
	}
	// A pick-up.
	hc := newHandset(t, 440)
	offer = hc.offer(media.Want{})
	a := v.from(v.carrier, "4930101", offer.SDP())
	rings, also := v.bob.Incoming(), mobile.Incoming()
	for _, c := range []*siptest.Call{rings, also} {
		if err := c.Progress(180, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	a.Wait(sip.KindProgress)
	ha := newHandset(t, 880)
	mine := ha.offer(media.Want{})
	p := v.from(v.alice, "101", mine.SDP(), func() sip.Header { h := value(rings); h.Value += ";early-only"; return h }())
	ha.takes(mine, p.Wait(sip.KindAnswered).Body)
	hc.takes(offer, a.Wait(sip.KindAnswered).Body)
	for _, c := range []*siptest.Call{rings, also} {
		if e := c.Wait(sip.KindEnded); e.Method != "CANCEL" || e.Reason.Text != "Call completed elsewhere" {
			t.Errorf("ended %+v", e)
		}
	}
	hc.hear(880)
	ha.hear(440)
	p.Bye()
	a.Wait(sip.KindEnded)
	v.idle()
}

// A carrier that is asked first transfers its own party, refuses to, or fails.
func TestCarrierTransfers(t *testing.T) {
	v := newVisit(t, func(s *settings) { s.Trunks[0].Refer = true })
	// It refuses: we dial.
	v.refers(v.b, "sip:9555@home.test", "")
	r := v.a.Wait(sip.KindRefer).Refer
	if r.Target.String() != "sip:49555@carrier.test" || r.ReferredBy != "<sip:101@home.test>" {
		t.Errorf("Refer-To %s, Referred-By %s", r.Target, r.ReferredBy)
	}
	if err := r.Reject(405, ""); err != nil {
		t.Fatal(err)
	}
	c := v.carrier.Incoming()
	if err := c.Reject(486, ""); err != nil {
		t.Fatal(err)
	}
	v.told(v.b, 100, 486)
	// It tries, and doesn't reach anybody: the call is as it was.
	v.refers(v.b, "sip:9555@home.test", "")
	r = v.a.Wait(sip.KindRefer).Refer
	if err := errors.Join(r.Accept(), r.Notify(t.Context(), 180, "", false), r.Notify(t.Context(), 480, "", true)); err != nil {
		t.Fatal(err)
	}
	v.told(v.b, 100, 180, 480)
	v.hc.hear(880)
	// To a user of ours it isn't asked.
	v.refers(v.b, "sip:100@home.test", "")
	if err := v.alice.Incoming().Reject(603, ""); err != nil {
		t.Fatal(err)
	}
	v.told(v.b, 100, 603)
	// It works.
	v.refers(v.b, "sip:9555@home.test", "")
	r = v.a.Wait(sip.KindRefer).Refer
	if err := errors.Join(r.Accept(), r.Notify(t.Context(), 200, "", true)); err != nil {
		t.Fatal(err)
	}
	v.told(v.b, 100, 200)
	v.b.Bye()
	v.a.Wait(sip.KindEnded)
	list := v.ledger.records(t)
	v.idle()
	for i, want := range []string{"transferred", "Busy Here", "Temporarily Unavailable", "Decline", "transferred"} {
		if got := v.ledger.records(t)[i].Cause.Text; got != want {
			t.Errorf("call %d ended with %q, expected %q", i, got, want)
		}
	}
	if !v.noted(list[1].ID, "doesn't transfer, we do") || list[4].AnsweredAt != nil || len(list[4].Legs) != 0 {
		t.Errorf("records %+v\n%+v", list[1], list[4])
	}
}

// Who has called transfers whom it called.
func TestCallerTransfers(t *testing.T) {
	k := newTalk(t, nil)
	bob := k.phone("bob")
	k.refers(k.a, "sip:101@home.test", "")
	c := bob.Incoming()
	if r := c.Request(); r.From.URI.User != "49123" || r.Headers.Get("Referred-By") != "<sip:100@home.test>" {
		t.Errorf("INVITE from %s, Referred-By %q", r.From, r.Headers.Get("Referred-By"))
	}
	k.a.Bye()
	hb := newHandset(t, 440)
	if err := c.Answer(hb.answers(c.Request().Body, media.Want{})); err != nil {
		t.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	k.hc.hear(440)
	hb.hear(880)
	// And on: the transferred party is transferred again, by who got it.
	k.refers(c, "sip:9777@home.test", "")
	d := k.carrier.Incoming()
	d.Accept()
	k.told(c, 100, 180, 200)
	c.Wait(sip.KindEnded)
	d.Bye()
	k.c.Wait(sip.KindEnded)
	calls := k.family(3)
	if calls["9123"].EndedBy != call.Caller || calls["101"].EndedBy != call.Callee || calls["9777"].User != "bob" ||
		calls["9777"].LinkedID != calls["9123"].ID || calls["101"].User != "alice" {
		t.Errorf("records %+v", calls)
	}
	k.idle()
}
