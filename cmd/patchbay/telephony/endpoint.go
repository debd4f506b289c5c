package telephony

import (
	"context"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// SIPEndpoint is what stands behind a SipEndpoint: one phone call, as an element of a pipeline.
type SIPEndpoint struct {
	kurento.Element
	t    *Telephony
	self *rpc.Object
	who  identity
	rtp  kurento.RTPStats

	mu       sync.Mutex
	state    State
	call     *gateway.AppCall // nil: there is none yet
	leg      media.Endpoint   // the peer's media; nil: there is none now
	remote   string
	held     bool        // by the application
	heldBy   bool        // by the peer
	onLost   int         // ms without a client until the call is hung up; -1 = never
	lonely   time.Time   // since when no client is there; zero = one is
	deadline *time.Timer // of onLost
	closed   bool
}

// identity is as whom an endpoint calls.
type identity struct {
	app, user, trunk, callerID, callerName string
	codecs                                 []string
	ring                                   time.Duration // 0 = as the route says
}

// defaultLost is how long a call goes on without its client, ms: long enough for a reconnect, too short to cost much.
const defaultLost = 15_000

// never says that a call goes on for ever without its client.
const never = -1

// maxLost bounds onSessionLost, ms.
const maxLost = 24 * 3600 * 1000

func (t *Telephony) endpointClass(core *kurento.Core) *rpc.Class {
	return &rpc.Class{Name: "SipEndpoint", Extends: core.Endpoint, Parent: core.Pipeline,
		Doc: "A phone call as a media element: it dials, or takes a call that the manager's event IncomingCall told of. Releasing it hangs up.",
		New: rpc.Make(t.newEndpoint,
			rpc.Arg("mediaPipeline").About("The pipeline that the call is an element of."),
			rpc.Opt("callId").About("The incoming call to take, as the event IncomingCall named it. Only one endpoint can have it. Without it the endpoint dials."),
			rpc.Opt("app").About("Id of the configured application that calls, for the routes that are its."),
			rpc.Opt("user").About("Id of the user for whom it calls: with the user's number, routes and limit."),
			rpc.Opt("trunk").About("Id of the trunk that the call leaves by, whatever the routes say."),
			rpc.Opt("callerId").About("The number that the callee sees; the user's or application's otherwise."),
			rpc.Opt("callerName").About("The name that the callee sees."),
			rpc.Opt("codecs").About("Those of PCMU, PCMA and opus that may be used; all that the party has otherwise."),
			rpc.Opt("ringTimeout").About("How many milliseconds a call that it makes may ring, 1000 to 600000; 0 = as the route says."),
			rpc.OptArg("onSessionLost", defaultLost).About("How many milliseconds the call goes on when no client that has the endpoint is connected: 0 to 86400000, or -1, for ever (until the session ends).")),
		Props: []rpc.Prop{
			rpc.ReadOnly("state", (*SIPEndpoint).State).About("Where the call stands."),
			rpc.ReadOnly("callId", (*SIPEndpoint).CallID).About("The id of the call, and of its record; empty before there is one."),
			rpc.ReadOnly("remoteNumber", (*SIPEndpoint).RemoteNumber).About("Who is called, or who calls."),
			rpc.ReadOnly("held", (*SIPEndpoint).Held).About("Whether the application holds the call."),
			rpc.ReadOnly("heldByPeer", (*SIPEndpoint).HeldByPeer).About("Whether the peer holds the call."),
			rpc.Property("onSessionLost", (*SIPEndpoint).OnSessionLost, (*SIPEndpoint).SetOnSessionLost).Default(defaultLost).
				About("How many milliseconds the call goes on when no client that has the endpoint is connected; -1 = for ever (until the session ends)."),
		},
		Ops: []rpc.Op{
			rpc.Method("dial", (*SIPEndpoint).Dial,
				rpc.Arg("to").About("A number, or a sip or tel URI."),
				rpc.Opt("headers").About("Header fields for the callee; their names begin with X-.")).
				Waits().About("Calls. Returns the call's id at once: events tell what becomes of it."),
			rpc.Method("progress", (*SIPEndpoint).Progress, rpc.OptArg("earlyMedia", false).About("Whether media is to flow already.")).
				Waits().About("Tells the caller of an incoming call that it rings (180), or lets media flow before the answer (183)."),
			rpc.Method("accept", (*SIPEndpoint).Accept).Waits().About("Answers an incoming call."),
			rpc.Method("reject", (*SIPEndpoint).Reject, rpc.OptArg("sipStatus", 603).About("400 to 699."), rpc.Opt("reason").About("Words for the record.")).
				Waits().About("Refuses an incoming call; the route's next hop is tried if its failover says so."),
			rpc.Method("hold", (*SIPEndpoint).Hold).Waits().About("Asks the peer to send nothing more. Returns when it has agreed."),
			rpc.Method("resume", (*SIPEndpoint).Resume).Waits().About("Ends a hold."),
			rpc.Method("transfer", (*SIPEndpoint).Transfer, rpc.Arg("to").About("A number or a URI.")).
				Waits().About("Asks the peer to call somebody else in place of this call. Returns when it has agreed to try; the event Transferred tells how it went."),
			rpc.Method("transferTo", (*SIPEndpoint).TransferTo, rpc.Arg("other").About("An answered call.")).
				Waits().About("Asks the peer to take the place of the application in another call (attended transfer)."),
			rpc.Method("sendDtmf", (*SIPEndpoint).SendDTMF, rpc.Arg("digits").About("1 to 64 of 0-9*#A-D.")).Waits().About("Sends DTMF digits to the peer."),
			rpc.Method("hangup", (*SIPEndpoint).Hangup, rpc.OptArg("cause", 16).About("Q.850 cause, 1 to 127."), rpc.Opt("reason").About("Words for the peer and the record.")).
				Waits().About("Ends the call. An incoming call that isn't accepted is rejected."),
		},
		Events: []string{"Ringing", "EarlyMedia", "Answered", "DtmfReceived", "Held", "Resumed", "Transferred", "MediaLost", "Ended"}}
}

func (t *Telephony) newEndpoint(ctx context.Context, self *rpc.Object, p *kurento.Pipeline, callID, app, user, trunk, callerID, callerName string,
	codecs []string, ringTimeout, onLost int) (*SIPEndpoint, error) {
	e := &SIPEndpoint{t: t, self: self, who: identity{app, user, trunk, callerID, callerName, codecs, time.Duration(ringTimeout) * time.Millisecond},
		rtp: kurento.NewRTPStats(), state: Idle}
	if err := e.SetOnSessionLost(onLost); err != nil {
		return nil, err
	}
	if err := t.cfg.Gateway.CheckDial(e.wishes()); err != nil { // rather than when it dials: what is wrong is here
		return nil, fault(err)
	}
	e.Init(self, p, nil)
	e.SetStats(e.counts)
	e.Prefer(gateway.Formats(t.cfg.Gateway.Codecs(e.wishes())))
	if callID == "" {
		return e, nil
	}
	id, err := call.ParseID(callID)
	if err != nil {
		return nil, rpc.Errorf(rpc.IllegalParam, "'callId' %s", err)
	}
	if err := e.claim(ctx, id); err != nil {
		return nil, err
	}
	return e, nil
}

// claim takes an offered call.
func (e *SIPEndpoint) claim(ctx context.Context, id call.ID) error {
	scope, _ := rpc.ScopeOf(ctx)
	a, err := e.t.cfg.Gateway.Claim(e.self.Tenant(), id, scope.Session())
	if err != nil {
		return rpc.Errorf(rpc.IllegalParam, "'callId' %s: no such call is offered: it is taken, over, or with another hop", id)
	}
	e.t.mu.Lock()
	with := e.t.family(e.Pipeline())
	e.t.join(e.Pipeline(), id)
	e.t.mu.Unlock()
	if !with.IsZero() {
		if err := a.Link(ctx, with, ""); err != nil {
			e.t.cfg.Log.Info("call not linked", "call", id, "err", err)
		}
	}
	e.Prefer(a.Offered())
	e.remote = a.Remote()
	e.state = Offered
	e.follow(a)
	return nil
}

// follow has a call's events told; there is one call in an endpoint's life.
func (e *SIPEndpoint) follow(a *gateway.AppCall) {
	e.call = a
	e.t.calls.Go(func() {
		for ev := range a.Events() {
			e.took(ev)
		}
		e.over()
	})
}

// took takes an event of the call.
func (e *SIPEndpoint) took(ev gateway.AppEvent) {
	switch ev.Kind {
	case gateway.AppRinging:
		e.become(Ringing, nil)
		e.self.Raise(RingingEvent{ev.Status, ev.Phrase})
	case gateway.AppEarlyMedia:
		e.become(EarlyMedia, ev.Endpoint)
		e.self.Raise(EarlyMediaEvent{ev.Status, ev.Phrase})
	case gateway.AppAnswered:
		e.become(Answered, ev.Endpoint)
		e.self.Raise(AnsweredEvent{e.call.ID().String()})
	case gateway.AppDigit:
		e.self.Raise(DTMFReceived{string(ev.Digit), ev.Held})
	case gateway.AppHeld:
		e.peerHolds(true)
		e.self.Raise(HeldEvent{})
	case gateway.AppResumed:
		e.peerHolds(false)
		e.self.Raise(ResumedEvent{})
	case gateway.AppTransferred:
		e.self.Raise(TransferredEvent{ev.Status >= 200 && ev.Status < 300, ev.Status, ev.Phrase})
	case gateway.AppMediaLost:
		e.self.Raise(MediaLostEvent{})
	case gateway.AppEnded:
		e.over()
		e.self.Raise(EndedEvent{e.call.ID().String(), ev.Cause.Q850, ev.Cause.SIP, ev.Cause.Text, string(ev.By)})
	}
}

// become moves the call on; ep, unless nil, has its media from now on. States don't go back.
func (e *SIPEndpoint) become(s State, ep media.Endpoint) {
	if ep != nil {
		e.Attach(ep)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == Ended {
		return
	}
	if ep != nil {
		e.leg = ep
	}
	if e.state != Answered {
		e.state = s
	}
}

// counts are the endpoint's statistics, with those of RTP while there is media.
func (e *SIPEndpoint) counts(kind kurento.MediaType, base kurento.ElementStats) map[string]kurento.AnyStats {
	e.mu.Lock()
	leg := e.leg
	e.mu.Unlock()
	return e.rtp.Of(leg, kind, base)
}

func (e *SIPEndpoint) peerHolds(held bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heldBy = held
}

// over is the end of the call; its pads go.
func (e *SIPEndpoint) over() {
	e.mu.Lock()
	was := e.state
	e.state, e.leg, e.held, e.heldBy = Ended, nil, false, false
	if e.deadline != nil {
		e.deadline.Stop()
	}
	e.mu.Unlock()
	if was != Ended {
		e.Attach(nil)
	}
}

// Attended implements rpc.Attended: without a client the call ends after a while.
func (e *SIPEndpoint) Attended(there bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if there {
		e.lonely = time.Time{}
	} else {
		e.lonely = time.Now()
	}
	e.patience()
}

// patience starts or stops the time that a call has without its client. The caller holds the lock.
func (e *SIPEndpoint) patience() {
	if e.deadline != nil {
		e.deadline.Stop()
		e.deadline = nil
	}
	if e.lonely.IsZero() || e.onLost == never || e.call == nil || e.closed || e.state == Ended {
		return
	}
	a := e.call
	left := time.Until(e.lonely.Add(time.Duration(e.onLost) * time.Millisecond))
	e.deadline = time.AfterFunc(max(left, 0), func() { e.abandoned(a) })
}

// abandoned ends a call whose client didn't come back.
func (e *SIPEndpoint) abandoned(a *gateway.AppCall) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lonely.IsZero() || e.closed {
		return
	}
	e.t.cfg.Log.Warn("hanging up a call whose client is gone", "call", a.ID(), "element", e.self.ID())
	e.t.hangUp(a, call.SessionLost)
}

// Close ends the element's connections, and the call.
func (e *SIPEndpoint) Close() error {
	err := e.Element.Close()
	e.mu.Lock()
	e.closed = true
	e.patience()
	a, why := e.call, call.Normal
	if !e.lonely.IsZero() {
		why = call.SessionLost
	}
	e.mu.Unlock()
	if a != nil {
		e.t.hangUp(a, why)
		e.t.part(e.Pipeline())
	}
	return err
}
