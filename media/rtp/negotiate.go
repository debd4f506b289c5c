package rtp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

var (
	// ErrPending is the refusal of a second offer, made or answered, while one of ours waits for its answer (RFC 3264 4).
	ErrPending = errors.New("rtp: an offer is outstanding")
	// ErrSettled is returned by an offer or answer that was committed, rolled back or replaced.
	ErrSettled = errors.New("rtp: offer or answer is settled already")
)

// maxTags bounds the early dialogs of one offer.
const maxTags = 32

// Remote reads a peer's SDP and changes nothing.
func (e *Endpoint) Remote(body []byte) (*sdp.Description, error) { return sdp.Parse(body) }

// Offer makes a first offer or a re-offer. It fails with ErrPending while another waits.
func (e *Endpoint) Offer(ctx context.Context, w media.Want) (media.Offer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(ctx, w); err != nil {
		return nil, err
	}
	o, err := e.offerOn(w)
	if err != nil {
		return nil, err
	}
	if o.video, o.at, err = e.offerVideo(ctx, w, o.local); err != nil {
		e.offer = nil
		return nil, err
	}
	if o.video != nil {
		if o.body, err = with(o.local, o.at, o.video.local); err != nil {
			e.offer = nil
			o.video.Rollback()
			return nil, fmt.Errorf("rtp: %s: offer: %w", e.cfg.Name, err)
		}
	}
	return o, nil
}

// offerOn makes the offer of the endpoint's one line. The caller holds mu.
func (e *Endpoint) offerOn(w media.Want) (*offer, error) {
	terms := e.terms(w)
	if e.cfg.Metrics && e.pictures == nil && rtpstream.OffersXR(e.session.Local()) {
		terms.Attributes = append(terms.Attributes, rtpstream.AskXR())
	}
	if w.SRTP != media.SRTPNever {
		var err error
		if terms.Crypto, err = e.keys.offer(); err != nil {
			return nil, fmt.Errorf("rtp: %s: offer: %w", e.cfg.Name, err)
		}
	}
	var local *sdp.Description
	var err error
	if w.NoAudio && e.pictures == nil {
		local, err = e.session.Bare(nil, terms.Also)
	} else {
		local, err = e.session.Offer(terms)
	}
	if err != nil {
		return nil, fmt.Errorf("rtp: %s: %w", e.cfg.Name, err)
	}
	e.unpaced(local)
	body, err := local.Marshal()
	if err != nil {
		return nil, fmt.Errorf("rtp: %s: offer: %w", e.cfg.Name, err)
	}
	e.offer = &offer{e: e, local: local, body: body, answers: map[string]*answer{}, before: e.agreed.Load(), policy: w.SRTP}
	return e.offer, nil
}

// Answer makes the answer to an offer. What can't be agreed to is a *sdp.Refusal. An earlier answer that wasn't
// committed is void.
func (e *Endpoint) Answer(ctx context.Context, body []byte, w media.Want) (media.Pending, error) {
	remote, err := sdp.Parse(body)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(ctx, w); err != nil {
		return nil, err
	}
	p, err := e.answerOn(remote, w)
	video, at := e.answerVideo(ctx, remote, w)
	if err != nil {
		if video == nil {
			return nil, err
		}
		local, bad := e.session.Bare(remote, nil)
		if bad != nil {
			return nil, bad
		}
		p = &pending{e: e, local: local}
		e.answer = p
	}
	if p.video = video; video != nil {
		if p.body, err = with(p.local, at, video.local); err != nil {
			e.answer = nil
			return nil, fmt.Errorf("rtp: %s: answer: %w", e.cfg.Name, err)
		}
	}
	return p, nil
}

