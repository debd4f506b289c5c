package main

import (
	"cmp"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/media/stream"
)

// defaults is what holds where the file says nothing. The per-user, per-trunk and per-route ones are in complete.
func defaults() Config {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return Config{
		Node: Node{Data: dataDir(), Drain: 30 * time.Second},
		Log:  Log{Level: "info", Format: "text"},
		HTTP: HTTP{Listen: netip.AddrPortFrom(loopback, 8888)},
		SIP: SIP{
			Listen: []Listen{
				{Transport: "udp", Address: netip.AddrPortFrom(loopback, 5060)},
				{Transport: "tcp", Address: netip.AddrPortFrom(loopback, 5060)},
			},
			Realm:           "patchbay",
			Digest:          []string{},
			DigestSimple:    []string{"Patchbay page", "baresip v1.", "JsSIP", "SIP.js", "none"},
			Scanners:        []string{"friendly-scanner", "sipvicious", "sipcli", "pplsip", "sundayddr", "iWar", "SIVuS", "sipscan", "smap"},
			UserAgent:       "Patchbay",
			ResponseTimeout: 5 * time.Second, DNS: []netip.AddrPort{},
			Session:       30 * time.Minute,
			RegisterMin:   60 * time.Second,
			RegisterMax:   time.Hour,
			DSCP:          24,
			TrunkMessages: 2000,
		},
		Media: Media{
			Addresses: []MediaInterface{{Bind: loopback}},
			Ports:     Ports{Min: 20000, Max: 29999},
			WebRTC:    WebRTC{Port: 8890, TCP: true},
			Codecs:    []string{"PCMU", "PCMA"},
			DTMF:      "rfc4733",
			Timeout:   30 * time.Second,
			DSCP:      46,
			XR:        true,
			URLs:      URLs{Schemes: []string{"file", "http", "https"}, Private: []netip.Prefix{}, MaxSize: 1 << 30, MaxAll: 8 << 30, MinFree: 1 << 30, MaxTime: 4 * time.Hour, Stall: 10 * time.Second},
		},
		TURN: TURN{TTL: tokenLife},
		Billing: Billing{Database: "auto", Stall: 500 * time.Millisecond, MinFree: 512 << 20, Reserve: 64 << 20, DTMF: "masked",
			PartialAfter: 10 * time.Minute, PartialEvery: time.Hour, Retention: Retention{Events: 90, Quality: 180, Calls: 3650},
			CallsFile: CallsFile{MaxSize: 64 << 20, MaxAge: 24 * time.Hour}},
		Limits:    Limits{Calls: 1000, Duration: 4 * time.Hour, Ring: 60 * time.Second, Hops: 70, Diversions: 5, Full: 503},
		Routing:   Routing{Order: "listed"},
		Emergency: Emergency{Numbers: []string{"112", "911"}, Without: "refuse"},
		Outbound:  Outbound{Allow: []string{gateway.Home}, Premium: "refuse", LockAfter: 3},
		Rating:    Rating{Currency: "EUR", Loss: "allow"},
		RPC:       RPC{MaxMessage: 1 << 20, MaxQueued: 4 << 20, Connections: 10_000, Sessions: 10_000, Objects: 100_000, Keep: 4 * time.Minute},
	}
}

// dataDir is /var/lib/patchbay for root and the user's own data folder for everyone else (XDG base directories).
func dataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/patchbay"
	}
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "patchbay")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // finish asks for one: a folder that others can guess and make is no place for passwords
	}
	return filepath.Join(home, ".local", "share", "patchbay")
}

