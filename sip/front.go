package sip

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/dns"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// Reasons why a message went no further, as in FrontStats.Dropped, beside those of package flow.
const (
	DropStranger     = "stranger"           // no UA wants the source
	DropScanner      = "scanner"            // its User-Agent is one of FrontConfig.Scanners
	DropMalformed    = "malformed"          // and couldn't be answered
	DropResponse     = "response_unmatched" // response to nothing of ours
	DropAck          = "ack_unmatched"
	DropOverload     = "overload"    // a bound is reached
	DropSuspect      = "banned"      // too many wrong passwords from the source
	DropFlood        = "flood"       // more than strangers may send
	DropTrunkFlood   = "flood_trunk" // more than a trunk's address may begin
	DropTransactions = "transactions"
)

// Front owns the listening sockets, reads them, drops and counts strangers, and hands each message to the UA it
// belongs to.
type Front struct {
	cfg    FrontConfig
	log    *slog.Logger
	parser *wire.Parser
	serial *flow.Serial
	drops  counters

	mu       sync.RWMutex
	sockets  []*socket
	webs     []*flow.WebSocket
	uas      []*UA
	clients  map[string]*clientTx
	servers  map[string]*answering
	begun    int // of them, those that began something
	merged   map[string]string
	dialogs  map[string]*Dialog // by Call-ID and our tag
	closed   bool
	names    *dns.Resolver
	suspects *suspects
	puzzled  *puzzled
	gate     *gate
	secret   [16]byte // of statelessTag
}

// socket is one bound address.
type socket struct {
	listen Listen // Addr as bound
	udp    *flow.UDP
	tcp    *flow.TCP
	owner  *UA // nil: the Front's
}

