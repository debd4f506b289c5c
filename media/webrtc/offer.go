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
)

// maxTags bounds the early dialogs of one offer.
const maxTags = 32

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
