package sip

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// SessionTimer is how a call proves that both sides still live (RFC 4028): one side refreshes the session, and where that
// ends, the other hangs up.
type SessionTimer struct {
	Interval time.Duration // asked of peers, 90 s to 24 h; default 30 min; negative: session timers are off
	Min      time.Duration // the shortest that we accept, at least 90 s (RFC 4028 5); default 90 s

	hasty bool // Min may be shorter: tests don't wait for 90 s
}

const (
	defaultSession = 30 * time.Minute
	leastSession   = 90 * time.Second
	longestSession = 24 * time.Hour
)

func (s SessionTimer) withDefaults() SessionTimer {
	if s.Interval == 0 {
		s.Interval = defaultSession
	}
	if !s.hasty {
		s.Min = max(s.Min, leastSession)
	}
	return s
}

func (s SessionTimer) off() bool { return s.Interval < 0 }

func (s SessionTimer) check() error {
	if s.Interval > 0 && (s.Interval < s.Min || s.Interval > longestSession) {
		return fmt.Errorf("sip: Session.Interval %v: expected %v to %v", s.Interval, s.Min, longestSession)
	}
	return nil
}

// session is a dialog's timer.
type session struct {
	interval time.Duration // 0 = none
	least    time.Duration // that the peer accepts
	ours     bool          // we refresh
	update   bool          // the peer takes UPDATE
	until    time.Time     // when it ends unless it is refreshed
	end      *time.Timer   // of the session, or the next refresh
}

// expires reads Session-Expires: its seconds, and who refreshes, "uac", "uas" or "".
func expires(h Headers) (d time.Duration, refresher string) {
	v := h.Get("Session-Expires")
	n, err := strconv.ParseUint(strings.TrimSpace(wire.MediaType(v)), 10, 31)
	if err != nil || n == 0 {
		return 0, ""
	}
	r, _ := wire.Param(v, "refresher")
	return time.Duration(n) * time.Second, strings.ToLower(r)
}

func minimum(h Headers) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(wire.MediaType(h.Get("Min-SE"))), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// tooShort refuses an INVITE, or a refresh, whose session would be shorter than we allow (RFC 4028 9).
func (u *UA) tooShort(m *wire.Message) *wire.Refusal {
	least := u.cfg.Session.Min
	if d, _ := expires(m.Headers); u.cfg.Session.off() || d == 0 || d >= least || !asks(m.Headers, "Supported", "timer") {
		return nil
	}
	return &wire.Refusal{Status: 422, Header: "Session-Expires", Why: "shorter than " + least.String(),
		Extra: []Header{{Name: "Min-SE", Value: seconds(least)}}}
}

// asking are the header fields of a request of ours that sets or refreshes the session. d.mu is held.
func (d *Dialog) asking(first bool) []Header {
	s, t := &d.session, d.ua.cfg.Session
	if t.off() || !first && s.interval == 0 {
		return nil
	}
	interval, who := max(t.Interval, s.least), ""
	if s.interval != 0 {
		interval, who = s.interval, ";refresher=uas"
		if s.ours {
			who = ";refresher=uac"
		}
	}
	h := []Header{{Name: "Session-Expires", Value: seconds(interval) + who}}
	if s.least > leastSession {
		h = append(h, Header{Name: "Min-SE", Value: seconds(s.least)})
	}
	return h
}

// longer takes a 422's word: whether the request can be made again with a longer session. d.mu is held.
func (d *Dialog) longer(m *wire.Message) bool {
	least := minimum(m.Headers)
	if m.Status != 422 || d.ua.cfg.Session.off() || least <= d.session.least || least > longestSession {
		return false
	}
	d.session.least = least
	d.session.interval = max(d.session.interval, least)
	if d.phase != confirmed {
		d.session.interval = 0
	}
	return true
}

// agreed takes what a 2xx to our request says of the session. d.mu is held.
func (d *Dialog) agreed(m *wire.Message) {
	interval, refresher := expires(m.Headers)
	d.mayUpdate(m)
	if d.ua.cfg.Session.off() {
		return
	}
	d.arm(interval, refresher != "uas")
}

