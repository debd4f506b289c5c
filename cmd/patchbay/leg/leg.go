// Package leg is one party's side of a call, made of our own sip and media: a dialog and its endpoint, of plain RTP or of WebRTC,
// what is played into it and what is heard from it. The demo carrier and the headless phone are made of legs.
package leg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/sip"
)

// Config of a leg.
type Config struct {
	Media   *Media
	Formats []*media.Format // as of Formats
	Silence time.Duration   // after so long without media Silent is told; 0 = never
	Record  string          // WAV file for what is heard; "" = none
	Log     *slog.Logger
}

// Leg is a dialog with its media. Events must be read until the channel is closed, or the leg closed.
type Leg struct {
	cfg    Config
	log    *slog.Logger
	d      *sip.Dialog
	ep     media.Endpoint
	agreed func() agreement // what ep has negotiated
	pipe   *media.Pipeline

	events  chan Event
	notices chan media.Notice
	lost    atomic.Uint64 // notices that found the queue full
	quit    chan struct{} // closed when nobody reads events any more
	once    sync.Once
	pumped  chan struct{} // closed when the leg's goroutine is done

	neg   sync.Mutex  // one negotiation at a time
	offer media.Offer // ours, not yet answered
	body  []byte      // our answer to the peer's first offer, once made
	held  bool

	ear      *ear
	pressing sync.WaitGroup

	mu       sync.Mutex
	playing  media.Element // what speaks to the peer now
	began    time.Time
	answered time.Time
	ended    Event
	digits   []byte // heard
}

const (
	eventQueue  = 32
	noticeQueue = 32
	maxDigits   = 256 // of those heard, the last ones are kept
	byeTime     = 4 * time.Second
)

// open makes a leg without a dialog. peer is the address of its signalling, if known.
func open(cfg Config, peer netip.Addr) (*Leg, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Leg{cfg: cfg, log: cfg.Log, events: make(chan Event, eventQueue), notices: make(chan media.Notice, noticeQueue),
		quit: make(chan struct{}), pumped: make(chan struct{}), began: time.Now()}
	m := cfg.Media
	l.pipe = media.NewPipeline(media.Config{Registry: m.registry, Clock: m.clock, Log: cfg.Log})
	timeout := cfg.Silence
	if timeout == 0 {
		timeout = -1
	}
	err := l.openEndpoint(peer, timeout)
	if err != nil {
		return nil, fmt.Errorf("media of a leg: %w", err)
	}
	if err = l.pipe.Add(l.ep); err == nil {
		l.ear, err = newEar(l, cfg.Record)
	}
	if err != nil {
		return nil, errors.Join(err, l.pipe.Close())
	}
	return l, nil
}

// Dial calls. ctx bounds the time until the answer. Body of the INVITE is the leg's.
func Dial(ctx context.Context, cfg Config, ua *sip.UA, inv sip.Invite) (*Leg, error) {
	l, err := open(cfg, inv.Destination.Addr.Addr())
	if err != nil {
		return nil, err
	}
	o, err := l.ep.Offer(ctx, media.Want{})
	if err != nil {
		return nil, errors.Join(err, l.pipe.Close())
	}
	l.offer, inv.Body = o, o.SDP()
	if l.d, err = ua.Dial(ctx, inv); err != nil {
		return nil, errors.Join(err, l.pipe.Close())
	}
	go l.pump()
	return l, nil
}

// Take takes a call that came in. Whether its offer can be agreed to shows when media is first needed.
func Take(cfg Config, d *sip.Dialog) (*Leg, error) {
	_, peer := d.Peer()
	l, err := open(cfg, peer.Addr())
	if err != nil {
		return nil, err
	}
	l.d = d
	go l.pump()
	return l, nil
}

// Dialog is the leg's SIP side.
func (l *Leg) Dialog() *sip.Dialog { return l.d }

// Events is where the leg tells what happens; closed after Ended.
func (l *Leg) Events() <-chan Event { return l.events }

// notify is called on the packet path.
func (l *Leg) notify(n media.Notice) {
	select {
	case l.notices <- n:
	default:
		l.lost.Add(1)
	}
}

// send hands an event to whoever reads.
func (l *Leg) send(e Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	select {
	case l.events <- e:
	case <-l.quit:
	}
}

// pump turns the dialog's events and the endpoint's notices into the leg's, until the dialog has ended.
func (l *Leg) pump() {
	defer close(l.pumped)
	defer close(l.events)
	for {
		select {
		case e, ok := <-l.d.Events():
			if !ok {
				return
			}
			l.dialog(*e)
		case n := <-l.notices:
			l.notice(n)
		}
	}
}