// NewFront opens the sockets and begins to receive; without UAs all is dropped.
func NewFront(cfg FrontConfig) (*Front, error) {
	l := &cfg.Limits
	for _, d := range []struct {
		v    *int
		def  int
		name string
	}{
		{&l.MessageBytes, 65535, "MessageBytes"}, {&l.HeaderLines, 128, "HeaderLines"}, {&l.Connections, 4096, "Connections"},
		{&l.ConnectionsPerSource, 64, "ConnectionsPerSource"}, {&l.Transactions, 16384, "Transactions"}, {&l.Dialogs, 8192, "Dialogs"},
		{&l.StrangerMessages, strangerMessages, "StrangerMessages"}, {&l.StrangersMessages, strangersMessages, "StrangersMessages"},
		{&l.TrunkMessages, trunkMessages, "TrunkMessages"},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			return nil, fmt.Errorf("sip: Limits.%s %d: expected a positive number", d.name, *d.v)
		}
	}
	if l.MessageBytes > 65535 {
		return nil, fmt.Errorf("sip: Limits.MessageBytes %d: expected at most 65535", l.MessageBytes)
	}
	for v, def := range map[*time.Duration]time.Duration{&l.FirstMessage: 10 * time.Second, &l.Partial: 10 * time.Second, &l.Idle: 15 * time.Minute} {
		if *v <= 0 {
			*v = def
		}
	}
	for v, def := range map[*time.Duration]time.Duration{&cfg.Ping: 2 * time.Minute, &cfg.Refresh: 29 * time.Second} {
		if *v == 0 {
			*v = def
		}
	}
	if cfg.DSCP < 0 || cfg.DSCP > 63 {
		return nil, fmt.Errorf("sip: FrontConfig.DSCP %d: expected 0 to 63", cfg.DSCP)
	}
	cfg.Timers = cfg.Timers.withDefaults()
	if err := cfg.Timers.check(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Front{
		cfg: cfg, log: cfg.Log,
		parser:  wire.NewParser(wire.Limits{Bytes: l.MessageBytes, Headers: l.HeaderLines}),
		serial:  flow.NewSerial(l.Transactions, 256),
		clients: map[string]*clientTx{}, servers: map[string]*answering{}, merged: map[string]string{}, dialogs: map[string]*Dialog{},
		suspects: newSuspects(), puzzled: newPuzzled(), gate: newGate(l.StrangerMessages, l.StrangersMessages, l.TrunkMessages),
	}
	rand.Read(f.secret[:])
	var err error
	if f.names, err = dns.New(dns.Config{Servers: cfg.DNS, Lookup: cfg.Resolve, Log: cfg.Log}); err != nil {
		return nil, fmt.Errorf("sip: %w", err)
	}
	for _, listen := range cfg.Listen {
		if _, err := f.open(listen, nil); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (f *Front) limits() flow.Limits {
	l := f.cfg.Limits
	return flow.Limits{
		MessageBytes: l.MessageBytes, Connections: l.Connections, PerSource: l.ConnectionsPerSource,
		FirstMessage: l.FirstMessage, Partial: l.Partial, Idle: l.Idle, Ping: max(f.cfg.Ping, 0),
	}
}

// open binds a socket for the Front or for one UA.
func (f *Front) open(l Listen, owner *UA) (*socket, error) {
	s := &socket{listen: l, owner: owner}
	h := &inlet{front: f, owner: owner}
	var err error
	switch l.Network {
	case "udp":
		if s.udp, err = flow.ListenUDP(l.Addr, h, f.limits()); err == nil {
			s.listen.Addr = s.udp.Addr()
		}
	case "tcp":
		if s.tcp, err = flow.ListenTCP(l.Addr, h, f.limits()); err == nil {
			s.listen.Addr = s.tcp.Addr()
		}
	case "tls":
		if s.tcp, err = flow.ListenTLS(l.Addr, f.cfg.TLS, h, f.limits()); err == nil {
			s.listen.Addr = s.tcp.Addr()
		}
	default:
		return nil, fmt.Errorf("sip: Listen.Network %q: expected udp, tcp or tls", l.Network)
	}
	if err == nil {
		err = s.mark(f.cfg.DSCP)
	}
	if err != nil {
		return nil, fmt.Errorf("sip: listen: %w", err)
	}
	f.mu.Lock()
	f.sockets = append(f.sockets, s)
	f.mu.Unlock()
	return s, nil
}

// Addrs are the Front's own sockets as really bound.
func (f *Front) Addrs() []Listen {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var out []Listen
	for _, s := range f.sockets {
		if s.owner == nil {
			out = append(out, s.listen)
		}
	}
	return out
}

// Close ends every UA without hanging up, closes the sockets and awaits all goroutines.
func (f *Front) Close() error {
	f.mu.Lock()
	f.closed = true
	uas, sockets := f.uas, f.sockets
	f.uas, f.sockets = nil, nil
	f.mu.Unlock()
	for _, u := range uas {
		u.Close()
	}
	for _, s := range sockets {
		s.close()
	}
	f.closeWebs()
	f.serial.Close()
	return nil
}

// mark sets the DSCP of what is sent; a socket that can't be marked is closed.
func (s *socket) mark(dscp int) (err error) {
	if s.udp != nil {
		err = s.udp.Mark(dscp)
	} else {
		err = s.tcp.Mark(dscp)
	}
	if err != nil {
		s.close()
	}
	return err
}

func (s *socket) close() {
	if s.udp != nil {
		s.udp.Close()
	}
	if s.tcp != nil {
		s.tcp.Close()
	}
}

func dialogKey(callID, tag string) string { return callID + "\x00" + tag }

func clientKey(branch, method string) string {
	if method == "ACK" {
		method = "INVITE"
	}
	return branch + "|" + method
}

// serverKey is RFC 3261 17.2.3. CANCEL looks for its INVITE elsewhere.
func serverKey(m *wire.Message) string { return m.Key(m.Method) }

func (f *Front) addClient(t *clientTx) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if len(f.clients) >= f.cfg.Limits.Transactions {
		return fmt.Errorf("sip: %d client transactions: %w", len(f.clients), ErrOverloaded)
	}
	f.clients[t.key] = t
	return nil
}

func (f *Front) removeClient(t *clientTx) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.clients[t.key] == t {
		delete(f.clients, t.key)
	}
}

