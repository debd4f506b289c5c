// Package call holds what the gateway and the keeper of records both speak of: a call, its legs, the events that
// happened to it and the cause of its end. It is plain data; it knows nobody else of ours.
package call

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"
)

// ID names a call for ever. It is a UUID version 7 (RFC 9562): its first 48 bits are the time at which the call was
// identified, so that a partition by that time can be found from the id alone.
type ID uuid.UUID

// NewID makes an id whose embedded time is now.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// ParseID reads the 36-character form.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("call id %q: expected a UUID such as 0197c3a0-5b1e-7c3e-9a55-0d3f6e0a1b2c", s)
	}
	return ID(u), nil
}

// Started is the time inside the id, to the millisecond, in UTC. It is the key of the partition that holds the call.
func (id ID) Started() time.Time {
	ms := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
	return time.UnixMilli(ms).UTC()
}

func (id ID) String() string               { return uuid.UUID(id).String() }
func (id ID) IsZero() bool                 { return id == ID{} }
func (id ID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }
func (id *ID) UnmarshalText(b []byte) error {
	return (*uuid.UUID)(id).UnmarshalText(b)
}

// State of a call's record.
type State string

const (
	Open      State = "open"      // the call lives, or its process died and nobody has closed it yet
	Partial   State = "partial"   // so does it, and for so long that what it has come to is on record (TS 32.298: partial record)
	Closed    State = "closed"    // ended while the gateway watched
	Recovered State = "recovered" // ended by a crash; closed by the process that came after
)

// Direction of a call, seen from the gateway's owner: a trunk's call comes In, a user's call to a trunk goes Out.
type Direction string

const (
	In       Direction = "in"
	Out      Direction = "out"
	Internal Direction = "internal"
)

// Party says who ended a call.
type Party string

const (
	Caller Party = "caller"
	Callee Party = "callee"
	System Party = "system"    // the gateway: refusal, time limit, lost media, a failed commit
	Admin  Party = "admin"     // a person or a program over the API
	Lost   Party = "node_lost" // the gateway died
)

// Call is one call as its events tell it: the record. Apply builds it; nothing else writes it.
type Call struct {
	ID        ID        `json:"id"`
	Version   uint64    `json:"version"` // Seq of the last event applied
	State     State     `json:"state"`
	Tenant    string    `json:"tenant"`
	LinkedID  ID        `json:"linkedId"` // the first call of a family (transfer, forward); its own id otherwise
	Node      string    `json:"node"`
	Epoch     uint64    `json:"epoch"` // counts the starts of that node
	Origin    string    `json:"origin"`
	SessionID string    `json:"sessionId,omitempty"` // of the RPC session that drives the call
	App       string    `json:"app,omitempty"`       // id of the application that made the call
	Direction Direction `json:"direction"`

	User  string `json:"user,omitempty"`  // id of the user who calls
	Trunk string `json:"trunk,omitempty"` // id of the trunk the call came from; of a user's call, the one it was last tried on
	Route string `json:"route,omitempty"` // id of the route that was taken
	Payer string `json:"payer,omitempty"` // id of the user who pays: the last who has forwarded the call, else who calls

	From  string `json:"from"` // as it came: user part or number
	To    string `json:"to"`
	FromN string `json:"fromNumber,omitempty"` // the numbers that they are, E.164 if that is understood; ToN is the one that the route made
	ToN   string `json:"toNumber,omitempty"`

	// P-Charging-Vector of a trusted trunk's INVITE (RFC 7315 4.6): it names the call in the records of all networks on its way.
	ICID    string `json:"icid,omitempty"`
	ICIDAt  string `json:"icidGeneratedAt,omitempty"` // host that made the ICID
	OrigIOI string `json:"origIoi,omitempty"`         // network that the call comes from
	TermIOI string `json:"termIoi,omitempty"`         // network that it goes to

	SetupAt      time.Time  `json:"setupAt"`
	ProgressAt   *time.Time `json:"progressAt,omitempty"`   // first 18x of the callee
	EarlyMediaAt *time.Time `json:"earlyMediaAt,omitempty"` // first 18x with SDP
	AnsweredAt   *time.Time `json:"answeredAt,omitempty"`
	EndedAt      *time.Time `json:"endedAt,omitempty"`

	// Durations come from the monotonic clock: a step of the wall clock changes none of them. Milliseconds.
	PDD      *int64 `json:"pddMs,omitempty"`  // INVITE of the caller to the first 18x or 2xx of the callee (ITU-T E.431 post-dialling delay)
	Ring     *int64 `json:"ringMs,omitempty"` // first 18x to the answer or the end
	Duration int64  `json:"durationMs"`
	Bill     int64  `json:"billMs"` // answer to end; 0 if never answered

	EndedBy    Party `json:"endedBy,omitempty"`
	Cause      Cause `json:"cause"`
	Attempts   int   `json:"attempts"`
	Transcoded bool  `json:"transcoded"`
	Incomplete bool  `json:"incomplete,omitempty"` // the end is an estimate, or events are missing
	PartialNo  int   `json:"partialNo,omitempty"`  // how often it was put on record while it went on

	// What its buckets say together; nil while nothing was measured.
	MOSMin     *float64 `json:"mosMin,omitempty"`     // of ten seconds of a leg's stream
	MOSAvg     *float64 `json:"mosAvg,omitempty"`     // of all of them
	OneWay     bool     `json:"oneWay,omitempty"`     // a party was sent media and was never heard, though the other was
	FASSuspect bool     `json:"fasSuspect,omitempty"` // the callee's side sent nothing within 2 s of its answer: it may not be there (false answer supervision)

	Legs []*Leg `json:"legs,omitempty"`

	startMono int64
	answMono  int64
	ringMono  int64
	brought   bool // by a trunk
	mosSum    float64
	mosSpan   float64 // ms that mosSum is over
}

