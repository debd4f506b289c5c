//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// servers are others', where recordings go to and files come from.
type servers struct {
	program    *peers.Process
	web, store string
	folder     string        // of what they took
	inside     *atomic.Int32 // connections that came to a server that nobody is allowed to reach
	cert       string
}

func startServers(t *testing.T, host netip.Addr) *servers {
	t.Helper()
	s := &servers{folder: t.TempDir(), inside: new(atomic.Int32)}
	dir := t.TempDir()
	certificate(t, dir, 1, host)
	s.cert = filepath.Join(dir, "cert.pem")
	file := filepath.Join(dir, "tone.wav")
	if err := audio.WriteWAV(file, audio.Tone(8000, 440, toneLevel, 1)); err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", netip.AddrPortFrom(peers.Address(t), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	go func() {
		for c, err := inner.Accept(); err == nil; c, err = inner.Accept() {
			s.inside.Add(1)
			_ = c.Close()
		}
	}()
	clients, err := filepath.Abs("clients")
	if err != nil {
		t.Fatal(err)
	}
	s.program = peers.StartNode(t, peers.NodeConfig{Name: "servers", Dir: clients, Script: "servers.js", Ready: "ready",
		Env: []string{"HOST=" + host.String(), "INSIDE=https://" + inner.Addr().String() + "/secret", "CERT=" + s.cert, "KEY=" + filepath.Join(dir, "key.pem"), "FOLDER=" + s.folder, "FILE=" + file}})
	for line := range strings.Lines(s.program.Tail(10)) {
		if strings.HasPrefix(line, "ready ") {
			_, _ = fmt.Sscanf(line, "ready %s %s", &s.web, &s.store)
		}
	}
	if s.store == "" {
		t.Fatalf("the servers say %s", s.program.Tail(10))
	}
	return s
}

// settings of a gateway that may reach the servers, whose secret of the store is the one given.
func (s *servers) settings(addr, host netip.Addr, root string, stall time.Duration, secret string) string {
	return fmt.Sprintf(`demo: false
node: {name: e2e, drain: 2s}
log: {level: info, format: json}
http: {listen: "%[1]s:8888"}
sip:
  listen: [{transport: udp, address: "%[1]s:5060"}]
  domain: test.local
media:
  addresses: [{bind: %[1]s}]
  ports: {min: 20000, max: 24999}
  root: %[2]s
  urls:
    schemes: [file, http, https, s3]
    private: [%[3]s/32]
    stall: %[4]s
    s3: {endpoint: "%[5]s", key: S3RVER, secret: %[6]s}
billing: {database: none, stall: 5s}
`, addr, root, host, stall, s.store, secret)
}

