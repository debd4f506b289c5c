// Package rtp is the endpoint that speaks RTP (RFC 3550, RFC 3551), plain or under keys that SDP carries (SRTP with SDES, RFC 3711,
// RFC 4568), with SDP's offer and answer.
//
// The files stand in the order in which a packet meets them: lock and receive on the way in,
// send on the way out; transform is SRTP, control and heard are RTCP; negotiate, agreement and sdes are SDP.
package rtp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

// Config of an endpoint. Net, Ports and Bind are needed.
type Config struct {
	Net        *udp.Net
	Ports      *udp.Ports         // the range of Bind that the two ports are taken from
	Bind       netip.Addr         // local address of the sockets
	Advertise  netip.Addr         // address written into SDP; zero = Bind
	Video      []*media.Format    // of video, best first: it has two ports of its own; nil = the endpoint carries none
	Formats    []*media.Format    // own list, best first; nil = PCMU, PCMA and telephone-event
	Registry   *media.Registry    // conversions towards linked sinks; nil = only relay
	Signalling netip.Addr         // where the peer's SIP comes from: taken as media source too; zero = unknown
	Timeout    time.Duration      // of silence until media.Silent; 0 = 30 s, negative = never; off while on hold
	Notify     func(media.Notice) // called on a socket's loop: must not block; nil = nobody listens
	Log        *slog.Logger
	Name       string // in logs and errors
	Key        *Key   // our key and the one suite of SRTP; nil = all suites, with keys drawn
	Feedback   bool   // RTP/AVPF is offered rather than RTP/AVP (RFC 4585)
	Ptime      int    // ms of packets, asked for and sent whatever the peer asks for, within its maxptime; 0 = the peer's wish, else 20
	// Preconditions says what becomes of those in offers (RFC 3312), and whether ours have some.
	Preconditions sdp.Preconditions
	// Metrics: the peer is asked for what it measures of what it hears, and told what we do if it asks (RFC 3611: a=rtcp-xr, VoIP metrics).
	// It isn't asked in answers to offers that say nothing of it.
	Metrics bool
	Comedia bool // a peer whose SDP says a=direction:active is found by its packets, wherever they come from

	now    func() int64  // clock of arrivals; nil = udp.Now
	report time.Duration // mean time between RTCP reports; 0 = 5 s (RFC 3550 6.2)
}

const (
	defaultTimeout = 30 * time.Second
	defaultReport  = 5 * time.Second
)

// ErrClosed is returned by a closed endpoint.
var ErrClosed = errors.New("rtp: endpoint is closed")

