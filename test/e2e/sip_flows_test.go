//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// flow is a call between two of SIPp's, each on a trunk of its own, and what the record says of it.
type flow struct {
	name           string
	caller, callee peers.Flow
	trunk          string // more keys of the callee's trunk
	want           record

	forward string     // keys of the forwarding of a user, who is called instead; its calls go on to the callee
	phone   peers.Flow // the user's, if it has one
}

// Parts that many flows have.
var (
	answered = peers.Flow{"> INVITE sdp", "< 180 INVITE", "< 200 INVITE sdp", "> ACK"}
	answers  = peers.Flow{"< INVITE sdp", "> 180 INVITE", "> 200 INVITE sdp", "< ACK"}
	hangsUp  = peers.Flow{"= 200", "> BYE", "< 200 BYE"}
	isEnded  = peers.Flow{"< BYE", "> 200 BYE"}
	ended    = record{"closed", "caller", 200, 16}
)

func steps(parts ...peers.Flow) (all peers.Flow) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Session establishment of RFC 3665 section 3, as far as a party in the middle of a call meets it: its 3.4 and 3.5 are about
// proxies and firewalls.
func establishment() []flow {
	rr := "Record-Route: <sip:[local_ip]:[local_port];lr>"
	return []flow{
		{"3665 3.1 success", steps(answered, hangsUp), steps(answers, isEnded), "", ended, "", nil},
		{"3665 3.1 hung up by the callee", steps(answered, isEnded), steps(answers, hangsUp), "", record{"closed", "callee", 200, 16}, "", nil},
		{"3665 3.2 through proxies that stay",
			steps(answered, hangsUp),
			peers.Flow{"< INVITE sdp", "> 180 INVITE | " + rr, "> 200 INVITE sdp | " + rr, "< ACK | Route: ;lr>", "< BYE | Route: ;lr>", "> 200 BYE"}, "", ended, "", nil},
		{"3665 3.3 the proxy asks for a password",
			steps(answered, hangsUp),
			steps(peers.Flow{"< INVITE sdp", "> 407 INVITE | Proxy-Authenticate: Digest realm=\"carrier.test\", nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", qop=\"auth\", algorithm=MD5", "< ACK",
				"< INVITE sdp | Proxy-Authorization: Digest .*response=", "> 180 INVITE | tag=q", "> 200 INVITE sdp | tag=q", "< ACK"}, isEnded),
			", user: line, password: line-secret-1", ended, "", nil},
		{"3665 3.7 re-INVITE, the address changes",
			steps(answered, peers.Flow{"= 200", "> INVITE sdp", "< 200 INVITE sdp", "> ACK"}, hangsUp), steps(answers, isEnded), "", ended, "", nil},
		{"3665 3.8 no answer", peers.Flow{"> INVITE sdp", "< 180 INVITE", "= 300", "> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"},
			peers.Flow{"< INVITE sdp", "> 180 INVITE", "< CANCEL", "> 200 CANCEL", "> 487 INVITE", "< ACK"}, "", record{"closed", "caller", 487, 16}, "", nil},
		{"3665 3.9 busy", peers.Flow{"> INVITE sdp", "< 486 INVITE | Reason: cause=17", "> ACK"},
			peers.Flow{"< INVITE sdp", "> 486 INVITE", "< ACK"}, "", record{"closed", "callee", 486, 17}, "", nil},
		{"3665 3.11 temporarily unavailable", peers.Flow{"> INVITE sdp", "< 180 INVITE", "< 480 INVITE", "> ACK"},
			peers.Flow{"< INVITE sdp", "> 180 INVITE", "> 480 INVITE", "< ACK"}, "", record{"closed", "callee", 480, 18}, "", nil},
	}
}

