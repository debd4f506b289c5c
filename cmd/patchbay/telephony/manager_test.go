package telephony

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

var billingAll = billing.Filter{Tenant: "default", Limit: 100}

// phone registers a phone of bob.
func (r *rig) phone() *siptest.Phone {
	r.Helper()
	p := siptest.NewPhone(r, siptest.PhoneConfig{User: "bob", Password: "bob-pass", Domain: "home.test", Server: r.addr})
	reg, err := p.UA.Register(sip.RegisterConfig{Registrar: sip.URI{Scheme: "sip", Host: "home.test"}, AOR: sip.NameAddr{URI: p.AOR("bob")}, Destination: p.Destination()})
	must(r, err)
	eventually(r, "bob is registered", func() bool { return reg.Status().State == sip.Registered })
	return p
}

func TestIncomingCall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, second, other := r.dial("app", 0), r.dial("second", 0), r.dial("other", 0)
	c.subscribe(ManagerID, "IncomingCall")
	other.subscribe(ManagerID, "IncomingCall")
	listener := c.invoke(ManagerID, "listen", `{"app":"ivr"}`)
	c.subscribe(listener, "IncomingCall")
	for _, app := range []string{"theirs", "nobody", `1\r\n`} {
		c.refused(rpc.IllegalParam, "'app'", ManagerID, "listen", `{"app":"`+app+`"}`)
	}
	other.refused(rpc.IllegalParam, "'app'", ManagerID, "listen", `{"app":"ivr"}`)
	if got := c.invoke(ManagerID, "getApps", "{}"); got != `["ivr"]` {
		t.Errorf("apps %s", got)
	}
	if got := c.invoke(listener, "getApp", "{}"); got != "ivr" {
		t.Errorf("app %s", got)
	}

	h := newHandset(t)
	offer, err := h.Offer(t.Context(), wantAll)
	must(t, err)
	p := r.calls("7000", offer.SDP(), sip.Header{Name: "X-Account", Value: "12"})
	e := c.told(ManagerID, "IncomingCall")
	id, _ := e["callId"].(string)
	if e["app"] != "ivr" || e["from"] != "4930777" || e["fromName"] != "Shop" || e["to"] != "7000" || e["trunk"] != "carrier" || e["timeLimit"] != 2000.0 ||
		!strings.Contains(text1(e["headers"]), `"X-Account"`) {
		t.Errorf("IncomingCall %v", e)
	}
	if e := c.told(listener, "IncomingCall"); e["callId"] != id {
		t.Errorf("IncomingCall of the listener %v", e)
	}
	// Nobody else's, and only once.
	theirs := other.create("MediaPipeline", "{}")
	if e := other.ask("create", `{"type":"SipEndpoint","constructorParams":{"mediaPipeline":"`+theirs+`","callId":"`+id+`"}}`).Error; e == nil || e.Code != int(rpc.IllegalParam) {
		t.Errorf("another tenant takes the call: %+v", e)
	}
	pipe := c.create("MediaPipeline", "{}")
	ep := c.endpoint(pipe, `,"callId":"`+id+`"`)
	if e := second.ask("create", `{"type":"SipEndpoint","constructorParams":{"mediaPipeline":"`+second.create("MediaPipeline", "{}")+`","callId":"`+id+`"}}`).Error; e == nil || !strings.Contains(e.Message, "taken") {
		t.Errorf("taken twice: %+v", e)
	}
	for op, want := range map[string]string{"getState": "OFFERED", "getCallId": id, "getRemoteNumber": "4930777"} {
		if got := c.invoke(ep, op, "{}"); got != want {
			t.Errorf("%s: %s, expected %s", op, got, want)
		}
	}
	c.invoke(ep, "connect", `{"sink":"`+ep+`"}`)
	c.invoke(ep, "progress", "{}")
	if e := p.Wait(sip.KindProgress); e.Status != 180 {
		t.Errorf("progress %d", e.Status)
	}
	if got := c.invoke(ep, "getState", "{}"); got != "RINGING" {
		t.Errorf("state %s", got)
	}
	c.invoke(ep, "progress", `{"earlyMedia":true}`)
	early := p.Wait(sip.KindProgress)
	must(t, offer.Accept("", early.Body))
	must(t, offer.Commit(""))
	c.told(ep, "EarlyMedia")
	h.hears()
	c.invoke(ep, "accept", "{}")
	p.Wait(sip.KindAnswered)
	c.told(ep, "Answered")
	h.hears()
	c.counts(ep)
	// A call that is dialled beside it is of its family.
	out := c.endpoint(pipe, "")
	dialled := c.invoke(out, "dial", `{"to":"9123"}`)
	must(t, r.carrier.Incoming().Reject(486, ""))
	c.told(out, "Ended")
	p.Bye()
	if e := c.told(ep, "Ended"); e["endedBy"] != "caller" || e["cause"] != 16.0 || e["recordId"] != id {
		t.Errorf("Ended %v", e)
	}
	if rec, linked := r.record(id), r.record(dialled); rec.SessionID == "" || rec.LinkedID.String() != id || linked.LinkedID.String() != id || rec.Legs[1].Kind != "app" {
		t.Errorf("records %+v, %+v", rec, linked)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if len(other.events) != 0 {
		t.Errorf("another tenant was told %v", other.events)
	}
}

