// Package webrtc is the endpoint that speaks to browsers: ICE, DTLS-SRTP and the session descriptions of JSEP (RFC 8829).
//
// All legs of a process share one UDP port, the Port. A leg that only has audio is served by a stack of our own: it answers
// connectivity checks (ICE lite, RFC 8445 2.5), has one DTLS handshake, which sleeps once there are keys, and encrypts in
// place on the goroutine that read the packet; it has no goroutine and no timer of its own. Behind the same seam (seam.go)
// stands pion's PeerConnection, with full ICE: STUN, TURN, and TCP beside UDP.
//
// The files stand in the order in which a packet meets them: port, demux, ice, peer, dtls and own are the stack; stream, agentmux,
// agent, inner, pion, pionsession, pionscene, piontrack, ring, lane and estimator the other one; receive is the way in, send the way out; rich is what there
// is beside audio, picturein and pictureout its ways, channels its data; control is RTCP; negotiate, offer, agreement, side, scene, scenesdp, candidate and formats
// are SDP; servers is where a peer is looked for, watch what is told of it.
package webrtc

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

// Stack says what stands behind an endpoint.
type Stack uint8

const (
	// Auto leaves it to the first offer: one with video or data gets a PeerConnection, and so does any if STUN or TURN is set.
	// All else gets our own stack.
	Auto Stack = iota
	// Own is the stack of our own: audio only.
	Own
	// PeerConnection is pion's, a full ICE agent.
	PeerConnection
)

// Config of an endpoint. Port is needed.
type Config struct {
	Port     *Port
	Formats  []*media.Format    // own list, best first; nil = PCMU, PCMA, Opus and telephone-event
	Video    []*media.Format    // of pictures, best first; nil = the endpoint carries none
	Data     bool               // it carries data channels
	Registry *media.Registry    // conversions towards linked sinks; nil = only relay
	Metrics  bool               // of audio, as in package rtp: the peer is asked for what it measures, and told what we do (RFC 3611)
	Stack    Stack              // what stands behind it
	Timeout  time.Duration      // of silence until media.Silent; 0 = 30 s, negative = never; off while on hold
	Notify   func(media.Notice) // called on a socket's loop: must not block; nil = nobody listens
	Log      *slog.Logger
	Name     string // in logs and in s= of SDP

	// Key is the kind of the certificate.
	Key Key
	// Shared: the endpoint's certificate is the one that all such endpoints of the port have for a day, which costs less to
	// set up; peers can tell by it that they speak to one machine. false: one of its own.
	Shared bool
	// ICE says where to look for the peer.
	ICE ICE
	// Trickle leaves candidates out of SDP until Gather (RFC 8838). Without it SDP waits for all of them.
	Trickle bool
	// DSCP marks what the endpoint sends of media (RFC 2474), 1 to 63, -1 = not at all; 0 = as all that the port sends.
	DSCP int
	// Watch is told of ICE and DTLS, one event at a time, on whichever goroutine found it out: it must neither block nor call
	// the endpoint, Connectivity apart. nil = nobody listens.
	Watch func(Event)
}

const defaultTimeout = 30 * time.Second

// ErrClosed is returned by a closed endpoint.
var ErrClosed = errors.New("webrtc: endpoint is closed")

