package rpc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

func operation(i int, method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, i, method, params)
}

type answer struct {
	ID     json.RawMessage
	Result struct {
		Value     json.RawMessage
		SessionID string
	}
	Error *rpc.WireError
}

func (c *client) transact(ops ...string) (out []answer) {
	c.t.Helper()
	r := c.ask("transaction", `"object":"junk that JS sends","operations":[`+strings.Join(ops, ",")+`]`)
	if r.Error != nil {
		c.t.Fatalf("transaction: %s", r.text)
	}
	if err := json.Unmarshal(r.Result["value"], &out); err != nil {
		c.t.Fatalf("%s: %v", r.text, err)
	}
	for i, a := range out {
		if string(a.ID) != fmt.Sprint(i) || a.Error == nil && `"`+a.Result.SessionID+`"` != string(r.Result["sessionId"]) {
			c.t.Errorf("answer %d in %s", i, r.text)
		}
	}
	return out
}

// A transaction makes, uses and asks of what it makes, by newref in any place: objects of requests, constructors,
// parameters, lists.
func TestTransaction(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	if out := c.transact(); len(out) != 0 {
		t.Errorf("empty: %v", out)
	}
	out := c.transact(
		operation(0, "create", `"type":"MediaPipeline"`),
		operation(1, "create", `"type":"Volume","constructorParams":{"mediaPipeline":"newref:0"},"properties":{}`),
		operation(2, "create", `"type":"Volume","constructorParams":{"mediaPipeline":"newref:0"},"sessionId":"other"`),
		operation(3, "invoke", `"object":"newref:1","operation":"connect","operationParams":{"sink":"newref:2","mediaType":"AUDIO"}`),
		operation(4, "invoke", `"object":"newref:1","operation":"getSinks"`),
		operation(5, "invoke", `"object":"newref:2","operation":"getName"`),
		operation(6, "invoke", `"object":"newref:1","operation":"join","operationParams":{"list":["newref:5","x","see newref:5"]}`),
	)
	if len(out) != 7 {
		t.Fatalf("%d answers, the last %+v", len(out), out[len(out)-1].Error)
	}
	text := func(i int) (v string) { _ = json.Unmarshal(out[i].Result.Value, &v); return v }
	if got, want := string(out[4].Result.Value), `["`+text(2)+`"]`; got != want {
		t.Errorf("sinks %s, want %s", got, want)
	}
	if text(5) != text(2) || text(6) != text(2)+"|x|see newref:5|" || string(out[3].Result.Value) != "null" {
		t.Errorf("answers %+v", out)
	}
	if out[2].Result.SessionID == "other" {
		t.Error("an operation has a session of its own")
	}
}

// Where it stops, what comes before stays.
func TestTransactionStops(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	out := c.transact(
		operation(0, "create", `"type":"MediaPipeline"`),
		operation(1, "create", `"type":"Nothing"`),
		operation(2, "create", `"type":"MediaPipeline"`),
	)
	if len(out) != 2 || out[1].Error == nil || out[1].Error.Code != rpc.TypeNotAvailable || out[0].Error != nil {
		t.Fatalf("answers %+v", out)
	}
	var pipe string
	if err := json.Unmarshal(out[0].Result.Value, &pipe); err != nil || !c.there(pipe) {
		t.Errorf("the first operation was undone")
	}
	for _, x := range []struct{ method, params string }{{"nothing", ""}, {"transaction", `"operations":[]`}} {
		if out := c.transact(operation(0, x.method, x.params)); out[0].Error == nil || out[0].Error.Code != rpc.UnknownMethod {
			t.Errorf("%s: %+v", x.method, out)
		}
	}
	if out := c.transact(`{"jsonrpc":"2.0","id":0,"method":"create"}`); out[0].Error == nil || out[0].Error.Code != rpc.InvalidParams {
		t.Errorf("without params: %+v", out)
	}
	if out := c.transact(`{"jsonrpc":"1.0","id":0,"method":"ping"}`); out[0].Error == nil || out[0].Error.Code != rpc.InvalidRequest {
		t.Errorf("version 1.0: %+v", out)
	}
	if out := c.transact(operation(0, "ping", ""), operation(1, "connect", ""), `{"jsonrpc":"2.0","id":"2","method":"keepAlive","params":{}}`); len(out) != 2 && len(out) != 3 {
		t.Errorf("small methods: %+v", out)
	}
}

