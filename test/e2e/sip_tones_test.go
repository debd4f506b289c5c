//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// keys is a clip of DTMF, each digit so long and a pause as long after it, between silences.
func keys(digits string, each time.Duration, before, length float64) audio.Clip {
	low, high := [...]float64{697, 770, 852, 941}, [...]float64{1209, 1336, 1477, 1633}
	c := audio.Clip{Rate: 8000, Samples: make([]int16, int(before*8000))}
	for _, d := range digits {
		i := strings.IndexRune("123A456B789C*0#D", d)
		sound := audio.Mix(audio.Tone(8000, low[i/4], -18, each.Seconds()), audio.Tone(8000, high[i%4], -16, each.Seconds()))
		c.Samples = append(append(c.Samples, sound.Samples...), make([]int16, len(sound.Samples))...)
	}
	c.Samples = append(c.Samples, make([]int16, max(int(length*8000)-len(c.Samples), 0))...)
	return c
}

// A carrier that has nothing but tones calls a phone that has telephone-events: the phone gets each of the 16 digits once, as events,
// and what it dials is heard by the carrier as tones, by an ear that isn't ours. The record has both.
func TestSipTones(t *testing.T) {
	const all = "0123456789*#ABCD"
	addr, line := address(t), at(peers.Address(t))
	if got := peers.Tones(t, keys(all, 60*time.Millisecond, 0.1, 3)); got != all {
		t.Fatalf("in the carrier's own sound multimon-ng hears %q, expected %q", got, all)
	}
	capture := peers.StartCapture(t)
	g := startGateway(t, addr, settings{
		users:   "  - {id: alice, password: wonder-land-1, numbers: [\"4930100\"]}\n",
		trunks:  fmt.Sprintf("  - {id: telco, mode: address, proxy: \"%s\", addresses: [%s], dtmf: inband}\n", line, line.Addr()),
		billing: ", dtmf: clear",
	})
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: g.sip.String(),
		Codecs: "PCMU/8000/1", Audio: audio.Tone(8000, 440, toneLevel, 60)})
	carrier := peers.StartSIPp(t, peers.SIPpConfig{Name: "carrier", Scenario: "sipp/tone.xml", Remote: g.sip, Bind: line, Calls: 1,
		Users: [][]string{{"4930100", "bye"}}, Keys: []string{"domain", "telco.test"}, Tone: keys(all, 60*time.Millisecond, 0.5, 20),
		Length: 4 * time.Second, Timeout: 20 * time.Second})
	alice.Expect(t, "CALL_INCOMING", 5*time.Second)
	alice.Accept(t)
	alice.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	alice.SendDTMF(t, "159*#0D")
	carrier.Done(t, 20*time.Second)
	alice.Expect(t, "CALL_CLOSED", 5*time.Second)
	if got := alice.DTMF(); got != all {
		t.Errorf("the phone got %q, expected %q", got, all)
	}
	said := peers.Streams(capture.Packets(), func(p peers.Packet) bool { return p.Dst.Addr() == carrier.SIP.Addr() && p.Dst != carrier.SIP })
	if len(said) == 0 {
		t.Fatal("no RTP reached the carrier")
	}
	sound := audio.Clip{Rate: 8000} // what came, by its numbers: how late it was on a busy machine doesn't matter
	for _, p := range said[0].Packets {
		for _, code := range p.Payload {
			sound.Samples = append(sound.Samples, audio.MuLaw.Decode(code))
		}
	}
	if got := peers.Tones(t, sound); got != "159*#0D" {
		t.Errorf("the carrier hears %q, expected %q", got, "159*#0D")
	}
	for _, p := range said[0].Packets {
		if p.PayloadType != 0 {
			t.Errorf("the carrier got a packet of type %d, expected PCMU alone", p.PayloadType)
			break
		}
	}
	r := g.records(t, 1)[0]
	if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
		t.Errorf("the record says %+v, expected %+v", got, want)
	}
	told := map[string]string{}
	for _, e := range g.db.Query(t, "select leg_no, data->>'digit' as digit, data->>'by' as by from patchbay.call_event where kind = 'dtmf' order by seq") {
		told[fmt.Sprint(e["leg_no"], " ", e["by"])] += fmt.Sprint(e["digit"])
	}
	if told["1 inband"] != all || told["2 rfc4733"] != "159*#0D" || len(told) != 2 {
		t.Errorf("the record's digits are %v", told)
	}
}
