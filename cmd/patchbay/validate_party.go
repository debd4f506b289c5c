package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// users: who they are, how they prove it, which numbers are theirs.
func (d *document) users(c *Config) {
	ids, owners := map[string]string{}, map[string]string{}
	for i, u := range c.Users {
		f := fmt.Sprintf("users[%d]", i)
		d.id(f+".id", u.ID)
		d.once(ids, f+".id", u.ID, "this id")
		d.tenant(f+".tenant", u.Tenant)
		login := cmp.Or(u.Login, u.ID)
		if u.Login != "" && !userPart(u.Login) {
			d.bad(f+".login", "expected a SIP user name: letters, digits and -_.!~*'()&=+$,;?/ (RFC 3261 25.1)")
		}
		lf := f + ".login"
		if u.Login == "" {
			lf = f + ".id"
		}
		d.once(owners, lf, login, "this login or number")
		d.userCredentials(f, u, c.SIP.Digest)
		for j, n := range u.Numbers {
			nf := fmt.Sprintf("%s.numbers[%d]", f, j)
			if !dialable(n) {
				d.bad(nf, "expected a number to dial: digits, with + in front if it is international")
			}
			if n != login {
				d.once(owners, nf, n, "this login or number")
			}
		}
		if u.CallerID != "" && !userPart(u.CallerID) {
			d.bad(f+".caller_id", "expected a number or a SIP user name")
		}
		if !printable(u.CallerName) || strings.ContainsAny(u.CallerName, `"\`) {
			d.bad(f+".caller_name", `expected printable text without " and \`)
		}
		d.codecs(f+".codecs", u.Codecs, false)
		if u.Transcode != "" {
			d.choice(f+".transcode", u.Transcode, transcodes)
		}
		if u.DTMF != "" {
			d.choice(f+".dtmf", u.DTMF, dtmfs)
		}
		if u.SRTP != "" {
			d.choice(f+".srtp", u.SRTP, srtps)
		}
		d.interfaceNamed(c, f+".interface", u.Interface)
		d.count(f+".max_calls", u.MaxCalls, 0, 100_000)
		d.rate(f+".max_rate", u.MaxRate)
		d.duration(f+".duration", u.Duration)
	}
}

// once reports a name that another field has already taken.
func (d *document) once(seen map[string]string, field, name, what string) {
	if name == "" {
		return
	}
	if first, ok := seen[name]; ok {
		d.bad(field, "%s is already that of %s%s", what, first, d.line(first))
		return
	}
	seen[name] = field
}

func (d *document) line(field string) string {
	if p, ok := d.places[field]; ok {
		return fmt.Sprintf(" in line %d", p.line)
	}
	return ""
}

// trunks: how each reaches its carrier, and how the carrier's calls are known.
func (d *document) trunks(c *Config) {
	ids := map[string]string{}
	var nets []network
	for i := range c.Trunks {
		t := &c.Trunks[i]
		f := fmt.Sprintf("trunks[%d]", i)
		d.id(f+".id", t.ID)
		d.once(ids, f+".id", t.ID, "this id")
		d.tenant(f+".tenant", t.Tenant)
		d.trunkMode(f, t)
		d.trunkAddress(f, t)
		d.trunkCredentials(f, t)
		d.trunkTLS(f, t)
		d.trunkMedia(c, f, t)
		nets = d.networks(nets, f, t)
		if t.Expires != 0 {
			d.between(f+".expires", t.Expires, time.Minute, 24*time.Hour)
		}
		d.codecs(f+".codecs", t.Codecs, false)
		if t.DTMF != "" {
			d.choice(f+".dtmf", t.DTMF, dtmfs)
		}
		if t.SRTP != "" {
			d.choice(f+".srtp", t.SRTP, srtps)
		}
		if t.Options != 0 {
			d.between(f+".options", t.Options, 2*time.Second, time.Hour)
		}
		if t.Refer != "" {
			d.choice(f+".refer", t.Refer, []string{"never", "prefer"})
		}
		if t.Conditions != "" {
			d.choice(f+".preconditions", t.Conditions, []string{"answered", "offered", "never"})
		}
		if t.Conditions == "offered" && t.Reliable == "never" {
			d.bad(f+".preconditions", "needs provisional responses that are reliable: expected reliable to be offered or required")
		}
		if t.Reliable != "" {
			d.choice(f+".reliable", t.Reliable, []string{"offered", "required", "never"})
		}
		d.session(f+".session", t.Session)
		d.trunkFrom(f, t)
		d.trunkNumbers(f, t)
		d.count(f+".max_calls", t.MaxCalls, 0, 100_000)
		for _, b := range [...]struct {
			key string
			Bounds
		}{{".in", t.In}, {".out", t.Out}} {
			d.count(f+b.key+".max_calls", b.MaxCalls, 0, 100_000)
			d.rate(f+b.key+".max_rate", b.MaxRate)
		}
		if t.Full != 0 {
			d.full(f+".full", t.Full)
		}
		d.duration(f+".duration", t.Duration)
		d.failover(f+".failover.next", t.Failover.Next)
		d.failover(f+".failover.stop", t.Failover.Stop)
		d.failover(f+".failover.later", t.Failover.Later)
		if t.Failover.Aside != 0 {
			d.between(f+".failover.aside", t.Failover.Aside, time.Second, 5*time.Minute)
		}
		if t.Called != "" {
			d.choice(f+".called", t.Called, []string{"uri", "to"})
		}
		if t.Redirects != "" {
			d.choice(f+".redirects", t.Redirects, []string{"refuse", "own"})
		}
	}
}

