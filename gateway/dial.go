package gateway

import (
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
)

// DialRequest is a call that an application wants made.
type DialRequest struct {
	Tenant  string
	App     string // id of a configured application, for routes with the source app:ID; "" = none
	Session string // of the RPC session that drives the call
	// To is a number, which a route takes, or a URI: tel, or sip at a host of ours, or with Trunk at any.
	To string
	// User is the id of a user for whom the application calls: with the user's number, under the user's limit, and by the
	// routes that the user has. "" = nobody.
	User string
	// Trunk is the id of the trunk that the call leaves by, whatever the routes say. "" = the routes decide.
	Trunk      string
	CallerID   string // "" = the user's, or the application's
	CallerName string
	Headers    []sip.Header  // for the INVITE; names begin with X-
	Codecs     []string      // of PCMU, PCMA, opus: those that may be used of the ones that the party has; nil = all
	Prefer     []string      // codecs that are offered first if the party has them: those of the application's other media
	Ring       time.Duration // how long it may ring, 1s to 10m; 0 = as long as the hop says
	Linked     call.ID       // the call whose family this one joins; zero = none
}

// anonymous is who calls if nobody says who (RFC 3323 4.1.1.3).
const anonymous = "anonymous"

// Dial begins a call for an application and returns at once: what becomes of it is told by events. An error is a
// *FieldError, or a *Refusal if the call can't even be recorded.
func (g *Gateway) Dial(r DialRequest) (*AppCall, error) {
	src, err := g.sourceOf(&r)
	if err != nil {
		return nil, err
	}
	if err := g.checkWishes(&r); err != nil {
		return nil, err
	}
	number, uri, err := g.dialled(&r)
	if err != nil {
		return nil, err
	}
	src.help, src.urgent = number, slices.Contains(g.cfg.Emergency.Numbers, number)
	c, refused, ok := g.admit(src)
	if c == nil {
		return nil, &Refusal{refused}
	}
	a := c.newAppCall(1, r.App)
	a.remote = number
	c.app = a
	go func() { // admit has counted it
		defer g.leave(c)
		c.runDial(&r, number, uri, refused, ok)
	}()
	return a, nil
}

// CheckDial checks all of a request but To: whether Dial would take it from whoever is named there. An error is a *FieldError.
func (g *Gateway) CheckDial(r DialRequest) error {
	if _, err := g.sourceOf(&r); err != nil {
		return err
	}
	return g.checkWishes(&r)
}

// sourceOf checks who calls, and on whose behalf.
func (g *Gateway) sourceOf(r *DialRequest) (source, error) {
	app := App{ID: "@" + r.Tenant, Tenant: r.Tenant, MaxCalls: g.cfg.Limits.Calls}
	if r.App != "" {
		known := g.apps[r.App]
		if known == nil || known.Tenant != r.Tenant {
			return source{}, bad("app", "%q: there is no such application", clip(r.App))
		}
		app = *known
	}
	var u *User
	if r.User != "" {
		if u = g.userByID[r.User]; u == nil || u.Tenant != r.Tenant {
			return source{}, bad("user", "%q: there is no such user", clip(r.User))
		}
	}
	if t := g.trunks[r.Trunk]; r.Trunk != "" && (t == nil || t.Tenant != r.Tenant) {
		return source{}, bad("trunk", "%q: there is no such trunk", clip(r.Trunk))
	}
	src := source{user: u, app: &appSource{App: app, name: r.App, session: r.Session, callerID: r.CallerID, callerName: r.CallerName}}
	for _, from := range []struct{ id, name string }{{app.CallerID, app.CallerName}, {anonymous, ""}} {
		if u != nil {
			from.id, from.name = u.CallerID, u.CallerName
		}
		if src.app.callerID == "" {
			src.app.callerID = from.id
		}
		if src.app.callerName == "" && r.CallerID == "" {
			src.app.callerName = from.name
		}
	}
	return src, nil
}

// checkWishes checks what the request says of the call.
func (g *Gateway) checkWishes(r *DialRequest) error {
	if r.CallerID != "" {
		if err := checkUser("callerId", r.CallerID, g.cfg.Domain); err != nil {
			return err
		}
	}
	for _, t := range []struct{ field, s string }{{"callerName", r.CallerName}, {"session", r.Session}} {
		if err := checkText(t.field, t.s, maxName); err != nil {
			return err
		}
	}
	if err := checkExtra(r.Headers); err != nil {
		return err
	}
	for _, c := range r.Codecs {
		if !slices.Contains([]string{"PCMU", "PCMA", "OPUS"}, strings.ToUpper(c)) {
			return bad("codecs", "%q: expected PCMU, PCMA or opus", clip(c))
		}
	}
	if r.Ring != 0 && (r.Ring < time.Second || r.Ring > 10*time.Minute) {
		return bad("ringTimeout", "%v: expected 1s to 10m", r.Ring)
	}
	return nil
}

// dialled reads where the request goes.
func (g *Gateway) dialled(r *DialRequest) (number string, uri sip.URI, err error) {
	number, uri, err = parseTarget("to", r.To)
	if err != nil {
		return "", uri, err
	}
	switch {
	case uri.Scheme == "sips":
		return "", uri, bad("to", "%q: sips isn't supported", clip(r.To))
	case uri.Scheme == "sip" && r.Trunk == "" && !g.ours(uri.Host):
		return "", uri, bad("to", "%q: is at a host that isn't ours: expected a number, or a trunk beside it", clip(r.To))
	case uri.Scheme != "sip" || r.Trunk == "":
		uri = sip.URI{}
	}
	return number, uri, nil
}

