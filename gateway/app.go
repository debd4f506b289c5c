package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
)

// App is an application that takes calls, and makes them.
type App struct {
	ID, Tenant string
	CallerID   string // shown when it calls, unless it says otherwise
	CallerName string
	MaxCalls   int // both ways together; 0 = Limits.Calls
}

// jsonrpc is the origin of calls that applications make.
const jsonrpc = "jsonrpc"

// AppKind says what an AppEvent tells.
type AppKind uint8

const (
	AppRinging     AppKind = iota + 1 // the callee rings: Status, Phrase
	AppEarlyMedia                     // media flows before the answer: Status, Phrase, Endpoint
	AppAnswered                       // the call is answered: Status, Endpoint
	AppDigit                          // the peer sent a DTMF digit: Digit, Held
	AppHeld                           // the peer holds the call
	AppResumed                        // the peer takes it up again
	AppTransferred                    // how a transfer went: Status, Phrase; from 200 to 299 it worked, and the call ends
	AppMediaLost                      // the peer's media stopped
	AppEnded                          // the last event, and only then is the record durable: By, Cause
)

// AppEvent is something that happened to an application's call.
type AppEvent struct {
	Kind     AppKind
	At       time.Time
	Status   int
	Phrase   string
	Endpoint media.Endpoint
	Digit    byte
	Held     int // ms
	By       call.Party
	Cause    call.Cause // SIP is the final status, 200 for an answered call
}

// AppCall is a call with an application on one side and a SIP peer on the other. The application drives it: its methods
// may be called from any goroutine, and wait for the outcome until their context ends. After the end they return ErrNoCall.
type AppCall struct {
	c        *Call
	no       int    // of its leg in the record
	app      string // id of the application, "" if it has none
	remote   string
	incoming bool
	offered  []*media.Format // incoming: what an answer would agree to
	events   chan AppEvent
	done     chan struct{} // closed just before the events are

	// Owned by the call's goroutine.
	taken    bool // incoming: it accepted
	holds    bool
	holding  chan error // who waits for a hold or resume
	referral *referral
	ended    bool

	mu      sync.Mutex
	claimed bool
	leg     *sipLeg // whose media the application may use; nil: there is none now
}

// appEvents bounds the events of a call that wait to be read; appKeep of them are kept free for those that must not be
// lost, the answer and the end. A peer that sends digits to an application that doesn't read loses them.
const (
	appEvents = 128
	appKeep   = 8
)

func (c *Call) newAppCall(no int, app string) *AppCall {
	return &AppCall{c: c, no: no, app: app, events: make(chan AppEvent, appEvents), done: make(chan struct{})}
}

// ID is the call's, and its record's.
func (a *AppCall) ID() call.ID { return a.c.id }

// Remote is the number or name of the party at the other side, as the record has it.
func (a *AppCall) Remote() string { return a.remote }

// Incoming tells whether the peer called.
func (a *AppCall) Incoming() bool { return a.incoming }

// App is the id of the application that the call was for, or that made it; "" if it has none.
func (a *AppCall) App() string { return a.app }

// Offered is what an answer to an incoming call would agree to, best first; nil of one that the application made.
func (a *AppCall) Offered() []*media.Format { return a.offered }

// Events tells what happens, in order; it is closed after AppEnded. It holds 128 events, and never blocks the call: digits
// and the like that find it full are lost.
func (a *AppCall) Events() <-chan AppEvent { return a.events }

// Done is closed when the call is over for the application.
func (a *AppCall) Done() <-chan struct{} { return a.done }

// Endpoint is where the peer's media enters and leaves: link it. nil as long as there is no media, and after the end. The
// call owns it: it is never closed by the application.
func (a *AppCall) Endpoint() media.Endpoint {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leg == nil {
		return nil
	}
	return a.leg.ep
}

func (a *AppCall) setLeg(l *sipLeg) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leg = l
}

// party is who the application is in its call.
func (a *AppCall) party() call.Party {
	if a.incoming {
		return call.Callee
	}
	return call.Caller
}

// tell hands an event to the application, if there is one.
func (c *Call) tell(e AppEvent) {
	if c.app != nil {
		c.app.emit(e)
	}
}

