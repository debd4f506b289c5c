package telephony

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/rpc"
)

// agent is an application's server: it tells what it is sent, and says what the test wants.
type agent struct {
	*httptest.Server
	got  chan map[string]any
	says chan map[string]any
}

func newAgent(t *testing.T) *agent {
	a := &agent{got: make(chan map[string]any, 1000), says: make(chan map[string]any)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer open-sesame" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		var up websocket.Upgrader
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		gone := make(chan struct{})
		go func() {
			for {
				select {
				case m := <-a.says:
					_ = ws.WriteJSON(m)
				case <-gone:
					return
				}
			}
		}()
		defer close(gone)
		for {
			var m map[string]any
			if ws.ReadJSON(&m) != nil {
				return
			}
			select {
			case a.got <- m:
			default:
			}
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *agent) url() string { return strings.Replace(a.URL, "http", "ws", 1) + "/" }

// hears waits for an event.
func (a *agent) hears(t *testing.T, event string) map[string]any {
	t.Helper()
	for limit := time.After(patience); ; {
		select {
		case m := <-a.got:
			if m["event"] == event {
				return m
			}
		case <-limit:
			t.Fatalf("no %s within %s", event, patience)
		}
	}
}

// A client connects two applications' servers by a pipeline: what one says the other hears.
func TestStreamEndpoint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.dial("app", 0)
	pipe := c.create("MediaPipeline", "{}")
	one, two := newAgent(t), newAgent(t)
	stream := func(url, more string) string {
		return c.create("StreamEndpoint", `{"mediaPipeline":"`+pipe+`","url":"`+url+`"`+more+`}`)
	}
	a := stream(one.url(), `,"token":"open-sesame","encoding":"pcmu","parameters":{"lang":"de"}`)
	b := stream(two.url(), `,"token":"open-sesame","rate":8000`)
	c.subscribe(a, "StreamStarted", "StreamStopped", "MarkPlayed")
	c.invoke(a, "connect", `{"sink":"`+b+`"}`) // before there is media
	if s := c.invoke(a, "getState", "{}"); s != "IDLE" {
		t.Errorf("state %s", s)
	}
	c.invoke(a, "start", "{}")
	c.told(a, "StreamStarted")
	c.refused(rpc.NotSupported, "started already", a, "start", "{}")
	c.invoke(b, "start", "{}")
	if m := one.hears(t, "start"); m["stream"] != a || m["parameters"].(map[string]any)["lang"] != "de" || m["media"].(map[string]any)["encoding"] != "pcmu" {
		t.Errorf("start %v", m)
	}
	if s := c.invoke(a, "getState", "{}"); s != "OPEN" {
		t.Errorf("state %s", s)
	}
	loud := make([]byte, 1600) // 200 ms at full scale
	for i := range loud {
		loud[i] = 0x80
	}
	one.says <- map[string]any{"event": "media", "payload": loud}
	one.says <- map[string]any{"event": "mark", "name": "m1"}
	for limit := time.Now().Add(patience); ; {
		m := two.hears(t, "media")
		x, err := base64.StdEncoding.DecodeString(m["payload"].(string))
		must(t, err)
		if len(x) != 320 {
			t.Fatalf("%d bytes of pcm16 in 20 ms", len(x))
		}
		if v := int16(x[2]) | int16(x[3])<<8; v > 30000 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the other server hears nothing")
		}
	}
	if e := c.told(a, "MarkPlayed"); e["name"] != "m1" || e["cleared"] != false {
		t.Errorf("MarkPlayed %v", e)
	}
	one.says <- map[string]any{"event": "stop", "reason": "done"}
	if e := c.told(a, "StreamStopped"); e["reason"] != "done" || e["error"] != "" {
		t.Errorf("StreamStopped %v", e)
	}
	if s := c.invoke(a, "getState", "{}"); s != "STOPPED" {
		t.Errorf("state %s", s)
	}
	c.invoke(b, "stop", `{"reason":"enough"}`)
	if m := two.hears(t, "stop"); m["reason"] != "enough" {
		t.Errorf("stop %v", m)
	}
	c.refused(rpc.NotSupported, "started already", b, "start", "{}")

	refused := stream(one.url(), "")
	c.refused(rpc.Unexpected, "answered 403 Forbidden", refused, "start", "{}")
	never := stream(one.url(), "")
	c.invoke(never, "stop", "{}")
	c.refused(rpc.IllegalParam, "'reason' has 101 bytes", never, "stop", `{"reason":"`+strings.Repeat("x", 101)+`"}`)
	for params, says := range map[string]string{
		`"url":"http://h/"`:                              "'url' is http://h/, expected ws:// or wss://",
		`"url":"ws://h/","encoding":"opus"`:              "'encoding' is opus, expected pcm16, pcmu or pcma",
		`"url":"ws://h/","rate":44100`:                   "'rate' is 44100, expected 8000, 16000 or 24000",
		`"url":"ws://h/","encoding":"pcma","rate":16000`: "'rate' is 16000, expected 8000",
	} {
		got := c.ask("create", `{"type":"StreamEndpoint","constructorParams":{"mediaPipeline":"`+pipe+`",`+params+`}}`)
		if got.Error == nil || got.Error.Code != int(rpc.IllegalParam) || !strings.Contains(got.Error.Message, says) {
			t.Errorf("%s: %+v, expected %q", params, got.Error, says)
		}
	}
}
