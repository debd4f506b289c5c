package webrtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media/udp"
)

// agent is one ICE session of ours with full checks: pion's agent, for one pair of credentials, on the shared port. What
// isn't the agent's never gets there: a request must know its password, all else must come from where the agent has sent a
// check or had one from. Media and DTLS pass it by; only what a TURN server relays comes out of it.
type agent struct {
	agentPaths
	port  *Port
	creds *credentials
	cfg   ICE
	dscp  int // of what is sent over UDP; set before anything is
	watch func(found candidateFound)
	ice   *ice.Agent
	conns map[*socket]*agentConn
	tcp   []*streamConn // one for each address of ours
	work  sync.WaitGroup
	done  chan struct{} // closed when gathering is

	mu     sync.Mutex
	theirs string // the peer's ufrag, once it is let in
	line   *pionLine
	conn   *ice.Conn
	list   []string // candidates found, as in SDP
	begun  bool     // gathering
	over   bool     // and is over
	owned  bool     // by a line
	once   sync.Once
	err    error
}

// candidateFound is one candidate of ours, or the end of them.
type candidateFound struct {
	creds *credentials
	value string // as behind a=candidate: in SDP; "" = there are no more
}

func newAgent(p *Port, c *credentials, cfg ICE, log *slog.Logger, watch func(candidateFound)) (*agent, error) {
	a := &agent{port: p, creds: c, cfg: cfg, watch: watch, conns: map[*socket]*agentConn{}, done: make(chan struct{})}
	for _, s := range p.sockets {
		a.conns[s] = newAgentConn(a, s)
	}
	servers, err := cfg.servers()
	if err != nil {
		return nil, err
	}
	mux := &agentMux{a}
	options := []ice.AgentOption{
		ice.WithLocalCredentials(c.ufrag, c.pwd), ice.WithUrls(servers), ice.WithLoggerFactory(pionLog{to: log}),
		ice.WithUDPMux(mux), ice.WithUDPMuxSrflx(&mappedMux{mux}), ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6, ice.NetworkTypeTCP4, ice.NetworkTypeTCP6}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost, ice.CandidateTypeServerReflexive, ice.CandidateTypeRelay}),
		ice.WithInterfaceFilter(cfg.allows), ice.WithIncludeLoopback(), ice.WithDisableActiveTCP(),
		ice.WithDisconnectedTimeout(p.cfg.consent / 3), ice.WithFailedTimeout(p.cfg.consent), ice.WithKeepaliveInterval(2 * time.Second),
		ice.WithHostAcceptanceMinWait(0), ice.WithSTUNGatherTimeout(3 * time.Second),
	}
	if len(cfg.Foreign) > 0 {
		n, err := newForeignNet(p, cfg.Foreign)
		if err != nil {
			return nil, err
		}
		options = append(options, ice.WithNet(n))
	}
	a.ice, err = ice.NewAgentWithOptions(options...)
	if err != nil {
		return nil, fmt.Errorf("webrtc: make ICE agent: %w", err)
	}
	if err := errors.Join(a.ice.OnCandidate(a.candidate), a.ice.OnConnectionStateChange(a.changed),
		a.ice.OnSelectedCandidatePairChange(func(ice.Candidate, ice.Candidate) { a.changed(ice.ConnectionStateConnected) })); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// gather begins to look for candidates, once.
func (a *agent) gather() error {
	a.mu.Lock()
	begun := a.begun
	a.begun = true
	a.mu.Unlock()
	if begun {
		return nil
	}
	if err := a.listen(); err != nil {
		return err
	}
	if err := a.ice.GatherCandidates(); err != nil {
		return fmt.Errorf("webrtc: gather candidates: %w", err)
	}
	return nil
}

