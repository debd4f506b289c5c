package sip

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// Hangup ends the dialog, whatever its state: a dialed INVITE that isn't answered is cancelled (as soon as a 1xx
// allows it; a 2xx that crosses is ACKed and BYEd), an inbound one is answered with status (0: 603), and a confirmed
// dialog gets a BYE, after the ACK of our 2xx if that is still to come. why goes into the Reason header field. It
// waits for the peer's final answer until ctx ends; the stack sees it through in any case. A dialog that has ended
// already is no error. h goes along with the BYE or the answer.
func (d *Dialog) Hangup(ctx context.Context, why Reason, status int, h ...Header) error {
	if err := why.check(); err != nil {
		return err
	}
	if err := checkHeaders(h); err != nil {
		return err
	}
	if status != 0 && (status < 300 || status > 699) {
		return fmt.Errorf("sip: Hangup status %d: expected 300 to 699, or 0", status)
	}
	d.mu.Lock()
	switch {
	case d.over:
		d.mu.Unlock()
		return nil
	case d.phase == confirmed:
		d.mu.Unlock()
		return d.bye(ctx, why, h)
	case d.inbound:
		d.mu.Unlock()
		if status == 0 {
			status = 603
		}
		return d.refuse(status, "", append(reasonHeaders(why), h...), nil, why)
	}
	d.mu.Unlock()
	d.cancel(&ending{why: why, by: ByLocal, status: 487})
	select {
	case <-d.gone:
		return nil
	case <-ctx.Done():
		d.mu.Lock()
		defer d.mu.Unlock()
		d.end(Event{By: ByLocal, Status: 487, Reason: why, Err: ctx.Err()})
		return fmt.Errorf("sip: CANCEL: %w: %w", ErrTimeout, ctx.Err())
	}
}

// Cancel has a dialed INVITE end that isn't answered, as Hangup does, and doesn't wait. In any other state it does nothing.
func (d *Dialog) Cancel(why Reason) error {
	if err := why.check(); err != nil {
		return err
	}
	d.cancel(&ending{why: why, by: ByLocal, status: 487})
	return nil
}

// cancel ends a dialed INVITE that isn't answered.
func (d *Dialog) cancel(c *ending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.phase == confirmed || d.inbound || d.out.cancel != nil {
		return
	}
	d.out.cancel = c
	if d.out.stop != nil {
		d.out.stop()
	}
	// Before a 1xx nothing may be cancelled (RFC 3261 9.1): begin or the first response will see that it is wanted.
	if d.phase == ringing {
		d.sendCancel()
	}
}

// sendCancel sends CANCEL once; d.mu is held.
func (d *Dialog) sendCancel() {
	if !d.out.round.cancelled {
		d.takeBack(d.out.round, d.out.cancel.why)
	}
}

// takeBack cancels what was sent to one server; d.mu is held. If no final response follows within 64*T1 the INVITE
// counts as cancelled (RFC 3261 9.1).
func (d *Dialog) takeBack(r *round, why Reason) {
	r.cancelled = true
	invite := r.tx.sent()
	if invite == nil {
		return // a final response came, or nothing can come any more
	}
	req := &request{method: "CANCEL", branch: invite.branch, text: invite.follow("CANCEL", invite.to, reasonHeaders(why))}
	nothing := func(*wire.Message) {}
	if _, err := d.ua.startClient(req, r.tx.flow, d.callID, nothing, func(err error) {
		d.ua.log.Info("CANCEL not answered", "dialog", d.callID, "err", err)
	}); err != nil {
		d.ua.log.Warn("CANCEL not sent", "dialog", d.callID, "err", err)
	}
	d.ua.later(d.ua.timers.life(), d.callID, func() { r.tx.fail(ErrTimeout) })
}

// bye ends a confirmed dialog.
func (d *Dialog) bye(ctx context.Context, why Reason, h []Header) error {
	d.mu.Lock()
	if d.byeSent {
		d.mu.Unlock()
		select {
		case <-d.gone:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.byeSent = true
	waiting := d.pending
	d.mu.Unlock()
	if waiting != nil && waiting.first {
		// A callee must not BYE before the ACK (RFC 3261 15), but mustn't wait forever either.
		wait, cancel := context.WithTimeout(ctx, d.ua.timers.life())
		select {
		case <-waiting.done:
		case <-d.gone:
		case <-wait.Done():
		}
		cancel()
	}
	d.mu.Lock()
	if d.over {
		d.mu.Unlock()
		return nil
	}
	l := d.winner
	o := d.inside("BYE", l, append(reasonHeaders(why), h...), "", nil)
	settled := d.settle(why, h)
	d.mu.Unlock()

	// The exchange outlives ctx: a peer that is slow still gets its BYE repeated, and its challenge answered.
	result := make(chan error, 1)
	started := d.ua.spawn(func() {
		run, cancel := context.WithTimeout(d.ua.ctx, d.ua.timers.life()+time.Second)
		defer cancel()
		m, err := d.exchange(run, o, l)
		settled()
		if err == nil {
			err = statusError(m)
		}
		if isStatus(err, 408, 481) {
			err = nil // the peer had ended it too
		}
		result <- err
	})
	var err error
	if !started {
		err = ErrClosed
	} else {
		select {
		case err = <-result:
		case <-ctx.Done():
			err = fmt.Errorf("sip: BYE: %w: %w", ErrTimeout, ctx.Err())
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(Event{By: ByLocal, Reason: why, Err: err})
	return err
}

// sendBye sends BYE to a leg and doesn't wait; d.mu is held.
func (d *Dialog) sendBye(l *leg, why Reason) {
	if l == nil {
		return
	}
	o := d.inside("BYE", l, reasonHeaders(why), "", nil)
	d.ua.spawn(func() {
		ctx, cancel := context.WithTimeout(d.ua.ctx, d.ua.timers.life())
		defer cancel()
		if _, err := d.exchange(ctx, o, l); err != nil {
			d.ua.log.Info("BYE not answered", "dialog", d.callID, "err", err)
		}
	})
}

func reasonHeaders(why Reason) []Header {
	if why.IsZero() {
		return nil
	}
	return []Header{{Name: "Reason", Value: why.String()}}
}

// settle returns what refuses the INVITE of a dialog whose 2xx may never have left, once BYE is answered; a caller who knows of no
// dialog may leave that unanswered, and is told soon all the same. The lock is held.
func (d *Dialog) settle(why Reason, h []Header) func() {
	if !d.doubtful {
		return func() {}
	}
	in := d.in
	refuse := sync.OnceFunc(func() {
		if err := in.respond(503, "", append(reasonHeaders(why), h...), nil); err != nil {
			d.ua.log.Debug("final response after BYE", "dialog", d.callID, "err", err)
		}
	})
	t := time.AfterFunc(d.ua.timers.T1, refuse)
	return func() {
		t.Stop()
		refuse()
	}
}
