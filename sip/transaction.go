package sip

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// write sends a message and counts it: a request by its method, or a response, with method "", by its status.
func (u *UA) write(f *flow.Flow, text []byte, method string, status int) error {
	if err := f.Send(text); err != nil {
		return err
	}
	if method != "" {
		u.count.requestsOut.method(method)
	} else {
		u.count.responsesOut.status(status)
	}
	u.front.trace(false, u, f, text)
	return nil
}

// clientTx is a request we sent, and the transaction that it makes (RFC 3261 17.1, RFC 6026).
type clientTx struct {
	ua     *UA
	key    string
	callID string
	invite bool
	flow   *flow.Flow

	onResponse func(*wire.Message) // in the Call-ID's order; every 2xx of an INVITE, also repeated ones
	onFail     func(error)         // no final response will come

	mu    sync.Mutex
	req   *request      // nil once nobody may need it again
	ack   []byte        // of a refusal, repeated for each of its repetitions
	wait  time.Duration // between repetitions of the request
	until time.Time     // when they end
	timer *time.Timer   // until the next one, or until all responses have died out; nil: none
	heard bool          // any response came
	final int
	over  bool
}

// startClient sends a request in a transaction of its own. The callbacks run in the order of the Call-ID's messages.
func (u *UA) startClient(req *request, f *flow.Flow, callID string, onResponse func(*wire.Message), onFail func(error)) (*clientTx, error) {
	t := &clientTx{
		ua: u, key: clientKey(req.branch, req.method), callID: callID, invite: req.method == "INVITE", req: req, flow: f,
		onResponse: onResponse, onFail: onFail,
	}
	t.mu.Lock() // a response waits until the clock is set
	if err := u.front.addClient(t); err != nil {
		t.mu.Unlock()
		return nil, err
	}
	u.front.gate.know(f.Remote().Addr(), u.users == nil) // its answers are awaited
	err := u.write(f, req.text, req.method, 0)
	if err == nil {
		t.until, t.wait = time.Now().Add(u.timers.life()), u.timers.life()
		if !f.Reliable() {
			t.wait = u.timers.T1
		}
		t.timer = time.AfterFunc(t.wait, t.tick)
	}
	t.mu.Unlock()
	if err != nil {
		t.fail(transportError(err))
	}
	return t, nil
}

// tick repeats the request (timers A and E) until nobody is expected to answer any more (B and F), or forgets the transaction
// when no response can come any more (D, K and M).
func (t *clientTx) tick() {
	t.mu.Lock()
	now := time.Now()
	var err error
	switch {
	case t.over:
	case t.final != 0:
		t.finish()
	case t.invite && t.heard: // it rings: how long is its dialog's business
	case !now.Before(t.until):
		err = ErrTimeout
	default:
		if err = t.ua.write(t.flow, t.req.text, t.req.method, 0); err != nil {
			err = transportError(err)
			break
		}
		if t.wait *= 2; !t.invite {
			t.wait = min(t.wait, t.ua.timers.T2)
		}
		if t.heard {
			t.wait = t.ua.timers.T2
		}
		t.timer.Reset(min(t.wait, t.until.Sub(now)))
	}
	t.mu.Unlock()
	if err != nil {
		t.fail(err)
	}
}

// fail ends the transaction; onFail tells err unless a final response came.
func (t *clientTx) fail(err error) {
	t.mu.Lock()
	report := t.final == 0 && !t.over
	told := t.onFail
	t.finish()
	t.mu.Unlock()
	if report && told != nil && !t.ua.front.serial.Do(t.callID, func() { told(err) }) {
		go told(err)
	}
}

// finish forgets the transaction; t.mu is held.
func (t *clientTx) finish() {
	if t.over {
		return
	}
	t.over, t.req, t.ack = true, nil, nil
	t.onResponse, t.onFail = nil, nil
	if t.timer != nil {
		t.timer.Stop()
	}
	t.ua.front.removeClient(t)
}

// receive takes a response, in the Call-ID's order.
func (t *clientTx) receive(m *wire.Message) {
	t.mu.Lock()
	if t.over {
		t.mu.Unlock()
		return
	}
	if t.ua.cfg.Overload.Heed && len(m.Vias) > 0 {
		t.ua.wishes.learn(t.flow.Remote(), m.Vias[0], time.Now())
	}
	first, tell := t.final == 0, t.onResponse
	t.heard = true
	if first && m.Status >= 200 {
		t.final = m.Status
		t.linger(m)
	} else if first && t.invite && t.timer != nil {
		t.timer.Stop()
	}
	var ack []byte
	if t.invite && m.Status >= 300 && t.final >= 300 {
		ack = t.ack
	}
	t.mu.Unlock()
	if ack != nil {
		if err := t.ua.write(t.flow, ack, "ACK", 0); err != nil {
			t.ua.log.Debug("ACK not sent", "dialog", t.callID, "err", err)
		}
	}
	if first || t.invite && m.Status >= 200 && m.Status < 300 { // a 2xx again, or of another fork
		tell(m)
	}
}

// linger keeps the transaction until repeated responses have died out: timer M after the 2xx of an INVITE, D after a refusal, K
// after all else; t.mu is held.
func (t *clientTx) linger(m *wire.Message) {
	keep := t.ua.timers.t4()
	switch {
	case t.invite && m.Status >= 300:
		t.ack = t.req.ack(m)
		fallthrough
	case t.invite:
		keep = t.ua.timers.life()
	case t.flow.Reliable():
		keep = 0
	}
	t.req = nil
	if !t.invite {
		t.onResponse, t.onFail = nil, nil
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	if keep == 0 {
		t.finish()
		return
	}
	t.timer = time.AfterFunc(keep, t.tick)
}

// sent is the request as it left, for its CANCEL; nil once it got a final response.
func (t *clientTx) sent() *request {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.req
}

// request is a request as it leaves.
type request struct {
	method, uri      string
	via, branch      string // the value of Via, and the branch in it
	routes           []string
	from, to, callID string
	cseq             uint32
	text             []byte
}

// ack is the ACK of a refusal (RFC 3261 17.1.1.3).
func (r *request) ack(m *wire.Message) []byte {
	return r.follow("ACK", m.Headers.Get("To"), nil)
}

// follow makes the ACK or the CANCEL of an INVITE: it goes where that went.
func (r *request) follow(method, to string, extra []Header) []byte {
	w := wire.NewWriter(method, r.uri)
	w = w.Add("Via", r.via)
	for _, v := range r.routes {
		w = w.Add("Route", v)
	}
	w = w.Add("Max-Forwards", "70")
	w = w.Add("From", r.from)
	w = w.Add("To", to)
	w = w.Add("Call-ID", r.callID)
	w = w.Add("CSeq", strconv.FormatUint(uint64(r.cseq), 10)+" "+method)
	for _, h := range extra {
		w = w.Add(h.Name, h.Value)
	}
	return w.Body(nil)
}

func transportError(err error) error { return fmt.Errorf("%w: %w", ErrTransport, err) }
