// Package siptest holds SIP peers for tests, on loopback: a Phone, which is a user agent of package sip, and a Peer,
// which sends and receives messages as text and does only what the test says.
package siptest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// Patience is how long Phone and Peer wait for what a test expects, on a machine that has much else to do.
const Patience = 15 * time.Second

// SDP is an offer or answer that gateways accept: one PCMA and PCMU audio stream at a loopback port.
const SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
	"m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"

// PhoneConfig describes a phone; User and Server are required.
type PhoneConfig struct {
	User     string
	Password string
	Domain   string         // of its address-of-record; default the server's address
	Server   netip.AddrPort // registrar and outbound proxy; the phone is on loopback of its family
	Network  string         // "udp" (default) or "tcp"
	URL      string         // of a server of SIP over WebSocket, instead of Network
	TLS      *tls.Config    // of URL
	Expires  time.Duration  // asked of the registrar
	Timers   sip.Timers     // default T1 100 ms
	Log      *slog.Logger
}

// Phone is a desk phone.
type Phone struct {
	Front *sip.Front
	UA    *sip.UA

	tb       testing.TB
	cfg      PhoneConfig
	incoming chan *sip.Dialog
	reg      *sip.Registration
	web      sip.Destination
}

// NewPhone makes a phone that ends with the test.
func NewPhone(tb testing.TB, cfg PhoneConfig) *Phone {
	tb.Helper()
	if cfg.Network == "" {
		cfg.Network = "udp"
	}
	if cfg.Domain == "" {
		cfg.Domain = cfg.Server.Addr().String()
	}
	if cfg.Timers == (sip.Timers{}) {
		cfg.Timers = sip.Timers{T1: 100 * time.Millisecond}
	}
	p := &Phone{tb: tb, cfg: cfg, incoming: make(chan *sip.Dialog, 16)}
	own := netip.MustParseAddrPort("127.0.0.1:0")
	if a := cfg.Server.Addr(); a.Is6() && !a.Is4In6() {
		own = netip.MustParseAddrPort("[::1]:0")
	}
	front, err := sip.NewFront(sip.FrontConfig{
		Listen: []sip.Listen{{Network: "udp", Addr: own}, {Network: "tcp", Addr: own}},
		Log:    cfg.Log, Timers: cfg.Timers,
	})
	if err != nil {
		tb.Fatal(err)
	}
	p.Front = front
	p.UA, err = front.NewUA(sip.Config{
		Name: cfg.User, UserAgent: "siptest", Credentials: sip.Credentials{Username: cfg.User, Password: cfg.Password},
		Match: func(sip.Inbound) bool { return true },
		Invite: func(d *sip.Dialog) {
			select {
			case p.incoming <- d:
			default:
				d.Reject(486, "")
			}
		},
	})
	if err != nil {
		front.Close()
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	if cfg.URL != "" {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if p.web, err = p.UA.Connect(ctx, sip.WebSocketDial{URL: cfg.URL, TLS: cfg.TLS}); err != nil {
			tb.Fatal(err)
		}
	}
	return p
}

// Close ends the phone without a message.
func (p *Phone) Close() { p.Front.Close() }

// Addr is where the phone receives, by network.
func (p *Phone) Addr(network string) netip.AddrPort {
	for _, l := range p.Front.Addrs() {
		if l.Network == network {
			return l.Addr
		}
	}
	return netip.AddrPort{}
}

// Destination is the phone's server.
func (p *Phone) Destination() sip.Destination {
	if !p.web.IsZero() {
		return p.web
	}
	return sip.Destination{Network: p.cfg.Network, Addr: p.cfg.Server}
}

// AOR is a user's address-of-record in the phone's domain.
func (p *Phone) AOR(user string) sip.URI {
	u, err := sip.NewURI(user, p.cfg.Domain, 0)
	if err != nil {
		p.tb.Fatal(err)
	}
	return u
}

// Register registers and waits until that is done.
func (p *Phone) Register() *sip.Registration {
	p.tb.Helper()
	changed := make(chan sip.RegistrationStatus, 16)
	registrar := p.AOR("")
	registrar.User = ""
	reg, err := p.UA.Register(sip.RegisterConfig{
		Registrar: registrar, AOR: sip.NameAddr{URI: p.AOR(p.cfg.User)}, Destination: p.Destination(), Expires: p.cfg.Expires,
		Changed: func(s sip.RegistrationStatus) {
			select {
			case changed <- s:
			default:
			}
		},
	})
	if err != nil {
		p.tb.Fatal(err)
	}
	p.reg = reg
	timeout := time.After(Patience)
	for {
		select {
		case s := <-changed:
			switch s.State {
			case sip.Registered:
				return reg
			case sip.Failing:
				p.tb.Fatalf("phone %s: registration: %v", p.cfg.User, s.Err)
			}
		case <-timeout:
			p.tb.Fatalf("phone %s: not registered in %v", p.cfg.User, Patience)
		}
	}
}

// Dial calls a user or number through the server.
func (p *Phone) Dial(user string, headers ...sip.Header) *Call {
	p.tb.Helper()
	return p.DialInvite(sip.Invite{
		Target: p.AOR(user), From: sip.NameAddr{URI: p.AOR(p.cfg.User)}, Destination: p.Destination(), Headers: headers, Body: []byte(SDP),
	})
}

// DialInvite calls as the invite says.
func (p *Phone) DialInvite(inv sip.Invite) *Call {
	p.tb.Helper()
	d, err := p.UA.Dial(context.Background(), inv)
	if err != nil {
		p.tb.Fatal(err)
	}
	return &Call{Dialog: d, tb: p.tb}
}

// Incoming waits for a call.
func (p *Phone) Incoming() *Call {
	p.tb.Helper()
	select {
	case d := <-p.incoming:
		return &Call{Dialog: d, tb: p.tb}
	case <-time.After(Patience):
		p.tb.Fatalf("phone %s: no call in %v", p.cfg.User, Patience)
		return nil
	}
}

// Call is a dialog with expectations.
type Call struct {
	*sip.Dialog
	tb testing.TB
}

// Next waits for the next event.
func (c *Call) Next() sip.Event {
	c.tb.Helper()
	select {
	case e, ok := <-c.Events():
		if !ok {
			c.tb.Fatal("the call has ended, no more events")
		}
		return *e
	case <-time.After(Patience):
		c.tb.Fatalf("no event in %v", Patience)
	}
	return sip.Event{}
}

// Expect waits for the next event and wants it to be of that kind.
func (c *Call) Expect(kind sip.Kind) sip.Event {
	c.tb.Helper()
	e := c.Next()
	if e.Kind != kind {
		c.tb.Fatalf("event %v (status %d, err %v), expected %v", e.Kind, e.Status, e.Err, kind)
	}
	return e
}

// Wait skips events until one of that kind.
func (c *Call) Wait(kind sip.Kind) sip.Event {
	c.tb.Helper()
	for {
		e := c.Next()
		if e.Kind == kind {
			return e
		}
		if e.Kind == sip.KindEnded {
			c.tb.Fatalf("ended (by %v, status %d %s, err %v), expected %v", e.By, e.Status, e.Phrase, e.Err, kind)
		}
	}
}

// Accept rings, answers and waits for the ACK.
func (c *Call) Accept() {
	c.tb.Helper()
	if err := c.Progress(180, "", nil); err != nil {
		c.tb.Fatal(err)
	}
	if err := c.Answer([]byte(SDP)); err != nil {
		c.tb.Fatal(err)
	}
	c.Expect(sip.KindAcked)
}

// Bye hangs up and fails the test if that isn't confirmed.
func (c *Call) Bye() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := c.Hangup(ctx, sip.Reason{Protocol: "Q.850", Cause: 16, Text: "Normal call clearing"}, 0); err != nil {
		c.tb.Fatal(err)
	}
}
