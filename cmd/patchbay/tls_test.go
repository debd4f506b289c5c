package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// issued is a certificate and its key as PEM.
func issued(t *testing.T, serial int64, until time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
}

// tlsConfig is settings that are complete but for what the test adds.
func tlsConfig(t *testing.T) Config {
	t.Helper()
	c := defaults()
	c.Node.Data = t.TempDir()
	c.complete()
	return c
}

var quiet = slog.New(slog.DiscardHandler)

// served is an HTTPS server with the certificates; presented tells which one a new client gets.
func served(t *testing.T, certs *certificates) (presented func(*tls.Config) (*x509.Certificate, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), certs.config(), quiet)
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return func(c *tls.Config) (*x509.Certificate, error) {
		tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
		client := http.Client{Transport: tr, Timeout: 5 * time.Second}
		res, err := client.Get("https://" + l.Addr().String())
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != "hello" {
			t.Errorf("body %q, %v", b, err)
		}
		return res.TLS.PeerCertificates[0], nil
	}
}

func TestSelfSignedCertificate(t *testing.T) {
	cfg := tlsConfig(t)
	cfg.Node.Name = "gw_1.example"
	cfg.SIP.Listen[0].Advertise = "sip.example.com.:5070"
	cfg.SIP.Listen[1].Advertise = "[2001:db8::5]:5060"
	cfg.Media.Addresses[0].Advertise = netip.MustParseAddr("203.0.113.9")
	certs, err := openCertificates(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	b, err := os.ReadFile(filepath.Join(cfg.Node.Data, "tls", "cert.pem"))
	if err != nil || !pool.AppendCertsFromPEM(b) {
		t.Fatal(err)
	}
	get := served(t, certs)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "gw_1.example", "sip.example.com", "2001:db8::5", "203.0.113.9"} {
		if _, err := get(&tls.Config{RootCAs: pool, ServerName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := get(&tls.Config{RootCAs: pool, ServerName: "other.example"}); err == nil {
		t.Error("it is good for names that aren't ours")
	}
	if _, err := get(&tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	c, err := get(&tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	if c.PublicKeyAlgorithm != x509.ECDSA || c.IsCA || time.Until(c.NotAfter) < 364*24*time.Hour {
		t.Errorf("a %v certificate until %v", c.PublicKeyAlgorithm, c.NotAfter)
	}
	for file, mode := range map[string]os.FileMode{"tls": 0o700 | os.ModeDir, "tls/key.pem": 0o600, "tls/cert.pem": 0o644} {
		if i, err := os.Stat(filepath.Join(cfg.Node.Data, file)); err != nil || i.Mode() != mode {
			t.Errorf("%s: %v, %v, expected %v", file, i.Mode(), err, mode)
		}
	}
	// A second start has the same one; another name needs another, with the same key.
	again, err := openCertificates(cfg, quiet)
	if err != nil || !again.current.Load().Leaf.Equal(c) {
		t.Errorf("a second start: %v", err)
	}
	cfg.SIP.Domain = "new.example.com"
	renamed, err := openCertificates(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if leaf := renamed.current.Load().Leaf; leaf.VerifyHostname("new.example.com") != nil || !c.PublicKey.(*ecdsa.PublicKey).Equal(leaf.PublicKey) {
		t.Error("the new name isn't in it, or the key is another")
	}
}

func TestSelfSignedCertificateIsRenewed(t *testing.T) {
	certs, err := openCertificates(tlsConfig(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	first := certs.current.Load().Leaf
	certs.look(first.NotAfter.Add(-31 * 24 * time.Hour))
	if !certs.current.Load().Leaf.Equal(first) {
		t.Error("renewed too early")
	}
	certs.look(first.NotAfter.Add(-29 * 24 * time.Hour))
	second := certs.current.Load().Leaf
	if second.Equal(first) || !second.NotAfter.After(first.NotAfter) || second.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Errorf("not renewed: until %v, before %v", second.NotAfter, first.NotAfter)
	}
	// What somebody broke is made anew, but a key is never overwritten.
	write(t, certs.cert, "broken")
	certs.look(time.Now())
	if err := certs.own.ensure(time.Now()); err != nil || certs.expires().Before(time.Now()) {
		t.Error(err)
	}
	write(t, certs.key, "broken")
	if err := certs.own.ensure(time.Now()); err == nil || !strings.Contains(err.Error(), "key.pem") {
		t.Errorf("a broken key: %v", err)
	}
}

func TestCertificateFilesAreReloaded(t *testing.T) {
	cfg := tlsConfig(t)
	dir := t.TempDir()
	cfg.HTTPS.Certificate, cfg.HTTPS.Key = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	if _, err := openCertificates(cfg, quiet); err == nil || !strings.Contains(err.Error(), "https.certificate") {
		t.Errorf("files that aren't there: %v", err)
	}
	year := time.Now().AddDate(1, 0, 0)
	cert1, key1 := issued(t, 1, year)
	cert2, key2 := issued(t, 2, year)
	write(t, cfg.HTTPS.Certificate, string(cert1))
	write(t, cfg.HTTPS.Key, string(key2))
	if _, err := openCertificates(cfg, quiet); err == nil {
		t.Error("a key that belongs to another certificate was taken")
	}
	write(t, cfg.HTTPS.Key, string(key1))
	var logs bytes.Buffer
	certs, err := openCertificates(cfg, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	get := served(t, certs)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert1)
	pool.AppendCertsFromPEM(cert2)
	serial := func() int64 {
		t.Helper()
		c, err := get(&tls.Config{RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		return c.SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("certificate %d", n)
	}
	// Half of the new pair is there: the old one stays, which is told once.
	write(t, cfg.HTTPS.Certificate, string(cert2))
	certs.look(time.Now())
	certs.look(time.Now())
	if n := serial(); n != 1 {
		t.Errorf("certificate %d while its key is missing", n)
	}
	if n := strings.Count(logs.String(), "not usable"); n != 1 {
		t.Errorf("told %d times:\n%s", n, &logs)
	}
	// Now all of it, as a copy that keeps old times would write it.
	write(t, cfg.HTTPS.Key, string(key2))
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(cfg.HTTPS.Key, old, old); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { certs.Run(ctx); close(done) }()
	for deadline := time.Now().Add(5 * time.Second); serial() != 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not reloaded in 5 s")
		}
	}
	cancel()
	<-done
	if err := os.Remove(cfg.HTTPS.Key); err != nil {
		t.Fatal(err)
	}
	certs.look(time.Now())
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after its file went", n)
	}
}

func TestCertificateThatEndsSoon(t *testing.T) {
	cfg := tlsConfig(t)
	dir := t.TempDir()
	cfg.HTTPS.Certificate, cfg.HTTPS.Key = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	cert, key := issued(t, 1, time.Now().Add(10*24*time.Hour))
	write(t, cfg.HTTPS.Certificate, string(cert))
	write(t, cfg.HTTPS.Key, string(key))
	var logs bytes.Buffer
	certs, err := openCertificates(cfg, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		certs.look(time.Now().Add(time.Duration(i) * 13 * time.Hour))
	}
	if n := strings.Count(logs.String(), "ends soon"); n != 2 {
		t.Errorf("warned %d times in 26 hours, expected 2", n)
	}
}

func TestHostsAreThoseOfTheSettings(t *testing.T) {
	cfg := tlsConfig(t)
	cfg.Node.Name, cfg.SIP.Domain = "not a host", "[2001:db8::7]"
	cfg.HTTPS.Listen = netip.MustParseAddrPort("0.0.0.0:8433")
	got := cfg.hosts()
	for _, bad := range []string{"not a host", "0.0.0.0", ""} {
		if slices.Contains(got, bad) {
			t.Errorf("%q is among %q", bad, got)
		}
	}
	if !slices.Contains(got, "2001:db8::7") || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
		t.Errorf("hosts %q", got)
	}
}

// The certificate is made before anything else in a new data folder: that must stay passable for the user that the
// private Postgres runs as.
func TestNewDataFolderCanBePassed(t *testing.T) {
	cfg := tlsConfig(t)
	cfg.Node.Data = filepath.Join(t.TempDir(), "new", "data")
	if _, err := openCertificates(cfg, quiet); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]os.FileMode{cfg.Node.Data: 0o001, filepath.Join(cfg.Node.Data, "tls"): 0} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm() & 0o001; got != want {
			t.Errorf("%s is %v", dir, info.Mode())
		}
	}
}
