package rpc

import (
	"context"
	"time"
)

// method is one of the 13.
type method struct {
	name  string
	needs Role
	// session says whether a request must name its session, and which is found for it.
	session sessionRule
	// bare methods work without params.
	bare bool
	// now methods overtake: they are done by the reader, and never wait.
	now bool
	// alone methods wait until nothing of the session runs beside.
	alone bool
	run   func(*task) (members []byte, err error)
}

type sessionRule uint8

const (
	opens   sessionRule = iota // the one that is named, or the connection's; it is made if need be
	given                      // must be named; made if need be
	quietly                    // must be named; where there is none, there is nothing to do
	self                       // the method sees to it
)

func methods() map[string]*method {
	list := []*method{
		{name: "ping", session: self, bare: true, now: true, run: (*task).ping},
		{name: "connect", needs: Read, session: self, bare: true, now: true, run: (*task).connect},
		{name: "keepAlive", needs: Read, session: self, now: true, run: (*task).keepAlive},
		{name: "create", needs: Control, run: (*task).create},
		{name: "invoke", needs: Read, run: (*task).invoke}, // and what the operation needs
		{name: "subscribe", needs: Read, run: (*task).subscribe},
		{name: "unsubscribe", needs: Read, session: quietly, run: (*task).unsubscribe},
		{name: "release", needs: Control, run: (*task).release},
		{name: "describe", needs: Read, run: (*task).describe},
		{name: "ref", needs: Control, session: given, run: (*task).ref},
		{name: "unref", needs: Read, session: quietly, run: (*task).unref},
		{name: "closeSession", needs: Read, session: quietly, alone: true, run: (*task).closeSession},
		{name: "transaction", needs: Control, alone: true, run: (*task).transaction},
	}
	out := map[string]*method{}
	for _, m := range list {
		out[m.name] = m
	}
	return out
}

// dispatch has a request executed: at once, or on its session's worker. Its error is the reply. relieved is that of take.
func (c *conn) dispatch(req *request) (relieved bool, err error) {
	m := c.server.methods[req.method]
	switch {
	case m == nil:
		return false, Errorf(UnknownMethod, "Method not found.")
	case req.params != nil && req.params[0] != '{', req.params == nil && !m.bare:
		return false, Errorf(InvalidParams, "Invalid method parameters: 'params' should be a object")
	}
	if err := c.allow(m.name, m.needs, 1); err != nil {
		return false, err
	}
	t := &task{conn: c, request: req, method: m, scope: c.scope}
	if m.now {
		members, err := m.run(t)
		if err == nil && !req.silent() {
			c.send(appendResult(nil, req.id, members, t.quoted()))
		}
		if t.session != nil {
			t.session.touch()
			t.session.pending.Add(-1)
		}
		return false, err
	}
	if err := t.findSession(); err != nil {
		return false, err
	}
	if t.session == nil { // nothing to do
		if !req.silent() {
			c.send(t.reply(nil, nil))
		}
		return false, nil
	}
	t.scope.by = t.session
	mine, err := t.session.enqueue(t, c.ws != nil)
	if !mine {
		return false, err
	}
	return c.execute(t), nil
}

// allow checks the role and the rate.
func (c *conn) allow(what string, needs Role, n float64) error {
	if c.scope.denied&needs != 0 {
		return c.who.Roles.refusal(needs, what)
	}
	rate := c.who.Quota.Rate
	if rate <= 0 || n == 0 {
		return nil
	}
	c.server.mu.Lock()
	ok := c.standing.rate.take(n, rate, time.Now())
	c.server.mu.Unlock()
	if !ok {
		return Errorf(NotEnoughResources, "Too many requests: you may make %g per second", rate)
	}
	return nil
}

func (t *task) findSession() error {
	id, err := t.request.text("sessionId", t.method.session != opens)
	if err != nil {
		return err
	}
	if t.method.session == quietly {
		if t.session = t.conn.known(id); t.session != nil {
			t.conn.adopt(t.session)
		}
		return nil
	}
	t.session, err = t.conn.resolve(id)
	return err
}

// quoted is the session's id as it goes into the result; nil if none is known.
func (t *task) quoted() []byte {
	if t.session != nil {
		return t.session.quoted
	}
	return nil
}

// execute runs a queued request and makes its reply.
func (t *task) execute() []byte {
	t.session.ended.Store(false)
	members, err := t.method.run(t)
	if t.answer == nil {
		return nil
	}
	return t.reply(members, err)
}

func (t *task) reply(members []byte, err error) []byte {
	if err != nil {
		out := Outside(err)
		t.conn.server.stats.failed(out.Code)
		return appendError(nil, t.request.id, out)
	}
	if t.method.name == "closeSession" {
		return appendResult(nil, t.request.id, nil, nil)
	}
	session := t.quoted()
	if session == nil {
		id, _ := t.request.text("sessionId", false)
		session = quote(id)
	}
	return appendResult(make([]byte, 0, 96+len(members)), t.request.id, members, session)
}

func (t *task) ctx() context.Context { return t.conn.server.ctx }

