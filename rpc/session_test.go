package rpc_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/rpc"
)

func (c *client) there(id string) bool {
	c.t.Helper()
	r := c.ask("invoke", `"object":"`+id+`","operation":"getName"`)
	return r.Error == nil
}

// A session takes up after a drop with what it had: objects and subscriptions.
func TestReconnect(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	one := s.dial(t, "")
	var first struct{ ServerID, SessionID string }
	r := one.ask("connect", "")
	if err := json.Unmarshal([]byte(r.text), &struct{ Result any }{&first}); err != nil || first.ServerID == "" {
		t.Fatalf("connect: %s", r.text)
	}
	vol := one.volume(one.pipeline())
	one.do("subscribe", `"object":"`+vol+`","type":"Started"`)
	s.hangUp(one)
	s.a.Invoke(t.Context(), vol, "start", nil) // lost: nobody is there

	two := s.dial(t, "")
	two.ask("ping", "")
	r = two.ask("connect", `"sessionId":"`+first.SessionID+`"`)
	if string(r.Result["serverId"]) != `"`+first.ServerID+`"` || string(r.Result["sessionId"]) != `"`+first.SessionID+`"` {
		t.Fatalf("connect again: %s", r.text)
	}
	two.do("invoke", `"object":"`+vol+`","operation":"start"`)
	if e := two.heard(1); len(e) != 1 || e[0].Object != vol {
		t.Errorf("events: %+v", e)
	}
	two.refused(rpc.UnknownSession, "nobody", "connect", `"sessionId":"nobody"`)
	two.refused(rpc.UnknownSession, "nobody", "keepAlive", `"sessionId":"nobody"`)
	if r := two.ask("keepAlive", `"sessionId":"`+first.SessionID+`"`); r.Error != nil || len(r.Result) != 1 {
		t.Errorf("keepAlive: %s", r.text)
	}
}

// A client may call its session what it likes, whether the server knows it or not: SDKs keep their old id when they were
// told that it is unknown.
func TestChosenSession(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	for i, call := range []string{`create|"type":"MediaPipeline"`, `describe|"object":"manager_ServerManager"`, `ref|"object":"manager_ServerManager"`,
		`invoke|"object":"manager_ServerManager","operation":"getName"`, `subscribe|"object":"manager_ServerManager","type":"ObjectCreated"`,
		`release|"object":"nothing"`, `transaction|"operations":[]`, `unsubscribe|"object":"x","subscription":"y"`, `unref|"object":"x"`} {
		method, params, _ := strings.Cut(call, "|")
		id := fmt.Sprintf("my \\\"own\\\" ü %d", i)
		if r := c.ask(method, params+`,"sessionId":"`+id+`"`); r.Error != nil || string(r.Result["sessionId"]) == "" {
			t.Errorf("%s in a session of its own: %s", method, r.text)
		} else {
			var got, want string
			if json.Unmarshal(r.Result["sessionId"], &got) != nil || json.Unmarshal([]byte(`"`+id+`"`), &want) != nil || got != want {
				t.Errorf("%s: session %q, want %q", method, got, want)
			}
		}
	}
	long := make([]byte, 257)
	for i := range long {
		long[i] = 'x'
	}
	c.refused(rpc.BadEnvelope, "'sessionId' parameter has 257 bytes, may have 256", "create", `"type":"MediaPipeline","sessionId":"`+string(long)+`"`)
	c.refused(rpc.BadEnvelope, "'sessionId' parameter should be a string", "create", `"type":"MediaPipeline","sessionId":5`)
	for _, m := range []string{"unsubscribe", "ref", "unref", "keepAlive", "closeSession"} {
		c.refused(rpc.BadEnvelope, "'sessionId' parameter is required", m, `"object":"x","subscription":"y"`)
	}
}

