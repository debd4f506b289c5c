package main

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/patchbay/patchbay/sip/auth"
)

// digests are the algorithms of challenges, best first, as they are written in the settings.
func digests() []string {
	var out []string
	for _, a := range auth.Algorithms() {
		out = append(out, string(a))
	}
	return out
}

func (h HA1) empty() bool { return h == HA1{} }

// of is the hash of one algorithm; "" without.
func (h HA1) of(a auth.Algorithm) Secret {
	switch a {
	case auth.MD5:
		return h.MD5
	case auth.SHA256:
		return h.SHA256
	}
	return h.SHA512256
}

// known are the hashes there are, for package auth; nil for none.
func (h HA1) known() map[auth.Algorithm]string {
	var out map[auth.Algorithm]string
	for _, a := range auth.Algorithms() {
		if v := h.of(a); v != "" {
			if out == nil {
				out = map[auth.Algorithm]string{}
			}
			out[a] = string(v)
		}
	}
	return out
}

// answers tells whether a user can answer challenges of an algorithm.
func (u User) answers(a string) bool {
	return u.HA1.empty() || u.HA1.of(auth.Algorithm(a)) != ""
}

// answerable are the algorithms that users are challenged with unless the settings say it: all must be able to answer each.
func (c *Config) answerable() []string {
	var out []string
	for _, a := range []auth.Algorithm{auth.SHA256, auth.MD5} {
		if !slices.ContainsFunc(c.Users, func(u User) bool { return !u.answers(string(a)) }) {
			out = append(out, string(a))
		}
	}
	return out
}

func algorithms(names []string) []auth.Algorithm {
	out := make([]auth.Algorithm, len(names))
	for i, n := range names {
		out[i] = auth.Algorithm(n)
	}
	return out
}

// digest checks how users are challenged.
func (d *document) digest(c *Config) {
	for i, a := range c.SIP.Digest {
		f := fmt.Sprintf("sip.digest[%d]", i)
		d.choice(f, a, digests())
		if slices.Contains(c.SIP.Digest[:i], a) {
			d.bad(f, "stands twice in sip.digest")
		}
	}
	for key, list := range map[string][]string{"digest_simple": c.SIP.DigestSimple, "scanners": c.SIP.Scanners} {
		for i, a := range list {
			if a == "" || !printable(a) {
				d.bad(fmt.Sprintf("sip.%s[%d]", key, i), "expected the beginning of a User-Agent, such as baresip")
			}
		}
	}
	if len(c.SIP.Digest) == 0 && len(c.answerable()) == 0 {
		d.bad("sip.digest", "missing: there is neither SHA-256 nor MD5 that each user's ha1 could answer")
	}
}

// userCredentials checks how a user proves who it is; asked are the algorithms of challenges, if the settings say them.
func (d *document) userCredentials(f string, u User, asked []string) {
	switch {
	case u.Password == "" && u.HA1.empty():
		if _, wrong := d.places[f+".ha1"]; wrong {
			d.bad(f+".ha1", "is empty, expected 32 hexadecimal digits, or one hash by algorithm")
			return
		}
		d.bad(f+".password", "missing, expected a password or ha1: a user without one could be anybody")
	case u.Password != "" && !u.HA1.empty():
		d.bad(f+".ha1", "expected either password or ha1, not both")
	case !u.HA1.empty():
		d.ha1(f+".ha1", u.HA1, "login")
		for _, a := range asked {
			if slices.Contains(digests(), a) && !u.answers(a) {
				d.bad(f+".ha1", "has none for %s, expected one for each algorithm of sip.digest: a phone that knows %s would answer with it", a, a)
				return
			}
		}
	}
}

// ha1 checks the form of hashes; user names the key whose value is hashed in front.
func (d *document) ha1(f string, h HA1, user string) {
	_, one := d.places[f+".MD5"]
	for _, a := range auth.Algorithms() {
		v := h.of(a)
		if v == "" {
			continue
		}
		at := f + "." + string(a)
		if a == auth.MD5 && !one {
			at = f
		}
		if b, err := hex.DecodeString(string(v)); err != nil || len(b) != a.Size() {
			d.bad(at, "expected %d hexadecimal digits: the %s of %s:realm:password (RFC 7616 3.4.2)", 2*a.Size(), a, user)
		}
	}
}

// trunkCredentials checks how we prove to a carrier who we are.
func (d *document) trunkCredentials(f string, t *Trunk) {
	if t.Password != "" && !t.HA1.empty() {
		d.bad(f+".ha1", "expected either password or ha1, not both")
		return
	}
	if !printable(t.Realm) {
		d.bad(f+".realm", "expected printable text")
	}
	if t.HA1.empty() {
		return
	}
	d.ha1(f+".ha1", t.HA1, "auth_user")
	if t.Realm == "" {
		d.bad(f+".realm", "missing, expected the realm of the carrier's challenges: ha1 is good for it alone")
	}
}
