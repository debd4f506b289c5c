package webrtc

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	prtcp "github.com/pion/rtcp"
	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// pion is the transport of pion's PeerConnection, with full ICE: its candidates are the shared port's, over UDP and TCP, and
// those of STUN and TURN servers. SDP stays the endpoint's: a PeerConnection has our certificate, is told what the two
// descriptions come to, and its own words never leave the process. ICE is a layer of its own below it (agent.go, inner.go):
// so one offer can have several answers here too, an answer can be taken back, and an ICE restart changes paths without a gap.
type pion struct {
	port  *Port
	dscp  int // of what agents send
	log   *slog.Logger
	ice   func() ICE // as it is now
	watch func(candidateFound)

	mu     sync.Mutex
	agents map[*credentials]*agent // that have no peer yet
}

func newPion(p *Port, dscp int, log *slog.Logger, now func() ICE, watch func(candidateFound)) *pion {
	return &pion{port: p, dscp: dscp, log: log, ice: now, watch: watch, agents: map[*credentials]*agent{}}
}

// Enroll makes credentials, and the agent that has them.
func (t *pion) Enroll() (*credentials, error) {
	c, err := t.port.enroll()
	if err != nil {
		return nil, err
	}
	a, err := newAgent(t.port, c, t.ice(), t.log, t.watch)
	if err != nil {
		t.port.withdraw(c)
		return nil, err
	}
	a.dscp = t.dscp
	t.mu.Lock()
	t.agents[c] = a
	t.mu.Unlock()
	return c, nil
}

func (t *pion) Withdraw(c *credentials) {
	t.port.withdraw(c)
	t.mu.Lock()
	a := t.agents[c]
	delete(t.agents, c)
	t.mu.Unlock()
	if a != nil && !a.taken() {
		_ = a.Close() // it was never used
	}
}

func (t *pion) Lite() bool { return false }

func (t *pion) Gather(c *credentials) error {
	if a := t.agent(c); a != nil {
		return a.gather()
	}
	return nil
}

func (t *pion) Candidates(c *credentials) (list []string, over <-chan struct{}) {
	a := t.agent(c)
	if a == nil {
		return nil, nil
	}
	return a.candidates(), a.done
}

func (t *pion) agent(c *credentials) *agent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.agents[c]
}