// The last connection that used a session has it; the one before stays open, and gets a new session.
func TestRebinding(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	one, two := s.dial(t, ""), s.dial(t, "")
	vol := one.volume(one.do("create", `"type":"MediaPipeline","sessionId":"S"`))
	one.do("subscribe", `"object":"`+vol+`","type":"Started"`)
	two.do("invoke", `"object":"`+vol+`","operation":"start","sessionId":"S"`)
	two.heard(1)
	if r := one.ask("invoke", `"object":"`+vol+`","operation":"getName"`); r.Error != nil || string(r.Result["sessionId"]) == `"S"` {
		t.Errorf("on the older connection: %s", r.text)
	}
	one.do("invoke", `"object":"`+vol+`","operation":"start","sessionId":"S"`)
	one.heard(1)
	one.do("create", `"type":"MediaPipeline","sessionId":"T"`)
	one.do("invoke", `"object":"`+vol+`","operation":"start"`)
	if one.do("ping", ""); len(one.events)+len(two.events) != 0 {
		t.Errorf("events of a session without a connection: %v %v", one.events, two.events)
	}
}

// References: an object lives as long as a session refers to it.
func TestReferences(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	one, two := s.dial(t, ""), s.dial(t, "")
	one.do("ping", "")
	pipe := one.do("create", `"type":"MediaPipeline","sessionId":"one"`)
	vol := one.volume(pipe)
	two.do("describe", `"object":"`+vol+`","sessionId":"two"`)
	later := one.volume(pipe) // two refers to the pipeline, so to this

	one.do("closeSession", `"sessionId":"one"`)
	if !two.there(vol) || !two.there(pipe) || !two.there(later) {
		t.Fatal("an object has ended that a session refers to")
	}
	two.do("unref", `"object":"`+later+`","sessionId":"two"`)
	if two.there(later) || !two.there(vol) {
		t.Error("unref of the last session is to end the object, and it alone")
	}
	two.do("unref", `"object":"`+later+`","sessionId":"two"`) // unknown by now
	two.refused(rpc.ObjectNotFound, later, "ref", `"object":"`+later+`","sessionId":"two"`)
	one.do("ref", `"object":"`+vol+`","sessionId":"one"`)
	two.do("unref", `"object":"`+pipe+`","sessionId":"two"`)
	if !one.there(vol) || !one.there(pipe) {
		t.Error("a reference to an object is one to its owner")
	}
	one.do("unref", `"object":"`+pipe+`","sessionId":"one"`)
	if one.there(pipe) || one.there(vol) {
		t.Error("nobody refers to the pipeline")
	}

	pipe = one.pipeline()
	vol = one.volume(pipe)
	two.do("ref", `"object":"`+vol+`","sessionId":"two"`)
	one.do("release", `"object":"`+pipe+`"`) // for all
	if two.there(pipe) || two.there(vol) {
		t.Error("a released pipeline is there")
	}
	one.do("release", `"object":"`+pipe+`"`)
	one.do("release", `"object":"manager_ServerManager"`)
	one.do("unref", `"object":"manager_ServerManager","sessionId":"one"`)
	if !one.there("manager_ServerManager") {
		t.Error("the manager can be released")
	}

	pipe = one.pipeline()
	two.do("ref", `"object":"`+pipe+`","sessionId":"two"`)
	one.do("closeSession", `"sessionId":"one","release":true`)
	if two.there(pipe) {
		t.Error("closeSession with release leaves an object")
	}
}

// Without a connection a session is kept for a while, then what only it refers to is released.
func TestCollection(t *testing.T) {
	s := serve(t, rpc.ServerConfig{Keep: 300 * time.Millisecond})
	one, two := s.dial(t, ""), s.dial(t, "")
	pipe := one.do("create", `"type":"MediaPipeline","sessionId":"one"`)
	mine, shared := one.volume(pipe), one.pipeline()
	two.do("ref", `"object":"`+shared+`","sessionId":"two"`)
	time.Sleep(600 * time.Millisecond) // a connection keeps its session, however quiet
	if _, err := s.a.Object(mine); err != nil {
		t.Fatal("collected while its connection is there")
	}
	s.hangUp(one)
	if _, err := s.a.Object(mine); err != nil {
		t.Error("collected at once")
	}
	eventually(t, "the objects of a lost session are released", func() bool {
		_, err := s.a.Object(mine)
		return err != nil
	})
	if _, err := s.a.Object(shared); err != nil {
		t.Error("an object that another session refers to was collected")
	}
	if n := s.server.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	two.refused(rpc.UnknownSession, "one", "connect", `"sessionId":"one"`)
}

