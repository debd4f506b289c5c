package webrtc

import (
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// No two endpoints have one certificate, on either stack and with either key, and each is valid for about a month.
func TestCertificatesAreOfOneEndpoint(t *testing.T) {
	p := newPort(t, func(c *PortConfig) { c.RSA = true })
	c := newCaller(t)
	seen := map[string]bool{}
	for i := range 40 {
		l := newLeg(t, p, func(c *Config) { c.Stack, c.Key = Stack(i%2)+Own, Key(i/2%2) })
		answer := string(l.answered(c.sdp("actpass"), media.Want{}))
		_, print, _ := strings.Cut(answer, "a=fingerprint:")
		print, _, _ = strings.Cut(print, "\r\n")
		if print == "" || seen[print] {
			t.Fatalf("endpoint %d has the fingerprint %q, another's or none", i, print)
		}
		seen[print] = true
		cert, err := x509.ParseCertificate(l.ident.certificate.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(cert.NotAfter); left < 28*24*time.Hour || left > 31*24*time.Hour || time.Since(cert.NotBefore) < 0 {
			t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
		}
	}
}

// Endpoints that may share a certificate have one between them until its day is over, and nobody else has it.
func TestCertificateOfTheDay(t *testing.T) {
	p := newPort(t, nil)
	shared := func() *identity { return newLeg(t, p, func(c *Config) { c.Stack, c.Shared = Own, true }).ident }
	first := shared()
	if second := shared(); second != first {
		t.Error("two endpoints that share have two certificates")
	}
	if own := newLeg(t, p, func(c *Config) { c.Stack = Own }).ident; own == first {
		t.Error("an endpoint that doesn't share has the day's certificate")
	}
	first.made = first.made.Add(-readyTime)
	if next := shared(); next == first {
		t.Error("the certificate is used beyond its day")
	}
}

// Certificates are made ahead, again when some were taken, and not kept for ever; who finds none gets one on P-256 and doesn't
// wait for a key of RSA.
func TestCertificatesAreMadeAhead(t *testing.T) {
	p := newPort(t, func(c *PortConfig) { c.RSA, c.rest = true, -1 }) // a busy machine makes keys slowly enough
	pool := &p.identities
	ready := func(k Key) int {
		pool.mu.Lock()
		defer pool.mu.Unlock()
		return len(pool.ready[k])
	}
	full := func() bool { return ready(ECDSA) == readyECDSA && ready(RSA) > 0 }
	await(t, "the first", full)
	taken := map[*identity]bool{}
	for range 2 {
		it, err := pool.get(RSA)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := it.certificate.PrivateKey.(*rsa.PrivateKey); !ok || taken[it] {
			t.Errorf("the key is %T, or was had before", it.certificate.PrivateKey)
		}
		taken[it] = true
		await(t, "another", full)
	}
	// All are too old now.
	pool.mu.Lock()
	for _, list := range pool.ready {
		for _, it := range list {
			it.made = it.made.Add(-readyTime - time.Hour)
			taken[it] = true
		}
	}
	pool.mu.Unlock()
	for _, k := range []Key{ECDSA, RSA} {
		if it, err := pool.get(k); err != nil || taken[it] {
			t.Errorf("an old one is given, %v", err)
		}
	}
	empty := identities{wake: make(chan struct{}, 1)} // nobody fills it
	for _, k := range []Key{RSA, ECDSA} {
		it, err := empty.get(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := it.certificate.PrivateKey.(*rsa.PrivateKey); ok {
			t.Error("an RSA key was waited for")
		}
	}
}
