//go:build e2e

package e2e

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// Two phones through a registrar, measured with all thresholds of the stories:
// what fails here is the instruments, not Patchbay.
func TestReferencePhones(t *testing.T) {
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"alice": "wonder", "bob": "builder"}})
	capture := peers.StartCapture(t)
	alice := peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder", Domain: "test.local", Proxy: k.SIP.String(),
		Audio: audio.Tone(8000, 440, toneLevel, 60)})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder", Domain: "test.local", Proxy: k.SIP.String(),
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	if got := k.Registered(t, "bob"); len(got) != 1 || !strings.Contains(got[0], bob.SIP.String()) {
		t.Fatalf("bob is registered at %q, expected %s", got, bob.SIP)
	}

	alice.Dial(t, "sip:bob@test.local")
	bob.Expect(t, "CALL_INCOMING", 3*time.Second)
	bob.Accept(t)
	alice.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	bob.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
	from := time.Now()
	time.Sleep(5500 * time.Millisecond)
	to := time.Now()

	digitsAndHold(t, capture, alice, bob, "159#")

	alice.Hangup(t)
	bob.Expect(t, "CALL_CLOSED", 3*time.Second)
	capture.Stop(t)
	heard(t, "alice", alice.Heard(t), 880, 440, audio.MuLaw)
	heard(t, "bob", bob.Heard(t), 440, 880, audio.MuLaw)
	arrived(t, alice, capture, bob.Says, from, to, 880, 440, audio.MuLaw)
	arrived(t, bob, capture, alice.Says, from, to, 440, 880, audio.MuLaw)
}

// allDigits are those that telephone-event has (RFC 4733 3.2).
const allDigits = "0123456789*#ABCD"

// digitsAndHold sends digits both ways at once, and holds and resumes from alice's side.
func digitsAndHold(t *testing.T, capture *peers.Capture, alice, bob *peers.Baresip, digits string) {
	t.Helper()
	for _, d := range digits {
		for _, p := range []*peers.Baresip{alice, bob} {
			p.Command(t, "sndcode", string(d))
		}
		time.Sleep(200 * time.Millisecond)
	}
	for _, p := range []*peers.Baresip{alice, bob} {
		if eventually(5*time.Second, func() bool { return len(p.DTMF()) >= len(digits) }); p.DTMF() != digits {
			t.Errorf("%s got the digits %q, expected %q", p.User, p.DTMF(), digits)
		}
	}
	packets := func() int { return received(capture, bob) }
	alice.Hold(t)
	time.Sleep(500 * time.Millisecond)
	before := packets()
	time.Sleep(500 * time.Millisecond)
	if n := packets() - before; n > 2 {
		t.Errorf("on hold bob still gets media: %d packets in half a second, expected none", n)
	}
	alice.Resume(t)
	if !eventually(2*time.Second, func() bool { return packets() >= before+25 }) {
		t.Errorf("resumed: bob got %d packets in 2 s, expected 25 or more", packets()-before)
	}
}

func received(c *peers.Capture, by *peers.Baresip) int {
	n := 0
	for _, s := range peers.Streams(c.Packets(), by.Hears) {
		n += len(s.Packets)
	}
	return n
}