// Reliable provisional responses (RFC 3262), UPDATE (RFC 3311) and session timers (RFC 4028).
func extensions() []flow {
	const rel = "Supported: 100rel"
	return []flow{
		{"3262 answered in 183",
			steps(peers.Flow{"> INVITE sdp | " + rel, "< 183 INVITE rel sdp", "> PRACK", "< 200 PRACK", "< 200 INVITE", "> ACK"}, hangsUp),
			steps(peers.Flow{"< INVITE sdp | Supported: 100rel", "> 183 INVITE rel sdp", "< PRACK", "> 200 PRACK", "= 200", "> 200 INVITE", "< ACK"}, isEnded), "", ended, "", nil},
		{"3262 one side alone is reliable",
			steps(answered, hangsUp),
			steps(peers.Flow{"< INVITE sdp", "> 180 INVITE rel", "< PRACK", "> 200 PRACK", "> 200 INVITE sdp", "< ACK"}, isEnded), "", ended, "", nil},
		{"3262 offer in PRACK",
			steps(peers.Flow{"> INVITE sdp | " + rel, "< 183 INVITE rel sdp", "> PRACK sdp", "< 200 PRACK sdp", "< 200 INVITE", "> ACK"}, hangsUp),
			steps(peers.Flow{"< INVITE sdp", "> 183 INVITE rel sdp", "< PRACK", "> 200 PRACK", "= 600", "> 200 INVITE", "< ACK"}, isEnded), "", ended, "", nil},
		{"3311 UPDATE while it rings",
			steps(peers.Flow{"> INVITE sdp | " + rel, "< 183 INVITE rel sdp", "> PRACK", "< 200 PRACK", "> UPDATE sdp", "< 200 UPDATE sdp", "< 200 INVITE", "> ACK"}, hangsUp),
			steps(peers.Flow{"< INVITE sdp", "> 183 INVITE rel sdp", "< PRACK", "> 200 PRACK", "= 600", "> 200 INVITE", "< ACK"}, isEnded), "", ended, "", nil},
		{"3311 UPDATE in the call",
			steps(answered, peers.Flow{"= 200", "> UPDATE sdp", "< 200 UPDATE sdp"}, hangsUp), steps(answers, isEnded), "", ended, "", nil},
		{"4028 an interval that is too small",
			steps(peers.Flow{"> INVITE sdp | Supported: timer | Session-Expires: 30", "< 422 INVITE | Min-SE: 90", "> ACK",
				"> INVITE sdp | Supported: timer | Session-Expires: 90 | Min-SE: 90", "< 180 INVITE", "< 200 INVITE sdp | Session-Expires: 90", "> ACK"}, hangsUp),
			steps(answers, isEnded), "", ended, "", nil},
		{"4028 the callee wants a longer interval",
			steps(answered, hangsUp),
			steps(peers.Flow{"< INVITE sdp | Session-Expires: 1800", "> 422 INVITE | Min-SE: 3600", "< ACK", "< INVITE sdp | Session-Expires: 3600 | Min-SE: 3600",
				"> 180 INVITE | tag=q", "> 200 INVITE sdp | tag=q | Require: timer | Session-Expires: 3600;refresher=uac", "< ACK"}, isEnded), "", ended, "", nil},
		{"4028 the caller refreshes",
			steps(peers.Flow{"> INVITE sdp | Supported: timer | Session-Expires: 90;refresher=uac", "< 180 INVITE", "< 200 INVITE sdp | Session-Expires: 90;refresher=uac", "> ACK",
				"= 200", "> UPDATE | Supported: timer | Session-Expires: 90;refresher=uac", "< 200 UPDATE | Session-Expires: 90;refresher=uac"}, hangsUp),
			steps(answers, isEnded), "", ended, "", nil},
	}
}

// Preconditions of quality of service (RFC 3312, RFC 4032), in both roles.
func preconditions() []flow {
	const (
		tags    = " | Supported: 100rel, precondition"
		waits   = " | a=curr:qos local none | a=curr:qos remote none"
		ready   = " | a=curr:qos local sendrecv | a=curr:qos remote sendrecv"
		desires = " | a=des:qos mandatory local sendrecv | a=des:qos mandatory remote sendrecv"
	)
	return []flow{
		{"3312 the caller isn't ready yet",
			steps(peers.Flow{"> INVITE sdp | Require: precondition" + tags + waits + desires,
				"< 183 INVITE rel sdp | Supported: precondition | a=curr:qos local sendrecv | a=curr:qos remote none | a=des:qos mandatory local sendrecv | a=conf:qos remote sendrecv",
				"> PRACK", "< 200 PRACK", "= 300", "> UPDATE sdp | Require: precondition" + ready + desires, "< 200 UPDATE sdp" + ready,
				"< 180 INVITE", "< 200 INVITE sdp", "> ACK"}, hangsUp),
			steps(answers, isEnded), "", ended, "", nil},
		{"3312 the caller is ready", steps(peers.Flow{"> INVITE sdp | Require: precondition" + tags + " | a=curr:qos local sendrecv | a=curr:qos remote none" + desires,
			"< 180 INVITE", "< 200 INVITE sdp" + ready, "> ACK"}, hangsUp),
			steps(answers, isEnded), "", ended, "", nil},
		{"3312 the callee gets ours",
			steps(peers.Flow{"> INVITE sdp", "< 183 INVITE sdp", "< 180 INVITE", "< 200 INVITE sdp", "> ACK"}, hangsUp),
			steps(peers.Flow{"< INVITE sdp | Supported: precondition | a=curr:qos local sendrecv | a=des:qos mandatory local sendrecv",
				"> 183 INVITE rel sdp | Require: precondition, 100rel | a=curr:qos local none | a=curr:qos remote sendrecv" + desires, "< PRACK", "> 200 PRACK",
				"> UPDATE sdp" + ready + desires, "< 200 UPDATE sdp" + ready, "> 180 INVITE", "> 200 INVITE", "< ACK"}, isEnded),
			", preconditions: offered", ended, "", nil},
	}
}

