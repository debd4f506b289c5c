package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A self-signed certificate of ours ends after a year, and is renewed a month before. Its key stays.
const (
	selfSignedLife  = 365 * 24 * time.Hour
	selfSignedRenew = 30 * 24 * time.Hour
)

// selfSigned is a certificate that we make ourselves, so that HTTPS is there from the first start. Browsers ask
// whether to trust it; its file may be given to them to trust.
type selfSigned struct {
	cert, key string // files
	hosts     []string
}

func newSelfSigned(dir string, hosts []string) *selfSigned {
	return &selfSigned{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), hosts: hosts}
}

// ensure makes the certificate unless there is one that is still good: for our key and all our names, and not about
// to end.
func (s *selfSigned) ensure(now time.Time) error {
	key, err := s.readKey()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = s.makeKey()
	}
	if err != nil {
		return err
	}
	b, err := readPEM(s.cert)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.good(b, &key.PublicKey, now) {
		return nil
	}
	return s.issue(key, now)
}

func (s *selfSigned) good(b []byte, key *ecdsa.PublicKey, now time.Time) bool {
	block, _ := pem.Decode(b)
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !key.Equal(c.PublicKey) || now.Before(c.NotBefore) || c.NotAfter.Sub(now) < selfSignedRenew {
		return false
	}
	for _, h := range s.hosts {
		ip := net.ParseIP(h)
		if !slices.Contains(c.DNSNames, h) && !slices.ContainsFunc(c.IPAddresses, func(a net.IP) bool { return a.Equal(ip) }) {
			return false
		}
	}
	return true
}

func (s *selfSigned) readKey() (*ecdsa.PrivateKey, error) {
	b, err := readPEM(s.key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: expected a key in PEM; remove the file to have another made", s.key)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s: expected an ECDSA key in PKCS #8; remove the file to have another made", s.key)
	}
	return key, nil
}

func (s *selfSigned) makeKey() (*ecdsa.PrivateKey, error) {
	// Others may pass through the data folder: as root, the private Postgres runs as another user. They see nothing of tls.
	dir := filepath.Dir(s.key)
	if err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o755), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(s.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), 0o600)
}

func (s *selfSigned) issue(key *ecdsa.PrivateKey, now time.Time) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: "Patchbay"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife), // an hour for clocks that are behind
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, h := range s.hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return err
	}
	return writeFile(s.cert, b.Bytes(), 0o644)
}
