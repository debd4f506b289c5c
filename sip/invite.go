package sip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// defaultRing is how long an INVITE may ring (RFC 3261 16.6 item 11: more than 3 minutes is timer C).
const defaultRing = 3 * time.Minute

// calls is an INVITE that we sent, over all its repetitions with credentials.
type calls struct {
	inv     *Invite
	ctx     context.Context // ends the INVITE
	o       outgoing
	plain   []Header   // of o, without those of the session timer
	round   *round     // under way
	road    *flow.Flow // that it left by: the dialog's, or for its size TCP
	rest    []place    // servers to try after it
	attempt auth.Attempt
	heard   bool // a response came, or the flow broke
	trying  bool // 100 was told
	stop    func() bool

	cancel *ending // somebody wants it to end
}

// ending is why we end a dialog ourselves.
type ending struct {
	why    Reason
	by     By
	status int
	err    error
}

// Dial sends an INVITE and returns its Dialog at once; all that follows arrives on Events. ctx bounds the time until
// the INVITE is answered: when it ends earlier, the INVITE is cancelled.
func (u *UA) Dial(ctx context.Context, inv Invite) (*Dialog, error) {
	if err := inv.check(); err != nil {
		return nil, err
	}
	if inv.CallID == "" {
		inv.CallID = u.newCallID()
	}
	if inv.Timeout == 0 {
		inv.Timeout = defaultRing
	}
	if inv.TrialTimeout == 0 {
		inv.TrialTimeout = u.timers.life()
	}
	d := u.newDialog(inv.CallID, newTag(), false)
	if !inv.Credentials.IsZero() {
		d.auth = auth.NewClient(inv.Credentials)
	}
	d.local, d.peer = inv.From.WithTag("").String(), inv.To.WithTag("").String()
	d.out = &calls{inv: &inv}
	d.request = &Request{
		URI: inv.Target, From: inv.From.WithTag(d.localTag), To: inv.To, Headers: inv.Headers, ContentType: inv.ContentType,
		Body: inv.Body, At: time.Now(),
	}
	if err := u.front.addDialog(d); err != nil {
		return nil, err
	}
	if !u.spawn(func() { d.begin(ctx) }) {
		u.front.removeDialog(d)
		u.dialogs.Add(-1)
		return nil, ErrClosed
	}
	return d, nil
}

func (inv *Invite) check() error {
	if inv.To.URI.IsZero() {
		inv.To = NameAddr{URI: inv.Target.Bare()}
		if inv.Target.Scheme != "sip" && inv.Target.Scheme != "sips" {
			inv.To.URI = inv.Target
		}
	}
	for what, err := range map[string]error{
		"Target": inv.Target.Check(), "To": inv.To.Check(), "From": inv.From.Check(), "Headers": checkHeaders(inv.Headers),
		"Contact": wire.Safe("contact user", inv.Contact), "CallID": wire.Safe("call-id", inv.CallID),
	} {
		if err != nil {
			return fmt.Errorf("sip: Invite.%s: %w", what, err)
		}
	}
	for _, r := range inv.Route {
		if err := r.Check(); err != nil {
			return fmt.Errorf("sip: Invite.Route: %w", err)
		}
	}
	if len(inv.Body) == 0 {
		return fmt.Errorf("sip: Invite.Body is empty: expected an offer")
	}
	if inv.MaxForwards < 0 || inv.MaxForwards > 255 {
		return fmt.Errorf("sip: Invite.MaxForwards %d: expected 1 to 255, or 0 for 70", inv.MaxForwards)
	}
	if inv.Location != nil {
		if err := inv.Location.check(); err != nil {
			return err
		}
	}
	if inv.ContentType == "" {
		inv.ContentType = sdpType
	}
	if inv.Timeout < 0 || inv.TrialTimeout < 0 {
		return fmt.Errorf("sip: Invite.Timeout %v, TrialTimeout %v: expected no negative time", inv.Timeout, inv.TrialTimeout)
	}
	return wire.Safe("content type", inv.ContentType)
}

