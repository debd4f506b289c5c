package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// reason is a cause as the header tells it (RFC 3326).
func reason(c call.Cause) sip.Reason {
	if c.Q850 == call.ElsewhereDone.Q850 {
		return sip.Reason{Protocol: "SIP", Cause: 200, Text: "Call completed elsewhere"}
	}
	// What a peer said goes on as it was said, if its protocol means something everywhere.
	if said := sip.Reasons(sip.Headers{{Name: "Reason", Value: c.Raw}}); c.Raw != "" && len(said) > 0 {
		if r := said[0]; strings.EqualFold(r.Protocol, "SIP") || strings.EqualFold(r.Protocol, "Q.850") {
			r.Text = headerText(r.Text)
			return r
		}
	}
	if c.Q850 == 0 {
		return sip.Reason{}
	}
	return sip.Reason{Protocol: "Q.850", Cause: c.Q850, Text: headerText(c.Text)}
}

// headerText keeps a cause's words fit for a header: one line of printable ASCII, short.
func headerText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), 120)]
}

// endOf reads who ended a dialog and why.
func (l *sipLeg) endOf(e sip.Event) LegEvent {
	ev := LegEvent{At: e.At, Status: e.Status, Phrase: e.Phrase, ByPeer: e.By == sip.ByPeer, Headers: e.Headers}
	c := call.Normal
	switch {
	case e.By == sip.ByTimeout && l.role == call.CalleeLeg && l.answered.Load() == 0 && l.progress.Load():
		c = call.NoAnswer
	case e.By == sip.ByTimeout && l.role == call.CalleeLeg && l.answered.Load() == 0:
		c = call.NoResponse
	case e.By == sip.ByTimeout && l.role == call.CallerLeg && !l.acks.Load():
		c = call.NoAck
	case e.By == sip.ByTimeout: // a request within the call
		c = call.Cause{Q850: 102, Text: "the peer doesn't answer any more"}
	case e.By == sip.ByTransport:
		c = call.Cause{Q850: 38, SIP: 503, Text: "transport failed"}
		if e.Err != nil {
			c.Text = e.Err.Error()
		}
	case e.Method == "CANCEL":
		c = call.Cancelled
	case e.Status >= 300:
		c = call.FromStatus(e.Status, e.Phrase)
		if w := e.Headers.Get("Warning"); w != "" {
			c.Text = e.Phrase + "; " + w
		}
		ev.Later = retryAfter(e.Headers.Get("Retry-After"))
		if e.Status < 400 {
			ev.Contacts = e.Headers.Values("Contact")
		}
	}
	if !e.Reason.IsZero() {
		c.Raw = e.Reason.String()
		if strings.EqualFold(e.Reason.Protocol, "Q.850") && e.Reason.Cause > 0 && e.Reason.Cause < 128 {
			c.Q850 = e.Reason.Cause
		}
		if e.Reason.Text != "" {
			c.Text = e.Reason.Text
		}
	}
	ev.Cause = c
	return ev
}

// retryAfter reads a Retry-After header's seconds (RFC 3261 20.33); 0 = there is none that can be read.
func retryAfter(v string) time.Duration {
	v = strings.TrimSpace(v)
	if i := strings.IndexAny(v, " ;(\t"); i >= 0 {
		v = v[:i]
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// phrase is the reason phrase of a refusal: the standard one, so that logs of all peers read alike.
func phrase(status int, c call.Cause) string {
	if p, ok := phrases[status]; ok {
		return p
	}
	if t := headerText(c.Text); t != "" {
		return t
	}
	return "Call Failed"
}

// warning is a Warning header (RFC 3261 20.43).
func warning(code int, text, agent string) sip.Header {
	if agent == "" {
		agent = "patchbay"
	}
	return sip.Header{Name: "Warning", Value: fmt.Sprintf("%d %s \"%s\"", code, agent, headerText(text))}
}

func reasonHeader(c call.Cause) []sip.Header {
	r := reason(c)
	if r.IsZero() {
		return nil
	}
	return []sip.Header{{Name: "Reason", Value: r.String()}}
}
