package rpc_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// FuzzRequests feeds a connection with lines, a message each. Whatever they are, each reply is a document of the form that
// clients read, no request is answered twice, and the connection goes on.
func FuzzRequests(f *testing.F) {
	for _, lines := range []string{
		`{"jsonrpc":"2.0","id":0,"method":"ping","params":{"interval":5000}}`,
		`{"jsonrpc":"2.0","id":1,"method":"describe","params":{"object":"manager_ServerManager"}}` + "\n" + `{"jsonrpc":"2.0","id":2,"method":"create","params":{"type":"MediaPipeline","properties":{}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"transaction","params":{"operations":[{"jsonrpc":"2.0","id":0,"method":"create","params":{"type":"MediaPipeline"}},{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"Volume","constructorParams":{"mediaPipeline":"newref:0","gain":0.5}}},{"jsonrpc":"2.0","id":2,"method":"invoke","params":{"object":"newref:1","operation":"getName"}}]}}`,
		`{"jsonrpc":"2.0","id":4,"method":"subscribe","params":{"object":"manager_ServerManager","type":"ObjectCreated","sessionId":"s"}}` + "\n" + `{"jsonrpc":"2.0","id":5,"method":"closeSession","params":{"sessionId":"s","release":true}}`,
		`{"jsonrpc":"2.0","id":"\u0041","method":"ref","params":{"object":"manager_ServerManager","sessionId":"\"\\"}}`,
		`{"jsonrpc":"2.0","method":"invoke","params":{"object":"newref:0","operation":"x"}}`,
		`{"jsonrpc":"2.0","id":6,"method":"transaction","params":{"operations":[{"id":"0","newref:0":"newref:0","params":{"newref:0":1}}]}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, `{"id":`, ``, "\xff", `{"jsonrpc":"2.0","id":[],"method":"ping"}`,
		`{"jsonrpc":"2.0","id":7,"method":"connect","params":{"sessionId":""}}` + "\n" + `{"jsonrpc":"2.0","id":8,"method":"keepAlive","params":{"sessionId":"x"}}`,
		`{"jsonrpc":"2.0","id":9,"method":"unsubscribe","params":{"object":"x","subscription":"y","sessionId":"s"}}` + "\n" + `{"jsonrpc":"2.0","id":9,"method":"release","params":{"object":"x"}}`,
	} {
		f.Add([]byte(lines))
	}
	s := serve(f, rpc.ServerConfig{})
	who := rpc.Principal{Name: "fuzz", Tenant: "fuzz", Roles: rpc.Control, Quota: rpc.Quota{Objects: 100, Sessions: 50}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		lines := bytes.Split(raw, []byte("\n"))
		for _, l := range lines {
			if bytes.Contains(l, []byte("hang")) {
				return // an operation that waits for the test
			}
		}
		out := s.server.Feed(who, append(lines, []byte(`{"jsonrpc":"2.0","id":"the end","method":"ping"}`))...)
		if len(out) > len(lines)+1 && !bytes.Contains(raw, []byte("subscribe")) {
			t.Fatalf("%d replies to %d messages", len(out), len(lines))
		}
		ended := false
		for _, b := range out {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(b, &m); err != nil || string(m["jsonrpc"]) != `"2.0"` {
				t.Fatalf("reply %q: %v", b, err)
			}
			_, result := m["result"]
			_, failed := m["error"]
			_, event := m["method"]
			id, ok := m["id"]
			if result == failed && !event || ok == event {
				t.Fatalf("reply %q", b)
			}
			ended = ended || string(id) == `"the end"`
		}
		if !ended {
			t.Fatal("the connection is stuck")
		}
		s.server.Feed(who, []byte(`{"jsonrpc":"2.0","id":1,"method":"closeSession","params":{"sessionId":"s","release":true}}`))
	})
}
