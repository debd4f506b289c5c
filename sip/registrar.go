package sip

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// RegistrarConfig are a registrar's settings.
type RegistrarConfig struct {
	Auth        *auth.Server  // required: who may register
	MinExpires  time.Duration // default 60 s; less is answered 423
	MaxExpires  time.Duration // default 1 h: the most that is granted, and what is granted when none is asked for
	MaxContacts int           // per user; default 10
	MaxUsers    int           // online at once; default 65536
	// Changed is told that a user came online or went offline. It is called by one goroutine at a time, without locks
	// held, and must return soon.
	Changed func(user string, online bool)
	// Domains are the hosts of the addresses-of-record that may be registered; empty: any.
	Domains []string
	// File keeps the bindings across restarts, so that phones stay reachable; "": they are in memory only. Contacts over
	// UDP alone are kept: connections end with the process. See registrar_file.go.
	File string
	// Known tells whether a user of File still is one; nil: all are.
	Known func(user string) bool
	Log   *slog.Logger // of File; nil: nothing is logged
	// Allowed tells whether the authenticated user may register this address-of-record; nil: if its user part is his
	// name.
	Allowed func(user string, aor URI) bool
}

// Contact is where a user can be reached.
type Contact struct {
	URI       URI
	Expires   time.Time
	Q         float64        // 0 to 1, higher first; 1 if none was given
	Source    netip.AddrPort // where the REGISTER came from
	Network   string
	UserAgent string
	Instance  string // +sip.instance (RFC 5626), "" if none
	CallID    string
	CSeq      uint32

	flow *flow.Flow
	at   time.Time
}

// Destination is the way back to the phone: the connection or address it registered from, never the host that URI names,
// which may be anybody's.
func (c Contact) Destination() Destination {
	return Destination{Network: c.Network, Addr: c.Source, peer: c.flow}
}

// Registrar keeps where our users are (RFC 3261 10) by user name. One Registrar serves one UA, whose Close closes it.
type Registrar struct {
	cfg  RegistrarConfig
	file keeper

	mu      sync.Mutex
	users   map[string]*bindings
	sources map[netip.Addr]int // contacts by the address they registered from
	flows   map[*flow.Flow]int // and by their connection
	closed  bool

	tell sync.Mutex // orders Changed
}

// bindings are one user's contacts.
type bindings struct {
	contacts []Contact
	timer    *time.Timer
	online   bool // as was told
}

// NewRegistrar makes a registrar, with the bindings of its File that haven't expired: Changed is told of them before
// NewRegistrar returns.
func NewRegistrar(cfg RegistrarConfig) (*Registrar, error) {
	if cfg.Auth == nil {
		return nil, errors.New("sip: RegistrarConfig.Auth is nil: expected a server")
	}
	if cfg.MinExpires == 0 {
		cfg.MinExpires = time.Minute
	}
	if cfg.MaxExpires == 0 {
		cfg.MaxExpires = time.Hour
	}
	if cfg.MaxContacts == 0 {
		cfg.MaxContacts = 10
	}
	if cfg.MaxUsers == 0 {
		cfg.MaxUsers = 65536
	}
	if cfg.MinExpires < time.Second || cfg.MaxExpires < cfg.MinExpires {
		return nil, fmt.Errorf("sip: RegistrarConfig.MinExpires %v, MaxExpires %v: expected 1s or more, rising", cfg.MinExpires, cfg.MaxExpires)
	}
	if cfg.MaxContacts < 0 || cfg.MaxUsers < 0 {
		return nil, fmt.Errorf("sip: RegistrarConfig.MaxContacts %d, MaxUsers %d: expected positive numbers", cfg.MaxContacts, cfg.MaxUsers)
	}
	if cfg.Allowed == nil {
		cfg.Allowed = func(user string, aor URI) bool { return wire.Unescape(aor.User) == user }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registrar{cfg: cfg, users: map[string]*bindings{}, sources: map[netip.Addr]int{}, flows: map[*flow.Flow]int{}}
	r.load()
	return r, nil
}

// Contacts are a user's contacts now: higher q first, then the most recent first.
func (r *Registrar) Contacts(user string) []Contact {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.users[user]
	if b == nil {
		return nil
	}
	now := time.Now()
	var out []Contact
	for _, c := range b.contacts {
		if now.Before(c.Expires) {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Contact) int {
		return cmp.Or(cmp.Compare(b.Q, a.Q), b.at.Compare(a.at))
	})
	return out
}

// Knows tells whether a phone is registered from that address now: somebody else there is a stranger.
func (r *Registrar) Knows(a netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sources[a.Unmap()] > 0
}

// flowOf is the connection over which a contact is registered now from an address; nil: none.
func (r *Registrar) flowOf(uri URI, source netip.Addr) *flow.Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.users {
		for _, c := range b.contacts {
			if c.flow != nil && c.flow.Alive() && c.Source.Addr() == source && sameContact(c, Contact{URI: uri}) {
				return c.flow
			}
		}
	}
	return nil
}

