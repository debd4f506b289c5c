package media

import (
	"context"
	"slices"
	"time"

	"github.com/patchbay/patchbay/media/sdp"
)

// Element is a node of a pipeline.
type Element interface {
	// Source is the pad where frames leave, nil if the element has none there.
	Source(Pad) *Source
	// Sink is the pad where frames enter, nil if the element has none there.
	Sink(Pad) Sink
	// Stats adds the element's counts to s.
	Stats(s *Snapshot)
	// Close stops the element; twice is as good as once. When it returns, all its goroutines have ended and it pushes nothing.
	Close() error
}

// Endpoint is an element at the network's edge that speaks SDP (RFC 3264). Its methods are called by one goroutine at a
// time; they may be called while media flows.
type Endpoint interface {
	Element
	// Remote reads a peer's SDP before anything is fixed: so that the offer to one side can be made from the other's,
	// and the answer from the far answer.
	Remote(body []byte) (*sdp.Description, error)
	// Offer makes a first offer or a re-offer. Until its Commit the earlier agreement stands.
	Offer(ctx context.Context, w Want) (Offer, error)
	// Answer answers an offer. Nothing changes before Commit, so that a 488 leaves all as it was.
	Answer(ctx context.Context, offer []byte, w Want) (Pending, error)
}

// Offer is one that we made. One port serves all its answers (RFC 3264 with forking, RFC 3261 13.2.2.4).
type Offer interface {
	SDP() []byte
	// Accept reads the answer of the early dialog with that To-tag. A second one of the same tag replaces the first.
	Accept(tag string, answer []byte) error
	// Activate lets the early media of that dialog flow, and no other's.
	Activate(tag string) error
	// Commit makes that dialog's answer the agreement and forgets the others.
	Commit(tag string) error
	// Rollback forgets the offer: what was agreed before it stands. After Commit it does nothing.
	Rollback()
}

// Pending is an answer that we made, before it is sent.
type Pending interface {
	SDP() []byte
	Commit() error
	Rollback()
}

// Want says what to negotiate. The zero value is everything the endpoint can do, both ways, no SRTP.
type Want struct {
	Formats    []*Format // best first; nil = the endpoint's own list
	Prefer     []*Format // which of the endpoint's own come first; whatever else is in it is ignored
	Direction  sdp.Direction
	SRTP       SRTP
	ICERestart bool
	Ptime      int  // ms; 0 = the peer's wish, else 20
	Bandwidth  int  // kbit/s of audio that we want to receive at most, written as b=AS; 0 = not said
	Video      bool // a first offer has a video line too; an endpoint that can't carry video refuses it from the start
	NoAudio    bool // a first offer has no audio line
	VideoRate  int  // kbit/s of video that we want to receive at most, written as b=AS; 0 = not said
}

// Order is what to negotiate, best first, of an endpoint whose own list is own, and whether the order is to be kept whatever
// the peer's is.
func (w Want) Order(own []*Format) (list []*Format, ordered bool) {
	if w.Formats != nil {
		return w.Formats, true
	}
	for _, p := range w.Prefer {
		same := func(f *Format) bool {
			return f.Codec == p.Codec && f.Clock == p.Clock && f.Channels == p.Channels && f.Kind == p.Kind
		}
		if i := slices.IndexFunc(own, same); i >= 0 && !slices.Contains(list, own[i]) {
			list = append(list, own[i])
		}
	}
	ordered = len(list) > 0
	for _, f := range own {
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list, ordered
}

// Rates are bounds of video's rate at an endpoint, in bit/s; 0 = none.
type Rates struct {
	MinSend, MaxSend int // what the sources of our pictures are told that the path takes
	MinReceive       int // what the peer is asked for at least
	MaxReceive       int // and at most
}

// SRTP policy of an endpoint.
type SRTP uint8

const (
	SRTPNever   SRTP = iota
	SRTPPrefer       // offered, plain RTP accepted
	SRTPRequire      // no media without it
)

// Snapshot collects an element's counts. Counts are since the element began.
type Snapshot struct {
	Streams []Stream
	Notes   map[string]float64 // anything an element counts beside
}

// Note adds to a count that has no field of its own.
func (s *Snapshot) Note(name string, n float64) {
	if s.Notes == nil {
		s.Notes = map[string]float64{}
	}
	s.Notes[name] += n
}

// Stream is what one direction of one RTP stream counted (RFC 3550 6.4).
type Stream struct {
	Inbound   bool
	SSRC      uint32
	Format    *Format
	Packets   uint64
	Bytes     uint64 // of payload
	Lost      int64  // cumulative, may be negative after duplicates; outbound: as the peer reported
	Duplicate uint64
	Reordered uint64
	Rejected  uint64 // from a source that the stream isn't locked to
	Fraction  uint8  // lost between the two reports before now, in 256ths (RFC 3550 6.4.1); outbound: as the peer reported
	Jitter    time.Duration
	JitterMax time.Duration
	RTT       time.Duration // 0 = unknown
	First     int64         // CLOCK_MONOTONIC ns of the first packet; 0 = none
	Last      int64         // and of the last
	Epochs    uint32        // how often the stream began anew (another SSRC)
	Reported  bool          // outbound: the peer has reported of it, so that Lost, Fraction and Jitter are known
	Bursts    uint64        // runs of packets lost in a row; inbound alone, as are Jitters
	Jitters   Jitters       // what Jitter was from time to time
	Skew      float64       // ppm by which the peer's clock runs faster than ours, if Skewed; inbound alone, as is Silence
	Skewed    bool          // Skew is certain to 20 ppm
	Silence   time.Duration // that the peer left out while its stream went on (discontinuous transmission); 0 = it left out none
	XR        *XR           // outbound: what the peer says of it in extended reports, never changed once it is here; nil = nothing

	// Of video alone.
	Layer       uint8  // of a simulcast, as in Frame
	Pictures    uint64 // ends of pictures that came, or were sent
	Keys        uint64 // key pictures among them, as far as is known
	Width       int    // of the latest key picture that said it, pixels; 0 = not known
	Height      int
	PictureRate float64 // pictures a second, in the latest one that is over; 0 = none come
	NACKs       uint64  // requests for lost packets: inbound those that we sent, outbound those that came
	PLIs        uint64  // and for key pictures (PLI)
	FIRs        uint64  // the same by FIR
	Resent      uint64  // packets sent again, outbound
	Target      uint64  // bit/s: outbound what the path can take, inbound what the peer was asked to send at most; 0 = not said
}
