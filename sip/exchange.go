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

// among has send talk to the first of several servers that answers (RFC 3263 4.3): the next is tried after 503, when the
// transport fails, and when a server says nothing at all within patience, which is 0 for the last one. It tells which answered. What
// failed is behind the others for a while, for whoever sends. A 481 of another server than the one that answered 503 says that it
// doesn't know the dialog, not that the dialog is over: the 503 is the answer then.
func (u *UA) among(ctx context.Context, list []place, send func(f *flow.Flow, patience time.Duration) (*wire.Message, error)) (*wire.Message, *flow.Flow, error) {
	var busy *wire.Message
	var from *flow.Flow
	for {
		f, at, left, err := u.openFirst(ctx, list)
		if err != nil {
			if busy != nil && ctx.Err() == nil {
				return busy, from, nil
			}
			return nil, nil, err
		}
		patience := time.Duration(0)
		if len(left) > 0 {
			patience = u.timers.trial()
		}
		m, err := send(f, patience)
		switch {
		case ctx.Err() != nil:
			return m, f, err
		case err == nil && m.Status == 481 && busy != nil:
			return busy, from, nil
		case err == nil && !elsewhere(m):
			u.praise(at)
			return m, f, nil
		case err != nil && (errors.Is(err, errHeard) || !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrTransport)):
			return nil, f, err
		}
		u.blame(at)
		if err == nil {
			busy, from = m, f
		}
		if len(left) == 0 {
			return m, f, err
		}
		list = left
	}
}

// errHeard is of a server that has answered, though not for good: it has not failed.
var errHeard = errors.New("only provisional responses came")

// elsewhere tells whether another server may say something else (RFC 3263 4.3); to a REGISTER, also if the one asked had no
// answer from behind itself (RFC 5626 4.5).
func elsewhere(m *wire.Message) bool {
	return m.Status == 503 || m.Method == "REGISTER" && (m.Status == 504 || m.Status == 408)
}

// exchangeAmong sends a request that is no INVITE to the first of several servers that answers. request writes it for a way; it
// is called for each.
func (u *UA) exchangeAmong(ctx context.Context, list []place, request func(*flow.Flow) *outgoing, client *auth.Client, nextCSeq func() uint32) (*wire.Message, *flow.Flow, error) {
	return u.among(ctx, list, func(f *flow.Flow, patience time.Duration) (*wire.Message, error) {
		return u.exchange(ctx, request(f), f, client, nextCSeq, patience)
	})
}

// exchange sends a request that is no INVITE and returns its final response. Challenges are answered; nextCSeq gives
// the number for the repetition. patience bounds the time until something is heard of each; 0: timer F does.
func (u *UA) exchange(ctx context.Context, o *outgoing, f *flow.Flow, client *auth.Client, nextCSeq func() uint32, patience time.Duration) (*wire.Message, error) {
	var attempt auth.Attempt
	for {
		credentials := client.Headers(o.method, o.sentURI(), o.body)
		m, err := u.sendOnce(ctx, o, f, credentials, patience)
		if err != nil {
			return nil, err
		}
		if m.Status != 401 && m.Status != 407 {
			if m.Status < 300 {
				err = u.learn(client, credentials, o.method, m)
			}
			return m, err
		}
		if err := client.Challenge(&attempt, m.Headers); err != nil {
			u.log.Debug("challenge not answered", "method", o.method, "err", err)
			return m, nil
		}
		o.cseq, o.branch = nextCSeq(), ""
	}
}

// learn takes what a success says of the credentials that it was asked with. Only of a registration it is an error that the
// peer doesn't know our password: a call that is up would gain nothing by its end.
func (u *UA) learn(client *auth.Client, sent []Header, method string, m *wire.Message) error {
	err := client.Learn(sent, m.Headers, m.Body)
	if err == nil {
		return nil
	}
	u.log.Warn("the peer's answer to our credentials is wrong", "method", method, "dialog", m.CallID, "err", err)
	if method == "REGISTER" {
		return fmt.Errorf("sip: %s: %w", method, err)
	}
	return nil
}

// sendOnce sends a request that is no INVITE and awaits its final response; ErrTimeout if nothing is heard within patience.
func (u *UA) sendOnce(ctx context.Context, o *outgoing, f *flow.Flow, credentials []Header, patience time.Duration) (*wire.Message, error) {
	req, by, err := u.fit(ctx, o, f, credentials)
	if err != nil {
		return nil, err
	}
	w := newWaiting(patience)
	defer w.stop()
	if _, err = u.startClient(req, by, o.callID, w.response, w.fail); err != nil {
		return nil, err
	}
	// Whatever ends the waiting, the transaction goes on by itself until it is answered or timer F ends it.
	m, err := w.wait(ctx, nil)
	if err == nil {
		return m, nil
	}
	if by != f && (errors.Is(err, ErrTimeout) || errors.Is(err, ErrTransport)) {
		u.widths.fail(f.Remote())
	}
	return nil, fmt.Errorf("sip: %s: %w", o.method, err)
}

// waiting is for the final response to one request, or to the same one at several servers.
type waiting struct {
	final    chan *wire.Message
	failed   chan error
	heard    chan struct{}
	silent   *time.Timer        // nil: it may take as long as it does
	accepted chan *wire.Message // where a 2xx goes instead of final; nil: nowhere else
}

func newWaiting(patience time.Duration) *waiting {
	w := &waiting{final: make(chan *wire.Message, 1), failed: make(chan error, 1), heard: make(chan struct{}, 1)}
	if patience > 0 {
		w.silent = time.NewTimer(patience)
	}
	return w
}

func (w *waiting) stop() {
	if w.silent != nil {
		w.silent.Stop()
	}
}

// response takes what comes; the first final one counts.
func (w *waiting) response(m *wire.Message) {
	if m.Status < 200 {
		select {
		case w.heard <- struct{}{}:
		default:
		}
		return
	}
	to := w.final
	if m.Status < 300 && w.accepted != nil {
		to = w.accepted
	}
	select {
	case to <- m:
	default:
	}
}

func (w *waiting) fail(err error) {
	select {
	case w.failed <- err:
	default:
	}
}

// wait awaits the final response, or what keeps it from coming: the end of the transaction, silence, that of ctx (ErrTimeout), or of gone
// (ErrEnded).
func (w *waiting) wait(ctx context.Context, gone <-chan struct{}) (*wire.Message, error) {
	var silent <-chan time.Time
	if w.silent != nil {
		silent = w.silent.C
	}
	for {
		select {
		case m := <-w.final:
			return m, nil
		case m := <-w.accepted:
			return m, nil
		case err := <-w.failed:
			return nil, err
		case <-w.heard:
			silent = nil
		case <-silent:
			return nil, fmt.Errorf("nothing is heard of the server: %w", ErrTimeout)
		case <-gone:
			return nil, ErrEnded
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
		}
	}
}
