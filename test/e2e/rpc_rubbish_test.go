//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// rubbish is the kinds of documents that can't be served, with the code that each gets; 0 where it depends.
func rubbish() map[string]int {
	noise := make([]byte, 200)
	_, _ = rand.Read(noise)
	return map[string]int{
		"":                                       -32700,
		"{":                                      -32700,
		"}":                                      -32700,
		"nul":                                    -32700,
		`{"jsonrpc":"2.0","id":1,`:               -32700,
		`{"jsonrpc":"2.0",'id':1}`:               -32700,
		"\x00\x01\x02":                           -32700,
		"\xff\xfe{}":                             -32700,
		base64.StdEncoding.EncodeToString(noise): -32700,
		`[]`:                                     -32600,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`: -32600,
		`"ping"`: -32600,
		`7`:      -32600,
		`null`:   -32600,
		`{}`:     -32600,
		`{"jsonrpc":"1.0","id":1,"method":"ping"}`:                                                 -32600,
		`{"jsonrpc":"2.0","id":[1],"method":"ping"}`:                                               -32600,
		`{"jsonrpc":"2.0","id":{},"method":"ping"}`:                                                -32600,
		`{"jsonrpc":"2.0","id":1,"method":7}`:                                                      -32600,
		`{"jsonrpc":"2.0","id":1}`:                                                                 -32600,
		`{"jsonrpc":"2.0","id":2,"method":"dance","params":{}}`:                                    -32601,
		`{"jsonrpc":"2.0","id":3,"method":"create"}`:                                               -32602,
		`{"jsonrpc":"2.0","id":4,"method":"create","params":{}}`:                                   -32000,
		`{"jsonrpc":"2.0","id":5,"method":"create","params":{"type":7}}`:                           -32000,
		`{"jsonrpc":"2.0","id":6,"method":"create","params":{"type":"Nothing"}}`:                   40108,
		`{"jsonrpc":"2.0","id":7,"method":"invoke","params":{"object":"nothing","operation":"x"}}`: 40101,
		`{"jsonrpc":"2.0","id":8,"method":"transaction","params":{"operations":7}}`:                0,
		`{"jsonrpc":"2.0","id":9,"method":"keepAlive","params":{"sessionId":"none"}}`:              40007,
	}
}

// sendRubbish sends 10,000 documents over ten connections, and wants an answer to each.
func sendRubbish(t *testing.T, g *rpcGateway) {
	kinds := rubbish()
	var documents []string
	for d := range kinds {
		documents = append(documents, d)
	}
	slices.Sort(documents)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			conn, _, err := websocket.DefaultDialer.Dial(g.url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for i := range 1000 {
				d := documents[i%len(documents)]
				kind := websocket.BinaryMessage
				if i%2 == 0 && strings.ToValidUTF8(d, "") == d {
					kind = websocket.TextMessage
				}
				_ = conn.SetReadDeadline(time.Now().Add(rpcPatience))
				if err := conn.WriteMessage(kind, []byte(d)); err != nil {
					t.Errorf("document %d, %q: %v", i, d, err)
					return
				}
				var m rpcReply
				if err := conn.ReadJSON(&m); err != nil {
					t.Errorf("document %d, %q: %v", i, d, err)
					return
				}
				if m.Error == nil || kinds[d] != 0 && m.Error.Code != kinds[d] {
					t.Errorf("%q: %+v, expected error %d", d, m.Error, kinds[d])
					return
				}
			}
		})
	}
	all.Wait()
}