// begin finds the way and sends the first INVITE.
func (d *Dialog) begin(ctx context.Context) {
	inv := d.out.inv
	var list []place
	var err error
	find, cancel := context.WithTimeout(ctx, inv.TrialTimeout)
	defer cancel()
	switch {
	case !inv.Destination.IsZero():
		list, err = d.ua.places(find, inv.Destination)
	case len(inv.Route) > 0:
		list, err = d.ua.placesFor(find, inv.Route[0], "")
	default:
		list, err = d.ua.placesFor(find, inv.Target, "")
	}
	if err == nil && !inv.Urgent {
		list, err = d.ua.available(list)
	}
	d.mu.Lock()
	d.out.ctx = ctx
	d.mu.Unlock()
	d.try(find, list, err)
}

func (inv *Invite) contactUser() string {
	if inv.Contact != "" {
		return inv.Contact
	}
	return wire.Unescape(inv.From.URI.User)
}

// compose writes the INVITE and starts the clocks; d.mu is held.
func (d *Dialog) compose() {
	inv := d.out.inv
	d.contact = "<" + d.ua.contactURI(inv.contactUser(), d.flow, inv.Target.Scheme).String() + ">"
	d.cseq = 1
	routes := make([]string, 0, len(inv.Route))
	for _, r := range inv.Route {
		routes = append(routes, "<"+r.String()+">")
	}
	headers := append([]Header(nil), inv.Headers...)
	if !Headers(headers).Has("Allow") {
		headers = append(headers, d.ua.allow())
	}
	if !Headers(headers).Has("Supported") && d.ua.extends() {
		headers = append(headers, d.ua.says.inviting)
	}
	if d.ua.cfg.Reliable == ReliableRequired {
		headers = append(headers, Header{Name: "Require", Value: "100rel"})
	}
	d.out.plain, d.body = headers, inv.Body
	headers = append(headers[:len(headers):len(headers)], d.asking(true)...)
	ctype, body := inv.ContentType, inv.Body
	if inv.Location != nil {
		ctype, body = inv.Location.beside(ctype, body)
	}
	d.out.o = outgoing{
		method: "INVITE", uri: inv.Target, from: d.local + ";tag=" + d.localTag, to: d.peer, callID: d.callID, cseq: d.cseq,
		routes: routes, contact: d.contact, headers: headers, ctype: ctype, body: body,
		hops: inv.MaxForwards,
	}
	d.after(inv.TrialTimeout, d.noResponse)
	d.after(inv.Timeout, d.noAnswer)
	ctx := d.out.ctx
	d.out.stop = context.AfterFunc(ctx, func() {
		d.ua.front.serial.Do(d.callID, func() { d.cancel(&ending{by: ByLocal, status: 487, err: ctx.Err()}) })
	})
}

// sendInvite sends the INVITE, also again with credentials; d.mu is held.
func (d *Dialog) sendInvite(at place) {
	d.credits = d.auth.Headers("INVITE", d.out.o.sentURI(), d.out.o.body)
	d.launch(at, nil)
}

// launch sends the INVITE over TCP if wide is set, which is opened first where the INVITE is too large for UDP; d.mu is held.
func (d *Dialog) launch(at place, wide *flow.Flow) {
	f := d.flow
	if wide != nil {
		f = wide
		d.out.rest = append([]place{{Target: at.Target, flow: at.flow, udp: true}}, d.out.rest...) // should nobody answer there
	}
	req, err := d.ua.build(&d.out.o, f, d.credits)
	if err == nil && f == d.flow && !at.udp && d.ua.tooLarge(f, &d.out.o, req) {
		d.widen(at)
		return
	}
	d.out.road = f
	if err == nil && !d.prepared() {
		return
	}
	r := &round{at: at, cseq: d.out.o.cseq}
	if err == nil {
		d.out.round = r
		r.tx, err = d.ua.startClient(req, f, d.callID, func(m *wire.Message) { d.onResponse(r, m) }, func(err error) { d.onFail(r, err) })
	}
	if err != nil {
		d.end(Event{By: ByTransport, Status: 503, Err: err})
		return
	}
	if len(d.out.rest) > 0 {
		d.after(d.ua.timers.trial(), func() { d.silent(r) })
	}
}

