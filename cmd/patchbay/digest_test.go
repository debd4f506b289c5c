package main

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/sip/auth"
)

// Without sip.digest users are asked by what each of them can answer.
func TestDigestOfUsers(t *testing.T) {
	const md5, sha = "ha1: 0123456789abcdef0123456789abcdef", "ha1: {MD5: 0123456789abcdef0123456789abcdef, SHA-256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}"
	for _, c := range []struct{ file, want string }{
		{"", "SHA-256 MD5"},
		{"users: [{id: a, password: planted-secret}, {id: b, " + sha + "}]", "SHA-256 MD5"},
		{"users: [{id: a, password: planted-secret}, {id: b, " + md5 + "}]", "MD5"},
		{"sip: {digest: SHA-512-256}\nusers: [{id: a, password: planted-secret}]", "SHA-512-256"},
		{"sip: {digest: [MD5, SHA-256]}\nusers: [{id: a, " + sha + "}]", "MD5 SHA-256"},
	} {
		cfg, d := parseConfig("f.yaml", []byte(c.file), testEnv)
		if m := d.wrong(); len(m) > 0 {
			t.Fatal(m)
		}
		cfg.complete()
		if got := strings.Join(cfg.SIP.Digest, " "); got != c.want {
			t.Errorf("%s: challenged with %s, expected %s", c.file, got, c.want)
		}
	}
	cfg, d := parseConfig("f.yaml", []byte("users: [{id: a, "+sha+"}, {id: b, "+md5+"}]"), testEnv)
	if m := d.wrong(); len(m) > 0 {
		t.Fatal(m)
	}
	if k := cfg.Users[0].HA1.known(); len(k) != 2 || len(k[auth.SHA256]) != 64 || cfg.Users[1].HA1.known()[auth.MD5] == "" {
		t.Errorf("hashes %v", k)
	}
}