// Live reports whether the call has no end yet.
func (c *Call) Live() bool { return c.State == Open || c.State == Partial }

// Role of a leg in its call.
type Role string

const (
	CallerLeg Role = "caller"
	CalleeLeg Role = "callee"
)

// Leg is one party's side of a call, or one failed attempt to reach a party.
type Leg struct {
	No        int       `json:"leg"`     // 1 is the caller; attempts follow
	Attempt   int       `json:"attempt"` // 0 for the caller, from 1 for each try to reach a callee
	Role      Role      `json:"role"`
	Kind      string    `json:"kind"` // sip, webrtc, rtp, app
	Direction Direction `json:"direction"`
	User      string    `json:"user,omitempty"`
	Trunk     string    `json:"trunk,omitempty"`
	Transport string    `json:"transport,omitempty"` // udp, tcp, tls, ws, wss

	SIPCallID  string `json:"sipCallId,omitempty"`
	LocalTag   string `json:"localTag,omitempty"`
	RemoteTag  string `json:"remoteTag,omitempty"`
	FromURI    string `json:"fromUri,omitempty"`
	ToURI      string `json:"toUri,omitempty"`
	RequestURI string `json:"requestUri,omitempty"`
	Contact    string `json:"contact,omitempty"`
	PAI        string `json:"pai,omitempty"`
	Diversion  string `json:"diversion,omitempty"`
	Claims
	UserAgent  string         `json:"userAgent,omitempty"`
	Signalling netip.AddrPort `json:"signalling"` // the peer's

	InviteAt   time.Time  `json:"inviteAt"`
	ProgressAt *time.Time `json:"progressAt,omitempty"`
	AnsweredAt *time.Time `json:"answeredAt,omitempty"`
	EndedAt    *time.Time `json:"endedAt,omitempty"`
	PDD        *int64     `json:"pddMs,omitempty"`
	EarlyMedia bool       `json:"earlyMedia,omitempty"`
	Media      Media      `json:"media"`
	Quality    *Quality   `json:"quality,omitempty"`
	In         *Bucket    `json:"in,omitempty"` // the whole leg, once it is over: what came from the party
	Out        *Bucket    `json:"out,omitempty"`
	Cause      Cause      `json:"cause"`
	HungUp     bool       `json:"hungUp,omitempty"` // this party ended the call

	// Of an answered call, by the monotonic clock: how long the leg has talked in it, and how long after the call's answer that began; ms.
	Talk     int64    `json:"talkMs,omitempty"`
	TalkFrom int64    `json:"talkFromMs,omitempty"`
	Carried  *Carried `json:"carried,omitempty"` // what it is rated by, if it came from another call

	// Dialog is what the SIP stack needs to end the leg after a crash; opaque here.
	Dialog json.RawMessage `json:"-"`

	inviteMono int64
	answMono   int64
	leftMono   int64 // it left a call that goes on; 0: it didn't
}