// What is wrong with ids or references refuses the whole, before anything is done.
func TestTransactionRefused(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	create := operation(0, "create", `"type":"MediaPipeline"`)
	describe := func(object string) string { return operation(1, "describe", `"object":"`+object+`"`) }
	for ops, words := range map[string]string{
		create + "," + operation(2, "ping", ""):                         "Id of request '1' should be '1'",
		create + "," + create:                                           "Id of request '1' should be '1'",
		`{"jsonrpc":"2.0","method":"ping"}`:                             "Id of request '0' should be '0'",
		create + ",5":                                                   "Id of request '1' should be '1'",
		create + "," + describe("newref:1"):                             "'newref:1'",
		create + "," + describe("newref:7"):                             "'newref:7'",
		create + "," + describe("newref:-1"):                            "'newref:-1'",
		create + "," + describe("newref:"):                              "'newref:'",
		create + "," + describe("newref:x"):                             "'newref:x'",
		create + "," + operation(1, "create", `"x":{"y":["newref:2"]}`): "'newref:2'",
	} {
		before := len(s.a.Objects("MediaPipeline"))
		c.refused(rpc.UnknownOperation, words, "transaction", `"operations":[`+ops+`]`)
		if n := len(s.a.Objects("MediaPipeline")); n != before {
			t.Errorf("%s: %d objects were made", ops, n-before)
		}
	}
	c.refused(rpc.UnknownOperation, "'newref:0' has no value", "transaction",
		`"operations":[`+operation(0, "release", `"object":"x"`)+","+describe("newref:0")+`]`)
	c.refused(rpc.BadEnvelope, "'operations' parameter is required", "transaction", "")
	c.refused(rpc.BadEnvelope, "'operations' parameter should be a list", "transaction", `"operations":{}`)
	many := make([]string, 1001)
	for i := range many {
		many[i] = operation(i, "ping", "")
	}
	c.refused(rpc.UnknownOperation, "more than 1000 operations", "transaction", `"operations":[`+strings.Join(many, ",")+`]`)
	if out := c.transact(many[:1000]...); len(out) != 1000 {
		t.Errorf("%d answers", len(out))
	}
	c.refused(rpc.NotCommitted, "newref:0", "invoke", `"object":"newref:0","operation":"getName"`)
}

// References can't blow a small transaction up.
func TestTransactionAmplified(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	vol := c.volume(c.pipeline())
	c.do("invoke", `"object":"`+vol+`","operation":"setName","operationParams":{"name":"`+strings.Repeat("x", rpc.MaxText)+`"}`)
	name := operation(0, "invoke", `"object":"`+vol+`","operation":"getName"`)
	list := strings.Repeat(`"newref:0",`, 9_000)
	c.refused(rpc.UnknownOperation, "larger than 16777216 bytes", "transaction", `"operations":[`+name+","+
		operation(1, "invoke", `"object":"`+vol+`","operation":"join","operationParams":{"list":[`+list+`""]}`)+`]`)
	for _, key := range []string{"a", "b"} {
		c.do("invoke", `"object":"`+vol+`","operation":"addTag","operationParams":{"key":"`+key+`","value":"`+strings.Repeat("x", rpc.MaxText)+`"}`)
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = operation(i, "invoke", `"object":"`+vol+`","operation":"getTags"`)
	}
	out := c.transact(many...)
	if last := out[len(out)-1]; len(out) < 400 || len(out) > 600 || last.Error == nil || last.Error.Code != rpc.NotEnoughResources {
		t.Errorf("%d answers of 32 KiB each, the last with %+v", len(out), last.Error)
	}
}
