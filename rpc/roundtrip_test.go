package rpc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/rpc"
)

// BenchmarkRoundTrip is a client's request and its reply, one after another, beside the same bytes through a bare echo:
// what a WebSocket costs by itself. invoke is held to 2.5 times echo (test/bench rpc).
func BenchmarkRoundTrip(b *testing.B) {
	s := serve(b, rpc.ServerConfig{})
	c := s.dial(b, "")
	vol := c.volume(c.do("create", `"type":"MediaPipeline","sessionId":"S"`))
	request := func(i int) []byte {
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"invoke","params":{"object":%q,"operation":"getGain","sessionId":"B"}}`, i, vol)
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		for {
			kind, msg, err := ws.ReadMessage()
			if err != nil || ws.WriteMessage(kind, msg) != nil {
				return
			}
		}
	}))
	defer echo.Close()
	for _, x := range []struct{ name, url string }{{"echo", echo.URL}, {"invoke", s.http.URL}} {
		next := 0
		b.Run(x.name, func(b *testing.B) {
			ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(x.url, "http"), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer ws.Close()
			b.ReportAllocs()
			for b.Loop() {
				next++
				if err := ws.WriteMessage(websocket.TextMessage, request(next)); err != nil {
					b.Fatal(err)
				}
				if _, msg, err := ws.ReadMessage(); err != nil || strings.Contains(string(msg), `"error"`) {
					b.Fatalf("%s %v", msg, err)
				}
			}
		})
	}
}
