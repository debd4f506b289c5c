package sip_test

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// Who says that it is a scanner isn't even challenged where phones register, whatever is wrong with what it sends. Nobody whom we
// know is taken for one: neither a user who has shown who it is, with that phone or another one at the same address, nor a trunk.
func scannersGetSilence(t *testing.T) {
	b, reg := edge(t, func(f *sip.FrontConfig) { f.Scanners = []string{"friendly-scanner", "SIPvicious"} })
	scanner := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	ask := func(agent string) siptest.Ask {
		return siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: "<sip:alice@home.test>", Headers: []string{"User-Agent: " + agent}}
	}
	silent := uint64(0)
	for _, agent := range []string{"friendly-scanner", "Friendly-Scanner/2.0", "sipvicious", "SIPVICIOUS 0.3"} {
		scanner.Write(ask(agent))
		broken := ask(agent)
		broken.From = "<sip:a@b"
		scanner.Write(broken)
		needs := ask(agent)
		needs.Headers = append(needs.Headers, "Require: nothing")
		scanner.Write(needs)
		silent += 3
	}
	eventually(t, "all is dropped", func() bool { return b.front.Stats().Dropped[sip.DropScanner] == silent })
	scanner.Silence(50 * time.Millisecond)
	if s := b.front.Stats(); s.ServerTransactions != 0 {
		t.Errorf("%d transactions are held for scanners", s.ServerTransactions)
	}
	connected := siptest.NewTCPPeer(t, "127.0.0.2", b.tcp)
	connected.Write(ask("sipvicious"))
	if m, ok := connected.Receive(siptest.Patience); ok {
		t.Errorf("over TCP it is told %q", m.Start)
	}
	silent++

	// Others aren't: neither those that are called something else, nor whoever has got a challenge and answers it.
	for _, agent := range []string{"a friendly-scanner", "friendly", ""} {
		scanner.Write(ask(agent))
		scanner.Response(401)
	}
	phone, client := siptest.NewPeerAt(t, "127.0.0.3", b.addr), auth.NewClient(auth.Credentials{Username: "alice", Password: "a-pass"})
	phone.Write(ask("phone"))
	if err := client.Challenge(&auth.Attempt{}, phone.Response(401).Headers); err != nil {
		t.Fatal(err)
	}
	h := client.Headers("REGISTER", "sip:home.test", nil)[0]
	answer := ask("sipvicious")
	answer.CSeq, answer.Headers = 2, append(answer.Headers, phone.Contact(), h.Name+": "+h.Value)
	phone.Write(answer)
	phone.Response(200)
	if len(reg.Contacts("alice")) != 1 {
		t.Error("alice isn't registered")
	}
	phone.Write(ask("sipvicious")) // a refresh begins anew
	phone.Response(401)
	trunk := siptest.NewPeerAt(t, "127.0.0.9", b.addr)
	trunk.Write(siptest.Ask{Method: "OPTIONS", URI: "sip:home.test", Headers: []string{"User-Agent: friendly-scanner"}})
	trunk.Response(200)
	if n := b.front.Stats().Dropped[sip.DropScanner]; n != silent {
		t.Errorf("%d messages of scanners were dropped, expected %d", n, silent)
	}
}