// answerOn makes the answer of the endpoint's one line. The caller holds mu.
func (e *Endpoint) answerOn(remote *sdp.Description, w media.Want) (*pending, error) {
	terms := e.terms(w)
	if e.pictures != nil {
		terms.Attributes = nil // feedback is for who offers it
	}
	terms.Mux = true // taken where it is offered, never asked for
	terms.Repeats = func(remote *sdp.Media) bool { return e.pictures != nil && repeats(remote) }
	terms.Reply = func(local, remote *sdp.Media) error {
		keyed := false
		if w.SRTP != media.SRTPNever {
			var err error
			if keyed, err = e.keys.reply(local, remote); err != nil {
				return err
			}
		}
		if e.cfg.Comedia && active(remote) {
			local.Attributes = append(local.Attributes, sdp.Attribute{Key: "direction", Value: "passive"})
		}
		if e.cfg.Metrics && e.pictures == nil && rtpstream.KnowsXR(remote) {
			local.Attributes = append(local.Attributes, rtpstream.AskXR())
		}
		if _, ok := remote.Attribute("rtcp-fb"); ok && e.pictures != nil && speaks(remote) {
			local.Attributes = append(local.Attributes, feedbackOf(repeats(remote))...)
			if repeats(remote) && repeatable(remote) {
				local.Attributes = append(local.Attributes, e.besides()...)
			}
		}
		return secured(w.SRTP, remote, keyed)
	}
	local, s, err := e.session.Answer(remote, terms)
	if err != nil {
		return nil, err
	}
	e.unpaced(local)
	a, err := e.agree(s, w.SRTP)
	if err != nil {
		return nil, err
	}
	out, err := local.Marshal()
	if err != nil {
		return nil, fmt.Errorf("rtp: %s: answer: %w", e.cfg.Name, err)
	}
	e.answer = &pending{e: e, local: local, body: out, agreed: a}
	return e.answer, nil
}

// ready says whether something can be negotiated now, and voids an answer that wasn't committed.
func (e *Endpoint) ready(ctx context.Context, w media.Want) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case e.closed:
		return ErrClosed
	case e.offer != nil:
		return ErrPending
	}
	e.answer = nil
	return nil
}

func (e *Endpoint) terms(w media.Want) sdp.Terms {
	list, ordered := w.Order(e.cfg.Formats)
	t := sdp.Terms{
		Formats: rtpstream.Described(list), Ordered: ordered, Direction: w.Direction, Ptime: cmp.Or(w.Ptime, e.cfg.Ptime),
		Addr: e.cfg.Advertise, Port: e.rtp.LocalAddr().Port(), Protos: e.protos(w.SRTP), Preconditions: e.cfg.Preconditions,
	}
	if e.pictures != nil {
		w.Bandwidth, w.Video = w.VideoRate, false
		if e.cfg.Feedback {
			t.Attributes = feedbackOf(true)
		}
	}
	if w.Bandwidth > 0 {
		t.Bandwidth = []sdp.Bandwidth{{Type: "AS", Value: uint64(w.Bandwidth)}}
	}
	if w.Video {
		t.Also = []sdp.Media{{Kind: "video", Proto: t.Protos[0], Tokens: []string{"96"}}}
	}
	return t
}

// unpaced takes the time of packets out of a line of video, which has none.
func (e *Endpoint) unpaced(d *sdp.Description) {
	for i := range d.Media {
		if e.pictures != nil {
			d.Media[i].Ptime = 0
		}
	}
}

// apply sets an agreement in force, nil for none. keep says that it is one with the same peer as before. The caller
// holds mu.
func (e *Endpoint) apply(a *agreement, keep bool) {
	if a != nil {
		e.source.SetFormats(a.Sources...)
	} else {
		e.source.SetFormats()
	}
	var target udp.Addr
	if a != nil {
		target = a.target
		// Behind NAT the pair that was found is still the one that works, unless the peer says that it moved.
		if before := e.agreed.Load(); keep && before != nil && before.target == a.target {
			if pair, ok := e.in.holder(); ok {
				target = pair
			}
		}
	}
	signalling := udp.From(netip.AddrPortFrom(e.cfg.Signalling, 0))
	e.in.change(a, signalling, keep, e.cfg.now())
	e.sink.change(a, target)
	e.control.change(a, keep, e.cfg.report, e.cfg.now())
	e.agreed.Store(a)
	media.Renegotiate(e)
}

// offer is one of ours. Its fields are guarded by the endpoint's mu.
type offer struct {
	e       *Endpoint
	local   *sdp.Description
	body    []byte
	answers map[string]*answer
	before  *agreement // what stands until Commit
	active  *answer    // in force before Commit
	policy  media.SRTP
	settled bool
	video   *offer // of the line of video; nil = there is none
	at      int    // its place
}

type answer struct {
	body   []byte
	agreed *agreement
}

func (o *offer) SDP() []byte { return o.body }

func (o *offer) Accept(tag string, body []byte) error {
	remote, err := sdp.Parse(body)
	if err != nil {
		return err
	}
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	err = o.accept(tag, body, remote)
	if bad := o.acceptVideo(tag, body, remote); err != nil && bad == nil && o.open() == nil {
		o.answers[tag] = &answer{body: bytes.Clone(body)} // video alone
		return nil
	}
	return err
}

