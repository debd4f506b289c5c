package sip_test

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// A connection stays whose peer has shown who it is, though it sends nothing but OPTIONS afterwards. One that never does
// has to go, though it sends them too and is answered.
func onlyThoseWhoProveThemselvesStay(t *testing.T) {
	const first = 2 * time.Second
	reg, err := sip.NewRegistrar(sip.RegistrarConfig{Auth: users(t, map[string]string{"alice": "a-pass"})})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(f *sip.FrontConfig, c *sip.Config) {
		f.Limits.FirstMessage, c.Registrar = first, reg
	})
	phone, stranger := siptest.NewTCPPeer(t, "127.0.0.1", b.tcp), siptest.NewTCPPeer(t, "127.0.0.1", b.tcp)
	seq := 0
	if m := register(t, phone, "alice", "a-pass", &seq, phone.Contact()); m.Status() != 200 {
		t.Fatal(m.Start)
	}
	end, gone := time.Now().Add(2*first), false
	for time.Now().Before(end) {
		phone.Write(siptest.Ask{Method: "OPTIONS"})
		phone.Response(200)
		if gone = gone || b.front.Stats().Connections == 1; !gone {
			stranger.Write(siptest.Ask{Method: "OPTIONS"})
			m, ok := stranger.Receive(siptest.Patience)
			if gone = !ok; ok && m.Status() != 200 {
				t.Fatal(m.Start)
			}
		}
		time.Sleep(first / 10)
	}
	if !gone || b.front.Stats().Connections != 1 {
		t.Errorf("the stranger is gone: %v; %d connections are open, expected 1", gone, b.front.Stats().Connections)
	}
}
