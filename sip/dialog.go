package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// phase is where a dialog's INVITE stands.
type phase int

const (
	calling   phase = iota // dialed, no response yet
	ringing                // dialed: a 1xx came; inbound: not yet answered
	confirmed              // 2xx came or went
)

func (p phase) String() string { return [...]string{"calling", "early", "confirmed"}[p] }

// leg is one peer at the far end of an INVITE: an early dialog, and the dialog itself for the one that answered.
type leg struct {
	tag    string
	target URI
	routes []string
	cseq   uint32 // highest of the peer's requests; 0 = none yet
	rseq   uint32 // of the last reliable response of its; 0 = none yet
	flow   *flow.Flow
	ack    *outgoing // the ACK of its 2xx
	ended  bool      // a fork that was BYEd
}

// Bounds of one dialog.
const (
	maxLegs    = 32 // early dialogs
	eventQueue = 32 // events waiting to be read
	eventKeep  = 8  // of them kept free for those that must not be lost
)

// Dialog is one INVITE's conversation with its peer, in either role, from the INVITE to its end. Early dialogs, one
// per To-tag, are inside. Its methods may be called from any goroutine.
type Dialog struct {
	ua       *UA
	callID   string
	localTag string
	inbound  bool
	request  *Request
	auth     *auth.Client
	events   chan *Event

	mu      sync.Mutex
	phase   phase
	over    bool // Ended was sent
	gone    chan struct{}
	local   string // our From or To value without tag
	peer    string // the peer's
	contact string
	flow    *flow.Flow     // where the INVITE went, or came from
	source  netip.AddrPort // the same after Restore, if that connection is gone
	cseq    uint32         // of our last request
	legs    map[string]*leg
	winner  *leg // the peer, once there is one
	credits []Header

	out        *calls    // dialed: the INVITE under way
	in         *serverTx // inbound: the INVITE
	doubtful   bool      // restored: whether its 2xx has left isn't known
	last       func()    // repeats the last provisional response
	rseq       uint32    // of our last reliable response; 0 = none yet
	unacked    *unacked  // that waits for PRACK
	waiting    []provisional
	heldAnswer func() error // our 2xx, that waits for PRACK too
	timers     []*time.Timer
	session    session
	body       []byte  // our SDP that was sent last
	pending    *answer // our 2xx that waits for ACK
	offer      *Offer  // the peer's offer that waits for us
	ours       bool    // our own re-INVITE is under way
	refers     int     // REFERs sent, whose NOTIFYs are expected
	byeSent    bool
}

// Request is the INVITE that made the dialog, as it came or as it was sent.
type Request struct {
	URI         URI
	From, To    NameAddr
	Contact     NameAddr
	Headers     Headers // all of them (inbound), or those of Invite (dialed)
	ContentType string  // of Body
	Body        []byte  // SDP: of a multipart body, its SDP part
	Source      netip.AddrPort
	Network     string
	User        string    // the authenticated user, inbound
	Location    *Location // of the caller, inbound; nil: it isn't told in the body
	Replaces    *Dialog   // whose place the INVITE shall take (RFC 3891), inbound; nil: none
	At          time.Time
}

// Asserted are the P-Asserted-Identity values (RFC 3325). Trust them only from a peer that is trusted.
func (r *Request) Asserted() []NameAddr { return addresses(r.Headers.Values("P-Asserted-Identity")) }

// Diversions are the Diversion values (RFC 5806), the most recent first.
func (r *Request) Diversions() []NameAddr { return addresses(r.Headers.Values("Diversion")) }

func addresses(values []string) []NameAddr {
	var out []NameAddr
	for _, v := range values {
		if a, err := ParseNameAddr(v); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// Events is where the dialog tells what happens, in order. It holds 32 events and never blocks the stack: when 24 wait,
// Trying, Progress, Info and Notify are lost and counted; offers and REFERs are then refused 500. The last event is
// Ended, after which the channel is closed.
func (d *Dialog) Events() <-chan *Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events
}

// CallID of the dialog.
func (d *Dialog) CallID() string { return d.callID }

// LocalTag is our tag.
func (d *Dialog) LocalTag() string { return d.localTag }

// RemoteTag is the peer's tag; "" until a 2xx came (dialed).
func (d *Dialog) RemoteTag() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.winner == nil {
		return ""
	}
	return d.winner.tag
}

// Inbound tells whether the peer sent the INVITE.
func (d *Dialog) Inbound() bool { return d.inbound }

// UA is the user agent the dialog belongs to.
func (d *Dialog) UA() *UA { return d.ua }

// Request is the INVITE that made the dialog; some time after the dialog's end, only its source and time.
func (d *Dialog) Request() *Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.request
}

// Peer is the network and address that the INVITE went to or came from; invalid until it was sent.
func (d *Dialog) Peer() (network string, addr netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.road()
	if f == nil {
		return "", netip.AddrPort{}
	}
	return f.Network(), f.Remote()
}

// road is what the INVITE goes over, or that of its dialog once it is answered; d.mu is held.
func (d *Dialog) road() *flow.Flow {
	if d.phase != confirmed && d.out != nil && d.out.road != nil {
		return d.out.road
	}
	return d.flow
}

