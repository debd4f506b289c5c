package telephony

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/sip"
)

// orderTime bounds what a client's request waits for a peer: SDKs give up after some twenty seconds.
const orderTime = 10 * time.Second

// State is where the call stands.
func (e *SIPEndpoint) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// CallID names the call and its record; "" before there is one.
func (e *SIPEndpoint) CallID() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.call == nil {
		return ""
	}
	return e.call.ID().String()
}

// RemoteNumber is who was called, or who calls; "" before there is a call.
func (e *SIPEndpoint) RemoteNumber() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.remote
}

// Held reports whether the application holds the call.
func (e *SIPEndpoint) Held() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held
}

// HeldByPeer reports whether the peer holds the call.
func (e *SIPEndpoint) HeldByPeer() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heldBy
}

// OnSessionLost is how long the call goes on without a client, ms; -1 = for ever.
func (e *SIPEndpoint) OnSessionLost() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.onLost
}

// SetOnSessionLost sets how long the call goes on without a client, 0 to 86,400,000 ms; -1 = for ever.
func (e *SIPEndpoint) SetOnSessionLost(ms int) error {
	if ms < never || ms > maxLost {
		return rpc.Errorf(rpc.IllegalParam, "'onSessionLost' is %d ms, should be 0 to %d, or %d for never", ms, maxLost, never)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.onLost = ms
	e.patience()
	return nil
}

// wishes are what the endpoint was made with, as a request for a call.
func (e *SIPEndpoint) wishes() gateway.DialRequest {
	return gateway.DialRequest{Tenant: e.self.Tenant(), App: e.who.app, User: e.who.user, Trunk: e.who.trunk,
		CallerID: e.who.callerID, CallerName: e.who.callerName, Codecs: e.who.codecs, Ring: e.who.ring}
}

// Dial calls, and returns the id of the call.
func (e *SIPEndpoint) Dial(ctx context.Context, to string, headers map[string]string) (string, error) {
	scope, _ := rpc.ScopeOf(ctx)
	r := e.wishes()
	r.Session, r.To = scope.Session(), to
	for _, f := range e.Around() {
		if f.Kind == media.Audio {
			r.Prefer = append(r.Prefer, f.Codec)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		r.Headers = append(r.Headers, sip.Header{Name: name, Value: headers[name]})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.call != nil {
		return "", rpc.Errorf(rpc.NotSupported, "The endpoint has its call already: create another one")
	}
	// The family's first call is found or made under one lock, so that calls which begin together are of one.
	e.t.mu.Lock()
	r.Linked = e.t.family(e.Pipeline())
	a, err := e.t.cfg.Gateway.Dial(r)
	if err == nil {
		e.t.join(e.Pipeline(), a.ID())
	}
	e.t.mu.Unlock()
	if err != nil {
		return "", fault(err)
	}
	e.remote, e.state = to, Dialing
	e.follow(a)
	e.patience()
	return a.ID().String(), nil
}

// order asks something of the call.
func (e *SIPEndpoint) order(ctx context.Context, do func(context.Context, *gateway.AppCall) error) error {
	e.mu.Lock()
	a := e.call
	e.mu.Unlock()
	if a == nil {
		return rpc.Errorf(rpc.NotSupported, "The endpoint has no call: dial, or create it with a callId")
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	return fault(do(ctx, a))
}

// Progress tells the caller of an incoming call that it rings, or lets media flow before the answer.
func (e *SIPEndpoint) Progress(ctx context.Context, earlyMedia bool) error {
	status, next := 180, Ringing
	if earlyMedia {
		status, next = 183, EarlyMedia
	}
	return e.order(ctx, func(ctx context.Context, a *gateway.AppCall) error {
		err := a.Progress(ctx, status)
		if err == nil && !earlyMedia { // of the other there is an event
			e.become(next, nil)
		}
		return err
	})
}

// Accept answers an incoming call.
func (e *SIPEndpoint) Accept(ctx context.Context) error {
	return e.order(ctx, func(ctx context.Context, a *gateway.AppCall) error { return a.Accept(ctx) })
}

// Reject refuses an incoming call.
func (e *SIPEndpoint) Reject(ctx context.Context, status int, reason string) error {
	return e.order(ctx, func(ctx context.Context, a *gateway.AppCall) error {
		err := a.Reject(ctx, status, reason)
		var field *gateway.FieldError
		if errors.As(err, &field) && field.Field == "status" { // clients know it by another name
			return &gateway.FieldError{Field: "sipStatus", Problem: field.Problem}
		}
		return err
	})
}

// Hold asks the peer to send nothing more.
func (e *SIPEndpoint) Hold(ctx context.Context) error { return e.holds(ctx, true) }

// Resume ends a hold.
func (e *SIPEndpoint) Resume(ctx context.Context) error { return e.holds(ctx, false) }

func (e *SIPEndpoint) holds(ctx context.Context, on bool) error {
	return e.order(ctx, func(ctx context.Context, a *gateway.AppCall) error {
		do := a.Resume
		if on {
			do = a.Hold
		}
		if err := do(ctx); err != nil {
			return err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.held = on && e.state != Ended
		return nil
	})
}

// Transfer asks the peer to call somebody else in place of this call.
func (e *SIPEndpoint) Transfer(ctx context.Context, to string) error {
	return e.order(ctx, func(ctx context.Context, a *gateway.AppCall) error { return a.Transfer(ctx, to) })
}

// TransferTo joins the peer with that of another call of the same tenant.
func (e *SIPEndpoint) TransferTo(ctx context.Context, other *SIPEndpoint) error {
	other.mu.Lock()
	to := other.call
	other.mu.Unlock()
	if to == nil {
		return rpc.Errorf(rpc.NotSupported, "The other endpoint has no call")
	}
	return e.order(ctx, func(ctx context.Context, a *gateway.AppCall) error { return a.TransferTo(ctx, to) })
}

// SendDTMF sends digits to the peer.
func (e *SIPEndpoint) SendDTMF(ctx context.Context, digits string) error {
	return e.order(ctx, func(ctx context.Context, a *gateway.AppCall) error { return a.SendDTMF(ctx, digits) })
}

// Hangup ends the call. Without one, or after its end, it does nothing.
func (e *SIPEndpoint) Hangup(ctx context.Context, cause int, reason string) error {
	if cause < 1 || cause > 127 { // 0 would be no cause to the gateway, a normal end
		return rpc.Errorf(rpc.IllegalParam, "'cause' is %d, should be a Q.850 cause, 1 to 127", cause)
	}
	e.mu.Lock()
	a := e.call
	e.mu.Unlock()
	if a == nil {
		return nil
	}
	why := call.Cause{Q850: cause, Text: reason}
	if cause == call.Normal.Q850 && reason == "" {
		why = call.Normal
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	if err := a.Hangup(ctx, why); err != nil && err != gateway.ErrNoCall {
		return fault(err)
	}
	return nil
}