// prepared lets Invite.Before see the dialog, once, while d.mu is free; false when the INVITE mustn't leave any more.
func (d *Dialog) prepared() bool {
	before := d.out.inv.Before
	if before == nil {
		return true
	}
	d.out.inv.Before = nil
	d.mu.Unlock()
	err := before(d)
	d.mu.Lock()
	switch c := d.out.cancel; {
	case d.over:
	case err != nil:
		d.end(Event{By: ByLocal, Status: 503, Phrase: "Not Prepared", Err: err})
	case c != nil:
		d.end(Event{By: c.by, Status: c.status, Err: c.err, Reason: c.why})
	}
	return !d.over
}

// noResponse is the end of TrialTimeout.
func (d *Dialog) noResponse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.out.heard || d.phase != calling {
		return
	}
	// Without a 1xx there is nothing to cancel yet (RFC 3261 9.1): the transaction goes on, and if the peer wakes up
	// it is cancelled, or BYEd.
	if d.out.cancel == nil {
		d.out.cancel = &ending{by: ByTimeout, status: 408}
	}
	d.end(Event{By: ByTimeout, Status: 408, Phrase: "No Response", Err: ErrTimeout})
}

// noAnswer is the end of Timeout.
func (d *Dialog) noAnswer() {
	d.cancel(&ending{by: ByTimeout, status: 408, err: ErrTimeout, why: Reason{Protocol: "Q.850", Cause: 19, Text: "No answer"}})
}

// onFail ends an INVITE that gets no final response.
func (d *Dialog) onFail(r *round, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.phase == confirmed || r.left || d.next(r) {
		return
	}
	e := Event{By: ByTimeout, Status: 408, Err: err}
	if errors.Is(err, ErrTransport) {
		e.By, e.Status = ByTransport, 503
	}
	if c := d.out.cancel; c != nil {
		e.By, e.Status, e.Reason = c.by, c.status, c.why
	}
	d.end(e)
}

// onResponse handles a response to the INVITE, in order.
func (d *Dialog) onResponse(r *round, m *wire.Message) {
	at := time.Now()
	switch {
	case d.late(r, m):
	case m.Status < 200:
		d.onProvisional(r, m, at)
	case m.Status < 300:
		d.onSuccess(r, m, at)
	default:
		d.onFailure(r, m, at)
	}
}

func (d *Dialog) onProvisional(r *round, m *wire.Message, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out.heard = true
	if d.phase == calling {
		d.phase = ringing
	}
	if d.out.cancel != nil {
		d.sendCancel()
	}
	if d.over || d.phase == confirmed {
		return
	}
	if m.Status == 100 {
		if !d.out.trying {
			d.out.trying = true
			d.emit(d.event(KindTrying, m, at))
		}
		return
	}
	tag := m.To.Tag()
	if tag != "" && (d.legs[tag] != nil || len(d.legs) < maxLegs) {
		l := d.legs[tag]
		if l == nil {
			l = &leg{tag: tag}
			d.legs[tag] = l
		}
		l.learn(m)
	}
	if !d.acknowledge(r, d.legs[tag], m) {
		return
	}
	e := d.event(KindProgress, m, at)
	e.Tag = tag
	d.emit(e)
}