// What carriers say of early media (RFC 5009), and of whom a call is for.
func carriers() []flow {
	return []flow{
		{"5009 early media is shut, and let through",
			steps(peers.Flow{"> INVITE sdp", "< 183 INVITE", "< 183 INVITE sdp", "< 200 INVITE sdp", "> ACK"}, hangsUp),
			steps(peers.Flow{"< INVITE sdp | P-Early-Media: supported", "> 183 INVITE sdp | P-Early-Media: inactive", "= 300", "> 183 INVITE | P-Early-Media: sendrecv", "= 300",
				"> 200 INVITE sdp", "< ACK"}, isEnded), ", trusted: true", ended, "", nil},
		{"whom the call is for stands beside", steps(peers.Flow{"> INVITE sdp | P-Called-Party-ID: <sip:4930777@carrier.test>", "< 180 INVITE", "< 200 INVITE sdp", "> ACK"}, hangsUp),
			steps(peers.Flow{"< INVITE sdp | To: 4930777", "> 180 INVITE", "> 200 INVITE sdp", "< ACK"}, isEnded), "", ended, "", nil},
	}
}

// incoming are more keys of the caller's trunk, by the name of the flow.
func incoming(name string) string {
	if name == "whom the call is for stands beside" {
		return ", trusted: true, called: to"
	}
	return ""
}

// Hold of RFC 5359 2.1, and what goes wrong on the way.
func troubles() []flow {
	twenty := peers.Flow{"< INVITE sdp"}
	for range 20 {
		twenty = append(twenty, "> 180 INVITE", "= 20")
	}
	return []flow{
		{"no ACK comes", peers.Flow{"> INVITE sdp", "< 180 INVITE", "< 200 INVITE sdp", "< BYE", "> 200 BYE"}, steps(answers, isEnded), "", record{"closed", "system", 200, 102}, "", nil},
		{"5359 2.1 hold and resume",
			steps(answered, peers.Flow{"= 200", "> INVITE sdp:sendonly", "< 200 INVITE sdp:recvonly", "> ACK", "= 700", "> INVITE sdp", "< 200 INVITE sdp", "> ACK", "= 500"}, hangsUp),
			steps(answers, peers.Flow{"< INVITE sdp:sendonly", "> 200 INVITE sdp:recvonly", "< ACK", "< INVITE sdp", "> 200 INVITE sdp", "< ACK"}, isEnded), "", ended, "", nil},
		{"491 and again",
			steps(answered, peers.Flow{"= 200", "> INVITE sdp:sendonly", "< 200 INVITE sdp:recvonly", "> ACK", "= 5000"}, hangsUp),
			steps(answers, peers.Flow{"< INVITE sdp:sendonly", "> 491 INVITE", "< ACK", "< INVITE sdp:sendonly", "> 200 INVITE sdp:recvonly", "< ACK"}, isEnded), "", ended, "", nil},
		{"the answer crosses CANCEL", peers.Flow{"> INVITE sdp", "< 180 INVITE", "= 300", "> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"},
			peers.Flow{"< INVITE sdp", "> 180 INVITE", "< CANCEL", "> 200 CANCEL", "> 200 INVITE sdp", "< ACK", "< BYE", "> 200 BYE"}, "", record{"closed", "caller", 487, 16}, "", nil},
		{"late offer",
			steps(peers.Flow{"> INVITE", "< 180 INVITE", "< 200 INVITE sdp", "> ACK sdp"}, hangsUp), steps(answers, isEnded), "", ended, "", nil},
		{"twenty times ringing", steps(peers.Flow{"> INVITE sdp", "< 180 INVITE", "<? 180 INVITE", "< 200 INVITE sdp", "> ACK"}, hangsUp),
			steps(twenty, peers.Flow{"> 200 INVITE sdp", "< ACK"}, isEnded), "", ended, "", nil},
		{"two ring, one answers", steps(peers.Flow{"> INVITE sdp", "< 180 INVITE", "<? 180 INVITE", "< 200 INVITE sdp", "> ACK"}, hangsUp),
			peers.Flow{"< INVITE sdp", "> 180 INVITE | tag=q", "= 100", "> 180 INVITE | tag=r", "= 100", "> 200 INVITE sdp | tag=r", "< ACK", "< BYE", "> 200 BYE"}, "", ended, "", nil},
		{"two answer", steps(answered, peers.Flow{"= 1500"}, hangsUp),
			peers.Flow{"< INVITE sdp", "> 180 INVITE | tag=q", "> 180 INVITE | tag=r", "> 200 INVITE sdp | tag=r", "< ACK | To: tag=.*r", "> 200 INVITE sdp | tag=q", "< ACK | To: tag=.*q",
				"< BYE | To: tag=.*q", "> 200 BYE", "< BYE | To: tag=.*r", "> 200 BYE"}, "", ended, "", nil},
		{"responses of 1,400 bytes", steps(answered, hangsUp),
			steps(peers.Flow{"< INVITE sdp", "> 180 INVITE", "> 200 INVITE sdp | Subject: " + strings.Repeat("long ", 200), "< ACK"}, isEnded), "", ended, "", nil},
	}
}

