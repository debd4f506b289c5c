package flow

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// subprotocol is what both sides of SIP over WebSocket must name (RFC 7118 4).
const subprotocol = "sip"

const (
	handshakeTimeout = 10 * time.Second
	controlTimeout   = time.Second // a ping, pong or close frame that can't be written by then isn't
	goodbyeTimeout   = 2 * time.Second
	defaultPing      = 30 * time.Second
	defaultPerSource = 1024
)

// WebSocketConfig are the settings of a WebSocket. Zero values mean the defaults.
type WebSocketConfig struct {
	// Origin tells whether a page of the request's Origin may connect. nil: only pages of the same host and port.
	Origin func(*http.Request) bool
	// Connections are open at once; default Limits.Connections. When all are taken a new one takes the place of the
	// oldest that isn't trusted; if there is none it is refused.
	Connections int
	// PerSource of them come from one address, a quarter of them not trusted; default 1024, since a whole office may
	// stand behind one. The newest take the place of the oldest that aren't trusted.
	PerSource int
	// Ping is how often a peer is asked for a sign of life; default 30 s. One that gives none three times is gone.
	Ping time.Duration
}

// WebSocket is SIP over WebSocket (RFC 7118): an http.Handler that upgrades requests, and the connections it made.
// net/http gives each handshake a goroutine and deadlines of its own, so one that stalls keeps nobody waiting.
type WebSocket struct {
	cfg      WebSocketConfig
	h        Handler
	lim      Limits
	upgrader websocket.Upgrader
	work     sync.WaitGroup

	mu     sync.Mutex
	flows  map[*Flow]time.Time // since when
	source map[netip.Addr]int  // those being upgraded included
	total  int
	closed bool
}

// NewWebSocket makes the handler. Limits.Connections and Limits.PerSource give way to those of cfg.
func NewWebSocket(h Handler, lim Limits, cfg WebSocketConfig) *WebSocket {
	if cfg.Connections <= 0 {
		cfg.Connections = lim.Connections
	}
	if cfg.PerSource <= 0 {
		cfg.PerSource = defaultPerSource
	}
	if cfg.Ping <= 0 {
		cfg.Ping = defaultPing
	}
	return &WebSocket{
		cfg: cfg, h: h, lim: lim, flows: map[*Flow]time.Time{}, source: map[netip.Addr]int{},
		// A pool for writing, since most connections are silent most of the time.
		upgrader: websocket.Upgrader{
			HandshakeTimeout: handshakeTimeout, ReadBufferSize: 2048, WriteBufferSize: 4096, WriteBufferPool: &sync.Pool{},
			Subprotocols: []string{subprotocol}, CheckOrigin: cfg.Origin,
			Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
				http.Error(w, reason.Error(), status)
			},
		},
	}
}

// ServeHTTP upgrades the request. It returns at once: the connection has goroutines of its own.
func (s *WebSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		// A browser isn't told why its WebSocket was refused: a page asks here.
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && s.full(from.Addr().Unmap()) {
			refuseFull(w)
			return
		}
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, "this is SIP over WebSocket (RFC 7118): expected an upgrade to websocket", http.StatusUpgradeRequired)
		return
	}
	if !offers(r, subprotocol) {
		s.h.Dropped(DropSubprotocol)
		http.Error(w, "Sec-WebSocket-Protocol: expected sip (RFC 7118)", http.StatusBadRequest)
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, "the peer has no address", http.StatusInternalServerError)
		return
	}
	source := from.Addr().Unmap()
	if reason := s.admit(source); reason != "" {
		s.h.Dropped(reason)
		refuseFull(w)
		return
	}
	c, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil { // Upgrade has answered
		s.h.Dropped(DropHandshake)
		s.release(source)
		return
	}
	name := "ws"
	if r.TLS != nil {
		name = "wss"
	}
	s.begin(newWeb(c, name, true, s.cfg.Ping))
}

func refuseFull(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "10")
	http.Error(w, "too many connections", http.StatusServiceUnavailable)
}

// full tells whether a connection from there would be refused: at a limit where nobody makes room.
func (s *WebSocket) full(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source[from] >= s.cfg.PerSource {
		if _, n := s.oldest(func(f *Flow) bool { return f.remote.Addr() == from }); n == 0 {
			return true
		}
	}
	if s.total >= s.cfg.Connections {
		if _, n := s.oldest(func(*Flow) bool { return true }); n == 0 {
			return true
		}
	}
	return s.closed
}

func offers(r *http.Request, protocol string) bool {
	for _, p := range websocket.Subprotocols(r) {
		if p == protocol {
			return true
		}
	}
	return false
}

// admit counts a connection to be; at a limit the oldest that isn't trusted makes room.
func (s *WebSocket) admit(from netip.Addr) (reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return DropTotal
	}
	strangers := max(1, s.cfg.PerSource/4)
	if s.source[from] >= strangers {
		oldest, n := s.oldest(func(f *Flow) bool { return f.remote.Addr() == from })
		if n >= strangers || n > 0 && s.source[from] >= s.cfg.PerSource {
			s.push(oldest)
		}
		if s.source[from] >= s.cfg.PerSource {
			return DropSource
		}
	}
	if s.total >= s.cfg.Connections {
		oldest, n := s.oldest(func(*Flow) bool { return true })
		if n == 0 {
			return DropTotal
		}
		s.push(oldest)
	}
	s.source[from]++
	s.total++
	return ""
}

// oldest finds the oldest of those that fit and aren't trusted, and counts them; s.mu is held.
func (s *WebSocket) oldest(fits func(*Flow) bool) (oldest *Flow, n int) {
	for f, since := range s.flows {
		if f.trusted.Load() || !fits(f) {
			continue
		}
		if n++; oldest == nil || since.Before(s.flows[oldest]) {
			oldest = f
		}
	}
	return oldest, n
}

// push ends a connection that makes room; s.mu is held.
func (s *WebSocket) push(f *Flow) {
	s.forget(f)
	f.shut()
	s.h.Dropped(DropPushed)
}

// forget uncounts a connection; s.mu is held.
func (s *WebSocket) forget(f *Flow) {
	if _, ok := s.flows[f]; ok {
		delete(s.flows, f)
		s.uncount(f.remote.Addr())
	}
}

func (s *WebSocket) uncount(from netip.Addr) {
	s.total--
	if s.source[from]--; s.source[from] <= 0 {
		delete(s.source, from)
	}
}

func (s *WebSocket) release(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uncount(from)
}

func (s *WebSocket) begin(f *Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.uncount(f.remote.Addr())
		f.shut()
		return
	}
	s.flows[f] = time.Now()
	s.work.Go(func() { f.write(s.h, 0) })
	s.work.Go(func() {
		f.readFrames(s.h, s.lim)
		s.mu.Lock()
		s.forget(f)
		s.mu.Unlock()
	})
}

// Connections counts the open connections.
func (s *WebSocket) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flows)
}

// Close refuses new connections, says goodbye to the open ones and awaits their end. It takes 2 s at most.
func (s *WebSocket) Close() error {
	s.mu.Lock()
	s.closed = true
	for f := range s.flows {
		f.Finish()
	}
	s.mu.Unlock()
	hard := time.AfterFunc(goodbyeTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for f := range s.flows {
			f.shut()
		}
	})
	defer hard.Stop()
	s.work.Wait()
	return nil
}
