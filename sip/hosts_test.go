package sip_test

import (
	"testing"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestRequestURIOfAnotherHost(t *testing.T) {
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) {
		c.Hosts = func(host string) bool { return host == "home.example" || host == "2001:db8::1" }
	})
	p := siptest.NewPeer(t, b.addr)
	for uri, ours := range map[string]bool{
		"sip:100@HOME.example": true, "sip:100@home.example:5060;transport=udp": true, "sip:100@[2001:db8::1]": true, "tel:+4912345": true,
		"sip:100@elsewhere.example": false, "sip:100@127.0.0.1": false, "sip:home.example@elsewhere.example": false,
	} {
		ask := p.Write(siptest.Ask{Method: "INVITE", URI: uri, Body: siptest.SDP})
		status := 404
		if ours {
			status = 486
			b.inbound().Reject(486, "")
		}
		p.Ack(ask, p.Response(status), "")
		if status == 486 {
			status = 200
		}
		p.Write(siptest.Ask{Method: "OPTIONS", URI: uri})
		p.Response(status)
	}
	// Within a dialog the request-URI is our Contact, which Hosts isn't asked for.
	ask := p.Write(siptest.Ask{Method: "INVITE", URI: "sip:100@home.example", Body: siptest.SDP})
	d := b.inbound()
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	res := p.Response(200)
	p.Ack(ask, res, "")
	expect(t, d, sip.KindAcked)
	p.Write(siptest.Ask{Method: "BYE", URI: "sip:x@127.0.0.1", From: ask.From, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 2})
	p.Response(200)
	ended(t, d, sip.ByPeer, 0)
	select {
	case d := <-b.in:
		t.Errorf("a dialog came through: %v", d.Request().URI)
	default:
	}
}

// Strangers learn nothing of our hosts: they are challenged whatever they ask for.
func TestHostsAfterCredentials(t *testing.T) {
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) {
		c.Hosts = func(string) bool { return false }
		c.Authenticate = users(t, map[string]string{"alice": "a-pass"})
	})
	p := siptest.NewPeer(t, b.addr)
	ask := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	p.Ack(ask, p.Response(407), "")
	phone := siptest.NewPhone(t, siptest.PhoneConfig{User: "alice", Password: "a-pass", Server: b.addr})
	if e := phone.Dial("123").Wait(sip.KindEnded); e.Status != 404 {
		t.Errorf("ended with %d, expected 404", e.Status)
	}
}

func TestSipsNeedsTLS(t *testing.T) {
	b := newBench(t, nil)
	u, c := siptest.NewPeer(t, b.addr), siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	for _, p := range []*siptest.Peer{u, c} {
		ask := p.Write(siptest.Ask{Method: "INVITE", URI: "sips:100@127.0.0.1", Body: siptest.SDP})
		p.Ack(ask, p.Response(416), "")
		p.Write(siptest.Ask{Method: "OPTIONS", URI: "sips:100@127.0.0.1"})
		p.Response(416)
	}
	secure, plain := newSite(t, true, sip.WebSocketConfig{}), newSite(t, false, sip.WebSocketConfig{})
	for s, status := range map[*site]int{secure: 200, plain: 416} {
		p := siptest.NewWebPeer(t, s.url, s.config)
		p.Write(siptest.Ask{Method: "OPTIONS", URI: "sips:100@127.0.0.1"})
		p.Response(status)
	}
}