// accept takes the answer of the endpoint's one line. The caller holds mu.
func (o *offer) accept(tag string, body []byte, remote *sdp.Description) error {
	if err := o.open(); err != nil {
		return err
	}
	old := o.answers[tag]
	if old != nil && bytes.Equal(old.body, body) { // as a 200 repeats what a reliable 183 said
		return nil
	}
	if old == nil && len(o.answers) >= maxTags {
		return fmt.Errorf("rtp: %s: answer of dialog %q: expected at most %d early dialogs", o.e.cfg.Name, tag, maxTags)
	}
	kind := "audio"
	if o.e.pictures != nil {
		kind = "video"
	}
	s, err := sdp.AgreeOn(kind, o.local, remote)
	if err != nil {
		return err
	}
	a, err := o.e.agree(s, o.policy)
	if err != nil {
		return err
	}
	n := &answer{body: bytes.Clone(body), agreed: a}
	o.answers[tag] = n
	if old != nil && o.active == old {
		o.enforce(n, true)
	}
	return nil
}

func (o *offer) Activate(tag string) error {
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	a, err := o.answer(tag)
	if err != nil {
		return err
	}
	if o.active != a {
		o.enforce(a, o.active == nil && o.before != nil)
	}
	if v := o.videoOf(tag); v != nil {
		return v.Activate(tag)
	}
	return nil
}

// videoOf is the offer of the line of video, if that dialog has answered it.
func (o *offer) videoOf(tag string) *offer {
	if o.video == nil {
		return nil
	}
	o.video.e.mu.Lock()
	defer o.video.e.mu.Unlock()
	if _, err := o.video.answer(tag); err != nil {
		return nil
	}
	return o.video
}

func (o *offer) Commit(tag string) error {
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	a, err := o.answer(tag)
	if err != nil {
		return err
	}
	if o.active != a {
		o.enforce(a, o.active == nil && o.before != nil)
	}
	o.e.session.Commit(o.local)
	v := o.videoOf(tag)
	o.settle()
	switch {
	case v != nil:
		return v.Commit(tag)
	case o.video != nil: // refused: it isn't in force any more either
		o.video.Rollback()
		o.video.e.mu.Lock()
		o.video.e.apply(nil, false)
		o.video.e.mu.Unlock()
	}
	return nil
}

func (o *offer) Rollback() {
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	if o.open() != nil {
		return
	}
	if o.active != nil {
		o.e.apply(o.before, o.before != nil)
	}
	o.settle()
	if o.video != nil {
		o.video.Rollback()
	}
}

// enforce lets the media of one answer flow, and no other's.
func (o *offer) enforce(a *answer, keep bool) {
	if a.agreed != nil {
		a.agreed.barred = nil
	}
	if !keep && a.agreed != nil {
		for _, other := range o.answers {
			if other == a || other.agreed == nil {
				continue
			}
			if t := other.agreed.target; t != a.agreed.target {
				a.agreed.barred = append(a.agreed.barred, t)
			}
		}
	}
	o.active = a
	o.e.apply(a.agreed, keep)
}

func (o *offer) settle() {
	o.settled, o.answers = true, nil
	o.e.offer = nil
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
		return nil, fmt.Errorf("rtp: %s: dialog %q has no answer", o.e.cfg.Name, tag)
	}
	return a, nil
}

// pending is an answer of ours.
type pending struct {
	e      *Endpoint
	local  *sdp.Description
	body   []byte
	agreed *agreement // nil if there is video alone
	video  *pending   // of the line of video; nil = it is refused
}

func (p *pending) SDP() []byte { return p.body }

func (p *pending) Commit() error {
	p.e.mu.Lock()
	defer p.e.mu.Unlock()
	switch {
	case p.e.closed:
		return ErrClosed
	case p.e.answer != p:
		return ErrSettled
	}
	p.e.answer = nil
	p.e.session.Commit(p.local)
	p.e.apply(p.agreed, p.e.agreed.Load() != nil)
	if p.video != nil {
		return p.video.Commit()
	}
	if v := p.e.video; v != nil && v.agreed.Load() != nil {
		v.mu.Lock()
		v.apply(nil, false)
		v.mu.Unlock()
	}
	return nil
}

func (p *pending) Rollback() {
	p.e.mu.Lock()
	defer p.e.mu.Unlock()
	if p.e.answer == p {
		p.e.answer = nil
		if p.video != nil {
			p.video.Rollback()
		}
	}
}
