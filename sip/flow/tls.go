package flow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// handshakeTime bounds a TLS handshake, from both sides.
const handshakeTime = 10 * time.Second

// ListenTLS opens a listener for TLS and starts to accept. Handshakes run beside each other, within 10 s; one that isn't
// done by then counts as DropTLS. Port 0 takes a free port.
func ListenTLS(addr netip.AddrPort, cfg *tls.Config, h Handler, lim Limits) (*TCP, error) {
	if cfg == nil {
		return nil, errors.New("flow: a TLS listener needs a tls.Config")
	}
	return listen(addr, cfg, h, lim)
}

// secure shakes hands on a connection that somebody opened to us.
func (t *TCP) secure(f *Flow) bool {
	ctx, cancel := context.WithTimeout(context.Background(), min(handshakeTime, t.lim.FirstMessage))
	defer cancel()
	if err := f.conn.(*tls.Conn).HandshakeContext(ctx); err != nil {
		t.h.Dropped(DropTLS)
		f.shut()
		return false
	}
	f.learn()
	return true
}

// learn keeps what a peer has shown in its handshake.
func (f *Flow) learn() {
	st := f.conn.(*tls.Conn).ConnectionState()
	f.chains = st.VerifiedChains
}

// Chains are the peer's certificates, verified: each from its own to a root that our tls.Config trusts. None without TLS,
// or where the peer showed no certificate, or we asked for none.
func (f *Flow) Chains() [][]*x509.Certificate { return f.chains }

// Name is whom the peer of a connection over TLS that we opened has proved to be; "" otherwise.
func (f *Flow) Name() string { return f.to.name }

// dialTLS connects and shakes hands. name is whom the peer must prove to be.
func dialTLS(ctx context.Context, conn net.Conn, name string, cfg *tls.Config) (net.Conn, error) {
	own := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg != nil {
		own = cfg.Clone()
	}
	if own.ServerName == "" {
		own.ServerName = name
	}
	name = own.ServerName
	roots := own.RootCAs
	// Go knows nothing of SIP's names in certificates (RFC 5922 7.1), so that the chain is verified here as well.
	own.InsecureSkipVerify = true
	own.VerifyConnection = func(st tls.ConnectionState) error { return verify(st.PeerCertificates, roots, name) }
	c := tls.Client(conn, own)
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", name, err)
	}
	return c, nil
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, name string) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	if Names(chain[0], name) {
		return nil
	}
	return fmt.Errorf("the certificate is for %s, not for %s", strings.Join(known(chain[0]), ", "), name)
}

// Names tells whether a certificate is that of a SIP domain, or of an address (RFC 5922 7.1): if it has SIP URIs these
// alone count, else its DNS names and addresses do. A wildcard stands for one label, as on the Web: RFC 5922 7.2 forbids it,
// but carriers use it.
func Names(c *x509.Certificate, domain string) bool {
	if list := sipNames(c); len(list) > 0 {
		return slices.ContainsFunc(list, func(n string) bool { return strings.EqualFold(n, domain) })
	}
	return c.VerifyHostname(domain) == nil
}

func sipNames(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.URIs {
		if u.Scheme == "sip" && u.User == nil {
			out = append(out, sipHost(u))
		}
	}
	return out
}

// sipHost is the host of sip:example.com, which url.Parse takes for opaque.
func sipHost(u *url.URL) string {
	if u.Opaque != "" {
		host, _, _ := strings.Cut(u.Opaque, ";")
		return host
	}
	return u.Host
}

func known(c *x509.Certificate) []string {
	if list := sipNames(c); len(list) > 0 {
		return list
	}
	list := slices.Clone(c.DNSNames)
	for _, a := range c.IPAddresses {
		list = append(list, a.String())
	}
	if len(list) == 0 {
		return []string{"nobody"}
	}
	return list
}
