package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

// wants is an offer with preconditions.
func wants(lines ...string) string {
	return siptest.SDP + "a=" + strings.Join(lines, "\r\na=") + "\r\n"
}

// conditionsIn are the lines about preconditions in SDP.
func conditionsIn(t *testing.T, body string) string {
	t.Helper()
	d, err := sdp.Parse([]byte(body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	var list []string
	for _, a := range d.Media[0].Attributes {
		if a.Key == "curr" || a.Key == "des" || a.Key == "conf" {
			list = append(list, a.Key+":"+a.Value)
		}
	}
	return strings.Join(list, "|")
}

func conditionsBench(t *testing.T, p sip.Preconditions) (*bench, *siptest.Peer) {
	peer := siptest.NewPeer(t, netip.AddrPort{})
	b := newBench(t, func(s *settings) {
		s.Trunks[0].Proxy.Port, s.Trunks[0].Preconditions = peer.Addr().Port(), p
	})
	peer.Aim(b.addr)
	return b, peer
}

// A caller whose resources aren't there yet gets its answer at once, in a reliable 183, and nobody's phone rings before its UPDATE says
// that they are.
func TestPreconditionsOfACaller(t *testing.T) {
	t.Parallel()
	b, peer := conditionsBench(t, sip.PreconditionsAnswered)
	bob := b.phone("bob")
	ask := peer.Write(siptest.Ask{Method: "INVITE", URI: "sip:4930101@home.test", Headers: []string{"Require: precondition", "Supported: 100rel, precondition"},
		Body: wants("curr:qos local none", "curr:qos remote none", "des:qos mandatory local sendrecv", "des:qos mandatory remote sendrecv")})
	res := peer.Response(183)
	want := "curr:qos local sendrecv|curr:qos remote none|des:qos mandatory local sendrecv|des:qos mandatory remote sendrecv|conf:qos remote sendrecv"
	if got := conditionsIn(t, res.Body); got != want || !strings.Contains(res.Headers.Get("Supported"), "precondition") {
		t.Errorf("183 has %s, expected %s; Supported %q", got, want, res.Headers.Get("Supported"))
	}
	peer.Write(siptest.Ask{Method: "PRACK", CallID: ask.CallID, From: ask.From, To: res.Headers.Get("To"), CSeq: ask.CSeq + 1,
		Headers: []string{fmt.Sprintf("RAck: %s %d INVITE", res.Headers.Get("RSeq"), ask.CSeq)}})
	if r := peer.Response(200); r.CSeq() != ask.CSeq+1 {
		t.Errorf("PRACK: %+v", r)
	}
	if b.called("bob") {
		t.Error("bob's phone rings before the caller is ready")
	}
	peer.Write(siptest.Ask{Method: "UPDATE", CallID: ask.CallID, From: ask.From, To: res.Headers.Get("To"), CSeq: ask.CSeq + 2,
		Body: wants("curr:qos local sendrecv", "curr:qos remote sendrecv", "des:qos mandatory local sendrecv", "des:qos mandatory remote sendrecv")})
	update := peer.Response(200)
	want = "curr:qos local sendrecv|curr:qos remote sendrecv|des:qos mandatory local sendrecv|des:qos mandatory remote sendrecv"
	if got := conditionsIn(t, update.Body); update.CSeq() != ask.CSeq+2 || got != want {
		t.Errorf("UPDATE is answered %s, expected %s", got, want)
	}
	c := bob.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		t.Fatal(err)
	}
	peer.Response(180)
	if err := c.Answer([]byte(siptest.SDP)); err != nil {
		t.Fatal(err)
	}
	answer := peer.Response(200)
	if conditionsIn(t, answer.Body) != want {
		t.Errorf("the answer isn't what was agreed last:\n%s", answer.Body)
	}
	peer.Ack(ask, answer, "")
	c.Wait(sip.KindAcked)
	c.Bye()
	peer.Reply(peer.Request("BYE"), 200, "", "")
	b.ends(call.Callee, 16, 200)
	b.idle()
}

// called tells whether an INVITE has left for a user.
func (b *bench) called(user string) bool {
	return slicesContain(b.ledger.order(), "sent INVITE users")
}

// Where they are there, or only wished for, nothing waits.
func TestPreconditionsThatAreMet(t *testing.T) {
	t.Parallel()
	b, peer := conditionsBench(t, sip.PreconditionsAnswered)
	bob := b.phone("bob")
	for _, lines := range [][]string{
		{"curr:qos local sendrecv", "curr:qos remote none", "des:qos mandatory local sendrecv", "des:qos mandatory remote sendrecv"},
		{"curr:qos local none", "curr:qos remote none", "des:qos optional local sendrecv", "des:qos optional remote sendrecv"},
	} {
		peer.Write(siptest.Ask{Method: "INVITE", URI: "sip:4930101@home.test", Headers: []string{"Supported: 100rel, precondition"}, Body: wants(lines...)})
		c := bob.Incoming()
		if err := c.Reject(486, ""); err != nil {
			t.Fatal(err)
		}
		peer.Response(486)
	}
	b.idle()
}

// What can't be is refused with 580 and SDP that says so; a trunk whose setting switches them off gets 420 where they are required, and is
// answered as if they weren't there else.
func TestPreconditionsAreRefused(t *testing.T) {
	t.Parallel()
	cant := wants("curr:qos e2e none", "des:qos mandatory e2e sendrecv")
	for _, x := range []struct {
		name     string
		policy   sip.Preconditions
		header   string
		body     string
		status   int
		has, sdp string
	}{
		{"from end to end", sip.PreconditionsAnswered, "Supported: 100rel, precondition", cant, 580, "", "des:qos failure e2e sendrecv"},
		{"without reliable responses", sip.PreconditionsAnswered, "Require: precondition", wants("curr:qos local none", "des:qos mandatory local sendrecv"), 580, "", ""},
		{"switched off, required", sip.PreconditionsNever, "Require: precondition", cant, 420, "precondition", ""},
		{"switched off", sip.PreconditionsNever, "Supported: precondition, 100rel", cant, 486, "", ""},
	} {
		b, peer := conditionsBench(t, x.policy)
		bob := b.phone("bob")
		peer.Write(siptest.Ask{Method: "INVITE", URI: "sip:4930101@home.test", Headers: []string{x.header}, Body: x.body})
		if x.status == 486 {
			if err := bob.Incoming().Reject(486, ""); err != nil {
				t.Fatal(err)
			}
		}
		res := peer.Response(x.status)
		if res.Headers.Get("Unsupported") != x.has || x.sdp != "" && (res.Headers.Get("Content-Type") != "application/sdp" || conditionsIn(t, res.Body) != x.sdp) {
			t.Errorf("%s: %d with Unsupported %q and\n%s", x.name, res.Status(), res.Headers.Get("Unsupported"), res.Body)
		}
		if x.status == 580 {
			b.ends(call.System, 47, 580)
		}
	}
}

// A trunk whose setting says so is offered ours; what it does with them in UPDATE is answered.
func TestPreconditionsAreOffered(t *testing.T) {
	t.Parallel()
	for policy, want := range map[sip.Preconditions]string{
		sip.PreconditionsOffered:  "curr:qos local sendrecv|curr:qos remote none|des:qos mandatory local sendrecv|des:qos optional remote sendrecv",
		sip.PreconditionsAnswered: "",
	} {
		b, peer := conditionsBench(t, policy)
		a := b.from(b.phone("alice"), "9123", nil)
		inv := peer.Request("INVITE")
		if got := conditionsIn(t, inv.Body); got != want || strings.Contains(inv.Headers.Get("Supported"), "precondition") != (want != "") {
			t.Errorf("policy %d: the INVITE has %s, Supported %q", policy, got, inv.Headers.Get("Supported"))
		}
		peer.Reply(inv, 183, "one", wants("curr:qos local none", "curr:qos remote sendrecv", "des:qos mandatory local sendrecv", "des:qos mandatory remote sendrecv"),
			peer.Contact(), "Require: 100rel", "RSeq: 1")
		peer.Reply(peer.Request("PRACK"), 200, "", "")
		peer.Write(siptest.Ask{Method: "UPDATE", CallID: inv.Headers.Get("Call-ID"), From: inv.Headers.Get("To") + ";tag=one", To: inv.Headers.Get("From"), CSeq: 1,
			Body: wants("curr:qos local sendrecv", "curr:qos remote sendrecv", "des:qos mandatory local sendrecv", "des:qos mandatory remote sendrecv")})
		if got := conditionsIn(t, peer.Response(200).Body); !strings.HasPrefix(got, "curr:qos local sendrecv|curr:qos remote sendrecv|") {
			t.Errorf("policy %d: UPDATE is answered %s", policy, got)
		}
		peer.Reply(inv, 486, "one", "")
		refused(t, a, 486)
		b.idle()
	}
}
