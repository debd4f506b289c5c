//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const (
	hostileP99    = 50 * time.Millisecond // of a good client while others misbehave, on a machine that is otherwise idle
	hostileMost   = 4                     // times hostileP99 is the most that another machine's load excuses
	hostileGrowth = 64 << 20              // of resident memory, once they have gone: garbage may come to five times what lives, some 10 MiB
)

// goodClient asks one small thing after the other and measures how long each takes.
type goodClient struct {
	c    *rpcClient
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	times []time.Duration
	late  []time.Duration // how much later than asked for the client itself got its turn: that is the machine's doing
	err   error
}

func startGood(t *testing.T, g *rpcGateway) *goodClient {
	t.Helper()
	k := &goodClient{c: openRPC(t, g.url), stop: make(chan struct{})}
	pipeline := k.c.create(t, "MediaPipeline", nil)
	k.done.Go(func() {
		for {
			const pause = 5 * time.Millisecond
			asked := time.Now()
			select {
			case <-k.stop:
				return
			case <-time.After(pause):
			}
			began := time.Now()
			_, err := k.c.call("invoke", o{"object": pipeline, "operation": "getName"})
			k.mu.Lock()
			k.times = append(k.times, time.Since(began))
			k.late = append(k.late, began.Sub(asked)-pause)
			if err != nil && k.err == nil {
				k.err = err
			}
			k.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(k.end)
	return k
}

func (k *goodClient) end() {
	select {
	case <-k.stop:
	default:
		close(k.stop)
	}
	k.done.Wait()
}

// lap is how many requests since the last lap, their 99th percentile and the longest, and that of the machine's own delays.
func (k *goodClient) lap(t *testing.T) (n int, p99, most, machine time.Duration) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		t.Fatalf("the good client: %v", k.err)
	}
	times, late := k.times, k.late
	k.times, k.late = nil, nil
	if len(times) == 0 {
		return 0, 0, 0, 0
	}
	slices.Sort(times)
	slices.Sort(late)
	at := int(math.Ceil(0.99*float64(len(times)))) - 1
	return len(times), times[at], times[len(times)-1], late[at]
}

// Clients that send rubbish, too much, too deep, too slowly, or don't read: they are told or closed, a client that behaves
// is served as if they weren't there, and what they took is given back.
func TestRpcHostile(t *testing.T) {
	g := startRPC(t, "")
	good := startGood(t, g)
	time.Sleep(2 * time.Second)
	_, idle, _, _ := good.lap(t)
	start := g.Metric(t, "process_resident_memory_bytes")
	t.Logf("the good client alone: 99 of 100 requests within %v; at the start %.1f MiB resident", idle, start/(1<<20))
	for _, s := range []struct {
		name string
		do   func(*testing.T, *rpcGateway)
	}{
		{"10,000 bad documents", sendRubbish},
		{"nesting", sendNesting},
		{"a frame of 64 MB", sendLong},
		{"1,000 slow clients", sendSlowly},
	} {
		t.Run(s.name, func(t *testing.T) {
			good.lap(t)
			began := time.Now()
			s.do(t, g)
			if rest := time.Second - time.Since(began); rest > 0 { // long enough for a percentile
				time.Sleep(rest)
			}
			n, p99, most, machine := good.lap(t)
			t.Logf("in %v: %d requests of the good client, 99 of 100 within %v, the longest %v; the machine's own delays %v; %.1f MiB resident",
				time.Since(began).Round(time.Millisecond), n, p99, most, machine, g.Metric(t, "process_resident_memory_bytes")/(1<<20))
			// The limit holds on a machine with time to spare. A request takes three turns, of client, server and client: on a
			// machine that has others to serve, each is as late as the client's own. Past some lateness that excuses nothing.
			limit := min(hostileP99+3*machine, hostileMost*hostileP99)
			t.Logf("the limit is %v: %.1f times that of a machine with time to spare", limit, float64(limit)/float64(hostileP99))
			if n == 0 || p99 > limit {
				t.Errorf("%d requests of the good client, 99 of 100 within %v, expected some within %v", n, p99, limit)
			}
		})
	}
	var end float64
	if !eventually(45*time.Second, func() bool {
		end = g.Metric(t, "process_resident_memory_bytes")
		return end < start+hostileGrowth
	}) {
		t.Errorf("%.1f MiB resident after it all, %.1f at the start, expected %d more at most", end/(1<<20), start/(1<<20), hostileGrowth>>20)
	}
	t.Logf("at the end %.1f MiB resident", end/(1<<20))
}

// sendNesting sends documents of a depth that takes a recursive reader's stack.
func sendNesting(t *testing.T, g *rpcGateway) {
	const deep = 100_000
	for name, document := range map[string]string{
		"arrays":       strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"open arrays":  strings.Repeat("[", deep),
		"objects":      strings.Repeat(`{"a":`, deep) + "0" + strings.Repeat("}", deep),
		"in params":    `{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"MediaPipeline","properties":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}}`,
		"in operation": `{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"object":"` + manager + `","operation":"getKmd","operationParams":{"moduleName":` + strings.Repeat(`{"a":`, deep) + "0" + strings.Repeat("}", deep) + `}}}`,
		"operations": `{"jsonrpc":"2.0","id":1,"method":"transaction","params":{"operations":[` + strings.Repeat(
			`{"jsonrpc":"2.0","id":0,"method":"transaction","params":{"operations":[`, 10_000) + strings.Repeat("]}}", 10_000) + `]}}`,
	} {
		c := openRPC(t, g.url)
		if err := c.raw(websocket.TextMessage, []byte(document)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// It is refused, or what is too deep is of no interest; the connection and the server live on, or the connection is closed.
		if got, err := c.call("ping", o{}); err != nil {
			t.Logf("%s: %s, %v", name, got, err)
		}
		c.Close()
	}
}

// sendLong sends 64 MB in one frame, in many, and the mere promise of them.
func sendLong(t *testing.T, g *rpcGateway) {
	const long = 64 << 20
	closed := func(name string, conn *websocket.Conn) {
		_ = conn.SetReadDeadline(time.Now().Add(rpcPatience))
		if _, m, err := conn.ReadMessage(); err == nil {
			t.Errorf("%s: the server says %.200s, expected it to close the connection", name, m)
		} else if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%s: the connection is still open after %v", name, rpcPatience)
		} else {
			t.Logf("%s: %v", name, err)
		}
		_ = conn.Close()
	}
	open := func() *websocket.Conn {
		conn, _, err := websocket.DefaultDialer.Dial(g.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	whole := open()
	_ = whole.SetWriteDeadline(time.Now().Add(rpcPatience))
	_ = whole.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte(" "), long)) // fails when the server closes
	closed("one frame", whole)

	parts := open()
	_ = parts.SetWriteDeadline(time.Now().Add(rpcPatience))
	if w, err := parts.NextWriter(websocket.TextMessage); err == nil {
		chunk := bytes.Repeat([]byte(" "), 64<<10)
		for n := 0; n < long && err == nil; n += len(chunk) {
			_, err = w.Write(chunk)
		}
	}
	closed("many frames", parts)

	// What is promised costs nothing; whoever doesn't keep it in time is closed, as all that are slow.
	promise := open()
	head := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, long)
	if _, err := promise.NetConn().Write(append(head, 1, 2, 3, 4)); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { _ = promise.Close() })
}

