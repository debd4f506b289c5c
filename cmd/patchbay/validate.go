package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

var (
	transports = []string{"udp", "tcp", "tls"}
	codecs     = []string{"PCMU", "PCMA", "opus"}
	dtmfs      = []string{"rfc4733", "info", "inband", "none"}
	srtps      = []string{"never", "prefer", "require"}
)

// validate reports what is wrong although each value by itself could be read.
func (d *document) validate(c *Config) {
	d.node(c)
	d.http(c)
	d.sip(&c.SIP)
	d.media(&c.Media)
	d.ice(c)
	d.billing(&c.Billing)
	d.mediaFiles(c)
	d.rpc(c)
	d.digest(c)
	d.users(c)
	d.trunks(c)
	d.apps(c)
	d.rating(c)
	d.webhooks(c)
	d.routes(c)
	d.sockets(c)
}

func (d *document) node(c *Config) {
	if c.Node.Name != "" {
		d.id("node.name", c.Node.Name)
	}
	d.folder("node.data", c.Node.Data)
	d.between("node.drain", c.Node.Drain, 0, 24*time.Hour)
	d.choice("log.level", c.Log.Level, []string{"debug", "info", "warn", "error"})
	d.choice("log.format", c.Log.Format, []string{"text", "json"})
	d.count("limits.calls", c.Limits.Calls, 1, 100_000)
	d.between("limits.duration", c.Limits.Duration, time.Second, 7*24*time.Hour)
	d.between("limits.ring", c.Limits.Ring, time.Second, 10*time.Minute)
	d.count("limits.hops", c.Limits.Hops, 2, 255)
	d.count("limits.diversions", c.Limits.Diversions, 1, 10)
	d.full("limits.full", c.Limits.Full)
}

func (d *document) http(c *Config) {
	for i, o := range c.HTTP.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin(u) != o {
			d.bad(fmt.Sprintf("http.origins[%d]", i), "expected http:// or https:// and a host in small letters, such as https://crm.example.com, without a path")
		}
	}
	switch s := c.HTTPS; {
	case s.Certificate == "" && s.Key == "":
		return
	case s.Certificate == "":
		d.bad("https.certificate", "missing, expected the PEM file that belongs to https.key")
	case s.Key == "":
		d.bad("https.key", "missing, expected the PEM file that belongs to https.certificate")
	}
	for _, f := range [...]struct{ field, path string }{{"https.certificate", c.HTTPS.Certificate}, {"https.key", c.HTTPS.Key}} {
		if f.path != "" && !filepath.IsAbs(f.path) {
			d.bad(f.field, "expected an absolute path of a file")
		}
	}
}

func (d *document) sip(s *SIP) {
	if len(s.Listen) == 0 {
		d.bad("sip.listen", "expected at least one listener")
	}
	for i, l := range s.Listen {
		f := fmt.Sprintf("sip.listen[%d]", i)
		if l.Transport == "" {
			d.bad(f+".transport", "missing, expected %s", oneOf(transports))
		} else {
			d.choice(f+".transport", l.Transport, transports)
		}
		switch {
		case !l.Address.IsValid():
			d.bad(f+".address", "missing, expected an IP address and a port, such as 192.0.2.1:5060")
		case l.Address.Addr().IsUnspecified() && l.Advertise == "":
			d.bad(f+".advertise", "missing, expected the address that phones and carriers can reach, since %s is none", l.Address.Addr())
		}
		d.hostPort(f+".advertise", l.Advertise)
	}
	if s.Domain != "" && host(s.Domain) != strings.Trim(s.Domain, "[]") {
		d.bad("sip.domain", "expected a domain name or an IP address")
	}
	d.country("sip.country", s.Country)
	if s.Realm == "" || !printable(s.Realm) || strings.ContainsAny(s.Realm, `"\`) {
		d.bad("sip.realm", `expected printable text without " and \`)
	}
	if !printable(s.UserAgent) {
		d.bad("sip.user_agent", "expected printable text")
	}
	d.between("sip.response_timeout", s.ResponseTimeout, time.Second, 32*time.Second)
	d.session("sip.session", s.Session)
	d.between("sip.register_min", s.RegisterMin, 10*time.Second, time.Hour)
	d.count("sip.dscp", s.DSCP, 0, 63)
	d.count("sip.trunk_messages", s.TrunkMessages, 50, 1000000)
	d.between("sip.register_max", s.RegisterMax, max(s.RegisterMin, 10*time.Second), 24*time.Hour)
}

