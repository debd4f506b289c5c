package sip_test

import (
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// short makes sessions of a second, which RFC 4028 forbids outside of tests.
func short(t *testing.T) *bench {
	return newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Session = sip.ShortSession(time.Second) })
}

func TestSessionRefreshedByUs(t *testing.T) {
	for _, c := range []struct{ allow, method string }{{"Allow: INVITE, ACK, BYE, UPDATE", "UPDATE"}, {"Allow: INVITE, ACK, BYE", "INVITE"}} {
		t.Run(c.method, func(t *testing.T) {
			b := newBench(t, func(f *sip.FrontConfig, c *sip.Config) {
				f.Timers = sip.Timers{} // nobody gives up a refresh because this machine is slow
				c.Session = sip.ShortSession(time.Second)
			})
			p := siptest.NewPeer(t, b.addr)
			d := b.dial(p, nil)
			inv := p.Request("INVITE")
			if se := inv.Headers.Get("Session-Expires"); se != "1" || !strings.Contains(inv.Headers.Get("Supported"), "timer") {
				t.Errorf("INVITE has Session-Expires %q and Supported %q", se, inv.Headers.Get("Supported"))
			}
			answered := time.Now()
			p.Reply(inv, 200, "peer", siptest.SDP, p.Contact(), c.allow, "Session-Expires: 1;refresher=uac", "Require: timer")
			expect(t, d, sip.KindAnswered)
			p.Request("ACK")
			// Each refresh begins half a second at least after the answer to the one before. It may be late on a busy machine, but not always.
			soonest, begun := time.Hour, answered
			for i := 0; i < 2 || soonest > 900*time.Millisecond && i < 20; i++ {
				m := p.Request(c.method)
				took := time.Since(begun)
				if soonest = min(soonest, took); took < 450*time.Millisecond {
					t.Errorf("refreshed after %v, want half a second or more", took)
				}
				begun = time.Now() // before we have it refreshed
				if got := m.Headers.Get("Session-Expires"); got != "1;refresher=uac" {
					t.Errorf("the refresh has Session-Expires %q", got)
				}
				body := ""
				if c.method == "INVITE" {
					if body = siptest.SDP; m.Body != inv.Body {
						t.Error("the refresh offers something else")
					}
				}
				p.Reply(m, 200, "", body, p.Contact(), "Session-Expires: 1;refresher=uac", "Require: timer")
				if c.method == "INVITE" {
					p.Request("ACK")
				}
			}
			if soonest > 900*time.Millisecond {
				t.Errorf("never refreshed before %v, want about half a second", soonest)
			}
			// A peer that doesn't know the call any more ends it.
			p.Reply(p.Request(c.method), 481, "", "")
			if c.method == "INVITE" {
				p.Request("ACK")
			}
			p.Request("BYE")
			ended(t, d, sip.ByPeer, 481)
		})
	}
}

// TestSessionRefreshedAgain: a refresh that is refused for a moment is tried again, and a session that nobody refreshes ends.
func TestSessionRefreshedAgain(t *testing.T) {
	b := short(t)
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	p.Reply(p.Request("INVITE"), 200, "peer", siptest.SDP, p.Contact(), "Allow: INVITE, ACK, BYE, UPDATE", "Session-Expires: 1;refresher=uac", "Require: timer")
	expect(t, d, sip.KindAnswered)
	p.Request("ACK")
	p.Reply(p.Request("UPDATE"), 500, "", "")
	p.Reply(p.Request("UPDATE"), 200, "", "", p.Contact(), "Session-Expires: 1;refresher=uac", "Require: timer")
	for m := p.Request("UPDATE"); ; {
		p.Reply(m, 500, "", "")
		next, ok := p.Receive(siptest.Patience)
		if !ok {
			t.Fatal("neither another refresh nor BYE")
		}
		if m = next; m.Method() == "BYE" {
			break
		}
	}
	if e := ended(t, d, sip.ByTimeout, 408); e.Reason.Text != "Session Expired" {
		t.Errorf("Reason is %v", e.Reason)
	}
}

