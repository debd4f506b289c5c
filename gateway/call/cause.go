package call

import (
	"fmt"
	"strings"
)

// Cause says why a call or a leg ended. Q850 is the value of ITU-T Q.850 2.2.7 (1 to 127), SIP the final status or 0.
type Cause struct {
	Q850 int    `json:"q850"`
	SIP  int    `json:"sip,omitempty"`
	Text string `json:"text,omitempty"` // the peer's own words (reason phrase or Reason text), or ours
	Raw  string `json:"raw,omitempty"`  // the Reason header as it came (RFC 3326)
}

// IsZero reports whether nothing is known.
func (c Cause) IsZero() bool { return c == Cause{} }

func (c Cause) String() string {
	s := fmt.Sprintf("Q.850 %d", c.Q850)
	if n := name(c.Q850); n != "" {
		s += " " + n
	}
	if c.SIP != 0 {
		s += fmt.Sprintf(", SIP %d", c.SIP)
	}
	if c.Text != "" && !strings.EqualFold(c.Text, name(c.Q850)) {
		s += " (" + c.Text + ")"
	}
	return s
}

// Causes that the gateway itself gives.
var (
	Normal        = Cause{Q850: 16, SIP: 0, Text: "normal call clearing"}
	Cancelled     = Cause{Q850: 16, SIP: 487, Text: "caller hung up before the answer"}
	ElsewhereDone = Cause{Q850: 26, SIP: 487, Text: "answered elsewhere"}
	NoAnswer      = Cause{Q850: 19, SIP: 480, Text: "no answer"}
	NoRoute       = Cause{Q850: 3, SIP: 404, Text: "no route for this number"}
	Unallocated   = Cause{Q850: 1, SIP: 404, Text: "unknown number"}
	Offline       = Cause{Q850: 20, SIP: 480, Text: "user is not registered"}
	NoCodec       = Cause{Q850: 88, SIP: 488, Text: "no codec in common"}
	NoResponse    = Cause{Q850: 18, SIP: 408, Text: "no response"}
	NoAck         = Cause{Q850: 102, SIP: 0, Text: "no ACK for the answer"}
	MediaLost     = Cause{Q850: 41, SIP: 0, Text: "no media"}
	TooLong       = Cause{Q850: 16, SIP: 0, Text: "maximum duration reached"}
	Congested     = Cause{Q850: 42, SIP: 503, Text: "gateway is at its limit"}
	JournalDown   = Cause{Q850: 41, SIP: 503, Text: "records can't be written"}
	ShuttingDown  = Cause{Q850: 31, SIP: 503, Text: "gateway is stopping"}
	NodeLost      = Cause{Q850: 41, SIP: 0, Text: "gateway died; the end is the last sign of life"}
	Transferred   = Cause{Q850: 16, SIP: 0, Text: "transferred"}
	SessionLost   = Cause{Q850: 31, SIP: 0, Text: "session lost"}
	NoApp         = Cause{Q850: 20, SIP: 480, Text: "no application takes the call"}
	Failure       = Cause{Q850: 41, SIP: 500, Text: "internal failure"}
)

// row maps a SIP final status and a Q.850 cause onto each other: RFC 3398 7.2.4.1 and 8.2.6.1, with the additions of
// TS 29.163 tables 8 and 9 for statuses that RFC 3398 leaves out.
type row struct {
	q850   int
	status int
	name   string
}

