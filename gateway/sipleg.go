package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
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
	hop   string // the key of the hop that it is an attempt of
	cost  Price  // of a minute there, where charging gives none
	lease *lease // the charger's grant that it was called by; nil: none
	d     *sip.Dialog
	ep    media.Endpoint

	neg   sync.Mutex // one negotiation at a time
	offer media.Offer
	body  []byte // our answer to the peer's first offer, once made

	sending  sync.Mutex             // held while an event is on its way
	out      atomic.Pointer[outlet] // where events go
	notices  chan media.Notice
	missed   atomic.Uint64 // notices that found the queue full
	gone     chan struct{} // closed when nobody reads the events any more
	once     sync.Once
	end      sync.Once
	onDisk   chan struct{} // closed once the leg's end is written
	written  sync.Once
	cancel   context.CancelFunc // takes back an INVITE that wasn't answered; nil for the caller's leg
	progress atomic.Bool        // the peer has shown a sign of life
	acks     atomic.Bool        // our answer was confirmed
	speech   speech             // digits that travel in signalling
	gates    map[string]gate    // early media, by early dialog; the pump's
	aloud    string             // the early dialog that is heard, "" = none; the pump's

	settled string // the early dialog whose answer is the agreement, as it has offered anew; guarded by neg

	giving  sync.Mutex
	reoffer context.CancelCauseFunc // of the re-offer under way

	// Owned by the call's goroutine.
	call     atomic.Pointer[Call] // whose leg it is now; read by others
	who      *identity            // of its party, if it came from another call
	side     call.Role            // which party it is; role is how it began
	over     bool                 // LegEnded was handled
	answered atomic.Int64         // CLOCK_MONOTONIC of the 2xx; 0 = not answered
	want     sdp.Direction        // what was last negotiated with the peer, our view
	peer     sdp.Direction        // what the peer itself last asked for, its view
	silent   bool                 // nothing comes from it
	broken   string               // why nothing ever will; "" = it may
	theirs   *sdp.Description     // the offer of the INVITE that came, once it was read
	earlier  bool                 // it was answered in a provisional response
	demands  bool                 // the peer's own resources that its call must have aren't there yet (RFC 3312)
	digits   *digits
	tones    *dtmf.Detector // of what the peer says; nil: nobody listens
	presses  *digits        // what says the tone that the peer sends now
	meter    gauge

	heard sip.Headers                  // of its 2xx
	extra atomic.Pointer[[]sip.Header] // for the next message to the peer, whoever sends it

	progresses []said // provisional responses that were told on
	earlies    allowance
	hushes     allowance
}

// noticeQueue bounds what the packet path may have to tell before the leg's goroutine reads it: a second of DTMF.
const noticeQueue = 32