func TestSessionTooShort(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: []string{"Supported: timer", "Session-Expires: 60"}})
	if r := p.Response(422); r.Headers.Get("Min-SE") != "90" {
		t.Errorf("Min-SE is %q", r.Headers.Get("Min-SE"))
	}
	// And ours is made longer when a peer says so.
	d := b.dial(p, nil)
	inv := p.Request("INVITE")
	p.Reply(inv, 422, "peer", "", "Min-SE: 3600")
	p.Request("ACK")
	again := p.Request("INVITE")
	if again.CSeq() <= inv.CSeq() || again.Headers.Get("Session-Expires") != "3600" || again.Headers.Get("Min-SE") != "3600" {
		t.Errorf("the second INVITE has Session-Expires %q and Min-SE %q", again.Headers.Get("Session-Expires"), again.Headers.Get("Min-SE"))
	}
	p.Reply(again, 422, "peer", "", "Min-SE: 3600") // it doesn't get enough
	p.Request("ACK")
	ended(t, d, sip.ByPeer, 422)
}

func TestSessionOfThePeer(t *testing.T) {
	for _, c := range []struct {
		name   string
		asked  []string
		want   string
		needed string // Require
	}{
		{"it refreshes", []string{"Supported: timer", "Session-Expires: 600;refresher=uac"}, "600;refresher=uac", "timer"},
		{"it leaves it open", []string{"Supported: timer", "Session-Expires: 600"}, "600;refresher=uac", "timer"},
		{"we refresh", []string{"Supported: timer", "Session-Expires: 600;refresher=uas"}, "600;refresher=uas", ""},
		{"it asks for nothing", []string{"Supported: timer"}, "1800;refresher=uas", ""},
		{"it wants longer", []string{"Supported: timer", "Session-Expires: 7200", "Min-SE: 3600"}, "3600;refresher=uac", "timer"},
		{"it can't", nil, "", ""},
		{"a proxy asks", []string{"Session-Expires: 600"}, "600;refresher=uas", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			p := siptest.NewPeer(t, b.addr)
			a := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: c.asked})
			d := b.inbound()
			p.Response(100)
			if err := d.Answer([]byte(siptest.SDP)); err != nil {
				t.Fatal(err)
			}
			r := p.Response(200)
			p.Ack(a, r, "")
			if r.Headers.Get("Session-Expires") != c.want || r.Headers.Get("Require") != c.needed {
				t.Errorf("200 has Session-Expires %q and Require %q, want %q and %q", r.Headers.Get("Session-Expires"), r.Headers.Get("Require"), c.want, c.needed)
			}
			go func() { _ = d.Hangup(soon(t), sip.Reason{}, 0) }()
			p.Reply(p.Request("BYE"), 200, "", "")
		})
	}
}

// TestSessionExpires: a peer that was to refresh and doesn't is hung up; one that does isn't.
func TestSessionExpires(t *testing.T) {
	b := short(t)
	p := siptest.NewPeer(t, b.addr)
	a := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP, Headers: []string{"Supported: timer", "Session-Expires: 1;refresher=uac"}})
	d := b.inbound()
	p.Response(100)
	if err := d.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	r := p.Response(200)
	p.Ack(a, r, "")
	expect(t, d, sip.KindAcked)
	time.Sleep(400 * time.Millisecond)
	p.Write(siptest.Ask{Method: "UPDATE", CallID: a.CallID, From: a.From, To: r.Headers.Get("To"), CSeq: a.CSeq + 1,
		Headers: []string{"Supported: timer", "Session-Expires: 1;refresher=uac", p.Contact()}})
	if u := p.Response(200); u.Headers.Get("Session-Expires") != "1;refresher=uac" {
		t.Errorf("the refresh is answered with Session-Expires %q", u.Headers.Get("Session-Expires"))
	}
	begun := time.Now()
	bye := p.Request("BYE")
	if took := time.Since(begun); took < 400*time.Millisecond {
		t.Errorf("hung up %v after a refresh, want two thirds of a second", took)
	}
	if !strings.Contains(bye.Headers.Get("Reason"), "Session Expired") {
		t.Errorf("Reason is %q", bye.Headers.Get("Reason"))
	}
	ended(t, d, sip.ByTimeout, 408)
}

func TestSessionOff(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Session.Interval = -1 })
	p := siptest.NewPeer(t, b.addr)
	d := b.dial(p, nil)
	if inv := p.Request("INVITE"); inv.Headers.Has("Session-Expires") || strings.Contains(inv.Headers.Get("Supported"), "timer") {
		t.Errorf("INVITE has Session-Expires %q and Supported %q", inv.Headers.Get("Session-Expires"), inv.Headers.Get("Supported"))
	}
	_ = d.Hangup(soon(t), sip.Reason{}, 0)
	if _, err := b.front.NewUA(sip.Config{Name: "x", Session: sip.SessionTimer{Interval: time.Minute}}); err == nil {
		t.Error("a session of a minute is taken")
	}
}
