//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// talk is a flow of a user's phone that has two calls: whom it calls, and what becomes of them. The second may be another phone.
type talk struct {
	name          string
	caller        peers.Flow
	first, second peers.Flow
}

// Parts of flows of a phone with two calls.
var (
	dials   = peers.Flow{"> INVITE sdp", "< 407 INVITE auth", "> ACK", "> INVITE sdp auth", "< 180 INVITE", "< 200 INVITE sdp", "> ACK"}
	holds   = peers.Flow{"> INVITE sdp:sendonly", "< 200 INVITE sdp:recvonly", "> ACK"}
	asks    = peers.Flow{">b INVITE sdp", "<b 407 INVITE auth", ">b ACK", ">b INVITE sdp auth", "<b 180 INVITE"}
	talks   = peers.Flow{"<b 200 INVITE sdp", ">b ACK"}
	joins   = peers.Flow{"> REFER | Refer-To: <sip:[second]@test.local?Replaces=b///[call_id]%3Bto-tag%3D[$tagb]%3Bfrom-tag%3D[pid]cb[call_number]> | Refer-Sub: false | Supported: norefersub", "< 202 REFER"}
	resumes = peers.Flow{"> INVITE sdp", "< 200 INVITE sdp", "> ACK"}
	isHeld  = peers.Flow{"< INVITE sdp:sendonly", "> 200 INVITE sdp:recvonly", "< ACK"}
	isBack  = peers.Flow{"< INVITE sdp", "> 200 INVITE sdp", "< ACK"}
)

// Two calls of one phone (RFC 5359): consultation while the first is on hold, a transfer after it, and one before the second answers.
func talkings() []talk {
	return []talk{
		{"5359 2.2 consultation hold", steps(dials, holds, asks, talks, peers.Flow{"= 200", ">b BYE", "<b 200 BYE"}, resumes, hangsUp), steps(answers, isHeld, isBack, isEnded), steps(answers, isEnded)},
		{"5359 2.5 attended transfer", steps(dials, holds, asks, talks, joins, isEnded, isEnded), steps(answers, isHeld, isBack, peers.Flow{"= 1500"}, hangsUp), steps(answers, isEnded)},
		{"5589 7.6 transfer while it rings", steps(dials, asks, joins, peers.Flow{"> BYE", "< 200 BYE", ">b CANCEL", "<b 200 CANCEL", "<b 487 INVITE", ">b ACK"}), steps(answers, isEnded), nil},
	}
}

