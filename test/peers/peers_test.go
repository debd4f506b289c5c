package peers

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
)

func TestMain(m *testing.M) { Main(m, MainConfig{}) }

func TestPhonesCallThroughKamailio(t *testing.T) {
	k := StartKamailio(t, KamailioConfig{Users: map[string]string{"alice": "wonder", "bob": "builder"}})
	alice := StartBaresip(t, BaresipConfig{User: "alice", Password: "wonder", Domain: "test.local", Proxy: k.SIP.String(), Audio: audio.Tone(8000, 440, -10, 60)})
	bob := StartBaresip(t, BaresipConfig{User: "bob", Password: "builder", Domain: "test.local", Proxy: k.SIP.String(), Audio: audio.Tone(8000, 880, -10, 60), AutoAnswer: true, RTP: 11000})
	if got := k.Registered(t, "bob"); len(got) != 1 {
		t.Fatalf("bob is registered at %q, expected one contact", got)
	}
	alice.Dial(t, "sip:bob@test.local")
	alice.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	time.Sleep(2 * time.Second)
	alice.SendDTMF(t, "159#")
	Wait(t, 3*time.Second, "digits", func() bool { return bob.DTMF() == "159#" })
	t.Log(alice.CallStat(t))
	alice.Hangup(t)
	t.Logf("%+v", bob.Expect(t, "CALL_CLOSED", 3*time.Second))
	t.Log(audio.Level(alice.Heard(t), 880), audio.Level(bob.Heard(t), 440))
}
