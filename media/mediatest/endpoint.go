package mediatest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// Endpoint checks the rules of offer and answer (RFC 3264) that every endpoint keeps, by real media between endpoints of
// one make, and all that Element checks on one that has agreed with a peer. make makes a fresh one each time, which can
// reach the others; its second result, which may be nil, takes down what stands around it.
func Endpoint(t *testing.T, make func() (media.Endpoint, func())) {
	t.Helper()
	t.Run("as an element", func(t *testing.T) {
		Element(t, func() (media.Element, func()) {
			p := &party{tb: t, make: make}
			a, b := p.new(), p.new()
			p.agree(a, b, media.Want{}, media.Want{})
			p.ends = p.ends[1:] // the suite closes a
			return a, p.close
		})
	})
	for _, c := range endpointChecks {
		t.Run(c.name, func(t *testing.T) { c.check(&party{tb: t, make: make}) })
	}
}

// endpointChecks are in the order in which a reader wants to see them fail.
var endpointChecks = []struct {
	name  string
	check func(*party)
}{
	{"media flows both ways", flowsBothWays},
	{"nothing is fixed before commit", nothingBeforeCommit},
	{"an offer is rolled back", offerRolledBack},
	{"an answer is rolled back", answerRolledBack},
	{"a re-offer is rolled back", reofferRolledBack},
	{"a re-offer holds and resumes", holdAndResume},
	{"several answers to one offer", severalAnswers},
	{"bad answers change nothing", badAnswers},
	{"bad offers change nothing", badOffers},
	{"formats are kept to", formatsAreKept},
	{"closed amid an offer", closedAmidOffer},
}

// party is the endpoints of one check.
type party struct {
	tb    testing.TB
	make  func() (media.Endpoint, func())
	ends  []media.Endpoint
	done  []func()
	hurry bool // gives up soon: a test of the checks knows that nothing will come
}

func (p *party) new() media.Endpoint {
	e, done := p.make()
	p.ends = append(p.ends, e)
	if done != nil {
		p.done = append(p.done, done)
	}
	return e
}

func (p *party) close() {
	for _, e := range p.ends {
		if err := within(5*time.Second, e.Close); err != nil {
			p.tb.Errorf("close: %v", err)
		}
	}
	for _, d := range p.done {
		d()
	}
}

// must stops the check if err isn't nil.
func (p *party) must(what string, err error) {
	p.tb.Helper()
	if err != nil {
		p.tb.Fatalf("%s: %v", what, err)
	}
}

func (p *party) offer(e media.Endpoint, w media.Want) media.Offer {
	p.tb.Helper()
	o, err := e.Offer(context.Background(), w)
	p.must("offer", err)
	if len(o.SDP()) == 0 || !bytes.Equal(o.SDP(), o.SDP()) {
		p.tb.Fatalf("offer has no SDP, or not always the same: %q", o.SDP())
	}
	return o
}

func (p *party) answer(e media.Endpoint, offer []byte, w media.Want) media.Pending {
	p.tb.Helper()
	a, err := e.Answer(context.Background(), offer, w)
	p.must("answer", err)
	if len(a.SDP()) == 0 {
		p.tb.Fatal("answer has no SDP")
	}
	return a
}

// agree does one whole offer and answer.
func (p *party) agree(a, b media.Endpoint, offers, answers media.Want) {
	p.tb.Helper()
	o := p.offer(a, offers)
	d, err := b.Remote(o.SDP())
	p.must("remote", err)
	if d == nil {
		p.tb.Fatal("remote gave neither description nor error")
	}
	ans := p.answer(b, o.SDP(), answers)
	p.must("commit of the answer", ans.Commit())
	p.must("accept", o.Accept("tag", ans.SDP()))
	p.must("commit of the offer", o.Commit("tag"))
}

// flows asserts that what is pushed into from comes out of to.
func (p *party) flows(from, to media.Endpoint, mark byte) {
	p.tb.Helper()
	limit := patience
	if p.hurry {
		limit = time.Second
	}
	if !p.heard(from, to, mark, limit) {
		p.tb.Fatalf("nothing flows within %s", limit)
	}
}

// silent asserts that it doesn't. What was in flight before gets a moment to arrive.
func (p *party) silent(from, to media.Endpoint, mark byte) {
	p.tb.Helper()
	if p.heard(from, to, mark, 400*time.Millisecond) {
		p.tb.Fatalf("media flows and must not")
	}
}

