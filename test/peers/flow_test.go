package peers

import (
	"strings"
	"testing"
)

func TestFlowScenario(t *testing.T) {
	caller, err := Flow{"> INVITE sdp", "< 183 INVITE rel sdp", "> PRACK", "< 200 PRACK", "< 200 INVITE | Require: timer", "> ACK", "= 200", "> BYE", "< 200 BYE"}.Scenario("a", true)
	if err != nil {
		t.Fatal(err)
	}
	callee, err := Flow{"< INVITE sdp:sendonly", "> 180 INVITE", "> 200 INVITE sdp:recvonly", "< ACK", "> BYE", "< 200 BYE"}.Scenario("b", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ in, what string }{
		{caller, "CSeq: 1 INVITE"}, {caller, "CSeq: 2 PRACK"}, {caller, "] 1 INVITE\nContent-Length: 0"}, {caller, "CSeq: 1 ACK"}, {caller, "CSeq: 3 BYE"},
		{caller, `<ereg regexp="timer" search_in="hdr" header="Require:" check_it="true"`}, {caller, `<pause milliseconds="200"/>`},
		{callee, "a=recvonly"}, {callee, `regexp="a=sendonly"`}, {callee, "To:[$to0];tag=[pid]s[call_number]"}, {callee, "CSeq: 1 BYE"}, {callee, "To:[$from0]"},
	} {
		if !strings.Contains(x.in, x.what) {
			t.Errorf("no %q in\n%s", x.what, x.in)
		}
	}
	two, err := Flow{"> INVITE sdp", "< 200 INVITE sdp", "> ACK", ">b INVITE sdp", "<b 407 INVITE auth", ">b ACK", ">b INVITE auth sdp", "<b 180 INVITE", "> BYE", "< 200 BYE", ">b CANCEL", "<b 200 CANCEL", "<b 487 INVITE", ">b ACK"}.Scenario("two", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{
		"INVITE sip:[second]@[remote_ip]:[remote_port] SIP/2.0", "To: <sip:[number]@[remote_ip]>;tag=[$tag]\nCall-ID: [call_id]\nCSeq: 2 BYE",
		"tag=[pid]cb[call_number]\nTo: <sip:[second]@[remote_ip]>\nCall-ID: b///[call_id]\nCSeq: 2 CANCEL", ".b2;rport\nFrom: <sip:[service]@[local_ip]>;tag=[pid]cb[call_number]\n[last_To:]\nCall-ID: b///[call_id]\nCSeq: 2 ACK",
	} {
		if !strings.Contains(two, what) {
			t.Errorf("no %q in\n%s", what, two)
		}
	}
	for _, bad := range []Flow{{">"}, {"! INVITE"}, {"> 200 INVITE"}, {"= soon"}} {
		if s, err := bad.Scenario("bad", true); err == nil || !strings.Contains(err.Error(), bad[0]) {
			t.Errorf("%q: %v\n%s", bad, err, s)
		}
	}
}
