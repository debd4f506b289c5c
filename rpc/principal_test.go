package rpc_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/rpc"
)

func TestRoles(t *testing.T) {
	for _, x := range []struct {
		has   rpc.Role
		grant string // of read, control, billing, admin
	}{{0, ""}, {rpc.Read, "r"}, {rpc.Control, "rc"}, {rpc.Billing, "rb"}, {rpc.Control | rpc.Billing, "rcb"}, {rpc.Admin, "rcba"}, {rpc.AllRoles, "rcba"}} {
		got := ""
		for i, role := range []rpc.Role{rpc.Read, rpc.Control, rpc.Billing, rpc.Admin} {
			if x.has.Grant(role) {
				got += "rcba"[i : i+1]
			}
		}
		if got != x.grant {
			t.Errorf("%s grants %q, want %q", x.has, got, x.grant)
		}
	}
	for _, name := range []string{"read", "control", "billing", "admin"} {
		if r, err := rpc.ParseRole(name); err != nil || r.String() != name {
			t.Errorf("%s: %s, %v", name, r, err)
		}
	}
	if _, err := rpc.ParseRole("root"); err == nil || !strings.Contains(err.Error(), "read, control, billing, admin") {
		t.Errorf("root: %v", err)
	}
	if s := (rpc.Read | rpc.Billing).String(); s != "read, billing" {
		t.Errorf("two roles: %s", s)
	}
	if s := rpc.Role(0).String(); s != "none" {
		t.Errorf("no role: %s", s)
	}
}

// What a client may do is its roles'; a refusal names the role that is missing.
func TestRolesEnforced(t *testing.T) {
	s := serve(t, rpc.ServerConfig{},
		rpc.Principal{Name: "reader", Tenant: "a", Roles: rpc.Read}, rpc.Principal{Name: "maker", Tenant: "a", Roles: rpc.Control},
		rpc.Principal{Name: "clerk", Tenant: "a", Roles: rpc.Billing}, rpc.Principal{Name: "nobody", Tenant: "a"})
	reader, maker, clerk, nobody := s.dial(t, "reader"), s.dial(t, "maker"), s.dial(t, "clerk"), s.dial(t, "nobody")
	vol := maker.volume(maker.pipeline())
	at := `"object":"` + vol + `"`

	reader.do("ping", "")
	reader.do("describe", at)
	reader.do("invoke", at+`,"operation":"getName"`)
	reader.do("invoke", at+`,"operation":"getSinks"`)
	sub := reader.do("subscribe", at+`,"type":"Started"`)
	maker.do("invoke", at+`,"operation":"start"`)
	reader.heard(1)
	for _, x := range []struct{ method, params, what string }{
		{"create", `"type":"MediaPipeline"`, "'create' needs the role control, you have: read"},
		{"release", at, "'release' needs the role control"},
		{"invoke", at + `,"operation":"setName","operationParams":{"name":"x"}`, "'setName' needs the role control"},
		{"invoke", at + `,"operation":"start"`, "'start' needs the role control"},
		{"invoke", at + `,"operation":"half","operationParams":{"f":1}`, "'half' needs the role billing"},
		{"transaction", `"operations":[]`, "'transaction' needs the role control"},
		{"ref", at + `,"sessionId":"x"`, "'ref' needs the role control"},
		{"closeSession", `"sessionId":"x","release":true`, ""},
		{"invoke", `"object":"manager_ServerManager","operation":"getSessions"`, "'getSessions' needs the role admin"},
	} {
		if x.what == "" {
			continue
		}
		reader.refused(rpc.NotAllowed, x.what, x.method, x.params)
	}
	reader.do("describe", at+`,"sessionId":"x"`)
	reader.refused(rpc.NotAllowed, "'closeSession with release' needs the role control", "closeSession", `"sessionId":"x","release":true`)
	reader.do("unsubscribe", at+`,"subscription":"`+sub+`","sessionId":"x"`)
	reader.do("closeSession", `"sessionId":"x"`)

	clerk.do("invoke", at+`,"operation":"half","operationParams":{"f":1}`)
	clerk.refused(rpc.NotAllowed, "control", "invoke", at+`,"operation":"start"`)
	maker.refused(rpc.NotAllowed, "billing", "invoke", at+`,"operation":"half","operationParams":{"f":1}`)
	nobody.do("ping", "")
	nobody.refused(rpc.NotAllowed, "'describe' needs the role read, you have: none", "describe", at)
	nobody.refused(rpc.NotAllowed, "read", "connect", "")

	// Who only looks on keeps nothing alive.
	reader.do("describe", at)
	s.hangUp(maker)
	again := s.dial(t, "maker")
	if out := again.transact(operation(0, "describe", at), operation(1, "invoke", at+`,"operation":"half","operationParams":{"f":1}`)); out[1].Error == nil || out[1].Error.Code != rpc.NotAllowed {
		t.Errorf("in a transaction: %+v", out)
	}
	again.do("release", at)
	if reader.there(vol) {
		t.Error("it is there after its release")
	}
}