// mayUpdate notes whether the peer takes UPDATE.
func (d *Dialog) mayUpdate(m *wire.Message) {
	if m.Headers.Has("Allow") {
		d.session.update = asks(m.Headers, "Allow", "UPDATE")
	}
}

// grant answers a request of the peer's that sets or refreshes the session: the header fields of the 2xx (RFC 4028 9,
// table 2). d.mu is held.
func (d *Dialog) grant(m *wire.Message) []Header {
	t := d.ua.cfg.Session
	if t.off() {
		return nil
	}
	d.mayUpdate(m)
	asked, refresher := expires(m.Headers)
	can := asks(m.Headers, "Supported", "timer") || asks(m.Headers, "Require", "timer")
	if asked == 0 && !can {
		d.arm(0, false)
		return nil
	}
	interval := max(t.Interval, minimum(m.Headers))
	if asked != 0 {
		interval = min(asked, interval)
	}
	ours := refresher == "uas" || !can || refresher == "" && asked == 0
	d.arm(interval, ours)
	if ours {
		return []Header{{Name: "Session-Expires", Value: seconds(interval) + ";refresher=uas"}}
	}
	return []Header{{Name: "Session-Expires", Value: seconds(interval) + ";refresher=uac"}, {Name: "Require", Value: "timer"}}
}

// arm starts the session's clock anew; d.mu is held.
func (d *Dialog) arm(interval time.Duration, ours bool) {
	s := &d.session
	if s.end != nil {
		s.end.Stop()
	}
	s.interval, s.ours, s.until = interval, ours, time.Now().Add(interval)
	if interval == 0 {
		return
	}
	at := interval / 2
	if !ours { // RFC 4028 10: before the session's end, so that the BYE still finds its way
		at = interval - min(32*time.Second, interval/3)
	}
	s.end = d.ua.later(at, d.callID, func() { d.due(ours) })
}

// due is the time for a refresh, by us or by the peer.
func (d *Dialog) due(ours bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready() != nil {
		return
	}
	if ours {
		d.ua.spawn(d.refresh)
		return
	}
	d.expire(fmt.Errorf("sip: the peer didn't refresh the session within %v: %w", d.session.interval, ErrTimeout))
}

// expire ends a dialog whose session did; d.mu is held.
func (d *Dialog) expire(err error) {
	why := Reason{Protocol: "Q.850", Cause: 102, Text: "Session Expired"}
	d.sendBye(d.winner, why)
	d.end(Event{By: ByTimeout, Status: 408, Phrase: "Session Expired", Reason: why, Err: err})
}

// refresh keeps the session up: by UPDATE, or where the peer doesn't take that, by an offer of what is agreed already.
func (d *Dialog) refresh() {
	ctx, cancel := context.WithTimeout(d.ua.ctx, d.ua.timers.life()+time.Second)
	defer cancel()
	d.mu.Lock()
	update, body := d.session.update, d.body
	d.mu.Unlock()
	var err error
	if update || len(body) == 0 {
		err = d.update(ctx)
	} else {
		_, err = d.Reinvite(ctx, body)
	}
	if err == nil || errors.Is(err, ErrEnded) || d.ua.ctx.Err() != nil {
		return
	}
	d.ua.log.Info("session not refreshed", "dialog", d.callID, "err", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ready() != nil {
		return
	}
	// RFC 4028 10: the session goes on until it ends by itself. What was refused for a moment may be taken later.
	s := &d.session
	left := time.Until(s.until)
	if margin := min(32*time.Second, s.interval/6); left > 2*margin {
		s.end = d.ua.later((left-margin)/2, d.callID, func() { d.due(true) })
		return
	}
	d.expire(err)
}

// update refreshes by UPDATE without SDP (RFC 3311).
func (d *Dialog) update(ctx context.Context) error {
	for {
		d.mu.Lock()
		headers := append(d.asking(false), d.ua.supported(), d.ua.allow())
		d.mu.Unlock()
		m, err := d.do(ctx, "UPDATE", headers, "", nil)
		d.mu.Lock()
		again := err != nil && m != nil && d.longer(m)
		if err == nil {
			d.agreed(m)
		}
		d.mu.Unlock()
		if !again {
			return err
		}
	}
}
