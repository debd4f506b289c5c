package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// trunkTLS is what a trunk needs for TLS. Its files are read again, at most every few seconds, when a connection is
// about to use them; what can't be used is told, and what was read before stays.
type trunkTLS struct {
	log     *slog.Logger
	id      string
	set     TrunkTLS
	mu      sync.Mutex
	checked time.Time
	told    string // the last error, so that it is told once
	list    []*x509.Certificate
	roots   *x509.CertPool
	known   map[[sha256.Size]byte]bool // the same, by their bytes
	own     *tls.Certificate
}

// trunkTLSLife is how long the files aren't looked at again.
const trunkTLSLife = 2 * time.Second

// newTrunkTLS reads a trunk's files. What is wrong with them at the start is an error.
func newTrunkTLS(t Trunk, log *slog.Logger) (*trunkTLS, error) {
	x := &trunkTLS{log: log, id: t.ID, set: t.TLS}
	if err := x.read(); err != nil {
		return nil, fmt.Errorf("trunk %s: tls: %w", t.ID, err)
	}
	return x, nil
}

func (x *trunkTLS) read() error {
	if x.set.CA != "" {
		b, err := readPEM(x.set.CA)
		if err != nil {
			return err
		}
		list, err := certificatesOf(b)
		if err != nil {
			return fmt.Errorf("ca: %s: %w", x.set.CA, err)
		}
		x.list, x.roots, x.known = list, x509.NewCertPool(), map[[sha256.Size]byte]bool{}
		for _, c := range list {
			x.roots.AddCert(c)
			x.known[sha256.Sum256(c.Raw)] = true
		}
	}
	if x.set.Certificate == "" {
		return nil
	}
	cert, key, err := readPair(x.set.Certificate, x.set.Key)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate: %s and %s: %w", x.set.Certificate, x.set.Key, err)
	}
	x.own = &pair
	return nil
}

// fresh reads the files again if it is time; x.mu is held.
func (x *trunkTLS) fresh() {
	now := time.Now()
	if now.Sub(x.checked) < trunkTLSLife {
		return
	}
	x.checked = now
	said := ""
	if err := x.read(); err != nil {
		said = err.Error()
	}
	if said != "" && said != x.told {
		x.log.Error("trunk's TLS files not usable, those before stay", "trunk", x.id, "err", said)
	}
	x.told = said
}

// client are the settings of connections to the carrier.
func (x *trunkTLS) client() *tls.Config {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fresh()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x.roots, ServerName: x.set.Name}
	if x.own != nil {
		cfg.Certificates = []tls.Certificate{*x.own}
	}
	return cfg
}

// trusts tells whether a root is one of the trunk's own.
func (x *trunkTLS) trusts(root *x509.Certificate) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.known[sha256.Sum256(root.Raw)]
}

// addTo adds the trunk's roots to those whose clients we listen to.
func (x *trunkTLS) addTo(pool *x509.CertPool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fresh()
	for _, c := range x.list {
		pool.AddCert(c)
	}
}

func certificatesOf(b []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("expected at least one certificate in PEM")
	}
	return out, nil
}

// sipTLS are the settings of SIP listeners over TLS: the server's own certificate, and a question for the client's where
// a trunk is known by it.
func sipTLS(own *tls.Config, trunks []*trunkTLS) *tls.Config {
	var asking []*trunkTLS
	for _, t := range trunks {
		if len(t.set.Clients) > 0 {
			asking = append(asking, t)
		}
	}
	if len(asking) == 0 {
		return own
	}
	var mu sync.Mutex
	var at time.Time
	var pool *x509.CertPool
	roots := func() *x509.CertPool {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(at) > trunkTLSLife {
			at, pool = now, x509.NewCertPool()
			for _, t := range asking {
				t.addTo(pool)
			}
		}
		return pool
	}
	cfg := own.Clone()
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := own.Clone()
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, roots()
		return c, nil
	}
	return cfg
}
