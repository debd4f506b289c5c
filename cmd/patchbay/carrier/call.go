package carrier

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/sip"
)

// Call is one call at the carrier, as others see it.
type Call struct {
	ID        int    `json:"id"`
	Direction string `json:"direction"` // in: to a number of the carrier's; out: to an account
	Account   string `json:"account"`
	Number    string `json:"number"` // dialled
	From      string `json:"from"`
	State     string `json:"state"`           // calling, ringing, talking, ended
	Error     string `json:"error,omitempty"` // what went wrong at the carrier itself
	leg.Report
}

// keep is how many calls that ended are still told of.
const keep = 50

// byeTime is how long a hang-up waits for the peer.
const byeTime = 4 * time.Second

// call is a call that runs. Its goroutine reads top to bottom: each step is false when the call is over.
type call struct {
	c       *Carrier
	log     *slog.Logger
	leg     *leg.Leg
	limit   *time.Timer     // when the carrier hangs up
	heard   chan byte       // digits that no step has taken
	told    func(leg.Event) // who else wants to know; nil = nobody
	ordered <-chan struct{} // closed when whoever ordered the call wants it to end; nil = nobody did
	longest time.Duration   // of talking
	over    bool            // the last event came

	mu   sync.Mutex
	info Call
}

// begin makes a call one of the carrier's; nil while it stops, or if there are too many.
func (c *Carrier) begin(info Call) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.calls) >= maxCalls {
		return nil
	}
	c.work.Add(1)
	c.number++
	info.ID, info.Began = c.number, time.Now()
	k := &call{c: c, info: info, heard: make(chan byte, 64), limit: time.NewTimer(c.cfg.Ring), longest: c.cfg.Longest}
	k.log = c.log.With("call", info.ID, "account", info.Account, "number", info.Number)
	c.calls = append(c.calls, k)
	return k
}

// end forgets a call that is over, but for what is told of it.
func (c *Carrier) end(k *call) {
	k.limit.Stop()
	info := k.show()
	info.State = "ended"
	if info.Ended == nil { // refused without a leg
		now := time.Now()
		info.Ended, info.EndedBy = &now, leg.Who(sip.ByLocal)
	}
	c.mu.Lock()
	c.calls = slices.DeleteFunc(c.calls, func(o *call) bool { return o == k })
	if len(c.ended) == keep {
		c.ended = slices.Delete(c.ended, 0, 1)
	}
	c.ended = append(c.ended, info)
	c.mu.Unlock()
	k.log.Info("call ended", "direction", info.Direction, "answered", info.Answered != nil, "ended_by", info.EndedBy, "status", info.Status,
		"reason", info.Reason, "codec", info.Codec, "heard_dbm0", info.Heard.Level, "strongest_hz", info.Heard.Strongest.Hz,
		"strongest_dbm0", info.Heard.Strongest.Level, "packets", info.Heard.Packets, "lost", info.Heard.Lost)
	c.work.Done()
}

// Calls are the calls that run now, oldest first; with ended also the last ones that don't.
func (c *Carrier) Calls(ended bool) []Call {
	c.mu.Lock()
	running := slices.Clone(c.calls)
	out := []Call{}
	if ended {
		out = append(out, c.ended...)
	}
	c.mu.Unlock()
	for _, k := range running {
		out = append(out, k.show())
	}
	return out
}

func (k *call) show() Call {
	k.mu.Lock()
	defer k.mu.Unlock()
	info := k.info
	if k.leg != nil {
		info.Report = k.leg.Report()
	}
	return info
}

func (k *call) set(change func(*Call)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.info)
}

// config is a leg's; what the peer says is recorded if that is asked for.
func (k *call) config() leg.Config {
	cfg := leg.Config{Media: k.c.media, Formats: k.c.formats, Log: k.log}
	if k.c.cfg.Record != "" {
		cfg.Record = filepath.Join(k.c.cfg.Record, fmt.Sprintf("%s-call-%d.wav", time.Now().UTC().Format("20060102T150405.000"), k.info.ID))
	}
	return cfg
}

