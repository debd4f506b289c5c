package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

// ServerConfig of a server. The zero value is useful.
type ServerConfig struct {
	Log *slog.Logger
	// Authenticate finds out who makes a request; the error is told as it stands, with status 401. nil = whoever comes
	// may do everything, as principal "local" of the tenant "default".
	Authenticate func(*http.Request) (Principal, error)
	// MaxMessage bounds what a client sends at a time, in bytes: 0 = 1 MiB. What is larger ends the connection (1009).
	MaxMessage int
	// MaxQueued bounds what waits to be sent to a client, in bytes: 0 = 4 MiB. Who can't keep up is cut off.
	MaxQueued int
	// MaxQueuedAll bounds what waits to be sent to all clients, in bytes: 0 = 64 MiB. Beyond it those are cut off for whom
	// more than 64 KiB waits. Replies that are kept for who asks again may take as much.
	MaxQueuedAll int
	// MaxConnections and MaxSessions are those of all principals: 0 = 10,000 and 10,000.
	MaxConnections, MaxSessions int
	// Patience is how long a client may take to send the rest of a message, or to take one: 0 = 30 s.
	Patience time.Duration
	// Keep is how long a session without a connection, and what only it refers to, is kept: 0 = 4 minutes.
	Keep time.Duration
}

// Subprotocol is the WebSocket subprotocol that is selected when a client offers it; most offer none.
const Subprotocol = "kurento"

// Bounds in time of what a peer can make us wait for.
const (
	handshakeTimeout = 10 * time.Second
	goodbyeTimeout   = time.Second // for the peer's side of a close that is ours
)

// Server serves the objects of a space to clients over WebSocket. It is an http.Handler: who mounts it guards the Origin.
type Server struct {
	space    *Space
	cfg      ServerConfig
	log      *slog.Logger
	id       string // of this process, as connect tells it
	upgrader websocket.Upgrader
	methods  map[string]*method

	ctx  context.Context // of all requests
	stop context.CancelFunc
	work sync.WaitGroup // connections, workers, the sweeper

	relief *relief // of readers; it goes on until nothing of work is left

	mu         sync.Mutex
	closed     bool
	conns      map[*conn]struct{}
	sessions   map[sessionKey]*session
	principals map[string]*standing

	queued     budget // messages to clients
	remembered budget // replies, for who asks again
	stats      counters
}

// Serve makes a server for the space. It owns a goroutine until it is closed; the space is closed after it.
func (s *Space) Serve(cfg ServerConfig) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	positive := func(v *int, otherwise int) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	positive(&cfg.MaxMessage, 1<<20)
	positive(&cfg.MaxQueued, 4<<20)
	positive(&cfg.MaxQueuedAll, 64<<20)
	positive(&cfg.MaxConnections, 10_000)
	positive(&cfg.MaxSessions, 10_000)
	if cfg.Patience <= 0 {
		cfg.Patience = 30 * time.Second
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 4 * time.Minute
	}
	srv := &Server{space: s, cfg: cfg, log: cfg.Log, id: uuid.NewString(), methods: methods(),
		conns: map[*conn]struct{}{}, sessions: map[sessionKey]*session{}, principals: map[string]*standing{}}
	srv.upgrader = websocket.Upgrader{HandshakeTimeout: handshakeTimeout, Subprotocols: []string{Subprotocol},
		WriteBufferPool: &sync.Pool{}, CheckOrigin: func(*http.Request) bool { return true }}
	srv.queued.most, srv.remembered.most = int64(cfg.MaxQueuedAll), int64(cfg.MaxQueuedAll)
	srv.stats.init(srv.methods)
	srv.ctx, srv.stop = context.WithCancel(context.Background())
	srv.relief = newRelief()
	go srv.relief.run(srv.relieve)
	srv.work.Go(srv.sweep)
	return srv
}