// emit is called by the call's goroutine alone.
func (a *AppCall) emit(e AppEvent) {
	if a.ended {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	room := cap(a.events) - len(a.events)
	switch e.Kind {
	case AppEnded, AppAnswered, AppTransferred: // each comes once, a transfer's not without being asked for
		if room > 0 {
			a.events <- e
		}
	default:
		if room > appKeep {
			a.events <- e
		}
	}
	if e.Kind == AppEnded {
		a.finish()
	}
}

// finish ends the application's part.
func (a *AppCall) finish() {
	if a.ended {
		return
	}
	a.ended = true
	a.setLeg(nil)
	close(a.done)
	close(a.events)
}

// appOrder is what an application asks of its call, beside what a command has anyway.
type appOrder struct {
	from     *AppCall
	status   int
	hold     bool
	target   string // of a transfer, as the record shows it
	uri      string
	replaces string
	with     call.ID // the other call of an attended transfer; of cmdLink, whose family the call joins
	session  string
}

func (a *AppCall) do(ctx context.Context, cmd command) error {
	if closed(a.done) {
		return ErrNoCall
	}
	cmd.app.from = a
	return a.c.do(ctx, cmd)
}

// stale answers an order of an application whose call it isn't any more.
func (c *Call) stale(cmd command) bool {
	if cmd.app.from == nil || cmd.app.from == c.app {
		return false
	}
	respond(cmd, ErrNoCall)
	return true
}

// Errors of orders that don't fit the state of a call.
var (
	ErrNotAnswered = errors.New("the call isn't answered yet")
	ErrAnswered    = errors.New("the call was answered already, or wasn't offered")
	ErrBusy        = errors.New("an order of this kind is under way")
)

// Progress tells the caller of an offered call how it goes: 180 rings; with 183 media flows before the answer, both ways.
func (a *AppCall) Progress(ctx context.Context, status int) error {
	if status != 180 && status != 183 {
		return bad("status", "%d: expected 180 or 183", status)
	}
	return a.do(ctx, command{kind: cmdProgress, app: appOrder{status: status}})
}

// Accept answers an offered call. It returns when the answer is recorded and sent.
func (a *AppCall) Accept(ctx context.Context) error {
	return a.do(ctx, command{kind: cmdAccept})
}

// Reject refuses an offered call with a status of 400 to 699 (no challenge) and words for the record, or "". The route's
// next hop is tried if its failover says so.
func (a *AppCall) Reject(ctx context.Context, status int, text string) error {
	if status < 400 || status > 699 || status == 401 || status == 407 {
		return bad("status", "%d: expected 400 to 699, without 401 and 407", status)
	}
	if err := checkText("reason", text, maxPhrase); err != nil {
		return err
	}
	cause := call.FromStatus(status, text)
	if text == "" {
		cause.Text = phrases[status]
	}
	return a.do(ctx, command{kind: cmdReject, cause: cause})
}

// Hold asks the peer to send nothing more, by re-INVITE; what the application sends it still hears. It returns when the peer
// has agreed.
func (a *AppCall) Hold(ctx context.Context) error {
	return a.do(ctx, command{kind: cmdHold, app: appOrder{hold: true}})
}

// Resume ends a hold of the application's own.
func (a *AppCall) Resume(ctx context.Context) error {
	return a.do(ctx, command{kind: cmdHold})
}

// SendDTMF sends digits to the peer, 1 to 64 of 0-9 * # A-D, in media or in signalling as the leg negotiated. It returns
// when they are queued or, where they travel in signalling, when the peer has confirmed the last.
func (a *AppCall) SendDTMF(ctx context.Context, digits string) error {
	if err := checkDigits(digits); err != nil {
		return err
	}
	return a.do(ctx, command{kind: cmdDigits, text: digits})
}

// Hangup ends the call, whatever state it is in, with a cause; the zero one is a normal clearing. An offered call that
// isn't accepted is rejected so.
func (a *AppCall) Hangup(ctx context.Context, cause call.Cause) error {
	switch {
	case cause.IsZero():
		cause = call.Normal
	case cause.Q850 < 1 || cause.Q850 > 127:
		return bad("cause", "%d: expected a Q.850 cause, 1 to 127", cause.Q850)
	case cause.SIP != 0:
		return bad("cause", "has a SIP status, %d: that is the peer's to give", cause.SIP)
	}
	if err := checkText("reason", cause.Text, maxPhrase); err != nil {
		return err
	}
	return a.do(ctx, command{kind: cmdHangup, cause: cause, by: a.party()})
}

// Link makes the call one of another's family in the records, as when an application joins their media. session, unless
// empty, is the RPC session that drives the call.
func (a *AppCall) Link(ctx context.Context, with call.ID, session string) error {
	if err := checkText("session", session, maxName); err != nil {
		return err
	}
	return a.do(ctx, command{kind: cmdLink, app: appOrder{with: with, session: session}})
}