// Claims are what an INVITE says of its caller and its way beside From, P-Asserted-Identity and Diversion: the header fields as they came or
// left, several values with commas between, each clipped to 1,000 characters; "" where there was none. Of a party that isn't trusted
// only its wishes are here, PPI and Privacy.
type Claims struct {
	PPI         string `json:"ppi,omitempty"`               // P-Preferred-Identity (RFC 3325 9.2)
	RPID        string `json:"rpid,omitempty"`              // Remote-Party-ID
	Privacy     string `json:"privacy,omitempty"`           // RFC 3323 4.2
	HistoryInfo string `json:"historyInfo,omitempty"`       // RFC 7044
	Charging    string `json:"chargingVector,omitempty"`    // P-Charging-Vector (RFC 7315 4.6)
	Access      string `json:"accessNetworkInfo,omitempty"` // P-Access-Network-Info (RFC 7315 4.4)
}

// Media is what a leg's offer and answer agreed on.
type Media struct {
	Codec      string         `json:"codec,omitempty"` // PCMU/8000
	Ptime      int            `json:"ptime,omitempty"` // ms
	DTMF       string         `json:"dtmf,omitempty"`  // rfc4733, info, inband, none
	SRTP       string         `json:"srtp,omitempty"`  // none, sdes, dtls
	Direction  string         `json:"direction,omitempty"`
	Local      netip.AddrPort `json:"local"`
	Remote     netip.AddrPort `json:"remote"`
	Transcoded bool           `json:"transcoded,omitempty"`
}

// Quality is what a leg's RTP endpoint counted (RFC 3550). Received means from the peer, sent means to it.
type Quality struct {
	Received    uint64  `json:"received"`
	ReceivedB   uint64  `json:"receivedBytes"`
	Sent        uint64  `json:"sent"`
	SentB       uint64  `json:"sentBytes"`
	Lost        int64   `json:"lost"` // RFC 3550 6.4.1 cumulative; may be negative after duplicates
	Duplicate   uint64  `json:"duplicate"`
	Reordered   uint64  `json:"reordered"`
	JitterMS    float64 `json:"jitterMs"` // RFC 3550 6.4.1, at the end
	JitterMaxMS float64 `json:"jitterMaxMs"`
	RTTMS       float64 `json:"rttMs,omitempty"` // of the last RTCP report; 0 = unknown
	RemoteLost  int64   `json:"remoteLost"`      // what the peer reports of what we sent
	RemoteJit   float64 `json:"remoteJitterMs,omitempty"`
	Rejected    uint64  `json:"rejected"`              // packets from a source that the leg isn't locked to
	FirstRTPMS  *int64  `json:"firstRtpMs,omitempty"`  // from the leg's answer to the first packet
	LastRTPMono int64   `json:"lastRtpMono,omitempty"` // monotonic ns of the last packet received; 0 = none
}

// Dialled is the number that was called, as far as it is understood: what routes are found by.
func (c *Call) Dialled() string {
	if c.ToN != "" {
		return c.ToN
	}
	return c.To
}

// Leg returns the leg with that number, or nil.
func (c *Call) Leg(no int) *Leg {
	for _, l := range c.Legs {
		if l.No == no {
			return l
		}
	}
	return nil
}