// The forwardings of RFC 5359 2.7 to 2.9, which a user's settings ask for, and the redirection of RFC 3665 3.6, which a phone does.
func forwarded() []flow {
	call, taken := steps(answered, hangsUp), steps(answers, isEnded)
	return []flow{
		{"5359 2.7 forwarded always", call, taken, "", ended, "always: \"4930555\"", nil},
		{"5359 2.8 forwarded when busy", call, taken, "", ended, "busy: \"4930555\"", peers.Flow{"< INVITE sdp", "> 486 INVITE", "< ACK"}},
		{"5359 2.9 forwarded when nobody answers", steps(peers.Flow{"> INVITE sdp", "< 180 INVITE", "<? 180 INVITE", "<? 181 INVITE", "< 200 INVITE sdp", "> ACK"}, hangsUp), taken, "", ended,
			"no_answer: \"4930555\", after: 5s", peers.Flow{"< INVITE sdp", "> 180 INVITE", "< CANCEL", "> 200 CANCEL", "> 487 INVITE", "< ACK"}},
		{"3665 3.6 redirected by a phone", call, taken, "", ended, "offline: \"4930556\"",
			peers.Flow{"< INVITE sdp", "> 302 INVITE | Contact: - | Contact: <sip:4930555@test.local>", "< ACK"}},
		{"5359 forwarded when offline", call, taken, "", ended, "offline: \"4930555\"", nil},
	}
}