func eventually(timeout time.Duration, done func() bool) bool {
	for end := time.Now().Add(timeout); ; time.Sleep(10 * time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// outcome is what both sides' logs must say of one call.
type outcome struct {
	number, how string // as dialled, and what the caller does (sipp/phone.xml)
	status      int
	cause       int
	hungUp      peers.Party
	tags        int // To-tags among the carrier's responses
}

// outcomes of sipp/carrier.xml by the end of the number, one of each kind.
func outcomes() []outcome {
	return []outcome{
		{"4930555200", "bye", 200, 16, peers.Caller, 1},
		{"4930555201", "wait", 200, 16, peers.Callee, 1},
		{"4930555486", "refused", 486, 17, peers.Nobody, 1},
		{"4930555404", "refused", 404, 1, peers.Nobody, 1},
		{"4930555603", "refused", 603, 21, peers.Nobody, 1},
		{"4930555503", "refused", 503, 34, peers.Nobody, 1},
		{"4930555480", "refused", 480, 19, peers.Nobody, 1},
		{"4930555199", "cancel", 487, 0, peers.Caller, 1},
		{"4930555183", "bye", 200, 16, peers.Caller, 1},
		{"4930555180", "bye", 200, 16, peers.Caller, 2},
	}
}

// SIPp as a phone with digest, through Kamailio, to SIPp as the carrier: both
// logs tell the same calls, and that is what the scenarios promise.
func TestReferenceOutcomes(t *testing.T) {
	carrier := startCarrier(t, "carrier")
	k := peers.StartKamailio(t, peers.KamailioConfig{Users: map[string]string{"desk": "secret"},
		Numbers: map[string]peers.Number{"4930*": {Target: "sip:" + carrier.SIP.String()}}})
	phone := netip.AddrPortFrom(peers.Address(t), 5060)
	register := peers.StartSIPp(t, peers.SIPpConfig{Name: "register", Scenario: "sipp/register.xml", Remote: k.SIP, Bind: phone, Calls: 1,
		Username: "desk", Password: "secret", Keys: []string{"domain", "test.local", "expires", "600"}})
	register.Done(t, 5*time.Second)
	if got := k.Registered(t, "desk"); len(got) != 1 {
		t.Fatalf("desk is registered at %q, expected one contact", got)
	}
	// A proxy says 500 where it got a 503 (RFC 3261 16.7), so that one is for the direct test.
	wanted := slices.DeleteFunc(outcomes(), func(o outcome) bool { return o.status == 503 })
	dial(t, k.SIP, phone, carrier, wanted, 2)
}

// The same without anything between.
func TestReferenceOutcomesDirect(t *testing.T) {
	carrier := startCarrier(t, "carrier")
	dial(t, carrier.SIP, netip.AddrPortFrom(peers.Address(t), 5060), carrier, outcomes(), 2)
}

func startCarrier(t *testing.T, name string) *peers.SIPp {
	t.Helper()
	return peers.StartSIPp(t, peers.SIPpConfig{Name: name, Scenario: "sipp/carrier.xml", Length: 300 * time.Millisecond})
}

// dial makes each of the calls times over, ten a second, and compares the logs.
func dial(t *testing.T, to, from netip.AddrPort, carrier *peers.SIPp, wanted []outcome, times int) {
	t.Helper()
	var users [][]string
	for range times {
		for _, o := range wanted {
			users = append(users, []string{o.number, o.how})
		}
	}
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "phone", Scenario: "sipp/phone.xml", Remote: to, Bind: from, Calls: len(users), Rate: 10, Users: users,
		Username: "desk", Password: "secret", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 20 * time.Second})
	calls.Done(t, 20*time.Second)
	carrier.Finish(t, 5*time.Second)
	if got := calls.Stat(t, "SuccessfulCall(C)"); got != strconv.Itoa(len(users)) {
		t.Errorf("%s of %d calls went as their scenario says", got, len(users))
	}
	sameCalls(t, calls.Calls(t), carrier.Calls(t), len(users))
}

// Two phones answer the same call.
func TestReferenceTwoAnswers(t *testing.T) {
	carrier := startCarrier(t, "carrier")
	caller := peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/twice.xml", Remote: carrier.SIP, Calls: 1, Users: [][]string{{"4930555202"}},
		Username: "desk", Keys: []string{"domain", "test.local"}, Length: 100 * time.Millisecond, Timeout: 10 * time.Second})
	caller.Done(t, 10*time.Second)
	carrier.Finish(t, 5*time.Second)
	calls := carrier.Calls(t)
	if len(calls) != 1 || calls[0].Accepted != 2 || calls[0].Tags != 2 {
		t.Fatalf("the carrier's log says %+v, expected one call with two answers", calls)
	}
	byes := map[string]bool{}
	for _, m := range calls[0].Messages {
		if m.Request("BYE") {
			byes[m.Tag("To")] = true
		}
	}
	if len(byes) != 2 {
		t.Errorf("%d of the two answers got their BYE", len(byes))
	}
}