func (d *document) trunkMode(f string, t *Trunk) {
	need := func(key, value, what string) {
		if value == "" {
			d.bad(f+"."+key, "missing, expected %s in mode %s", what, t.Mode)
		}
	}
	switch t.Mode {
	case "":
		d.bad(f+".mode", "missing, expected register, address or carrier")
	case "register":
		need("registrar", t.Registrar, "the host that we register at")
		need("user", t.User, "the account there")
		if t.HA1.empty() {
			need("password", string(t.Password), "the account's password or ha1")
		}
	case "address":
		need("proxy", t.Proxy, "the host that calls are sent to")
		if len(t.Addresses) == 0 && len(t.TLS.Clients) == 0 {
			d.bad(f+".addresses", "missing, expected the addresses that the carrier's calls come from, or tls.clients")
		}
		if t.Registrar != "" {
			d.bad(f+".registrar", "expected none in mode address; did you mean mode register, or proxy?")
		}
		if (t.Password != "" || !t.HA1.empty()) && t.User == "" && t.AuthUser == "" {
			d.bad(f+".user", "missing, expected the account that the password is for")
		}
	case "carrier":
		if t.Password != "" || !t.HA1.empty() || t.User != "" || t.AuthUser != "" {
			d.bad(f, "expected neither user nor password in mode carrier: the account at the demo carrier is its own")
		}
	default:
		choices := []string{"register", "address", "carrier"}
		d.choice(f+".mode", t.Mode, choices)
	}
}

