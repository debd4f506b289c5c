package gateway

import (
	"context"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// Leg is one party's side of a call: a SIP dialog, or an RPC client's endpoint. Its methods may be called from any
// goroutine; negotiations of one leg happen one at a time.
type Leg interface {
	// Events of the leg. Legs of one call share the call's channel: LegEvent.Leg tells whose it is. LegEnded is the last.
	Events() <-chan LegEvent
	// Yield sends all later events to another call's channel: a transfer moves a leg by this.
	Yield(to chan LegEvent)
	// Endpoint is where the leg's media enters and leaves the pipeline.
	Endpoint() media.Endpoint
	// Progress tells the caller of a leg that called us how it goes; with early, our answer to its offer goes along and
	// media flows.
	Progress(status int, phrase string, early bool, want media.Want) error
	// Answer accepts the leg's call. ready is called when the answer is made and committed, just before it is sent: an
	// error from it sends nothing.
	Answer(want media.Want, ready func() error) error
	// Reoffer renegotiates an answered leg; on failure what was agreed stands.
	Reoffer(ctx context.Context, want media.Want) error
	// Refer asks the peer to call target; replaces names a dialog it shall replace, or is empty (RFC 3515, RFC 3891).
	Refer(ctx context.Context, target, replaces string) error
	// Digit sends one DTMF digit, in signalling or in media as the leg negotiated, or as tones.
	Digit(digit byte, d time.Duration) error
	// Hangup ends the leg, whatever state it is in, and waits for the peer's confirmation until ctx ends.
	Hangup(ctx context.Context, why call.Cause) error
}

// LegKind says what a LegEvent tells.
type LegKind uint8

const (
	LegProgress  LegKind = iota + 1 // a provisional response; Early if its media may flow now
	LegMoved                        // another server of the carrier is tried; Phrase says which, and why
	LegAnswered                     // the peer accepted; its media is committed
	LegForked                       // one more party accepted and was hung up
	LegConfirmed                    // our answer was confirmed (ACK)
	LegOffered                      // the peer offers anew: Offer must be answered or rejected
	LegRefer                        // the peer wants the far party to call somebody: Refer must be accepted or rejected
	LegDigit                        // the peer sent a DTMF digit; InMedia if it is relayed as an event frame already, Tone if it was tones
	LegPressed                      // the peer's tones of Digit have begun; LegDigit follows at their end
	LegFlowing                      // the peer's media came, for the first time or again
	LegSilent                       // the peer's media stopped
	LegFailed                       // the peer's media can never come: its DTLS certificate isn't the one its SDP names, …; Phrase says why
	LegNotified                     // the peer tells how the call goes that Refer asked for: Status, Phrase; Final if it tells no more
	LegEnded                        // the last event
)

// LegEvent is something that happened to a leg.
type LegEvent struct {
	Kind   LegKind
	Leg    Leg
	At     time.Time // when its message came; carries the monotonic clock
	Status int
	Phrase string
	Tag    string
	Early  bool
	Shut   bool       // LegProgress: its early media, which was heard, isn't to be any more
	Late   bool       // LegConfirmed: it brought the answer to our offer
	Cause  call.Cause // LegEnded
	ByPeer bool       // LegEnded: the peer's doing
	// Of LegEnded: what Retry-After asks for, and the Contacts of a 3xx.
	Later    time.Duration
	Contacts []string
	Digit    byte
	Held     int // LegDigit: ms
	InMedia  bool
	Tone     bool // LegDigit
	Final    bool
	Offer    PeerOffer
	Refer    PeerRefer
	Headers  sip.Headers // of the message, of LegProgress, LegAnswered and LegEnded
}

// PeerOffer is the peer's offer in an answered leg.
type PeerOffer interface {
	// Remote is what it offers; nil when it asks us to offer.
	Remote() *sdp.Description
	// Accept answers it with what want allows.
	Accept(want media.Want) error
	// Reject refuses it with a status and a phrase; what was agreed stands.
	Reject(cause call.Cause) error
}

// PeerRefer is the peer's wish that the far party calls Target (RFC 3515).
type PeerRefer interface {
	Target() (uri, replaces string)
	Accept() error
	Reject(cause call.Cause) error
	// Notify reports how that call goes; final ends the reports.
	Notify(ctx context.Context, status int, phrase string, final bool) error
}
