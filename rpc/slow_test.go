package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/rpc"
)

// A thousand clients that subscribe and then read nothing don't hold up one that reads: each is cut off in time.
func TestSlowClients(t *testing.T) {
	const slow, events = 1000, 40
	r := newRig(t, rpc.Config{})
	s := serveRig(t, r, rpc.ServerConfig{MaxQueued: 64 << 10})
	good := s.dial(t, "")
	pipe := good.pipeline()
	vol := good.volume(pipe)
	good.do("subscribe", `"object":"`+vol+`","type":"Error"`)
	s.narrow.Store(true)
	peers := make([]*peer, slow)
	for i := range peers {
		p := s.raw(t)
		_ = p.conn.(*net.TCPConn).SetReadBuffer(4096)
		p.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"object":%q,"type":"Error"}}`, vol))
		peers[i] = p
	}
	eventually(t, "all have subscribed", func() bool { return s.server.Stats().Requests["subscribe"] == slow+1 })
	good.do("ping", "")

	big := rpc.ErrorRaised{Description: strings.Repeat("x", 16<<10), Kind: "X"}
	worst := time.Duration(0)
	for range events {
		begin := time.Now()
		o, err := s.a.Object(vol)
		if err != nil {
			t.Fatal(err)
		}
		o.Raise(big)
		if len(good.heard(1)) != 1 {
			t.Fatal("events were lost")
		}
		good.do("ping", "")
		worst = max(worst, time.Since(begin))
	}
	t.Logf("an event to %d clients and a ping took %s at most", slow, worst)
	if worst > patience/2 {
		t.Errorf("the good client waited %s", worst)
	}
	eventually(t, "slow clients are cut off", func() bool { st := s.server.Stats(); return st.Slow == slow && st.Connections == 1 })
	if !good.there(vol) {
		t.Error("the good client was cut off too")
	}
	for _, p := range peers[:10] {
		if _, err := fmt.Fprint(p.conn, strings.Repeat("x", 1<<20)); err == nil {
			t.Error("a slow client is still connected")
		}
	}
}

// A client that asks and never reads is cut off as well.
func TestSlowAsker(t *testing.T) {
	s := serve(t, rpc.ServerConfig{MaxQueued: 64 << 10})
	c := s.dial(t, "")
	vol := c.volume(c.pipeline())
	c.do("invoke", `"object":"`+vol+`","operation":"setName","operationParams":{"name":"`+strings.Repeat("x", rpc.MaxText)+`"}`)
	s.narrow.Store(true)
	p := s.raw(t)
	_ = p.conn.(*net.TCPConn).SetReadBuffer(4096)
	for i := range 20_000 {
		p.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"invoke","params":{"object":%q,"operation":"getName"}}`, i, vol))
		if s.server.Stats().Slow > 0 {
			break
		}
	}
	eventually(t, "it is cut off", func() bool { return s.server.Stats().Slow == 1 && s.server.Stats().Connections == 1 })
	c.do("ping", "")
}

// A message must come whole, and be taken, in time; a connection that says nothing may stay.
func TestPatience(t *testing.T) {
	s := serve(t, rpc.ServerConfig{Patience: 300 * time.Millisecond})
	s.narrow.Store(true)
	idle, half := s.raw(t), s.raw(t)
	half.frame(text, []byte(`{"jsonrpc"`), 0)
	half.frame(final|ping, nil, 0) // which doesn't count
	if op, _ := half.hear(); op != final|pong {
		t.Errorf("frame %#x, want a pong", op)
	}
	half.closes(1008, "message isn't complete after 300ms")

	c := s.dial(t, "")
	vol := c.volume(c.pipeline())
	c.do("invoke", `"object":"`+vol+`","operation":"setName","operationParams":{"name":"`+strings.Repeat("x", rpc.MaxText)+`"}`)
	deaf := s.raw(t)
	_ = deaf.conn.(*net.TCPConn).SetReadBuffer(4096)
	for i := range 60 { // 1 MB: less than may be queued, more than the system holds
		deaf.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"invoke","params":{"object":%q,"operation":"getName"}}`, i, vol))
	}
	eventually(t, "who takes nothing is cut off", func() bool { return s.server.Stats().Slow == 1 })
	idle.say(`{"jsonrpc":"2.0","method":"ping","id":1}`)
	idle.wants("a connection that was idle for longer", pinged)
}

// Requests of one session that wait are bounded; the reader goes on and refuses.
func TestTooManyRequests(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	vol := c.volume(c.pipeline())
	o, _ := s.a.Object(vol)
	v := o.Value().(*volume)
	c.send(`{"jsonrpc":"2.0","id":"h","method":"invoke","params":{"object":"` + vol + `","operation":"hang"}}`)
	<-v.enter
	for i := range 1025 {
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":"q%d","method":"invoke","params":{"object":%q,"operation":"getGain"}}`, i, vol))
	}
	if r := c.answer(`"q1024"`); r.Error == nil || r.Error.Code != rpc.NotEnoughResources {
		t.Errorf("one too many: %s", r.text)
	}
	c.do("ping", "")
	close(v.leave)
	for i := range 1024 {
		if r := c.answer(fmt.Sprintf(`"q%d"`, i)); r.Error != nil {
			t.Fatalf("%s", r.text)
		}
	}
}