// sendSlowly opens a thousand connections that take their time, each in one of four ways.
func sendSlowly(t *testing.T, g *rpcGateway) {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	request := func(id int) []byte {
		b, _ := json.Marshal(o{"jsonrpc": "2.0", "id": id, "method": "invoke", "params": o{"object": manager, "operation": "getKmd",
			"operationParams": o{"moduleName": "core"}}})
		return b
	}
	refused := 0
	for i := range 1000 {
		if i%4 == 0 { // a request for an upgrade that never ends
			c, err := net.Dial("tcp", g.http.String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(c, "GET /kurento HTTP/1.1\r\nHost: %s\r\nUpgr", g.http)
			open = append(open, c)
			continue
		}
		conn, _, err := websocket.DefaultDialer.Dial(g.url, nil)
		if err != nil {
			refused++
			continue
		}
		open = append(open, conn.NetConn())
		switch i % 4 {
		case 1: // says nothing
		case 2: // asks for much, and reads none of it
			_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			for id := range 50 {
				if conn.WriteMessage(websocket.TextMessage, request(id)) != nil {
					break
				}
			}
		case 3: // sends a frame by the byte
			b := []byte{0x81, 0x80 | 100, 1, 2, 3, 4}
			_, _ = conn.NetConn().Write(b[:2+i%4])
		}
	}
	t.Logf("%d connections, %d more refused", len(open), refused)
	for range 10 { // the bytes go on, now and then
		for i, c := range open {
			if i%4 == 3 {
				_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
				_, _ = c.Write([]byte{0})
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	// A newcomer is served too.
	c := openRPC(t, g.url)
	if got := c.text(t, "ping", o{}); got != "pong" {
		t.Errorf("a newcomer's ping says %q", got)
	}
}