// ServeHTTP upgrades a request to WebSocket and serves the connection until it ends.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		refuse(w, http.StatusUpgradeRequired, "this address speaks WebSocket (RFC 6455)")
		return
	}
	who := Principal{Name: "local", Tenant: "default", Roles: AllRoles}
	if s.cfg.Authenticate != nil {
		var err error
		if who, err = s.cfg.Authenticate(r); err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, err.Error())
			return
		}
	}
	c, err := s.admit(who)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, nil) // which answers when it fails
	if err != nil {
		s.dismiss(c)
		s.log.Debug("no WebSocket", "source", r.RemoteAddr, "err", err)
		return
	}
	s.log.Debug("client connected", "source", r.RemoteAddr, "principal", who.Name)
	c.run(ws)
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why}) // the client is gone: nobody is left to tell
}

// standing is what a principal has now.
type standing struct {
	connections int // guarded by the server's lock, as are the others
	sessions    map[*session]struct{}
	rate        bucket
}

// admit makes a connection that isn't upgraded yet.
func (s *Server) admit(who Principal) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.standing(who.Name)
	switch most := who.Quota.Connections; {
	case s.closed:
		return nil, errors.New("the server is stopping")
	case len(s.conns) >= s.cfg.MaxConnections:
		return nil, fmt.Errorf("there are %d connections already", s.cfg.MaxConnections)
	case most > 0 && p.connections >= most:
		return nil, fmt.Errorf("you have %d connections already", most)
	}
	p.connections++
	c := newConn(s, who, p)
	s.conns[c] = struct{}{}
	s.stats.connected.Add(1)
	s.work.Add(1)
	return c, nil
}

// standing is a principal's, made if need be; s.mu is held.
func (s *Server) standing(name string) *standing {
	p := s.principals[name]
	if p == nil {
		p = &standing{sessions: map[*session]struct{}{}}
		s.principals[name] = p
	}
	return p
}

// dismiss forgets a connection.
func (s *Server) dismiss(c *conn) {
	defer s.work.Done()
	if c.session != nil {
		c.session.unbind(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.standing.connections--
}

// Close refuses new connections, closes those there are with status 1001, and waits until all their requests are done or
// ctx ends. The objects stay: they are the space's. It may be called again.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.end(websocket.CloseGoingAway, "the server is stopping")
	}
	s.mu.Unlock()
	s.stop()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		s.relief.close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close RPC server: requests are still running: %w", ctx.Err())
	}
}

// Stats are counters of a server, since it was made, and what there is now.
type Stats struct {
	Connections int
	Sessions    int
	Objects     int
	Connected   uint64            // connections that were admitted
	Slow        uint64            // clients cut off because they couldn't keep up
	Duplicates  uint64            // requests that weren't executed again
	Events      uint64            // sent to clients
	Requests    map[string]uint64 // by method; "unknown" for others
	Errors      map[Code]uint64   // replies
}

type counters struct {
	connected, slow, duplicates, events atomic.Uint64

	requests map[string]*atomic.Uint64 // not changed after init

	mu     sync.Mutex
	errors map[Code]uint64
}

func (c *counters) init(methods map[string]*method) {
	c.requests, c.errors = map[string]*atomic.Uint64{"unknown": {}}, map[Code]uint64{}
	for name := range methods {
		c.requests[name] = new(atomic.Uint64)
	}
}

func (c *counters) request(name string) {
	n := c.requests[name]
	if n == nil {
		n = c.requests["unknown"]
	}
	n.Add(1)
}

func (c *counters) failed(code Code) {
	c.mu.Lock()
	c.errors[code]++
	c.mu.Unlock()
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	out := Stats{Requests: map[string]uint64{}, Errors: map[Code]uint64{}, Connected: s.stats.connected.Load(),
		Slow: s.stats.slow.Load(), Duplicates: s.stats.duplicates.Load(), Events: s.stats.events.Load()}
	for name, n := range s.stats.requests {
		out.Requests[name] = n.Load()
	}
	s.stats.mu.Lock()
	for code, n := range s.stats.errors {
		out.Errors[code] = n
	}
	s.stats.mu.Unlock()
	s.mu.Lock()
	out.Connections, out.Sessions = len(s.conns), len(s.sessions)
	s.mu.Unlock()
	s.space.mu.RLock()
	out.Objects = len(s.space.objects)
	s.space.mu.RUnlock()
	return out
}