// listen adds the candidates of TCP: passive ones (RFC 6544 4.1), for whom the port listens.
func (a *agent) listen() error {
	if a.cfg.NoTCP {
		return nil
	}
	list, err := a.cfg.filter(a.port.streamAddresses)
	if err != nil {
		return err
	}
	for _, at := range list {
		c, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
			Network: "tcp", Address: at.Addr().String(), Port: int(at.Port()), Component: ice.ComponentRTP, TCPType: ice.TCPTypePassive,
		})
		if err != nil {
			return fmt.Errorf("webrtc: candidate of %s: %w", at, err)
		}
		s := newStreamConn(a, at)
		a.mu.Lock()
		a.tcp = append(a.tcp, s)
		a.mu.Unlock()
		if err := a.ice.AddVirtualCandidate(c, s); err != nil {
			return errors.Join(fmt.Errorf("webrtc: candidate of %s: %w", at, err), s.Close())
		}
	}
	return nil
}

// candidate takes what the agent found, one at a time; nil is the end.
func (a *agent) candidate(c ice.Candidate) {
	value := ""
	if c != nil {
		value = c.Marshal()
	}
	a.mu.Lock()
	last := c == nil && !a.over
	if c == nil {
		a.over = true
	} else {
		a.list = append(a.list, value)
	}
	a.mu.Unlock()
	if c != nil || last {
		a.watch(candidateFound{a.creds, value})
	}
	if last {
		close(a.done)
	}
}

// candidates are those found so far, as in SDP.
func (a *agent) candidates() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

// take gives the agent to a line, once.
func (a *agent) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	had := a.owned
	a.owned = true
	return !had
}

func (a *agent) taken() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.owned
}

// where is the peer's address: where media came from last, or the end of the path that is selected.
func (a *agent) where() netip.AddrPort {
	if at := a.latest(); at.IsValid() {
		return at
	}
	if _, remote, ok := a.pair(); ok {
		if at, err := netip.ParseAddr(remote.Address()); err == nil {
			return netip.AddrPortFrom(at.Unmap(), uint16(remote.Port()))
		}
	}
	return netip.AddrPort{}
}

// start lets a peer in and begins to check.
func (a *agent) start(l *pionLine, d *deal) error {
	if err := a.port.meet(d.ours, d.theirs.ufrag, a); err != nil {
		return err
	}
	a.mu.Lock()
	a.line, a.theirs = l, d.theirs.ufrag
	a.mu.Unlock()
	if err := a.ice.SetRemoteICELite(d.theirs.lite); err != nil {
		return err
	}
	for _, c := range d.theirs.lines {
		_ = a.add(c) // what can't be read is none of ours to refuse: the others may do
	}
	begin := a.ice.StartAccept
	if d.offered || d.theirs.lite {
		begin = a.ice.StartDial
	}
	conn, err := begin(d.theirs.ufrag, d.theirs.pwd)
	if err != nil {
		return fmt.Errorf("webrtc: start checks: %w", err)
	}
	a.mu.Lock()
	a.conn = conn
	a.mu.Unlock()
	a.work.Go(func() { // what a TURN server relays
		for b := make([]byte, udp.MaxDatagram); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			l.came.Add(uint64(n))
			l.inner.put(b[:n])
		}
	})
	return nil
}

// add takes a candidate of the peer's.
func (a *agent) add(value string) error {
	c, err := ice.UnmarshalCandidate(value)
	if err != nil {
		return err
	}
	return a.ice.AddRemoteCandidate(c)
}

// changed takes the agent's state, on goroutines of its own.
func (a *agent) changed(s ice.ConnectionState) {
	a.mu.Lock()
	l := a.line
	a.mu.Unlock()
	if l != nil {
		l.network(a, s)
	}
}

// pair is what is used now, as in SDP; not ok before a path is found.
func (a *agent) pair() (local, remote ice.Candidate, ok bool) {
	p, err := a.ice.GetSelectedCandidatePair()
	if err != nil || p == nil {
		return nil, nil, false
	}
	return p.Local, p.Remote, true
}

