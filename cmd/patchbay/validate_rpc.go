package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/rpc"
)

// rpc: what JSON-RPC clients may take, and by which tokens they are known.
func (d *document) rpc(c *Config) {
	r := c.RPC
	d.size("rpc.max_message", r.MaxMessage, 64<<10, 64<<20)
	d.size("rpc.max_queued", r.MaxQueued, 64<<10, 1<<30)
	d.count("rpc.connections", r.Connections, 1, 100_000)
	d.count("rpc.sessions", r.Sessions, 1, 1_000_000)
	d.count("rpc.objects", r.Objects, 1, 10_000_000)
	d.between("rpc.keep", r.Keep, time.Second, 24*time.Hour)
	for i, h := range r.ICEHosts {
		if name, port, err := splitHost(h); err != nil || port != 0 || name != h {
			d.bad(fmt.Sprintf("rpc.ice_hosts[%d]", i), "expected an IP address or a domain name, without a port or brackets")
		}
	}
	ids, hashes := map[string]string{}, map[string]string{}
	for i, t := range c.Tokens {
		f := fmt.Sprintf("tokens[%d]", i)
		d.id(f+".id", t.ID)
		d.once(ids, f+".id", t.ID, "this id")
		d.tenant(f+".tenant", t.Tenant)
		d.tokenSecret(f, t)
		switch {
		case t.Secret != "":
			hash := sha256.Sum256([]byte(t.Secret))
			d.once(hashes, f+".secret", hex.EncodeToString(hash[:]), "this secret")
		case t.SHA256 != "":
			d.once(hashes, f+".sha256", strings.ToLower(string(t.SHA256)), "this secret")
		}
		if len(t.Roles) == 0 {
			d.bad(f+".roles", "missing, expected one or more of %s", oneOf(roles()))
		}
		for j, name := range t.Roles {
			d.choice(fmt.Sprintf("%s.roles[%d]", f, j), name, roles())
		}
		d.count(f+".objects", t.Objects, 0, 10_000_000)
		d.count(f+".sessions", t.Sessions, 0, 1_000_000)
		d.count(f+".connections", t.Connections, 0, 100_000)
		d.count(f+".requests", t.Requests, 0, 1_000_000)
	}
}

func roles() []string { return strings.Split(rpc.AllRoles.String(), ", ") }

// Lengths of a token, in characters.
const (
	minToken = 24
	maxToken = 128
)

func (d *document) tokenSecret(f string, t Token) {
	switch {
	case t.Secret == "" && t.SHA256 == "":
		d.bad(f+".secret", "missing, expected a secret or sha256: a token without one could be anybody's")
	case t.Secret != "" && t.SHA256 != "":
		d.bad(f+".sha256", "expected either secret or sha256, not both")
	case t.SHA256 != "":
		if b, err := hex.DecodeString(string(t.SHA256)); err != nil || len(b) != 32 {
			d.bad(f+".sha256", "expected 64 hexadecimal digits: the SHA-256 of the secret")
		}
	case len(t.Secret) < minToken || len(t.Secret) > maxToken || !tokenText(string(t.Secret)):
		d.bad(f+".secret", "expected %d to %d letters, digits and -._~, such as `openssl rand -hex 32` makes", minToken, maxToken)
	}
}

// tokenText reports whether a token can be said wherever one is: in a header, in an address, and as a subprotocol.
func tokenText(s string) bool {
	for _, r := range s {
		if !alnum(r) && !strings.ContainsRune("-._~", r) {
			return false
		}
	}
	return s != ""
}

func (d *document) size(field string, v, lo, hi Size) {
	if v < lo || v > hi {
		d.bad(field, "expected %s to %s", lo, hi)
	}
}