func (c *Config) complete() error {
	if c.Port == nil {
		return errors.New("webrtc: Port is needed")
	}
	if c.Key > RSA {
		return errors.New("webrtc: Key is unknown, expected ECDSA or RSA")
	}
	if c.Stack > PeerConnection {
		return errors.New("webrtc: Stack is unknown, expected Auto, Own or PeerConnection")
	}
	if c.Formats == nil {
		c.Formats = []*media.Format{media.PCMU(), media.PCMA(), opus(), media.TelephoneEvent(8000)}
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Notify == nil {
		c.Notify = func(media.Notice) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Name == "" {
		c.Name = "patchbay"
	}
	return nil
}

// Endpoint is one WebRTC session with one peer. Its negotiation is done by one goroutine at a time, as media.Endpoint says;
// Negotiated, Stats and Close may be called from any.
type Endpoint struct {
	cfg     Config
	stream  string        // of a=msid
	source  *media.Source // what the peer says
	sink    sender        // what it hears
	in      incoming
	control rtpstream.Control
	agreed  atomic.Pointer[agreement] // in force; nil before SDP
	watch   watcher
	rich    *rich // nil unless it may carry more than audio
	place   atomic.Pointer[place]
	ice     atomic.Pointer[ICE]
	ident   *identity

	mu        sync.Mutex // negotiation
	transport transport  // nil before the first offer
	session   *sdp.Session
	mid       string
	ours      *credentials // of the agreement in force, or of the last offer made
	offer     *offer
	answer    *pending
	others    *sdp.Description // the peer's last offer: its refused lines keep their names
	told      *told            // the last description of ours
	early     []theirCandidate // candidates of the peer's that came before its description
	gathers   bool             // Gather was called
	formats   rtpstream.Formats
	closed    bool

	close sync.Once
	err   error
}

// Lines of the cache that a packet touches: of incoming, of sender, and of the buffer that it goes out from.
const (
	linesIn     = 4
	linesOut    = 5
	linesPacket = 3
)

var (
	_ media.Endpoint = (*Endpoint)(nil)
	_ media.Sink     = (*sender)(nil)
	_ receiver       = (*Endpoint)(nil)
)

// New makes an endpoint. Nothing is received or sent before SDP. The error satisfies errors.Is(err, ErrFull) if the port has
// as many as it takes.
func New(cfg Config) (*Endpoint, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	var id [12]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails
	e := &Endpoint{
		cfg: cfg, mid: "0", stream: hex.EncodeToString(id[:]),
		session: sdp.NewSession(cfg.Name, cfg.Port.main().Addr()),
	}
	if err := cfg.ICE.check(cfg.Port); err != nil {
		return nil, err
	}
	var err error
	identity := cfg.Port.identities.get
	if cfg.Shared {
		identity = cfg.Port.identities.shared
	}
	if e.ident, err = identity(cfg.Key); err != nil {
		return nil, err
	}
	e.ice.Store(&cfg.ICE)
	e.place.Store(&place{mid: e.mid})
	e.watch.init(cfg.Watch, cfg.Trickle)
	e.source = media.NewSource(cfg.Registry, nil)
	e.sink.init(e)
	e.control.Init()
	if cfg.Data || len(cfg.Video) > 0 {
		e.rich = newRich(e)
	}
	if err := cfg.Port.enter(e); err != nil {
		return nil, err
	}
	return e, nil
}

// choose picks what stands behind the endpoint, once. The caller holds mu.
func (e *Endpoint) choose(rich bool) transport {
	if e.transport == nil {
		now := func() ICE { return *e.ice.Load() }
		if s := e.cfg.Stack; s == PeerConnection || s == Auto && (rich || e.ice.Load().full()) {
			e.transport = newPion(e.cfg.Port, e.cfg.DSCP, e.cfg.Log.With("endpoint", e.cfg.Name), now, e.discovered)
		} else {
			e.transport = newOwn(e.cfg.Port, e.cfg.DSCP, now, e.discovered)
		}
	}
	return e.transport
}

// Source is where the peer's audio and telephone-events leave, for the zero Pad; its pictures and messages for those of their kinds.
func (e *Endpoint) Source(p media.Pad) *media.Source {
	switch {
	case p == (media.Pad{}):
		return e.source
	case e.rich != nil:
		return e.rich.source(p)
	}
	return nil
}

// Sink is where audio and telephone-events for the peer enter, for the zero Pad; pictures and messages for those of their kinds.
func (e *Endpoint) Sink(p media.Pad) media.Sink {
	switch {
	case p == (media.Pad{}):
		return &e.sink
	case e.rich != nil:
		return e.rich.sink(p)
	}
	return nil
}

// Negotiated is what is agreed now, for records.
type Negotiated struct {
	Codec     string // of the audio that we send, as media.Format writes it: PCMU/8000; "" before SDP
	Ptime     int    // ms that the peer wants to receive
	Events    bool   // telephone-events are agreed
	Direction sdp.Direction
	Local     netip.AddrPort // as in our SDP
	Remote    netip.AddrPort // where packets are sent; not valid before a connectivity check
	Profile   string         // of SRTP, as IANA names it; "" before there are keys
	SetUp     time.Duration  // from the agreement to the keys; 0 before
}

// Negotiated tells what is agreed now.
func (e *Endpoint) Negotiated() Negotiated {
	a := e.agreed.Load()
	if a == nil {
		return Negotiated{Direction: sdp.Inactive}
	}
	n, st := a.told, a.line.Stats()
	n.Remote, n.Profile, n.SetUp = st.Path, st.Profile, st.SetUp
	return n
}

// Stats adds one stream for each direction.
func (e *Endpoint) Stats(s *media.Snapshot) {
	in, out := e.in.stats(), e.sink.stats()
	e.control.Stats(&in, &out)
	if a := e.agreed.Load(); a != nil {
		st := a.line.Stats()
		in.Rejected += st.Refused + st.Early
		st.notes(s)
	}
	s.Streams = append(s.Streams, in, out)
	e.in.notes(s)
	e.sink.notes(s)
	if e.rich != nil {
		e.rich.stats(s)
	}
}

// Close says RTCP BYE and frees credentials, addresses and keys together: late packets meet nothing. An offer or answer that
// isn't committed can't be any more. When it returns nothing is posted, pushed or sent.
func (e *Endpoint) Close() error {
	e.close.Do(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closed = true
		e.watch.close()
		e.cfg.Port.leave(e)
		e.bye(udp.Now())
		if e.rich != nil {
			e.rich.close(udp.Now())
		}
		e.in.flow.Lock()
		e.in.closed = true
		e.in.flow.Unlock()
		e.sink.shut()
		var errs []error
		if o := e.offer; o != nil {
			for _, a := range o.answers {
				errs = append(errs, a.agreed.line.Close())
			}
			e.transport.Withdraw(o.ours)
		}
		if a := e.agreed.Load(); a != nil {
			errs = append(errs, a.line.Close())
		}
		if e.ours != nil {
			e.transport.Withdraw(e.ours)
		}
		if p := e.answer; p != nil {
			e.transport.Withdraw(p.deal.ours)
		}
		e.offer, e.answer = nil, nil
		e.source.Close()
		e.err = errors.Join(errs...)
	})
	return e.err
}

// tick is called about once a second, by one goroutine for all endpoints of a port.
func (e *Endpoint) tick(now int64) {
	e.in.flow.Lock()
	defer e.in.flow.Unlock()
	a := e.agreed.Load()
	if a == nil || e.in.closed {
		return
	}
	e.quieten(now)
	e.report(a, now)
	a.line.Tick(now)
	if e.rich != nil {
		e.rich.tick(now)
	}
}