// Ended is closed when the dialog has ended.
func (d *Dialog) Ended() <-chan struct{} { return d.gone }

func (u *UA) newDialog(callID, tag string, inbound bool) *Dialog {
	return &Dialog{
		ua: u, callID: callID, localTag: tag, inbound: inbound, auth: u.auth,
		events: make(chan *Event, eventQueue), gone: make(chan struct{}), legs: map[string]*leg{},
	}
}

// emit sends an event; d.mu is held, so that room can't shrink meanwhile. It tells whether the event went.
func (d *Dialog) emit(e Event) bool {
	if d.over {
		return false
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	room := cap(d.events) - len(d.events)
	need := 2 // one stays for Ended
	switch e.Kind {
	case KindTrying, KindProgress, KindInfo, KindNotify:
		need = eventKeep
	case KindEnded:
		need = 1
	}
	if room < need {
		d.ua.count.eventsLost.Add(1)
		return false
	}
	d.events <- &e
	return true
}

// end sends Ended and lets go of everything; d.mu is held.
func (d *Dialog) end(e Event) {
	if d.over {
		return
	}
	e.Kind = KindEnded
	d.emit(e)
	d.over = true
	close(d.events)
	close(d.gone)
	for _, t := range d.timers {
		t.Stop()
	}
	d.timers, d.last = nil, nil
	if d.session.end != nil {
		d.session.end.Stop()
	}
	if d.unacked != nil {
		d.unacked.timer.Stop()
		d.unacked = nil
	}
	if d.pending != nil {
		d.pending.stop()
		d.pending = nil
	}
	if d.offer != nil {
		d.offer.withdraw()
		d.offer = nil
	}
	if d.in != nil { // the transaction lives on for retransmissions, and must not hold us
		d.in.mu.Lock()
		d.in.dialog = nil
		d.in.mu.Unlock()
	}
	d.ua.dialogs.Add(-1)
	// It stays known for a moment, so that a BYE that crossed ours finds it.
	time.AfterFunc(8*d.ua.timers.T1, func() {
		d.ua.front.removeDialog(d)
		d.strip()
	})
}

// strip lets go of what nobody needs of a dialog that is over. A dialed one is kept half a minute, for what forks of its INVITE may
// still answer, and a busy gateway has thousands of those.
func (d *Dialog) strip() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.events) == 0 {
		d.events = make(chan *Event)
		close(d.events)
	}
	r := d.request
	d.request = &Request{Source: r.Source, Network: r.Network, User: r.User, At: r.At}
	d.body, d.session, d.in, d.heldAnswer, d.waiting = nil, session{}, nil, nil, nil
	if d.winner != nil { // whoever answers now is another fork, or has forgotten our BYE
		d.winner, d.legs = &leg{}, map[string]*leg{}
	}
	if o := d.out; o != nil {
		d.out = &calls{ctx: o.ctx, round: o.round, cancel: o.cancel, heard: o.heard, o: outgoing{method: o.o.method, uri: o.o.uri, cseq: o.o.cseq}}
	}
}

// abort ends the dialog without a word to the peer.
func (d *Dialog) abort() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(Event{By: ByLocal, Err: ErrClosed})
	d.ua.front.removeDialog(d)
}

// after runs fn in order after a while unless the dialog has ended; d.mu is held.
func (d *Dialog) after(t time.Duration, fn func()) *time.Timer {
	timer := d.ua.later(t, d.callID, fn)
	d.timers = append(d.timers, timer)
	return timer
}

// event fills an Event with what a message brings.
func (d *Dialog) event(kind Kind, m *wire.Message, at time.Time) Event {
	e := Event{Kind: kind, Status: m.Status, Phrase: m.Phrase, Headers: m.Headers, At: at}
	if m.IsRequest {
		e.Method = m.Method
	}
	e.Content, e.Body = content(m)
	e.Reasons = Reasons(m.Headers)
	e.Reason = preferred(e.Reasons)
	return e
}

// learn makes or updates the leg a response belongs to (RFC 3261 12.1.2): route set and target are its.
func (l *leg) learn(m *wire.Message) {
	rr := m.Headers.Values("Record-Route")
	l.routes = make([]string, 0, len(rr))
	for i := len(rr) - 1; i >= 0; i-- {
		l.routes = append(l.routes, rr[i])
	}
	l.retarget(m)
}

// retarget takes the Contact of a message as the remote target.
func (l *leg) retarget(m *wire.Message) {
	if c := m.Headers.Values("Contact"); len(c) > 0 {
		if n, err := ParseNameAddr(c[0]); err == nil {
			n.URI.Headers = ""
			l.target = n.URI.Without("method")
		}
	}
}

// way is the flow for requests to a leg.
func (d *Dialog) way(ctx context.Context, l *leg) (*flow.Flow, error) {
	list, err := d.ways(ctx, l)
	if err != nil {
		return nil, err
	}
	f, _, _, err := d.ua.openFirst(ctx, list)
	return f, err
}