func (g *Gateway) newLeg(no int, role call.Role, p party, events chan LegEvent, log *slog.Logger) (*sipLeg, error) {
	if p.browser && p.dtmf == inband { // browsers have no tones to send, but telephone-events (RFC 7874 3)
		p.dtmf = "rfc4733"
	}
	l := &sipLeg{g: g, log: log.With("leg", no), no: no, role: role, side: role, party: p, notices: make(chan media.Notice, noticeQueue),
		gone: make(chan struct{}), onDisk: make(chan struct{})}
	l.out.Store(newOutlet(events))
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

func (l *sipLeg) Endpoint() media.Endpoint { return l.ep }

// abandon lets the pump drop what is left: nobody reads any more.
func (l *sipLeg) abandon() {
	l.once.Do(func() {
		close(l.gone)
		if l.cancel != nil {
			l.cancel()
		}
	})
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
	_ = deepenLeg()
	l.relay()
	// The stack asks for the leg until the end is written: what ended it is answered after that.
	select {
	case <-l.onDisk:
	case <-l.gone:
	}
	l.g.mu.Lock()
	delete(l.g.legs, l.d)
	l.g.mu.Unlock()
	if n := l.missed.Load(); n > 0 {
		l.log.Warn("notices of media were lost", "count", n)
	}
}

func (l *sipLeg) relay() {
	for {
		select {
		case e, ok := <-l.d.Events():
			if !ok {
				l.finish(LegEvent{Cause: call.Failure})
				return
			}
			l.dialog(*e)
		case n := <-l.notices:
			l.notice(n)
		}
	}
}

func (l *sipLeg) dialog(e sip.Event) {
	switch e.Kind {
	case sip.KindProgress:
		l.progress.Store(true)
		ev := LegEvent{Kind: LegProgress, At: e.At, Status: e.Status, Phrase: e.Phrase, Tag: e.Tag, Headers: e.Headers}
		ev.Early, ev.Shut = l.provisional(e)
		l.send(ev)
	case sip.KindAnswered:
		if err := l.accepted(e); err != nil {
			l.log.Warn("answer not usable", "err", err)
			c := call.Cause{Q850: 88, SIP: 488, Text: "the answer's media is not usable: " + err.Error()}
			l.send(LegEvent{Kind: LegForked, At: e.At, Phrase: c.Text})
			l.g.wg.Go(func() { l.hangup(c) })
			l.finish(LegEvent{At: e.At, Cause: c})
			return
		}
		l.send(LegEvent{Kind: LegAnswered, At: e.At, Status: e.Status, Phrase: e.Phrase, Tag: e.Tag, Headers: e.Headers})
	case sip.KindMoved:
		l.send(LegEvent{Kind: LegMoved, At: e.At, Phrase: "the server before gave no answer, or 503; trying " + e.Phrase})
	case sip.KindForked:
		l.send(LegEvent{Kind: LegForked, At: e.At, Tag: e.Tag, Phrase: "a further party answered and was hung up"})
	case sip.KindAcked:
		l.acked(e)
	case sip.KindPracked:
		l.pracked(e)
	case sip.KindOffer:
		l.offered(e)
	case sip.KindRefer:
		l.send(LegEvent{Kind: LegRefer, At: e.At, Refer: peerRefer{e.Refer}})
	case sip.KindNotify:
		if strings.EqualFold(wire.MediaType(e.Headers.Get("Event")), "refer") {
			state := wire.MediaType(e.Headers.Get("Subscription-State"))
			l.send(LegEvent{Kind: LegNotified, At: e.At, Status: e.Status, Phrase: e.Phrase, Final: strings.EqualFold(state, "terminated")})
		}
	case sip.KindInfo:
		if digit, held, ok := infoDigit(e.Content, e.Body); ok {
			l.send(LegEvent{Kind: LegDigit, At: e.At, Digit: digit, Held: held})
		}
	case sip.KindEnded:
		l.finish(l.endOf(e))
	}
}

// firstOffer reads the offer of the INVITE that came; it isn't to be changed.
func (l *sipLeg) firstOffer() (*sdp.Description, error) {
	if l.theirs == nil {
		d, err := l.ep.Remote(l.d.Request().Body)
		if err != nil {
			return nil, err
		}
		l.theirs = d
	}
	return l.theirs, nil
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
	case media.Pressed:
		l.send(LegEvent{Kind: LegPressed, Digit: n.Digit})
	case media.Digit:
		l.send(LegEvent{Kind: LegDigit, Digit: n.Digit, Held: n.Duration, InMedia: !n.Tone, Tone: n.Tone})
	case media.Flowing:
		l.send(LegEvent{Kind: LegFlowing, Phrase: n.From.String()})
	case media.Silent:
		l.send(LegEvent{Kind: LegSilent, Held: int(n.For / 1e6)})
	case media.Failed:
		l.log.Warn("media failed", "err", n.Err)
		l.send(LegEvent{Kind: LegFailed, Phrase: n.Err.Error()})
	}
}

func (l *sipLeg) hangup(c call.Cause) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Hangup(ctx, c); err != nil {
		l.log.Warn("hangup", "err", err)
	}
}

// Refer implements Leg.
func (l *sipLeg) Refer(ctx context.Context, target, replaces string) error {
	u, err := sip.ParseURI(target)
	if err != nil {
		return fmt.Errorf("refer target: %w", err)
	}
	return l.d.Refer(ctx, u, replaces)
}

// Hangup implements Leg.
func (l *sipLeg) Hangup(ctx context.Context, why call.Cause) error {
	if l.d == nil {
		return nil
	}
	return l.d.Hangup(ctx, reason(why), why.Status(), l.along()...)
}

// state is the dialog's state for the record.
func (l *sipLeg) state() json.RawMessage { return written(l.d.State()) }

// confirmed is the state of a dialog whose 200 is about to leave: after a crash it must be ended by BYE, and the INVITE by a final
// response, for nobody knows whether the 200 left.
func (l *sipLeg) confirmed() json.RawMessage {
	s := l.d.State()
	s.Phase = "confirmed"
	return written(s)
}

func written(s sip.State) json.RawMessage {
	const most = 600 // without an INVITE, as most are
	return s.AppendJSON(make([]byte, 0, most+len(s.Invite)*5/4))
}

// learn takes what the peer itself wants from its answer to an offer of ours. Where we offered nothing, it wants what it
// wanted before.
func (l *sipLeg) learn(offered sdp.Direction) {
	got := agreed(l.ep).Direction
	sends, receives := l.peer.Sends(), l.peer.Receives()
	if offered.Receives() {
		sends = got.Receives()
	}
	if offered.Sends() {
		receives = got.Sends()
	}
	l.peer = direction(sends, receives)
}
