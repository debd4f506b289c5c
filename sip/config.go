package sip

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/wire"
)

// FrontConfig are a Front's settings.
type FrontConfig struct {
	Listen []Listen     // sockets to receive on; may be empty if every UA binds its own
	Log    *slog.Logger // nil: nothing is logged
	Limits Limits
	Timers Timers
	// TLS are the settings of listeners over TLS: our certificate and, if clients are to show theirs, whom we trust. Needed for
	// such listeners only.
	TLS *tls.Config
	// DSCP marks what is sent over UDP, TCP and TLS (RFC 2474), 0 to 63; signalling's is 24, CS3. 0 leaves it to the system.
	// Over WebSocket it is the HTTP server's matter.
	DSCP int
	// Ping is how often a connection over TCP or TLS that we opened is kept alive by an empty line, and Refresh how often a NAT is shown that a
	// registration over UDP is in use (RFC 5626 4.4), each up to a fifth earlier. 0: 2 min and 29 s; below zero: never.
	Ping, Refresh time.Duration
	// DNS are the name servers to ask, in this order; none = those of /etc/resolv.conf.
	DNS []netip.AddrPort
	// Resolve finds the addresses of a host name instead of DNS; then nobody is asked for NAPTR and SRV.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Urgent tells whether a request-URI calls for help: such an INVITE is read and served beyond Limits. It must not block. nil: none is.
	Urgent func(URI) bool
	// Scanners are beginnings of the User-Agent, in upper or lower case, of programs that look for gateways and passwords. Where users are
	// challenged they get no answer, unless they come from where a user is registered or bring credentials for a challenge of ours.
	Scanners []string
	// Trace, if set, sees every message that is sent (in = false) or was accepted for a UA (in = true). It must
	// return soon and keep nothing of data.
	Trace func(in bool, ua, network string, local, remote netip.AddrPort, data []byte)
}

// Limits bound what peers can make us hold. Zero values mean the defaults.
type Limits struct {
	MessageBytes         int           // one message; default and most 65535
	HeaderLines          int           // header lines of a message; default 128
	Connections          int           // accepted TCP connections; default 4096
	ConnectionsPerSource int           // of them from one address; default 64
	FirstMessage         time.Duration // an accepted connection must bring a welcome request within; default 10 s
	Partial              time.Duration // a message that began must be whole within; default 10 s
	Idle                 time.Duration // a connection without any byte is closed after; default 15 min
	Transactions         int           // server transactions at once, all UAs together; default 16384
	Dialogs              int           // dialogs of one UA; default 8192
	StrangerMessages     int           // messages a second that are read from one address of nobody known; default 50
	StrangersMessages    int           // from all of them together; default 2000
	TrunkMessages        int           // from one address of a trunk, those within dialogs and transactions not counted; default 2000
}

// Inbound is what decides to which UA a request from outside belongs.
type Inbound struct {
	Source  netip.AddrPort
	Network string         // "udp", "tcp", "tls", "ws", "wss"
	Local   netip.AddrPort // our socket
	Method  string
	URI     URI // request-URI
	From    NameAddr
	To      NameAddr
	Headers Headers
	// Chains are the certificates that the peer has shown, verified to a root of FrontConfig.TLS.
	Chains [][]*x509.Certificate
}