// ways are where requests to a leg may go, in the order of trying.
func (d *Dialog) ways(ctx context.Context, l *leg) ([]place, error) {
	d.mu.Lock()
	f, routes, target := d.flow, l.routes, l.target
	if l.flow != nil {
		f = l.flow
	}
	d.mu.Unlock()
	// An accepted connection is the only sure way to who opened it; phones behind NAT are where they send from.
	if f != nil && f.Alive() && (f.Accepted() || f.Web() || d.ua.cfg.Symmetric) {
		return []place{{flow: f}}, nil
	}
	if f != nil && f.Web() || f == nil && web(target) {
		back, err := d.ua.webFlow(target)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.follow(l, back)
		return []place{{flow: back}}, nil
	}
	network := "udp"
	if f != nil {
		network = f.Network()
	}
	next := target
	if len(routes) > 0 {
		if n, err := ParseNameAddr(routes[0]); err == nil {
			next = n.URI
		}
	}
	if d.ua.cfg.Symmetric && (f != nil || d.source.IsValid()) {
		back, err := d.ua.wayBack(ctx, f, d.source, next, target)
		return []place{{flow: back}}, err
	}
	list, err := d.ua.placesFor(ctx, next, network)
	if err != nil && f != nil && f.Alive() {
		d.ua.log.Debug("next hop not found, using the INVITE's", "dialog", d.callID, "err", err)
		return []place{{flow: f}}, nil
	}
	if f != nil {
		for i := range list { // who sits at the address has proved its name already; Contact mostly names the address alone
			if list[i].Network == "tls" && list[i].Addr.Addr() == f.Remote().Addr() && f.Name() != "" {
				list[i].Name = f.Name()
			}
		}
	}
	return stay(list, f), err
}

// stay puts the server that the dialog has had so far first: only it may know the dialog.
func stay(list []place, f *flow.Flow) []place {
	if f == nil {
		return list
	}
	had := func(p place) int {
		if p.Addr == f.Remote() && p.Network == f.Network() {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b place) int { return had(a) - had(b) })
	return list
}

// exchange sends a request of the dialog to a leg.
func (d *Dialog) exchange(ctx context.Context, o *outgoing, l *leg) (*wire.Message, error) {
	list, err := d.ways(ctx, l)
	if err != nil {
		return nil, err
	}
	m, f, err := d.ua.exchangeAmong(ctx, list, func(*flow.Flow) *outgoing {
		o.branch = ""
		return o
	}, d.auth, d.nextCSeq)
	if err == nil && m.Status != 503 && moved(list[0], f) {
		d.mu.Lock()
		if d.phase == confirmed && d.winner == l {
			d.flow = f
		}
		d.mu.Unlock()
	}
	return m, err
}

// moved tells whether another server has answered than the one that was asked first.
func moved(first place, f *flow.Flow) bool {
	return first.flow == nil && (first.Addr != f.Remote() || first.Network != f.Network())
}

// inside makes a request of the dialog to a leg; d.mu is held.
func (d *Dialog) inside(method string, l *leg, headers []Header, ctype string, body []byte) *outgoing {
	d.cseq++
	o := &outgoing{
		method: method, uri: l.target, from: d.local + ";tag=" + d.localTag, to: d.peer, callID: d.callID, cseq: d.cseq,
		routes: l.routes, headers: headers, ctype: ctype, body: body,
	}
	if l.tag != "" {
		o.to += ";tag=" + l.tag
	}
	switch method {
	case "INVITE", "UPDATE", "REFER", "NOTIFY":
		o.contact = d.contact
	}
	return o
}

func (d *Dialog) nextCSeq() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cseq++
	return d.cseq
}

// do sends a request within the confirmed dialog and returns the success. 408 and 481 end the dialog (RFC 3261
// 12.2.1.2).
func (d *Dialog) do(ctx context.Context, method string, headers []Header, ctype string, body []byte) (*wire.Message, error) {
	d.mu.Lock()
	if err := d.ready(); err != nil {
		d.mu.Unlock()
		return nil, fmt.Errorf("sip: %s: %w", method, err)
	}
	l := d.winner
	o := d.inside(method, l, headers, ctype, body)
	d.mu.Unlock()
	m, err := d.exchange(ctx, o, l)
	if err == nil {
		err = statusError(m)
	}
	if isStatus(err, 408, 481) || errors.Is(err, ErrTimeout) && ctx.Err() == nil {
		d.lose(err)
	}
	return m, err
}

// ready tells whether requests may be sent within the dialog; d.mu is held.
func (d *Dialog) ready() error {
	switch {
	case d.over:
		return ErrEnded
	case d.phase != confirmed || d.winner == nil:
		return ErrState
	}
	return nil
}

// lose ends a dialog whose peer doesn't know it any more or doesn't answer: BYE, in case it does.
func (d *Dialog) lose(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	e := Event{By: ByTimeout, Err: err}
	var s *StatusError
	if errors.As(err, &s) {
		e.By, e.Status, e.Phrase = ByPeer, s.Status, s.Phrase
	}
	if errors.Is(err, ErrTransport) {
		e.By = ByTransport
	}
	d.sendBye(d.winner, Reason{Protocol: "SIP", Cause: 408, Text: "Request Timeout"})
	d.end(e)
}
