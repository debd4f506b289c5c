package leg

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// Kind says what an Event tells.
type Kind uint8

// The kinds of events.
const (
	Trying   Kind = iota + 1 // the peer has the INVITE
	Progress                 // 101 to 199; Early: with media
	Answered                 // dialed: 2xx came; inbound: the peer has confirmed our 2xx
	Flowing                  // the peer's media came for the first time, or again after Silent
	Silent                   // no media came for a while
	Digit                    // the peer sent a DTMF digit
	Held                     // the peer doesn't want to hear us
	Resumed                  // it does again
	Forked                   // a further party answered and was hung up
	Ended                    // the last event
)

// Event is something that happened on a leg.
type Event struct {
	Kind    Kind
	At      time.Time
	Status  int    // of a response; of Ended: the final status if the INVITE failed
	Phrase  string // as the peer wrote it
	Early   bool
	Digit   byte
	InMedia bool   // the digit came as telephone-event; else by INFO
	By      sip.By // Ended
	Reason  sip.Reason
	Err     error
}

// infoDigit reads the digit of an INFO: application/dtmf-relay with "Signal=5", or application/dtmf with "5".
func infoDigit(content string, body []byte) (byte, bool) {
	if len(body) > 256 {
		return 0, false
	}
	ctype, _, _ := strings.Cut(content, ";")
	switch strings.ToLower(strings.TrimSpace(ctype)) {
	case "application/dtmf":
		return digit(string(bytes.TrimSpace(body)))
	case "application/dtmf-relay":
		for line := range strings.Lines(string(body)) {
			key, value, _ := strings.Cut(line, "=")
			if strings.EqualFold(strings.TrimSpace(key), "signal") {
				return digit(strings.TrimSpace(value))
			}
		}
	}
	return 0, false
}

// digit reads one digit, also written as the number of its event (10 is *, 11 is #, 12 to 15 are A to D).
func digit(s string) (byte, bool) {
	const digits = "0123456789*#ABCD"
	if len(s) == 1 {
		if i := strings.IndexByte(digits, strings.ToUpper(s)[0]); i >= 0 {
			return digits[i], true
		}
	}
	if n, err := strconv.Atoi(s); err == nil && len(s) == 2 && n >= 10 && n < len(digits) {
		return digits[n], true
	}
	return 0, false
}

// String is the event in words.
func (e Event) String() string {
	switch e.Kind {
	case Trying:
		return "the INVITE has arrived"
	case Progress:
		s := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Phrase))
		if e.Early {
			s += ", with early media"
		}
		return s
	case Answered:
		return "answered"
	case Flowing:
		return "audio comes from " + e.Phrase
	case Silent:
		return "no audio comes any more"
	case Digit:
		if !e.InMedia {
			return "DTMF " + string(e.Digit) + " by INFO"
		}
		return "DTMF " + string(e.Digit)
	case Held:
		return "held by the peer"
	case Resumed:
		return "resumed by the peer"
	case Forked:
		return "a further party answered and was hung up"
	case Ended:
		return "ended by " + Who(e.By) + e.why()
	}
	return "event " + strconv.Itoa(int(e.Kind))
}

// why is what ended a call.
func (e Event) why() string {
	var s string
	if e.Status != 0 {
		s = fmt.Sprintf(", %d %s", e.Status, e.Phrase)
	}
	if !e.Reason.IsZero() {
		s += ", " + e.Reason.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}
