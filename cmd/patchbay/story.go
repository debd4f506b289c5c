package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// story tells one call in plain words, a line for everything that decided its way.
type story struct {
	c     *call.Call
	zone  *time.Location
	mono  int64 // of the first event
	lines []string
	held  map[int]bool
	dtmf  []dialled
}

// dialled are the DTMF digits of one leg since the last line.
type dialled struct {
	leg  int
	text string
	mono int64 // of the last digit
}

// tell is the text of `why`. Times are in the zone; later lines count from the first event.
func tell(c *call.Call, events []call.Event, zone *time.Location) string {
	s := &story{c: c, zone: zone, held: map[int]bool{}}
	for i, e := range events {
		if i == 0 {
			s.mono = e.Mono
		}
		s.event(e)
	}
	s.digits()
	s.ending()
	return strings.Join(s.lines, "\n") + "\n"
}

func (s *story) say(when, format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf("%13s  %s", when, plain(fmt.Sprintf(format, args...))))
}

// after is how long the call had lasted at a reading of its clock.
func (s *story) after(mono int64) string {
	d := time.Duration(max(0, mono-s.mono))
	switch {
	case d < time.Second:
		return fmt.Sprintf("+%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("+%.2f s", d.Seconds())
	}
	return "+" + d.Round(time.Second).String()
}

func (s *story) event(e call.Event) {
	when := s.after(e.Mono)
	if d, ok := e.Data.(call.DTMF); ok {
		s.digit(e, d)
		return
	}
	switch e.Data.(type) {
	case call.Interim, call.Measured, call.Dialog, call.Negotiated, call.Bridge:
		return // the record says it better than a line each
	}
	s.digits()
	switch d := e.Data.(type) {
	case call.Start:
		s.start(e, d)
	case call.Decision:
		if d.Refuse {
			s.say(when, "refused: %s", strings.TrimPrefix(d.Text, "refused: "))
		} else {
			s.say(when, "%s", d.Text)
		}
	case call.LegNew:
		if moved := d.Role == call.CalleeLeg && d.Attempt == 0 || e.Leg == 1 && len(s.lines) > 2; moved {
			s.say(when, "%s comes over from the other call%s", s.who(e.Leg), at(d))
		} else if d.Role == call.CalleeLeg {
			s.say(when, "attempt %d: %s%s", d.Attempt, s.who(e.Leg), at(d))
		}
	case call.Progress:
		s.progress(e, d, when)
	case call.Answer:
		s.answer(e, when)
	case call.Hold:
		s.held[e.Leg] = true
		s.say(when, "%s holds", s.who(e.Leg))
	case call.Resume:
		if s.held[e.Leg] {
			s.say(when, "%s resumes", s.who(e.Leg))
		}
		s.held[e.Leg] = false
	case call.Transfer:
		how := "blindly"
		if d.Attended {
			how = "after asking"
		}
		as := ""
		if !d.Linked.IsZero() && !strings.Contains(d.To, d.Linked.String()) {
			as = ", as call " + d.Linked.String()
		}
		s.say(when, "%s transfers %s to %s%s", s.who(e.Leg), how, d.To, as)
	case call.Forward:
		s.forward(d, when)
	case call.Alarm:
		s.say(when, "alarm: %s", d.Text)
	case call.Link:
		if d.LinkedID != s.c.ID {
			s.say(when, "it is joined with call %s", d.LinkedID)
		}
	case call.Rated: // by the keeper of records, which has no clock of the call's
		s.rated("", "costs", d.Ratings)
	case call.Rerated:
		s.rated(e.At.In(s.zone).Format(time.DateOnly), "is rated again: it costs", d.Ratings)
	case call.Note:
		s.say(when, "note: %s", d.Text)
	case call.LegEnd:
		s.legEnd(e, d, when)
	case call.End:
		s.end(when, d.By, d.Cause)
	case call.PartialRecord:
		s.say(when, "it goes on: partial record %d", d.No)
	case call.RecoveredEnd:
		s.say(s.after(d.EndMono), "last sign of life; the gateway died, the next start closed the record%s", and(d.Text))
	}
}

func and(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func (s *story) start(e call.Event, d call.Start) {
	from := "a caller"
	switch {
	case d.User != "":
		from = "user " + d.User
	case d.Trunk != "":
		from = "trunk " + d.Trunk
	case d.App != "":
		from = "application " + d.App
	case d.Origin == "jsonrpc":
		from = "an application"
	}
	if d.App != "" && d.User != "" {
		from = "application " + d.App + " for " + from
	}
	if d.From != "" && d.From != d.User {
		from += " (" + d.From + ")"
	}
	s.lines = append(s.lines, plain(fmt.Sprintf("Call %s, tenant %s, node %s", e.Call, d.Tenant, d.Node)))
	s.say(e.At.In(s.zone).Format("15:04:05.000"), "on %s, %s calls %s", e.At.In(s.zone).Format("2006-01-02 MST"), from, d.To)
}

func at(d call.LegNew) string {
	to := ""
	if d.RequestURI != "" {
		to = ", " + d.RequestURI
	}
	if d.Signalling.IsValid() {
		to += fmt.Sprintf(" at %s/%s", d.Signalling, cmp.Or(d.Transport, "udp"))
	}
	return to
}

// who is a leg's party.
func (s *story) who(no int) string {
	l := s.c.Leg(no)
	switch {
	case l == nil:
		return fmt.Sprintf("leg %d", no)
	case l.User != "":
		return "user " + l.User
	case l.Trunk != "":
		return "trunk " + l.Trunk
	case l.Kind == "app" && l.Role == call.CalleeLeg:
		return "application " + strings.TrimPrefix(l.ToURI, "app:")
	case l.Kind == "app":
		return "the application"
	}
	return string(l.Role)
}

// try says which attempt a callee's leg was, if there were several.
func (s *story) try(no int) string {
	if l := s.c.Leg(no); l != nil && s.c.Attempts > 1 {
		return fmt.Sprintf("attempt %d", l.Attempt)
	}
	return s.who(no)
}

func (s *story) progress(e call.Event, d call.Progress, when string) {
	if l := s.c.Leg(e.Leg); d.Status <= 100 || l == nil || l.Role != call.CalleeLeg {
		return
	}
	what := "rings"
	if d.Status != 180 {
		what = "goes on"
	}
	if d.EarlyMedia {
		what += " with early media"
	}
	s.say(when, "%s %s (%s)", s.try(e.Leg), what, strings.TrimSpace(fmt.Sprint(d.Status, " ", d.Phrase)))
}

func (s *story) answer(e call.Event, when string) {
	l := s.c.Leg(e.Leg)
	if l == nil || l.Role != call.CalleeLeg {
		return
	}
	s.say(when, "%s answers%s", s.try(e.Leg), s.codecs(l))
}

// codecs says how the answered legs' media fit together.
func (s *story) codecs(callee *call.Leg) string {
	caller := s.c.Leg(1)
	switch {
	case callee.Media.Codec == "":
		return ""
	case caller == nil || caller == callee || caller.Media.Codec == "":
		return ", " + callee.Media.Codec
	case !s.c.Transcoded && caller.Media.Codec == callee.Media.Codec:
		return fmt.Sprintf(", %s on both sides, not transcoded", callee.Media.Codec)
	}
	return fmt.Sprintf(", %s here and %s there, transcoded", caller.Media.Codec, callee.Media.Codec)
}

// legEnd tells of attempts that failed, and of who hung up; a leg that we ended ourselves is no news.
func (s *story) legEnd(e call.Event, d call.LegEnd, when string) {
	l := s.c.Leg(e.Leg)
	switch {
	case d.HungUp && l != nil && l.AnsweredAt != nil:
		s.say(when, "%s hangs up", s.who(e.Leg))
	case l != nil && l.Role == call.CalleeLeg && l.AnsweredAt == nil:
		s.say(when, "%s ends: %s", s.try(e.Leg), d.Cause)
	}
}

func (s *story) end(when string, by call.Party, c call.Cause) {
	who := map[call.Party]string{
		call.Caller: "by the caller", call.Callee: "by the callee", call.System: "by the gateway",
		call.Admin: "by an administrator", call.Lost: "by the gateway's death",
	}[by]
	s.say(when, "call ends, %s: %s", cmp.Or(who, "by "+string(by)), c)
}

func (s *story) digit(e call.Event, d call.DTMF) {
	digit := cmp.Or(d.Digit, "•")
	for i := range s.dtmf {
		if s.dtmf[i].leg == e.Leg {
			s.dtmf[i].text, s.dtmf[i].mono = s.dtmf[i].text+digit, e.Mono
			return
		}
	}
	s.dtmf = append(s.dtmf, dialled{e.Leg, digit, e.Mono})
}

// digits puts what each party dialled since the last line into one.
func (s *story) digits() {
	for _, d := range s.dtmf {
		s.say(s.after(d.mono), "%s has dialled %s", s.who(d.leg), d.text)
	}
	s.dtmf = nil
}

// ending sums up: how long it took, and what both sides heard.
func (s *story) ending() {
	if s.c.Live() {
		s.say("", "the call is still open")
	}
	if s.c.AnsweredAt != nil && s.c.EndedAt != nil {
		s.say("", "talked for %s%s", millis(s.c.Bill), s.pdd())
	}
	for _, l := range s.c.Legs {
		if l.AnsweredAt != nil && (l.Kind == "webrtc" || l.Media.SRTP == "sdes") {
			s.say("", "%s: %s%s", s.who(l.No), transport(l), mediaAt(l))
		}
		if q := l.Quality; q != nil && (q.Received > 0 || q.Sent > 0) {
			s.say("", "%s: %s", s.who(l.No), quality(q))
		}
		if text := sound(l); text != "" {
			s.say("", "%s: %s", s.who(l.No), text)
		}
	}
	if s.c.FASSuspect {
		s.say("", "nothing came from the callee within 2 s of its answer: perhaps nobody was there (false answer supervision)")
	}
}

// mediaAt is the address that a leg's media came from.
func mediaAt(l *call.Leg) string {
	switch {
	case l.Media.Remote.IsValid():
		return " at " + l.Media.Remote.String()
	case l.Kind == "webrtc" && l.EndedAt != nil:
		return ", but ICE found no path"
	}
	return ""
}

func (s *story) pdd() string {
	if s.c.PDD == nil {
		return ""
	}
	return fmt.Sprintf("; first sign of the callee after %s", millis(*s.c.PDD))
}

// millis writes milliseconds the way people do.
func millis(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// quality is a leg's RTP in a line.
func quality(q *call.Quality) string {
	lost := 0.0
	if n := float64(q.Received) + float64(max(0, q.Lost)); n > 0 {
		lost = 100 * float64(max(0, q.Lost)) / n
	}
	s := fmt.Sprintf("%d packets in (%.1f %% lost, jitter %.1f ms), %d out", q.Received, lost, q.JitterMS, q.Sent)
	if q.RTTMS > 0 {
		s += fmt.Sprintf(", round trip %.0f ms", q.RTTMS)
	}
	if q.Rejected > 0 {
		s += fmt.Sprintf(", %d from strangers dropped", q.Rejected)
	}
	switch {
	case q.Received == 0:
		s += "; nothing was heard from it"
	case q.Sent == 0:
		s += "; nothing was sent to it"
	}
	return s
}