// Config are a UA's settings.
type Config struct {
	Name string // unique within the Front; in logs and State
	// Bind gives the UA sockets of its own beside or instead of the Front's: Network "udp", "tcp" or "" for both on
	// the same port. If the Front already listens there, that socket is used.
	Bind *Listen
	// Advertise overrides what Via and Contact say, for this UA only.
	Advertise HostPort
	// Match tells whether a request that begins something belongs to this UA; UAs are asked in the order they were
	// made, the first that says yes has it. Messages of known dialogs and transactions need no match. nil: none.
	// It is called on the reader's goroutine and must not block.
	Match func(Inbound) bool
	// Knows tells whether a peer of this UA's sends from an address: its messages are not counted among those of strangers,
	// which are read at a bounded pace. nil: peers are known once Match has taken a message of theirs, or they have proved who
	// they are. It is called on the reader's goroutine and must not block.
	Knows func(netip.Addr) bool
	// UserAgent is sent as User-Agent and Server; default "Patchbay".
	UserAgent string
	// Credentials answer challenges; an Invite may bring its own.
	Credentials Credentials
	// Authenticate, if set, challenges every INVITE that begins a dialog (407) and every MESSAGE-like request
	// outside of dialogs. nil with a Registrar: the Registrar's.
	Authenticate *auth.Server
	// Registrar answers REGISTER; nil: 405.
	Registrar *Registrar
	// TLS is asked, before a connection over TLS is opened, for its settings: roots, client certificate; ServerName overrides
	// the name that the peer must prove, which is else the one that led to it. nil: the system's roots, no certificate.
	TLS func() *tls.Config
	// Reliable says how provisional responses travel (RFC 3262).
	Reliable Reliability
	// Preconditions says whether they are known (RFC 3312).
	Preconditions Preconditions
	// Session is how a call proves that both sides still live (RFC 4028).
	Session SessionTimer
	// Overload is how calls are held back by us, or by peers, when a side has too many (RFC 7339). Zero: not at all.
	Overload OverloadConfig
	// Symmetric sends requests within a dialog back to where its messages came from instead of where Contact points,
	// as phones behind NAT need it (RFC 5626, RFC 3581). On by itself with a Registrar.
	Symmetric bool
	// Invite takes a new inbound INVITE, already answered 100 and authenticated if asked for. It has a goroutine of
	// its own. nil: INVITE is answered 405.
	Invite func(*Dialog)
	// Replaces has Invite take INVITEs that shall take the place of another dialog of the UA's (RFC 3891): Request.Replaces is
	// that one. false: they are refused.
	Replaces bool
	// Options tells what OPTIONS outside of dialogs is answered; nil: 200 with our defaults.
	Options func() Capabilities
	// InfoTypes are the content types of INFO that are taken; others are answered 415 with these in Accept, or 469 if
	// they name an Info-Package, since we offer none (RFC 6086). Without a body INFO is always taken. "*/*" is any.
	// Default application/dtmf-relay, application/dtmf and application/media_control+xml.
	InfoTypes []string
	// Hosts tells whether a host of a request-URI is ours: a name in lower case, or an address without brackets. A
	// request that begins something for another is answered 404 once it is authenticated. nil: all are ours, as at
	// trunks, which write what they like there. It must not block.
	Hosts func(host string) bool
	// Ending, if set, is called when a peer's BYE or CANCEL has ended a dialog, before that request is answered: what
	// must be on disk by then is written here. It runs on a goroutine of its own and bounds its own time (32 s at most).
	Ending func(*Dialog, Event)
	// MaxDialogs overrides Limits.Dialogs.
	MaxDialogs int
	Timers     Timers // zero: the Front's
}

// Capabilities are an answer to OPTIONS.
type Capabilities struct {
	Status  int      // 0 = 200; 503 takes us out of a peer's rotation
	Accept  []string // default application/sdp
	Headers []Header
	Body    []byte // SDP, if any
}

// Invite describes a dialog to begin.
type Invite struct {
	Target URI      // request-URI
	To     NameAddr // zero: Target
	From   NameAddr // a tag is added
	// Contact is the user part of our Contact; "" = the user of From.
	Contact string
	// Route is the preloaded route set, outbound proxy first (RFC 3261 8.1.2). ;lr is expected.
	Route []URI
	// Destination overrides where the INVITE is sent. Zero: first Route, else Target.
	Destination Destination
	MaxForwards int       // 1 to 255; 0 = 70
	Headers     []Header  // such as P-Asserted-Identity; the ones the stack writes itself are refused
	Body        []byte    // the offer; required
	ContentType string    // default application/sdp
	Location    *Location // of the caller, that goes beside the offer; nil: none
	Credentials Credentials
	// Timeout is how long it may ring: then CANCEL, and Ended by timeout with status 408. 0: 3 minutes.
	Timeout time.Duration
	// Urgent sends it though its server has asked for no calls for a while: it is for help.
	Urgent bool
	// TrialTimeout is how long to wait for any response at all; then Ended by timeout with status 408, so that
	// another trunk can be tried. 0: 64*T1.
	TrialTimeout time.Duration
	CallID       string // "" = a new random one
	// Before, if set, is called once with the dialog when its State is complete (tags, branch, CSeq) and just before
	// the INVITE first leaves, on another goroutine than Dial's: what must be on disk by then is written here. An
	// error ends the dialog without a message; KindEnded carries it.
	Before func(*Dialog) error
}

func (c *Config) check() error {
	if c.Name == "" {
		return fmt.Errorf("sip: Config.Name is empty: expected a name that is unique within the Front")
	}
	for _, t := range c.InfoTypes {
		if wire.Safe("type", t) != nil || !strings.Contains(t, "/") || wire.MediaType(t) != strings.ToLower(t) {
			return fmt.Errorf("sip: Config.InfoTypes holds %q: expected type/subtype, such as application/dtmf-relay", t)
		}
	}
	return nil
}