// SIPp's echo and SIPp's tone, measured at a phone that it calls.
func TestReferenceEchoAndTone(t *testing.T) {
	capture := peers.StartCapture(t)
	type call struct {
		name, scenario string
		hz, other      float64
		tone           audio.Clip
		phone          *peers.Baresip
		caller         *peers.SIPp
	}
	calls := []*call{
		{name: "echo", scenario: "sipp/phone.xml", hz: 440, other: 880},
		{name: "tone", scenario: "sipp/tone.xml", hz: 880, other: 440, tone: audio.Tone(8000, 880, toneLevel, 1)},
	}
	for _, c := range calls {
		c.phone = peers.StartBaresip(t, peers.BaresipConfig{User: c.name, Domain: "test.local", Audio: audio.Tone(8000, 440, toneLevel, 60), AutoAnswer: true, Codecs: "PCMU/8000/1"})
	}
	from := time.Now()
	for _, c := range calls {
		c.caller = peers.StartSIPp(t, peers.SIPpConfig{Name: c.name, Scenario: c.scenario, Remote: c.phone.SIP, Calls: 1, Users: [][]string{{c.name, "bye"}},
			Username: "carrier", Keys: []string{"domain", "test.local"}, Length: 5800 * time.Millisecond, RTPEcho: c.name == "echo", Tone: c.tone, Timeout: 15 * time.Second})
	}
	for _, c := range calls {
		c.phone.Expect(t, "CALL_ESTABLISHED", 3*time.Second)
		c.phone.Expect(t, "CALL_CLOSED", 10*time.Second)
		c.caller.Done(t, 5*time.Second)
		heard(t, c.name, c.phone.Heard(t), c.hz, c.other, audio.MuLaw)
		arrived(t, c.phone, capture, c.caller.Says, from, time.Now(), c.hz, c.other, audio.MuLaw)
	}
}

func sameCalls(t *testing.T, ours, theirs []peers.Call, want int) {
	t.Helper()
	if len(ours) != want || len(theirs) != want {
		t.Fatalf("the phone's log has %d calls and the carrier's %d, expected %d in each", len(ours), len(theirs), want)
	}
	byNumber := map[string]outcome{}
	for _, o := range outcomes() {
		byNumber[o.number] = o
	}
	other := map[string]peers.Call{}
	for _, c := range theirs {
		other[c.ID] = c
	}
	for _, a := range ours {
		o := byNumber[a.Number]
		b, ok := other[a.ID]
		if !ok {
			t.Errorf("call %s to %s isn't in the carrier's log", a.ID, a.Number)
			continue
		}
		if o.status == 0 {
			t.Errorf("call %s went to %q, which nobody dialled", a.ID, a.Number)
			continue
		}
		for side, c := range map[string]peers.Call{"phone": a, "carrier": b} {
			got := outcome{c.Number, o.how, c.Status, c.Cause, c.HungUp, o.tags}
			if got != o {
				t.Errorf("the %s's log says %+v, expected %+v", side, got, o)
			}
		}
		if b.Tags != o.tags {
			t.Errorf("%s: the carrier used %d To-tags, expected %d", o.number, b.Tags, o.tags)
		}
		if !a.Outgoing || b.Outgoing {
			t.Errorf("%s: outgoing is %v at the phone and %v at the carrier, expected true and false", o.number, a.Outgoing, b.Outgoing)
		}
		for what, times := range map[string][2]time.Time{"INVITE": {a.Invite, b.Invite}, "18x": {b.Progress, a.Progress}, "2xx": {b.Answered, a.Answered}} {
			if times[0].IsZero() != times[1].IsZero() {
				t.Errorf("%s: only one log has a time of %s", o.number, what)
			} else if d := times[1].Sub(times[0]); d < -time.Millisecond || d > 500*time.Millisecond {
				t.Errorf("%s: %s arrived %v after it was sent", o.number, what, d)
			}
		}
	}
}
