package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
)

// checkHost is what `check` looks at outside of the settings.
type checkHost struct {
	mode     func(path string) (os.FileMode, error)
	postgres func() string             // where initdb is; "" if nowhere
	look     func(*Config) []HostDoubt // nil: the machine isn't looked at
}

func thisHost() checkHost {
	return checkHost{mode: fileMode, postgres: findPostgres, look: lookAtHost}
}

func fileMode(path string) (os.FileMode, error) {
	i, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return i.Mode(), nil
}

// findPostgres looks for the database\'s programs where distributions put them.
func findPostgres() string {
	var found []string
	for _, glob := range [...]string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
		m, _ := filepath.Glob(glob) // the patterns are constant and good
		found = append(found, m...)
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		found = append(found, p)
	}
	for _, p := range found {
		if i, err := os.Stat(p); err == nil && !i.IsDir() {
			return p
		}
	}
	return ""
}

// doubts are warnings about settings that can be used, but hardly as they were meant.
func (d *document) doubts(c *Config, h checkHost) {
	d.doubtOpen(c)
	d.doubtPorts(c)
	d.doubtSecrets(c, h)
	for i, t := range c.Tokens {
		if !t.Expires.IsZero() && t.Expires.Before(time.Now()) {
			d.warn(fmt.Sprintf("tokens[%d].expires", i), "is over: the token is refused")
		}
	}
	for i := range c.Trunks {
		d.doubtTrunk(c, i)
	}
	for i := range c.Routes {
		d.doubtRoute(c, i)
	}
	d.doubtHome(c)
	if c.Billing.Database == "auto" && h.postgres() == "" {
		d.warn("billing.database", "no PostgreSQL programs found: records stay in the journal; install postgresql, or set a postgres:// address")
	}
}

// doubtOpen: who can reach us, and what for.
func (d *document) doubtOpen(c *Config) {
	nobody := len(c.Users) == 0 && len(c.Trunks) == 0
	if nobody && !c.Demo {
		d.warn("users", "there are no users and no trunks: nobody can call")
	}
	for i, l := range c.SIP.Listen {
		if l.Address.Addr().IsLoopback() {
			continue
		}
		f := fmt.Sprintf("sip.listen[%d].address", i)
		if nobody {
			d.warn(f, "is reachable from other hosts although there are no users and no trunks of the file's own")
		}
		if c.Demo {
			d.warn(f, "is reachable from other hosts, and the demo's users with it")
		}
	}
	if !c.HTTP.Listen.Addr().IsLoopback() {
		d.warn("http.listen", "is reachable from other hosts: whoever reaches it reads metrics and health, and passwords of SIP travel without TLS")
	}
	if !c.https().Addr().IsLoopback() && c.Media.WebRTC.Port != 0 && len(c.Users) > 0 && !slices.ContainsFunc(c.Media.Addresses, reachable) {
		d.warn("media.addresses", "browsers of other hosts can open the page, but send no sound to loopback: set bind or advertise to an address that they reach")
	}
	if c.HTTPS.Certificate != "" {
		cert, key, err := readPair(c.HTTPS.Certificate, c.HTTPS.Key)
		if err == nil {
			_, err = tls.X509KeyPair(cert, key)
		}
		if err != nil {
			d.warn("https.certificate", "can't be used as it is now: %v", err)
		}
	}
}

func (d *document) doubtPorts(c *Config) {
	p := c.Media.Ports
	calls := (int(p.Max) - int(p.Min) + 1) / 4
	if calls < c.Limits.Calls {
		d.warn("media.ports", "%d to %d is enough for %d calls, limits.calls allows %d: a call takes four ports; set max to %d", p.Min, p.Max, calls, c.Limits.Calls, int(p.Min)+4*c.Limits.Calls-1)
	}
}

// doubtSecrets: passwords that others can read or guess.
func (d *document) doubtSecrets(c *Config, h checkHost) {
	inline := false
	for i, u := range c.Users {
		f := fmt.Sprintf("users[%d].password", i)
		inline = inline || u.Password != "" && d.written(f) || d.writtenHA1(fmt.Sprintf("users[%d].ha1", i), u.HA1)
		switch pw := string(u.Password); {
		case pw == "":
		case len(pw) < 8:
			d.warn(f, "has %d characters, and strangers guess such passwords: expected 8 or more", len(pw))
		case strings.EqualFold(pw, u.ID) || strings.EqualFold(pw, u.Login) || slices.Contains(u.Numbers, pw):
			d.warn(f, "is the user's own name or number: strangers try that first")
		}
	}
	for i, t := range c.Trunks {
		inline = inline || t.Password != "" && d.written(fmt.Sprintf("trunks[%d].password", i)) || d.writtenHA1(fmt.Sprintf("trunks[%d].ha1", i), t.HA1)
	}
	files := d.files
	if inline {
		files = append(files, d.file)
	}
	for _, f := range files {
		if m, err := h.mode(f); err == nil && m.Perm()&0o004 != 0 {
			d.warn("", "%s holds secrets and every user of this host can read it (mode %04o): chmod 600", f, m.Perm())
		}
	}
}

