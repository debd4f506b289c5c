package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// sipLeg is a Leg over a SIP dialog and an RTP endpoint.
type sipLeg struct {
	g     *Gateway
	log   *slog.Logger
	no    int
	role  call.Role
	user  *User
	trunk *trunk
	party party
	d     *sip.Dialog
	ep    *rtp.Endpoint

	neg     sync.Mutex // one negotiation at a time
	offer   media.Offer
	pending media.Pending
	body    []byte // our answer to the peer's first offer, once made

	out      atomic.Pointer[chan LegEvent]
	notices  chan media.Notice
	missed   atomic.Uint64 // notices that found the queue full
	gone     chan struct{} // closed when nobody reads the events any more
	once     sync.Once
	end      sync.Once
	onDisk   chan struct{} // closed once the leg's end is written
	written  sync.Once
	progress atomic.Bool // the peer has shown a sign of life

	// Owned by the call's goroutine.
	over     bool          // LegEnded was handled
	answered atomic.Int64  // CLOCK_MONOTONIC of the 2xx; 0 = not answered
	want     sdp.Direction // what was last negotiated with the peer, our view
	peer     sdp.Direction // what the peer itself last asked for, its view
	digits   *digits
}

// noticeQueue bounds what the packet path may have to tell before the leg's goroutine reads it: a second of DTMF.
const noticeQueue = 32

func (g *Gateway) newLeg(no int, role call.Role, p party, events chan LegEvent, log *slog.Logger) (*sipLeg, error) {
	l := &sipLeg{g: g, log: log.With("leg", no), no: no, role: role, party: p, notices: make(chan media.Notice, noticeQueue),
		gone: make(chan struct{}), onDisk: make(chan struct{})}
	l.out.Store(&events)
	var err error
	l.ep, err = g.newEndpoint(p, strconv.Itoa(no), l.notify)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// notify is called on the packet path.
func (l *sipLeg) notify(n media.Notice) {
	select {
	case l.notices <- n:
	default:
		l.missed.Add(1)
	}
}

func (l *sipLeg) Events() <-chan LegEvent  { return *l.out.Load() }
func (l *sipLeg) Yield(to chan LegEvent)   { l.out.Store(&to) }
func (l *sipLeg) Endpoint() media.Endpoint { return l.ep }

// abandon lets the pump drop what is left: nobody reads any more.
func (l *sipLeg) abandon() { l.once.Do(func() { close(l.gone) }) }

func (l *sipLeg) send(e LegEvent) {
	e.Leg = l
	if e.At.IsZero() {
		e.At = time.Now()
	}
	select {
	case *l.out.Load() <- e:
	case <-l.gone:
	}
}

// attach binds the dialog and starts the leg's goroutine, which ends with the dialog.
func (l *sipLeg) attach(d *sip.Dialog) {
	l.d = d
	l.g.mu.Lock()
	l.g.legs[d] = l
	l.g.mu.Unlock()
	l.g.wg.Go(l.pump)
}

// pump turns the dialog's events and the endpoint's notices into the leg's.
func (l *sipLeg) pump() {
	defer func() {
		l.g.mu.Lock()
		delete(l.g.legs, l.d)
		l.g.mu.Unlock()
	}()
	for {
		select {
		case e, ok := <-l.d.Events():
			if !ok {
				l.finish(LegEvent{Cause: call.Failure})
				return
			}
			l.dialog(e)
		case n := <-l.notices:
			l.notice(n)
		}
	}
}

func (l *sipLeg) dialog(e sip.Event) {
	switch e.Kind {
	case sip.KindProgress:
		l.progress.Store(true)
		ev := LegEvent{Kind: LegProgress, At: e.At, Status: e.Status, Phrase: e.Phrase, Tag: e.Tag}
		if isSDP(e.Content, e.Body) {
			if err := l.early(e.Tag, e.Body); err != nil {
				l.log.Warn("early media not taken", "status", e.Status, "err", err)
			} else {
				ev.Early = true
			}
		}
		l.send(ev)
	case sip.KindAnswered:
		if err := l.accepted(e); err != nil {
			l.log.Warn("answer not usable", "err", err)
			c := call.Cause{Q850: 88, SIP: 488, Text: "the answer's media is not usable: " + err.Error()}
			l.send(LegEvent{Kind: LegForked, At: e.At, Phrase: c.Text})
			go l.hangup(c)
			l.finish(LegEvent{At: e.At, Cause: c})
			return
		}
		l.send(LegEvent{Kind: LegAnswered, At: e.At, Status: e.Status, Phrase: e.Phrase, Tag: e.Tag})
	case sip.KindForked:
		l.send(LegEvent{Kind: LegForked, At: e.At, Tag: e.Tag, Phrase: "a further party answered and was hung up"})
	case sip.KindAcked:
		l.acked(e)
	case sip.KindOffer:
		l.offered(e)
	case sip.KindRefer:
		l.send(LegEvent{Kind: LegRefer, At: e.At, Refer: peerRefer{e.Refer}})
	case sip.KindInfo:
		if digit, held, ok := infoDigit(e.Content, e.Body); ok {
			l.send(LegEvent{Kind: LegDigit, At: e.At, Digit: digit, Held: held})
		}
	case sip.KindEnded:
		l.finish(l.endOf(e))
	}
}

// finish sends LegEnded once, whoever finds out first.
func (l *sipLeg) finish(e LegEvent) {
	l.end.Do(func() {
		e.Kind = LegEnded
		l.send(e)
	})
}

// confirm lets the peer's BYE or CANCEL be answered: the leg's end is written.
func (l *sipLeg) confirm() { l.written.Do(func() { close(l.onDisk) }) }

// ending is called by the stack when a peer's BYE or CANCEL came, before that is answered: the answer waits until the
// end is on disk.
func (g *Gateway) ending(d *sip.Dialog, e sip.Event) {
	g.mu.Lock()
	l := g.legs[d]
	g.mu.Unlock()
	if l == nil {
		return
	}
	l.finish(l.endOf(e))
	select {
	case <-l.onDisk:
	case <-time.After(commitTime + time.Second):
	case <-l.gone:
	}
}

func (l *sipLeg) notice(n media.Notice) {
	switch n := n.(type) {
	case media.Digit:
		l.send(LegEvent{Kind: LegDigit, Digit: n.Digit, Held: n.Duration, InMedia: true})
	case media.Flowing:
		l.send(LegEvent{Kind: LegFlowing, Phrase: n.From.String()})
	case media.Silent:
		l.send(LegEvent{Kind: LegSilent, Held: int(n.For / 1e6)})
	case media.Failed:
		l.log.Error("media failed", "err", n.Err)
	}
}

// early takes the answer in a provisional response and lets that dialog's media flow.
func (l *sipLeg) early(tag string, body []byte) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	if l.offer == nil {
		return errors.New("an answer came, but nothing was offered")
	}
	if err := l.offer.Accept(tag, body); err != nil {
		return err
	}
	return l.offer.Activate(tag)
}

