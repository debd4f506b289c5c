package telephony

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/sip"
)

// A client dials, through connections that it made before there was media.
func TestEndpointDials(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial("app", 0)
	pipe := c.create("MediaPipeline", "{}")
	ep := c.endpoint(pipe, `,"app":"ivr","callerName":"Example"`)
	if s := c.invoke(ep, "getState", "{}"); s != "IDLE" {
		t.Errorf("state %s", s)
	}
	c.refused(rpc.NotSupported, "no call", ep, "hold", "{}")
	c.invoke(ep, "connect", `{"sink":"`+ep+`"}`) // it hears itself
	id := c.invoke(ep, "dial", `{"to":"9123","headers":{"X-Order":"4711"}}`)
	c.refused(rpc.NotSupported, "its call already", ep, "dial", `{"to":"9124"}`)
	d := r.carrier.Incoming()
	if q := d.Request(); q.URI.User != "9123" || q.From.URI.User != "4930500" || q.Headers.Get("X-Order") != "4711" {
		t.Errorf("INVITE %s from %s", q.URI, q.From)
	}
	must(t, d.Progress(180, "", nil))
	if e := c.told(ep, "Ringing"); e["sipStatus"] != 180.0 {
		t.Errorf("Ringing %v", e)
	}
	h := newHandset(t)
	answer := h.answers(d.Request().Body)
	must(t, d.Progress(183, "", answer))
	c.told(ep, "EarlyMedia")
	h.hears()
	must(t, d.Answer(answer))
	if e := c.told(ep, "Answered"); e["callId"] != id {
		t.Errorf("Answered %v", e)
	}
	d.Wait(sip.KindAcked)
	h.hears()
	c.counts(ep)
	for op, want := range map[string]string{"getState": "ANSWERED", "getCallId": id, "getRemoteNumber": "9123", "getHeld": "false", "getOnSessionLost": "15000"} {
		if got := c.invoke(ep, op, "{}"); got != want {
			t.Errorf("%s: %s, expected %s", op, got, want)
		}
	}
	var live []LiveCall
	must(t, json.Unmarshal([]byte(c.invoke(ManagerID, "getLiveCalls", "{}")), &live))
	if len(live) != 1 {
		t.Errorf("live %v", live)
	}

	h.press("5#")
	if e := c.told(ep, "DtmfReceived"); e["digit"] != "5" || e["duration"].(float64) < 60 {
		t.Errorf("digit %v", e)
	}
	c.told(ep, "DtmfReceived")
	c.invoke(ep, "sendDtmf", `{"digits":"42"}`)
	eventually(t, "digits at the carrier", func() bool { return strings.HasSuffix(h.heard(), "42") })

	c.send(ep, "hold", "{}")
	o := d.Wait(sip.KindOffer).Offer
	if !strings.Contains(string(o.Body), "a=sendonly") {
		t.Errorf("hold offers\n%s", o.Body)
	}
	must(t, o.Answer(h.answers(o.Body)))
	c.done()
	if got := c.invoke(ep, "getHeld", "{}"); got != "true" {
		t.Errorf("held %s", got)
	}
	c.send(ep, "resume", "{}")
	o = d.Wait(sip.KindOffer).Offer
	must(t, o.Answer(h.answers(o.Body)))
	c.done()
	h.hears()

	c.send(ep, "transfer", `{"to":"4930222"}`)
	must(t, d.Wait(sip.KindRefer).Refer.Reject(603, ""))
	if e := c.reply().Error; e == nil || e.Code != int(rpc.NotSupported) || !strings.Contains(e.Message, "SIP 603") {
		t.Errorf("refused transfer: %+v", e)
	}
	// A second call in the pipeline is of the same family.
	second := c.endpoint(pipe, "")
	other := c.invoke(second, "dial", `{"to":"9124"}`)
	must(t, r.carrier.Incoming().Reject(486, ""))
	if e := c.told(second, "Ended"); e["cause"] != 17.0 || e["sipStatus"] != 486.0 || e["recordId"] != other || e["endedBy"] != "callee" {
		t.Errorf("Ended %v", e)
	}
	if got := c.invoke(second, "getState", "{}"); got != "ENDED" {
		t.Errorf("state %s", got)
	}
	c.refused(rpc.NotSupported, "has ended", second, "hold", "{}")

	c.invoke(ep, "hangup", `{"cause":31,"reason":"enough"}`)
	if e := d.Wait(sip.KindEnded); e.Reason.Cause != 31 || e.Reason.Text != "enough" {
		t.Errorf("BYE %v", e.Reason)
	}
	if e := c.told(ep, "Ended"); e["cause"] != 31.0 || e["sipStatus"] != 200.0 || e["recordId"] != id || e["text"] != "enough" {
		t.Errorf("Ended %v", e)
	}
	rec, after := r.record(id), r.record(other)
	if rec.Origin != "jsonrpc" || rec.App != "ivr" || rec.SessionID == "" || rec.LinkedID.String() != id || after.LinkedID.String() != id || after.SessionID != rec.SessionID {
		t.Errorf("records %+v, %+v", rec, after)
	}
	c.invoke(ep, "hangup", "{}") // once more is as good
}

