package webrtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

var (
	// ErrPending is the refusal of a second offer, made or answered, while one of ours waits for its answer (RFC 3264 4).
	ErrPending = errors.New("webrtc: an offer is outstanding")
	// ErrSettled is returned by an offer or answer that was committed, rolled back or replaced.
	ErrSettled = errors.New("webrtc: offer or answer is settled already")
)

// maxTags bounds the early dialogs of one offer.
const maxTags = 32

// Remote reads a peer's SDP and changes nothing.
func (e *Endpoint) Remote(body []byte) (*sdp.Description, error) { return parse(body) }

// Offer makes a first offer or a re-offer. It fails with ErrPending while another waits.
func (e *Endpoint) Offer(ctx context.Context, w media.Want) (media.Offer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	t := e.choose(e.rich != nil && (w.Video && len(e.cfg.Video) > 0 || e.cfg.Data))
	o := &offer{e: e, ours: e.ours, answers: map[string]*answer{}, before: e.agreed.Load()}
	e.place.Store(&place{mid: e.mid, line: e.index()})
	if o.ours == nil || w.ICERestart {
		var err error
		if o.ours, err = e.enroll(ctx, t); err != nil {
			return nil, fmt.Errorf("webrtc: %s: offer: %w", e.cfg.Name, err)
		}
		o.fresh = true
	}
	terms := e.terms(w, o.ours, "actpass")
	if id := e.named(w); id != 0 {
		terms.Attributes = append(terms.Attributes, sdp.Attribute{Key: "extmap", Value: fmt.Sprintf("%d %s", id, extMid)}) // as pictures have it
	}
	if e.cfg.Metrics && rtpstream.OffersXR(e.session.Local()) {
		terms.Attributes = append(terms.Attributes, rtpstream.AskXR())
	}
	var local *sdp.Description
	var err error
	if w.NoAudio {
		local, err = e.session.Bare(nil, terms.Also)
	} else {
		local, err = e.session.Offer(terms)
	}
	if err == nil {
		o.local, o.extra = local, e.offerScene(local, w, o.ours)
		o.body, err = e.write(local, e.others, o.ours, o.extra)
	}
	if err != nil {
		o.withdraw()
		return nil, fmt.Errorf("webrtc: %s: offer: %w", e.cfg.Name, err)
	}
	e.offer = o
	e.told = &told{local, e.others, o.ours, o.extra}
	return o, nil
}

// named is the id under which an offer of ours has the header extension of a line's mid; 0 = none.
func (e *Endpoint) named(w media.Want) int {
	if e.rich == nil || !e.serves() {
		return 0
	}
	if before := e.agreed.Load(); before != nil {
		if before.deal.scene == nil {
			return 0
		}
		return before.deal.scene.named
	}
	if w.Video {
		return 1
	}
	return 0
}

// Answer makes the answer to an offer. What can't be agreed to is a *sdp.Refusal. An earlier answer that wasn't
// committed is void.
func (e *Endpoint) Answer(ctx context.Context, body []byte, w media.Want) (media.Pending, error) {
	remote, err := parse(body)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	line := e.pick(remote)
	if line == nil && e.rich != nil {
		line = e.pickBeside(remote)
	}
	if line == nil {
		return nil, sdp.Refuse(sdp.ErrNoAudio, "The offer has no audio over %s", protos()[0])
	}
	before, at := *e.place.Load(), placeOf(remote, line, e.mid)
	e.place.Store(&at)
	d, fresh, err := e.dealFor(ctx, remote, line)
	if err != nil {
		e.place.Store(&before)
		return nil, err
	}
	e.answerScene(remote, line, w, d)
	p := &pending{e: e, deal: d, fresh: fresh, mid: e.mid, others: remote}
	setup := "passive"
	if d.client {
		setup = "active"
	}
	e.mid = at.mid
	terms := e.terms(w, d.ours, setup)
	if d.scene != nil && d.scene.named != 0 {
		terms.Attributes = append(terms.Attributes, sdp.Attribute{Key: "extmap", Value: fmt.Sprintf("%d %s", d.scene.named, extMid)})
	}
	if e.cfg.Metrics && line.Kind == "audio" && rtpstream.KnowsXR(line) {
		terms.Attributes = append(terms.Attributes, rtpstream.AskXR())
	}
	local, s, err := e.session.Answer(remote, terms)
	if err != nil && d.scene != nil { // there is something all the same
		d.scene.audio, s = false, &sdp.Agreement{Direction: sdp.Inactive}
		local, err = e.session.Bare(remote, nil)
	}
	var lines extra
	if err == nil {
		p.local, lines = local, e.linesOf(d.scene, remote, w, d.ours, setup)
		p.body, err = e.write(local, remote, d.ours, lines)
	}
	if err != nil {
		p.withdraw()
		return nil, err
	}
	p.agreed = e.agree(s, d)
	e.answer = p
	e.told = &told{local, remote, d.ours, lines}
	return p, nil
}