// What holds unless the settings say otherwise, or needs several calls at once, in one gateway: what a stolen password may call, help
// for who is locked out, transfers and who pays for them, a user who is looked for at several places, and a trunk that is down.
func TestSipRules(t *testing.T) {
	addr, in, away := address(t), at(peers.Address(t)), at(peers.Address(t))
	list, dir := talkings(), t.TempDir()
	plain := peers.SIPpConfig{Name: "plain", Scenario: "sipp/answer.xml", Bind: at(peers.Address(t))}
	users := "  - {id: thief, password: phone-secret-1, numbers: [\"400\"]}\n  - {id: carol, password: phone-secret-1, numbers: [\"403\"]}\n" +
		"  - {id: desk, password: phone-secret-1}\n  - {id: home, password: phone-secret-1}\n"
	trunks := fmt.Sprintf("  - {id: in, mode: address, proxy: \"%s\", addresses: [%s]}\n  - {id: plain, mode: address, proxy: \"%s\", addresses: [%s]}\n"+
		"  - {id: watched, mode: address, proxy: \"%s\", addresses: [%s], options: 2s}\n", in, in.Addr(), plain.Bind, plain.Bind.Addr(), away, away.Addr())
	routes := "  - {id: watched, source: \"trunk:in\", number: \"+49305550900\", to: [{trunk: watched}, {trunk: plain}]}\n"
	callers, callees := make([]peers.SIPpConfig, len(list)), []peers.SIPpConfig{plain}
	for i, f := range list {
		users += fmt.Sprintf("  - {id: talk-%d, password: phone-secret-1, tariff: retail}\n", i)
		callers[i] = scenario(t, dir, fmt.Sprintf("talk-%d", i), f.name, f.caller, true)
		callers[i].Username, callers[i].Password, callers[i].Keys = fmt.Sprint("talk-", i), "phone-secret-1", []string{"number", numberOf(i, 1), "second", numberOf(i, 2)}
		callers[i].Bind, callers[i].Args = at(peers.Address(t)), []string{"-cid_str", fmt.Sprintf("talk%d.%%u", i)}
		for n, flow := range []peers.Flow{f.first, f.second} {
			if flow == nil {
				callers[i].Keys[3] = "403"
				continue
			}
			c := scenario(t, dir, fmt.Sprintf("talk-%d-%d", i, n+1), f.name, flow, false)
			c.Bind = at(peers.Address(t))
			callees = append(callees, c)
			trunks += fmt.Sprintf("  - {id: t-%d-%d, mode: address, proxy: \"%s\", addresses: [%s]}\n", i, n+1, c.Bind, c.Bind.Addr())
			routes += fmt.Sprintf("  - {id: r-%d-%d, source: user, number: \"+49%s\", to: [{trunk: t-%d-%d}]}\n", i, n+1, numberOf(i, n+1)[1:], i, n+1)
		}
	}
	down := answersOptions(t, dir, "down", away, 503)
	g := startGateway(t, addr, settings{sip: "  country: DE\n", allow: "home", users: users, trunks: trunks, media: "  timeout: 0s\n",
		routes: routes + "  - {id: out, source: user, number: \"*\", to: [{trunk: plain}]}\n",
		more: "emergency: {to: [{trunk: plain}]}\ntariffs:\n  - {id: retail, decimals: 4}\n" +
			"groups:\n  - {id: find, numbers: \"500\", strategy: sequential, ring: 1s, members: [{user: desk}, {user: home}, {trunk: plain, number: \"+49305550999\"}]}\n"})
	begun := time.Now()
	h := &house{gateway: g, in: in, said: map[string]int{}}
	deck(t, g, "retail", "prefix,price,first,next\n49,0.6,1,1\n")
	runs := make([]*peers.SIPp, len(callees)) // not before the gateway: several take ports of its browsers'
	for i, c := range callees {
		runs[i] = peers.StartSIPp(t, c)
	}
	h.transfers(t, list, callers)
	isUp := h.watches(t, dir, down)
	locked := h.stolen(t)
	h.findMe(t, dir)
	if out := peers.Sipvicious(t, 20*time.Second, "svwar", "--force", "--maximumtime=1", "-m", "REGISTER", "-e", "400", addr.String()); strings.Contains(out, "reqauth") {
		t.Errorf("svwar found a user:\n%s", out)
	}
	if n := g.Metric(t, `patchbay_sip_dropped_total{reason="scanner"}`); n == 0 {
		t.Error("nothing of svwar was dropped as a scanner's")
	}
	locked()
	isUp()
	want, got := 0, map[string]int{}
	for _, n := range h.said {
		want += n
	}
	for _, r := range g.records(t, want) {
		got[fmt.Sprintf("%s to %s: %v %v", cmp.Or(text(r["user_id"]), text(r["trunk_id"])), r["b_raw"], r["sip_code"], r["end_party"])]++
	}
	if !maps.Equal(got, h.said) {
		t.Errorf("the records say %v, expected %v", got, h.said)
	}
	h.pays(t)
	for i, s := range runs[1:] {
		if code, ok := s.Wait(15 * time.Second); !ok || code != 0 {
			t.Errorf("callee %s saw something else: SIPp ended: %v, code %d\n%s", callees[i+1].Name, ok, code, s.Errors())
		}
	}
	t.Logf("all took %v", time.Since(begun).Round(time.Millisecond))
}

// house is a gateway with what its records must say.
type house struct {
	*gateway
	in   netip.AddrPort // of a trunk that calls
	said map[string]int // who calls whom: status, who ended it
}

// register has phones register at addresses of their own.
func (h *house) register(t *testing.T, phones map[string]netip.AddrPort) {
	t.Helper()
	var all []*peers.SIPp
	for user, at := range phones {
		all = append(all, peers.StartSIPp(t, peers.SIPpConfig{Name: "register-" + user, Scenario: "sipp/register.xml", Remote: h.sip, Bind: at, Calls: 1,
			Username: user, Password: "phone-secret-1", Keys: []string{"domain", "test.local", "expires", "600"}}))
	}
	for _, s := range all {
		s.Done(t, 15*time.Second)
	}
}

