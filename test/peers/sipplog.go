package peers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxSIPpMessage bounds one message of the log: a UDP datagram can't be longer.
const maxSIPpMessage = 65536

// ParseSIPpLog reads what SIPp 3.6 writes with -trace_msg: a dashed line with the
// time, a line that says sent or received and how many bytes, an empty line,
// the message, an empty line. Times are taken as UTC. A message that the log
// ends in the middle of is left out.
func ParseSIPpLog(r io.Reader) ([]Message, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	// "UDP message sent (509 bytes):" and "UDP message received [309] bytes :"
	size := regexp.MustCompile(`^\S+ message (sent|received) [\[(](\d+)[\])]? ?bytes`)
	var out []Message
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		stamp, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "-----------------------------------------------")
		if !ok {
			continue
		}
		if strings.TrimSpace(stamp) == "" {
			continue // "Dead call": a message after its call, also in the error log
		}
		at, err := time.Parse("2006-01-02 15:04:05.000000", strings.Join(strings.Fields(stamp), " "))
		if err != nil {
			return out, fmt.Errorf("time %q, expected like 2006-01-02 15:04:05.000000", stamp)
		}
		line, _ = in.ReadString('\n')
		f := size.FindStringSubmatch(line)
		if f == nil {
			continue // such as "Discarded message"
		}
		n, err := strconv.Atoi(f[2])
		if err != nil || n > maxSIPpMessage {
			return out, fmt.Errorf("message of %s bytes, expected at most %d", f[2], maxSIPpMessage)
		}
		_, _ = in.ReadString('\n')
		raw := make([]byte, n)
		if _, err := io.ReadFull(in, raw); err != nil {
			return out, nil
		}
		m, ok := ParseMessage(string(raw))
		if !ok {
			continue
		}
		m.At, m.Sent = at, f[1] == "sent"
		out = append(out, m)
	}
}

// Party is one side of a call.
type Party string

// The two sides, and nobody.
const (
	Nobody Party = ""
	Caller Party = "caller"
	Callee Party = "callee"
)

// Call is what a log tells of one call: all of one Call-ID.
type Call struct {
	ID       string
	Number   string // user of the first INVITE's Request-URI
	Outgoing bool   // the log's program is the caller
	Status   int    // the final status of the (last) INVITE; the first 2xx if there are several; 0: none
	Cause    int    // Q.850, of the BYE or else of the final response or else of the CANCEL; 0: none given
	HungUp   Party  // who sent the first BYE, or, with none, the CANCEL; Nobody if the callee refused
	Tags     int    // different To-tags in responses above 100 to INVITE
	Accepted int    // different To-tags in 2xx to INVITE

	Invite, Progress, Answered, Bye, Cancel, Ended time.Time // first INVITE, first 18x, first 2xx, BYE, CANCEL; the last message
	Messages                                       []Message
}

// Calls sorts messages into calls, in the order of their first message. What has no
// INVITE (a registration, OPTIONS) is not a call.
func Calls(messages []Message) []Call {
	byID := map[string]*Call{}
	var order []*Call
	for _, m := range messages {
		id := m.Header("Call-ID")
		c := byID[id]
		if c == nil {
			if !m.Request("INVITE") {
				continue
			}
			c = &Call{ID: id, Outgoing: m.Sent, Number: userOf(m.Start), Invite: m.At}
			byID[id] = c
			order = append(order, c)
		}
		c.Messages = append(c.Messages, m)
	}
	out := make([]Call, 0, len(order))
	for _, c := range order {
		c.sum()
		out = append(out, *c)
	}
	return out
}

func (c *Call) sum() {
	tags, accepted := map[string]bool{}, map[string]bool{}
	var byeCause, finalCause, cancelCause int
	for _, m := range c.Messages {
		c.Ended = m.At
		who := Callee
		if m.Sent == c.Outgoing {
			who = Caller
		}
		switch {
		case m.Request("BYE"):
			if c.Bye.IsZero() {
				c.Bye, c.HungUp, byeCause = m.At, who, m.Cause()
			}
		case m.Request("CANCEL"):
			if c.Cancel.IsZero() {
				c.Cancel, cancelCause = m.At, m.Cause()
			}
		case m.Method == "INVITE" && m.Status > 100:
			tags[m.Tag("To")] = true
			switch {
			case m.Status < 200:
				if m.Status >= 180 && c.Progress.IsZero() {
					c.Progress = m.At
				}
			case m.Status < 300:
				accepted[m.Tag("To")] = true
				if c.Answered.IsZero() {
					c.Answered, c.Status = m.At, m.Status
				}
			case c.Answered.IsZero() && m.Status != 401 && m.Status != 407:
				c.Status, finalCause = m.Status, m.Cause()
			case c.Answered.IsZero() && c.Status == 0:
				c.Status = m.Status
			}
		}
	}
	if c.HungUp == Nobody && !c.Cancel.IsZero() && c.Answered.IsZero() {
		c.HungUp = Caller
	}
	delete(tags, "")
	c.Tags, c.Accepted = len(tags), len(accepted)
	for _, cause := range []int{byeCause, finalCause, cancelCause} {
		if c.Cause == 0 {
			c.Cause = cause
		}
	}
}

// userOf is the user part of a request line's URI.
func userOf(line string) string {
	f := strings.Fields(line)
	if len(f) < 2 {
		return ""
	}
	_, uri, _ := strings.Cut(f[1], ":")
	user, _, ok := strings.Cut(uri, "@")
	if !ok {
		return ""
	}
	user, _, _ = strings.Cut(user, ";")
	return user
}
