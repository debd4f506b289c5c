package webrtc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// own is the transport of our own stack. Its candidates are the port's addresses: there is nothing to look for.
type own struct {
	port  *Port
	dscp  int
	ice   func() ICE // as it is now
	watch func(candidateFound)

	mu       sync.Mutex
	gathered map[*credentials][]string
	over     chan struct{} // closed
}

func newOwn(p *Port, dscp int, now func() ICE, watch func(candidateFound)) *own {
	o := &own{port: p, dscp: dscp, ice: now, watch: watch, gathered: map[*credentials][]string{}, over: make(chan struct{})}
	close(o.over)
	return o
}

func (o *own) Enroll() (*credentials, error) { return o.port.enroll() }
func (o *own) Lite() bool                    { return !o.port.cfg.Check }

func (o *own) Withdraw(c *credentials) {
	o.port.withdraw(c)
	o.mu.Lock()
	delete(o.gathered, c)
	o.mu.Unlock()
}

func (o *own) Gather(c *credentials) error {
	cfg := o.ice()
	list, err := cfg.filter(o.port.addresses)
	if err != nil {
		return err
	}
	var out []string
	for i, a := range list {
		out = append(out, candidate(i, a))
	}
	o.mu.Lock()
	again := o.gathered[c] != nil
	o.gathered[c] = out
	o.mu.Unlock()
	if again {
		return nil
	}
	for _, v := range out {
		o.watch(candidateFound{c, v})
	}
	o.watch(candidateFound{creds: c})
	return nil
}

func (o *own) Candidates(c *credentials) ([]string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if list := o.gathered[c]; list != nil {
		return list, o.over
	}
	return nil, nil
}

func (o *own) Join(d *deal, r receiver) (line, error) {
	p := &peer{port: o.port, r: r, born: udp.Now(), identity: d.identity, fingerprints: d.theirs.fingerprints, client: d.client}
	p.out.dscp = o.dscp
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	p.tie = binary.BigEndian.Uint64(b[:])
	p.alive, p.end = context.WithCancel(context.Background())
	if err := p.Update(d); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

const (
	maxPaths   = 8  // validated addresses of a peer
	maxSSRCs   = 32 // of a peer, in its life: each has state in the SRTP context
	replayRTP  = 256
	replayRTCP = 64
)

// peer is a line of our own stack.
type peer struct {
	port *Port

	fingerprints []string // of its SDP; they don't change
	identity     *identity
	client       bool // we begin the handshake
	tie          uint64
	seen         atomic.Int64 // the last authenticated check, 0 = none
	alive        context.Context
	end          context.CancelFunc
	work         sync.WaitGroup // the handshake

	// What each packet from the peer touches stands together, see warm.
	mu     sync.Mutex
	closed bool
	r      receiver
	in     atomic.Pointer[srtp.Context] // nil before there are keys; changed under mu
	ssrcs  []uint32
	path   path // where we send; not valid before a check
	header prtp.Header

	now     pairing // ICE's session
	was     pairing // and the one before a restart, until the new one is nominated
	lite    bool    // the peer only answers checks too: we ask
	control bool    // ICE's role is ours
	paths   []path  // validated, the oldest first
	born    int64
	asleep  bool
	shaken  bool   // the handshake has begun
	slot    *slot  // its place, from then on
	keyed   bool   // and has given keys
	inlet   *inlet // while there is DTLS
	state   state
	report  prtcp.Header
	stats   lineStats
	probe   probe

	out struct {
		sync.Mutex
		context *srtp.Context
		path    path
		dscp    int
		quiet   bool // without consent nothing is sent
		window  rtpstream.Once
		header  prtp.Header
		report  prtcp.Header
		reused  uint64
	}
}

// pairing is credentials of both sides.
type pairing struct {
	ours   *credentials
	theirs credentials
}

// Update lets the peer in under the deal's credentials. After a restart the old ones hold until the new are nominated.
func (p *peer) Update(d *deal) error {
	next := pairing{d.ours, credentials{d.theirs.ufrag, d.theirs.pwd}}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return net.ErrClosed
	}
	if p.now == next {
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	if err := p.port.meet(next.ours, next.theirs.ufrag, p); err != nil {
		return err
	}
	p.mu.Lock()
	first := p.now.ours == nil
	gone := p.was
	p.was, p.now = p.now, next
	if gone == next {
		gone = pairing{}
	}
	p.lite, p.control = d.theirs.lite, d.theirs.lite || p.port.cfg.Check && d.offered
	p.probe.to = nil
	p.probe.done = false
	for _, a := range d.theirs.candidates {
		if len(p.probe.to) < maxPaths && p.lite {
			p.probe.to = append(p.probe.to, a)
		}
	}
	p.mu.Unlock()
	if gone.ours != nil {
		p.port.part(gone.ours, gone.theirs.ufrag, p)
	}
	p.r.Network(p, netChecking, PairSelected{})
	if first || d.theirs.lite {
		p.ask()
	}
	return nil
}

// AddCandidate takes a candidate of the peer's, if the peer only answers: else its checks tell where it is.
func (p *peer) AddCandidate(value string) error {
	a, ok := readCandidate(value)
	p.mu.Lock()
	use := ok && p.lite && !p.closed && len(p.probe.to) < maxPaths && !slices.Contains(p.probe.to, a)
	if use {
		p.probe.to = append(p.probe.to, a)
	}
	p.mu.Unlock()
	if use {
		p.ask()
	}
	return nil
}

// datagram takes DTLS and SRTP from an address that a check has vouched for.
func (p *peer) datagram(s *socket, b []byte, from *udp.Addr, now int64) {
	switch {
	case b[0] < 64:
		p.record(b, from)
	case rtpstream.IsControl(b):
		p.openControl(b, now)
	default:
		p.open(s, b, from, now)
	}
}

// live reports whether the peer still shows itself. It takes no lock: another peer asks, under its own.
func (p *peer) live(_ *socket, _ *udp.Addr, now int64) bool {
	return now-p.seen.Load() < int64(p.port.cfg.consent)/2
}

// record takes a DTLS record. The first must be a ClientHello, which begins the handshake if the peer is the client.
func (p *peer) record(b []byte, from *udp.Addr) {
	p.mu.Lock()
	if !p.shaken && !p.client && begins(b) {
		p.shake(from.IP())
	}
	c := p.inlet
	ok := c != nil && len(b) <= udp.MaxDatagram && c.put(b)
	if !ok {
		p.stats.Dropped++
	}
	p.mu.Unlock()
}

// shake begins the handshake, if not too many run: then the peer's next try does. The caller holds mu.
func (p *peer) shake(from netip.Addr) {
	if p.closed {
		return
	}
	x := p.port.handshakes.begin(from, p.alive)
	if x == nil {
		return
	}
	p.shaken, p.slot = true, x
	p.r.Shaking(p)
	p.inlet = newInlet(p)
	c := p.inlet
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		err := p.handshake(c, x, p.client)
		x.end(nil)
		_ = c.Close()
		p.mu.Lock()
		p.inlet = nil
		lost := !p.keyed && !p.closed
		if lost {
			p.state = failed
		}
		p.mu.Unlock()
		p.port.handshakes.done(x)
		if lost {
			p.r.State(p, failed, err)
		}
	}()
}

