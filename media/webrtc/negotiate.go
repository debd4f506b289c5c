package webrtc

import (
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

// Remote reads a peer's SDP and changes nothing.
func (e *Endpoint) Remote(body []byte) (*sdp.Description, error) { return parse(body) }

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
	p := &pending{e: e, mid: e.mid, others: remote}
	if err := p.agree(ctx, line); err != nil {
		e.place.Store(&before)
		return nil, err
	}
	d := p.deal
	e.answerScene(remote, line, w, d)
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

// agree finds the transport that an offer's line comes to.
func (p *pending) agree(ctx context.Context, m *sdp.Media) error {
	e, remote := p.e, p.others
	theirs, err := readSide(remote, m)
	if err != nil {
		return err
	}
	d := e.deal(theirs, attributes(remote, m, "ssrc"))
	d.client = theirs.setup == "passive"
	d.ours = e.ours
	if before := e.agreed.Load(); before != nil {
		restart := before.deal.theirs.ufrag != theirs.ufrag || before.deal.theirs.pwd != theirs.pwd
		same := slices.Equal(before.deal.theirs.fingerprints, theirs.fingerprints)
		if !same && !restart {
			return sdp.Refuse(sdp.ErrTransport, "The fingerprint changed without fresh ICE credentials")
		}
		if same && (theirs.setup == "" || theirs.setup == "actpass") {
			d.client = before.deal.client
		}
		if same && d.client != before.deal.client && !restart {
			return sdp.Refuse(sdp.ErrTransport, "The DTLS roles changed without fresh ICE credentials")
		}
		if !restart {
			p.deal = d
			return nil
		}
		if e.widens(before, remote) {
			if err := p.renew(d); err != nil {
				return fmt.Errorf("webrtc: %s: answer: %w", e.cfg.Name, err)
			}
		}
	}
	t := e.choose(more(remote))
	if d.ours, err = e.enroll(ctx, t); err != nil {
		p.revert()
		return fmt.Errorf("webrtc: %s: answer: %w", e.cfg.Name, err)
	}
	p.deal, p.fresh = d, true
	return nil
}

// widens reports whether an offer asks for what nothing behind the endpoint can carry: pictures or data, where the first terms
// had none.
func (e *Endpoint) widens(before *agreement, remote *sdp.Description) bool {
	if e.rich == nil || e.cfg.Stack == Own {
		return false
	}
	s := before.deal.scene
	picture := len(e.cfg.Video) > 0 && (s == nil || s.picture == nil)
	data := e.cfg.Data && (s == nil || s.data == nil)
	for i := range remote.Media {
		if m := &remote.Media[i]; picture && usablePicture(m) || data && usableData(m) {
			return true
		}
	}
	return false
}

// behind is what stands behind an endpoint.
type behind struct {
	transport transport
	ident     *identity
}

// renew puts something else behind the endpoint, which a restart allows: it has another certificate, by which the peer knows that
// DTLS begins anew (RFC 8842 5.1).
func (p *pending) renew(d *deal) error {
	e := p.e
	ident, err := e.cfg.Port.identities.get(e.cfg.Key)
	if err != nil {
		return err
	}
	p.was = &behind{e.transport, e.ident}
	e.transport, e.ident = nil, ident
	d.identity, d.anew = ident, true
	return nil
}

// revert takes renew back.
func (p *pending) revert() {
	if p.was != nil {
		p.e.transport, p.e.ident = p.was.transport, p.was.ident
	}
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
	fresh  bool    // its credentials are new
	mid    string  // of the line before
	was    *behind // the endpoint; nil = nothing else is
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
	keep := before != nil && !p.deal.anew && slices.Equal(before.deal.theirs.fingerprints, p.deal.theirs.fingerprints) && before.deal.client == p.deal.client
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
	p.revert()
}
