package main

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	storyID   = call.ID(uuid.MustParse("0197c3a0-5b1e-7c3e-9a55-0d3f6e0a1b2c"))
	storyZero = time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)
)

// scene is an event before it has a number: milliseconds after the first, leg, data.
type scene struct {
	ms   int64
	leg  int
	data call.Data
}

// play numbers the scenes and applies them, as the gateway and the keeper of records do.
func play(t *testing.T, scenes []scene) (*call.Call, []call.Event) {
	t.Helper()
	c, events := &call.Call{}, []call.Event(nil)
	for i, s := range scenes {
		e := call.Event{Call: storyID, Seq: uint64(i + 1), At: storyZero.Add(time.Duration(s.ms) * time.Millisecond),
			Mono: 7e9 + s.ms*1e6, Leg: s.leg, Data: s.data}
		if err := c.Apply(e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return c, events
}

var (
	begins = []scene{
		{0, 0, call.Start{Tenant: "default", Node: "gw1", Origin: "sip", User: "anna", From: "401", To: "030123456", LinkedID: storyID}},
		{0, 1, call.LegNew{Role: call.CallerLeg, Medium: "sip", User: "anna", Signalling: netip.MustParseAddrPort("192.0.2.7:5060")}},
		{1, 0, call.Decision{Route: "national", ToN: "+4930123456", To: call.Out, Text: "route national takes 030123456 as +4930123456"}},
		{3, 2, call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", Trunk: "telco", RequestURI: "sip:+4930123456@telco.example", Signalling: netip.MustParseAddrPort("198.51.100.1:5060"), Transport: "udp"}},
	}
	answered = append(begins[:4:4],
		scene{820, 2, call.LegEnd{Cause: call.FromStatus(503, "Service Unavailable")}},
		scene{825, 3, call.LegNew{Attempt: 2, Role: call.CalleeLeg, Medium: "sip", Trunk: "backup", RequestURI: "sip:+4930123456@198.51.100.7", Signalling: netip.MustParseAddrPort("198.51.100.7:5060"), Transport: "tcp"}},
		scene{1200, 3, call.Progress{Status: 183, Phrase: "Session Progress", EarlyMedia: true}},
		scene{1210, 3, call.Negotiated{Media: call.Media{Codec: "PCMA/8000"}}},
		scene{1211, 1, call.Negotiated{Media: call.Media{Codec: "PCMA/8000"}}},
		scene{5200, 3, call.Answer{}},
		scene{5201, 1, call.Answer{}},
		scene{5202, 1, call.Bridge{With: 3}},
	)
)

func TestStory(t *testing.T) {
	heard := &call.Quality{Received: 3100, Sent: 3090, Lost: 31, JitterMS: 1.24, RTTMS: 18.6}
	for name, scenes := range map[string][]scene{
		"failover": append(answered[:len(answered):len(answered)],
			scene{9000, 1, call.DTMF{DurationMS: 100, By: "rfc4733"}},
			scene{9300, 1, call.DTMF{DurationMS: 100, By: "rfc4733"}},
			scene{15_000, 0, call.Interim{Quality: map[int]*call.Quality{1: heard}}},
			scene{20_000, 3, call.Hold{}},
			scene{26_500, 3, call.Resume{}},
			scene{67_201, 3, call.LegEnd{Cause: call.Normal, HungUp: true, Quality: heard}},
			scene{67_202, 1, call.LegEnd{Cause: call.Normal, Quality: &call.Quality{Received: 3090, Sent: 3100, JitterMS: 0.4, Rejected: 12}}},
			scene{67_203, 0, call.End{By: call.Callee, Cause: call.Normal}}),
		"forward": append(begins[:2:2],
			scene{1, 0, call.Decision{Route: "user-ben", Text: "030123456 is a number of user ben"}},
			scene{2, 0, call.Forward{User: "ben", From: "030123456", To: "+491711", Reason: "busy", Depth: 1}},
			scene{3, 0, call.Decision{Text: "trunk telco is passed by: the limit of 2 calls of trunk telco is reached", Passed: "trunk:telco", Cause: &call.Cause{Q850: 34, SIP: 503}}},
			scene{4, 0, call.Forward{Trunk: "backup", From: "+491711", To: "sip:x@foreign.example", Reason: "redirect", Depth: 2, Refuse: true, Text: "sip:x@foreign.example is at a foreign host"}},
			scene{5, 0, call.Alarm{Account: "user:ben", Text: "user ben is locked after 3 refused destinations"}},
			scene{6, 1, call.LegEnd{Cause: call.FromStatus(302, "Moved Temporarily")}},
			scene{6, 0, call.End{By: call.Callee, Cause: call.FromStatus(302, "Moved Temporarily")}}),
		"refused": {begins[0], begins[1],
			{1, 0, call.Decision{Refuse: true, Text: "no route takes 030123456 from user anna"}},
			{2, 1, call.LegEnd{Cause: call.NoRoute}},
			{2, 0, call.End{By: call.System, Cause: call.NoRoute}}},
		"cancelled": append(begins[:4:4],
			scene{90, 2, call.Progress{Status: 180, Phrase: "Ringing"}},
			scene{9400, 2, call.LegEnd{Cause: call.Cancelled}},
			scene{9401, 1, call.LegEnd{Cause: call.Cancelled, HungUp: true}},
			scene{9401, 0, call.End{By: call.Caller, Cause: call.Cancelled}}),
		"recovered": append(answered[:len(answered):len(answered)],
			scene{95_000, 0, call.RecoveredEnd{EndAt: storyZero.Add(80 * time.Second), EndMono: 87e9, Epoch: 2}}),
		"open": answered,
		"browser": {
			{0, 0, call.Start{Tenant: "default", Node: "gw1", Origin: "sip", User: "anna", From: "401", To: "402", LinkedID: storyID}},
			{0, 1, call.LegNew{Role: call.CallerLeg, Medium: "webrtc", User: "anna", Transport: "ws", Signalling: netip.MustParseAddrPort("192.0.2.7:40123")}},
			{3, 2, call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", User: "ben", RequestURI: "sip:ben@192.0.2.8", Signalling: netip.MustParseAddrPort("192.0.2.8:5060"), Transport: "udp"}},
			{900, 2, call.Negotiated{Media: call.Media{Codec: "PCMU/8000", SRTP: "sdes", Local: netip.MustParseAddrPort("192.0.2.1:20000"), Remote: netip.MustParseAddrPort("192.0.2.8:30000")}}},
			{900, 1, call.Negotiated{Media: call.Media{Codec: "PCMU/8000", SRTP: "dtls", Local: netip.MustParseAddrPort("192.0.2.1:8890")}}},
			{901, 2, call.Answer{}},
			{902, 1, call.Answer{}},
			{9000, 1, call.Negotiated{Media: call.Media{Codec: "PCMU/8000", SRTP: "dtls", Local: netip.MustParseAddrPort("192.0.2.1:8890"), Remote: netip.MustParseAddrPort("192.0.2.7:55555")}}},
			{9000, 1, call.LegEnd{Cause: call.Normal, HungUp: true, Quality: heard}},
			{9001, 2, call.LegEnd{Cause: call.Normal, Quality: heard}},
			{9002, 0, call.End{By: call.Caller, Cause: call.Normal}}},
		"dialled": {
			{0, 0, call.Start{Tenant: "default", Node: "gw1", Origin: "jsonrpc", SessionID: "s", App: "ivr", From: "4930500", To: "401", LinkedID: storyID}},
			{0, 1, call.LegNew{Role: call.CallerLeg, Medium: "app", FromURI: "app:ivr", ToURI: "401"}},
			{1, 0, call.Decision{Route: "user-anna", ToN: "401", To: call.Internal, Text: "401 is a number of user anna"}},
			{3, 2, call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", User: "anna", RequestURI: "sip:anna@192.0.2.7", Signalling: netip.MustParseAddrPort("192.0.2.7:5060"), Transport: "udp"}},
			{90, 2, call.Progress{Status: 180, Phrase: "Ringing"}},
			{5200, 2, call.Answer{}},
			{5201, 1, call.Answer{}},
			{6000, 1, call.Hold{}},
			{7000, 1, call.Resume{}},
			{8000, 1, call.Transfer{To: "402"}},
			{9000, 2, call.LegEnd{Cause: call.Transferred}},
			{9000, 1, call.LegEnd{Cause: call.Transferred, HungUp: true}},
			{9001, 0, call.End{By: call.Caller, Cause: call.Transferred}}},
		"transferred": {
			{0, 0, call.Start{Tenant: "default", Node: "gw1", Origin: "sip", User: "ben", From: "402", To: "401", LinkedID: call.ID(uuid.MustParse("0197c3a0-5b1e-7c3e-9a55-0d3f6e0a1b2d"))}},
			{0, 0, call.Decision{Text: "user ben transfers call 0197c3a0-5b1e-7c3e-9a55-0d3f6e0a1b2d here"}},
			{1, 0, call.Decision{Route: "user-anna", ToN: "401", To: call.Internal, Text: "401 is a number of user anna"}},
			{3, 2, call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", User: "anna", RequestURI: "sip:anna@192.0.2.7", Signalling: netip.MustParseAddrPort("192.0.2.7:5060"), Transport: "udp"}},
			{90, 2, call.Progress{Status: 180, Phrase: "Ringing"}},
			{5200, 2, call.Answer{}},
			{5200, 1, call.LegNew{Role: call.CallerLeg, Medium: "sip", Trunk: "telco", Direction: call.In, RequestURI: "sip:402@192.0.2.1", Signalling: netip.MustParseAddrPort("198.51.100.1:5060"), Transport: "udp"}},
			{5202, 1, call.Answer{}},
			{5202, 1, call.Bridge{With: 2}},
			{9000, 1, call.LegEnd{Cause: call.Normal, HungUp: true}},
			{9000, 2, call.LegEnd{Cause: call.Normal}},
			{9001, 0, call.End{By: call.Caller, Cause: call.Normal}}},
		"offered": {begins[0], begins[1],
			{1, 0, call.Decision{Route: "service", ToN: "700", To: call.Internal, Text: "route service takes 700 as 700"}},
			{2, 2, call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "app", ToURI: "app:ivr"}},
			{5000, 2, call.LegEnd{Cause: call.NoAnswer}},
			{5001, 0, call.Decision{Text: "next hop after " + call.NoAnswer.String()}},
			{5002, 3, call.LegNew{Attempt: 2, Role: call.CalleeLeg, Medium: "app", ToURI: "app:night"}},
			{6000, 3, call.Answer{}},
			{6001, 1, call.Answer{}},
			{7000, 0, call.Link{LinkedID: call.ID(uuid.MustParse("0197c3a0-5b1e-7c3e-9a55-0d3f6e0a1b2d"))}},
			{9000, 3, call.LegEnd{Cause: call.SessionLost, HungUp: true}},
			{9000, 1, call.LegEnd{Cause: call.SessionLost}},
			{9001, 0, call.End{By: call.Callee, Cause: call.SessionLost}}},
	} {
		t.Run(name, func(t *testing.T) {
			c, events := play(t, scenes)
			golden(t, "story-"+name+".txt", tell(c, events, time.UTC))
			if name != "browser" {
				return
			}
			var out strings.Builder
			if err := showCall(&out, c, nil, time.UTC); err != nil {
				t.Fatal(err)
			}
			golden(t, "show-"+name+".txt", out.String())
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