// Servers of others, a web server and an object store, over TLS. Those that stall, break off or redirect where nobody should go cost no more
// than an Error event, and no recording: what wasn't taken stays in the spool, also where the secret of the store is wrong. Once that is
// corrected, the next start sends it, what is large in parts; and recordings get there by PUT, POST and S3, whole.
func TestMediaServers(t *testing.T) {
	t.Parallel() // most of it is waiting
	addr, host := address(t), peers.Address(t)
	s := startServers(t, host)
	root := t.TempDir()
	if err := audio.WriteWAV(filepath.Join(root, "tone.wav"), audio.Tone(8000, 440, toneLevel, 1)); err != nil {
		t.Fatal(err)
	}
	g := peers.StartPatchbay(t, peers.PatchbayConfig{HTTP: addr.String() + ":8888", Env: []string{"SSL_CERT_FILE=" + s.cert},
		Settings: s.settings(addr, host, root, 200*time.Millisecond, "wrong")})
	url := fmt.Sprintf("ws://%s:8888/kurento", addr)
	s.misbehave(t, openRPC(t, url))
	if n := s.inside.Load(); n != 0 {
		t.Errorf("%d connections came to the inner server", n)
	}
	spool := g.Data("spool")
	const each = 7 // recordings that weren't taken, each with a note
	if list, err := os.ReadDir(spool); err != nil || len(list) != 2*each {
		t.Errorf("in the spool are %v, %v; expected %d recordings with their notes", list, err, each)
	}
	for _, name := range unwanted(t, spool) { // those that go nowhere
		if err := os.Remove(filepath.Join(spool, name)); err != nil {
			t.Fatal(err)
		}
	}
	large := leaveLarge(t, spool)
	if err := os.WriteFile(g.Data("../patchbay.yaml"), []byte(s.settings(addr, host, root, 30*time.Second, "S3RVER")), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Term(t, 20*time.Second)
	g.Start(t)
	spool = g.Data("spool")
	s.behave(t, openRPC(t, url))
	peers.Wait(t, 60*time.Second, "the spool to be empty", func() bool { list, err := os.ReadDir(spool); return err == nil && len(list) == 0 })
	if got, err := os.ReadFile(s.object("large.webm")); err != nil || !bytes.Equal(got, large) {
		t.Errorf("the store has %d bytes of the large recording, expected %d: %v", len(got), len(large), err)
	}
	for _, line := range []string{"S3 POST /records/large.webm?uploads=", "S3 PUT /records/large.webm?partNumber=2&uploadId=…", "S3 POST /records/large.webm?uploadId=…"} {
		if !strings.Contains(s.program.Tail(100), line) {
			t.Errorf("the store took no %q; it says\n%s", line, s.program.Tail(20))
		}
	}
	whole(t, s.object("denied.wav"))
	if n := s.inside.Load(); n != 0 {
		t.Errorf("%d connections came to the inner server", n)
	}
}

// object is where the store keeps one.
func (s *servers) object(key string) string {
	return filepath.Join(s.folder, "store", "records", key+"._S3rver_object")
}

// leaveLarge leaves a recording in the spool as a crash does, so large that the store gets it in parts.
func leaveLarge(t *testing.T, spool string) []byte {
	t.Helper()
	b := make([]byte, 17<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(b)
	for name, data := range map[string][]byte{"out-1.webm": b, "out-1.webm.to": []byte(`{"uri":"s3://records/large.webm","starts":0}`)} {
		if err := os.WriteFile(filepath.Join(spool, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// unwanted are the files of a spool that go to the web server.
func unwanted(t *testing.T, spool string) (names []string) {
	t.Helper()
	notes, err := filepath.Glob(filepath.Join(spool, "*.to"))
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range notes {
		b, err := os.ReadFile(note)
		var to struct{ URI string }
		if err == nil {
			err = json.Unmarshal(b, &to)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(to.URI, "https:") {
			names = append(names, filepath.Base(note), strings.TrimSuffix(filepath.Base(note), ".to"))
		}
	}
	return names
}

// misbehave plays from and records to servers that are no good; all at once, each is told in time, and how.
func (s *servers) misbehave(t *testing.T, c *rpcClient) {
	t.Helper()
	pipeline := c.create(t, "MediaPipeline", nil)
	type bad struct{ uri, kind string }
	list := map[string]bad{} // by what was made for it
	begin := func(b bad, records bool) {
		class, params := "PlayerEndpoint", o{"mediaPipeline": pipeline, "uri": b.uri}
		if records {
			class, params["stopOnEndOfStream"] = "RecorderEndpoint", true
		}
		e := c.create(t, class, params)
		list[e] = b
		for _, event := range []string{"Error", "EndOfStream", "Stopped"} {
			if event == "Error" || records == (event == "Stopped") {
				c.value(t, "subscribe", o{"object": e, "type": event})
			}
		}
		if !records {
			c.invoke(t, e, "play", nil)
			return
		}
		p := c.create(t, "PlayerEndpoint", o{"mediaPipeline": pipeline, "uri": "tone.wav"})
		c.invoke(t, p, "connect", o{"sink": e})
		c.invoke(t, e, "record", nil)
		c.invoke(t, p, "play", nil)
	}
	const read, write, no = "RESOURCE_ERROR_READ", "RESOURCE_ERROR_WRITE", "INVALID_URI"
	records := []bad{{s.web + "/silent/a.wav", write}, {s.web + "/stalls/a.wav", write}, {s.web + "/breaks/a.wav", write}, {s.web + "/inside/a.wav", no},
		{s.web + "/away/a.wav", no}, {s.web + "/nowhere/a.wav", write}, {"s3://records/denied.wav", write}}
	for _, b := range records {
		begin(b, true)
	}
	for _, b := range []bad{{s.web + "/silent/a.wav", read}, {s.web + "/stalls/a.wav", read}, {s.web + "/breaks/a.wav", read}, {s.web + "/inside/a.wav", no},
		{s.web + "/nowhere/a.wav", "RESOURCE_ERROR_OPEN"}} {
		begin(b, false)
	}
	for e, b := range list {
		told := c.expect(t, e, "Error", 60*time.Second).Data
		says := fmt.Sprint(told["description"])
		stoodStill := strings.Contains(says, "server said nothing for too long") // the machine, so that the server seemed to
		if told["type"] != b.kind && !stoodStill {
			t.Errorf("%s: the Error says %v, expected %s", b.uri, told, b.kind)
		}
		if strings.HasSuffix(e, "RecorderEndpoint") {
			c.expect(t, e, "Stopped", 10*time.Second)
			c.invoke(t, e, "stopAndWait", nil)
		}
		if strings.HasPrefix(b.uri, "s3:") && !strings.Contains(says, "403 SignatureDoesNotMatch") && !stoodStill {
			t.Errorf("of a wrong secret the Error says %v", told)
		}
	}
	if _, err := c.call("release", o{"object": pipeline}); err != nil {
		t.Error(err)
	}
}

// behave records to servers that are good, and sees what they have.
func (s *servers) behave(t *testing.T, c *rpcClient) {
	t.Helper()
	pipeline := c.create(t, "MediaPipeline", nil)
	user := strings.Replace(s.web, "https://", "https://ann:hush@", 1)
	player := c.create(t, "PlayerEndpoint", o{"mediaPipeline": pipeline, "uri": s.web + "/moved/a.wav"})
	takers := map[string]string{user + "/put/put.wav": "put.wav", user + "/post/post.wav": "post.wav", s.web + "/moved/moved.wav": "moved.wav", "s3://records/a b.webm": ""}
	made := map[string]string{}
	for uri := range takers {
		r := c.create(t, "RecorderEndpoint", o{"mediaPipeline": pipeline, "uri": uri, "stopOnEndOfStream": true})
		for _, event := range []string{"Error", "Stopped"} {
			c.value(t, "subscribe", o{"object": r, "type": event})
		}
		c.invoke(t, player, "connect", o{"sink": r, "mediaType": "AUDIO"})
		c.invoke(t, r, "record", nil)
		made[r] = uri
	}
	c.invoke(t, player, "play", nil)
	for r, uri := range made {
		c.expect(t, r, "Stopped", 60*time.Second) // which is when it has arrived
		file := filepath.Join(s.folder, takers[uri])
		if takers[uri] == "" {
			file = s.object("a b.webm")
		}
		whole(t, file)
	}
	for _, line := range []string{"PUT /put/put.wav audio/wav Basic YW5uOmh1c2g=", "POST /post/post.wav audio/wav Basic YW5uOmh1c2g=", "PUT /put/moved.wav audio/wav "} {
		if !strings.Contains(s.program.Tail(100), line) {
			t.Errorf("the web server took no %q; it says\n%s", line, s.program.Tail(20))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Type == "Error" {
			t.Errorf("%s: %v", made[e.Object], e.Data)
		}
	}
}

// whole sees that a file has the second of the tone that was recorded.
func whole(t *testing.T, file string) {
	t.Helper()
	clip, stated := decode(t, file), probe(t, file)
	if d := clip.Seconds(); math.Abs(d-stated) > 0.04 || d < 0.96 {
		t.Errorf("%s has %.3f s of sound and says %.3f, expected 1", file, d, stated)
	}
	level := math.Inf(-1)
	for at := 0.0; at+0.4 <= clip.Seconds(); at += 0.1 { // a busy machine leaves gaps
		level = max(level, audio.Level(clip.Cut(at, 0.4), 440))
	}
	if math.Abs(level-toneLevel) > levelWithin {
		t.Errorf("%s: 440 Hz at %.2f dBFS, expected %g", file, level, toneLevel)
	}
}