// addServer makes a server transaction, or tells that the request merged with another (RFC 3261 8.2.2.2) or that
// there are too many.
func (f *Front) addServer(u *UA, fl *flow.Flow, m *wire.Message, at time.Time) (t *serverTx, merged bool, err error) {
	t = u.newServerTx(fl, m, newTag(), at)
	if m.To.Tag() == "" && m.Method != "CANCEL" {
		t.merged = strings.Join([]string{m.CallID, m.From.Tag(), strconv.FormatUint(uint64(m.CSeq), 10), m.Method}, "\x00")
	}
	t.begins = m.To.Tag() == "" && m.Method != "CANCEL"
	f.mu.Lock()
	if f.closed || len(f.servers) >= f.cfg.Limits.Transactions || t.begins && f.crowded(u) && !f.urgent(m) {
		f.mu.Unlock()
		return nil, false, ErrOverloaded
	}
	if old := f.servers[t.key]; old != nil { // whoever sent both gave them one branch: the older isn't found any more
		f.leave(old)
	}
	if t.begins {
		f.begun++
		u.begun++
	}
	if t.merged != "" {
		if _, twice := f.merged[t.merged]; twice {
			merged, t.merged = true, ""
		} else {
			f.merged[t.merged] = t.key
		}
	}
	f.servers[t.key] = t.answering
	f.mu.Unlock()
	return t, merged, nil
}

// crowded tells whether a UA's peers must begin nothing more for now: half of all transactions may be such of one UA, three quarters such of all,
// so that a flood at one trunk leaves room to the others, and to what calls still have to say. f.mu is held.
func (f *Front) crowded(u *UA) bool {
	most := f.cfg.Limits.Transactions
	return u.begun >= most-most/2 || f.begun >= most-most/4
}

// leave stops counting a transaction; f.mu is held.
func (f *Front) leave(t *answering) {
	if t.begins {
		t.begins = false
		f.begun--
		t.ua.begun--
	}
}

func (f *Front) urgent(m *wire.Message) bool {
	return m.Method == "INVITE" && f.cfg.Urgent != nil && f.cfg.Urgent(m.URI)
}

func (f *Front) removeServer(t *answering) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.servers[t.key] == t {
		delete(f.servers, t.key)
		f.leave(t)
	}
	if t.merged != "" && f.merged[t.merged] == t.key {
		delete(f.merged, t.merged)
	}
}

func (f *Front) server(key string) *answering {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.servers[key]
}

func (f *Front) dialog(callID, tag string) *Dialog {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.dialogs[dialogKey(callID, tag)]
}

func (f *Front) addDialog(d *Dialog) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := dialogKey(d.callID, d.localTag)
	if f.closed {
		return ErrClosed
	}
	if f.dialogs[key] != nil {
		return fmt.Errorf("sip: dialog %s with tag %s exists", d.callID, d.localTag)
	}
	if n := d.ua.dialogs.Add(1); int(n) > d.ua.maxDialogs {
		d.ua.dialogs.Add(-1)
		return fmt.Errorf("sip: %d dialogs of %s: %w", n-1, d.ua.cfg.Name, ErrOverloaded)
	}
	f.dialogs[key] = d
	return nil
}

func (f *Front) removeDialog(d *Dialog) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if key := dialogKey(d.callID, d.localTag); f.dialogs[key] == d {
		delete(f.dialogs, key)
	}
}

func (f *Front) trace(in bool, u *UA, fl *flow.Flow, data []byte) {
	if f.cfg.Trace != nil {
		f.cfg.Trace(in, u.cfg.Name, fl.Network(), fl.Local(), fl.Remote(), data)
	}
}