// All flows at once, through one gateway: what each side must see, and what the record says.
func TestSipFlows(t *testing.T) {
	addr := address(t)
	list := slices.Concat(troubles(), establishment(), extensions(), preconditions(), carriers(), forwarded())
	dir := t.TempDir()
	type sides struct{ caller, callee, phone peers.SIPpConfig }
	pairs := make([]sides, len(list))
	var users, trunks, routes strings.Builder
	for i, f := range list {
		p := &pairs[i]
		p.caller, p.callee = scenario(t, dir, fmt.Sprintf("%02d-caller", i), f.name, f.caller, true), scenario(t, dir, fmt.Sprintf("%02d-callee", i), f.name, f.callee, false)
		p.caller.Bind, p.callee.Bind = at(peers.Address(t)), at(peers.Address(t))
		fmt.Fprintf(&trunks, "  - {id: in-%d, mode: address, proxy: \"%s\", addresses: [%s]%s}\n  - {id: out-%d, mode: address, proxy: \"%s\", addresses: [%s]%s}\n",
			i, p.caller.Bind, p.caller.Bind.Addr(), incoming(f.name), i, p.callee.Bind, p.callee.Bind.Addr(), f.trunk)
		fmt.Fprintf(&routes, "  - {id: r-%d, source: [\"trunk:in-%d\"%s], to: [{trunk: out-%d}]}\n", i, i, f.user(i), i)
		if f.forward == "" {
			continue
		}
		p.caller.Keys = []string{"number", fmt.Sprint(7000 + i)}
		fmt.Fprintf(&users, "  - {id: u-%d, password: phone-secret-1, numbers: [\"%d\"], forward: {%s}}\n", i, 7000+i, f.forward)
		if f.phone != nil {
			p.phone = scenario(t, dir, fmt.Sprintf("%02d-phone", i), f.name, f.phone, false)
			p.phone.Bind = at(peers.Address(t))
		}
	}
	g := startGateway(t, addr, settings{users: users.String(), trunks: trunks.String(), routes: routes.String(), media: "  timeout: 0s\n"})
	begun := time.Now()
	var callees, callers []*peers.SIPp
	for i := range list {
		callees = append(callees, peers.StartSIPp(t, pairs[i].callee))
		if list[i].phone != nil {
			peers.StartSIPp(t, peers.SIPpConfig{Name: fmt.Sprintf("%02d-register", i), Scenario: "sipp/register.xml", Remote: g.sip, Bind: pairs[i].phone.Bind, Calls: 1,
				Username: fmt.Sprint("u-", i), Password: "phone-secret-1", Keys: []string{"domain", "test.local", "expires", "600"}}).Done(t, 10*time.Second)
			peers.StartSIPp(t, pairs[i].phone)
		}
	}
	for i := range list {
		pairs[i].caller.Remote = g.sip
		callers = append(callers, peers.StartSIPp(t, pairs[i].caller))
	}
	for i, f := range list {
		t.Run(f.name, func(t *testing.T) {
			for who, p := range map[string]*peers.SIPp{"caller": callers[i], "callee": callees[i]} {
				if code, ok := p.Wait(max(time.Second, time.Until(begun.Add(90*time.Second)))); !ok || code != 0 {
					t.Errorf("the %s saw something else: SIPp ended: %v, code %d\n%s", who, ok, code, p.Errors())
				}
			}
		})
	}
	g.records(t, len(list))
	for i, f := range list {
		rows := g.db.Query(t, "select * from patchbay.call where trunk_id = $1", fmt.Sprint("in-", i))
		if len(rows) != 1 {
			t.Errorf("%s: %d calls on record, expected 1", f.name, len(rows))
			continue
		}
		if got := recordOf(rows[0]); got != f.want {
			t.Errorf("%s: the record says %+v, expected %+v", f.name, got, f.want)
		}
	}
	t.Logf("%d flows took %v", len(list), time.Since(begun).Round(time.Millisecond))
}

// user is the user who forwards, as another source of the route; "" without.
func (f flow) user(i int) string {
	if f.forward == "" {
		return ""
	}
	return fmt.Sprintf(", \"user:u-%d\"", i)
}

// A phone registers, adds an address, asks for all, takes one away; and one whose password is wrong stays outside (RFC 3665 2).
func TestSipRegistrations(t *testing.T) {
	g := startGateway(t, address(t), settings{users: "  - {id: desk, password: desk-secret-3}\n"})
	const here, there = "Contact: <sip:[service]@[local_ip]:[local_port]>", "Contact: <sip:[service]@[local_ip]:5099>"
	twice := func(h, want string) peers.Flow {
		return peers.Flow{"> REGISTER | " + h, "< 401 REGISTER auth", "> REGISTER auth | " + h, "< 200 REGISTER" + want}
	}
	dir, domain := t.TempDir(), []string{"number", "desk", "domain", "test.local"}
	for _, x := range []struct {
		name, password string
		flow           peers.Flow
	}{
		{"right", "desk-secret-3", steps(twice(noContact+" | "+here, " | Contact: :5060"), twice(noContact+" | "+there, " | Contact: :5099"),
			twice(noContact, " | Contact: sip:desk"), twice(noContact+" | "+there+" | Expires: 0", " | Contact: :5060"))},
		{"wrong", "wrong-secret-3", peers.Flow{"> REGISTER", "< 401 REGISTER auth", "> REGISTER auth", "< 401 REGISTER"}},
	} {
		c := scenario(t, dir, x.name, "3665 2 "+x.name, x.flow, true)
		c.Remote, c.Username, c.Password, c.Keys = g.sip, "desk", x.password, domain
		peers.StartSIPp(t, c).Done(t, 15*time.Second)
	}
	if n := g.Metric(t, "patchbay_users_online"); n != 1 {
		t.Errorf("%.0f users are online, expected desk", n)
	}
}

const noContact = "Contact: -"

// scenario writes one side of a flow and is the run of SIPp for it.
func scenario(t *testing.T, dir, file, name string, f peers.Flow, caller bool) peers.SIPpConfig {
	t.Helper()
	xml, err := f.Scenario(name, caller)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, file+".xml")
	if err := os.WriteFile(path, []byte(xml), 0o644); err != nil {
		t.Fatal(err)
	}
	return peers.SIPpConfig{Name: file, Scenario: path, Calls: 1, Username: "4940999", Keys: []string{"number", "4930555"}, Timeout: 45 * time.Second}
}