// written reports a secret that stands in the file itself.
func (d *document) written(field string) bool {
	p, ok := d.places[field]
	return ok && !strings.Contains(p.raw, "${") && !strings.HasPrefix(p.raw, "file:")
}

func (d *document) writtenHA1(field string, h HA1) bool {
	for _, a := range auth.Algorithms() {
		if h.of(a) != "" && (d.written(field+"."+string(a)) || a == auth.MD5 && d.written(field)) {
			return true
		}
	}
	return false
}

func (d *document) doubtTrunk(c *Config, i int) {
	t, f := &c.Trunks[i], fmt.Sprintf("trunks[%d]", i)
	peer, err := netip.ParseAddr(host(cmp.Or(t.Proxy, t.Registrar)))
	far := err != nil && t.Mode != "carrier" || err == nil && !peer.IsLoopback() // a name is somebody else's host
	public := err != nil && t.Mode != "carrier" || err == nil && !private(peer)
	media, mf := t.Media, f+".media"
	if !media.Bind.IsValid() && len(c.Media.Addresses) > 0 {
		bind, advertise := c.Media.Addresses[0].address(), media.Advertise
		if media, mf = bind, "media.addresses[0]"; advertise.IsValid() {
			media.Advertise, mf = advertise, f+".media"
		}
	}
	told := media.Advertise
	if !told.IsValid() {
		told = media.Bind
	}
	switch {
	case far && told.IsLoopback():
		d.warn(mf, "RTP is received on %s, where trunk %q can't send to: there will be no sound from it", told, t.ID)
	case public && private(told):
		d.warn(mf, "%s is a private address and trunk %q is on the public internet: set advertise to our public address", told, t.ID)
	}
	if a, err := netip.ParseAddr(host(t.Advertise)); err == nil && public && private(a) {
		d.warn(f+".advertise", "is a private address, and the trunk is on the public internet")
	}
	if far && t.Mode == "address" && onlyLoopback(c.SIP.Listen) {
		d.warn("sip.listen", "SIP is received on loopback alone: calls from trunk %q can't come in", t.ID)
	}
	if far && t.SRTP != "" && t.SRTP != "never" && t.Transport != "tls" {
		d.warn(f+".srtp", "whoever reads the trunk's SIP on its way reads the keys: set transport to tls")
	}
	for _, r := range c.Routes {
		for _, h := range r.To {
			if h.Trunk == t.ID {
				return
			}
		}
	}
	d.warn(f+".id", "no route leads to this trunk: nobody can call out through it")
}

// reachable tells whether other hosts can send to what browsers are told.
func reachable(a MediaInterface) bool {
	if a.Advertise.IsValid() {
		return !a.Advertise.IsLoopback()
	}
	return !a.Bind.IsLoopback()
}

func onlyLoopback(list []Listen) bool {
	for _, l := range list {
		if !l.Address.Addr().IsLoopback() {
			return false
		}
	}
	return true
}

// doubtRoute: routes that nothing can come to, and those that let strangers' calls out again.
func (d *document) doubtRoute(c *Config, i int) {
	r, f := &c.Routes[i], fmt.Sprintf("routes[%d]", i)
	if len(r.Source) > 0 {
		used := false
		for _, s := range r.Source {
			kind, _, one := strings.Cut(s, ":")
			used = used || one || kind == "any" || kind == "user" && (len(c.Users) > 0 || c.Demo) || kind == "trunk" && (len(c.Trunks) > 0 || c.Demo)
		}
		if !used {
			d.warn(f+".source", "nothing can come from there: there are no such users or trunks")
		}
	}
	out := slices.ContainsFunc(r.To, func(h Hop) bool { return h.Trunk != "" })
	in := len(r.Source) == 0 || slices.ContainsFunc(r.Source, func(s string) bool { return s == "any" || s == "trunk" || strings.HasPrefix(s, "trunk:") })
	if out && in && (len(c.Trunks) > 0 || c.Demo) {
		d.warn(f, "lets calls from a trunk out through a trunk: whoever calls us may call on, at our cost; set source to user unless that is meant")
	}
	for j, h := range r.To[:max(0, len(r.To)-1)] {
		if len(h.Failover) == 1 && h.Failover[0] == "none" {
			d.warn(fmt.Sprintf("%s.to[%d].failover", f, j), "nothing goes on from here: the hops after it are never tried")
		}
	}
}