// accepted makes the 2xx's answer, or the early one of the same dialog, the agreement.
func (l *sipLeg) accepted(e sip.Event) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	if l.offer == nil {
		return nil
	}
	if isSDP(e.Content, e.Body) {
		if err := l.offer.Accept(e.Tag, e.Body); err != nil {
			return err
		}
	}
	err := l.offer.Commit(e.Tag)
	l.offer = nil
	return err
}

// acked completes a late offer: the ACK carries the answer (RFC 3261 13.2.1).
func (l *sipLeg) acked(e sip.Event) {
	l.neg.Lock()
	offer := l.offer
	l.offer = nil
	l.neg.Unlock()
	ev := LegEvent{Kind: LegConfirmed, At: e.At}
	if offer != nil {
		err := errors.New("the ACK has no answer to our offer")
		if isSDP(e.Content, e.Body) {
			if err = offer.Accept("", e.Body); err == nil {
				err = offer.Commit("")
			}
		}
		if err != nil {
			offer.Rollback()
			c := call.Cause{Q850: 88, SIP: 488, Text: err.Error()}
			go l.hangup(c)
			l.finish(LegEvent{At: e.At, Cause: c})
			return
		}
	}
	l.send(ev)
}

func (l *sipLeg) hangup(c call.Cause) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Hangup(ctx, c); err != nil {
		l.log.Warn("hangup", "err", err)
	}
}

// Progress implements Leg.
func (l *sipLeg) Progress(status int, phrase string, early bool, want media.Want) error {
	var body []byte
	if early {
		l.neg.Lock()
		err := l.makeAnswer(want)
		body = l.body
		l.neg.Unlock()
		if err != nil {
			return err
		}
	}
	return l.d.Progress(status, phrase, body)
}

// makeAnswer answers the offer of the peer's INVITE, once.
func (l *sipLeg) makeAnswer(want media.Want) error {
	if l.body != nil || !l.hasOffer() {
		return nil
	}
	p, err := l.ep.Answer(context.Background(), l.d.Request().Body, want)
	if err != nil {
		return err
	}
	if err := p.Commit(); err != nil {
		p.Rollback()
		return err
	}
	l.body = p.SDP()
	return nil
}

func (l *sipLeg) hasOffer() bool {
	r := l.d.Request()
	return isSDP(r.ContentType, r.Body)
}

// Answer implements Leg.
func (l *sipLeg) Answer(want media.Want, ready func() error) error {
	l.neg.Lock()
	body, err := l.answerBody(want)
	l.neg.Unlock()
	if err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	return l.d.Answer(body)
}

