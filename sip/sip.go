// Package sip is a SIP user agent (RFC 3261) for a gateway: sockets shared by many user agents, dialogs in both
// roles, digest on every method, a registrar for our own users and registration at others.
//
// A Front owns the listening sockets and hands each message to the UA it belongs to; strangers are dropped and
// counted. A UA is one user agent: one per trunk, and one for our own users. A Dialog is the conversation that one
// INVITE begins. SDP is bytes here.
package sip

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

type (
	// URI is a SIP, SIPS, tel or other URI.
	URI = wire.URI
	// NameAddr is a URI with a display name and header parameters, as in From and To.
	NameAddr = wire.NameAddr
	// Parameter is one name=value of a URI or header field.
	Parameter = wire.Parameter
	// Header is one header field.
	Header = wire.Header
	// Headers are the header fields of a message; lookups know compact forms and lists.
	Headers = wire.Headers
	// Credentials prove who we are to a peer.
	Credentials = auth.Credentials
)

// ParseURI reads a URI.
func ParseURI(s string) (URI, error) { return wire.ParseURI(s) }

// NewURI makes a sip URI of a user (escaped as needed, may be empty), a host and a port (0 = none), and refuses
// values that hold control characters.
func NewURI(user, host string, port uint16) (URI, error) { return wire.NewURI(user, host, port) }

// ParseNameAddr reads a name-addr or addr-spec.
func ParseNameAddr(s string) (NameAddr, error) { return wire.ParseNameAddr(s) }

// HostPort is a host, name or address without brackets, and a port; 0 or "" leave the part open.
type HostPort struct {
	Host string
	Port uint16
}

// IsZero tells whether neither part is set.
func (h HostPort) IsZero() bool { return h.Host == "" && h.Port == 0 }

// String writes host:port with brackets around IPv6.
func (h HostPort) String() string { return wire.HostPort(h.Host, h.Port) }

// Listen is one socket to receive on.
type Listen struct {
	Network string         // "udp", "tcp" or "tls"
	Addr    netip.AddrPort // port 0: any free one
	// Advertise is what Via and Contact say instead of Addr. An open part is filled from the bound address, or, when
	// that is unspecified, from the address that faces the peer.
	Advertise HostPort
}

// Destination is where a request is sent, whatever its URIs say.
type Destination struct {
	Network string         // "udp", "tcp" or "tls"; "" = from the transport parameter of the URI, or udp; see UA.Connect for ws
	Addr    netip.AddrPort // used when valid
	Name    string         // that a certificate must show over TLS; "" = Host, or the address
	Host    string         // otherwise this name is resolved (RFC 3263: NAPTR, SRV, A, AAAA)
	Port    uint16         // with Host; 0 = what SRV says, else 5060
	peer    *flow.Flow     // a registered contact's own flow, when still up
}

// IsZero tells whether the destination is to be found from Route and request-URI.
func (d Destination) IsZero() bool {
	return d.Network == "" && !d.Addr.IsValid() && d.Host == "" && d.peer == nil
}

// CertificateNames tells whether a certificate is that of a SIP domain, or of an address (RFC 5922 7.1).
func CertificateNames(c *x509.Certificate, domain string) bool { return flow.Names(c, domain) }

// Errors that callers may test for.
var (
	ErrClosed     = errors.New("sip: closed")
	ErrState      = errors.New("sip: the dialog's state does not allow it")
	ErrEnded      = errors.New("sip: the dialog has ended")
	ErrOfferGone  = errors.New("sip: the offer was already answered or withdrawn")
	ErrTimeout    = errors.New("sip: no answer in time")
	ErrTransport  = errors.New("sip: transport failed")
	ErrCancelled  = errors.New("sip: cancelled")
	ErrOverloaded = errors.New("sip: limit reached")
)

// StatusError is a final response that is no success.
type StatusError struct {
	Status  int    // 300 to 699
	Phrase  string // as the peer wrote it
	Headers Headers
}

// Error names status and phrase.
func (e *StatusError) Error() string {
	return fmt.Sprintf("sip: peer answered %d %s", e.Status, e.Phrase)
}

// Timers are the base timers of RFC 3261 17.1.1.1: all others are multiples of these. The zero value means the standard's.
type Timers struct {
	T1 time.Duration // default 500 ms, range 10 ms to 5 s
	T2 time.Duration // default 4 s, range T1 to 60 s
}

func (t Timers) withDefaults() Timers {
	if t.T1 == 0 {
		t.T1 = 500 * time.Millisecond
	}
	if t.T2 == 0 {
		t.T2 = max(4*time.Second, t.T1)
	}
	return t
}

func (t Timers) check() error {
	if t.T1 < 10*time.Millisecond || t.T1 > 5*time.Second {
		return fmt.Errorf("sip: Timers.T1 %v: expected 10ms to 5s", t.T1)
	}
	if t.T2 < t.T1 || t.T2 > time.Minute {
		return fmt.Errorf("sip: Timers.T2 %v: expected T1 (%v) to 1m", t.T2, t.T1)
	}
	return nil
}

// trial is how long one server of several has for its first response, before the next is tried: two requests and their
// way back (RFC 3263 4.3 leaves it to us; 64*T1 would be half a minute of silence for the caller).
func (t Timers) trial() time.Duration { return 3 * t.T1 }

// t4 is how long a message may stay in the network, 5 s with the standard's T1 (timers I and K).
func (t Timers) t4() time.Duration { return 10 * t.T1 }

// life is 64*T1: how long a transaction is waited for (timers B, F, H, L, M).
func (t Timers) life() time.Duration { return 64 * t.T1 }
