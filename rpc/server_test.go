package rpc_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// What npm kurento-client sends first, word for word: two requests without a session, then one with it.
func TestFirstRequests(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	c := s.dial(t, "")
	c.send(`{"jsonrpc":"2.0","method":"ping","params":{"interval":5000},"id":0}`)
	c.send(`{"jsonrpc":"2.0","method":"describe","params":{"object":"manager_ServerManager"},"id":1}`)
	c.send(`{"jsonrpc":"2.0","method":"create","params":{"type":"MediaPipeline","properties":{}},"id":2}`)
	if r := c.answer("0"); r.text != `{"id":0,"jsonrpc":"2.0","result":{"value":"pong"}}` {
		t.Errorf("ping before there is a session: %s", r.text)
	}
	described, created := c.answer("1"), c.answer("2")
	session := string(described.Result["sessionId"])
	if session == "" || session != string(created.Result["sessionId"]) {
		t.Errorf("sessions: %s and %s", described.text, created.text)
	}
	if want := `{"id":1,"jsonrpc":"2.0","result":{"type":"ServerManager","qualifiedType":"kurento.ServerManager","hierarchy":["kurento.MediaObject"],"sessionId":` + session + `}}`; described.text != want {
		t.Errorf("describe: %s, want %s", described.text, want)
	}
	var pipe string
	if err := json.Unmarshal(created.Result["value"], &pipe); err != nil || !strings.HasSuffix(pipe, "_kurento.MediaPipeline") {
		t.Errorf("create: %s", created.text)
	}
	if got := c.do("invoke", `"object":"manager_ServerManager","operation":"getPipelines","sessionId":`+session); !strings.Contains(got, pipe) {
		t.Errorf("pipelines: %q", got)
	}
	if r := c.ask("ping", ""); string(r.Result["sessionId"]) != session {
		t.Errorf("ping with a session: %s", r.text)
	}
	vol := c.volume(pipe)
	if r := c.ask("invoke", `"object":"`+vol+`","operation":"start"`); string(r.Result["value"]) != "null" {
		t.Errorf("a void operation: %s", r.text)
	}
	sub := c.do("subscribe", `"object":"`+vol+`","type":"Started"`)
	c.do("invoke", `"object":"`+vol+`","operation":"start"`)
	if e := c.heard(1)[0]; e.Object != vol || e.Type != "Started" || string(e.Data["source"]) != `"`+vol+`"` {
		t.Errorf("event: %+v", e)
	}
	if r := c.ask("release", `"object":"`+vol+`"`); len(r.Result) != 1 || string(r.Result["sessionId"]) != session {
		t.Errorf("release: %s", r.text)
	}
	c.do("unsubscribe", `"object":"`+vol+`","subscription":"`+sub+`","sessionId":`+session) // JS does, after the release
	c.refused(rpc.ObjectNotFound, " not found", "invoke", `"object":"`+vol+`","operation":"getName"`)
	if r := c.ask("closeSession", `"sessionId":`+session); !strings.HasSuffix(r.text, `"result":null}`) {
		t.Errorf("closeSession: %s", r.text)
	}
	c.refused(rpc.UnknownSession, "Invalid session", "connect", `"sessionId":`+session)
}

func TestPlainHTTP(t *testing.T) {
	s := serve(t, rpc.ServerConfig{})
	for path, want := range map[string]int{"/": http.StatusUpgradeRequired, "/stranger": http.StatusUpgradeRequired} {
		resp, err := http.Get(s.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("Upgrade") != "websocket" || !strings.Contains(string(body), "WebSocket") {
			t.Errorf("GET %s: %d %s", path, resp.StatusCode, body)
		}
	}
}