// install puts the keys in force. That there are keys is told before the first packet can be opened with them, so that nobody
// hears of media first.
func (p *peer) install(in, out *srtp.Context, profile string) {
	p.mu.Lock()
	p.keyed = true
	up := !p.closed
	if up {
		p.out.Lock()
		p.out.context = out
		p.out.Unlock()
	}
	p.mu.Unlock()
	p.port.handshakes.done(p.slot)
	if !up {
		return
	}
	p.r.State(p, connected, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.state = connected
		p.in.Store(in)
		p.stats.Profile, p.stats.SetUp = profile, time.Duration(udp.Now()-p.born)
	}
}

// open decrypts a packet in place and hands it on.
func (p *peer) open(s *socket, b []byte, from *udp.Addr, now int64) {
	p.mu.Lock()
	if p.in.Load() == nil || p.closed { // no keys, no media
		p.stats.Early++
		p.mu.Unlock()
		return
	}
	var h rtpstream.Header
	if !h.Parse(b) || !p.room(h.SSRC) {
		p.stats.Refused++
		p.mu.Unlock()
		return
	}
	q, err := p.in.Load().DecryptRTP(b, b, &p.header)
	if err != nil {
		p.stats.Refused++
		p.mu.Unlock()
		return
	}
	p.met(h.SSRC)
	if p.path.addr != *from || p.path.socket != s {
		p.move(path{s, *from}) // a check vouched for the address, SRTP for the packet: the peer sends from here now
	}
	p.mu.Unlock()
	p.r.Receive(p, q, from.AddrPort(), now)
}