// onSuccess handles a 2xx: the first one of the first fork makes the dialog, others are ACKed and BYEd
// (RFC 3261 13.2.2.4).
func (d *Dialog) onSuccess(r *round, m *wire.Message, at time.Time) {
	tag := m.To.Tag()
	d.mu.Lock()
	d.out.heard = d.out.heard || !r.left
	l := d.legs[tag]
	if l == nil {
		if len(d.legs) >= 2*maxLegs {
			d.mu.Unlock()
			return
		}
		l = &leg{tag: tag}
		d.legs[tag] = l
	}
	again := l.ack != nil
	if !again {
		l.learn(m)
		if l.target.IsZero() {
			l.target = d.out.o.uri
		}
		l.ack = &outgoing{
			method: "ACK", uri: l.target, from: d.local + ";tag=" + d.localTag, to: m.Headers.Get("To"), callID: d.callID,
			cseq: r.cseq, routes: l.routes, headers: d.credits,
		}
	}
	credits := d.credits
	d.mu.Unlock()
	d.sendAck(l)
	if again {
		return
	}
	_ = d.ua.learn(d.auth, credits, "INVITE", m)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.winner != nil || r.left:
		l.ended = true
		d.sendBye(l, Reason{})
		e := d.event(KindForked, m, at)
		e.Tag = tag
		d.emit(e)
	case d.out.cancel != nil || d.over: // it crossed our CANCEL, or came after all
		d.winner, d.phase = l, confirmed
		c := d.out.cancel
		if c == nil {
			c = &ending{by: ByLocal}
		}
		d.sendBye(l, c.why)
		d.end(Event{By: c.by, Status: m.Status, Phrase: m.Phrase, Tag: tag, Reason: c.why, Err: c.err, Headers: m.Headers})
	default:
		d.answered()
		d.winner, d.phase = l, confirmed
		d.agreed(m)
		e := d.event(KindAnswered, m, at)
		e.Tag = tag
		d.emit(e)
	}
}

// answered stops what waited for an answer; d.mu is held.
func (d *Dialog) answered() {
	if d.out != nil && d.out.stop != nil {
		d.out.stop()
	}
	for _, t := range d.timers {
		t.Stop()
	}
	d.timers = nil
}

// sendAck sends the ACK of a 2xx, the same one each time.
func (d *Dialog) sendAck(l *leg) {
	ctx, cancel := context.WithTimeout(d.ua.ctx, d.ua.timers.life())
	defer cancel()
	f, err := d.way(ctx, l)
	if err == nil {
		req, f, berr := d.ua.fit(ctx, l.ack, f, nil)
		if err = berr; err == nil {
			err = d.ua.write(f, req.text, "ACK", 0)
		}
	}
	if err != nil {
		d.ua.log.Warn("ACK not sent", "dialog", d.callID, "err", err)
	}
}

func (d *Dialog) onFailure(r *round, m *wire.Message, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out.heard = true
	if m.Status == 503 {
		d.ua.aside.put(r.at, m.Headers)
	}
	if d.over || m.Status == 503 && d.next(r) {
		return
	}
	if (m.Status == 401 || m.Status == 407) && d.out.cancel == nil {
		err := d.auth.Challenge(&d.out.attempt, m.Headers)
		if err == nil {
			d.cseq++
			d.out.o.cseq, d.out.o.branch = d.cseq, ""
			d.legs = map[string]*leg{}
			d.phase = calling
			d.sendInvite(r.at)
			return
		}
		d.ua.log.Info("challenge not answered", "dialog", d.callID, "err", err)
	}
	if d.out.cancel == nil && d.longer(m) {
		d.cseq++
		d.out.o.cseq, d.out.o.branch = d.cseq, ""
		d.out.o.headers = append(d.out.plain[:len(d.out.plain):len(d.out.plain)], d.asking(true)...)
		d.legs, d.phase = map[string]*leg{}, calling
		d.sendInvite(r.at)
		return
	}
	if d.out.stop != nil {
		d.out.stop()
	}
	e := d.event(KindEnded, m, at)
	e.Tag, e.By = m.To.Tag(), ByPeer
	if c := d.out.cancel; c != nil && (m.Status == 487 || c.by == ByTimeout) {
		e.By, e.Err = c.by, c.err
		if !c.why.IsZero() && e.Reason.IsZero() {
			e.Reason = c.why
		}
		if c.by == ByTimeout {
			e.Status = c.status
		}
	}
	d.end(e)
}