// Several subscriptions of a session to one event bring one event each time, until the last has gone.
func TestEventsOncePerSession(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	one, two := s.dial(t, ""), s.dial(t, "")
	vol := one.volume(one.do("create", `"type":"MediaPipeline","sessionId":"one"`))
	subscribe := func(c *client) string { return c.do("subscribe", `"object":"`+vol+`","type":"Started"`) }
	first, second := subscribe(one), subscribe(one)
	other := subscribe(two)
	start := func() { one.do("invoke", `"object":"`+vol+`","operation":"start"`) }
	start()
	if n, m := len(one.heard(1)), len(two.heard(1)); n != 1 || m != 1 {
		t.Errorf("%d and %d events, want one for each session", n, m)
	}
	one.do("unsubscribe", `"object":"`+vol+`","subscription":"`+other+`","sessionId":"one"`) // not its own
	one.do("unsubscribe", `"object":"`+vol+`","subscription":"`+first+`","sessionId":"one"`)
	start()
	one.heard(1)
	two.heard(1)
	one.do("unsubscribe", `"object":"`+vol+`","subscription":"`+second+`","sessionId":"one"`)
	start()
	two.heard(1)
	if one.do("ping", ""); len(one.events) != 0 {
		t.Errorf("events without a subscription: %v", one.events)
	}
	one.refused(rpc.EventNotSupported, "Nothing", "subscribe", `"object":"`+vol+`","type":"Nothing"`)
}

// A repeated request gets the reply of the first, and isn't executed again; in another session it is another request.
func TestDuplicates(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	one, two := s.dial(t, ""), s.dial(t, "")
	send := func(c *client, id, session string) string {
		c.send(`{"jsonrpc":"2.0","id":` + id + `,"method":"create","params":{"type":"MediaPipeline","sessionId":"` + session + `"}}`)
		return c.answer(id).text
	}
	a, b := send(one, "7", "S"), send(one, "7", "S")
	if a != b {
		t.Errorf("the repeated request got %s, the first %s", b, a)
	}
	if c := send(two, "7", "S"); c != a {
		t.Errorf("repeated on another connection: %s", c)
	}
	if c := send(one, "7", "T"); c == a {
		t.Error("another session got the reply")
	}
	if c := send(one, "8", "S"); c == a {
		t.Error("another id got the reply")
	}
	if n := len(s.a.Objects("MediaPipeline")); n != 4 { // one is the rig's
		t.Errorf("%d pipelines, want 4", n)
	}

	// One that still runs is waited for.
	vol := one.volume(one.pipeline())
	o, _ := s.a.Object(vol)
	v := o.Value().(*volume)
	hang := `{"jsonrpc":"2.0","id":"h","method":"invoke","params":{"object":"` + vol + `","operation":"hang","sessionId":"S"}}`
	one.send(hang)
	<-v.enter
	two.send(hang)
	eventually(t, "the repetition is noticed", func() bool { return s.server.Stats().Duplicates == 3 })
	close(v.leave)
	if x, y := one.answer(`"h"`).text, two.answer(`"h"`).text; x != y || v.calls != 1 {
		t.Errorf("replies %s and %s, %d calls", x, y, v.calls)
	}
}

