package telephony

import (
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/rpc"
)

// CDRFilter says which records are wanted; zero members exclude none.
type CDRFilter struct {
	From   int64  `rpc:"from,optional"` // the call began at or after, ms since 1970
	To     int64  `rpc:"to,optional"`   // and before
	User   string `rpc:"user,optional"` // id of the user who called, or was called
	Trunk  string `rpc:"trunk,optional"`
	Number string `rpc:"number,optional"` // caller or callee ends with it
	State  string `rpc:"state,optional"`  // open, closed, recovered
	Cause  int    `rpc:"cause,optional"`  // Q.850
	Status int    `rpc:"sipStatus,optional"`
	Limit  int    `rpc:"limit,optional" default:"100"`
}

// newest is how many records an answer has if nobody says.
const newest = 100

// maxRecords bounds one answer: a reply is at most some megabytes.
const maxRecords = 1000

// billing is the filter for one tenant.
func (f *CDRFilter) billing(tenant string) (billing.Filter, error) {
	out := billing.Filter{Tenant: tenant, User: f.User, Trunk: f.Trunk, Number: f.Number, State: call.State(f.State), Cause: f.Cause, SIP: f.Status, Limit: f.Limit}
	switch out.State {
	case "", call.Open, call.Partial, call.Closed, call.Recovered:
	default:
		return out, rpc.Errorf(rpc.IllegalParam, "'state' is '%s', should be open, partial, closed or recovered", f.State)
	}
	if out.Limit < 1 || out.Limit > maxRecords {
		return out, rpc.Errorf(rpc.IllegalParam, "'limit' is %d, should be 1 to %d", f.Limit, maxRecords)
	}
	if tenant == "" {
		return out, rpc.Errorf(rpc.NotAllowed, "Records belong to a tenant, you have none")
	}
	if f.From != 0 {
		out.From = time.UnixMilli(f.From)
	}
	if f.To != 0 {
		out.To = time.UnixMilli(f.To)
	}
	return out, nil
}

// CallRecord is the register CallRecord.
type CallRecord struct {
	CallID     string    `rpc:"callId"`
	LinkedID   string    `rpc:"linkedId"` // of the first call of a family: those that one pipeline joined
	State      string    `rpc:"state"`    // open, closed, recovered
	Direction  string    `rpc:"direction"`
	Origin     string    `rpc:"origin"` // sip, jsonrpc
	Session    string    `rpc:"sessionId"`
	App        string    `rpc:"app"`
	User       string    `rpc:"user"`
	Trunk      string    `rpc:"trunk"`
	Route      string    `rpc:"route"`
	From       string    `rpc:"from"`
	To         string    `rpc:"to"`
	SetupAt    int64     `rpc:"setupTime"`
	AnsweredAt int64     `rpc:"answerTime"`
	EndedAt    int64     `rpc:"endTime"`
	Ring       int64     `rpc:"ringMs"`
	Duration   int64     `rpc:"durationMs"`
	Bill       int64     `rpc:"billMs"`
	EndedBy    string    `rpc:"endedBy"`
	Cause      int       `rpc:"cause"`
	Status     int       `rpc:"sipStatus"`
	Text       string    `rpc:"text"`
	Attempts   int       `rpc:"attempts"`
	Transcoded bool      `rpc:"transcoded"`
	Incomplete bool      `rpc:"incomplete"`
	Legs       []CallLeg `rpc:"legs"`
}

// CallLeg is the register CallLeg.
type CallLeg struct {
	No         int    `rpc:"leg"`
	Role       string `rpc:"role"` // caller, callee
	Kind       string `rpc:"kind"` // sip, webrtc, app
	User       string `rpc:"user"`
	Trunk      string `rpc:"trunk"`
	SIPCallID  string `rpc:"sipCallId"`
	From       string `rpc:"fromUri"`
	To         string `rpc:"toUri"`
	Codec      string `rpc:"codec"`
	AnsweredAt int64  `rpc:"answerTime"`
	EndedAt    int64  `rpc:"endTime"`
	Cause      int    `rpc:"cause"`
	Status     int    `rpc:"sipStatus"`
	Text       string `rpc:"text"`
	HungUp     bool   `rpc:"hungUp"`
}

// recordOf is a record as clients see it.
func recordOf(c *call.Call) CallRecord {
	r := CallRecord{CallID: c.ID.String(), LinkedID: text(c.LinkedID), State: string(c.State), Direction: string(c.Direction), Origin: c.Origin,
		Session: c.SessionID, App: c.App, User: c.User, Trunk: c.Trunk, Route: c.Route, From: c.From, To: c.To,
		SetupAt: c.SetupAt.UnixMilli(), AnsweredAt: moment(c.AnsweredAt), EndedAt: moment(c.EndedAt), Ring: number(c.Ring), Duration: c.Duration, Bill: c.Bill,
		EndedBy: string(c.EndedBy), Cause: c.Cause.Q850, Status: c.Cause.SIP, Text: c.Cause.Text, Attempts: c.Attempts, Transcoded: c.Transcoded,
		Incomplete: c.Incomplete, Legs: []CallLeg{}}
	for _, l := range c.Legs {
		r.Legs = append(r.Legs, CallLeg{No: l.No, Role: string(l.Role), Kind: l.Kind, User: l.User, Trunk: l.Trunk, SIPCallID: l.SIPCallID, From: l.FromURI,
			To: l.ToURI, Codec: l.Media.Codec, AnsweredAt: moment(l.AnsweredAt), EndedAt: moment(l.EndedAt), Cause: l.Cause.Q850, Status: l.Cause.SIP, Text: l.Cause.Text, HungUp: l.HungUp})
	}
	return r
}
