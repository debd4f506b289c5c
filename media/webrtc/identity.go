package webrtc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// Key is the kind of a certificate's key.
type Key uint8

const (
	// ECDSA is on P-256, as browsers have it.
	ECDSA Key = iota
	// RSA has 2048 bits; a handshake with it costs a millisecond more.
	RSA
)

// identity is a certificate with its fingerprint, as in SDP.
type identity struct {
	certificate tls.Certificate
	fingerprint string
}

// identities are a port's, made when the first of a kind is asked for: making an RSA key takes a tenth of a second and more,
// which no offer waits for twice.
type identities struct {
	ecdsa, rsa struct {
		once sync.Once
		it   *identity
		err  error
	}
}

func (p *identities) get(k Key) (*identity, error) {
	s := &p.ecdsa
	if k == RSA {
		s = &p.rsa
	}
	s.once.Do(func() { s.it, s.err = newIdentity(k) })
	if s.err != nil {
		return nil, fmt.Errorf("webrtc: make certificate: %w", s.err)
	}
	return s.it, nil
}

func newIdentity(k Key) (*identity, error) {
	var key crypto.Signer
	var err error
	if k == RSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	c, print, err := certify(key)
	return &identity{c, print}, err
}

// newCertificate makes one with a key on P-256.
func newCertificate() (tls.Certificate, string, error) {
	it, err := newIdentity(ECDSA)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	return it.certificate, it.fingerprint, nil
}

// certify makes a certificate. Nobody looks at its names or dates: its fingerprint in SDP is the identity (RFC 8827 6.5).
func certify(key crypto.Signer) (tls.Certificate, string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, "", err
	}
	name := pkix.Name{CommonName: "WebRTC"}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: name, Issuer: name, NotBefore: time.Now().Add(-24 * time.Hour),
		NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, "sha-256 " + colons(sum[:]), nil
}

// colons writes a digest as SDP does.
func colons(b []byte) string {
	var s strings.Builder
	for i, c := range b {
		if i > 0 {
			s.WriteByte(':')
		}
		fmt.Fprintf(&s, "%02X", c)
	}
	return s.String()
}
