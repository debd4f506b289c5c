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

// offerAmong sends a re-INVITE to the first of its next hop's servers that answers.
func (d *Dialog) offerAmong(ctx context.Context, o *outgoing, l *leg, plain []Header) (*wire.Message, error) {
	list, err := d.ways(ctx, l)
	if err != nil {
		return nil, err
	}
	accepted := make(chan *wire.Message, 1)
	m, _, err := d.ua.among(ctx, list, func(f *flow.Flow, patience time.Duration) (*wire.Message, error) {
		o.branch = ""
		r := reoffer{d: d, l: l, o: o, f: f, moved: moved(list[0], f), patience: patience, accepted: accepted}
		return r.send(ctx, plain)
	})
	return m, err
}

// reoffer is a re-INVITE at one server.
type reoffer struct {
	d        *Dialog
	l        *leg
	o        *outgoing
	f        *flow.Flow
	moved    bool // it isn't the dialog's server so far
	patience time.Duration
	accepted chan *wire.Message // a 2xx, also to what a server was sent that was given up: it is the peer's answer all the same
}

// send sends it with credentials, and for a longer session, where it is asked to.
func (r *reoffer) send(ctx context.Context, plain []Header) (*wire.Message, error) {
	d, o := r.d, r.o
	var attempt auth.Attempt
	for {
		m, err := r.once(ctx)
		if err != nil {
			return nil, err
		}
		if m.Status == 401 || m.Status == 407 {
			if d.auth.Challenge(&attempt, m.Headers) == nil {
				o.cseq, o.branch = d.nextCSeq(), ""
				continue
			}
		}
		d.mu.Lock()
		longer := d.longer(m)
		if longer {
			d.cseq++
			o.cseq, o.branch, o.headers = d.cseq, "", append(plain[:len(plain):len(plain)], d.asking(false)...)
		}
		d.mu.Unlock()
		if !longer {
			return m, nil
		}
	}
}

// once sends it and returns the final response; a 2xx is ACKed, each time it comes.
func (r *reoffer) once(ctx context.Context) (*wire.Message, error) {
	d := r.d
	credentials := d.auth.Headers("INVITE", r.o.sentURI(), r.o.body)
	req, f, err := d.ua.fit(ctx, r.o, r.f, credentials)
	if err != nil {
		return nil, err
	}
	ack := outgoing{method: "ACK", from: r.o.from, to: r.o.to, callID: d.callID, cseq: r.o.cseq, headers: credentials}
	w := newWaiting(r.patience)
	defer w.stop()
	w.accepted = r.accepted
	again := false
	t, err := d.ua.startClient(req, f, d.callID, func(m *wire.Message) {
		if m.Status >= 200 && m.Status < 300 {
			r.acknowledge(m, ack)
			if !again {
				_ = d.ua.learn(d.auth, credentials, "INVITE", m)
			}
			again = true
		}
		w.response(m)
	}, w.fail)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, d.ua.timers.life()+time.Second)
	defer cancel()
	m, err := w.wait(limited, d.gone)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, ErrEnded):
		t.fail(ErrEnded)
		return nil, ErrEnded
	case ctx.Err() != nil:
		d.ua.later(d.ua.timers.life(), d.callID, func() { t.fail(ErrTimeout) })
	case limited.Err() != nil: // it was answered 1xx and nothing else
		t.fail(ErrTimeout)
		err = fmt.Errorf("%w: %w", ErrTimeout, errHeard)
	}
	return nil, fmt.Errorf("sip: re-INVITE: %w", err)
}

// acknowledge sends the ACK of a 2xx. Where another server than the dialog's has answered, the dialog is with that one from now on.
func (r *reoffer) acknowledge(m *wire.Message, ack outgoing) {
	d, l := r.d, r.l
	d.mu.Lock()
	l.retarget(m)
	ack.uri, ack.routes = l.target, l.routes
	if r.moved {
		d.flow = r.f
	}
	to := &leg{tag: l.tag, target: l.target, routes: l.routes, flow: l.flow, ack: &ack}
	d.mu.Unlock()
	d.sendAck(to)
}