// What no application takes goes to the next hop: rejected, released, nobody there, too late.
func TestIncomingCallGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bob := r.phone()
	toBob := func(p *siptest.Call) {
		t.Helper()
		d := bob.Incoming()
		must(t, d.Answer([]byte(siptest.SDP)))
		p.Wait(sip.KindAnswered)
		p.Bye()
		d.Wait(sip.KindEnded)
	}
	toBob(r.calls("7000", nil)) // nobody listens
	c := r.dial("app", 0)
	c.subscribe(ManagerID, "IncomingCall")
	pipe := c.create("MediaPipeline", "{}")
	listener := c.invoke(ManagerID, "listen", `{"app":"ivr"}`)
	take := func() (*siptest.Call, string) {
		t.Helper()
		p := r.calls("7000", nil)
		return p, c.endpoint(pipe, `,"callId":"`+c.told(ManagerID, "IncomingCall")["callId"].(string)+`"`)
	}
	p, ep := take()
	c.invoke(ep, "reject", `{"sipStatus":480,"reason":"nobody has time"}`)
	toBob(p)
	if e := c.told(ep, "Ended"); e["cause"] != 18.0 || e["sipStatus"] != 480.0 {
		t.Errorf("Ended %v", e)
	}
	p, ep = take()
	c.invoke(ep, "reject", `{"sipStatus":486}`) // is final
	if e := p.Wait(sip.KindEnded); e.Status != 486 {
		t.Errorf("ended %d", e.Status)
	}
	p, ep = take()
	value(t, c.ask("release", `{"object":"`+ep+`"}`), "release")
	toBob(p)
	p, ep = take() // and does nothing more
	toBob(p)
	if e := c.told(ep, "Ended"); e["sipStatus"] != 480.0 || e["endedBy"] != "system" {
		t.Errorf("Ended %v", e)
	}
	value(t, c.ask("release", `{"object":"`+listener+`"}`), "release")
	toBob(r.calls("7000", nil))
	c.invoke(ManagerID, "listen", `{"app":"ivr"}`)
	c.hangUp() // who is gone isn't waited for
	eventually(t, "the listener is gone", func() bool { return r.server.Stats().Connections == 0 })
	time.Sleep(50 * time.Millisecond)
	began := time.Now()
	toBob(r.calls("7000", nil))
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("a call waited %v for a client that is gone", took)
	}
}