func (d *document) media(m *Media) {
	d.mediaInterfaces(m.Addresses)
	d.count("media.dscp", m.DSCP, 0, 63)
	switch p := m.Ports; {
	case p.Min < 1024:
		d.bad("media.ports.min", "expected 1024 to 65532")
	case p.Max < p.Min:
		d.bad("media.ports.max", "expected at least media.ports.min, which is %d", p.Min)
	case p.Max-p.Min < 3:
		d.bad("media.ports.max", "expected at least media.ports.min + 3: one call takes four ports")
	}
	d.codecs("media.codecs", m.Codecs, true)
	d.choice("media.dtmf", m.DTMF, dtmfs)
	if m.Timeout != 0 {
		d.between("media.timeout", m.Timeout, 5*time.Second, time.Hour)
	}
	if p := m.WebRTC.Port; p != 0 && p < 1024 {
		d.bad("media.webrtc.port", "expected 1024 to 65535, or 0: browsers can't call")
	}
}

func (d *document) mediaAddress(f string, a MediaAddress) {
	switch {
	case a.Bind.IsUnspecified() && !a.Advertise.IsValid():
		d.bad(f+".advertise", "missing, expected the address that RTP can be sent to, since %s is none", a.Bind)
	case a.Advertise.IsValid() && a.Advertise.IsUnspecified():
		d.bad(f+".advertise", "expected an address that RTP can be sent to")
	case a.Advertise.IsValid() && a.Advertise.Is4() != a.Bind.Is4():
		d.bad(f+".advertise", "expected the same address family as %s.bind, which is %s", f, a.Bind)
	}
}

func (d *document) billing(b *Billing) {
	db := string(b.Database)
	if db != "auto" && db != "none" && !strings.HasPrefix(db, "postgres://") && !strings.HasPrefix(db, "postgresql://") {
		d.bad("billing.database", "expected auto, none or postgres://USER:PASSWORD@HOST/DATABASE")
	}
	if b.Dir != "" {
		d.folder("billing.dir", b.Dir)
	}
	d.between("billing.stall", b.Stall, 10*time.Millisecond, 10*time.Second)
	if b.MinFree < b.Reserve {
		d.bad("billing.min_free", "expected at least billing.reserve, which is %s", b.Reserve)
	}
	if b.Reserve < 1<<20 {
		d.bad("billing.reserve", "expected at least 1MiB")
	}
	d.choice("billing.dtmf", b.DTMF, []string{"masked", "clear"})
	d.records(b)
}

// id checks a name that stands in records for ever.
func (d *document) id(field, id string) {
	const form = "expected 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
	if id == "" {
		d.bad(field, "missing, %s", form)
		return
	}
	for i, r := range id {
		if i >= 64 || !alnum(r) && (i == 0 || !strings.ContainsRune("._-", r)) {
			d.bad(field, form)
			return
		}
	}
}

func (d *document) tenant(field, tenant string) {
	if tenant != "" {
		d.id(field, tenant)
	}
}

func (d *document) choice(field, value string, choices []string) {
	if !slices.Contains(choices, value) {
		d.bad(field, "expected %s%s", oneOf(choices), meant(value, choices))
	}
}

func (d *document) between(field string, v, lo, hi time.Duration) {
	if v < lo || v > hi {
		d.bad(field, "expected %s to %s", short(lo), short(hi))
	}
}

// short writes 1h0m0s as 1h.
func short(t time.Duration) string {
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d *document) count(field string, v, lo, hi int) {
	if v < lo || v > hi {
		d.bad(field, "expected %d to %d", lo, hi)
	}
}

// full checks what calls beyond a bound get.
func (d *document) full(field string, status int) {
	if status != 503 && status != 486 {
		d.bad(field, "expected 503 or 486")
	}
}

func (d *document) hostPort(field, s string) {
	if s == "" {
		return
	}
	h, _, err := splitHost(s)
	if err != nil {
		d.bad(field, "expected a host or host:port, but %v", err)
	} else if a, err := netip.ParseAddr(h); err == nil && a.IsUnspecified() {
		d.bad(field, "expected an address that can be reached")
	}
}

func (d *document) folder(field, path string) {
	if !filepath.IsAbs(path) {
		d.bad(field, "expected an absolute path of a folder")
	}
}

func (d *document) codecs(field string, list []string, needed bool) {
	if needed && len(list) == 0 {
		d.bad(field, "expected at least one of %s", oneOf(codecs))
	}
	for i, name := range list {
		f := fmt.Sprintf("%s[%d]", field, i)
		d.choice(f, name, codecs)
		if slices.Contains(list[:i], name) {
			d.bad(f, "stands twice in %s", field)
		}
	}
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return len(s) <= 128
}