// A reader's references don't count.
func TestReaderHoldsNothing(t *testing.T) {
	s := serve(t, rpc.ServerConfig{}, rpc.Principal{Name: "reader", Tenant: "a", Roles: rpc.Read})
	reader, maker := s.dial(t, "reader"), s.dial(t, "")
	vol := maker.volume(maker.do("create", `"type":"MediaPipeline","sessionId":"S"`))
	reader.do("describe", `"object":"`+vol+`"`)
	reader.do("subscribe", `"object":"`+vol+`","type":"Started"`)
	maker.do("closeSession", `"sessionId":"S"`)
	if reader.there(vol) {
		t.Error("a reader kept an object alive")
	}
}

// One tenant's objects, sessions and events aren't there for another; an admin sees all.
func TestTenantsApart(t *testing.T) {
	s := serve(t, rpc.ServerConfig{}, rpc.Principal{Name: "a1", Tenant: "a", Roles: rpc.Control}, rpc.Principal{Name: "a2", Tenant: "a", Roles: rpc.Control},
		rpc.Principal{Name: "b", Tenant: "b", Roles: rpc.Control}, rpc.Principal{Name: "root", Tenant: "c", Roles: rpc.Admin})
	a1, a2, b, root := s.dial(t, "a1"), s.dial(t, "a2"), s.dial(t, "b"), s.dial(t, "root")
	const manager = `"object":"manager_ServerManager"`
	for _, c := range []*client{a2, b, root} {
		c.do("subscribe", manager+`,"type":"ObjectCreated","sessionId":"T"`)
	}
	pipe := a1.do("create", `"type":"MediaPipeline","sessionId":"S"`)
	vol := a1.volume(pipe)
	for _, call := range []struct{ method, params string }{
		{"describe", `"object":"` + vol + `"`}, {"ref", `"object":"` + vol + `","sessionId":"S"`}, {"invoke", `"object":"` + vol + `","operation":"getName"`},
		{"subscribe", `"object":"` + vol + `","type":"Started"`}, {"create", `"type":"Volume","constructorParams":{"mediaPipeline":"` + pipe + `"}`},
	} {
		b.refused(rpc.ObjectNotFound, "not found", call.method, call.params)
	}
	own := b.volume(b.do("create", `"type":"MediaPipeline","sessionId":"T"`))
	b.refused(rpc.ObjectNotFound, vol, "invoke", `"object":"`+own+`","operation":"connect","operationParams":{"sink":"`+vol+`"}`)
	b.do("release", `"object":"`+vol+`"`)
	b.do("unref", `"object":"`+vol+`","sessionId":"S"`)
	b.do("closeSession", `"sessionId":"S","release":true`) // b's own of that name
	if !a1.there(vol) || !a2.there(vol) || !root.there(vol) {
		t.Error("another tenant has ended it, or the tenant or an admin doesn't see it")
	}
	list := func(c *client, op string) (out []string) {
		_ = json.Unmarshal([]byte(c.do("invoke", manager+`,"operation":"`+op+`"`)), &out)
		return out
	}
	if n, m, all := len(list(a2, "getPipelines")), len(list(b, "getPipelines")), len(list(root, "getPipelines")); n != 2 || m != 1 || all != 3 { // the rig's is a's
		t.Errorf("pipelines: a %d, b %d, admin %d, want 2, 1 and 3", n, m, all)
	}
	if n := len(list(root, "getSessions")); n < 4 {
		t.Errorf("an admin sees %d sessions", n)
	}
	tell := func(of string) { // as what watches the space does
		o, err := s.space.Admin("").Object(of)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := s.a.Object("manager_ServerManager")
		m.RaiseFor(o.Tenant(), objectCreated{o})
	}
	b.do("ping", `"sessionId":"T"`)
	tell(vol)
	a2.heard(1)
	root.heard(1)
	tell(own)
	root.heard(1)
	if e := b.heard(1); len(e) != 1 || string(e[0].Data["object"]) != `"`+own+`"` {
		t.Errorf("b heard %+v", e)
	}
	if a2.do("ping", ""); len(a2.events) != 0 {
		t.Errorf("a heard of b's: %+v", a2.events)
	}
	root.do("release", `"object":"`+pipe+`"`)
	if a1.there(pipe) {
		t.Error("an admin can't release a tenant's object")
	}
}