// transfers has phones with two calls each, all at once. Whom the last one calls answers after it has hung up.
func (h *house) transfers(t *testing.T, list []talk, callers []peers.SIPpConfig) {
	phones := map[string]netip.AddrPort{}
	for _, c := range callers {
		phones[c.Username] = c.Bind
	}
	h.register(t, phones)
	carol := peers.StartBaresip(t, peers.BaresipConfig{User: "carol", Password: "phone-secret-1", Domain: "test.local", Proxy: h.sip.String()})
	var runs []*peers.SIPp
	for _, c := range callers {
		c.Remote = h.sip
		runs = append(runs, peers.StartSIPp(t, c))
	}
	for i, s := range runs {
		if code, ok := s.Wait(30 * time.Second); !ok || code != 0 {
			t.Errorf("%s: the phone saw something else: SIPp ended: %v, code %d\n%s", list[i].name, ok, code, s.Errors())
		}
		h.said[fmt.Sprintf("talk-%d to %s: 200 caller", i, numberOf(i, 1))]++
		if list[i].second != nil {
			h.said[fmt.Sprintf("talk-%d to %s: 200 caller", i, numberOf(i, 2))]++
		}
	}
	carol.Expect(t, "CALL_INCOMING", 10*time.Second)
	carol.Accept(t)
	carol.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
	peers.Wait(t, 20*time.Second, "carol to talk with who was transferred", func() bool {
		return len(h.db.Query(t, "select 1 as one from patchbay.call where b_raw = '403' and answered_at is not null")) == 1
	})
	carol.Hangup(t)
	h.said[fmt.Sprintf("talk-%d to 403: 200 callee", len(list)-1)]++
}

// findMe calls who is looked for at three places, one after the other (RFC 5359 2.12): nobody answers, busy, answered.
func (h *house) findMe(t *testing.T, dir string) {
	phones := map[string]netip.AddrPort{"desk": at(peers.Address(t)), "home": at(peers.Address(t))}
	h.register(t, phones)
	var runs []*peers.SIPp
	for user, f := range map[string]peers.Flow{
		"desk": {"< INVITE sdp", "> 180 INVITE", "< CANCEL", "> 200 CANCEL", "> 487 INVITE", "< ACK"},
		"home": {"< INVITE sdp", "> 486 INVITE", "< ACK"},
	} {
		c := scenario(t, dir, "find-"+user, "5359 2.12 find me", f, false)
		c.Bind = phones[user]
		runs = append(runs, peers.StartSIPp(t, c))
	}
	c := scenario(t, dir, "find-caller", "5359 2.12 find me", steps(peers.Flow{"> INVITE sdp", "< 180 INVITE", "<? 180 INVITE", "< 200 INVITE sdp", "> ACK"}, hangsUp), true)
	c.Remote, c.Bind, c.Keys = h.sip, h.in, []string{"number", "500"}
	for _, s := range append(runs, peers.StartSIPp(t, c)) {
		s.Done(t, 30*time.Second)
	}
	h.said["in to 500: 200 caller"]++
}

// stolen is a password in a thief's hands, with the settings that hold from the start: neither another country nor a dear number is called, at the
// third try nothing is any more, but help is. locked waits for the end of it.
func (h *house) stolen(t *testing.T) (locked func()) {
	var users [][]string
	for _, n := range []string{"00431234567", "09001234567", "00881612345678", "0305550999"} {
		users = append(users, []string{n, "refused"})
		h.said["thief to "+n+": 403 system"]++
	}
	h.said["thief to 112: 200 caller"]++
	phone := at(peers.Address(t))
	h.register(t, map[string]netip.AddrPort{"thief": phone})
	s := peers.StartSIPp(t, peers.SIPpConfig{Name: "thief", Scenario: "sipp/phone.xml", Remote: h.sip, Bind: phone, Calls: 5, Rate: 10, Limit: 1, Users: append(users, []string{"112", "bye"}),
		Username: "thief", Password: "phone-secret-1", Keys: []string{"domain", "test.local"}, Length: 200 * time.Millisecond, Timeout: 30 * time.Second})
	return func() {
		s.Done(t, 30*time.Second)
		if n := h.Metric(t, "patchbay_toll_locked_total"); n != 1 {
			t.Errorf("%v accounts were locked, expected the thief's", n)
		}
	}
}

// watches waits until a trunk that answers 503 to OPTIONS counts as down, which three answers do; calls go to the next hop then, until it has answered well
// twice, for which isUp waits.
func (h *house) watches(t *testing.T, dir string, down *peers.SIPp) (isUp func()) {
	const up = `patchbay_trunk_up{trunk="watched"}`
	peers.Wait(t, 30*time.Second, "the trunk to be down", func() bool { return h.Metric(t, up) == 0 })
	peers.StartSIPp(t, peers.SIPpConfig{Name: "passed", Scenario: "sipp/phone.xml", Remote: h.sip, Bind: h.in, Calls: 1, Users: [][]string{{"+49305550900", "bye"}}, Username: "4940999",
		Keys: []string{"domain", "test.local"}, Length: 200 * time.Millisecond, Timeout: 30 * time.Second}).Done(t, 30*time.Second)
	h.said["in to +49305550900: 200 caller"]++
	down.Stop(syscall.SIGKILL, 0)
	again := answersOptions(t, dir, "again", down.SIP, 200)
	return func() {
		peers.Wait(t, 30*time.Second, "the trunk to be up again", func() bool { return h.Metric(t, up) == 1 })
		h.heartbeats(t, down, again)
	}
}