func (l *Leg) dialog(e sip.Event) {
	out := Event{At: e.At, Status: e.Status, Phrase: e.Phrase, Reason: e.Reason}
	switch e.Kind {
	case sip.KindTrying:
		out.Kind = Trying
	case sip.KindProgress:
		out.Kind = Progress
		if isSDP(e.Content, e.Body) {
			if err := l.early(e.Tag, e.Body); err != nil {
				l.log.Warn("early media not taken", "dialog", l.d.CallID(), "err", err)
			} else {
				out.Early = true
			}
		}
	case sip.KindAnswered:
		if err := l.accepted(e); err != nil {
			l.giveUp(err)
			return
		}
		out.Kind = Answered
		l.setAnswered(e.At)
	case sip.KindAcked:
		if !l.acked(e) {
			return
		}
		out.Kind = Answered
	case sip.KindForked:
		out.Kind = Forked
	case sip.KindOffer:
		l.offered(e.Offer)
		return
	case sip.KindInfo:
		d, ok := infoDigit(e.Content, e.Body)
		if !ok {
			return
		}
		l.hear(d)
		out.Kind, out.Digit = Digit, d
	case sip.KindRefer:
		if err := e.Refer.Reject(603, "Transfers Are Not Served Here"); err != nil {
			l.log.Debug("REFER not answered", "dialog", l.d.CallID(), "err", err)
		}
		return
	case sip.KindEnded:
		out.Kind, out.By, out.Err = Ended, e.By, e.Err
		l.mu.Lock()
		l.ended = out
		l.mu.Unlock()
	default:
		return
	}
	l.send(out)
}

func (l *Leg) notice(n media.Notice) {
	switch n := n.(type) {
	case media.Digit:
		l.hear(n.Digit)
		l.send(Event{Kind: Digit, Digit: n.Digit, InMedia: true})
	case media.Flowing:
		l.send(Event{Kind: Flowing, Phrase: n.From.String()})
	case media.Silent:
		l.send(Event{Kind: Silent})
	case media.Failed:
		l.log.Error("media failed", "dialog", l.d.CallID(), "err", n.Err)
	}
}

// hear keeps a digit.
func (l *Leg) hear(d byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.digits) == maxDigits {
		l.digits = l.digits[:copy(l.digits, l.digits[1:])]
	}
	l.digits = append(l.digits, d)
}

func (l *Leg) setAnswered(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answered.IsZero() {
		l.answered = at
	}
}

// Progress sends a provisional response, with media if early.
func (l *Leg) Progress(status int, early bool) error {
	var body []byte
	if early {
		l.neg.Lock()
		err := l.makeAnswer()
		body = l.body
		l.neg.Unlock()
		if err != nil {
			return err
		}
	}
	return l.d.Progress(status, "", body)
}

// Answer accepts the call. The peer's confirmation comes as Answered.
func (l *Leg) Answer() error {
	l.neg.Lock()
	body, err := l.answerBody()
	l.neg.Unlock()
	if err != nil {
		return err
	}
	if err := l.d.Answer(body); err != nil {
		return err
	}
	l.setAnswered(time.Now())
	return nil
}

// Reject refuses the call with a status of 300 to 699 and a Q.850 cause (0 = none).
func (l *Leg) Reject(status, cause int, text string) error {
	return l.d.Reject(status, "", reason(cause, text)...)
}

// RejectFor refuses the call for an error of its media: 488 with a Warning where the offer is to blame (RFC 3261 13.3.1.3).
func (l *Leg) RejectFor(err error) error {
	if code, text, ok := sdp.Warning(err); ok {
		return l.d.Reject(488, "", warning(code, text))
	}
	return l.d.Reject(500, "")
}

func reason(cause int, text string) []sip.Header {
	if cause == 0 {
		return nil
	}
	return []sip.Header{{Name: "Reason", Value: sip.Reason{Protocol: "Q.850", Cause: cause, Text: text}.String()}}
}

func warning(code int, text string) sip.Header {
	return sip.Header{Name: "Warning", Value: fmt.Sprintf("%d patchbay %q", code, text)}
}

// Hangup ends the call in whatever state it is, with a Q.850 cause (0 = 16), and waits for the peer's confirmation until
// ctx ends.
func (l *Leg) Hangup(ctx context.Context, cause int, text string) error {
	if cause == 0 {
		cause, text = 16, "Normal call clearing"
	}
	return l.d.Hangup(ctx, sip.Reason{Protocol: "Q.850", Cause: cause, Text: text}, 0)
}

// giveUp hangs up because media can't be.
func (l *Leg) giveUp(err error) {
	l.log.Warn("call without usable media", "dialog", l.d.CallID(), "err", err)
	ctx, cancel := context.WithTimeout(context.Background(), byeTime)
	defer cancel()
	if herr := l.Hangup(ctx, 88, "Incompatible destination"); herr != nil {
		l.log.Debug("hangup", "dialog", l.d.CallID(), "err", herr)
	}
}

// Close hangs up if need be, ends the media and awaits all goroutines. Twice is as good as once.
func (l *Leg) Close() error {
	l.once.Do(func() { close(l.quit) })
	ctx, cancel := context.WithTimeout(context.Background(), byeTime)
	defer cancel()
	err := l.Hangup(ctx, 0, "")
	<-l.pumped
	l.pressing.Wait()
	return errors.Join(err, l.pipe.Close())
}

func isSDP(content string, body []byte) bool {
	ctype, _, _ := strings.Cut(content, ";")
	return len(body) > 0 && strings.EqualFold(strings.TrimSpace(ctype), "application/sdp")
}
