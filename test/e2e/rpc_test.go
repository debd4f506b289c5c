//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// manager is the id of the object that each Kurento server has.
const manager = "manager_ServerManager"

// rpcGateway is Patchbay for programs, with records in the journal alone.
type rpcGateway struct {
	*peers.Patchbay
	http netip.AddrPort
	url  string // of JSON-RPC
}

// startRPC starts Patchbay with further sections of settings.
func startRPC(t *testing.T, more string) *rpcGateway {
	t.Helper()
	return startRPCMedia(t, "", more)
}

// startRPCMedia is startRPC with further settings of media.
func startRPCMedia(t *testing.T, media, more string) *rpcGateway {
	t.Helper()
	return startRPCMediaAt(t, address(t), media, more)
}

// startRPCMediaAt is startRPCMedia at an address that was taken before.
func startRPCMediaAt(t *testing.T, addr netip.Addr, media, more string) *rpcGateway {
	t.Helper()
	return startRPCWith(t, addr, rpcSettings{media: media, more: more})
}

// rpcSettings are the parts of the settings file that a story for programs chooses.
type rpcSettings struct {
	media   string // further lines of the section, indented
	more    string // whole further sections
	http    string // further keys of http, each with a comma in front
	billing string // further keys of billing, each with a comma in front
	disk    string // size of a disk of its own for Patchbay's data; empty: the test's
}

func startRPCWith(t *testing.T, addr netip.Addr, s rpcSettings) *rpcGateway {
	t.Helper()
	g := &rpcGateway{http: netip.AddrPortFrom(addr, 8888)}
	g.url = fmt.Sprintf("ws://%s/kurento", g.http)
	g.Patchbay = peers.StartPatchbay(t, peers.PatchbayConfig{HTTP: g.http.String(), Disk: s.disk, Settings: fmt.Sprintf(`demo: false
node: {name: e2e, drain: 2s}
log: {level: info, format: json}
http: {listen: "%s"%s}
sip:
  listen: [{transport: udp, address: "%s:5060"}]
  domain: test.local
media:
  addresses: [{bind: %s}]
  ports: {min: 20000, max: 24999}
%sbilling: {database: none, stall: 5s%s}
%s`, g.http, s.http, addr, addr, s.media, s.billing, s.more)})
	return g
}

// A program without an SDK, in text frames: the server's own object, classes with and without the module's name, a
// pipeline with connected elements, their events, and their end.
func TestRpcText(t *testing.T) {
	g := startRPC(t, "")
	c := openRPC(t, g.url)
	if got := c.text(t, "ping", o{}); got != "pong" {
		t.Errorf("ping says %q, expected pong", got)
	}
	var info struct {
		Type, Version string
		Modules       []struct{ Name string }
	}
	if err := json.Unmarshal(c.invoke(t, manager, "getInfo", nil), &info); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"core", "elements", "filters", "telephony"} {
		if !slices.ContainsFunc(info.Modules, func(m struct{ Name string }) bool { return m.Name == name }) {
			t.Errorf("the server's modules are %v, expected %s among them", info.Modules, name)
		}
	}
	for _, prefix := range []string{"", "kurento."} {
		pipeline := c.create(t, prefix+"MediaPipeline", nil)
		if !strings.HasSuffix(pipeline, "_kurento.MediaPipeline") {
			t.Errorf("the pipeline's id is %s, expected …_kurento.MediaPipeline", pipeline)
		}
		a := c.create(t, prefix+"WebRtcEndpoint", o{"mediaPipeline": pipeline})
		b := c.create(t, prefix+"PassThrough", o{"mediaPipeline": pipeline})
		for id, class := range map[string]string{a: "WebRtcEndpoint", b: "PassThrough"} {
			if !strings.HasPrefix(id, pipeline+"/") || !strings.HasSuffix(id, "_kurento."+class) {
				t.Errorf("the id of a %s is %s, expected %s/…_kurento.%s", class, id, pipeline, class)
			}
			result, err := c.call("describe", o{"object": id})
			var d struct {
				Type, QualifiedType string
				Hierarchy           []string
			}
			if err != nil || json.Unmarshal(result, &d) != nil || d.Type != class || d.QualifiedType != "kurento."+class ||
				d.Hierarchy[len(d.Hierarchy)-1] != "kurento.MediaObject" {
				t.Errorf("describe says %s, %v; expected %s", result, err, class)
			}
		}
		c.value(t, "subscribe", o{"object": a, "type": "ElementConnected"})
		c.invoke(t, a, "connect", o{"sink": b})
		for _, kind := range []string{"AUDIO", "VIDEO", "DATA"} {
			e := c.expect(t, a, "ElementConnected", 5*time.Second)
			if e.Data["mediaType"] != kind || e.Data["sink"] != b || e.Data["source"] != a || e.Data["type"] != "ElementConnected" {
				t.Errorf("the event says %v, expected %s from %s to %s", e.Data, kind, a, b)
			}
		}
		if _, err := c.call("release", o{"object": pipeline}); err != nil {
			t.Error(err)
		}
		c.refused(t, 40101, "invoke", o{"object": b, "operation": "getName"})
	}
	c.refused(t, 40108, "create", o{"type": "nobody.PassThrough"})
	c.refused(t, 40008, "invoke", o{"object": manager, "operation": "dance"})
	c.refused(t, -32601, "dance", o{})
	if _, err := c.call("closeSession", o{"release": true}); err != nil {
		t.Errorf("closeSession: %v", err)
	}
}

// valve is a TCP relay on a port of its own, whose connections a test can cut.
type valve struct {
	url  string
	to   string
	l    net.Listener
	all  sync.WaitGroup
	mu   sync.Mutex
	open map[net.Conn]bool
}

// openValve relays ws connections to Patchbay until the test ends.
func openValve(t *testing.T, g *rpcGateway) *valve {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(g.http.Addr(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	v := &valve{url: fmt.Sprintf("ws://%s/kurento", l.Addr()), to: g.http.String(), l: l, open: map[net.Conn]bool{}}
	v.all.Go(v.accept)
	t.Cleanup(func() { _ = l.Close(); v.cut(); v.all.Wait() })
	return v
}

func (v *valve) accept() {
	for {
		in, err := v.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", v.to)
		if err != nil { // as a server that is away
			_ = in.Close()
			continue
		}
		v.mu.Lock()
		v.open[in], v.open[out] = true, true
		v.mu.Unlock()
		for from, to := range map[net.Conn]net.Conn{in: out, out: in} {
			v.all.Go(func() {
				_, _ = io.Copy(to, from)
				v.mu.Lock()
				defer v.mu.Unlock()
				for _, c := range []net.Conn{in, out} {
					_ = c.Close()
					delete(v.open, c)
				}
			})
		}
	}
}

// cut ends all connections, without a word.
func (v *valve) cut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}