// counts asserts that an endpoint's statistics tell of media both ways, and that there is no video.
func (c *client) counts(ep string) {
	c.Helper()
	type stat struct {
		Type     string `json:"__type__"`
		Kind     string `json:"type"`
		Codec    string `json:"codecId"`
		SSRC     string
		Received int64 `json:"packetsReceived"`
		BytesIn  int64 `json:"bytesReceived"`
		Sent     int64 `json:"packetsSent"`
		BytesOut int64 `json:"bytesSent"`
		Jitter   float64
	}
	read := func(kind string) map[string]stat {
		var all map[string]stat
		must(c, json.Unmarshal([]byte(c.invoke(ep, "getStats", `{"mediaType":"`+kind+`"}`)), &all))
		by := map[string]stat{}
		for _, s := range all {
			by[s.Type] = s
		}
		if s := by["EndpointStats"]; s.Kind != "endpoint" {
			c.Errorf("statistics of %s: %+v, expected EndpointStats", kind, all)
		}
		return by
	}
	if all := read("VIDEO"); len(all) != 1 {
		c.Errorf("statistics of video: %+v, expected the endpoint's alone", all)
	}
	before := read("AUDIO")
	in, out := before["RTCInboundRTPStreamStats"], before["RTCOutboundRTPStreamStats"]
	if in.Received == 0 || in.BytesIn < 160*in.Received || out.Sent == 0 || out.BytesOut < 160*out.Sent || in.Jitter < 0 || in.Jitter > 1 {
		c.Errorf("statistics: in %+v, out %+v; expected packets of 160 bytes both ways", in, out)
	}
	for _, s := range []stat{in, out} {
		if !strings.HasPrefix(s.Codec, "PCMU") || s.SSRC == "" || s.SSRC == "0" {
			c.Errorf("a stream is %+v, expected one of PCMU, with an SSRC", s)
		}
	}
	eventually(c, "counts grow", func() bool {
		now := read("AUDIO")
		return now["RTCInboundRTPStreamStats"].Received > in.Received && now["RTCOutboundRTPStreamStats"].Sent > out.Sent
	})
}

func TestReleaseHangsUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial("app", 0)
	pipe := c.create("MediaPipeline", "{}")
	ep := c.endpoint(pipe, "")
	id := c.invoke(ep, "dial", `{"to":"9123"}`)
	d := r.carrier.Incoming()
	d.Accept()
	c.told(ep, "Ringing")
	c.told(ep, "Answered")
	value(t, c.ask("release", `{"object":"`+pipe+`"}`), "release")
	if e := d.Wait(sip.KindEnded); e.Reason.Cause != 16 {
		t.Errorf("BYE %v", e.Reason)
	}
	if rec := r.record(id); rec.EndedBy != call.Caller {
		t.Errorf("record %+v", rec)
	}
}

