package call

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Event is something that happened to a call. Events of one call are numbered from 1 without gaps by the goroutine
// that owns the call; (Call, Seq) is the key that makes writing one twice harmless.
type Event struct {
	Call ID
	Seq  uint64
	At   time.Time // wall clock: a label, never subtracted
	Mono int64     // monotonic nanoseconds of the process that wrote it; comparable within one Epoch only
	Leg  int       // 0 = the call itself
	Data Data
}

// Data is the payload of an event. Each Kind has one type.
type Data interface{ Kind() Kind }

// Kind names an event in records and on the wire.
type Kind string

const (
	KindStart     Kind = "call.start"
	KindDecision  Kind = "decision"
	KindLegNew    Kind = "leg.new"
	KindProgress  Kind = "sip.1xx"
	KindMedia     Kind = "sdp"
	KindAnswer    Kind = "answer"
	KindDialog    Kind = "dialog"
	KindBridge    Kind = "bridge.enter"
	KindHold      Kind = "hold"
	KindResume    Kind = "resume"
	KindDTMF      Kind = "dtmf"
	KindBlind     Kind = "transfer.blind"
	KindAttended  Kind = "transfer.attended"
	KindForward   Kind = "forward"
	KindAlarm     Kind = "alarm"
	KindLink      Kind = "link"
	KindInterim   Kind = "interim"
	KindQuality   Kind = "quality"
	KindPartial   Kind = "partial"
	KindNote      Kind = "note"
	KindLegEnd    Kind = "leg.end"
	KindEnd       Kind = "call.end"
	KindRecovered Kind = "recovered"
	KindRated     Kind = "rated"
	KindRerated   Kind = "rerated"
)