// heard pushes frames of one byte into from, at most so long, until one comes out of to.
func (p *party) heard(from, to media.Endpoint, mark byte, limit time.Duration) bool {
	p.tb.Helper()
	k, src := from.Sink(media.Pad{}), to.Source(media.Pad{})
	r := NewRecorder(src.Formats()...)
	src.Link(r)
	defer src.Unlink(r)
	payload := bytes.Repeat([]byte{mark}, 160)
	var t *Talker
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(media.Tick) {
		if f := first(k); f != nil && t == nil {
			t = NewTalker(nil, f)
			t.Link(k)
			defer t.Close()
		}
		if t != nil {
			t.Say(payload)
		}
		if bytes.Contains(r.Audio(), payload) {
			return true
		}
		r.Take(src.Formats()...)
		media.Renegotiate(to)
	}
	return false
}

// first is the audio format that the sink likes best.
func first(k media.Sink) *media.Format {
	for _, f := range formats(k) {
		if f.Kind == media.Audio {
			return f
		}
	}
	return nil
}

func flowsBothWays(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	p.agree(a, b, media.Want{}, media.Want{})
	p.flows(a, b, 0x11)
	p.flows(b, a, 0x22)
}

func nothingBeforeCommit(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	if a.Sink(media.Pad{}).Caps() != nil {
		p.tb.Errorf("an endpoint takes %v before SDP", formats(a.Sink(media.Pad{})))
	}
	o := p.offer(a, media.Want{})
	ans := p.answer(b, o.SDP(), media.Want{})
	if b.Sink(media.Pad{}).Caps() != nil {
		p.tb.Error("an answer that isn't committed takes effect")
	}
	p.must("accept", o.Accept("x", ans.SDP()))
	p.must("commit of the answer", ans.Commit())
	p.must("commit of the offer", o.Commit("x"))
	o.Rollback() // after commit it does nothing
	ans.Rollback()
	p.flows(a, b, 0x11)
	p.flows(b, a, 0x22)
}

func offerRolledBack(p *party) {
	defer p.close()
	a, b, c := p.new(), p.new(), p.new()
	o := p.offer(a, media.Want{})
	ans := p.answer(c, o.SDP(), media.Want{})
	p.must("accept", o.Accept("c", ans.SDP()))
	o.Rollback()
	o.Rollback()
	if err := o.Commit("c"); err == nil {
		p.tb.Error("an offer that was rolled back is committed")
	}
	p.agree(a, b, media.Want{}, media.Want{})
	p.flows(a, b, 0x11)
	p.flows(b, a, 0x22)
}

func answerRolledBack(p *party) {
	defer p.close()
	a, b, c := p.new(), p.new(), p.new()
	o := p.offer(c, media.Want{})
	ans := p.answer(b, o.SDP(), media.Want{})
	ans.Rollback()
	ans.Rollback()
	if err := ans.Commit(); err == nil {
		p.tb.Error("an answer that was rolled back is committed")
	}
	if b.Sink(media.Pad{}).Caps() != nil {
		p.tb.Error("an answer that was rolled back takes effect")
	}
	p.agree(a, b, media.Want{}, media.Want{})
	p.flows(a, b, 0x11)
	p.flows(b, a, 0x22)
}

func reofferRolledBack(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	p.agree(a, b, media.Want{}, media.Want{})
	p.flows(a, b, 0x11)
	o := p.offer(a, media.Want{Direction: sdp.Inactive})
	p.flows(a, b, 0x12) // the earlier agreement stands
	ans := p.answer(b, o.SDP(), media.Want{})
	p.must("accept", o.Accept("x", ans.SDP()))
	ans.Rollback()
	o.Rollback()
	p.flows(a, b, 0x13)
	p.flows(b, a, 0x24)
}

func holdAndResume(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	p.agree(a, b, media.Want{}, media.Want{})
	p.flows(a, b, 0x11)
	p.flows(b, a, 0x21)
	p.agree(a, b, media.Want{Direction: sdp.SendOnly}, media.Want{})
	p.flows(a, b, 0x12)
	p.silent(b, a, 0x22)
	p.agree(b, a, media.Want{Direction: sdp.Inactive}, media.Want{})
	p.silent(a, b, 0x13)
	p.silent(b, a, 0x23)
	p.agree(b, a, media.Want{}, media.Want{})
	p.flows(a, b, 0x14)
	p.flows(b, a, 0x24)
}

