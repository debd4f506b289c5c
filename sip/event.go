package sip

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// Kind says what an Event tells.
type Kind uint8

// The kinds of events. The order of a dialog's events is the order of its messages.
const (
	KindTrying   Kind = iota + 1 // 100 came (dialed)
	KindProgress                 // 101-199 came (dialed); Tag names the early dialog, Body may be an answer
	KindAnswered                 // the first 2xx came and was ACKed (dialed); Tag names the winner
	KindForked                   // a further 2xx came from another fork (dialed): ACKed and BYEd already
	KindOffer                    // re-INVITE or UPDATE with SDP from the peer; Offer must be answered or rejected
	KindAcked                    // ACK for our 2xx came; Body is the answer if we offered
	KindPracked                  // PRACK with the answer to the offer in our provisional response came, as Body (inbound)
	KindRefer                    // REFER from the peer; Refer must be accepted or rejected
	KindInfo                     // INFO from the peer, answered 200 already
	KindNotify                   // NOTIFY from the peer, answered 200 already; for a REFER, Status and Phrase are the sipfrag's
	KindMoved                    // the INVITE goes to another server, at Phrase, since the one before failed (dialed)
	KindEnded                    // the last event; the channel closes after it
)

// String names the kind.
func (k Kind) String() string {
	names := [...]string{"", "trying", "progress", "answered", "forked", "offer", "acked", "pracked", "refer", "info", "notify", "moved", "ended"}
	if int(k) < len(names) {
		return names[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// By says who brought something about.
type By uint8

// Who ended a dialog.
const (
	ByPeer      By = iota + 1 // its message: final response, CANCEL, BYE
	ByLocal                   // a call of ours: Hangup, Reject, a cancelled context
	ByTimeout                 // nobody answered in time, or no ACK came
	ByTransport               // the message couldn't be sent, or the connection broke
)

// String names who.
func (b By) String() string {
	switch b {
	case ByPeer:
		return "peer"
	case ByLocal:
		return "local"
	case ByTimeout:
		return "timeout"
	case ByTransport:
		return "transport"
	}
	return "nobody"
}

// Event is something that happened in a dialog.
type Event struct {
	Kind    Kind
	Status  int    // of the response; of KindEnded: the final status that ended an INVITE, 0 for BYE
	Phrase  string // reason phrase of the response
	Method  string // of the request that came (KindOffer: INVITE or UPDATE; KindEnded: BYE or CANCEL), or ""
	Tag     string // To-tag of the early dialog (dialed)
	Body    []byte
	Content string  // Content-Type of Body
	Headers Headers // of the message that brought the event; nil if none did
	Reason  Reason  // RFC 3326, Q.850 preferred; zero if none was given
	Reasons []Reason
	By      By // KindEnded
	Err     error
	At      time.Time // when the message came; carries the monotonic clock

	Offer *Offer        // KindOffer
	Refer *ReferRequest // KindRefer
}

// Reason is a value of the Reason header field (RFC 3326). Its cause is passed on as the peer wrote it.
type Reason struct {
	Protocol string `json:"protocol,omitempty"` // "Q.850", "SIP", …
	Cause    int    `json:"cause,omitempty"`
	Text     string `json:"text,omitempty"`
}

// IsZero tells whether there is no reason.
func (r Reason) IsZero() bool { return r.Protocol == "" }

// String writes the header field's value.
func (r Reason) String() string {
	if r.IsZero() {
		return ""
	}
	s := r.Protocol
	if r.Cause != 0 {
		s += ";cause=" + strconv.Itoa(r.Cause)
	}
	if r.Text != "" {
		s += ";text=" + wire.Quote(r.Text)
	}
	return s
}

func (r Reason) check() error {
	if r.IsZero() {
		return nil
	}
	if !wire.IsToken(r.Protocol) {
		return fmt.Errorf("sip: Reason.Protocol %q: expected a token such as Q.850 or SIP", r.Protocol)
	}
	if r.Cause < 0 || r.Cause > 999 {
		return fmt.Errorf("sip: Reason.Cause %d: expected 0 to 999", r.Cause)
	}
	return wire.Safe("Reason.Text", r.Text)
}

// Reasons reads all values of the Reason header fields, in order.
func Reasons(h Headers) []Reason {
	var out []Reason
	for _, v := range h.Values("Reason") {
		proto, _, _ := strings.Cut(v, ";")
		proto = strings.TrimSpace(proto)
		if !wire.IsToken(proto) {
			continue
		}
		r := Reason{Protocol: proto}
		if c, ok := wire.Param(v, "cause"); ok {
			if n, err := strconv.Atoi(c); err == nil && n >= 0 && n <= 999 {
				r.Cause = n
			}
		}
		r.Text, _ = wire.Param(v, "text")
		out = append(out, r)
	}
	return out
}

func preferred(reasons []Reason) Reason {
	for _, r := range reasons {
		if strings.EqualFold(r.Protocol, "Q.850") {
			return r
		}
	}
	if len(reasons) > 0 {
		return reasons[0]
	}
	return Reason{}
}