// Start identifies a call: its source is known. It is the first event of every record.
type Start struct {
	Tenant    string    `json:"tenant"`
	LinkedID  ID        `json:"linkedId"`
	Node      string    `json:"node"`
	Epoch     uint64    `json:"epoch"`
	Origin    string    `json:"origin"` // sip, jsonrpc
	SessionID string    `json:"sessionId,omitempty"`
	App       string    `json:"app,omitempty"`
	Direction Direction `json:"direction"`
	User      string    `json:"user,omitempty"`
	Trunk     string    `json:"trunk,omitempty"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	FromN     string    `json:"fromNumber,omitempty"` // the same as the numbers that they are, E.164 if that is understood
	ToN       string    `json:"toNumber,omitempty"`
	ICID      string    `json:"icid,omitempty"`
	ICIDAt    string    `json:"icidGeneratedAt,omitempty"`
	OrigIOI   string    `json:"origIoi,omitempty"`
	TermIOI   string    `json:"termIoi,omitempty"`
}

// Decision is a step of routing, admission or refusal, in words for people: what `why` prints.
type Decision struct {
	Route  string    `json:"route,omitempty"`
	FromN  string    `json:"fromNumber,omitempty"`
	ToN    string    `json:"toNumber,omitempty"`
	To     Direction `json:"direction,omitempty"` // set when routing found out where the call goes
	Text   string    `json:"text"`
	Refuse bool      `json:"refuse,omitempty"`
	// Passed is a hop that was passed by without being tried, such as trunk:ID, and Cause why: it is full, down or put aside.
	Passed    string `json:"passed,omitempty"`
	Cause     *Cause `json:"cause,omitempty"`
	Emergency bool   `json:"emergency,omitempty"` // the call is one for help: no limit holds for it
}

// LegNew begins a leg: an INVITE came, or is about to leave.
type LegNew struct {
	Attempt    int       `json:"attempt"`
	Role       Role      `json:"role"`
	Medium     string    `json:"kind"` // sip, webrtc, rtp; app: an application's side, without a dialog
	Direction  Direction `json:"direction"`
	User       string    `json:"user,omitempty"`
	Trunk      string    `json:"trunk,omitempty"`
	Transport  string    `json:"transport,omitempty"`
	SIPCallID  string    `json:"sipCallId,omitempty"`
	LocalTag   string    `json:"localTag,omitempty"`
	RemoteTag  string    `json:"remoteTag,omitempty"`
	FromURI    string    `json:"fromUri,omitempty"`
	ToURI      string    `json:"toUri,omitempty"`
	RequestURI string    `json:"requestUri,omitempty"`
	Contact    string    `json:"contact,omitempty"`
	PAI        string    `json:"pai,omitempty"`
	Diversion  string    `json:"diversion,omitempty"`
	Claims
	UserAgent  string          `json:"userAgent,omitempty"`
	Signalling netip.AddrPort  `json:"signalling"`
	Dialog     json.RawMessage `json:"dialog,omitempty"` // so that a crash can CANCEL it or answer it
}

// Progress is a provisional response of a callee.
type Progress struct {
	Status     int             `json:"status"`
	Phrase     string          `json:"phrase,omitempty"`
	Tag        string          `json:"tag,omitempty"`
	EarlyMedia bool            `json:"earlyMedia,omitempty"`
	Dialog     json.RawMessage `json:"dialog,omitempty"`
}

// Negotiated tells what a leg's media agreed on; again after each re-offer that changed it.
type Negotiated struct {
	Media
}

// Answer is the 2xx of a leg (of the caller's leg: the 2xx we sent).
type Answer struct {
	RemoteTag string          `json:"remoteTag,omitempty"`
	TermIOI   string          `json:"termIoi,omitempty"` // network that took the call, as a trusted trunk says (RFC 7315 4.6)
	Dialog    json.RawMessage `json:"dialog,omitempty"`
	Carried   *Carried        `json:"carried,omitempty"` // of a leg at a trunk that came from another call
}

// Dialog is a dialog's state after something changed it (re-INVITE, target refresh, ACK).
type Dialog struct {
	Dialog json.RawMessage `json:"dialog"`
}

// Bridge says that two legs hear each other.
type Bridge struct {
	With int `json:"with"`
}

// Hold and Resume are told by the leg whose party asked.
type Hold struct{}
type Resume struct{}

// DTMF is one digit that a leg's party sent. Digits are masked unless the settings say otherwise: they are PINs.
type DTMF struct {
	Digit      string `json:"digit"`
	DurationMS int    `json:"durationMs"`
	By         string `json:"by"` // rfc4733, info, inband
}

// Transfer tells where a party sends the other: to a number, or attended, to who is in a call already. What came of it is the
// call's cause, or a note.
type Transfer struct {
	To       string `json:"to"`
	Attended bool   `json:"attended"`
	Linked   ID     `json:"linked"` // the call that goes on with the other party
}

// Forward tells that a call went on to somebody else than it was for: by a user's settings, or since a peer redirected it
// (RFC 3261 21.3). It is told before the new target is tried.
type Forward struct {
	User   string `json:"user,omitempty"`   // id of the user whose calls are forwarded, with whose rights it goes on
	Trunk  string `json:"trunk,omitempty"`  // or of the trunk that redirected
	From   string `json:"from"`             // the number or name that was called before
	To     string `json:"to"`               // user:ID, group:ID or the number that is called now
	Reason string `json:"reason"`           // always, busy, no-answer, offline, redirect
	Depth  int    `json:"depth"`            // the how manieth of the call it is, from 1
	Refuse bool   `json:"refuse,omitempty"` // it isn't followed; Text says why
	Text   string `json:"text,omitempty"`
}

// Alarm tells of something that people must look at: an account was locked, or calls a country for the first time.
type Alarm struct {
	Account string `json:"account,omitempty"` // user:ID or tenant:ID
	Country string `json:"country,omitempty"` // that is called for the first time: ISO 3166-1, or + and a country code
	Text    string `json:"text"`
}

// Link says that the call belongs to another's family from now on: an application has joined their media. SessionID is
// the RPC session that drives the call; "" leaves what was known.
type Link struct {
	LinkedID  ID     `json:"linkedId"`
	SessionID string `json:"sessionId,omitempty"`
}

// Rated tells what an ended call costs. It follows the call's end.
type Rated struct {
	Ratings []Rating `json:"ratings"`
}

// Rerated tells that a call was rated again.
type Rerated struct {
	Ratings []Rating `json:"ratings"` // those that changed
}

// Rating is what a call costs on one side.
type Rating struct {
	Side        string `json:"side"` // sell, buy, custom
	Run         string `json:"run,omitempty"`
	Leg         int    `json:"leg,omitempty"` // at a trunk, that it is of; 0: talk within the house, or not kept
	Account     string `json:"account"`       // user:ID, tenant:ID or trunk:ID
	Tariff      string `json:"tariff"`
	Deck        string `json:"deck,omitempty"`
	Version     int    `json:"version,omitempty"`
	Prefix      string `json:"prefix,omitempty"`
	Destination string `json:"destination,omitempty"`
	Price       string `json:"price,omitempty"`  // of a minute, at the answer
	Fee         string `json:"fee,omitempty"`    // of the answer; "" if there is none
	First       int    `json:"first,omitempty"`  // seconds of the first unit
	Next        int    `json:"next,omitempty"`   // seconds of all others
	Seconds     int    `json:"seconds"`          // in whole units
	Before      int    `json:"before,omitempty"` // seconds in whole units that were rated with a call in which the leg talked before
	Amount      string `json:"amount,omitempty"` // decimal; "" where there is a problem
	Currency    string `json:"currency,omitempty"`
	House       string `json:"house,omitempty"` // the amount in the house's currency, HouseIn; "" if that isn't known
	HouseIn     string `json:"houseIn,omitempty"`
	Problem     string `json:"problem,omitempty"`
	Revision    int    `json:"revision,omitempty"` // how many ratings of this side and run came before
}

// Interim is written every ten seconds of an answered call: after a crash the record ends here at the latest.
type Interim struct {
	Quality map[int]*Quality `json:"quality"` // by leg
}

// Note is anything else worth telling: an extra 2xx, a late answer, a failed re-INVITE.
type Note struct {
	Text string `json:"text"`
	Lost bool   `json:"lost,omitempty"` // stands for an event that was lost: the record is incomplete
}

// LegEnd closes a leg.
type LegEnd struct {
	Cause   Cause    `json:"cause"`
	HungUp  bool     `json:"hungUp,omitempty"`
	Left    bool     `json:"left,omitempty"` // its party goes on in another call, or this call without it
	Quality *Quality `json:"quality,omitempty"`
}

// End closes the call. It is the last event of every record that its own process closed.
type End struct {
	By    Party `json:"by"`
	Cause Cause `json:"cause"`
	// Unsaid: the caller never got the answer that is written before, since it hung up at that moment, or the answer
	// could not be sent. The call counts as unanswered.
	Unsaid bool `json:"unsaid,omitempty"`
}

// RecoveredEnd closes a call whose process died. At is when the recovery ran; the call's own end is EndAt, the last
// sign of life in its events (interim, media, answer): never later than the truth, so that nobody pays for our crash.
type RecoveredEnd struct {
	EndAt   time.Time `json:"endAt"`
	EndMono int64     `json:"endMono"` // in the monotonic clock of the dead process
	Epoch   uint64    `json:"epoch"`   // of the process that closed it
	Text    string    `json:"text,omitempty"`
}

func (Start) Kind() Kind      { return KindStart }
func (Decision) Kind() Kind   { return KindDecision }
func (LegNew) Kind() Kind     { return KindLegNew }
func (Progress) Kind() Kind   { return KindProgress }
func (Negotiated) Kind() Kind { return KindMedia }
func (Answer) Kind() Kind     { return KindAnswer }
func (Dialog) Kind() Kind     { return KindDialog }
func (Bridge) Kind() Kind     { return KindBridge }
func (Hold) Kind() Kind       { return KindHold }
func (Resume) Kind() Kind     { return KindResume }
func (DTMF) Kind() Kind       { return KindDTMF }
func (Forward) Kind() Kind    { return KindForward }
func (Alarm) Kind() Kind      { return KindAlarm }

// Kind is that of a blind or an attended transfer.
func (t Transfer) Kind() Kind {
	if t.Attended {
		return KindAttended
	}
	return KindBlind
}

func (Link) Kind() Kind         { return KindLink }
func (Interim) Kind() Kind      { return KindInterim }
func (Rated) Kind() Kind        { return KindRated }
func (Rerated) Kind() Kind      { return KindRerated }
func (Note) Kind() Kind         { return KindNote }
func (LegEnd) Kind() Kind       { return KindLegEnd }
func (End) Kind() Kind          { return KindEnd }
func (RecoveredEnd) Kind() Kind { return KindRecovered }

// wire is an event's stored form: stable, since journals outlive versions.
type wire struct {
	Call ID              `json:"call"`
	Seq  uint64          `json:"seq"`
	At   time.Time       `json:"at"`
	Mono int64           `json:"mono"`
	Leg  int             `json:"leg,omitempty"`
	Kind Kind            `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// MarshalJSON writes the stored form.
func (e Event) MarshalJSON() ([]byte, error) {
	b, _, err := e.AppendJSON(nil)
	return b, err
}

// UnmarshalJSON reads the stored form. An unknown kind is an error: a journal is never read by an older program
// without saying so.
func (e *Event) UnmarshalJSON(b []byte) error {
	if e.asWritten(b) {
		return nil
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	d, err := decode(w.Kind, w.Data)
	if err != nil {
		return fmt.Errorf("event %s/%d: %w", w.Call, w.Seq, err)
	}
	*e = Event{w.Call, w.Seq, w.At, w.Mono, w.Leg, d}
	return nil
}

// asWritten reads an event as MarshalJSON writes it, with its data last, which so is read once. What isn't such is left to who reads
// all JSON.
func (e *Event) asWritten(b []byte) bool {
	head, data, ok := bytes.Cut(b, []byte(`,"data":`))
	if !ok || len(data) == 0 || data[len(data)-1] != '}' {
		return false
	}
	var w wire
	if json.Unmarshal(append(head[:len(head):len(head)], '}'), &w) != nil {
		return false
	}
	d, err := decode(w.Kind, data[:len(data)-1])
	if err != nil {
		return false
	}
	*e = Event{w.Call, w.Seq, w.At, w.Mono, w.Leg, d}
	return true
}

func decode(k Kind, b []byte) (Data, error) {
	switch k {
	case KindStart:
		return as[Start](b)
	case KindDecision:
		return as[Decision](b)
	case KindLegNew:
		return as[LegNew](b)
	case KindProgress:
		return as[Progress](b)
	case KindMedia:
		return as[Negotiated](b)
	case KindAnswer:
		return as[Answer](b)
	case KindDialog:
		return as[Dialog](b)
	case KindBridge:
		return as[Bridge](b)
	case KindHold:
		return as[Hold](b)
	case KindResume:
		return as[Resume](b)
	case KindDTMF:
		return as[DTMF](b)
	case KindBlind, KindAttended, "transfer": // which both were called once
		return as[Transfer](b)
	case KindForward:
		return as[Forward](b)
	case KindAlarm:
		return as[Alarm](b)
	case KindLink:
		return as[Link](b)
	case KindRated:
		return as[Rated](b)
	case KindRerated:
		return as[Rerated](b)
	case KindInterim:
		return as[Interim](b)
	case KindQuality:
		return as[Measured](b)
	case KindPartial:
		return as[PartialRecord](b)
	case KindNote:
		return as[Note](b)
	case KindLegEnd:
		return as[LegEnd](b)
	case KindEnd:
		return as[End](b)
	case KindRecovered:
		return as[RecoveredEnd](b)
	}
	return nil, fmt.Errorf("kind %q: unknown to this version", k)
}

func as[T Data](b []byte) (Data, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}
