package call

import (
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

var sig = netip.MustParseAddrPort("[2001:db8::1]:5060")

// every holds one filled event of each kind.
func every() []Event {
	raw := json.RawMessage(`{"cseq":1}`)
	id, other := NewID(), NewID()
	q := &Quality{Received: 1, ReceivedB: 2, Sent: 3, SentB: 4, Lost: -5, JitterMS: 1.5, RTTMS: 20, LastRTPMono: 9}
	data := []Data{
		Start{Tenant: "default", LinkedID: other, Node: "n", Epoch: 3, Origin: "sip", SessionID: "s", Direction: In, User: "u", Trunk: "t", From: "1", To: "2", ICID: "i"},
		Decision{Route: "r", FromN: "+1", ToN: "+2", To: Out, Text: "why", Refuse: true},
		LegNew{Attempt: 1, Role: CalleeLeg, Medium: "sip", Direction: Out, User: "u", Trunk: "t", Transport: "tcp", SIPCallID: "c", LocalTag: "l", RemoteTag: "r",
			FromURI: "sip:a", ToURI: "sip:b", RequestURI: "sip:c", Contact: "sip:d", PAI: "sip:e", Diversion: "sip:f", UserAgent: "x", Signalling: sig, Dialog: raw},
		Progress{Status: 183, Phrase: "Session Progress", Tag: "t", EarlyMedia: true, Dialog: raw},
		Negotiated{Media{Codec: "PCMU/8000", Ptime: 20, DTMF: "rfc4733", SRTP: "sdes", Direction: "sendrecv", Local: sig, Remote: sig, Transcoded: true}},
		Answer{RemoteTag: "t", Dialog: raw},
		Dialog{Dialog: raw},
		Bridge{With: 2}, Hold{}, Resume{},
		DTMF{Digit: "*", DurationMS: 100, By: "info"},
		Transfer{To: "sip:x", Attended: true, Linked: other},
		Transfer{To: "sip:y", Linked: other},
		Interim{Quality: map[int]*Quality{1: q, 2: {}}},
		Measured{Buckets: []Bucket{{Leg: 1, Stream: StreamIn, No: 3, SpanMS: 10_000, Packets: 500, Lost: new(int64), MOSCQ: new(float64), Modelled: []string{"delay"}}, {}}},
		PartialRecord{No: 2},
		Note{Text: "n", Lost: true},
		LegEnd{Cause: Cause{17, 486, "Busy", "Q.850;cause=17"}, HungUp: true, Quality: q},
		End{By: Caller, Cause: Normal},
		RecoveredEnd{EndAt: time.Unix(1, 2).UTC(), EndMono: 5, Epoch: 4, Text: "x"},
	}
	var out []Event
	for i, d := range data {
		out = append(out, Event{Call: id, Seq: uint64(i + 1), At: time.Unix(1700000000, 123456789).UTC(), Mono: int64(i) * 1e6, Leg: i % 3, Data: d})
	}
	return out
}

func TestEventRoundTrip(t *testing.T) {
	seen := make(map[Kind]bool)
	for _, e := range every() {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var got Event
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", e.Data.Kind(), err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("%s came back as\n%+v, was\n%+v", e.Data.Kind(), got, e)
		}
		seen[e.Data.Kind()] = true
	}
	for _, k := range []Kind{KindStart, KindDecision, KindLegNew, KindProgress, KindMedia, KindAnswer, KindDialog, KindBridge, KindHold, KindResume, KindDTMF,
		KindBlind, KindAttended, KindInterim, KindQuality, KindPartial, KindNote, KindLegEnd, KindEnd, KindRecovered} {
		if !seen[k] {
			t.Errorf("kind %s isn't tested", k)
		}
	}
}

func TestEventErrors(t *testing.T) {
	if _, err := json.Marshal(Event{}); err == nil {
		t.Error("an event without data was written")
	}
	var e Event
	err := e.UnmarshalJSON([]byte(`{"call":"0197c3a0-5b1e-7c3e-9a55-0d3f6e0a1b2c","seq":3,"kind":"tea","data":{}}`))
	if err == nil || !strings.Contains(err.Error(), "tea") {
		t.Errorf("%v, expected the unknown kind to be named", err)
	}
}

