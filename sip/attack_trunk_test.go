package sip_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// floodFromATrunksAddress: who forges a trunk's own address has a bounded number of messages read and an even smaller number of them kept.
// The trunk's call goes on, another trunk's calls come in, and so does a call for help.
func floodFromATrunksAddress(t *testing.T) {
	const rate, transactions, flood = 100, 400, 3000 // 4 s of the rate at once
	here, there := netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr("127.0.0.8")
	real, forger, other := map[string]bool{"sip:real@gw.test": true, "sip:112@gw.test": true}, make(chan struct{}, flood), make(chan *sip.Dialog, 1)
	b := newBench(t, func(f *sip.FrontConfig, c *sip.Config) {
		f.Timers = sip.Timers{} // nothing that is kept goes meanwhile
		f.Limits.TrunkMessages, f.Limits.Transactions = rate, transactions
		f.Urgent = func(u sip.URI) bool { return u.User == "112" }
		c.Match, c.Knows = func(in sip.Inbound) bool { return in.Source.Addr() == here }, func(a netip.Addr) bool { return a == here }
		take := c.Invite
		c.Invite = func(d *sip.Dialog) {
			if real[d.Request().URI.String()] {
				take(d)
				return
			}
			_ = d.Reject(503, "")
			forger <- struct{}{}
		}
	})
	if _, err := b.front.NewUA(sip.Config{Name: "other", Invite: func(d *sip.Dialog) { other <- d },
		Match: func(in sip.Inbound) bool { return in.Source.Addr() == there }, Knows: func(a netip.Addr) bool { return a == there }}); err != nil {
		t.Fatal(err)
	}
	trunk, second := siptest.NewPeerAt(t, "127.0.0.9", b.addr), siptest.NewPeerAt(t, "127.0.0.8", b.addr)
	up := func(p *siptest.Peer, uri string, in <-chan *sip.Dialog) (siptest.Ask, siptest.Message, *sip.Dialog) {
		t.Helper()
		ask := p.Write(siptest.Ask{Method: "INVITE", URI: uri, Body: siptest.SDP})
		select {
		case d := <-in:
			if err := d.Answer([]byte(siptest.SDP)); err != nil {
				t.Fatal(err)
			}
			res := p.Response(200)
			p.Ack(ask, res, "")
			expect(t, d, sip.KindAcked)
			return ask, res, d
		case <-time.After(siptest.Patience):
			t.Fatalf("the call to %s doesn't come", uri)
		}
		panic("unreachable")
	}
	ask, res, d := up(trunk, "sip:real@gw.test", b.in)

	attack := siptest.NewPeerAt(t, "127.0.0.9", b.addr)
	begun := time.Now()
	read := func() (n uint64) {
		for _, dropped := range b.front.Stats().Dropped {
			n += dropped
		}
		return n + uint64(len(forger))
	}
	for i := range flood {
		attack.Write(siptest.Ask{Method: "INVITE", URI: "sip:anything@gw.test", Body: siptest.SDP})
		if i%100 == 99 { // the kernel shall drop none
			eventually(t, "the flood is looked at", func() bool { return read() >= uint64(i+1) })
		}
	}
	stats := b.front.Stats()
	most := rate*4 + rate*int(time.Since(begun)/time.Second+1)
	if n := int(stats.Dropped[sip.DropTrunkFlood]); n < flood-most {
		t.Errorf("%d of %d dropped before they were read, expected %d or more: %v", n, flood, flood-most, stats.Dropped)
	}
	if n := len(forger); n < transactions/4 || n > transactions/2 || stats.ServerTransactions > transactions/2+2 {
		t.Errorf("%d came through, %d are kept, expected at most %d", n, stats.ServerTransactions, transactions/2)
	}

	// The flood goes on: nothing of what follows finds a token.
	more := func() {
		for range 2 * rate * 4 {
			attack.Write(siptest.Ask{Method: "OPTIONS", URI: "sip:gw.test"})
		}
	}
	more()
	info := siptest.Ask{Method: "INFO", URI: ask.URI, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 2}
	trunk.Write(info)
	trunk.Response(200)
	up(second, "sip:200@gw.test", other)
	more()
	up(trunk, "sip:112@gw.test", b.in)
	done := make(chan error, 1)
	go func() { done <- d.Hangup(soon(t), sip.Reason{}, 0) }()
	expect(t, d, sip.KindInfo)
	trunk.Reply(trunk.Request("BYE"), 200, "", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
