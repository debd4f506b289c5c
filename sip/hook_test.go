package sip_test

import (
	"errors"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestInviteWaitsForBefore(t *testing.T) {
	b := newBench(t, nil)
	p := siptest.NewPeer(t, b.addr)
	states := make(chan sip.State, 2)
	proceed := make(chan struct{})
	d := b.dial(p, func(i *sip.Invite) {
		i.Before = func(d *sip.Dialog) error {
			states <- d.State()
			<-proceed
			return nil
		}
	})
	s := <-states
	p.Silence(50 * time.Millisecond)
	close(proceed)
	inv := p.Request("INVITE")
	if s.Branch == "" || s.Branch != inv.Branch() || s.LocalTag != inv.Tag("From") || int(s.InviteCSeq) != inv.CSeq() {
		t.Errorf("state %+v, INVITE %v", s, inv)
	}
	p.Reply(inv, 486, "peer", "")
	p.Request("ACK")
	ended(t, d, sip.ByPeer, 486)

	full := errors.New("disk full")
	d = b.dial(p, func(i *sip.Invite) { i.Before = func(*sip.Dialog) error { return full } })
	if e := ended(t, d, sip.ByLocal, 503); !errors.Is(e.Err, full) {
		t.Errorf("err %v", e.Err)
	}
	p.Silence(50 * time.Millisecond)
}

func TestEndWaitsForEnding(t *testing.T) {
	proceed := make(chan struct{})
	told := make(chan sip.Event, 4)
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) {
		c.Ending = func(_ *sip.Dialog, e sip.Event) {
			told <- e
			<-proceed
		}
	})
	p := siptest.NewPeer(t, b.addr)
	d, ask, res := b.inboundCall(p)
	within(p, "BYE", ask, res, 2, "")
	if e := <-told; e.Kind != sip.KindEnded || e.By != sip.ByPeer {
		t.Errorf("told %+v", e)
	}
	p.Silence(50 * time.Millisecond)
	proceed <- struct{}{}
	p.Response(200)
	ended(t, d, sip.ByPeer, 0)

	ring := p.Write(siptest.Ask{Method: "INVITE", Body: siptest.SDP})
	d = b.inbound()
	p.Response(100)
	p.Write(siptest.Ask{Method: "CANCEL", CallID: ring.CallID, Branch: ring.Branch})
	p.Response(200) // of the CANCEL itself
	<-told
	p.Silence(50 * time.Millisecond)
	proceed <- struct{}{}
	p.Ack(ring, p.Response(487), "")
	ended(t, d, sip.ByPeer, 487)
}