// answerBody is our answer or, when the peer offered nothing, our offer (RFC 3261 13.3.1.4).
func (l *sipLeg) answerBody(want media.Want) ([]byte, error) {
	if l.hasOffer() {
		err := l.makeAnswer(want)
		return l.body, err
	}
	o, err := l.ep.Offer(context.Background(), want)
	if err != nil {
		return nil, err
	}
	l.offer = o
	return o.SDP(), nil
}

// Reoffer implements Leg.
func (l *sipLeg) Reoffer(ctx context.Context, want media.Want) error {
	l.neg.Lock()
	defer l.neg.Unlock()
	o, err := l.ep.Offer(ctx, want)
	if err != nil {
		return err
	}
	answer, err := l.d.Reinvite(ctx, o.SDP())
	if err != nil {
		o.Rollback()
		return err
	}
	if err := o.Accept("", answer); err != nil {
		o.Rollback()
		return fmt.Errorf("answer to our re-offer: %w", err)
	}
	return o.Commit("")
}

// Refer implements Leg.
func (l *sipLeg) Refer(ctx context.Context, target, replaces string) error {
	u, err := sip.ParseURI(target)
	if err != nil {
		return fmt.Errorf("refer target: %w", err)
	}
	return l.d.Refer(ctx, u, replaces)
}

// Digit implements Leg: as telephone-event where that was negotiated, else by INFO.
func (l *sipLeg) Digit(digit byte, held time.Duration) error {
	if l.ep.Negotiated().Events {
		if l.digits == nil {
			return errors.New("leg is not linked")
		}
		return l.digits.send(digit, held)
	}
	if l.party.dtmf == "none" {
		return errors.New("DTMF is switched off for this party")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.d.Info(ctx, "application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", digit, held.Milliseconds()))
}

// Hangup implements Leg.
func (l *sipLeg) Hangup(ctx context.Context, why call.Cause) error {
	if l.d == nil {
		return nil
	}
	status := why.Status()
	if l.d.Inbound() && l.answered.Load() == 0 && why.SIP == 0 {
		status = call.Cause{Q850: why.Q850}.Status()
	}
	return l.d.Hangup(ctx, reason(why), status)
}

// reason is a cause as the header tells it (RFC 3326).
func reason(c call.Cause) sip.Reason {
	if c.Q850 == call.ElsewhereDone.Q850 {
		return sip.Reason{Protocol: "SIP", Cause: 200, Text: "Call completed elsewhere"}
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

// state is the dialog's state for the record.
func (l *sipLeg) state() json.RawMessage {
	b, err := json.Marshal(l.d.State())
	if err != nil {
		l.log.Error("dialog state", "err", err)
		return nil
	}
	return b
}

// endOf reads who ended a dialog and why.
func (l *sipLeg) endOf(e sip.Event) LegEvent {
	ev := LegEvent{At: e.At, Status: e.Status, Phrase: e.Phrase, ByPeer: e.By == sip.ByPeer}
	c := call.Normal
	switch {
	case e.By == sip.ByTimeout && l.role == call.CalleeLeg && l.answered.Load() == 0 && l.progress.Load():
		c = call.NoAnswer
	case e.By == sip.ByTimeout && l.role == call.CalleeLeg && l.answered.Load() == 0:
		c = call.NoResponse
	case e.By == sip.ByTimeout && l.role == call.CallerLeg:
		c = call.NoAck
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

func isSDP(content string, body []byte) bool {
	if len(body) == 0 {
		return false
	}
	t, _, err := mime.ParseMediaType(content)
	return err == nil && t == "application/sdp"
}

// infoDigit reads a DTMF digit from an INFO: application/dtmf-relay ("Signal=5", "Duration=160") or application/dtmf.
func infoDigit(content string, body []byte) (digit byte, ms int, ok bool) {
	t, _, err := mime.ParseMediaType(content)
	if err != nil || len(body) > 256 {
		return 0, 0, false
	}
	ms = 100
	text := strings.TrimSpace(string(body))
	switch t {
	case "application/dtmf":
	case "application/dtmf-relay":
		signal := ""
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
			k, v, _ := strings.Cut(line, "=")
			switch strings.ToLower(strings.TrimSpace(k)) {
			case "signal":
				signal = strings.TrimSpace(v)
			case "duration":
				if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && n > 0 && n <= 10000 {
					ms = n
				}
			}
		}
		text = signal
	default:
		return 0, 0, false
	}
	switch text { // event numbers are used as well as characters
	case "10":
		text = "*"
	case "11":
		text = "#"
	}
	if len(text) != 1 || !strings.Contains("0123456789*#ABCDabcd", text) {
		return 0, 0, false
	}
	return strings.ToUpper(text)[0], ms, true
}
