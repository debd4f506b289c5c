package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// serverTx is a request we answer: the message, and where it came from.
type serverTx struct {
	*answering
	m  *wire.Message
	at time.Time
}

// answering is a server transaction (RFC 3261 17.2, RFC 6026), all of it that must be kept until the request's repetitions
// have died out: half a minute, in which a busy gateway ends thousands of calls. The request itself isn't needed for that.
type answering struct {
	ua     *UA
	flow   *flow.Flow
	key    string
	merged string
	callID string
	tag    string // To-tag of our responses
	invite bool
	begins bool // it isn't within a dialog

	mu     sync.Mutex
	final  int
	last   []byte // the last response; nil once nobody may need it again
	status int    // of last
	acked  bool
	over   bool
	dialog *Dialog // of an INVITE
	timer  *time.Timer
	wait   time.Duration // between repetitions of a refusal
	until  time.Time     // when they end
}

func (u *UA) newServerTx(fl *flow.Flow, m *wire.Message, tag string, at time.Time) *serverTx {
	return &serverTx{m: m, at: at, answering: &answering{ua: u, flow: fl, key: serverKey(m), callID: strings.Clone(m.CallID), tag: tag, invite: m.Method == "INVITE"}}
}

func (t *answering) source() netip.AddrPort { return t.flow.Remote() }

// respond sends a response. A second final response is refused.
func (t *serverTx) respond(status int, phrase string, extra []Header, body []byte) error {
	if phrase == "" {
		phrase = wire.Phrase(status)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.final != 0 {
		return fmt.Errorf("sip: %s was already answered %d: %w", t.m.Method, t.final, ErrState)
	}
	t.ua.reduce(t.m, time.Now())
	t.last, t.status = wire.Respond(t.m, t.source(), status, phrase, t.tag, t.ua.stamp(extra), body), status
	if status >= 200 {
		t.final = status
	}
	err := t.ua.write(t.flow, t.last, "", status)
	if status >= 200 {
		t.linger()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTransport, err)
	}
	return nil
}

// linger keeps the transaction for what may still come after its final response; t.mu is held.
func (t *answering) linger() {
	times := t.ua.timers
	switch {
	case t.over:
	case t.invite && t.final >= 300: // until its ACK (timer H), repeated (timer G)
		t.until = time.Now().Add(times.life())
		t.wait = times.T1
		if t.flow.Reliable() {
			t.wait = times.life()
		}
		t.timer = time.AfterFunc(t.wait, t.tick)
	case t.invite || !t.flow.Reliable(): // timers L and J
		t.timer = time.AfterFunc(times.life(), t.terminate)
	default:
		t.finish()
	}
}

// tick repeats a refusal that waits for its ACK.
func (t *answering) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case t.over || t.acked:
		return
	case !now.Before(t.until):
		t.finish()
		return
	}
	if err := t.send(); err != nil {
		t.ua.log.Debug("response not repeated", "dialog", t.callID, "err", err)
	}
	t.wait = min(2*t.wait, t.ua.timers.T2)
	t.timer.Reset(min(t.wait, t.until.Sub(now)))
}

// send sends the last response; t.mu is held.
func (t *answering) send() error {
	if t.last == nil {
		return ErrState
	}
	return t.ua.write(t.flow, t.last, "", t.status)
}

// repeat sends the last response again, as a 2xx and a lasting 1xx need it.
func (t *answering) repeat() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.send()
}

// receive takes a repetition of the request. That of an INVITE with a 2xx is absorbed: its dialog repeats the 2xx (RFC 6026 7.1).
func (t *answering) receive() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || t.last == nil || t.invite && t.final >= 200 && t.final < 300 {
		return
	}
	if err := t.send(); err != nil {
		t.ua.log.Debug("response not repeated", "dialog", t.callID, "err", err)
	}
}

// ack takes the ACK of a refusal: what follows is absorbed for a moment (timer I).
func (t *answering) ack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.acked || t.over || t.final < 300 {
		return
	}
	t.acked, t.last = true, nil
	t.timer.Stop()
	if t.flow.Reliable() {
		t.finish()
		return
	}
	t.timer = time.AfterFunc(t.ua.timers.t4(), t.terminate)
}

// confirmed lets go of a 2xx whose ACK came.
func (t *answering) confirmed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = nil
}

func (t *answering) answered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.final
}

// terminate ends the transaction without a word.
func (t *answering) terminate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finish()
}

// finish forgets the transaction; t.mu is held.
func (t *answering) finish() {
	if t.over {
		return
	}
	t.over, t.last = true, nil
	if t.timer != nil {
		t.timer.Stop()
	}
	t.ua.front.removeServer(t)
}

// refuse answers with what a check found.
func (t *serverTx) refuse(r *wire.Refusal) {
	extra := r.Extra
	if r.Status == 400 || r.Status == 403 { // which say too little alone
		extra = append(extra, warning(r.Error()))
	}
	t.respond(r.Status, r.Phrase(), extra, nil)
}

// warning is a Warning header field with the code for other reasons (RFC 3261 20.43).
func warning(text string) Header {
	return Header{Name: "Warning", Value: "399 patchbay " + wire.Quote(printable(text))}
}

func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 0x20 || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}