// delay is the round trip of the last check on the path that is used; 0 = not known.
func (a *agent) delay() time.Duration {
	p, ok := a.ice.GetSelectedCandidatePairStats()
	if !ok {
		return 0
	}
	return time.Duration(p.CurrentRoundTripTime * float64(time.Second))
}

// Write sends DTLS, SRTP or SRTCP on the path that is selected.
func (a *agent) Write(b []byte) error {
	a.mu.Lock()
	c := a.conn
	a.mu.Unlock()
	if c == nil {
		return errNoPath
	}
	_, err := c.Write(b)
	return err
}

// Close ends the agent and awaits its goroutines; twice is as good as once.
func (a *agent) Close() error {
	a.once.Do(func() {
		a.mu.Lock()
		theirs := a.theirs
		a.line = nil
		a.mu.Unlock()
		if theirs != "" {
			a.port.part(a.creds, theirs, a)
		}
		a.err = a.ice.GracefulClose()
		a.work.Wait()
		a.forget(a)
		for _, c := range a.conns {
			_ = c.Close()
		}
		a.mu.Lock()
		streams := a.tcp
		a.mu.Unlock()
		for _, s := range streams {
			s.shut()
		}
	})
	return a.err
}

const (
	agentPathsMax = 64  // addresses of an agent's peer
	agentQueue    = 128 // datagrams that wait to be read
)

// agentPaths are the addresses of an agent's peer.
type agentPaths struct {
	seen  atomic.Int64  // when something last came
	asked atomic.Uint64 // checks of the peer's
	last  atomic.Pointer[netip.AddrPort]

	paths struct {
		sync.Mutex
		list []path
		done bool
	}
}

// learn notes an address, if there is room for it.
func (a *agentPaths) learn(o party, s *socket, addr *udp.Addr, now int64) bool {
	p := &a.paths
	p.Lock()
	defer p.Unlock()
	at := path{s, *addr}
	for i := range p.list {
		if p.list[i] == at {
			return true
		}
	}
	if p.done || len(p.list) == agentPathsMax || !s.learn(addr, o, now) {
		return false
	}
	p.list = append(p.list, at)
	return true
}

func (a *agentPaths) forget(o party) {
	p := &a.paths
	p.Lock()
	defer p.Unlock()
	for _, at := range p.list {
		at.socket.forget(&at.addr, o)
	}
	p.list, p.done = nil, true
}

// latest is where media came from last.
func (a *agentPaths) latest() netip.AddrPort {
	if at := a.last.Load(); at != nil {
		return *at
	}
	return netip.AddrPort{}
}

func (a *agentPaths) came(from netip.AddrPort) {
	if at := a.last.Load(); at == nil || *at != from {
		a.last.Store(&from)
	}
}

// check takes an authenticated request, which pion's agent answers.
func (a *agent) check(s *socket, _ *user, _ *stun.Message, raw []byte, from *udp.Addr, now int64) verdictOfCheck {
	if a.learn(a, s, from, now) {
		a.asked.Add(1)
		a.seen.Store(now)
		a.conns[s].put(raw, from)
	}
	return ignore
}

// datagram takes what comes from the peer's addresses: STUN's answers are the agent's, all else the line's.
func (a *agent) datagram(s *socket, p []byte, from *udp.Addr, now int64) {
	a.seen.Store(now)
	if p[0] < 4 {
		a.conns[s].put(p, from)
		return
	}
	a.media(p, from.AddrPort())
}

func (a *agent) media(p []byte, from netip.AddrPort) {
	a.mu.Lock()
	l := a.line
	a.mu.Unlock()
	if l == nil {
		return
	}
	if p[0] >= 128 {
		a.came(from)
	}
	l.came.Add(uint64(len(p)))
	l.inner.put(p)
}

// warm does nothing: pion's side of it has queues and goroutines of its own.
func (a *agent) warm(int) {}

func (a *agent) live(_ *socket, _ *udp.Addr, now int64) bool {
	return now-a.seen.Load() < int64(a.port.cfg.consent)/2
}