// swap replaces a user's contacts and keeps count of where they are; r.mu is held.
func (r *Registrar) swap(b *bindings, next []Contact) {
	for _, c := range b.contacts {
		a := c.Source.Addr().Unmap()
		if r.sources[a]--; r.sources[a] <= 0 {
			delete(r.sources, a)
		}
		if r.flows[c.flow]--; r.flows[c.flow] <= 0 {
			delete(r.flows, c.flow)
		}
	}
	for _, c := range next {
		r.flows[c.flow]++
		r.sources[c.Source.Addr().Unmap()]++
	}
	b.contacts = next
	r.changed()
}

// Users are the users that are online, in order of name.
func (r *Registrar) Users() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for user, b := range r.users {
		if len(b.contacts) > 0 {
			out = append(out, user)
		}
	}
	slices.Sort(out)
	return out
}

// serve answers a REGISTER that is well-formed and authenticated (RFC 3261 10.3).
func (r *Registrar) serve(t *serverTx, user string) {
	aor := t.m.To.URI
	if aor.Scheme != "sip" && aor.Scheme != "sips" {
		t.refuse(&wire.Refusal{Status: 400, Header: "To", Why: "scheme " + aor.Scheme + ": expected sip"})
		return
	}
	if !r.serves(aor.Host) {
		t.respond(404, "", nil, nil)
		return
	}
	if !r.cfg.Allowed(user, aor) {
		t.respond(403, "", nil, nil)
		return
	}
	changes, ref := r.read(t)
	if ref != nil {
		t.refuse(ref)
		return
	}
	if ref := r.apply(user, t, changes); ref != nil {
		t.refuse(ref)
		return
	}
	r.notify(user)
	t.respond(200, "", r.list(user), nil)
}

func (r *Registrar) serves(host string) bool {
	return len(r.cfg.Domains) == 0 || slices.Contains(r.cfg.Domains, host)
}

// change is one Contact of a REGISTER.
type change struct {
	all     bool // "*"
	contact Contact
	granted time.Duration // 0 = remove
}

func (r *Registrar) read(t *serverTx) ([]change, *wire.Refusal) {
	m := t.m
	values := m.Headers.Values("Contact")
	if len(values) > 2*r.cfg.MaxContacts {
		return nil, r.crowded()
	}
	whole := m.Headers.Get("Expires")
	var out []change
	for _, v := range values {
		if v == "*" {
			if whole != "0" {
				return nil, &wire.Refusal{Status: 400, Header: "Contact", Why: "* needs Expires: 0"}
			}
			return []change{{all: true}}, nil
		}
		n, err := ParseNameAddr(v)
		if err != nil {
			return nil, &wire.Refusal{Status: 400, Header: "Contact", Why: err.Error()}
		}
		if n.URI.Scheme != "sip" && n.URI.Scheme != "sips" {
			return nil, &wire.Refusal{Status: 400, Header: "Contact", Why: "scheme " + n.URI.Scheme + ": expected sip"}
		}
		granted, ref := r.grant(n, whole)
		if ref != nil {
			return nil, ref
		}
		c := Contact{
			URI: n.URI, Q: 1, Source: t.source(), Network: t.flow.Network(), UserAgent: m.Headers.Get("User-Agent"),
			CallID: m.CallID, CSeq: m.CSeq, flow: t.flow, at: t.at,
		}
		c.URI.Headers = ""
		c.Instance, _ = n.Param("+sip.instance")
		if q, ok := n.Param("q"); ok {
			if f, err := strconv.ParseFloat(q, 64); err == nil && f >= 0 && f <= 1 {
				c.Q = f
			}
		}
		out = append(out, change{contact: c, granted: granted})
	}
	return out, nil
}

// grant is how long a contact is kept.
func (r *Registrar) grant(n NameAddr, whole string) (time.Duration, *wire.Refusal) {
	asked := whole
	if v, ok := n.Param("expires"); ok {
		asked = v
	}
	if asked == "" {
		return r.cfg.MaxExpires, nil
	}
	seconds, err := strconv.ParseUint(asked, 10, 32)
	if err != nil {
		return r.cfg.MaxExpires, nil // RFC 3261 20.19: malformed values count as the default
	}
	d := time.Duration(seconds) * time.Second
	switch {
	case d == 0:
		return 0, nil
	case d < r.cfg.MinExpires:
		return 0, &wire.Refusal{Status: 423, Header: "Expires", Why: asked, Extra: []Header{{
			Name: "Min-Expires", Value: strconv.Itoa(int(math.Ceil(r.cfg.MinExpires.Seconds()))),
		}}}
	}
	return min(d, r.cfg.MaxExpires), nil
}

// crowded refuses one contact more than a user may have.
func (r *Registrar) crowded() *wire.Refusal {
	return &wire.Refusal{Status: 403, Header: "Contact", Why: fmt.Sprintf("more than %d of this user: remove one, or wait until one expires", r.cfg.MaxContacts)}
}

