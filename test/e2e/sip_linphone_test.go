//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// linphonec registers and calls baresip, and is called by it; each hears the other, and gets its digits. linphonec is asked for what it measures
// of what it hears, and that is on record.
func TestSipLinphone(t *testing.T) {
	addr := address(t)
	g := startGateway(t, addr, settings{users: "  - {id: lin, password: phone-secret-1, numbers: [\"400\"]}\n  - {id: bob, password: phone-secret-2, numbers: [\"401\"]}\n", billing: ", dtmf: clear"})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "phone-secret-2", Domain: "test.local", Proxy: g.sip.String(), Audio: audio.Tone(8000, 880, toneLevel, 60)})
	lin := peers.StartLinphone(t, peers.LinphoneConfig{User: "lin", Password: "phone-secret-1", Domain: "test.local", Proxy: g.sip, Audio: audio.Tone(8000, 440, toneLevel, 60)})

	// Of the two challenges it takes the first, which is the better one.
	if proofs := lin.Debug(t, "response="); len(proofs) == 0 || !strings.Contains(proofs[len(proofs)-1], "algorithm=SHA-256,") {
		t.Errorf("lin proves itself by %q, expected SHA-256", proofs)
	}
	lin.Dial(t, fmt.Sprintf("sip:401@%s", addr))
	bob.Expect(t, "CALL_INCOMING", 5*time.Second)
	bob.Accept(t)
	bob.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	time.Sleep(6500 * time.Millisecond)
	lin.Hangup(t)
	bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	heard(t, "bob", bob.Heard(t), 440, 880, audio.MuLaw)
	// Its jitter buffer drops and adds samples as it likes, so the tone isn't one from end to end; it is all there is, all the time.
	got := lin.Heard(t).Cut(1, measured)
	rms, own, gap := audio.RMS(got), audio.Level(got, 440), audio.LongestGap(got, 880)
	t.Logf("lin: %.2f dBFS, 440 Hz %.1f dB down, longest gap in 880 Hz %v", rms, rms-own, gap)
	if math.Abs(rms-toneLevel) > levelWithin || rms-own < crosstalk || gap > gapMost {
		t.Errorf("lin heard %.2f dBFS, own tone %.1f dB down, a gap of %v; expected %g ± %g, %g or more, %v at most", rms, rms-own, gap, toneLevel, levelWithin, crosstalk, gapMost)
	}

	bob.Dial(t, "sip:400@test.local")
	lin.Expect(t, "CallIncomingReceived", 5*time.Second)
	lin.Answer(t)
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	// It takes a second over each digit, and knows no letters; what it gets stands in its log.
	const typed = "7*#0"
	lin.Type(t, typed)
	bob.SendDTMF(t, allDigits)
	received := func() (digits string) {
		for _, line := range lin.Debug(t, "Receiving dtmf ") {
			_, digit, _ := strings.Cut(line, "Receiving dtmf ")
			digits += strings.TrimSuffix(digit, ".")
		}
		return digits
	}
	eventually(10*time.Second, func() bool { return len(bob.DTMF()) >= len(typed) && len(received()) >= len(allDigits) })
	if bob.DTMF() != typed || received() != allDigits {
		t.Errorf("bob got %q and lin %q, expected %q and %q", bob.DTMF(), received(), typed, allDigits)
	}
	bob.Hangup(t)
	for _, r := range g.records(t, 2) {
		if got := recordOf(r); got != ended {
			t.Errorf("the record says %+v, expected %+v", got, ended)
		}
	}
	digitsOnRecord(t, g, map[string]string{"1": allDigits, "2": typed})
	measuredByParty(t, g)
}

// measuredByParty wants what the first call's caller measured itself (RFC 3611) beside what we did: little is lost on a machine of one's own.
func measuredByParty(t *testing.T, g *gateway) {
	t.Helper()
	rows := g.db.Query(t, `select q.stream, q.xr_loss::float8 as loss, q.xr_discard::float8 as discard, q.xr_r::float8 as r, q.xr_mos_lq::float8 as lq, q.xr_buffer_ms::float8 as buffer, q.xr_lost as lost
from patchbay.leg_quality q join (select call_id from patchbay.call order by started_at limit 1) c using (call_id) where q.bucket = 0 and q.leg_no = 1 order by q.stream desc`)
	if len(rows) != 2 {
		t.Fatalf("%d rows of the caller's leg, expected 2", len(rows))
	}
	t.Logf("the caller measured %v", rows[0])
	if r := rows[0]; r["loss"] == nil || r["discard"] == nil {
		t.Errorf("the caller's own measure of what it was sent: %v, expected it", r)
	}
	if r := rows[1]; r["loss"] != nil || r["lost"] != nil {
		t.Errorf("what the caller sent has a measure of its own: %v", r)
	}
}