// answersOptions is a carrier that answers each OPTIONS so.
func answersOptions(t *testing.T, dir, name string, at netip.AddrPort, status int) *peers.SIPp {
	t.Helper()
	c := scenario(t, dir, name, "OPTIONS", peers.Flow{"< OPTIONS", fmt.Sprintf("> %d OPTIONS", status)}, false)
	c.Bind, c.Calls = at, 0
	return peers.StartSIPp(t, c)
}

// heartbeats expects that the log tells of the trunk once each time, after as many OPTIONS as that takes.
func (h *house) heartbeats(t *testing.T, down, again *peers.SIPp) {
	for _, x := range []struct {
		msg     string
		carrier *peers.SIPp
		least   int
	}{{"trunk doesn't answer", down, 3}, {"trunk answers again", again, 2}} {
		lines := h.LogsWith(t, "msg", x.msg)
		if len(lines) != 1 {
			t.Errorf("the log says %d times %q, expected once", len(lines), x.msg)
			continue
		}
		when, err := time.Parse(time.RFC3339Nano, fmt.Sprint(lines[0]["time"]))
		_, east := when.Zone()
		when = when.Add(time.Duration(east) * time.Second) // SIPp's log has no zone
		asked := map[string]bool{}
		for _, m := range x.carrier.Messages(t) {
			if m.Request("OPTIONS") && m.At.Before(when) {
				asked[m.Header("Call-ID")] = true
			}
		}
		if err != nil || len(asked) < x.least {
			t.Errorf("%q after %d OPTIONS, expected %d or more (%v)", x.msg, len(asked), x.least, err)
		}
	}
}

// pays expects that who has called a number pays for all that it talks, also while others talk to it, in another call: by number what is on record of it, to
// the second, as if it had been one call.
func (h *house) pays(t *testing.T) {
	got, handed := map[string]string{}, 0
	for _, r := range h.db.Query(t, "select number, string_agg(distinct account, ' ') as who, count(distinct call_id) as calls, sum(amount_rounded) = ceil(sum(bill_ms) / 1000.0) * 0.01 as exact, sum(bill_ms)::bigint as talk "+
		"from patchbay.rating_current where side = 'sell' group by 1") {
		got[text(r["number"])] = fmt.Sprint(r["who"], " ", r["calls"], " ", r["exact"])
		if r["number"] == "+49"+numberOf(1, 1)[1:] {
			_, _ = fmt.Sscan(text(r["talk"]), &handed)
		}
	}
	want := map[string]string{}
	for i, f := range talkings() {
		calls := 1
		if slices.Contains(f.caller, joins[0]) { // it goes on in the other
			calls = 2
		}
		want["+49"+numberOf(i, 1)[1:]] = fmt.Sprintf("user:talk-%d %d true", i, calls)
		if f.second != nil {
			want["+49"+numberOf(i, 2)[1:]] = fmt.Sprintf("user:talk-%d 1 true", i)
		}
	}
	if !maps.Equal(got, want) || handed < 1500 {
		t.Errorf("who pays: %v, expected %v; who was transferred talked %d ms, expected 1500 or more", got, want, handed)
	}
	// Nothing is missing between the calls, and nothing is in both.
	for _, r := range h.db.Query(t, "select r.number, sum(r.bill_ms)::bigint as talk, round(extract(epoch from max(c.ended_at) - min((l.carried->>'at')::timestamptz)) * 1000)::bigint as span "+
		"from patchbay.rating_current r join patchbay.call c on c.call_id = r.call_id and c.started_at = r.started_at "+
		"join patchbay.leg l on l.call_id = r.call_id and l.started_at = r.started_at and l.leg_no = r.leg_no where r.side = 'sell' group by 1 having count(l.carried) > 0") {
		if talk, span := r["talk"].(int64), r["span"].(int64); talk < span-20 || talk > span+20 {
			t.Errorf("%v talked %d ms in both calls, expected the %d ms from its answer to its end", r["number"], talk, span)
		}
	}
}

func numberOf(flow, callee int) string { return fmt.Sprintf("0305550%d0%d", flow+1, callee) }