// A program that dies leaves no call running; one that comes back in time keeps it.
func TestSessionLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial("app", 0)
	session := `,"sessionId":"the-session"`
	up := func(lost string) (string, *handset, func(sip.Kind) sip.Event) {
		ep := value(t, c.ask("create", `{"type":"SipEndpoint","constructorParams":{"mediaPipeline":"`+value(t, c.ask("create", `{"type":"MediaPipeline"`+session+`}`), "pipeline")+`","onSessionLost":`+lost+`}`+session+`}`), "endpoint")
		c.invoke(ep, "dial", `{"to":"9123"}`)
		d := r.carrier.Incoming()
		d.Accept()
		eventually(t, "the answer", func() bool { return c.invoke(ep, "getState", "{}") == "ANSWERED" })
		return ep, nil, d.Wait
	}
	quick, _, quickEnd := up("300")
	kept, _, keptEnd := up("60000")
	c.hangUp()
	if e := quickEnd(sip.KindEnded); e.Method != "BYE" || e.Reason.Text != "session lost" {
		t.Errorf("ended %+v", e)
	}
	c = r.dial("app", 1000)
	value(t, c.ask("connect", `{"sessionId":"the-session"}`), "connect")
	if got := c.invoke(quick, "getState", "{}"); got != "ENDED" {
		t.Errorf("state %s", got)
	}
	if got := c.invoke(kept, "getState", "{}"); got != "ANSWERED" {
		t.Errorf("state of what was to be kept: %s", got)
	}
	c.invoke(kept, "setOnSessionLost", `{"onSessionLost":-1}`)
	c.refused(rpc.IllegalParam, "'onSessionLost' is -2", kept, "setOnSessionLost", `{"onSessionLost":-2}`)
	began := time.Now()
	c.hangUp() // for good: the session ends, and what was its
	if e := keptEnd(sip.KindEnded); e.Method != "BYE" || e.Reason.Text != "session lost" {
		t.Errorf("ended %+v", e)
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("a call that is to be kept ended after %v, before its session", took)
	}
	list, err := r.ledger.find(t.Context(), billingAll)
	must(t, err)
	for _, rec := range list {
		got := r.record(rec.ID.String())
		if got.Cause.Text != "session lost" || got.Cause.Q850 != 31 || got.SessionID != "the-session" {
			t.Errorf("record %+v", got)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d records", len(list))
	}
}

func TestAttack(t *testing.T) { t.Run("attack_crlf_in_fields", fieldsAreChecked) }

// What must not reach a SIP message is refused, by the name of its field.
func fieldsAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial("app", 0)
	pipe := c.create("MediaPipeline", "{}")
	ep := c.endpoint(pipe, "")
	evil := `"1\r\nX-Evil: yes"`
	c.refused(rpc.IllegalParam, "'to'", ep, "dial", `{"to":`+evil+`}`)
	c.refused(rpc.IllegalParam, "'to'", ep, "dial", `{"to":"sip:x@elsewhere.test"}`)
	c.refused(rpc.IllegalParam, "'headers X-A'", ep, "dial", `{"to":"9123","headers":{"X-A":`+evil+`}}`)
	c.refused(rpc.IllegalParam, "'headers'", ep, "dial", `{"to":"9123","headers":{"Via":"x"}}`)
	for _, p := range []struct{ field, value string }{{"app", evil}, {"user", evil}, {"trunk", evil}, {"callerId", evil}, {"callerName", evil},
		{"app", `"theirs"`}, {"user", `"nobody"`}, {"trunk", `"none"`}, {"codecs", `["PCMU","G729"]`}, {"ringTimeout", "1"}, {"ringTimeout", "600001"},
		{"onSessionLost", "-2"}, {"callId", `"x"`}, {"callId", `"` + call.NewID().String() + `"`}} {
		e := c.ask("create", `{"type":"SipEndpoint","constructorParams":{"mediaPipeline":"`+pipe+`","`+p.field+`":`+p.value+`}}`).Error
		if e == nil || e.Code != int(rpc.IllegalParam) || !strings.Contains(e.Message, "'"+p.field+"'") || strings.ContainsAny(e.Message, "\r\n") {
			t.Errorf("a SipEndpoint with %s %s: %+v, expected %d", p.field, p.value, e, rpc.IllegalParam)
		}
	}
	c.invoke(ep, "dial", `{"to":"9123"}`)
	d := r.carrier.Incoming()
	d.Accept()
	c.told(ep, "Ringing")
	c.told(ep, "Answered")
	c.refused(rpc.IllegalParam, "'to'", ep, "transfer", `{"to":`+evil+`}`)
	c.refused(rpc.IllegalParam, "'reason'", ep, "hangup", `{"cause":16,"reason":`+evil+`}`)
	c.refused(rpc.IllegalParam, "'cause'", ep, "hangup", `{"cause":200}`)
	c.refused(rpc.IllegalParam, "'cause' is 0", ep, "hangup", `{"cause":0}`)
	c.refused(rpc.IllegalParam, "'digits'", ep, "sendDtmf", `{"digits":`+evil+`}`)
	c.refused(rpc.IllegalParam, "'sipStatus'", ep, "reject", `{"sipStatus":200}`)
	c.refused(rpc.IllegalParam, "'reason'", ep, "reject", `{"sipStatus":486,"reason":`+evil+`}`)
	c.refused(rpc.NotSupported, "answered", ep, "accept", `{}`)
	d.Bye()
	if e := c.told(ep, "Ended"); e["endedBy"] != "callee" {
		t.Errorf("Ended %v", e)
	}
}