// Requests of a session run in the order in which they came; ping, keepAlive and connect don't wait for them.
func TestOrder(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	vol := c.volume(c.do("create", `"type":"MediaPipeline","sessionId":"S"`))
	o, _ := s.a.Object(vol)
	v := o.Value().(*volume)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"` + vol + `","operation":"hang"}}`)
	<-v.enter
	c.send(`{"jsonrpc":"2.0","id":2,"method":"release","params":{"object":"` + vol + `"}}`)
	c.send(`{"jsonrpc":"2.0","id":3,"method":"invoke","params":{"object":"` + vol + `","operation":"getName"}}`)
	c.do("ping", "")
	c.do("keepAlive", `"sessionId":"S"`)
	c.do("connect", `"sessionId":"S"`)
	if _, err := s.a.Object(vol); err != nil {
		t.Error("release overtook")
	}
	close(v.leave)
	if r := c.answer("1"); string(r.Result["value"]) != "1" {
		t.Errorf("hang: %s", r.text)
	}
	if r := c.answer("3"); c.answer("2").Error != nil || r.Error == nil || r.Error.Code != rpc.ObjectNotFound {
		t.Errorf("after the release: %s", r.text)
	}
}

// Released by another client while a call on it runs, an object stays until the call ends.
func TestReleaseByAnother(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	one, two := s.dial(t, ""), s.dial(t, "")
	vol := one.volume(one.pipeline())
	o, _ := s.a.Object(vol)
	v := o.Value().(*volume)
	one.send(`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"` + vol + `","operation":"hang"}}`)
	<-v.enter
	two.do("release", `"object":"`+o.Root().ID()+`"`)
	select {
	case <-v.closed:
		t.Error("closed under a call")
	default:
	}
	v.leave <- struct{}{}
	if r := one.answer("1"); string(r.Result["value"]) != "1" {
		t.Errorf("hang: %s", r.text)
	}
	select {
	case <-v.closed:
	case <-time.After(patience):
		t.Error("not closed after the call")
	}
}

func TestUnknown(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	c.refused(rpc.TypeNotAvailable, "Factory 'Nothing' not found", "create", `"type":"Nothing"`)
	c.refused(rpc.TypeNotAvailable, "Factory 'MediaElement' not found", "create", `"type":"MediaElement"`)
	c.refused(rpc.UnknownOperation, "Method 'fly' with 2 parameters not found", "invoke", `"object":"manager_ServerManager","operation":"fly","operationParams":{"a":1,"b":2}`)
	c.refused(rpc.ObjectNotFound, "Object 'x' not found", "describe", `"object":"x"`)
	c.refused(rpc.NotCommitted, "newref:0", "describe", `"object":"newref:0"`)
	c.refused(rpc.UnknownMethod, "Method not found.", "getModules", "")
	c.refused(rpc.BadEnvelope, "'object' parameter is required", "invoke", `"operation":"x"`)
	c.refused(rpc.BadEnvelope, "'object' parameter should be a string", "invoke", `"object":1,"operation":"x"`)
	c.refused(rpc.BadEnvelope, "'type' parameter is required", "create", "")
	c.refused(rpc.BadParam, "'constructorParams' is required", "create", `"type":"Volume"`)
	for _, raw := range []string{`{"jsonrpc":"2.0","id":1,"method":"create"}`, `{"jsonrpc":"2.0","id":1,"method":"create","params":null}`, `{"jsonrpc":"2.0","id":1,"method":"create","params":["MediaPipeline"]}`} {
		c.send(raw)
		if r := c.answer("1"); r.Error == nil || r.Error.Code != rpc.InvalidParams || r.Error.Data == nil || r.Error.Data.Type != "INVALID_PARAMS" {
			t.Errorf("%s: %s", raw, r.text)
		}
	}
}

func TestSessionsListed(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	c.do("describe", `"object":"manager_ServerManager","sessionId":"b"`)
	c.do("describe", `"object":"manager_ServerManager","sessionId":"a"`)
	var got []string
	if err := json.Unmarshal([]byte(c.do("invoke", `"object":"manager_ServerManager","operation":"getSessions"`)), &got); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("sessions %q, %v", got, err)
	}
}
