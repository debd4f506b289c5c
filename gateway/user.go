package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
)

// User is a person or a desk phone that registers here.
type User struct {
	ID, Tenant string
	Login      string                    // SIP user and digest user name
	Password   string                    // one of these
	HA1        map[auth.Algorithm]string // hex hashes of login:realm:password
	Numbers    []string
	CallerID   string
	CallerName string
	Codecs     []string
	DTMF       string // rfc4733, info, inband, none
	SRTP       media.SRTP
	Passing    bool        // as a trunk's
	Media      []MediaAddr // of its RTP, at most one of a family; none = those of all
	MaxCalls   int
	Rate       float64       // calls that the user may begin per second; 0 = any
	Duration   time.Duration // of one call, from its answer; 0 = Limits.Duration
	Ring       time.Duration // when somebody dials one of the numbers
	Forward    Forwarding
	Toll       Toll
}

func (u *User) id() string {
	if u == nil {
		return ""
	}
	return u.ID
}

func (g *Gateway) addUsers() error {
	if len(g.cfg.Users) == 0 {
		return nil
	}
	byLogin := map[string]*User{}
	for _, u := range g.userByID {
		byLogin[u.Login] = u
	}
	server, err := auth.NewServer(auth.ServerConfig{Realm: g.cfg.Realm, Algorithms: g.cfg.Digest, Simple: g.cfg.DigestSimple, Lookup: func(name, _ string) (auth.Credentials, bool) {
		u, ok := byLogin[name]
		if !ok {
			return auth.Credentials{}, false
		}
		return auth.Credentials{Username: u.Login, Password: u.Password, HA1: u.HA1, Realm: g.cfg.Realm}, true
	}})
	if err != nil {
		return fmt.Errorf("digest of users: %w", err)
	}
	g.registrar, err = sip.NewRegistrar(sip.RegistrarConfig{Auth: server, MinExpires: g.cfg.Register.Min,
		MaxExpires: g.cfg.Register.Max, File: g.cfg.Bindings, Log: g.log,
		Known: func(user string) bool { return byLogin[user] != nil }, Changed: func(user string, online bool) {
			g.log.Info("user registration", "user", byLogin[user].id(), "online", online)
			if u := byLogin[user]; u != nil {
				g.changed(Change{Tenant: u.Tenant, User: u.ID, Online: online})
			}
		}})
	if err != nil {
		return fmt.Errorf("registrar: %w", err)
	}
	g.users, err = g.cfg.Front.NewUA(sip.Config{Name: "users", UserAgent: g.cfg.Agent, Registrar: g.registrar,
		Authenticate: server, Match: g.isUser, Hosts: g.ours, Ending: g.ending, Session: g.cfg.Session, Replaces: true, Preconditions: sip.PreconditionsAnswered,
		Invite: func(d *sip.Dialog) {
			u := byLogin[d.Request().User]
			if u == nil { // authenticated, so it was there a moment ago
				_ = d.Reject(403, "Unknown user")
				return
			}
			g.inbound(d, inboundSource(d, u, nil))
		}})
	if err != nil {
		return fmt.Errorf("users' user agent: %w", err)
	}
	return nil
}

// isUser tells whether a request may be a user's: a registration at one of our own hosts, which is then challenged, or
// anything from an address where a phone is registered. Everybody else is a stranger and gets no answer.
func (g *Gateway) isUser(in sip.Inbound) bool {
	if in.Method != "REGISTER" {
		return g.registrar.Knows(in.Source.Addr())
	}
	return in.URI.Host == in.Local.Addr().Unmap().String() || g.ours(in.URI.Host)
}

// ours tells whether a host in a URI is this gateway: its domain, or an address that it listens on or advertises.
func (g *Gateway) ours(host string) bool {
	if strings.EqualFold(host, g.cfg.Domain) {
		return true
	}
	literal, err := netip.ParseAddr(host)
	for _, l := range g.cfg.Front.Addrs() {
		switch {
		case strings.EqualFold(host, l.Advertise.Host),
			err == nil && l.Addr.Addr().IsUnspecified(), // one of this machine's, or the packet wouldn't be here
			err == nil && l.Addr.Addr().Unmap() == literal.Unmap():
			return true
		}
	}
	return false
}