// dealFor is the transport that an offer's audio line comes to. fresh says that our credentials are new.
func (e *Endpoint) dealFor(ctx context.Context, remote *sdp.Description, m *sdp.Media) (d *deal, fresh bool, err error) {
	theirs, err := readSide(remote, m)
	if err != nil {
		return nil, false, err
	}
	d = e.deal(theirs, attributes(remote, m, "ssrc"))
	d.client = theirs.setup == "passive"
	d.ours = e.ours
	if before := e.agreed.Load(); before != nil {
		restart := before.deal.theirs.ufrag != theirs.ufrag || before.deal.theirs.pwd != theirs.pwd
		same := slices.Equal(before.deal.theirs.fingerprints, theirs.fingerprints)
		if !same && !restart {
			return nil, false, sdp.Refuse(sdp.ErrTransport, "The fingerprint changed without fresh ICE credentials")
		}
		if same && (theirs.setup == "" || theirs.setup == "actpass") {
			d.client = before.deal.client
		}
		if same && d.client != before.deal.client && !restart {
			return nil, false, sdp.Refuse(sdp.ErrTransport, "The DTLS roles changed without fresh ICE credentials")
		}
		if !restart {
			return d, false, nil
		}
	}
	t := e.choose(more(remote))
	if d.ours, err = e.enroll(ctx, t); err != nil {
		return nil, false, fmt.Errorf("webrtc: %s: answer: %w", e.cfg.Name, err)
	}
	return d, true, nil
}

// more reports whether an offer asks for more than audio.
func more(d *sdp.Description) bool {
	return slices.ContainsFunc(d.Media, func(m sdp.Media) bool {
		return m.Port != 0 && (m.Kind == "video" || m.Kind == "application")
	})
}

func (e *Endpoint) deal(theirs side, ssrcs []string) *deal {
	return &deal{identity: e.ident, theirs: theirs, ssrc: e.sink.SSRC, cname: e.control.Name, theirSSRCs: ssrcs[:min(len(ssrcs), 16)]}
}

// pick is the line that the session will take: the one that was taken before, else the first that we can have.
func (e *Endpoint) pick(offer *sdp.Description) *sdp.Media {
	usable := func(m sdp.Media) bool {
		return m.Kind == "audio" && m.Port != 0 && slices.Contains(protos(), m.Proto)
	}
	if last := e.session.Local(); last != nil {
		i := slices.IndexFunc(last.Media, func(m sdp.Media) bool { return m.Kind == "audio" && m.Port != 0 })
		if i >= 0 && i < len(offer.Media) && usable(offer.Media[i]) {
			return &offer.Media[i]
		}
	}
	if i := slices.IndexFunc(offer.Media, usable); i >= 0 {
		return &offer.Media[i]
	}
	return nil
}

// ready says whether something can be negotiated now, and voids an answer that wasn't committed.
func (e *Endpoint) ready(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case e.closed:
		return ErrClosed
	case e.offer != nil:
		return ErrPending
	}
	if e.answer != nil {
		e.answer.withdraw()
	}
	return nil
}

func (e *Endpoint) terms(w media.Want, c *credentials, setup string) sdp.Terms {
	list, _ := w.Order(e.cfg.Formats)
	at := e.cfg.Port.main()
	t := sdp.Terms{
		Formats: described(list), Ordered: true, Direction: w.Direction, Ptime: w.Ptime, Mux: true,
		Addr: at.Addr(), Port: at.Port(), Protos: protos(), Attributes: e.lines(c, setup),
	}
	if w.Bandwidth > 0 {
		t.Bandwidth = []sdp.Bandwidth{{Type: "AS", Value: uint64(w.Bandwidth)}}
	}
	if w.Video { // refused from the start, unless we carry it
		t.Also = append(t.Also, sdp.Media{Kind: "video", Proto: protos()[0], Tokens: []string{"96"}})
	}
	if e.rich != nil && e.cfg.Data {
		t.Also = append(t.Also, sdp.Media{Kind: "application", Proto: protoData, Tokens: []string{"webrtc-datachannel"}})
	}
	return t
}

