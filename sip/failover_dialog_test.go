package sip_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// talks is a call that the first of the carrier's servers has answered; its requests go to whoever of both is there.
func (p *pair) talks() *sip.Dialog {
	p.Helper()
	d := p.dial(p.first, nil) // at its address: nobody else is tried, however late the answer is
	inv := p.first.Request("INVITE")
	p.first.Reply(inv, 200, "one", siptest.SDP, "Record-Route: <sip:carrier.test;lr>", "Contact: <sip:gw@127.0.0.1:9>")
	expect(p.T, d, sip.KindAnswered)
	p.first.Request("ACK")
	return d
}

// requests are those within a call, by method, as a test sends them.
var requests = map[string]func(context.Context, *sip.Dialog) error{
	"INVITE": func(ctx context.Context, d *sip.Dialog) error {
		_, err := d.Reinvite(ctx, []byte(siptest.SDP))
		return err
	},
	"INFO": func(ctx context.Context, d *sip.Dialog) error { return d.Info(ctx, "application/dtmf", []byte("5")) },
	"REFER": func(ctx context.Context, d *sip.Dialog) error {
		return d.Refer(ctx, mustURI("sip:300@carrier.test"), "")
	},
	"BYE": func(ctx context.Context, d *sip.Dialog) error { return d.Hangup(ctx, sip.Reason{}, 0) },
}

// TestDialogNextServer: a request within a dialog goes on to the next server of its next hop, under a new branch, when the one that
// the dialog had says nothing or 503; the dialog is with that one from then on, and new calls go there first.
func TestDialogNextServer(t *testing.T) {
	t.Parallel()
	for method, send := range requests {
		for _, fails := range []string{"silence", "503"} {
			t.Run(method+" "+fails, func(t *testing.T) {
				t.Parallel()
				p := newPair(t)
				d := p.talks()
				done := make(chan error, 1)
				go func() { done <- send(soon(t), d) }()
				lost := p.first.Request(method)
				if fails == "503" {
					p.first.Reply(lost, 503, "", "")
				}
				m := p.second.Request(method)
				if m.Branch() == lost.Branch() || m.Headers.Get("CSeq") != lost.Headers.Get("CSeq") || m.Headers.Get("Route") != "<sip:carrier.test;lr>" {
					t.Errorf("branch %s and CSeq %s, at first %s and %s; Route %s", m.Branch(), m.Headers.Get("CSeq"), lost.Branch(), lost.Headers.Get("CSeq"), m.Headers.Get("Route"))
				}
				status := 200
				if method == "REFER" {
					status = 202
				}
				p.second.Reply(m, status, "", sdpOf(method), p.second.Contact())
				if method == "INVITE" {
					p.second.Request("ACK")
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if method != "BYE" {
					go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
					p.second.Reply(p.second.Request("BYE"), 200, "", "")
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				again := p.call()
				p.second.Reply(p.second.Request("INVITE"), 486, "two", "")
				ended(t, again, sip.ByPeer, 486)
			})
		}
	}
}

func sdpOf(method string) string {
	if method == "INVITE" {
		return siptest.SDP
	}
	return ""
}

// TestDialogServerIsThere: a server that answers provisionally, or refuses, has not failed.
func TestDialogServerIsThere(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"INVITE", "INFO"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			p := newPairOf(t, sip.Timers{T1: 400 * time.Millisecond})
			d := p.talks()
			done := make(chan error, 1)
			go func() { done <- requests[method](soon(t), d) }()
			m := p.first.Request(method)
			p.first.Reply(m, 100, "", "")
			p.second.Silence(1300 * time.Millisecond) // a server that says nothing has 1.2 s
			p.first.Reply(m, 488, "", "")
			if err := <-done; err == nil || d.Request() == nil {
				t.Errorf("refused, and the error is %v", err)
			}
			go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
			if method == "INVITE" {
				p.first.Request("ACK")
			}
			p.first.Reply(p.first.Request("BYE"), 200, "", "")
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDialogUnknownElsewhere: a server that doesn't know the dialog says nothing about it: it lives, and what the one that does know it has
// said counts.
func TestDialogUnknownElsewhere(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"INVITE", "INFO"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			p := newPairOf(t, sip.Timers{T1: time.Second}) // else a late 503 is none
			d := p.talks()
			done := make(chan error, 1)
			go func() { done <- requests[method](soon(t), d) }()
			p.first.Reply(p.first.Request(method), 503, "", "")
			p.second.Reply(p.second.Request(method), 481, "", "")
			var refused *sip.StatusError
			if err := <-done; !errors.As(err, &refused) || refused.Status != 503 {
				t.Errorf("%v, expected the 503", err)
			}
			select {
			case <-d.Ended():
				t.Fatal("the dialog has ended")
			default:
			}
			go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
			if method == "INVITE" {
				p.first.Request("ACK")
			}
			p.first.Reply(p.first.Request("BYE"), 200, "", "")
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReinviteAnsweredLate: what the server that was given up answers to a re-INVITE after all is the peer's answer, and is acknowledged.
func TestReinviteAnsweredLate(t *testing.T) {
	t.Parallel()
	p := newPairOf(t, sip.Timers{T1: 100 * time.Millisecond})
	d := p.talks()
	done := make(chan error, 1)
	go func() {
		_, err := d.Reinvite(soon(t), []byte(siptest.SDP))
		done <- err
	}()
	first := p.first.Request("INVITE")
	second := p.second.Request("INVITE")
	p.second.Reply(second, 100, "", "")
	p.first.Reply(first, 200, "", siptest.SDP, p.first.Contact())
	p.first.Request("ACK")
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.second.Reply(second, 491, "", "")
	p.second.Request("ACK")
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	p.first.Reply(p.first.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
