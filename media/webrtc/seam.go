package webrtc

import (
	"errors"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/media/sdp"
)

// A transport is what an endpoint has on its side of the network: ICE credentials and addresses. Behind it stand the
// stack of our own (own.go) and pion's PeerConnection (pion.go); the endpoint knows neither.
type transport interface {
	// Enroll makes fresh credentials, by which peers find us from now on.
	Enroll() (*credentials, error)
	// Withdraw forgets credentials that no line has.
	Withdraw(c *credentials)
	// Lite reports whether we only answer checks (RFC 8445 2.5): then SDP says so.
	Lite() bool
	// Gather looks for the candidates that go with credentials; again is as good as once. They are told as they are found.
	Gather(c *credentials) error
	// Candidates are those found so far, as in SDP. over is closed when there will be no more; nil if nothing is looked for.
	Candidates(c *credentials) (list []string, over <-chan struct{})
	// Join begins to exchange packets with one peer. There may be several, as there may be several answers to an offer.
	Join(d *deal, r receiver) (line, error)
}

// A line is one peer's: its packets, across the network and back.
type line interface {
	// Update is another agreement with the same peer: fresh credentials are an ICE restart. DTLS and SRTP go on.
	Update(d *deal) error
	// AddCandidate takes a candidate of the peer's, as in SDP.
	AddCandidate(value string) error
	// Send encrypts and sends one RTP packet, which has room behind it (udp.Room), in place. A second packet of one
	// sequence number is refused with ErrReused.
	Send(p []byte) error
	// SendControl encrypts and sends a compound RTCP packet.
	SendControl(p []byte) error
	// Tick is called about once a second.
	Tick(now int64)
	// Stats are plain values, valid after Close too.
	Stats() lineStats
	// Close ends the line; twice is as good as once. It sends nothing any more, and its goroutines have ended.
	Close() error
}

// A receiver is the endpoint: it is called on the goroutine that read the datagram, neither waits nor keeps p.
type receiver interface {
	// Receive has one RTP packet: decrypted, authenticated, no replay.
	Receive(l line, p []byte, from netip.AddrPort, now int64)
	// Warm has the processor fetch what the next packet touches: 0 of the receiver, 1 of whom it goes to. It may be called at any
	// time.
	Warm(step int)
	// ReceiveControl has a compound RTCP packet.
	ReceiveControl(l line, p []byte, now int64)
	// State tells what became of the line; why is nil unless it failed.
	State(l line, s state, why error)
	// Network tells what became of ICE, and of netFound by which pair. It may be called under the line's locks.
	Network(l line, s step, pair PairSelected)
	// Shaking says that the handshake has begun. It may be called under the line's locks.
	Shaking(l line)
}

// state of a line.
type state uint8

const (
	connecting   state = iota
	connected          // there are keys
	disconnected       // the peer's consent has run out (RFC 7675)
	failed             // no keys can be had
)

func (s state) String() string {
	return [...]string{"connecting", "connected", "disconnected", "failed"}[s&3]
}

// deal is what both sides' SDP says of the transport.
type deal struct {
	ours       *credentials
	theirs     side
	identity   *identity // ours
	client     bool      // we begin the DTLS handshake (a=setup)
	offered    bool      // the offer was ours
	ssrc       uint32
	cname      string
	formats    []sdp.Pair
	theirSSRCs []string // values of the peer's a=ssrc
	scene      *scene   // what there is beside audio; nil = nothing
	anew       bool     // nothing of the deal before goes on
}

// lineStats are a line's counts.
type lineStats struct {
	State    state
	Profile  string // of SRTP, as IANA names it; "" before the keys
	Path     netip.AddrPort
	Moves    uint64 // how often the peer's address changed
	Refused  uint64 // packets that failed authentication, or were replays
	Early    uint64 // packets before the keys
	Reused   uint64 // packets of ours under a number that was out already
	Checks   uint64 // authenticated connectivity checks
	Asleep   bool   // DTLS has ended, as it should
	SetUp    time.Duration
	Dropped  uint64 // DTLS records
	LastSeen int64  // the last authenticated check; 0 = none

	// Of a PeerConnection alone.
	Sent, Came uint64        // bytes, of what UDP or TCP carried
	RTT        time.Duration // of the last check; 0 = not known
}

// Errors of a line.
var (
	// ErrReused is the refusal to send a second packet under one sequence number: it would reuse a nonce, which with
	// AES-GCM gives the authentication key away (RFC 7714 8.4).
	ErrReused = errors.New("webrtc: sequence number was sent already")
	errNoKeys = errors.New("webrtc: no keys yet")
	errNoPath = errors.New("webrtc: the peer can't be reached")
	errLong   = errors.New("webrtc: packet is too long")
)

// credentials are ICE's, of our side (RFC 8445 5.3).
type credentials struct {
	ufrag, pwd string
}
