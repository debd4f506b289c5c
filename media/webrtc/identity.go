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
	"time"
)

// Key is the kind of a certificate's key.
type Key uint8

const (
	// ECDSA is on P-256, as browsers have it.
	ECDSA Key = iota
	// RSA has 2048 bits; a handshake with it costs a millisecond more. While none is ready, an ECDSA one is taken.
	RSA
)

// identity is a certificate with its fingerprint, as in SDP.
type identity struct {
	certificate tls.Certificate
	fingerprint string
	made        time.Time
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
	return &identity{c, print, time.Now()}, err
}

// newCertificate makes one with a key on P-256.
func newCertificate() (tls.Certificate, string, error) {
	it, err := newIdentity(ECDSA)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	return it.certificate, it.fingerprint, nil
}

// identityTime is how long a certificate is valid from when it is made, as browsers' own are (30 days).
const identityTime = 30 * 24 * time.Hour

// certify makes a certificate. Nobody looks at its names or dates: its fingerprint in SDP is the identity (RFC 8827 6.5).
func certify(key crypto.Signer) (tls.Certificate, string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, "", err
	}
	name := pkix.Name{CommonName: "WebRTC"}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: serial, Subject: name, Issuer: name, NotBefore: now.Add(-24 * time.Hour),
		NotAfter: now.Add(identityTime), KeyUsage: x509.KeyUsageDigitalSignature,
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
