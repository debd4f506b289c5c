package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const (
	certificatePoll = 2 * time.Second     // how often the files are looked at
	expiryWarning   = 14 * 24 * time.Hour // before the end of the operator's certificate
	maxPEM          = 1 << 20             // bytes of a certificate or key file
)

// certificates hands the HTTPS server its certificate: that of the operator's files, which are read again when their
// content changes, or one of our own making.
type certificates struct {
	log       *slog.Logger
	cert, key string      // files
	own       *selfSigned // nil: the files are the operator's

	current atomic.Pointer[tls.Certificate]
	seen    [sha256.Size]byte // what the files held when they were last read, be it good or bad
	warned  time.Time
}

// openCertificates reads the certificate, or makes one if none is set.
func openCertificates(c Config, log *slog.Logger) (*certificates, error) {
	t := &certificates{log: log, cert: c.HTTPS.Certificate, key: c.HTTPS.Key}
	if t.cert == "" {
		t.own = newSelfSigned(filepath.Join(c.Node.Data, "tls"), c.hosts())
		t.cert, t.key = t.own.cert, t.own.key
		if err := t.own.ensure(time.Now()); err != nil {
			return nil, fmt.Errorf("self-signed certificate: %w", err)
		}
	}
	if _, err := t.load(); err != nil {
		return nil, fmt.Errorf("https.certificate: %w", err)
	}
	return t, nil
}

// config is the HTTPS server's: TLS 1.2 and newer (RFC 9325 3.1.1).
func (t *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return t.current.Load(), nil
		},
	}
}

// expires is when the certificate in use ends.
func (t *certificates) expires() time.Time { return t.current.Load().Leaf.NotAfter }

// Run follows the files until ctx ends. A pair that can't be used is told once; the one before it stays in use.
func (t *certificates) Run(ctx context.Context) {
	tick := time.NewTicker(certificatePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			t.look(now)
		}
	}
}

func (t *certificates) look(now time.Time) {
	if t.own != nil {
		if err := t.own.ensure(now); err != nil {
			t.remind(now, "self-signed certificate not renewed", "err", err)
		}
	}
	switch changed, err := t.load(); {
	case err != nil && changed:
		t.log.Error("new certificate not usable, the one before stays", "certificate", t.cert, "err", err)
	case changed && err == nil:
		t.log.Info("certificate loaded", "certificate", t.cert, "expires", t.expires())
	}
	if t.own == nil && t.expires().Sub(now) < expiryWarning {
		t.remind(now, "certificate ends soon", "certificate", t.cert, "expires", t.expires())
	}
}

// remind warns once a day.
func (t *certificates) remind(now time.Time, what string, args ...any) {
	if now.Sub(t.warned) >= 24*time.Hour {
		t.warned = now
		t.log.Warn(what, args...)
	}
}

// load takes the files' pair into use if their content changed. What they hold is compared, not when they were
// written: links that are swapped and copies that keep their time are noticed too.
func (t *certificates) load() (changed bool, err error) {
	cert, key, err := readPair(t.cert, t.key)
	sum := sha256.New()
	if err != nil { // an error that stays is no change
		fmt.Fprint(sum, err)
	}
	for _, b := range [][]byte{cert, key} {
		fmt.Fprintf(sum, "%d:", len(b))
		sum.Write(b)
	}
	now := [sha256.Size]byte(sum.Sum(nil))
	if now == t.seen {
		return false, err
	}
	t.seen = now
	if err != nil {
		return true, err
	}
	pair, err := tls.X509KeyPair(cert, key) // also checks that they belong together
	if err != nil {
		return true, fmt.Errorf("%s and %s: %w", t.cert, t.key, err)
	}
	t.current.Store(&pair)
	return true, nil
}

func readPair(certFile, keyFile string) (cert, key []byte, err error) {
	if cert, err = readPEM(certFile); err != nil {
		return nil, nil, err
	}
	key, err = readPEM(keyFile)
	return cert, key, err
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPEM {
		return nil, fmt.Errorf("%s: expected at most %d bytes of PEM", path, maxPEM)
	}
	return b, nil
}

// hosts are the names and addresses by which clients may know us.
func (c Config) hosts() []string {
	list := []string{"localhost", "127.0.0.1", "::1", c.Node.Name, hostname(), c.SIP.Domain}
	for _, l := range c.SIP.Listen {
		list = append(list, host(l.Advertise))
	}
	for _, a := range c.Media.Addresses {
		if a.Advertise.IsValid() {
			list = append(list, a.Advertise.String())
		}
	}
	for _, a := range [...]string{c.HTTP.Listen.Addr().String(), c.HTTPS.Listen.Addr().String()} {
		if ip := net.ParseIP(a); ip != nil && !ip.IsUnspecified() {
			list = append(list, a)
		}
	}
	seen := map[string]bool{}
	var out []string
	for _, h := range list {
		// A zone is this host's own affair, a last dot the resolver's.
		if h = strings.TrimSuffix(host(h), "."); h != "" && !strings.Contains(h, "%") && !seen[h] {
			seen[h] = true
			out = append(out, h)
		}
	}
	return out
}

// writeFile puts a file in its place at once: who reads it finds the one before or all of this one.
func writeFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
