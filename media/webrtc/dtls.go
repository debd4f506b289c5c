package webrtc

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "crypto/sha256" // hashes
	_ "crypto/sha512"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/deadline"
)

const (
	handshakeTime = 15 * time.Second
	// dtlsMTU keeps flights below what every path carries, with IPv6's headers.
	dtlsMTU = 1200
	// dtlsQueue is how many records wait to be read. A flight has five or so; what is dropped is sent again.
	dtlsQueue = 32
)

var errNoMatch = errors.New("the peer's certificate is another than its SDP says")

// hashes are those that a fingerprint may be made with: SHA-256 or better (RFC 8122 5).
func hashes() map[string]crypto.Hash {
	return map[string]crypto.Hash{"sha-256": crypto.SHA256, "sha-384": crypto.SHA384, "sha-512": crypto.SHA512}
}

// profiles are SRTP's by their IANA names.
func profiles(names []string) ([]dtls.SRTPProtectionProfile, error) {
	known := map[string]dtls.SRTPProtectionProfile{
		"AEAD_AES_128_GCM": dtls.SRTP_AEAD_AES_128_GCM, "AEAD_AES_256_GCM": dtls.SRTP_AEAD_AES_256_GCM,
		"SRTP_AES128_CM_HMAC_SHA1_80": dtls.SRTP_AES128_CM_HMAC_SHA1_80,
	}
	var out []dtls.SRTPProtectionProfile
	for _, n := range names {
		p, ok := known[n]
		if !ok {
			return nil, fmt.Errorf("webrtc: SRTP profile is %q, expected AEAD_AES_128_GCM, AEAD_AES_256_GCM or SRTP_AES128_CM_HMAC_SHA1_80", n)
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("webrtc: Profiles is empty, expected at least one")
	}
	return out, nil
}

func profileName(p dtls.SRTPProtectionProfile) string {
	switch p {
	case dtls.SRTP_AEAD_AES_128_GCM:
		return "AEAD_AES_128_GCM"
	case dtls.SRTP_AEAD_AES_256_GCM:
		return "AEAD_AES_256_GCM"
	case dtls.SRTP_AES128_CM_HMAC_SHA1_80:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	}
	return fmt.Sprintf("%#04x", uint16(p))
}

// inlet is the DTLS connection's view of the shared port: the loop puts records in, what is written goes straight out.
type inlet struct {
	peer  *peer
	in    chan []byte
	read  *deadline.Deadline
	done  chan struct{}
	once  sync.Once
	muted atomic.Bool
}

func newInlet(p *peer) *inlet {
	return &inlet{peer: p, in: make(chan []byte, dtlsQueue), read: deadline.New(), done: make(chan struct{})}
}

// put never waits: DTLS sends again what is lost. false if there was no room.
func (c *inlet) put(p []byte) bool {
	select {
	case c.in <- append([]byte(nil), p...):
		return true
	default:
		return false
	}
}

func (c *inlet) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p), nowhere{}, nil
	case <-c.read.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

func (c *inlet) WriteTo(b []byte, _ net.Addr) (int, error) {
	if !c.muted.Load() {
		c.peer.mu.Lock()
		to := c.peer.path
		c.peer.mu.Unlock()
		if to.valid() {
			_ = to.socket.udp.WriteTo(b, &to.addr) // sent again if it is lost
		}
	}
	return len(b), nil
}

func (c *inlet) Close() error                      { c.once.Do(func() { close(c.done) }); return nil }
func (c *inlet) LocalAddr() net.Addr               { return nowhere{} }
func (c *inlet) SetDeadline(t time.Time) error     { c.read.Set(t); return nil }
func (c *inlet) SetReadDeadline(t time.Time) error { c.read.Set(t); return nil }
func (c *inlet) SetWriteDeadline(time.Time) error  { return nil }

// nowhere is an address that stands for the peer, wherever it is.
type nowhere struct{}

func (nowhere) Network() string { return "udp" }
func (nowhere) String() string  { return "peer" }

// handshake runs once in a peer's life, on a goroutine of its own. The peer's certificate is held against its SDP before
// there are keys; there is no media without.
func (p *peer) handshake(c *inlet, x *slot, client bool) error {
	list, err := profiles(p.port.cfg.Profiles)
	if err != nil {
		return err
	}
	common := []dtls.Option{
		dtls.WithCertificates(p.identity.certificate),
		dtls.WithSRTPProtectionProfiles(list...),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true), // there is no authority: the fingerprint is the identity
		dtls.WithMTU(dtlsMTU),
		dtls.WithLoggerFactory(pionLog{to: p.port.cfg.Log}),
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error { return p.verify(raw) }),
	}
	var conn *dtls.Conn
	if client {
		opts := make([]dtls.ClientOption, 0, len(common))
		for _, o := range common {
			opts = append(opts, o)
		}
		conn, err = dtls.ClientWithOptions(c, nowhere{}, opts...)
	} else {
		opts := []dtls.ServerOption{
			dtls.WithClientAuth(dtls.RequireAnyClientCert),
			dtls.WithInsecureSkipVerifyHello(true), // the ICE password has vouched for the address: no cookie
		}
		for _, o := range common {
			opts = append(opts, o)
		}
		conn, err = dtls.ServerWithOptions(c, nowhere{}, opts...)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(x.alive, p.port.cfg.shaking)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return errors.Join(err, context.Cause(ctx), conn.Close())
	}
	if err := p.key(conn, client); err != nil {
		return errors.Join(err, conn.Close())
	}
	// The connection isn't needed any more, once the peer can't ask for our last flight again. Its goodbye goes nowhere.
	t := time.NewTimer(p.port.cfg.linger)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.alive.Done():
	}
	c.muted.Store(true)
	p.mu.Lock()
	p.inlet, p.asleep = nil, true
	p.mu.Unlock()
	return conn.Close()
}

// key takes the keys of SRTP out of the handshake (RFC 5764 4.2).
func (p *peer) key(conn *dtls.Conn, client bool) error {
	st, ok := conn.ConnectionState()
	profile, agreed := conn.SelectedSRTPProtectionProfile()
	if !ok || !agreed {
		return errors.New("no SRTP profile is agreed")
	}
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&st, client); err != nil {
		return err
	}
	in, err := srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile,
		srtp.SRTPReplayProtection(replayRTP), srtp.SRTCPReplayProtection(replayRTCP))
	if err != nil {
		return err
	}
	out, err := srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	if err != nil {
		return err
	}
	p.install(in, out, profileName(profile))
	return nil
}

// verify holds the peer's certificate against the fingerprints of its SDP.
func (p *peer) verify(raw [][]byte) error {
	if len(raw) == 0 {
		return errors.New("the peer has no certificate")
	}
	p.mu.Lock()
	list := p.fingerprints
	p.mu.Unlock()
	for _, f := range list {
		name, digest, _ := strings.Cut(f, " ")
		h, ok := hashes()[name]
		if !ok {
			continue
		}
		sum := h.New()
		sum.Write(raw[0])
		if colons(sum.Sum(nil)) == digest {
			return nil
		}
	}
	return errNoMatch
}