func (d *document) trunkAddress(f string, t *Trunk) {
	d.hostPort(f+".registrar", t.Registrar)
	d.hostPort(f+".proxy", t.Proxy)
	d.hostPort(f+".outbound", t.Outbound)
	if t.Bulk && t.Mode != "register" {
		d.bad(f+".bulk", "expected none unless mode is register")
	}
	d.hostPort(f+".advertise", t.Advertise)
	if t.Transport != "" {
		d.choice(f+".transport", t.Transport, transports)
	}
	if t.Domain != "" && host(t.Domain) != strings.Trim(t.Domain, "[]") {
		d.bad(f+".domain", "expected a domain name or an IP address")
	}
	for _, u := range [...][2]string{{"user", t.User}, {"auth_user", t.AuthUser}} {
		if strings.ContainsAny(u[1], "\"\\\r\n") || !printable(u[1]) {
			d.bad(f+"."+u[0], `expected printable text without " and \`)
		}
	}
}

// trunkTLS checks how both sides prove who they are.
func (d *document) trunkTLS(f string, t *Trunk) {
	x := t.TLS
	f += ".tls"
	if t.Transport != "tls" && (x.Name != "" || x.CA != "" || x.Certificate != "" || x.Key != "" || len(x.Clients) > 0) {
		d.bad(f, "expected none unless transport is tls")
		return
	}
	for _, file := range [...][2]string{{"ca", x.CA}, {"certificate", x.Certificate}, {"key", x.Key}} {
		if file[1] != "" && !filepath.IsAbs(file[1]) {
			d.bad(f+"."+file[0], "expected an absolute path of a PEM file")
		}
	}
	switch {
	case x.Certificate != "" && x.Key == "":
		d.bad(f+".key", "missing, expected the PEM file that belongs to certificate")
	case x.Key != "" && x.Certificate == "":
		d.bad(f+".certificate", "missing, expected the PEM file that belongs to key")
	}
	if len(x.Clients) > 0 && x.CA == "" {
		d.bad(f+".ca", "missing, expected who may vouch for clients: with the system's authorities anybody could become one")
	}
	for i, n := range append([]string{x.Name}, x.Clients...) {
		at := f + ".name"
		if i > 0 {
			at = fmt.Sprintf("%s.clients[%d]", f, i-1)
		}
		if (n != "" || i > 0) && (n == "" || host(n) != strings.Trim(n, "[]")) {
			d.bad(at, "expected a domain name or an IP address")
		}
	}
}

// rate checks a bound of calls per second.
func (d *document) rate(field string, v float64) {
	if v != 0 && (v < 0.01 || v > 10_000) {
		d.bad(field, "expected 0.01 to 10000 calls a second, or 0 for any")
	}
}

// duration checks how long a party's calls may last.
func (d *document) duration(field string, v time.Duration) {
	if v != 0 {
		d.between(field, v, time.Second, 7*24*time.Hour)
	}
}

// session checks the interval of a session timer.
func (d *document) session(field string, v time.Duration) {
	if v != 0 {
		d.between(field, v, 90*time.Second, 24*time.Hour) // RFC 4028 5
	}
}

type network struct {
	prefix netip.Prefix
	field  string
}

// networks checks the addresses that tell a trunk's calls from those of strangers and of other trunks.
func (d *document) networks(seen []network, f string, t *Trunk) []network {
	for i, p := range t.Addresses {
		pf := fmt.Sprintf("%s.addresses[%d]", f, i)
		widest := 8
		if p.Addr().Is6() {
			widest = 16
		}
		switch {
		case !p.IsValid():
			continue
		case p.Bits() < widest:
			d.bad(pf, "expected a network of the carrier, /%d or smaller: everyone in it calls without a password", widest)
			continue
		case p.Masked() != p:
			d.bad(pf, "expected %s: the address has bits outside of its network", p.Masked())
		}
		for _, o := range seen {
			if o.prefix.Overlaps(p) {
				d.bad(pf, "overlaps %s%s: it must be clear whose a call is", o.field, d.line(o.field))
				break
			}
		}
		seen = append(seen, network{p, pf})
	}
	return seen
}

func (d *document) trunkFrom(f string, t *Trunk) {
	if t.From != "" {
		d.choice(f+".from", t.From, []string{"caller", "account", "fixed"})
	}
	switch {
	case t.From == "fixed" && t.FromNumber == "":
		d.bad(f+".from_number", "missing, expected the number that stands in From")
	case t.From != "fixed" && t.FromNumber != "":
		d.bad(f+".from_number", "expected none unless from is fixed")
	case t.From == "account" && t.User == "" && t.Mode != "carrier":
		d.bad(f+".user", "missing, expected the account that stands in From")
	case t.FromNumber != "" && !userPart(t.FromNumber):
		d.bad(f+".from_number", "expected a number or a SIP user name")
	}
}

// dialable is a number without visual separators: + and digits, or a service code with * and #.
func dialable(s string) bool {
	n := strings.TrimPrefix(s, "+")
	return n != "" && len(n) <= 32 && strings.Trim(n, "0123456789*#") == "" && strings.Trim(n, "*#") != ""
}

// userPart is the unescaped user part of a SIP URI (RFC 3261 25.1).
func userPart(s string) bool {
	for _, r := range s {
		if !alnum(r) && !strings.ContainsRune("-_.!~*'()&=+$,;?/", r) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