// take gives the agent of credentials to a line. The second answer to one offer, and a rollback to what was withdrawn, get
// another with the same credentials, whose candidates nobody is told.
func (t *pion) take(c *credentials) (*agent, error) {
	if a := t.agent(c); a != nil && a.take() {
		return a, nil
	}
	a, err := newAgent(t.port, c, t.ice(), t.log, func(candidateFound) {})
	if err != nil {
		return nil, err
	}
	a.dscp = t.dscp
	a.take()
	if err := a.gather(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (t *pion) Join(d *deal, r receiver) (line, error) {
	l := &pionLine{transport: t, port: t.port, r: r, born: udp.Now(), deal: d, drained: make(chan struct{})}
	l.ring.init()
	l.lane.init()
	l.inner = newInner(l.leave, l.dropped, d.scene != nil)
	l.work.Go(func() {
		defer close(l.drained)
		l.ring.drain(l.write)
	})
	if err := l.Update(d); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// pionLine is a line that a PeerConnection serves.
type pionLine struct {
	transport *pion
	port      *Port
	r         receiver
	born      int64
	deal      *deal // the first: what the PeerConnection is told doesn't change
	inner     *inner
	track     pionTrack
	pictures  pionTrack
	lane      lane          // what pictures sends
	nacks     atomic.Uint64 // requests of ours for lost packets
	sent      atomic.Uint64 // bytes
	came      atomic.Uint64
	ring      ring
	drained   chan struct{}
	work      sync.WaitGroup
	starting  sync.WaitGroup
	out       atomic.Pointer[agent] // what has a path

	mu     sync.Mutex
	now    *pionSession // ICE's
	was    *pionSession // and the one before a restart, until the new one has a path
	pc     *pwebrtc.PeerConnection
	stats  lineStats
	window rtpstream.Once
	begun  bool // the PeerConnection is made
	closed bool
	once   sync.Once
	err    error
}

// Update lets the peer in under the deal's credentials. After a restart the old paths are used until there is a new one.
func (l *pionLine) Update(d *deal) error {
	next := pairing{d.ours, credentials{d.theirs.ufrag, d.theirs.pwd}}
	l.mu.Lock()
	now, was := l.now, l.was
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	switch {
	case now != nil && now.pairing == next:
		l.mu.Unlock()
		for _, c := range d.theirs.lines {
			_ = now.agent.add(c) // as in start
		}
		return nil
	case was != nil && was.pairing == next: // the restart is taken back
		l.now, l.was = was, nil
		l.mu.Unlock()
		return now.agent.Close()
	}
	l.mu.Unlock()
	a, err := l.transport.take(d.ours)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.now, l.was = &pionSession{next, a}, now
	l.mu.Unlock()
	l.r.Network(l, netChecking, PairSelected{})
	if was != nil {
		err = was.agent.Close()
	}
	return errors.Join(err, a.start(l, d))
}

// AddCandidate takes one of the peer's.
func (l *pionLine) AddCandidate(value string) error {
	l.mu.Lock()
	now := l.now
	l.mu.Unlock()
	if now == nil {
		return net.ErrClosed
	}
	return now.agent.add(value)
}

// network takes an agent's state, on goroutines of pion's.
func (l *pionLine) network(a *agent, s ice.ConnectionState) {
	l.mu.Lock()
	if l.closed || l.now == nil || l.now.agent != a {
		l.mu.Unlock()
		return
	}
	var told step
	var pair PairSelected
	from := l.stats.State
	switch s {
	case ice.ConnectionStateConnected, ice.ConnectionStateCompleted:
		local, remote, ok := a.pair()
		if !ok {
			l.mu.Unlock()
			return
		}
		told, pair = netFound, PairSelected{"candidate:" + local.Marshal(), "candidate:" + remote.Marshal()}
		l.connected(a)
	case ice.ConnectionStateDisconnected:
		told = netLost
	case ice.ConnectionStateFailed:
		told = netFailed
		if l.stats.State = failed; l.stats.SetUp != 0 {
			l.stats.State = disconnected
		}
	default:
		l.mu.Unlock()
		return
	}
	now := l.stats.State
	l.mu.Unlock()
	l.r.Network(l, told, pair)
	if told == netFailed && from != now {
		var why error
		if now == failed {
			why = errors.New("webrtc: no path to the peer")
		}
		l.r.State(l, now, why)
	}
}

// connected puts an agent in force. The first has the PeerConnection made. The caller holds mu.
func (l *pionLine) connected(a *agent) {
	l.out.Store(a)
	if old := l.was; old != nil {
		l.was = nil
		l.work.Go(func() { _ = old.agent.Close() }) // what it says is of no interest any more
	}
	if l.stats.State == disconnected {
		l.stats.State = connected
	}
	if !l.begun {
		l.begun = true
		l.starting.Go(l.begin)
	}
}

// leave sends what the PeerConnection has for the network.
func (l *pionLine) leave(b []byte) error {
	if a := l.out.Load(); a != nil {
		l.sent.Add(uint64(len(b)))
		return a.Write(b)
	}
	return errNoPath
}

func (l *pionLine) dropped() {
	l.mu.Lock()
	l.stats.Dropped++
	l.mu.Unlock()
}

// from is where the peer is.
func (l *pionLine) from() netip.AddrPort {
	if a := l.out.Load(); a != nil {
		return a.where()
	}
	return netip.AddrPort{}
}

// Send hands a packet on to the PeerConnection, whose locks and allocations are none of the packet path's.
func (l *pionLine) Send(b []byte) error {
	if len(b) < rtpstream.HeaderSize {
		return errShort
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed || l.stats.State != connected:
		return errNoKeys
	case !l.window.Take(binary.BigEndian.Uint16(b[2:])):
		l.stats.Reused++
		return ErrReused
	}
	if l.ring.put(b) {
		return udp.ErrFull // an earlier one's
	}
	return nil
}

// SendControl hands reports to the PeerConnection, behind the packets that wait.
func (l *pionLine) SendControl(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.stats.State != connected {
		return errNoKeys
	}
	if len(b) > ringSlot {
		return errLong
	}
	if l.ring.put(b) {
		return udp.ErrFull
	}
	return nil
}

// write hands the PeerConnection what has waited. What can't be sent is lost, as on a network: the state tells why.
func (l *pionLine) write(b []byte) {
	if !rtpstream.IsControl(b) {
		l.track.write(b)
		return
	}
	if list, err := prtcp.Unmarshal(b); err == nil {
		_ = l.pc.WriteRTCP(list)
	}
}

// Tick does nothing: the agent asks for consent by itself.
func (l *pionLine) Tick(int64) {}

// Stats are plain values.
func (l *pionLine) Stats() lineStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.stats
	if a := l.out.Load(); a != nil {
		st.Path, st.LastSeen, st.Checks, st.RTT = a.where(), a.seen.Load(), a.asked.Load(), a.delay()
	}
	st.Sent, st.Came = l.sent.Load(), l.came.Load()
	return st
}

// Close ends the PeerConnection and its network, and awaits their goroutines.
func (l *pionLine) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.lane.close()
		l.ring.close() // a last BYE goes out
		select {
		case <-l.drained:
		case <-time.After(time.Second): // a server of TURN that doesn't read
		}
		l.starting.Wait()
		l.mu.Lock()
		pc, now, was := l.pc, l.now, l.was
		l.mu.Unlock()
		if pc != nil {
			l.err = pc.GracefulClose()
		}
		_ = l.inner.Close()
		for _, s := range []*pionSession{now, was} {
			if s != nil {
				l.err = errors.Join(l.err, s.agent.Close())
			}
		}
		l.work.Wait()
	})
	return l.err
}
