package sip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	psip "github.com/emiago/sipgo/sip"

	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// conn is a Flow as sipgo's transactions want it. They hold it, so each transaction stays on its flow, whatever
// other connections there are.
type conn struct {
	ua   *UA
	flow *flow.Flow
}

// WriteMsg sends a message and counts it.
func (c *conn) WriteMsg(m psip.Message) error {
	text := m.String()
	if err := c.flow.Send([]byte(text)); err != nil {
		return err
	}
	switch v := m.(type) {
	case *psip.Request:
		c.ua.count.requestsOut.method(string(v.Method))
	case *psip.Response:
		c.ua.count.responsesOut.status(v.StatusCode)
	}
	c.ua.front.trace(false, c.ua, c.flow, []byte(text))
	return nil
}

// LocalAddr is our address.
func (c *conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.flow.Local()) }

// Ref, TryClose and Close do nothing: who opened a flow closes it.
func (c *conn) Ref(int) int            { return 1 }
func (c *conn) TryClose() (int, error) { return 1, nil }
func (c *conn) Close() error           { return nil }

// serverTx is a request we answer: sipgo's state machine, the message, and where it came from.
type serverTx struct {
	ua     *UA
	m      *wire.Message
	flow   *flow.Flow
	key    string
	merged string
	tx     *psip.ServerTx
	tag    string // To-tag of our responses
	at     time.Time

	mu     sync.Mutex
	final  int
	last   *psip.Response
	acked  bool
	dialog *Dialog // of an INVITE
}

func (t *serverTx) source() netip.AddrPort { return t.flow.Remote() }

// respond sends a response. A second final response is refused.
func (t *serverTx) respond(status int, phrase string, extra []Header, body []byte) error {
	if phrase == "" {
		phrase = wire.Phrase(status)
	}
	t.mu.Lock()
	if t.final != 0 {
		t.mu.Unlock()
		return fmt.Errorf("sip: %s was already answered %d: %w", t.m.Method, t.final, ErrState)
	}
	if status >= 200 {
		t.final = status
	}
	t.mu.Unlock()
	res := wire.Respond(t.m, t.source(), status, phrase, t.tag, t.ua.stamp(extra), body)
	t.mu.Lock()
	t.last = res
	t.mu.Unlock()
	if err := t.tx.Respond(res); err != nil {
		return fmt.Errorf("%w: %w", ErrTransport, err)
	}
	return nil
}

// repeat sends the last response again, as a 2xx and a lasting 1xx need it.
func (t *serverTx) repeat() error {
	t.mu.Lock()
	res := t.last
	t.mu.Unlock()
	if res == nil {
		return ErrState
	}
	return (&conn{t.ua, t.flow}).WriteMsg(res)
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

// receive takes a retransmission of the request.
func (t *serverTx) receive(m *wire.Message) { t.tx.Receive(m.Request) }

// ack takes the ACK of a non-2xx response. sipgo hands it to a channel that nobody reads unless we do.
func (t *serverTx) ack(m *wire.Message) {
	t.mu.Lock()
	first := !t.acked && t.final >= 300
	t.acked = t.acked || first
	t.mu.Unlock()
	if !first {
		return
	}
	t.tx.Receive(m.Request)
	select {
	case <-t.tx.Acks():
	case <-t.tx.Done():
	case <-time.After(time.Second):
	}
}

func (t *serverTx) answered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.final
}

// clientTx is a request we sent.
type clientTx struct {
	ua     *UA
	key    string
	callID string
	invite bool
	req    *psip.Request
	flow   *flow.Flow
	tx     *psip.ClientTx // nil for an INVITE that another process sent

	onResponse func(*wire.Message) // in the Call-ID's order; retransmitted 2xx of INVITE included
	onFail     func(error)         // no final response will come

	limit *time.Timer
	ready chan struct{} // closed once tx is whole; nil if there is none
	mu    sync.Mutex
	heard bool // any response came
	final int
	cause error
	over  bool
}