// apply sets an agreement in force, nil for none. keep says that it is one with the same peer as before. The caller
// holds mu.
func (e *Endpoint) apply(a *agreement, keep bool) {
	if a != nil {
		e.source.SetFormats(a.Sources...)
	} else {
		e.source.SetFormats()
	}
	e.in.change(a, keep, udp.Now())
	e.sink.change(a)
	if e.rich != nil {
		e.rich.change(a)
	}
	e.agreed.Store(a)
	media.Renegotiate(e)
}

// shed closes the line of an agreement that isn't in force any more, unless another has it.
func shed(old, now *agreement) error {
	if old == nil || now != nil && old.line == now.line {
		return nil
	}
	return old.line.Close()
}

// pending is an answer of ours.
type pending struct {
	e      *Endpoint
	local  *sdp.Description
	others *sdp.Description
	body   []byte
	deal   *deal
	agreed *agreement
	fresh  bool   // its credentials are new
	mid    string // of the line before
}

func (p *pending) SDP() []byte { return p.body }

func (p *pending) Commit() error {
	e := p.e
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.answer != p:
		return ErrSettled
	}
	before := e.agreed.Load()
	keep := before != nil && slices.Equal(before.deal.theirs.fingerprints, p.deal.theirs.fingerprints) && before.deal.client == p.deal.client
	var err error
	if keep {
		p.agreed.line, err = before.line, before.line.Update(p.deal)
	} else {
		p.agreed.line, err = e.transport.Join(p.deal, e)
	}
	if err != nil {
		return fmt.Errorf("webrtc: %s: answer: %w", e.cfg.Name, err)
	}
	e.answer = nil
	e.settle(p.deal.ours, p.others)
	e.session.Commit(p.local)
	e.apply(p.agreed, before != nil)
	e.introduce(p.agreed.line)
	return shed(before, p.agreed)
}

// settle makes credentials the endpoint's own.
func (e *Endpoint) settle(c *credentials, others *sdp.Description) {
	if e.ours != nil && e.ours != c {
		e.transport.Withdraw(e.ours)
	}
	e.ours, e.others = c, others
}

func (p *pending) Rollback() {
	p.e.mu.Lock()
	defer p.e.mu.Unlock()
	if p.e.answer == p {
		p.withdraw()
	}
}

// withdraw takes back what the answer would have changed.
func (p *pending) withdraw() {
	p.e.answer, p.e.mid = nil, p.mid
	if p.fresh {
		p.e.transport.Withdraw(p.deal.ours)
	}
}

// offer is one of ours. Its fields are guarded by the endpoint's mu.
type offer struct {
	e       *Endpoint
	local   *sdp.Description
	body    []byte
	ours    *credentials
	extra   extra
	fresh   bool // they are new
	answers map[string]*answer
	before  *agreement // what stands until Commit
	active  *answer    // in force before Commit
	settled bool
}

type answer struct {
	body   []byte
	agreed *agreement
}

func (o *offer) SDP() []byte { return o.body }

func (o *offer) Accept(tag string, body []byte) error {
	remote, err := parse(body)
	if err != nil {
		return err
	}
	e := o.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := o.open(); err != nil {
		return err
	}
	old := o.answers[tag]
	if old != nil && bytes.Equal(old.body, body) { // as a 200 repeats what a reliable 183 said
		return nil
	}
	if old == nil && len(o.answers) >= maxTags {
		return fmt.Errorf("webrtc: %s: answer of dialog %q: expected at most %d early dialogs", e.cfg.Name, tag, maxTags)
	}
	s, err := sdp.Agree(o.local, remote)
	if err != nil {
		if s = o.beside(remote); s == nil {
			return err
		}
	}
	d, keep, err := o.deal(remote, s.Remote, old)
	if err != nil {
		return err
	}
	if e.agreeScene(o.extra, remote, d); d.scene != nil {
		d.scene.audio = len(s.Formats) > 0
	}
	n := &answer{body: bytes.Clone(body), agreed: e.agree(s, d)}
	if keep != nil {
		n.agreed.line = keep
	} else if n.agreed.line, err = e.transport.Join(d, e); err != nil {
		return fmt.Errorf("webrtc: %s: answer of dialog %q: %w", e.cfg.Name, tag, err)
	}
	o.answers[tag] = n
	e.introduce(n.agreed.line)
	if old == nil {
		return nil
	}
	if o.active == old {
		err = o.enforce(n, true)
	}
	if old.agreed.line != n.agreed.line && (o.before == nil || o.before.line != old.agreed.line) {
		err = errors.Join(err, old.agreed.line.Close())
	}
	return err
}