func value(raw []byte) []byte { return appendMember(make([]byte, 0, len(raw)+10), "value", raw) }

// ping answers; a session that is named and there is bound to the connection.
func (t *task) ping() ([]byte, error) {
	id, err := t.request.text("sessionId", false)
	if err != nil {
		return nil, err
	}
	if id != "" {
		if t.session = t.conn.known(id); t.session != nil {
			t.conn.adopt(t.session)
		}
	} else if s := t.conn.session; s != nil && s.conn.Load() == t.conn {
		s.pending.Add(1)
		t.session = s
	}
	return value([]byte(`"pong"`)), nil
}

// connect opens a session, or takes up one that is there.
func (t *task) connect() ([]byte, error) {
	id, err := t.request.text("sessionId", false)
	if err != nil {
		return nil, err
	}
	if id == "" {
		if t.session, err = t.conn.resolve(""); err != nil {
			return nil, err
		}
	} else if err := t.resume(id); err != nil {
		return nil, err
	}
	return appendMember(nil, "serverId", quote(t.conn.server.id)), nil
}

func (t *task) keepAlive() ([]byte, error) {
	id, err := t.request.text("sessionId", true)
	if err != nil {
		return nil, err
	}
	return nil, t.resume(id)
}

func (t *task) resume(id string) error {
	if t.session = t.conn.known(id); t.session == nil {
		return Errorf(UnknownSession, "Invalid session '%s'", brief(id))
	}
	t.conn.adopt(t.session)
	return nil
}

func (t *task) create() ([]byte, error) {
	class, err := t.request.text("type", true)
	if err != nil {
		return nil, err
	}
	o, err := t.scope.New(t.ctx(), class, member(t.request.params, "constructorParams"))
	if err != nil {
		return nil, err
	}
	return value(quote(o.ID())), nil
}

// object finds the object of a request, and makes the session refer to it.
func (t *task) object() (*Object, error) {
	id, err := t.request.text("object", true)
	if err != nil {
		return nil, err
	}
	o, err := t.scope.Object(id)
	if err != nil {
		return nil, err
	}
	if t.session.keeps() && !o.space.refer(o, t.session) {
		return nil, notFound(id)
	}
	return o, nil
}

func (t *task) invoke() ([]byte, error) {
	op, err := t.request.text("operation", true)
	if err != nil {
		return nil, err
	}
	o, err := t.object()
	if err != nil {
		return nil, err
	}
	out, err := t.scope.Invoke(t.ctx(), o.id, op, member(t.request.params, "operationParams"))
	if err != nil {
		return nil, err
	}
	return value(out), nil
}

func (t *task) subscribe() ([]byte, error) {
	event, err := t.request.text("type", true)
	if err != nil {
		return nil, err
	}
	o, err := t.object()
	if err != nil {
		return nil, err
	}
	t.session.listen(o) // before, so that the object's release finds it
	id, err := t.scope.Subscribe(o.id, event, t.session)
	if err != nil {
		if o.events.remove("", t.session) {
			t.session.forget(o)
		}
		return nil, err
	}
	return value(quote(id)), nil
}

func (t *task) unsubscribe() ([]byte, error) {
	id, err := t.request.text("object", true)
	if err != nil {
		return nil, err
	}
	subscription, err := t.request.text("subscription", true)
	if err != nil {
		return nil, err
	}
	if o, err := t.scope.Object(id); err == nil && o.events.remove(subscription, t.session) {
		t.session.forget(o)
	}
	return nil, nil
}

func (t *task) release() ([]byte, error) {
	id, err := t.request.text("object", true)
	if err != nil {
		return nil, err
	}
	t.scope.Release(id)
	return nil, nil
}

func (t *task) describe() ([]byte, error) {
	o, err := t.object()
	if err != nil {
		return nil, err
	}
	e := o.entry
	b := appendMember(nil, "type", quote(e.class.Name))
	b = appendMember(b, "qualifiedType", quote(e.qualified()))
	list := []byte{'['}
	for i, k := range e.lineage()[1:] {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, quote(k.qualified())...)
	}
	return appendMember(b, "hierarchy", append(list, ']')), nil
}

func (t *task) ref() ([]byte, error) {
	_, err := t.object()
	return nil, err
}

func (t *task) unref() ([]byte, error) {
	id, err := t.request.text("object", true)
	if err != nil {
		return nil, err
	}
	if o, err := t.scope.Object(id); err == nil {
		o.space.unrefer(o, t.session)
	}
	return nil, nil
}

// closeSession ends what the session has. It is unknown then, until it is used again.
func (t *task) closeSession() ([]byte, error) {
	destroy := member(t.request.params, "release")
	if destroy != nil && destroy[0] != 't' && destroy[0] != 'f' {
		return nil, Errorf(BadEnvelope, "'release' parameter should be a boolean")
	}
	all := destroy != nil && destroy[0] == 't'
	if all && t.scope.denied&Control != 0 {
		return nil, t.scope.Roles().refusal(Control, "closeSession with release")
	}
	t.conn.server.space.unreferAll(t.session, all)
	t.session.ended.Store(true)
	t.session.unbind(t.conn)
	return nil, nil
}
