//go:build e2e

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// examples is the folder of the examples, whose packages all Node programs of the tests use.
func examples(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../docs/examples")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startApp starts one of rpc/*.js with the packages of the examples, and returns when it says ready.
func startApp(t *testing.T, script, url string, env ...string) *peers.Process {
	t.Helper()
	dir := examples(t)
	file, err := filepath.Abs(filepath.Join("rpc", script))
	if err != nil {
		t.Fatal(err)
	}
	return peers.StartNode(t, peers.NodeConfig{Name: strings.TrimSuffix(script, ".js"), Dir: dir, Script: file, Ready: "ready",
		Env: append(env, "NODE_PATH="+filepath.Join(dir, "node_modules"), "PATCHBAY_URL="+url)})
}

// says waits until a program has printed a line, or a part of one.
func says(t *testing.T, p *peers.Process, line string, timeout time.Duration) {
	t.Helper()
	if !eventually(timeout, func() bool { return strings.Contains(p.Tail(1000), line) }) {
		t.Fatalf("the program doesn't say %q in %v; it says\n%s", line, timeout, p.Tail(40))
	}
}

func serverID(t *testing.T, c *rpcClient) string {
	t.Helper()
	result, err := c.call("connect", o{})
	var r struct{ ServerID string }
	if err != nil || json.Unmarshal(result, &r) != nil || r.ServerID == "" {
		t.Fatalf("connect: %s, %v; expected a serverId", result, err)
	}
	return r.ServerID
}

// A socket that drops takes nothing with it: on the next one the session has its objects, and their events come there.
// A gateway that is killed takes the session along: clients learn it, and go on with the next.
func TestRpcReconnect(t *testing.T) {
	g := startRPC(t, "")
	c := openRPC(t, g.url)
	server := serverID(t, c)
	pipeline := c.create(t, "MediaPipeline", nil)
	a := c.create(t, "PassThrough", o{"mediaPipeline": pipeline})
	b := c.create(t, "PassThrough", o{"mediaPipeline": pipeline})
	c.value(t, "subscribe", o{"object": a, "type": "ElementConnected"})

	// The stock client does by itself, through a relay that can cut it off, what ours does by hand.
	v := openValve(t, g)
	app := startApp(t, "reconnect.js", v.url)
	direct := startApp(t, "reconnect.js", g.url) // nothing accepts its connections while the gateway is away

	session, next := c.session, c.next
	c.Close()
	v.cut()
	c = openRPC(t, g.url)
	c.session, c.next = session, next // a number that the session has used gets the reply that it got then
	if got := serverID(t, c); got != server {
		t.Errorf("the server's id is %s, expected %s as before", got, server)
	}
	if c.session != session {
		t.Errorf("the session is %s, expected %s as before", c.session, session)
	}
	c.invoke(t, a, "connect", o{"sink": b, "mediaType": "AUDIO"})
	if e := c.expect(t, a, "ElementConnected", 5*time.Second); e.Data["sink"] != b {
		t.Errorf("the event says %v, expected sink %s", e.Data, b)
	}
	says(t, app, "reconnected true", 20*time.Second)
	says(t, app, "event 2", 10*time.Second)

	g.Kill()
	<-c.done
	says(t, direct, "reconnect to server 3 ", 20*time.Second) // two attempts at least were refused
	time.Sleep(2500 * time.Millisecond)
	if !direct.Running() {
		t.Fatalf("a gateway that is away ends the program; it says\n%s", direct.Tail(40))
	}
	g.Start(t)
	c = openRPC(t, g.url)
	c.refused(t, 40007, "connect", o{"sessionId": session})
	c.refused(t, 40101, "describe", o{"object": a, "sessionId": session})
	if got := serverID(t, c); got == server {
		t.Errorf("the server's id is %s after a restart, expected another", got)
	}
	c.create(t, "MediaPipeline", nil)
	says(t, app, "reconnected false", 60*time.Second)
	says(t, app, "event 3", 10*time.Second)
	says(t, direct, "reconnected false", 60*time.Second)
	says(t, direct, "event 2", 10*time.Second)

	// The same once more, with a gateway that is told to stop.
	g.Term(t, 20*time.Second)
	says(t, direct, "reconnect to server 3 ", 20*time.Second)
	time.Sleep(2500 * time.Millisecond)
	g.Start(t)
	says(t, direct, "event 3", 60*time.Second)
}

// kurento-client's transactions: objects and what is asked of them in one request.
func TestRpcTransaction(t *testing.T) {
	g := startRPC(t, "")
	says(t, startApp(t, "transaction.js", g.url), "children 2 3", 5*time.Second)
}