// complete fills in what one setting takes from another, so that who reads a Config never has to ask again.
func (c *Config) complete() {
	if c.Node.Name == "" {
		c.Node.Name = hostname()
	}
	c.HTTPS.Listen = c.https()
	if len(c.SIP.Digest) == 0 {
		c.SIP.Digest = c.answerable()
	}
	c.Billing.Dir = cmp.Or(c.Billing.Dir, filepath.Join(c.Node.Data, "billing"))
	if len(c.Outbound.Allow) == 0 {
		c.Outbound.Allow = []string{gateway.Home}
	}
	c.Media.Root = cmp.Or(c.Media.Root, filepath.Join(c.Node.Data, "media"))
	for i := range c.Users {
		u := &c.Users[i]
		u.Tenant, u.Login = cmp.Or(u.Tenant, "default"), cmp.Or(u.Login, u.ID)
		if len(u.Numbers) > 0 {
			u.CallerID = cmp.Or(u.CallerID, u.Numbers[0])
		}
		u.CallerID = cmp.Or(u.CallerID, u.Login)
		u.MaxCalls = cmp.Or(u.MaxCalls, c.Limits.Calls)
		u.SRTP, u.Transcode = cmp.Or(u.SRTP, "never"), cmp.Or(u.Transcode, "allow")
		u.Outbound = u.Outbound.or(c.Outbound)
		u.DTMF = cmp.Or(u.DTMF, c.Media.DTMF)
		if len(u.Codecs) == 0 {
			u.Codecs = c.Media.Codecs
		}
	}
	for i := range c.Tokens {
		c.Tokens[i].Tenant = cmp.Or(c.Tokens[i].Tenant, "default")
	}
	for i := range c.Trunks {
		c.completeTrunk(&c.Trunks[i])
	}
	for i := range c.Apps {
		a := &c.Apps[i]
		a.Tenant, a.MaxCalls = cmp.Or(a.Tenant, "default"), cmp.Or(a.MaxCalls, c.Limits.Calls)
		if t := &a.Stream; t.URL != "" {
			t.Encoding, t.Buffer = cmp.Or(t.Encoding, string(stream.PCM16)), cmp.Or(t.Buffer, stream.DefaultBuffer)
			if t.Rate == 0 && t.Encoding == string(stream.PCM16) {
				t.Rate = 16000
			}
			t.Rate = cmp.Or(t.Rate, 8000)
		}
	}
	for i := range c.Tariffs {
		c.Tariffs[i].complete()
	}
	for i := range c.Webhooks {
		h := &c.Webhooks[i]
		h.Timeout, h.GiveUp, h.AtOnce = cmp.Or(h.Timeout, 10*time.Second), cmp.Or(h.GiveUp, 24*time.Hour), cmp.Or(h.AtOnce, 4)
	}
	for i := range c.Emergency.To {
		if h := &c.Emergency.To[i]; h.Group == "" {
			h.Ring = cmp.Or(h.Ring, c.Limits.Ring)
		}
	}
	for i := range c.Groups {
		g := &c.Groups[i]
		g.Tenant, g.Strategy, g.Ring = cmp.Or(g.Tenant, "default"), cmp.Or(g.Strategy, "parallel"), cmp.Or(g.Ring, c.Limits.Ring)
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		r.Tenant = cmp.Or(r.Tenant, "default")
		if len(r.Source) == 0 {
			r.Source = []string{"any"}
		}
		if len(r.Number) == 0 {
			r.Number = []string{"*"}
		}
		r.By = cmp.Or(r.By, "listed")
		for j := range r.To {
			c.completeHop(&r.To[j])
		}
	}
}

func (t *Tariff) complete() {
	t.Deck, t.Zone, t.Spanning = cmp.Or(t.Deck, t.ID), cmp.Or(t.Zone, "UTC"), cmp.Or(t.Spanning, "at_start")
	t.Seconds, t.Rounding, t.Decimals, t.Over = cmp.Or(t.Seconds, "ceil"), cmp.Or(t.Rounding, "half-up"), cmp.Or(t.Decimals, 4), cmp.Or(t.Over, "free")
}

// completeHop leaves the failover of a hop to its trunk's table if it has none of its own.
func (c *Config) completeHop(h *Hop) {
	if h.Group == "" { // a group's members ring as long as it says
		h.Ring = cmp.Or(h.Ring, c.Limits.Ring)
	}
	switch {
	case len(h.Failover) > 0 || h.Trunk != "":
	case h.App != "": // nobody is there, or takes the call in time
		h.Failover = []string{"retry", "480"}
	default:
		h.Failover = []string{"retry"}
	}
}

func (c *Config) completeTrunk(t *Trunk) {
	t.Tenant, t.Transport = cmp.Or(t.Tenant, "default"), cmp.Or(t.Transport, "udp")
	t.Reliable, t.Conditions = cmp.Or(t.Reliable, "offered"), cmp.Or(t.Conditions, "answered")
	t.Session = cmp.Or(t.Session, c.SIP.Session)
	t.From, t.DTMF = cmp.Or(t.From, "caller"), cmp.Or(t.DTMF, c.Media.DTMF)
	t.Expires = cmp.Or(t.Expires, 10*time.Minute)
	if t.Mode == "carrier" {
		t.Registrar = cmp.Or(t.Registrar, demoCarrier)
		t.User = cmp.Or(t.User, demoUser)
	}
	t.Proxy = cmp.Or(t.Proxy, t.Registrar)
	t.Domain = cmp.Or(t.Domain, host(cmp.Or(t.Registrar, t.Proxy)))
	t.AuthUser = cmp.Or(t.AuthUser, t.User)
	t.Duration = cmp.Or(t.Duration, c.Limits.Duration)
	t.Called = cmp.Or(t.Called, "uri")
	t.Redirects = cmp.Or(t.Redirects, "refuse")
	if len(t.Failover.Next) == 0 {
		t.Failover.Next = []string{"retry", "5xx"}
	}
	t.Failover.Aside = cmp.Or(t.Failover.Aside, 30*time.Second)
	t.MaxCalls, t.Full = cmp.Or(t.MaxCalls, c.Limits.Calls), cmp.Or(t.Full, c.Limits.Full)
	t.SRTP = cmp.Or(t.SRTP, "never")
	t.completeNumbers()
	if len(t.Codecs) == 0 {
		t.Codecs = c.Media.Codecs
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "patchbay"
	}
	return name
}