func (p *peer) openControl(b []byte, now int64) {
	p.mu.Lock()
	if p.in.Load() == nil || p.closed {
		p.stats.Early++
		p.mu.Unlock()
		return
	}
	if len(b) < 8 || !p.room(binary.BigEndian.Uint32(b[4:])) {
		p.stats.Refused++
		p.mu.Unlock()
		return
	}
	q, err := p.in.Load().DecryptRTCP(b, b, &p.report)
	if err != nil {
		p.stats.Refused++
		p.mu.Unlock()
		return
	}
	p.met(binary.BigEndian.Uint32(b[4:]))
	p.mu.Unlock()
	p.r.ReceiveControl(p, q, now)
}

// room reports whether packets of an SSRC are looked at.
func (p *peer) room(ssrc uint32) bool {
	return len(p.ssrcs) < maxSSRCs || slices.Contains(p.ssrcs, ssrc)
}

// met notes an authenticated SSRC; the one that speaks stands first.
func (p *peer) met(ssrc uint32) {
	if len(p.ssrcs) > 0 && p.ssrcs[0] == ssrc {
		return
	}
	i := slices.Index(p.ssrcs, ssrc)
	if i < 0 {
		p.ssrcs = append(p.ssrcs, ssrc)
		i = len(p.ssrcs) - 1
	}
	p.ssrcs[0], p.ssrcs[i] = p.ssrcs[i], p.ssrcs[0]
}

// Send encrypts and sends one packet.
func (p *peer) Send(b []byte) error {
	o := &p.out
	o.Lock()
	defer o.Unlock()
	switch {
	case o.context == nil:
		return errNoKeys
	case !o.path.valid() || o.quiet:
		return errNoPath
	case len(b) < rtpstream.HeaderSize:
		return errShort
	case !o.window.Take(binary.BigEndian.Uint16(b[2:])):
		o.reused++
		return ErrReused
	}
	q, err := o.context.EncryptRTP(b, b, &o.header)
	if err != nil {
		return err
	}
	return o.path.socket.udp.WriteMarked(q, &o.path.addr, o.dscp)
}

// SendControl encrypts and sends a compound RTCP packet.
func (p *peer) SendControl(b []byte) error {
	o := &p.out
	o.Lock()
	defer o.Unlock()
	switch {
	case o.context == nil:
		return errNoKeys
	case !o.path.valid() || o.quiet:
		return errNoPath
	}
	q, err := o.context.EncryptRTCP(nil, b, &o.report)
	if err != nil {
		return err
	}
	return o.path.socket.udp.WriteMarked(q, &o.path.addr, o.dscp)
}

// Tick watches the peer's consent, and asks for it where the peer asks nobody.
func (p *peer) Tick(now int64) {
	p.mu.Lock()
	quiet := !p.closed && now-max(p.seen.Load(), p.born) > int64(p.port.cfg.consent)
	lost := p.state == connected && quiet
	if lost {
		p.state = disconnected
	}
	switch {
	case lost:
		p.r.Network(p, netLost, PairSelected{})
	case quiet && !p.path.valid():
		p.r.Network(p, netFailed, PairSelected{})
	}
	again := p.lite && !p.closed && p.probe.done && now-p.seen.Load() > int64(consentEvery)
	p.mu.Unlock()
	if again {
		p.ask()
	}
	if lost {
		p.out.Lock()
		p.out.quiet = true
		p.out.Unlock()
		// The endpoint calls us under its lock, and State asks for another.
		p.r.State(p, disconnected, nil)
	}
}

// Stats are plain values.
func (p *peer) Stats() lineStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.stats
	st.State, st.Asleep, st.LastSeen = p.state, p.asleep, p.seen.Load()
	if p.path.valid() {
		st.Path = p.path.addr.AddrPort()
	}
	p.out.Lock()
	st.Reused = p.out.reused
	p.out.Unlock()
	return st
}

// Close frees credentials, addresses and keys together.
func (p *peer) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	paths, now, was := p.paths, p.now, p.was
	p.paths = nil
	p.in.Store(nil)
	p.probe.stop()
	tid := p.probe.id
	p.mu.Unlock()
	if first {
		p.port.mu.Lock()
		delete(p.port.asked, tid)
		p.port.mu.Unlock()
		for _, a := range paths {
			a.socket.forget(&a.addr, p)
		}
		for _, x := range []pairing{now, was} {
			if x.ours != nil {
				p.port.part(x.ours, x.theirs.ufrag, p)
			}
		}
	}
	p.out.Lock()
	p.out.context, p.out.quiet = nil, true
	p.out.Unlock()
	p.end()
	p.work.Wait()
	return nil
}
