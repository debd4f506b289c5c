package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/cmd/patchbay/telephony"
	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/opus"
	"github.com/patchbay/patchbay/media/resample"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/uri"
	"github.com/patchbay/patchbay/media/webrtc"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/web"
)

// server is the running process: everything that wire put together.
type server struct {
	cfg          Config
	log          *slog.Logger
	store        *billing.Store
	net          *udp.Net
	clock        *media.Clock
	registry     *media.Registry
	files        *uri.Opener
	posts        posts        // where programs' media is posted to
	browsers     *webrtc.Port // nil: browsers can't call
	front        *sip.Front
	gateway      *gateway.Gateway
	space        *rpc.Space // what RPC clients have made
	rpc          *rpc.Server
	rtpShare     share // of media ports, and of the endpoints of browsers' port: what RPC clients take
	webShare     share
	telephony    *telephony.Telephony
	streams      *streams // nil: not yet
	plain        net.Listener
	secure       net.Listener
	certificates *certificates
	past         *past
	reports      *reports
	me           *me
	access       *access
	http         *http.Server

	recovering sync.WaitGroup
}

// wire makes the process from its settings, bottom to top; an error leaves nothing running.
func wire(ctx context.Context, cfg Config, log *slog.Logger) (_ *server, err error) {
	s := &server{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	if s.plain, err = listen("http.listen", cfg.HTTP.Listen); err != nil {
		return nil, err
	}
	if s.secure, err = listen("https.listen", cfg.HTTPS.Listen); err != nil {
		return nil, err
	}
	if s.certificates, err = openCertificates(cfg, log); err != nil {
		return nil, err
	}
	kept := cfg.billing(log)
	if kept.Rating, err = cfg.rating(); err != nil {
		return nil, err
	}
	if err := cfg.tell(&kept); err != nil {
		return nil, err
	}
	if s.store, err = billing.Open(ctx, kept); err != nil {
		return nil, err
	}
	if s.net, err = udp.New(udp.Config{Log: log, DSCP: cfg.Media.DSCP}); err != nil {
		return nil, err
	}
	s.clock = media.NewClock()
	s.registry = media.NewRegistry()
	s.registry.Register(g711.Conversions()...)
	s.registry.Register(opus.Conversions()...)
	s.registry.Register(resample.Conversions()...)
	s.files = cfg.opener(log)
	if s.browsers, err = cfg.browsers(s.net, log); err != nil {
		return nil, fmt.Errorf("media.webrtc.port: %w", err)
	}
	fc, err := cfg.front(log)
	if err != nil {
		return nil, err
	}
	carriers := map[string]*trunkTLS{}
	for _, t := range cfg.Trunks {
		if t.Transport == "tls" {
			if carriers[t.ID], err = newTrunkTLS(t, log); err != nil {
				return nil, err
			}
		}
	}
	fc.TLS = sipTLS(s.certificates.config(), slices.Collect(maps.Values(carriers)))
	if s.front, err = sip.NewFront(fc); err != nil {
		return nil, err
	}
	gc, err := cfg.gateway(log)
	if err != nil {
		return nil, err
	}
	gc.Journal, gc.Front = s.store, s.front
	if len(cfg.Tariffs) > 0 {
		gc.Charger, gc.Rates = charger{s.store}, charger{s.store}
		if cfg.Rating.Loss == "refuse" {
			gc.Margins = charger{s.store}
		}
	}
	gc.Media.Net, gc.Media.Clock, gc.Media.Registry = s.net, s.clock, s.registry
	gc.Media.WebRTC = s.browsers
	for i := range gc.Trunks {
		if x := carriers[gc.Trunks[i].ID]; x != nil {
			gc.Trunks[i].TLS, gc.Trunks[i].Clients, gc.Trunks[i].Trusts = x.client, x.set.Clients, x.trusts
		}
	}
	if s.gateway, err = gateway.New(gc); err != nil {
		return nil, err
	}
	if err := s.serveRPC(); err != nil {
		return nil, err
	}
	if err := s.serveStreams(); err != nil {
		return nil, err
	}
	s.past = newPast(cfg.billing(log))
	s.reports = newReports(cfg.billing(log), log)
	if s.me, err = newMe(cfg, s.past, log); err != nil {
		return nil, err
	}
	if s.access, err = newAccess(cfg, log); err != nil {
		return nil, err
	}
	s.http = s.handlers()
	return s, nil
}

// startRecovery closes the calls that the process before this one left open.
func (s *server) startRecovery(ctx context.Context) {
	open := s.store.Unfinished()
	if len(open) == 0 {
		return
	}
	s.log.Warn("recovering calls of a process that died", "calls", len(open))
	s.recovering.Go(func() {
		if err := s.gateway.Recover(context.WithoutCancel(ctx), open, s.store.LastSign); err != nil {
			s.log.Error("recovery", "err", err)
			return
		}
		s.log.Info("recovery done", "calls", len(open))
	})
}

func (c Config) billing(log *slog.Logger) billing.Config {
	return billing.Config{Dir: c.Billing.Dir, Database: string(c.Billing.Database), Node: c.Node.Name, Log: log,
		Rating: billing.Rating{Currency: c.Rating.Currency}, CommitWarn: c.Billing.Stall, Reserve: int64(c.Billing.Reserve), MinFree: int64(c.Billing.MinFree),
		Retention: billing.Retention{Events: days(c.Billing.Retention.Events), Quality: days(c.Billing.Retention.Quality), Calls: days(c.Billing.Retention.Calls)},
		Export:    c.Billing.Retention.Export}
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func (c Config) front(log *slog.Logger) (sip.FrontConfig, error) {
	help := gateway.Emergency{Numbers: c.Emergency.Numbers}
	fc := sip.FrontConfig{Log: log, DNS: c.SIP.DNS, DSCP: c.SIP.DSCP, Scanners: c.SIP.Scanners, Limits: sip.Limits{TrunkMessages: c.SIP.TrunkMessages}, Urgent: help.Calls}
	for _, l := range c.SIP.Listen {
		adv, err := hostPort(l.Advertise)
		if err != nil {
			return fc, fmt.Errorf("sip.listen %s: advertise: %w", l.Address, err)
		}
		fc.Listen = append(fc.Listen, sip.Listen{Network: l.Transport, Addr: l.Address, Advertise: adv})
	}
	return fc, nil
}

func hostPort(s string) (sip.HostPort, error) {
	if s == "" {
		return sip.HostPort{}, nil
	}
	h, p, err := splitHost(s)
	return sip.HostPort{Host: h, Port: p}, err
}

// domain is the host of our users' addresses.
func (c Config) domain() string {
	if c.SIP.Domain != "" {
		return c.SIP.Domain
	}
	for _, l := range c.SIP.Listen {
		if h := host(l.Advertise); h != "" {
			return h
		}
	}
	if a := c.SIP.Listen[0].Address.Addr(); !a.IsUnspecified() {
		return a.String()
	}
	return c.Node.Name
}

func (c Config) gateway(log *slog.Logger) (gateway.Config, error) {
	gc := gateway.Config{Bindings: filepath.Join(c.Node.Data, "registrations.json"), Node: c.Node.Name, Domain: c.domain(), Country: c.SIP.Country, Realm: c.SIP.Realm, Agent: c.SIP.UserAgent, Session: sessionTimer(c.SIP.Session), Log: log,
		Digits: c.Billing.DTMF == "clear", Digest: algorithms(c.SIP.Digest), DigestSimple: c.SIP.DigestSimple,
		Records:  gateway.Records{PartialAfter: c.Billing.PartialAfter, PartialEvery: c.Billing.PartialEvery},
		Register: gateway.Register{Min: c.SIP.RegisterMin, Max: c.SIP.RegisterMax},
		Limits: gateway.Limits{Calls: c.Limits.Calls, Duration: c.Limits.Duration, Response: c.SIP.ResponseTimeout,
			Hops: c.Limits.Hops, Diversions: c.Limits.Diversions, Full: c.Limits.Full},
		Media: gateway.Media{MinPort: c.Media.Ports.Min, MaxPort: c.Media.Ports.Max, Timeout: c.Media.Timeout, Metrics: c.Media.XR}}
	var addrs []MediaAddress
	for _, a := range c.Media.Addresses {
		addrs = append(addrs, a.address())
	}
	for _, t := range c.Trunks {
		if t.Media.Bind.IsValid() {
			addrs = append(addrs, t.Media)
		}
	}
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		if !seen[a.Bind] {
			seen[a.Bind] = true
			gc.Media.Addrs = append(gc.Media.Addrs, gateway.MediaAddr{Bind: a.Bind, Advertise: a.Advertise})
		}
	}
	for _, u := range c.Users {
		gc.Users = append(gc.Users, gateway.User{ID: u.ID, Tenant: u.Tenant, Login: u.Login, Password: string(u.Password),
			HA1: u.HA1.known(), Numbers: u.Numbers, CallerID: u.CallerID, CallerName: u.CallerName, Codecs: u.Codecs,
			DTMF: u.DTMF, SRTP: srtpPolicy(u.SRTP), Passing: u.Transcode == "never", Media: c.interfaces(u.Interface), MaxCalls: u.MaxCalls, Rate: u.MaxRate, Duration: u.Duration, Ring: c.Limits.Ring})
	}
	for _, t := range c.Trunks {
		gt, err := t.gateway(c)
		if err != nil {
			return gc, err
		}
		gc.Trunks = append(gc.Trunks, gt)
	}
	for _, a := range c.Apps {
		gc.Apps = append(gc.Apps, gateway.App{ID: a.ID, Tenant: a.Tenant, CallerID: a.CallerID, CallerName: a.CallerName, MaxCalls: a.MaxCalls})
	}
	return gc, errors.Join(c.routing(&gc), c.tolls(&gc))
}

// interfaces are the media addresses of a name; none for "".
func (c Config) interfaces(name string) []gateway.MediaAddr {
	var out []gateway.MediaAddr
	for _, a := range c.Media.Addresses {
		if name != "" && a.Name == name {
			out = append(out, gateway.MediaAddr{Bind: a.Bind, Advertise: a.Advertise})
		}
	}
	return out
}

func srtpPolicy(s string) media.SRTP {
	switch s {
	case "prefer":
		return media.SRTPPrefer
	case "require":
		return media.SRTPRequire
	}
	return media.SRTPNever
}

func (t Trunk) gateway(c Config) (gateway.Trunk, error) {
	password := t.Password
	if t.Mode == "carrier" && password == "" {
		pw, err := demoPassword(c.Node.Data, demoUser)
		if err != nil {
			return gateway.Trunk{}, err
		}
		password = pw
	}
	gt := gateway.Trunk{ID: t.ID, Tenant: t.Tenant, Register: t.Mode != "address", Bulk: t.Bulk, Network: t.Transport, Domain: t.Domain,
		User: t.User, Expires: t.Expires, Addresses: t.Addresses, Bind: t.Bind,
		Media: c.interfaces(t.Interface), Ptime: int(t.Ptime.Milliseconds()),
		Codecs: t.Codecs, DTMF: t.DTMF, SRTP: srtpPolicy(t.SRTP), From: t.From, FromNumber: t.FromNumber, MaxCalls: t.MaxCalls,
		In: gateway.Bounds{Calls: t.In.MaxCalls, Rate: t.In.MaxRate}, Out: gateway.Bounds{Calls: t.Out.MaxCalls, Rate: t.Out.MaxRate}, Full: t.Full, Duration: t.Duration,
		Transfers: t.Transfers, Refer: t.Refer == "prefer", Overload: t.Overload,
		Options: t.Options, Reliable: reliability(t.Reliable), Preconditions: preconditions(t.Conditions), Session: sessionTimer(t.Session), Creds: sip.Credentials{Username: t.AuthUser, Password: string(password), HA1: t.HA1.known(), Realm: t.Realm}}
	t.identify(&gt)
	if t.Media.Bind.IsValid() {
		gt.Media = []gateway.MediaAddr{{Bind: t.Media.Bind, Advertise: t.Media.Advertise}}
	}
	for _, x := range []struct {
		name, value string
		to          *sip.HostPort
	}{{"registrar", t.Registrar, &gt.Registrar}, {"proxy", t.Proxy, &gt.Proxy}, {"outbound", t.Outbound, &gt.Outbound}, {"advertise", t.Advertise, &gt.Advertise}} {
		hp, err := hostPort(x.value)
		if err != nil {
			return gt, fmt.Errorf("trunk %s: %s: %w", t.ID, x.name, err)
		}
		*x.to = hp
	}
	return gt, nil
}

// sessionTimer is an interval of the settings, whose 0 is off.
func sessionTimer(v time.Duration) sip.SessionTimer {
	if v == 0 {
		v = -1
	}
	return sip.SessionTimer{Interval: v}
}

// reliability are the choices for trunks' provisional responses.
func reliability(s string) sip.Reliability {
	switch s {
	case "required":
		return sip.ReliableRequired
	case "never":
		return sip.ReliableNever
	}
	return sip.ReliableOffered
}

func preconditions(s string) sip.Preconditions {
	switch s {
	case "offered":
		return sip.PreconditionsOffered
	case "never":
		return sip.PreconditionsNever
	}
	return sip.PreconditionsAnswered
}

// handlers is the one HTTP server, for both listeners.
func (s *server) handlers() *http.Server {
	pages := origins{ports: []uint16{portOf(s.plain), portOf(s.secure)}, listed: s.cfg.HTTP.Origins}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.metrics())
	mux.Handle("GET "+profilesPath, profiles())
	mux.Handle("/", web.Handler())
	mux.Handle(rpcPath, s.rpc)
	mux.Handle("/api/v1/", http.StripPrefix("/api/v1", s.gateway.Handler()))
	// The guard has looked at the Origin.
	mux.Handle("GET /sip", s.front.WebSocket(sip.WebSocketConfig{Origin: func(*http.Request) bool { return true }}))
	s.reports.mount(mux)
	mux.HandleFunc("GET "+openAPIPath, serveOpenAPI())
	mux.HandleFunc(postRoute, s.takePost)
	mux.HandleFunc(preflightRoute, takePreflight)
	proving := append(s.me.mount(mux), "GET /sip", postRoute, preflightRoute)
	route := func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		return pattern
	}
	g := &guard{route: route, open: []string{"GET /livez", "GET /readyz", "GET /metrics", "/"}, proving: proving, plain: s.cfg.HTTP.Listen.Addr(), names: s.cfg.hosts(),
		origins: pages, access: s.access, next: mux}
	return serveHTTP(g, s.certificates.config(), s.log)
}

// ready tells a load balancer whether calls may come: we aren't stopping, records can be written, and a trunk is up if
// there is any. The first start of a data folder is ready when its database is made. A database that is away later keeps no call
// from coming: records wait for it, and the answer says so.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	st := s.gateway.Status()
	up := len(st.Trunks) == 0
	for _, t := range st.Trunks {
		up = up || t.Up
	}
	stalled, why := s.store.Stalled()
	switch {
	case st.Draining:
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	case stalled:
		http.Error(w, "records can't be written: "+why, http.StatusServiceUnavailable)
	case s.store.Making():
		http.Error(w, "the database is being made", http.StatusServiceUnavailable)
	case !up:
		http.Error(w, "no trunk is up", http.StatusServiceUnavailable)
	case s.cfg.Billing.Database != billing.None && !s.store.Stats().Connected:
		_, _ = w.Write([]byte("ready; records wait in the journal, the database is away\n"))
	default:
		_, _ = w.Write([]byte("ready\n"))
	}
}