// runDial is an application's call from its order to its record's last event, top to bottom.
func (c *Call) runDial(r *DialRequest, number string, uri sip.URI, refused call.Cause, admitted bool) {
	c.beginDial(r, number)
	if !admitted {
		c.refuseApp(bySystem(refused))
		return
	}
	plan, cause, ok := c.planDial(r, number, uri)
	if !ok {
		c.refuseApp(bySystem(cause))
		return
	}
	c.wish = r
	winner, end := c.dial(plan)
	if winner == nil {
		c.refuseApp(end)
		return
	}
	if end, ok := c.connectApp(winner); !ok {
		c.close(end)
		return
	}
	c.close(c.bridged())
}

// beginDial opens the record. The application has the caller's leg, which has no dialog.
func (c *Call) beginDial(r *DialRequest, number string) {
	at := time.Now()
	st := call.Start{Tenant: c.src.tenant(), LinkedID: r.Linked, Node: c.g.cfg.Node, Epoch: c.g.cfg.Journal.Epoch(), Origin: jsonrpc,
		SessionID: r.Session, App: r.App, Direction: call.Out, User: c.src.user.id(), From: clip(c.src.app.callerID), To: clip(number)}
	c.src.who = c.src.identity(c.g, st.From)
	st.FromN, st.ToN = c.src.who.shown(), clip(c.g.plan.In(numbering.Called, number).Number)
	if r.Linked.IsZero() {
		st.LinkedID = c.id
	}
	c.rec.note(0, at, st)
	c.rec.note(1, at, call.LegNew{Role: call.CallerLeg, Medium: "app", Direction: call.In, User: c.src.user.id(), FromURI: "app:" + r.App, ToURI: clip(r.To)})
	c.alive.Store(&Live{ID: c.id, From: c.src.key(), Since: at, Tenant: st.Tenant, Number: st.To, App: r.App})
	c.log.Info("call", "from", st.From, "to", st.To, "source", c.src.key(), "session", r.Session)
}

// planDial finds the way: the trunk that the application named, or what the routes say.
func (c *Call) planDial(r *DialRequest, number string, uri sip.URI) (plan Plan, cause call.Cause, ok bool) {
	if r.Trunk != "" {
		plan, cause, ok = c.authorize(Plan{Number: number, Hops: []Hop{{Trunk: r.Trunk, Ring: ringing(0), uri: uri}},
			Why: "the application named trunk " + r.Trunk})
	} else {
		plan, cause, ok = c.route()
	}
	if !ok || r.Ring == 0 {
		return plan, cause, ok
	}
	plan.Hops = slices.Clone(plan.Hops)
	for i := range plan.Hops {
		plan.Hops[i].Ring = r.Ring
	}
	return plan, cause, ok
}

// wishes puts into a target what the application asked for; false when that leaves no codec.
func (c *Call) wishes(t *target) bool {
	if c.wish == nil {
		return true
	}
	t.header = append(slices.Clone(t.header), c.wish.Headers...)
	if len(c.wish.Codecs) == 0 {
		return true
	}
	var own []string
	for _, w := range c.wish.Codecs {
		for _, o := range t.party.codecs {
			if strings.EqualFold(w, o) {
				own = append(own, o)
			}
		}
	}
	t.party.codecs = own
	return len(own) > 0
}

// progressApp tells the application of a callee's provisional response.
func (c *Call) progressApp(l *sipLeg, e LegEvent) {
	if e.Early {
		c.noteMedia(l, e.At)
		c.app.setLeg(l)
		c.tell(AppEvent{Kind: AppEarlyMedia, At: e.At, Status: e.Status, Phrase: clip(e.Phrase), Endpoint: l.ep})
		return
	}
	if e.Status == 180 {
		c.tell(AppEvent{Kind: AppRinging, At: e.At, Status: e.Status, Phrase: clip(e.Phrase)})
	}
}

// connectApp gives the application the callee that answered. The record of the answer is on disk before it hears of it.
func (c *Call) connectApp(l *sipLeg) (ending, bool) {
	c.callee = l
	l.learn(l.want)
	at := time.Now()
	c.rec.note(1, at, call.Answer{})
	c.noteMedia(l, at)
	c.rec.note(0, at, call.Bridge{With: l.no})
	if err := c.rec.commit(); err != nil {
		c.unsaid = true
		return bySystem(call.JournalDown), false
	}
	c.g.stats.answered.Add(1)
	c.log.Info("call answered", "leg", l.no, "codec", agreed(l.ep).Codec)
	c.canDial(l)
	c.app.setLeg(l)
	c.tell(AppEvent{Kind: AppAnswered, At: at, Status: 200, Endpoint: l.ep})
	return ending{}, true
}

// refuseApp closes the record of a call that an application made and nobody answered.
func (c *Call) refuseApp(end ending) {
	now := time.Now()
	c.settle(end.cause)
	c.rec.note(0, now, call.Decision{Text: "refused: " + end.cause.String(), Refuse: true})
	c.log.Info("call refused", "cause", end.cause.String())
	c.rec.note(1, now, call.LegEnd{Cause: end.cause, HungUp: end.by == call.Caller})
	if end.cause.SIP == 0 {
		end.cause.SIP = end.cause.Status()
	}
	_ = c.rec.commit(c.rec.event(0, now, call.End{By: end.by, Cause: end.cause}))
	c.tell(AppEvent{Kind: AppEnded, At: now, By: end.by, Cause: end.cause})
	c.g.count(&c.rec.call)
}