// invite takes a call that comes in; the stack has authenticated it. Only who is registered may call.
func (c *Carrier) invite(d *sip.Dialog) {
	account := d.Request().User
	number := numberOf(d)
	info := Call{Direction: "in", Account: account, Number: number, From: user(d.Request().From.URI), State: "calling"}
	serve, no := serves(number)
	if len(c.registrar.Contacts(account)) == 0 {
		serve, no = nil, refusal{403, 21, "Register first"}
	}
	k := c.begin(info)
	if k == nil {
		c.refuse(d, refusal{503, 42, "Switching equipment congestion"})
		return
	}
	defer c.end(k)
	if serve == nil {
		k.log.Info("call refused", "status", no.status, "cause", no.cause)
		k.set(func(i *Call) { i.Status, i.Reason = no.status, no.text })
		c.refuse(d, no)
		return
	}
	l, err := leg.Take(k.config(), d)
	if err != nil {
		k.log.Error("call refused", "err", err)
		k.set(func(i *Call) { i.Error = err.Error() })
		c.refuse(d, refusal{500, 41, "Temporary failure"})
		return
	}
	k.run(l, func() { serve(k) })
}

// refuse answers a call without a leg and reads its events to the end.
func (c *Carrier) refuse(d *sip.Dialog, no refusal) {
	reason := sip.Reason{Protocol: "Q.850", Cause: no.cause, Text: no.text}
	if err := d.Reject(no.status, "", sip.Header{Name: "Reason", Value: reason.String()}); err != nil {
		c.log.Info("refusal not sent", "err", err)
	}
	for range d.Events() {
	}
}

// run does the steps of a call on its leg, and sees to it that the call is over then.
func (k *call) run(l *leg.Leg, steps func()) {
	k.mu.Lock()
	k.leg = l
	k.mu.Unlock()
	k.log.Info("call", "direction", k.info.Direction, "from", k.info.From, "sip_call_id", l.Dialog().CallID())
	steps()
	if !k.over {
		k.hangup(16, "Normal call clearing")
	}
	if err := l.Close(); err != nil {
		k.log.Info("call not ended cleanly", "err", err)
	}
}

func (k *call) event(e leg.Event, ok bool) {
	if !ok {
		k.over = true
		return
	}
	switch e.Kind {
	case leg.Digit:
		select {
		case k.heard <- e.Digit:
		default: // nobody asks for digits on this number
		}
	case leg.Held, leg.Resumed:
		k.log.Info("hold", "on", e.Kind == leg.Held)
	case leg.Progress:
		k.set(func(i *Call) { i.State = "ringing" })
	case leg.Ended:
		k.over = true
	}
	if k.told != nil {
		k.told(e)
	}
}

// expire ends a call that has lasted, or rung, as long as it may.
func (k *call) expire() {
	if k.leg.Report().Answered == nil {
		k.reject(480, 19, "No answer from user")
		return
	}
	k.log.Info("longest call reached", "after", k.longest)
	k.hangup(16, "Normal call clearing")
}

// leave ends a call because the carrier stops.
func (k *call) leave() {
	if k.leg.Report().Answered == nil {
		k.reject(503, 41, "Temporary failure")
		return
	}
	k.hangup(16, "Normal call clearing")
}

// hangup ends the call and handles what is left of its events.
func (k *call) hangup(cause int, text string) {
	ctx, cancel := context.WithTimeout(context.Background(), byeTime)
	defer cancel()
	if err := k.leg.Hangup(ctx, cause, text); err != nil {
		k.log.Info("hang-up not confirmed", "err", err)
	}
	k.drain()
}

// reject refuses an inbound call that isn't answered, and cancels one of our own.
func (k *call) reject(status, cause int, text string) {
	if !k.leg.Dialog().Inbound() {
		k.hangup(cause, text)
		return
	}
	if err := k.leg.Reject(status, cause, text); err != nil {
		k.log.Info("refusal not sent", "err", err)
	}
	k.drain()
}

// drain handles events to the last.
func (k *call) drain() {
	for e := range k.leg.Events() {
		k.event(e, true)
	}
	k.over = true
}