// startClient sends a request in a transaction of its own. The callbacks run in the order of the Call-ID's messages.
func (u *UA) startClient(req *psip.Request, f *flow.Flow, callID string, onResponse func(*wire.Message), onFail func(error)) (*clientTx, error) {
	// Filled before any goroutine sees the request: these accessors cache what they parse.
	req.Via()
	req.From()
	req.To()
	req.CallID()
	req.CSeq()
	req.Route()
	req.SetTransport(psip.NetworkToUpper(f.Network()))
	key, err := psip.ClientTxKeyMake(req)
	if err != nil {
		return nil, fmt.Errorf("sip: %s: %w", req.Method, err)
	}
	t := &clientTx{
		ua: u, key: key, callID: callID, invite: req.Method == psip.INVITE, req: req, flow: f,
		onResponse: onResponse, onFail: onFail, ready: make(chan struct{}),
	}
	defer close(t.ready)
	t.tx = psip.NewClientTx(key, req, &conn{u, f}, u.front.quiet)
	t.tx.OnTerminate(func(_ string, err error) { t.terminated(err) })
	if err := u.front.addClient(t); err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.limit = time.AfterFunc(u.timers.life(), t.expire)
	t.mu.Unlock()
	if err := t.tx.Init(); err != nil {
		t.fail(fmt.Errorf("%w: %w", ErrTransport, err))
	}
	return t, nil
}

// expire ends a transaction nobody answered (timers B and F, with our own T1).
func (t *clientTx) expire() {
	t.mu.Lock()
	done := t.final != 0 || (t.invite && t.heard)
	t.mu.Unlock()
	if !done {
		t.fail(ErrTimeout)
	}
}

// fail ends the transaction; onFail tells err unless a final response came.
func (t *clientTx) fail(err error) {
	t.mu.Lock()
	if t.cause == nil {
		t.cause = err
	}
	t.mu.Unlock()
	if t.tx == nil {
		t.terminated(err)
		return
	}
	t.tx.Terminate()
}

// terminated runs within sipgo's locks: it only removes and hands on.
func (t *clientTx) terminated(err error) {
	t.ua.front.removeClient(t)
	t.mu.Lock()
	if t.limit != nil {
		t.limit.Stop()
	}
	if t.cause != nil {
		err = t.cause
	}
	report := t.final == 0 && !t.over
	t.over = true
	t.mu.Unlock()
	if !report || t.onFail == nil {
		return
	}
	switch {
	case errors.Is(err, psip.ErrTransactionTimeout):
		err = ErrTimeout
	case errors.Is(err, psip.ErrTransactionTransport):
		err = fmt.Errorf("%w: %w", ErrTransport, err)
	case err == nil:
		err = ErrClosed
	}
	if !t.ua.front.serial.Do(t.callID, func() { t.onFail(err) }) {
		go t.onFail(err)
	}
}

// receive takes a response, in the Call-ID's order.
func (t *clientTx) receive(m *wire.Message) {
	if t.ready != nil {
		// sipgo sends first and sets its timers after: a final response in between would end the transaction at once, and
		// its repetitions would find nobody to ACK them.
		<-t.ready
	}
	t.mu.Lock()
	before := t.final
	t.heard = true
	if m.Status >= 200 && before == 0 {
		t.final = m.Status
	}
	t.mu.Unlock()
	switch {
	case before == 0 && t.tx != nil:
		t.machine(m)
	case before == 0:
		if m.Status >= 300 {
			t.ackFailure(m)
		}
		t.onResponse(m)
	case !t.invite, before >= 200 && before < 300 && m.Status >= 300, m.Status < 200:
		// absorbed
	case m.Status >= 300:
		t.ackFailure(m)
	default:
		t.onResponse(m) // a 2xx again, or of another fork
	}
}

// machine runs the response through sipgo's state machine, which hands it out on a channel while it blocks.
func (t *clientTx) machine(m *wire.Message) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.tx.Receive(m.Response)
	}()
	select {
	case <-t.tx.Responses():
		t.onResponse(m)
		<-done
	case <-done: // absorbed
	}
}

// ackFailure sends the ACK of a non-2xx response (RFC 3261 17.1.1.3) where sipgo doesn't: for a retransmission,
// since sipgo then sleeps with its lock held, and for an INVITE that another process sent.
func (t *clientTx) ackFailure(m *wire.Message) {
	ack := psip.NewRequest(psip.ACK, t.req.Recipient)
	for _, name := range []string{"Via", "Route", "From"} {
		psip.CopyHeaders(name, t.req, ack)
	}
	ack.AppendHeader(psip.NewHeader("To", m.Headers.Get("To")))
	ack.AppendHeader(psip.NewHeader("Call-ID", t.callID))
	ack.AppendHeader(psip.NewHeader("CSeq", fmt.Sprintf("%d ACK", m.CSeq)))
	ack.AppendHeader(psip.NewHeader("Max-Forwards", "70"))
	ack.SetBody(nil)
	(&conn{t.ua, t.flow}).WriteMsg(ack)
}
