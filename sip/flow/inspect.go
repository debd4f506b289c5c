package flow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// Inspection is what a server over TLS has shown.
type Inspection struct {
	Connected time.Duration // how long TCP took
	Took      time.Duration // and the handshake
	Version   string
	Chain     []*x509.Certificate // as the server sent it, its own first
	Asked     bool                // it asks for our certificate
	Trust     error               // why its certificate isn't good; nil: it is
}

// refusal is how long a server of TLS 1.3 has to tell that it doesn't want our certificate, or wants one: its word comes after
// the handshake.
const refusal = 300 * time.Millisecond

// Inspect connects to a server over TLS, from local if that is valid, and looks at what it shows, without trusting it: its
// certificate is judged in Inspection.Trust, as DialTLS would. An error is of the connection or of the handshake.
func Inspect(ctx context.Context, local netip.Addr, remote netip.AddrPort, name string, cfg *tls.Config) (Inspection, error) {
	var seen Inspection
	own := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg != nil {
		own = cfg.Clone()
	}
	if own.ServerName == "" {
		own.ServerName = name
	}
	roots, pairs := own.RootCAs, own.Certificates
	own.InsecureSkipVerify = true // it is judged below
	own.VerifyConnection = func(st tls.ConnectionState) error {
		seen.Chain, seen.Version = st.PeerCertificates, tls.VersionName(st.Version)
		seen.Trust = verify(st.PeerCertificates, roots, own.ServerName)
		return nil
	}
	own.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		seen.Asked = true
		if len(pairs) > 0 {
			return &pairs[0], nil
		}
		return &tls.Certificate{}, nil
	}
	nd := net.Dialer{}
	if local.IsValid() && !local.IsUnspecified() {
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	begun := time.Now()
	conn, err := nd.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return seen, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	seen.Connected = time.Since(begun)
	c := tls.Client(conn, own)
	if err := c.HandshakeContext(ctx); err != nil {
		return seen, fmt.Errorf("TLS handshake: %w", err)
	}
	seen.Took = time.Since(begun) - seen.Connected
	if seen.Asked {
		if err := c.SetReadDeadline(time.Now().Add(refusal)); err != nil {
			return seen, err
		}
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return seen, fmt.Errorf("TLS with our certificate: %w", err)
		}
	}
	return seen, nil
}