func TestQuotas(t *testing.T) {
	s := serve(t, rpc.ServerConfig{MaxSessions: 8, MaxConnections: 6},
		rpc.Principal{Name: "small", Tenant: "s", Roles: rpc.Control, Quota: rpc.Quota{Objects: 3, Sessions: 2, Connections: 2}},
		rpc.Principal{Name: "slow", Tenant: "s2", Roles: rpc.Control, Quota: rpc.Quota{Rate: 5}})
	one, two := s.dial(t, "small"), s.dial(t, "small")
	if code := s.refusedDial(t, "small", "you have 2 connections already"); code != http.StatusServiceUnavailable {
		t.Errorf("a third connection: %d", code)
	}
	pipe := one.do("create", `"type":"MediaPipeline","sessionId":"a"`)
	one.volume(pipe)
	two.do("create", `"type":"MediaPipeline","sessionId":"b"`)
	one.refused(rpc.NotEnoughResources, "you have 3 already", "create", `"type":"MediaPipeline"`)
	one.refused(rpc.NotEnoughResources, "you have 2 already", "describe", `"object":"`+pipe+`","sessionId":"c"`)
	one.do("closeSession", `"sessionId":"a"`)
	one.do("create", `"type":"MediaPipeline","sessionId":"c"`) // in a's place

	slow := s.dial(t, "slow")
	begin, refused := time.Now(), 0
	for range 30 {
		if r := slow.ask("ping", ""); r.Error != nil {
			if r.Error.Code != rpc.NotEnoughResources || !strings.Contains(r.Error.Message, "5 per second") {
				t.Fatalf("%s", r.text)
			}
			refused++
		}
	}
	if took := time.Since(begin); took < time.Second && (refused < 15 || refused > 20) {
		t.Errorf("%d of 30 requests in %s were refused, want 20 less 5 per second", refused, took)
	}
	var many [12]string
	for i := range many {
		many[i] = operation(i, "ping", "")
	}
	slow.refused(rpc.NotEnoughResources, "5 per second", "transaction", `"operations":[`+strings.Join(many[:], ",")+`]`)

	for range 3 {
		s.dial(t, "")
	}
	s.refusedDial(t, "", "there are 6 connections already")
}

// Who is told that a session is closed has room for another at once.
func TestClosedSessionsMakeRoom(t *testing.T) {
	s := serve(t, rpc.ServerConfig{}, rpc.Principal{Name: "small", Tenant: "s", Roles: rpc.Control, Quota: rpc.Quota{Sessions: 1}})
	c := s.dial(t, "small")
	for i := range 1000 {
		session := `"sessionId":"` + strconv.Itoa(i) + `"`
		c.do("create", `"type":"MediaPipeline",`+session)
		c.do("closeSession", session)
	}
}

// Sessions are bounded; those without a connection and objects make room.
func TestSessionBound(t *testing.T) {
	s := serve(t, rpc.ServerConfig{MaxSessions: 3})
	c := s.dial(t, "")
	for range 10 {
		c.do("describe", `"object":"manager_ServerManager","sessionId":"`+time.Now().String()+`"`)
	}
	for _, name := range []string{"a", "b", "c"} {
		c.do("create", `"type":"MediaPipeline","sessionId":"`+name+`"`)
	}
	c.refused(rpc.NotEnoughResources, "there are 3 already", "create", `"type":"MediaPipeline","sessionId":"d"`)
}

func (s *served) refusedDial(t *testing.T, name, words string) int {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.http.URL, "http")+"/"+name, nil)
	if err == nil {
		ws.Close()
		t.Fatalf("dial %q: connected", name)
	}
	var body struct{ Error string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || !strings.Contains(body.Error, words) {
		t.Errorf("dial %q: %d %q %v, want %q", name, resp.StatusCode, body.Error, err, words)
	}
	return resp.StatusCode
}

func TestAuthentication(t *testing.T) {
	s := serve(t, rpc.ServerConfig{Keep: 200 * time.Millisecond}, rpc.Principal{Name: "brief", Tenant: "a", Roles: rpc.Read, Expires: time.Now().Add(500 * time.Millisecond)})
	if code := s.refusedDial(t, "stranger", "nobody is stranger"); code != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", code)
	}
	c := s.dial(t, "brief")
	c.do("ping", "")
	eventually(t, "the connection ends with its token", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return websocket.IsCloseError(c.ended, websocket.ClosePolicyViolation)
	})
}
