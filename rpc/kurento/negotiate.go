package kurento

import (
	"context"
	"errors"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/rpc"
)

// peerTag stands for the one peer that an offer of ours goes to.
const peerTag = ""

// GenerateOffer makes the offer: without options, of audio and video. What connected elements take comes first (Around). A line that the endpoint can't carry has port 0. It fails
// with AlreadyNegotiated after any offer, of ours or the peer's.
func (e *SdpEndpoint) GenerateOffer(ctx context.Context, options *OfferOptions) (string, error) {
	around := e.Around()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.fresh(); err != nil {
		return "", err
	}
	o := OfferOptions{OfferToReceiveAudio: true, OfferToReceiveVideo: true}
	if options != nil {
		o = *options
	}
	if !o.OfferToReceiveAudio && !e.beside(o.OfferToReceiveVideo) {
		d := sdp.Decline(nil)
		if o.OfferToReceiveVideo {
			d.Media = []sdp.Media{{Kind: "video", Proto: "RTP/AVPF", Tokens: []string{"96"}}}
		}
		body, err := d.Marshal()
		if err != nil {
			return "", fault(rpc.GenerateOffer, "Offer can't be made", err)
		}
		e.offer, e.local, e.stage = nil, string(body), offered
		return e.local, nil
	}
	w := e.want
	w.Prefer, w.Bandwidth, w.Video, w.ICERestart = around, e.audio, o.OfferToReceiveVideo, e.restart
	w.NoAudio, w.VideoRate = !o.OfferToReceiveAudio, e.video
	offer, err := e.endpoint.Offer(ctx, w)
	if err != nil {
		return "", fault(rpc.GenerateOffer, "Offer can't be made", err)
	}
	e.offer, e.local, e.stage = offer, string(offer.SDP()), offered
	return e.local, nil
}

// beside reports whether the endpoint has something to offer without audio.
func (e *SdpEndpoint) beside(video bool) bool {
	return video && e.endpoint.Source(media.Pad{Kind: media.Video}) != nil || e.endpoint.Source(media.Pad{Kind: media.Data}) != nil
}

// ProcessOffer answers an offer. What connected elements take comes first (Around). What the endpoint can't carry has port 0 in the answer; that is no error. It fails with
// AlreadyNegotiated after any offer, of ours or the peer's, and with SDPParse if it can't be read.
func (e *SdpEndpoint) ProcessOffer(ctx context.Context, body string) (string, error) {
	if body == "" {
		return "", rpc.Errorf(rpc.SDPParse, "Empty offer not valid")
	}
	around := e.Around()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.fresh(); err != nil {
		return "", err
	}
	w := e.want
	w.Prefer, w.Bandwidth, w.VideoRate = around, e.audio, e.video
	p, err := e.endpoint.Answer(ctx, []byte(body), w)
	if unusable(err) {
		return e.decline(body)
	}
	if err != nil {
		return "", fault(rpc.ProcessOffer, "Offer can't be answered", err)
	}
	local := string(p.SDP())
	if err := p.Commit(); err != nil {
		return "", fault(rpc.ProcessOffer, "Offer can't be answered", err)
	}
	e.local, e.remote, e.stage = local, body, taken
	e.begun(true)
	return e.local, nil
}

// decline answers an offer none of whose lines can be used.
func (e *SdpEndpoint) decline(body string) (string, error) {
	d, err := sdp.Parse([]byte(body))
	if err != nil {
		return "", fault(rpc.ProcessOffer, "Offer can't be answered", err)
	}
	local, err := sdp.Decline(d).Marshal()
	if own, ok := e.endpoint.(interface{ Decline([]byte) ([]byte, error) }); ok && err == nil { // what its kind of peer wants in it
		local, err = own.Decline([]byte(body))
	}
	if err != nil {
		return "", fault(rpc.ProcessOffer, "Offer can't be answered", err)
	}
	e.local, e.remote, e.stage = string(local), body, taken
	e.begun(false)
	return e.local, nil
}

// ProcessAnswer reads the answer to our offer and returns our SDP. An answer that refuses all lines is taken as it is. It fails
// with NoOffer if none of ours was made, with AnswerProcessed the second time, and with SDPParse if it can't be read.
func (e *SdpEndpoint) ProcessAnswer(body string) (string, error) {
	if body == "" {
		return "", rpc.Errorf(rpc.SDPParse, "Empty answer not valid")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.stage {
	case answered:
		return "", rpc.Errorf(rpc.AnswerProcessed, "An answer was processed already")
	case offered:
	default:
		return "", rpc.Errorf(rpc.NoOffer, "An answer can't be processed: no offer was generated")
	}
	flows, err := e.accept(body)
	if err != nil {
		return "", err
	}
	e.offer, e.remote, e.stage = nil, body, answered
	e.begun(flows)
	return e.local, nil
}

// accept takes an answer; flows says that media is agreed.
func (e *SdpEndpoint) accept(body string) (flows bool, err error) {
	if e.offer == nil {
		if _, err := sdp.Parse([]byte(body)); err != nil {
			return false, fault(rpc.ProcessAnswer, "Answer can't be taken", err)
		}
		return false, nil
	}
	err = e.offer.Accept(peerTag, []byte(body))
	if unusable(err) {
		e.offer.Rollback()
		return false, nil
	}
	if err == nil {
		err = e.offer.Commit(peerTag)
	}
	if err != nil {
		return false, fault(rpc.ProcessAnswer, "Answer can't be taken", err)
	}
	return true, nil
}

// Renegotiate lets the endpoint make or answer one more offer; until that is done what was agreed stands. iceRestart has the
// offer, if it is ours, restart ICE; an offer of the peer's says so itself, and endpoints without ICE have nothing to restart.
// Kurento has nothing like it. It fails with NoRemoteSDP while nothing is agreed yet.
func (e *SdpEndpoint) Renegotiate(iceRestart bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.remote == "" {
		return rpc.Errorf(rpc.NoRemoteSDP, "Nothing is negotiated yet")
	}
	if e.offer != nil { // one that was never answered
		e.offer.Rollback()
	}
	e.offer, e.stage, e.restart = nil, idle, iceRestart
	return nil
}

// fresh refuses another negotiation. The caller holds mu.
func (e *SdpEndpoint) fresh() error {
	if e.stage != idle {
		return rpc.Errorf(rpc.AlreadyNegotiated, "Endpoint is negotiated already, or has an offer: it takes no other")
	}
	return nil
}

// begun tells that terms are agreed. The caller holds mu.
func (e *SdpEndpoint) begun(flows bool) {
	if flows && e.agreed != nil {
		e.agreed()
	}
	e.Started()
}

// unusable reports whether SDP is in order, and nothing in it can be used.
func unusable(err error) bool {
	return errors.Is(err, sdp.ErrNoAudio) || errors.Is(err, sdp.ErrNoCodec) || errors.Is(err, sdp.ErrTransport)
}

// fault is an error of a negotiation as a client sees it.
func fault(code rpc.Code, what string, err error) error {
	if known, ok := errors.AsType[*rpc.Error](err); ok {
		return known
	}
	if syntax, ok := errors.AsType[*sdp.SyntaxError](err); ok {
		return &rpc.Error{Code: rpc.SDPParse, Message: syntax.Error(), Err: err}
	}
	if _, text, ok := sdp.Warning(err); ok {
		what += ": " + text
	}
	return &rpc.Error{Code: code, Message: what, Err: err}
}