func (c *Config) complete() error {
	switch {
	case c.Net == nil || c.Ports == nil:
		return errors.New("rtp: Net and Ports are needed")
	case !c.Bind.IsValid():
		return errors.New("rtp: Bind is the zero address, expected the local media address")
	}
	c.Bind = c.Bind.Unmap()
	if !c.Advertise.IsValid() {
		c.Advertise = c.Bind
	}
	c.Advertise, c.Signalling = c.Advertise.Unmap(), c.Signalling.Unmap()
	if c.Advertise.IsUnspecified() || c.Advertise.IsMulticast() {
		return fmt.Errorf("rtp: Advertise is %s, expected an address that peers can send to", c.Advertise)
	}
	if c.Formats == nil {
		c.Formats = []*media.Format{media.PCMU(), media.PCMA(), media.TelephoneEvent(8000)}
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.now == nil {
		c.now = udp.Now
	}
	if c.report == 0 {
		c.report = defaultReport
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

// Endpoint is one RTP session with one peer. Its negotiation is done by one goroutine at a time, as media.Endpoint says;
// Negotiated, Stats and Close may be called from any.
type Endpoint struct {
	// A packet comes in at the end of source and the beginning of in, and another's goes out at the beginning of sink:
	// the order and the gaps let each lie on as few lines of the cache as it can. A test holds them.
	_      [gapBefore]byte
	source media.Source // what the peer says
	in     receiver
	_      [gapBetween]byte
	sink   sender // what it hears

	cfg       Config
	rtp, rtcp *udp.Socket
	control   control
	agreed    atomic.Pointer[agreement] // in force; nil before SDP

	mu      sync.Mutex // negotiation
	session *sdp.Session
	offer   *offer
	answer  *pending
	formats rtpstream.Formats
	keys    keyring
	closed  bool

	video    *Endpoint // the line of video, negotiated with ours; nil = none
	pictures *pictures // of a line of video; nil = it is of audio

	close sync.Once
	err   error
}

const (
	gapBefore  = 32
	gapBetween = 16

	linesIn, linesOut = 4, 3
)

var (
	_ media.Endpoint = (*Endpoint)(nil)
	_ media.Sink     = (*sender)(nil)
)

// New opens a pair of ports. Nothing is received or sent before SDP. The error satisfies errors.Is(err,
// udp.ErrExhausted) if the range has no pair left.
func New(cfg Config) (*Endpoint, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	e := &Endpoint{cfg: cfg, session: sdp.NewSession("-", cfg.Advertise)}
	if err := e.init(nil); err != nil {
		return nil, err
	}
	if err := e.listen(); err != nil {
		return nil, err
	}
	if len(cfg.Video) > 0 {
		var err error
		if e.video, err = newVideo(cfg); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

// init makes all but the sockets. back takes what the source's sinks say.
func (e *Endpoint) init(back func(media.Feedback)) error {
	if err := e.keys.init(e.cfg.Key); err != nil {
		return err
	}
	e.source.Init(e.cfg.Registry, back)
	e.sink.init(e)
	e.in.pictures = e.pictures
	e.control.Init()
	return nil
}

// listen opens the ports, once.
func (e *Endpoint) listen() (err error) {
	if e.rtp != nil {
		return nil
	}
	cfg := &e.cfg
	e.rtp, e.rtcp, err = cfg.Net.OpenPair(cfg.Bind, cfg.Ports, (*rtpHandler)(e), (*rtcpHandler)(e))
	if err != nil {
		return fmt.Errorf("rtp: %s: %w", cfg.Name, err)
	}
	return nil
}

// Source is where the peer's audio and telephone-events leave, for the zero Pad; its video for the pad of that kind.
func (e *Endpoint) Source(p media.Pad) *media.Source {
	switch {
	case p == (media.Pad{}):
		return &e.source
	case e.video != nil && p == media.Pad{Kind: media.Video}:
		return &e.video.source
	}
	return nil
}

// Sink is where audio and telephone-events for the peer enter, for the zero Pad; video for the pad of that kind.
func (e *Endpoint) Sink(p media.Pad) media.Sink {
	switch {
	case p == (media.Pad{}):
		return &e.sink
	case e.video != nil && p == media.Pad{Kind: media.Video}:
		return &e.video.sink
	}
	return nil
}

// LocalAddr is the address and port that the RTP socket is bound to.
func (e *Endpoint) LocalAddr() netip.AddrPort { return e.rtp.LocalAddr() }

// SetSignalling changes the address that the peer's SIP comes from, when it becomes known or changes. Media from there
// may then be taken for the peer's, under the rules of the source lock.
func (e *Endpoint) SetSignalling(a netip.Addr) {
	e.mu.Lock()
	e.cfg.Signalling = a.Unmap()
	e.mu.Unlock()
	e.in.mu.Lock()
	e.in.lock.signalling = udp.From(netip.AddrPortFrom(a.Unmap(), 0))
	e.in.mu.Unlock()
}

// Negotiated is what is agreed now, for records.
type Negotiated struct {
	Codec     string // of the audio that we send, as media.Format writes it: PCMU/8000; "" before SDP
	Ptime     int    // ms of a packet to the peer, where the codec is G.711
	Events    bool   // telephone-events are agreed
	Direction sdp.Direction
	Local     netip.AddrPort // as in our SDP
	SRTP      string         // the suite, as RFC 4568 names it; "" = plain RTP
	Remote    netip.AddrPort // where RTP is sent: the SDP's, or the one that the source lock found
}

// Negotiated tells what is agreed now.
func (e *Endpoint) Negotiated() Negotiated {
	a := e.agreed.Load()
	if a == nil {
		return Negotiated{Direction: sdp.Inactive}
	}
	n := a.told
	e.sink.mu.Lock()
	if e.sink.agreed == a && e.sink.target.IsValid() {
		n.Remote = e.sink.target.AddrPort()
	}
	e.sink.mu.Unlock()
	return n
}

// Stats adds one stream for each direction.
func (e *Endpoint) Stats(s *media.Snapshot) {
	in, out := e.in.stats(), e.sink.stats()
	e.control.Stats(&in, &out)
	s.Streams = append(s.Streams, in, out)
	e.in.notes(s)
	e.sink.notes(s)
	if e.video != nil {
		e.video.Stats(s)
	}
}

// Close says RTCP BYE, closes the sockets and gives the ports back, later if the peer still sends. An offer or answer
// that isn't committed can't be any more.
func (e *Endpoint) Close() error {
	e.close.Do(func() {
		e.mu.Lock()
		e.closed = true
		e.offer, e.answer = nil, nil
		e.mu.Unlock()
		e.bye()
		e.sink.shut()
		e.source.Close()
		if e.rtp != nil { // else it never opened
			e.err = errors.Join(e.rtp.Close(), e.rtcp.Close())
		}
		if e.video != nil {
			e.err = errors.Join(e.err, e.video.Close())
		}
	})
	return e.err
}

// rtpHandler and rtcpHandler are the two sockets' views of the endpoint.
type (
	rtpHandler  Endpoint
	rtcpHandler Endpoint
)

func (h *rtpHandler) Datagram(p []byte, from udp.Addr, now int64) {
	(*Endpoint)(h).receive(p, &from, now)
}

// Warm fetches what a packet touches, on its way in and out.
func (h *rtpHandler) Warm() {
	e := (*Endpoint)(h)
	udp.Prefetch(unsafe.Pointer(&e.in), linesIn)
	e.source.Warm()
}

func (h *rtpHandler) Tick(now int64) { (*Endpoint)(h).tick(now) }

func (h *rtcpHandler) Datagram(p []byte, from udp.Addr, now int64) {
	(*Endpoint)(h).receiveControl(p, &from, now, false)
}
func (h *rtcpHandler) Tick(int64) {} // one of the pair's is enough

// tick is called about once a second.
func (e *Endpoint) tick(now int64) {
	a := e.agreed.Load()
	if a == nil {
		return
	}
	e.in.tick(e, now)
	e.report(now)
	if e.pictures != nil {
		e.retell()
		e.askRate(now)
	}
}