// apply makes all changes or none.
func (r *Registrar) apply(user string, t *serverTx, changes []change) *wire.Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return &wire.Refusal{Status: 503, Why: "stopping"}
	}
	b := r.users[user]
	if b == nil {
		if len(changes) == 0 || (len(changes) == 1 && changes[0].granted == 0) {
			return nil
		}
		if len(r.users) >= r.cfg.MaxUsers {
			return &wire.Refusal{Status: 503, Why: "too many users"}
		}
		b = &bindings{}
	}
	next := slices.Clone(b.contacts)
	for _, c := range changes {
		if c.all {
			next = slices.DeleteFunc(next, func(o Contact) bool { return o.CallID != t.m.CallID || o.CSeq < t.m.CSeq })
			continue
		}
		i := slices.IndexFunc(next, func(o Contact) bool { return sameContact(o, c.contact) })
		if i >= 0 {
			if o := next[i]; o.CallID == t.m.CallID && o.CSeq >= t.m.CSeq {
				return &wire.Refusal{Status: 500, Header: "CSeq", Why: "is not higher than the last"}
			}
			next = slices.Delete(next, i, i+1)
		}
		if c.granted > 0 {
			c.contact.Expires = t.at.Add(c.granted)
			next = append(next, c.contact)
		}
	}
	if len(next) > r.cfg.MaxContacts {
		return r.crowded()
	}
	r.swap(b, next)
	r.users[user] = b
	r.arm(user, b)
	return nil
}

// sameContact tells whether two contacts are the same phone: its instance, else its URI (RFC 3261 19.1.4, for what
// phones really vary).
func sameContact(a, b Contact) bool {
	if a.Instance != "" && a.Instance == b.Instance {
		return true
	}
	return a.URI.User == b.URI.User && a.URI.Host == b.URI.Host && a.URI.Port == b.URI.Port && transport(a.URI) == transport(b.URI)
}

func transport(u URI) string {
	t, _ := u.Param("transport")
	if t == "" {
		return "udp"
	}
	return strings.ToLower(t)
}

// arm sets the timer for the next contact to expire; r.mu is held.
func (r *Registrar) arm(user string, b *bindings) {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.contacts) == 0 || r.closed {
		return
	}
	first := b.contacts[0].Expires
	for _, c := range b.contacts[1:] {
		if c.Expires.Before(first) {
			first = c.Expires
		}
	}
	b.timer = time.AfterFunc(time.Until(first), func() { r.expire(user) })
}

func (r *Registrar) expire(user string) {
	r.mu.Lock()
	if b := r.users[user]; b != nil {
		now := time.Now()
		r.swap(b, slices.DeleteFunc(slices.Clone(b.contacts), func(c Contact) bool { return !now.Before(c.Expires) }))
		r.arm(user, b)
	}
	r.mu.Unlock()
	r.notify(user)
}

// lost drops the contacts of a connection that closed: nobody is there any more.
func (r *Registrar) lost(f *flow.Flow) {
	var users []string
	gone := func(c Contact) bool { return c.flow == f }
	r.mu.Lock()
	if r.flows[f] > 0 { // else a stranger's, and there may be thousands of users
		for user, b := range r.users {
			if slices.ContainsFunc(b.contacts, gone) {
				r.swap(b, slices.DeleteFunc(slices.Clone(b.contacts), gone))
				users = append(users, user)
				r.arm(user, b)
			}
		}
	}
	r.mu.Unlock()
	for _, user := range users {
		r.notify(user)
	}
}

// notify tells whether a user is online if that changed, and forgets who has no contact.
func (r *Registrar) notify(user string) {
	r.tell.Lock()
	defer r.tell.Unlock()
	r.mu.Lock()
	b := r.users[user]
	if b == nil {
		r.mu.Unlock()
		return
	}
	online := len(b.contacts) > 0
	changed := online != b.online
	b.online = online
	if !online {
		delete(r.users, user)
	}
	r.mu.Unlock()
	if changed && r.cfg.Changed != nil {
		r.cfg.Changed(user, online)
	}
}

// list is the Contact header field of a 200: all contacts, each with what is left of it.
func (r *Registrar) list(user string) []Header {
	var out []Header
	for _, c := range r.Contacts(user) {
		left := int(math.Ceil(time.Until(c.Expires).Seconds()))
		v := "<" + c.URI.String() + ">;expires=" + strconv.Itoa(left)
		if c.Instance != "" {
			v += ";+sip.instance=" + wire.Quote(c.Instance)
		}
		out = append(out, Header{Name: "Contact", Value: v})
	}
	return append(out, Header{Name: "Date", Value: time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")})
}

// Close writes File and forgets all contacts; nobody can register any more. Twice is as good as once.
func (r *Registrar) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	for _, b := range r.users {
		if b.timer != nil {
			b.timer.Stop()
		}
	}
	last, waits := r.snapshot(), r.file.timer
	clear(r.users)
	clear(r.sources)
	r.mu.Unlock()
	return r.finish(last, waits)
}

func (r *Registrar) close() {
	if err := r.Close(); err != nil {
		r.cfg.Log.Error("registrations not kept", "file", r.cfg.File, "err", err)
	}
}