// Close ends everything that the server has begun, with connections and requests in every state.
func TestClose(t *testing.T) {
	before := goleak.IgnoreCurrent()
	f := newFamily()
	space := f.classes.Open(rpc.Config{})
	r := &rig{T: t, f: f, space: space, a: space.Tenant("a")}
	s := serveRig(t, r, rpc.ServerConfig{})
	c := s.dial(t, "")
	vol := c.volume(c.pipeline())
	idle := s.raw(t)
	half := s.raw(t)
	half.frame(text, []byte(`{"jsonrpc"`), 0)
	o, _ := s.a.Object(vol)
	v := o.Value().(*volume)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"` + vol + `","operation":"hang"}}`)
	<-v.enter
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.server.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close while a call runs: %v", err)
	}
	idle.closes(1001, "stopping")
	half.closes(1001, "stopping")
	s.refusedDial(t, "", "the server is stopping")
	close(v.leave)
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 2 {
		if err := s.server.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := space.Close(ctx); err != nil {
		t.Error(err)
	}
	_ = c.ws.Close()
	s.http.CloseClientConnections()
	s.http.Close()
	if err := goleak.Find(before, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop")); err != nil {
		t.Error(err)
	}
}

// Clients that come and go leave nothing behind.
func TestMemory(t *testing.T) {
	s := serve(t, rpc.ServerConfig{Keep: 50 * time.Millisecond})
	who := rpc.Principal{Name: "x", Tenant: "a", Roles: rpc.Control}
	round := func(n int) uint64 {
		for range n {
			s.server.Feed(who, []byte(`{"jsonrpc":"2.0","id":0,"method":"create","params":{"type":"MediaPipeline"}}`),
				[]byte(`{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"object":"manager_ServerManager","type":"ObjectCreated"}}`),
				bytes.Repeat([]byte("x"), 100), []byte(`{"jsonrpc":"2.0","id":2,"method":"nothing"}`))
		}
		eventually(t, "sessions are collected", func() bool { st := s.server.Stats(); return st.Sessions == 0 && st.Objects == 3 })
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	round(200)
	before := round(200)
	after := round(1000)
	if after > before+2<<20 {
		t.Errorf("the heap has %d KiB after 1000 more clients, %d before", after>>10, before>>10)
	}
}

// A request that takes long holds up neither what comes after it on its connection nor the connection's end.
func TestLongRequest(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	for round := range 3 { // the first one wakes the goroutine that looks, others find it awake
		c := s.dial(t, "")
		vol := c.volume(c.pipeline())
		o, _ := s.a.Object(vol)
		v := o.Value().(*volume)
		c.send(`{"jsonrpc":"2.0","id":"h","method":"invoke","params":{"object":"` + vol + `","operation":"hang"}}`)
		<-v.enter
		c.do("ping", "")
		other := c.do("create", `"type":"MediaPipeline","sessionId":"other"`)
		if other == "" {
			t.Error("another session of the connection waits")
		}
		_ = c.ws.Close()
		eventually(t, fmt.Sprintf("connection %d ends although its request runs", round), func() bool { return s.server.Stats().Connections == 0 })
		v.leave <- struct{}{}
	}
}
