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
	for _, bad := range []Flow{{">"}, {"! INVITE"}, {"> 200 INVITE"}, {"= soon"}} {
		if s, err := bad.Scenario("bad", true); err == nil || !strings.Contains(err.Error(), bad[0]) {
			t.Errorf("%q: %v\n%s", bad, err, s)
		}
	}
}