func FuzzEvent(f *testing.F) {
	for _, e := range every() {
		b, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Event
		if e.UnmarshalJSON(b) != nil {
			return
		}
		again, err := e.MarshalJSON()
		if err != nil {
			return // a time beyond the year 9999
		}
		var same Event
		if err := same.UnmarshalJSON(again); err != nil || same.Call != e.Call || same.Seq != e.Seq || same.Data.Kind() != e.Data.Kind() {
			t.Fatalf("%s became %s: %v", b, again, err)
		}
		var c Call
		_ = c.Apply(Event{Call: e.Call, Seq: 1, Data: Start{}}) // it fits by construction
		e.Seq = 2
		_ = c.Apply(e) // may not fit, must not panic
		if c.Version != 2 {
			t.Errorf("version %d behind event 2", c.Version)
		}
	})
}

// tell applies events at the given seconds to a new call.
func tell(t *testing.T, steps ...step) *Call {
	t.Helper()
	id := NewID()
	base := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := &Call{}
	for i, s := range append([]step{{0, 0, Start{Tenant: "default", LinkedID: id, Direction: Internal, From: "1", To: "2"}}}, steps...) {
		e := Event{Call: id, Seq: uint64(i + 1), At: base.Add(time.Duration(s.at * 1e9)), Mono: int64(math.Round(s.at*1e3)) * 1e6, Leg: s.leg, Data: s.data}
		if err := c.Apply(e); err != nil {
			t.Fatal(err)
		}
		if err := c.Apply(e); err != nil || c.Version != e.Seq {
			t.Fatalf("applied twice: version %d, %v", c.Version, err)
		}
	}
	return c
}

type step struct {
	at   float64
	leg  int
	data Data
}

func TestApplyAnsweredCall(t *testing.T) {
	c := tell(t,
		step{0.1, 1, LegNew{Role: CallerLeg}},
		step{0.2, 0, Decision{Route: "r", To: Out, ToN: "+2"}},
		step{0.3, 2, LegNew{Role: CalleeLeg, Attempt: 1}},
		step{0.8, 2, LegEnd{Cause: FromStatus(503, "no")}},
		step{1, 3, LegNew{Role: CalleeLeg, Attempt: 2}},
		step{1.1, 3, Progress{Status: 100}},
		step{1.5, 3, Progress{Status: 183, EarlyMedia: true}},
		step{4, 3, Answer{RemoteTag: "x"}},
		step{4.1, 1, Answer{}},
		step{14.1, 0, Interim{Quality: map[int]*Quality{1: {Received: 500}, 9: {}}}},
		step{20, 1, LegEnd{Cause: Normal, HungUp: true}},
		step{20.1, 0, End{By: Caller, Cause: Normal}})
	if c.State != Closed || c.EndedBy != Caller || c.Attempts != 2 || c.Route != "r" || c.Direction != Out || c.ToN != "+2" || c.Incomplete {
		t.Errorf("%+v", c)
	}
	if *c.PDD != 1500 || *c.Ring != 2600 || c.Duration != 20100 || c.Bill != 16000 {
		t.Errorf("pdd %d, ring %d, duration %d, bill %d; expected 1500, 2600, 20100, 16000", *c.PDD, *c.Ring, c.Duration, c.Bill)
	}
	if l := c.Leg(3); *l.PDD != 500 || !l.EarlyMedia || l.RemoteTag != "x" || l.ProgressAt == nil || l.AnsweredAt == nil {
		t.Errorf("callee: %+v", l)
	}
	if l := c.Leg(2); l.Cause.SIP != 503 || l.EndedAt == nil {
		t.Errorf("failed attempt: %+v", l)
	}
	if l := c.Leg(1); !l.HungUp || l.Quality.Received != 500 {
		t.Errorf("caller: %+v", l)
	}
	if c.Leg(9) != nil {
		t.Error("an interim made a leg")
	}
}