func TestManager(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, clerk, other := r.dial("app", 0), r.dial("clerk", 0), r.dial("other", 0)
	c.subscribe(ManagerID, "RegistrationStateChanged", "TrunkStateChanged")
	other.subscribe(ManagerID, "RegistrationStateChanged", "TrunkStateChanged")
	bob := r.phone()
	if e := c.told(ManagerID, "RegistrationStateChanged"); e["user"] != "bob" || e["online"] != true {
		t.Errorf("RegistrationStateChanged %v", e)
	}
	var regs []struct {
		User   string
		Online bool
	}
	must(t, json.Unmarshal([]byte(c.invoke(ManagerID, "getRegistrations", "{}")), &regs))
	if len(regs) != 1 || regs[0].User != "bob" || !regs[0].Online {
		t.Errorf("registrations %+v", regs)
	}
	var trunks []struct {
		ID, State string
		Up        bool
	}
	must(t, json.Unmarshal([]byte(c.invoke(ManagerID, "getTrunks", "{}")), &trunks))
	if len(trunks) != 1 || trunks[0].ID != "carrier" || trunks[0].State != "static" || !trunks[0].Up {
		t.Errorf("trunks %+v", trunks)
	}
	for _, op := range []string{"getTrunks", "getRegistrations", "getLiveCalls"} {
		if got := other.invoke(ManagerID, op, "{}"); got != "[]" {
			t.Errorf("another tenant's %s: %s", op, got)
		}
	}
	for range 3 {
		p := r.calls("7000", nil)
		must(t, bob.Incoming().Reject(486, ""))
		p.Wait(sip.KindEnded)
	}
	p := r.calls("5", nil)
	p.Wait(sip.KindEnded)
	eventually(t, "the calls are over", func() bool { return r.gateway.Active() == 0 })
	c.refused(rpc.NotAllowed, "billing", ManagerID, "cdr", "{}")
	records := func(filter string) (out []map[string]any) {
		t.Helper()
		must(t, json.Unmarshal([]byte(clerk.invoke(ManagerID, "cdr", filter)), &out))
		return out
	}
	if n := len(records("{}")); n != 4 {
		t.Errorf("%d records, expected 4", n)
	}
	if n := len(records(`{"filter":{"limit":2}}`)); n != 2 {
		t.Errorf("%d records, expected 2", n)
	}
	got := records(`{"filter":{"sipStatus":404}}`)
	if len(got) != 1 || got[0]["to"] != "5" || got[0]["cause"] != 3.0 || got[0]["state"] != "closed" || got[0]["trunk"] != "carrier" || len(got[0]["legs"].([]any)) != 1 || got[0]["__type__"] != "CallRecord" {
		t.Errorf("records %v", got)
	}
	clerk.refused(rpc.IllegalParam, "'limit'", ManagerID, "cdr", `{"filter":{"limit":5000}}`)
	clerk.refused(rpc.IllegalParam, "'limit' is 0", ManagerID, "cdr", `{"filter":{"limit":0}}`)
	clerk.refused(rpc.IllegalParam, "'state'", ManagerID, "cdr", `{"filter":{"state":"x"}}`)
	c.refused(rpc.NotAllowed, "billing", ManagerID, "report", `{"name":"traffic"}`)
	clerk.refused(rpc.IllegalParam, "'report'", ManagerID, "report", `{"name":"weather"}`)
	clerk.refused(rpc.IllegalParam, "'by'", ManagerID, "report", `{"name":"traffic","query":{"by":"colour"}}`)
	var told map[string]any
	must(t, json.Unmarshal([]byte(clerk.invoke(ManagerID, "report", `{"name":"money","query":{"zone":"Europe/Berlin","trunk":"carrier","limit":7}}`)), &told))
	if rows := told["rows"].([]any); told["__type__"] != "Report" || told["zone"] != "Europe/Berlin" || len(rows) != 1 || fmt.Sprint(rows[0].(map[string]any)["values"]) != "[carrier default 0.1 true 7]" {
		t.Errorf("a report: %v", told)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if len(other.events) != 0 {
		t.Errorf("another tenant was told %v", other.events)
	}
}

// What a call is to be joined with is offered first: a caller's codec to the callee, though the callee's trunk prefers another.
func TestDialOffersWhatFlows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial("app", 0)
	c.subscribe(ManagerID, "IncomingCall")
	c.invoke(ManagerID, "listen", `{"app":"ivr"}`)
	p := r.calls("7000", []byte(strings.NewReplacer("RTP/AVP 0", "RTP/AVP 8", "rtpmap:0 PCMU", "rtpmap:8 PCMA").Replace(siptest.SDP)))
	pipe := c.create("MediaPipeline", "{}")
	in := c.endpoint(pipe, `,"callId":"`+c.told(ManagerID, "IncomingCall")["callId"].(string)+`"`)
	for _, joined := range []bool{false, true} {
		out := c.endpoint(pipe, "")
		want := "0 8"
		if joined {
			want = "8 0"
			c.invoke(in, "connect", `{"sink":"`+out+`","mediaType":"AUDIO"}`)
			c.invoke(out, "connect", `{"sink":"`+in+`","mediaType":"AUDIO"}`)
		}
		c.invoke(out, "dial", `{"to":"9123"}`)
		d := r.carrier.Incoming()
		if body := string(d.Request().Body); !strings.Contains(body, "RTP/AVP "+want) {
			t.Errorf("joined: %t; the offer is, expected %s in its order,\n%s", joined, want, body)
		}
		must(t, d.Reject(486, ""))
		c.told(out, "Ended")
	}
	c.invoke(in, "reject", `{"sipStatus":486}`)
	p.Wait(sip.KindEnded)
}