// byCause: Q.850 to the status we send.
var byCause = [...]row{
	{1, 404, "unallocated number"}, {2, 404, "no route to network"}, {3, 404, "no route to destination"},
	{16, 480, "normal call clearing"}, {17, 486, "user busy"}, {18, 408, "no user responding"}, {19, 480, "no answer from user"},
	{20, 480, "subscriber absent"}, {21, 403, "call rejected"}, {22, 410, "number changed"},
	{23, 410, "redirection to new destination"}, {26, 404, "non-selected user clearing"}, {27, 502, "destination out of order"},
	{28, 484, "invalid number format"}, {29, 501, "facility rejected"}, {31, 480, "normal, unspecified"},
	{34, 503, "no circuit available"}, {38, 503, "network out of order"}, {41, 503, "temporary failure"},
	{42, 503, "switching equipment congestion"}, {47, 503, "resource unavailable"}, {55, 403, "incoming calls barred within CUG"},
	{57, 403, "bearer capability not authorised"}, {58, 503, "bearer capability not available"},
	{65, 488, "bearer capability not implemented"}, {70, 488, "only restricted digital information"},
	{79, 501, "service not implemented"}, {87, 403, "user not member of CUG"}, {88, 488, "incompatible destination"},
	{102, 504, "recovery on timer expiry"}, {111, 500, "protocol error"}, {127, 500, "interworking"},
}

// byStatus: SIP status to the cause we record.
var byStatus = [...]row{
	{status: 400, q850: 41}, {status: 401, q850: 21}, {status: 402, q850: 21}, {status: 403, q850: 21},
	{status: 404, q850: 1}, {status: 405, q850: 63}, {status: 406, q850: 79}, {status: 407, q850: 21},
	{status: 408, q850: 102}, {status: 410, q850: 22}, {status: 413, q850: 127}, {status: 414, q850: 127},
	{status: 415, q850: 79}, {status: 416, q850: 127}, {status: 420, q850: 127}, {status: 421, q850: 127},
	{status: 423, q850: 127}, {status: 480, q850: 18}, {status: 481, q850: 41}, {status: 482, q850: 25},
	{status: 483, q850: 25}, {status: 484, q850: 28}, {status: 485, q850: 1}, {status: 486, q850: 17},
	{status: 487, q850: 16}, {status: 488, q850: 88}, {status: 500, q850: 41}, {status: 501, q850: 79},
	{status: 502, q850: 38}, {status: 503, q850: 41}, {status: 504, q850: 102}, {status: 505, q850: 127},
	{status: 513, q850: 127}, {status: 580, q850: 47}, {status: 600, q850: 17}, {status: 603, q850: 21},
	{status: 604, q850: 1}, {status: 606, q850: 88},
}

// FromStatus is the cause of a SIP final response (300 to 699) without a Reason header. A success is Normal.
func FromStatus(status int, phrase string) Cause {
	c := Cause{Q850: 31, SIP: status, Text: phrase}
	if status >= 200 && status < 300 {
		return Normal
	}
	for _, r := range byStatus {
		if r.status == status {
			c.Q850 = r.q850
		}
	}
	return c
}

// Status is the SIP final status that tells this cause to a caller: the status it came with, else the table's. What
// was between us and the far side doesn't concern the caller, who couldn't answer it: a redirection is 480, a challenge
// that we didn't meet 502.
func (c Cause) Status() int {
	switch {
	case c.SIP >= 300 && c.SIP < 400:
		return 480
	case c.SIP == 401 || c.SIP == 407:
		return 502
	case c.SIP >= 400 && c.SIP < 700:
		return c.SIP
	}
	for _, r := range byCause {
		if r.q850 == c.Q850 {
			return r.status
		}
	}
	return 480
}

// Public is the cause as others may hear it: what we found wrong on our side stays in the record.
func (c Cause) Public() Cause {
	c.Text = name(c.Q850)
	return c
}

// Class says what a failed attempt means for the next one.
type Class int

const (
	// Final: the callee itself has spoken (busy, declined, unknown number); another way would say the same.
	Final Class = iota
	// Retry: the way failed, not the callee; the next hop may do better.
	Retry
)

// Class of the cause: network failures and overload are Retry, everything that a person or a number decided is Final.
func (c Cause) Class() Class {
	switch c.SIP {
	case 401, 407, 408, 500, 502, 503, 504:
		return Retry
	case 0:
		switch c.Q850 {
		case 34, 38, 41, 42, 47, 27, 2:
			return Retry
		}
	}
	return Final
}

func name(q int) string {
	for _, r := range byCause {
		if r.q850 == q {
			return r.name
		}
	}
	return ""
}
