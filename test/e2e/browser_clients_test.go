//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// Libraries that others build their pages on, as they come from their packages: each registers from a page of another
// origin, which the settings list, and calls a desk phone. Both tones are measured, digits arrive, and it hangs up.
func TestBrowserClients(t *testing.T) {
	for _, library := range []string{"jssip", "sipjs"} {
		t.Run(library, func(t *testing.T) { clientStory(t, library) })
	}
}

func clientStory(t *testing.T, library string) {
	addr := address(t)
	capture := peers.StartCapture(t)
	page := serveClient(t, library)
	g := startGateway(t, addr, settings{
		http:  fmt.Sprintf(`, origins: ["%s"]`, page),
		users: "  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\n  - {id: bob, password: builder-2, numbers: [\"101\"]}\n",
	})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-2", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	alice := openSoftphone(t, page, 440)
	alice.must(alice.page.Eval(alice.ctx, fmt.Sprintf(
		`client.register({server: "ws://%s:8888/sip", uri: "sip:alice@test.local", user: "alice", password: "wonder-land-1"})`, addr), nil))
	if got := g.Metric(t, "patchbay_users_online"); got != 2 {
		t.Errorf("%v users are online, expected 2", got)
	}

	alice.must(alice.page.Eval(alice.ctx, `window.calling = client.call("sip:101@test.local", document.getElementById("player")), null`, nil))
	bob.Expect(t, "CALL_INCOMING", 10*time.Second)
	bob.Accept(t)
	alice.must(alice.page.Eval(alice.ctx, `calling`, nil))
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	alice.wait(`client.connection.connectionState === "connected"`)
	time.Sleep(time.Second)
	from := time.Now()
	time.Sleep(2 * time.Second)
	if hz, level := alice.hears(); math.Abs(hz-880) > 5 || math.Abs(level-toneLevel) > 1.5 {
		t.Errorf("the page plays %.1f Hz at %.2f dBFS, expected 880 Hz at %g", hz, level, toneLevel)
	} else {
		t.Logf("the page plays %.1f Hz at %.2f dBFS", hz, level)
	}
	time.Sleep(time.Until(from.Add(5600 * time.Millisecond)))
	to := time.Now()
	alice.must(alice.page.Eval(alice.ctx, `client.dtmf("7")`, nil))
	if !eventually(5*time.Second, func() bool { return bob.DTMF() == "7" }) {
		t.Errorf("bob got the digits %q, expected 7", bob.DTMF())
	}
	alice.must(alice.page.Eval(alice.ctx, `client.hangUp()`, nil))
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	capture.Stop(t)
	said := func(p peers.Packet) bool { return p.Dst == netip.AddrPortFrom(addr, webrtcPort) }
	arrived(t, bob, capture, said, from, to, 440, 880, audio.MuLaw)
	if rows := g.records(t, 1); len(rows) == 1 {
		if got, want := recordOf(rows[0]), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
}

// serveClient serves a page of an origin of its own with one of the clients, bundled as their users do, and returns the
// origin.
func serveClient(t *testing.T, library string) string {
	t.Helper()
	if _, err := os.Stat("clients/node_modules"); err != nil {
		t.Fatalf("the clients' packages aren't there, make e2e installs them: %v", err)
	}
	dir, err := filepath.Abs("clients")
	if err != nil {
		t.Fatal(err)
	}
	built := api.Build(api.BuildOptions{
		AbsWorkingDir: dir, EntryPoints: []string{library + ".js"}, Bundle: true, Target: api.ES2022,
		Platform: api.PlatformBrowser, Format: api.FormatIIFE, LogLevel: api.LogLevelError, Outfile: "client.js",
	})
	if len(built.Errors) > 0 || len(built.OutputFiles) != 1 {
		t.Fatalf("bundle %s: %d errors, %d files", library, len(built.Errors), len(built.OutputFiles))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "clients/index.html") })
	mux.HandleFunc("GET /client.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(built.OutputFiles[0].Contents) // a browser that has gone needs it no more
	})
	l, err := net.Listen("tcp", netip.AddrPortFrom(peers.Address(t), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return "http://" + l.Addr().String()
}
