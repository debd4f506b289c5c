package rpc_test

import (
	"fmt"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// While an operation waits its session goes on with other objects; what comes for the same object follows it in order.
// closeSession and transactions wait for all.
func TestWaitingOperation(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	pipe := c.do("create", `"type":"MediaPipeline","sessionId":"S"`)
	busy, other := c.volume(pipe), c.volume(pipe)
	o, _ := s.a.Object(busy)
	v := o.Value().(*volume)
	invoke := func(id string, object, op string) {
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"invoke","params":{"object":%q,"operation":%s}}`, id, object, op))
	}
	invoke("hang", busy, `"hang"`)
	<-v.enter
	invoke("set", busy, `"setName","operationParams":{"name":"later"}`)
	invoke("get", busy, `"getName"`)
	for range 20 {
		c.do("invoke", `"object":"`+other+`","operation":"getName"`)
	}
	c.do("create", `"type":"Volume","constructorParams":{"mediaPipeline":"`+pipe+`"}`)
	if o.Name() == "later" {
		t.Error("a request overtook the operation on its object")
	}
	c.send(`{"jsonrpc":"2.0","id":"t","method":"transaction","params":{"operations":[` + operation(0, "invoke", `"object":"`+busy+`","operation":"getName"`) + `]}}`)
	invoke("after", other, `"getName"`)
	c.do("ping", "")
	c.mu.Lock()
	for _, id := range []string{`"t"`, `"after"`, `"set"`, `"get"`} {
		if r, ok := c.replies[id]; ok {
			t.Errorf("%s was answered before its turn: %s", id, r.text)
		}
	}
	c.mu.Unlock()
	v.leave <- struct{}{}
	for id, want := range map[string]string{"hang": "1", "set": "null", "get": `"later"`, "after": `"` + other + `"`} {
		if r := c.answer(`"` + id + `"`); string(r.Result["value"]) != want {
			t.Errorf("%s: %s, want %s", id, r.text, want)
		}
	}
	if r := c.answer(`"t"`); r.Error != nil {
		t.Errorf("transaction: %s", r.text)
	}

	invoke("again", busy, `"hang"`)
	<-v.enter
	c.send(`{"jsonrpc":"2.0","id":"close","method":"closeSession","params":{"sessionId":"S","release":true}}`)
	c.do("ping", "")
	if _, err := s.a.Object(other); err != nil {
		t.Error("the session was closed while it had something to do")
	}
	v.leave <- struct{}{}
	c.answer(`"again"`)
	c.answer(`"close"`)
	if _, err := s.a.Object(busy); err == nil {
		t.Error("closeSession left an object")
	}
}

// Many may wait at a time, each for itself.
func TestManyWait(t *testing.T) {
	const n = 100
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	pipe := c.pipeline()
	var all []*volume
	for i := range n {
		id := c.volume(pipe)
		o, _ := s.a.Object(id)
		all = append(all, o.Value().(*volume))
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":"w%d","method":"invoke","params":{"object":%q,"operation":"hang"}}`, i, id))
	}
	for _, v := range all {
		<-v.enter
	}
	for i := range all { // in another order
		k := n - 1 - i
		all[k].leave <- struct{}{}
		if r := c.answer(fmt.Sprintf(`"w%d"`, k)); string(r.Result["value"]) != "1" {
			t.Fatalf("%d: %s", k, r.text)
		}
	}
}
