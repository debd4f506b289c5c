package sip_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// tlsBench is a server that listens over TLS, and a client of it.
type tlsBench struct {
	*bench // the server's
	at     netip.AddrPort
	seen   chan sip.Inbound
	ca     *siptest.Authority
}

func newTLSBench(t *testing.T, server tls.Certificate, ca *siptest.Authority) *tlsBench {
	t.Helper()
	b := &tlsBench{ca: ca, seen: make(chan sip.Inbound, 16)}
	b.bench = newBench(t, func(fc *sip.FrontConfig, c *sip.Config) {
		fc.Listen = []sip.Listen{{Network: "tls", Addr: netip.MustParseAddrPort("127.0.0.1:0")}}
		fc.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca.Pool()}
		c.Match = func(in sip.Inbound) bool {
			b.seen <- in
			return true
		}
	})
	b.at = b.front.Addrs()[0].Addr
	return b
}

// client is a user agent without listeners that trusts the bench's authority.
func (b *tlsBench) client(cfg *tls.Config) *sip.UA {
	b.Helper()
	front, err := sip.NewFront(sip.FrontConfig{Timers: fast})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { front.Close() })
	if cfg.RootCAs == nil {
		cfg.RootCAs = b.ca.Pool()
	}
	ua, err := front.NewUA(sip.Config{Name: "client", TLS: func() *tls.Config { return cfg }})
	if err != nil {
		b.Fatal(err)
	}
	return ua
}

func (b *tlsBench) dial(ua *sip.UA, scheme, name string) *sip.Dialog {
	b.Helper()
	target := mustURI(scheme + ":100@" + b.at.String())
	inv := sip.Invite{Target: target, From: sip.NameAddr{URI: mustURI("sip:200@client.test")}, Body: []byte(siptest.SDP)}
	if scheme == "sip" {
		inv.Destination = sip.Destination{Network: "tls", Addr: b.at, Name: name}
	}
	d, err := ua.Dial(soon(b.T), inv)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func TestTLSCall(t *testing.T) {
	for _, c := range []struct {
		scheme, name string
		names        []string
	}{
		{"sip", "carrier.test", []string{"carrier.test"}},
		{"sip", "Carrier.Test", []string{"sip:carrier.test", "other.test"}},
		{"sip", "", []string{"127.0.0.1"}},
		{"sips", "", []string{"127.0.0.1"}},
	} {
		t.Run(c.scheme+" "+strings.Join(c.names, " "), func(t *testing.T) {
			ca := siptest.NewAuthority(t)
			b := newTLSBench(t, ca.Issue(c.names...), ca)
			mine := ca.Issue("client.test")
			d := b.dial(b.client(&tls.Config{Certificates: []tls.Certificate{mine}}), c.scheme, c.name)
			in := b.inbound()
			from := <-b.seen
			if from.Network != "tls" || len(from.Chains) == 0 || from.Chains[0][0].DNSNames[0] != "client.test" {
				t.Errorf("the request came over %s with certificates %v, want tls and the client's", from.Network, from.Chains)
			}
			if via := from.Headers.Get("Via"); !strings.HasPrefix(via, "SIP/2.0/TLS ") {
				t.Errorf("Via is %q", via)
			}
			want := ";transport=tls"
			if c.scheme == "sips" {
				want = "<sips:"
			}
			if contact := from.Headers.Get("Contact"); !strings.Contains(contact, want) {
				t.Errorf("Contact is %q, want it with %s", contact, want)
			}
			if err := in.Answer([]byte(siptest.SDP)); err != nil {
				t.Fatal(err)
			}
			expect(t, d, sip.KindTrying)
			if e := expect(t, d, sip.KindAnswered); !strings.Contains(e.Headers.Get("Contact"), want) {
				t.Errorf("the answer's Contact is %q, want it with %s", e.Headers.Get("Contact"), want)
			}
			// The server hangs up: its BYE takes the client's connection.
			if err := in.Hangup(soon(t), sip.Reason{}, 0); err != nil {
				t.Error(err)
			}
			ended(t, d, sip.ByPeer, 0)
			// And so does the next call.
			d = b.dial(b.client(&tls.Config{}), c.scheme, c.name)
			in = b.inbound()
			if from := <-b.seen; len(from.Chains) != 0 {
				t.Error("a client without certificate has chains")
			}
			if err := in.Answer([]byte(siptest.SDP)); err != nil {
				t.Fatal(err)
			}
			expect(t, d, sip.KindTrying)
			expect(t, d, sip.KindAnswered)
			if err := d.Hangup(soon(t), sip.Reason{}, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// badCertificates: who can't prove to be the carrier, or wants an old TLS, gets no request and so no credentials.
func badCertificates(t *testing.T) {
	ca, stranger := siptest.NewAuthority(t), siptest.NewAuthority(t)
	for _, c := range []struct {
		what   string
		server tls.Certificate
		client *tls.Config
		want   string
	}{
		{"another name", ca.Issue("other.test"), &tls.Config{}, "the certificate is for other.test, not for carrier.test"},
		{"a SIP name that isn't asked for", ca.Issue("sip:other.test", "carrier.test"), &tls.Config{}, "for other.test, not for carrier.test"},
		{"an unknown authority", stranger.Issue("carrier.test"), &tls.Config{}, "unknown authority"},
		{"one that has ended", ca.IssueUntil(time.Now().Add(-time.Minute), "carrier.test"), &tls.Config{}, "expired"},
		{"an old version", ca.Issue("carrier.test"), &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, "protocol version"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := newTLSBench(t, c.server, ca)
			e := ended(t, b.dial(b.client(c.client), "sip", "carrier.test"), sip.ByTransport, 503)
			if e.Err == nil || !strings.Contains(e.Err.Error(), c.want) {
				t.Errorf("%v: want an error with %q", e.Err, c.want)
			}
			select {
			case <-b.seen:
				t.Error("a request was sent")
			default:
			}
		})
	}
}

// TestTLSStalled: handshakes that don't go on hold up nobody, and are ended.
func stalledHandshakes(t *testing.T) {
	ca := siptest.NewAuthority(t)
	b := newTLSBench(t, ca.Issue("carrier.test"), ca)
	for range 20 {
		c, err := net.Dial("tcp", b.at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	plain := siptest.NewTCPPeer(t, "127.0.0.1", b.at)
	plain.Send("OPTIONS sip:x SIP/2.0\r\n\r\n")
	begun := time.Now()
	d := b.dial(b.client(&tls.Config{}), "sip", "carrier.test")
	in := b.inbound()
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("a call behind stalled handshakes took %v", took)
	}
	if err := in.Reject(486, ""); err != nil {
		t.Error(err)
	}
	expect(t, d, sip.KindTrying)
	ended(t, d, sip.ByPeer, 486)
	eventually(t, "the plain request is dropped", func() bool { return b.front.Stats().Dropped["tls_handshake"] > 0 })
}