// deal is the transport that an answer comes to, and the line that goes on: that of the agreement in force, or of the same
// dialog's answer before. nil if there must be another.
func (o *offer) deal(remote *sdp.Description, m *sdp.Media, old *answer) (*deal, line, error) {
	theirs, err := readSide(remote, m)
	if err != nil {
		return nil, nil, err
	}
	if theirs.setup == "actpass" {
		return nil, nil, sdp.Refuse(sdp.ErrTransport, "DTLS set-up in the answer is actpass, expected active or passive")
	}
	d := o.e.deal(theirs, attributes(remote, m, "ssrc"))
	d.ours, d.offered, d.client = o.ours, true, theirs.setup == "passive"
	earlier := o.before
	if earlier == nil && old != nil {
		earlier = old.agreed
	}
	if earlier == nil {
		return d, nil, nil
	}
	if slices.Equal(earlier.deal.theirs.fingerprints, theirs.fingerprints) && earlier.deal.client == d.client {
		return d, earlier.line, nil
	}
	if !o.fresh {
		return nil, nil, sdp.Refuse(sdp.ErrTransport, "The fingerprint or the DTLS role changed without fresh ICE credentials")
	}
	return d, nil, nil
}

func (o *offer) Activate(tag string) error {
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	a, err := o.answer(tag)
	if err != nil || o.active == a {
		return err
	}
	return o.enforce(a, o.active == nil && o.before != nil)
}

func (o *offer) Commit(tag string) error {
	e := o.e
	e.mu.Lock()
	defer e.mu.Unlock()
	a, err := o.answer(tag)
	if err != nil {
		return err
	}
	if o.active != a {
		if err := o.enforce(a, o.active == nil && o.before != nil); err != nil {
			return err
		}
	}
	e.session.Commit(o.local)
	e.settle(o.ours, e.others)
	return o.settle(a.agreed)
}

func (o *offer) Rollback() {
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	if o.open() != nil {
		return
	}
	if o.active != nil {
		if o.before != nil {
			_ = o.before.line.Update(o.before.deal) // it was in force: nothing in it can be refused
		}
		o.e.apply(o.before, o.before != nil)
	}
	if err := o.settle(o.before); err != nil {
		o.e.cfg.Log.Error("roll back offer", "endpoint", o.e.cfg.Name, "err", err)
	}
	o.withdraw()
}

// enforce lets the media of one answer flow, and no other's.
func (o *offer) enforce(a *answer, keep bool) error {
	if o.before != nil && a.agreed.line == o.before.line {
		if err := a.agreed.line.Update(a.agreed.deal); err != nil {
			return fmt.Errorf("webrtc: %s: %w", o.e.cfg.Name, err)
		}
	}
	o.active = a
	o.e.apply(a.agreed, keep)
	return nil
}

// settle ends the offer; of all lines only that of the agreement in force goes on.
func (o *offer) settle(now *agreement) error {
	var errs []error
	for _, a := range o.answers {
		errs = append(errs, shed(a.agreed, now))
	}
	errs = append(errs, shed(o.before, now))
	o.settled, o.answers = true, nil
	o.e.offer = nil
	return errors.Join(errs...)
}

func (o *offer) withdraw() {
	if o.fresh {
		o.e.transport.Withdraw(o.ours)
	}
}

func (o *offer) open() error {
	switch {
	case o.e.closed:
		return ErrClosed
	case o.settled:
		return ErrSettled
	}
	return nil
}

func (o *offer) answer(tag string) (*answer, error) {
	if err := o.open(); err != nil {
		return nil, err
	}
	a := o.answers[tag]
	if a == nil {
		return nil, fmt.Errorf("webrtc: %s: dialog %q has no answer", o.e.cfg.Name, tag)
	}
	return a, nil
}