func severalAnswers(p *party) {
	defer p.close()
	a, b, c := p.new(), p.new(), p.new()
	o := p.offer(a, media.Want{})
	fromB, fromC := p.answer(b, o.SDP(), media.Want{}), p.answer(c, o.SDP(), media.Want{})
	p.must("commit of b", fromB.Commit())
	p.must("commit of c", fromC.Commit())
	p.must("accept of b", o.Accept("b", fromB.SDP()))
	p.must("accept of c", o.Accept("c", fromC.SDP()))
	p.must("accept of c again", o.Accept("c", fromC.SDP()))
	p.must("activate b", o.Activate("b"))
	p.flows(b, a, 0x21)
	p.silent(c, a, 0x31)
	p.must("activate c", o.Activate("c"))
	p.flows(c, a, 0x32)
	p.silent(b, a, 0x22)
	p.must("commit c", o.Commit("c"))
	p.flows(a, c, 0x11)
	p.flows(c, a, 0x33)
	p.silent(b, a, 0x23)
	if err := o.Activate("b"); err == nil {
		p.tb.Error("an early dialog is activated after another was committed")
	}
}

// junk is what isn't a session description, or none with audio.
var junk = [][]byte{
	nil,
	[]byte("not SDP at all"),
	[]byte("v=0\r\n"),
	[]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:96 H264/90000\r\n"),
	bytes.Repeat([]byte("a=x\r\n"), 20000),
}

func badAnswers(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	o := p.offer(a, media.Want{})
	for i, j := range junk {
		if o.Accept("bad", j) == nil {
			p.tb.Errorf("bad answer %d is accepted", i)
		}
	}
	if o.Activate("nobody") == nil || o.Commit("nobody") == nil || o.Commit("bad") == nil {
		p.tb.Error("a dialog without an answer is activated or committed")
	}
	ans := p.answer(b, o.SDP(), media.Want{})
	p.must("commit of the answer", ans.Commit())
	p.must("accept after bad answers", o.Accept("good", ans.SDP()))
	p.must("commit after bad answers", o.Commit("good"))
	p.flows(a, b, 0x11)
	p.flows(b, a, 0x22)
}

func badOffers(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	bad := func() {
		for i, j := range junk {
			if pending, err := b.Answer(context.Background(), j, media.Want{}); err == nil {
				p.tb.Errorf("bad offer %d is answered with %q", i, pending.SDP())
			}
		}
	}
	bad()
	p.agree(a, b, media.Want{}, media.Want{})
	p.flows(a, b, 0x11)
	bad()
	if _, err := b.Remote(junk[1]); err == nil {
		p.tb.Error("remote reads what isn't SDP")
	}
	p.flows(a, b, 0x12)
	p.flows(b, a, 0x22)
}

func formatsAreKept(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	p.agree(a, b, media.Want{}, media.Want{})
	all := formats(a.Sink(media.Pad{}))
	for _, f := range all {
		if f.Kind != media.Audio {
			continue
		}
		c, d := p.new(), p.new()
		p.agree(c, d, media.Want{Formats: []*media.Format{f}}, media.Want{})
		for _, e := range []media.Endpoint{c, d} {
			if got := first(e.Sink(media.Pad{})); !f.Same(got) {
				p.tb.Errorf("offered %s alone, takes %s", f, got)
			}
		}
		p.flows(c, d, 0x11)
	}
	if first(a.Sink(media.Pad{})) == nil {
		p.tb.Errorf("no audio format was agreed: %v", all)
	}
	e := p.new()
	o := p.offer(a, media.Want{})
	if _, err := e.Answer(context.Background(), o.SDP(), media.Want{Formats: []*media.Format{strange()}}); err == nil {
		p.tb.Error("an offer without a common format is answered")
	}
	o.Rollback()
}

func closedAmidOffer(p *party) {
	defer p.close()
	a, b := p.new(), p.new()
	o := p.offer(a, media.Want{})
	ans := p.answer(b, o.SDP(), media.Want{})
	p.must("close", errors.Join(within(5*time.Second, a.Close), within(5*time.Second, b.Close)))
	if o.Commit("x") == nil {
		p.tb.Error("the offer of a closed endpoint is committed")
	}
	if ans.Commit() == nil {
		p.tb.Error("the answer of a closed endpoint is committed")
	}
	o.Rollback()
	ans.Rollback()
}