func TestApplyUnansweredAndRecovered(t *testing.T) {
	c := tell(t, step{0, 1, LegNew{Role: CallerLeg}}, step{1, 2, LegNew{Role: CalleeLeg}}, step{2, 2, Progress{Status: 180}}, step{32, 0, End{By: System, Cause: NoAnswer}})
	if c.Bill != 0 || *c.Ring != 30000 || c.Duration != 32000 || c.AnsweredAt != nil {
		t.Errorf("unanswered: bill %d, ring %d, duration %d", c.Bill, *c.Ring, c.Duration)
	}
	end := time.Date(2026, 1, 1, 12, 0, 12, 0, time.UTC)
	c = tell(t, step{0, 1, LegNew{Role: CallerLeg}}, step{1, 2, LegNew{Role: CalleeLeg}}, step{2, 2, Answer{}}, step{2, 1, Answer{}},
		step{99, 0, RecoveredEnd{EndAt: end, EndMono: 12e9, Epoch: 2}})
	if c.State != Recovered || !c.Incomplete || c.EndedBy != Lost || c.Cause != NodeLost || c.Bill != 10000 || c.Duration != 12000 || !c.EndedAt.Equal(end) {
		t.Errorf("recovered: %+v", c)
	}
	for _, l := range c.Legs {
		if l.EndedAt == nil || l.Cause != NodeLost {
			t.Errorf("leg %d of a recovered call: %+v", l.No, l)
		}
	}
}

func TestApplyRefusesGapsAndStrangers(t *testing.T) {
	c := tell(t, step{0, 1, LegNew{Role: CallerLeg}})
	for name, e := range map[string]Event{"gap": {Call: c.ID, Seq: 4, Data: Hold{}}, "another call's": {Call: NewID(), Seq: 3, Data: Hold{}}} {
		if err := c.Apply(e); err == nil || c.Version != 2 {
			t.Errorf("%s event was applied: version %d, %v", name, c.Version, err)
		}
	}
	if err := c.Apply(Event{Call: c.ID, Seq: 3, Leg: 8, Data: Hold{}}); err == nil || c.Version != 3 {
		t.Errorf("an event of no leg: version %d, %v; expected 3 and an error", c.Version, err)
	}
	if err := (&Call{}).Apply(Event{Call: c.ID, Seq: 1, Data: Hold{}}); err == nil {
		t.Error("a call began with a hold")
	}
	if c := tell(t, step{0, 0, Note{Text: "x", Lost: true}}); !c.Incomplete {
		t.Error("a call with a lost event is complete")
	}
}

func TestIDs(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	id := NewID()
	if s := id.Started(); s.Before(before) || s.After(time.Now()) || s.Location() != time.UTC {
		t.Errorf("id made now says %v", s)
	}
	back, err := ParseID(id.String())
	if err != nil || back != id || id.IsZero() || !(ID{}).IsZero() {
		t.Errorf("%v %v", back, err)
	}
	if _, err := ParseID("nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v, expected the value", err)
	}
	if errors.Is(back.UnmarshalText([]byte("x")), nil) {
		t.Error("x is an id")
	}
}

func TestAnswerThatWasNeverSaid(t *testing.T) {
	id, now := NewID(), time.Now()
	c := &Call{}
	for i, e := range []Event{
		{Data: Start{}}, {Leg: 1, Data: LegNew{Role: CallerLeg}}, {Leg: 2, Data: LegNew{Role: CalleeLeg}},
		{Leg: 2, Data: Progress{Status: 180}}, {Leg: 2, Data: Answer{}}, {Leg: 1, Data: Answer{}},
		{Leg: 1, Data: LegEnd{Cause: Cancelled, HungUp: true}}, {Data: End{By: Caller, Cause: Cancelled, Unsaid: true}},
	} {
		e.Call, e.Seq, e.At, e.Mono = id, uint64(i+1), now.Add(time.Duration(i)*time.Second), int64(i)*int64(time.Second)
		if err := c.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if c.AnsweredAt != nil || c.Bill != 0 || c.Leg(1).AnsweredAt != nil || c.Leg(2).AnsweredAt == nil || *c.Ring != 4000 || c.Duration != 7000 {
		t.Errorf("call %+v, legs %+v, %+v", c, c.Leg(1), c.Leg(2))
	}
}
