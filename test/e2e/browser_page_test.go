//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// twoUsers are at pages or at phones.
const twoUsers = "  - {id: alice, password: wonder-land-1, numbers: [\"100\"]}\n  - {id: bob, password: builder-2, numbers: [\"101\"]}\n"

// says waits for a message of the page about something, with these words in it.
func (s *softphone) says(about, words string) {
	s.t.Helper()
	s.wait(fmt.Sprintf(`document.querySelector('#problem')?.dataset.problem === %q`, about))
	text, err := s.page.Text(s.ctx, "#problem")
	if s.must(err); !strings.Contains(text, words) {
		s.t.Errorf("the page says %q, expected %q in it", text, words)
	}
}

// lastCall waits until the newest record of the gateway's tells this of its end.
func (s *softphone) lastCall(calls int, peer, cause string) {
	s.t.Helper()
	s.wait(fmt.Sprintf(`document.querySelector('[data-testid=recent]').dataset.source === 'gateway' &&
		document.querySelectorAll('[data-testid=record]').length === %d && document.querySelector('[data-testid=record]').dataset.peer === %q`, calls, peer))
	got, err := s.page.Data(s.ctx, "[data-testid=record]", "cause")
	if s.must(err); got != cause {
		s.t.Errorf("the last call, with %s, has cause %q, expected %q", peer, got, cause)
	}
}

// myCalls is what GET /api/v1/me/calls says to a user.
func (g *gateway) myCalls(t *testing.T, user, password string) (list []map[string]any) {
	t.Helper()
	base := fmt.Sprintf("http://%s:8888/api/v1/me/", g.addr)
	login, err := http.Post(base+"login", "application/json", strings.NewReader(fmt.Sprintf(`{"user":%q,"password":%q}`, user, password)))
	if err != nil {
		t.Fatal(err)
	}
	defer login.Body.Close()
	var in struct{ Token string }
	if err := json.NewDecoder(login.Body).Decode(&in); err != nil {
		t.Fatal(err)
	}
	ask, err := http.NewRequest(http.MethodGet, base+"calls", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Authorization", "Bearer "+in.Token)
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

// What goes wrong, with the program itself: a wrong password, a call that nobody takes, a gateway that goes and comes back.
func TestBrowserPageAndGateway(t *testing.T) {
	addr := address(t)
	g := startGateway(t, addr, settings{users: twoUsers})
	url := fmt.Sprintf("http://%s:8888/", addr)
	alice := openSoftphone(t, url, 440)
	bob := alice.another(url)
	alice.must(alice.page.Fill(alice.ctx, "#user", "alice"))
	alice.must(alice.page.Fill(alice.ctx, "#password", "a guess"))
	alice.click("#login")
	alice.says("password", "The user name or the password is wrong.")
	alice.login("alice", "wonder-land-1")
	bob.login("bob", "builder-2")

	bob.dial("100")
	alice.call("state", "incoming")
	if name, err := alice.page.Text(alice.ctx, "[data-testid=call] h2"); err != nil || name != "bob" {
		t.Errorf("the caller is shown as %q, %v, expected the name that his page gives", name, err)
	}
	alice.call("peer", "101")
	bob.call("state", "ringing")
	bob.click("#hangup")
	bob.call("ending", "Cancelled")
	alice.call("ending", "Missed")
	alice.lastCall(1, "101", "Missed")
	bob.lastCall(1, "100", "Cancelled")
	g.records(t, 1)
	for user, password := range map[string]string{"alice": "wonder-land-1", "bob": "builder-2"} {
		list := g.myCalls(t, user, password)
		want := map[string]any{"from": "101", "to": "100", "direction": map[string]string{"alice": "in", "bob": "out"}[user],
			"answeredAt": nil, "durationMs": nil, "cause": 16.0, "sip": 487.0}
		if len(list) != 1 {
			t.Fatalf("%s has %d calls, expected 1", user, len(list))
		}
		for key, v := range want {
			if got, there := list[0][key]; !there || got != v {
				t.Errorf("%s: %s is %v, expected %v", user, key, got, v)
			}
		}
		for _, key := range []string{"id", "startedAt", "endedAt"} {
			if s, _ := list[0][key].(string); s == "" {
				t.Errorf("%s: %s is %v, expected text", user, key, list[0][key])
			}
		}
	}

	alice.dial("101")
	bob.click("#accept")
	alice.call("state", "talking")
	bob.call("state", "talking")
	alice.call("codec", "PCMU")
	alice.click("#hangup")
	bob.call("ending", "Call ended")
	alice.lastCall(2, "101", "Call ended")
	alice.shots("calls")

	g.Kill()
	alice.wait(`document.getElementById('page').dataset.line === 'away'`)
	alice.says("away", "can’t be reached")
	g.Start(t)
	for _, s := range []*softphone{alice, bob} {
		s.click("#retry")
		s.wait(`document.getElementById('page').dataset.line === 'ready' && !document.querySelector('#problem')`)
	}
	bob.dial("100")
	alice.click("#accept")
	bob.call("state", "talking")
	bob.call("codec", "PCMU")
	if hz, level := bob.hears(); math.Abs(hz-440) > 5 || math.Abs(level-toneLevel) > 1.5 {
		t.Errorf("after the gateway came back the page plays %.1f Hz at %.2f dBFS, expected 440 Hz at %g", hz, level, toneLevel)
	}
	alice.click("#hangup")
	bob.call("ending", "Call ended")
}

// soon is how long a browser may take from its offer to its connection on a machine that may be busy; the benchmark tells how
// long it takes.
const soon = 2 * time.Second

// Several calls, each connected soon after the page's own offer. The phone answers when told to.
func TestBrowserConnectsSoon(t *testing.T) {
	addr := address(t)
	g := startGateway(t, addr, settings{users: twoUsers})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-2", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	alice := openSoftphone(t, fmt.Sprintf("http://%s:8888/", addr), 440)
	alice.must(alice.page.Eval(alice.ctx, `(() => {
		window.invited = []
		const send = WebSocket.prototype.send
		WebSocket.prototype.send = function (text) {
			if (String(text).startsWith('INVITE') && !/\r\nAuthorization|\r\nProxy-Authorization/.test(text)) invited.push(performance.now())
			return send.call(this, text)
		}
	})()`, nil))
	alice.login("alice", "wonder-land-1")
	const calls = 7
	for range calls {
		alice.dial("101")
		bob.Expect(t, "CALL_INCOMING", 10*time.Second)
		bob.Accept(t)
		alice.call("state", "talking")
		alice.wait(`connections.at(-1).connectionState === 'connected'`)
		alice.click("#hangup")
		bob.Expect(t, "CALL_CLOSED", 5*time.Second)
		alice.click("#dismiss")
	}
	list, err := alice.page.Connections(alice.ctx)
	if alice.must(err); len(list) != calls {
		t.Fatalf("%d connections, expected %d", len(list), calls)
	}
	var took []time.Duration
	for _, c := range list {
		if c.Offered <= 0 || c.Connected <= c.Offered {
			t.Errorf("offered at %.0f ms and connected at %.0f", c.Offered, c.Connected)
		}
		took = append(took, time.Duration((c.Connected-c.Offered)*float64(time.Millisecond)).Round(time.Millisecond))
	}
	var invited []float64
	alice.must(alice.page.Eval(alice.ctx, `invited`, &invited))
	if len(invited) != calls {
		t.Fatalf("%d INVITEs without credentials, expected %d", len(invited), calls)
	}
	least := math.Inf(1)
	for i, at := range invited {
		least = min(least, at-list[i].Offered)
	}
	// The quickest call shows what the page itself waits for: nothing.
	if t.Logf("an offer left %.0f ms after it was made", least); least > 150 {
		t.Errorf("no offer left sooner than %.0f ms after it was made", least)
	}
	slices.Sort(took)
	t.Logf("from offer to connected: %v", took)
	if took[calls/2] > soon {
		t.Errorf("half of the calls took longer than %v, expected %v at most", took[calls/2], soon)
	}
}

// A page to which nothing gets through but what a TURN server relays, with the credentials that the gateway made for it.
func TestBrowserRelayed(t *testing.T) {
	addr := address(t)
	capture, turn := peers.StartCapture(t), peers.StartCoturnWithSecret(t)
	g := startGateway(t, addr, settings{
		users: twoUsers,
		more:  fmt.Sprintf("turn: {urls: [\"turn:%s?transport=udp\"], secret: %s}\n", turn.At, turn.Secret),
	})
	bob := peers.StartBaresip(t, peers.BaresipConfig{User: "bob", Password: "builder-2", Domain: "test.local", Proxy: g.sip.String(), Codecs: "PCMU/8000/1",
		Audio: audio.Tone(8000, 880, toneLevel, 60)})
	alice := openSoftphone(t, fmt.Sprintf("http://%s:8888/", addr), 440)
	alice.must(alice.page.RelayOnly(alice.ctx))
	alice.login("alice", "wonder-land-1")
	alice.dial("101")
	bob.Expect(t, "CALL_INCOMING", 10*time.Second)
	bob.Accept(t)
	bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	alice.call("state", "talking")
	alice.call("codec", "PCMU")
	var used struct{ Policy, Username, Kind string }
	alice.must(alice.page.Eval(alice.ctx, `(async () => {
		const c = connections[0], server = c.getConfiguration().iceServers.find(s => s.username)
		let all, pair // statistics follow what they tell of with a delay
		for (let i = 0; i < 50 && !pair; i++) {
			if (i > 0) await new Promise(done => setTimeout(done, 100))
			all = [...(await c.getStats()).values()]
			pair = all.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded')
		}
		return {Policy: c.getConfiguration().iceTransportPolicy, Username: server?.username ?? '', Kind: all.find(s => s.id === pair?.localCandidateId)?.candidateType ?? ''}
	})()`, &used))
	if used.Policy != "relay" || used.Kind != "relay" || !regexp.MustCompile(`^\d{10}:alice$`).MatchString(used.Username) {
		t.Errorf("the connection has %+v, expected a relayed candidate with a name that ends at a second", used)
	}
	from := time.Now()
	if hz, level := alice.hears(); math.Abs(hz-880) > 5 || math.Abs(level-toneLevel) > 1.5 {
		t.Errorf("the page plays %.1f Hz at %.2f dBFS, expected 880 Hz at %g", hz, level, toneLevel)
	}
	if level := toneBack(capture, bob, 440, from); math.Abs(level-toneLevel) > 2 {
		t.Errorf("bob hears 440 Hz at %.2f dBFS, expected %g", level, toneLevel)
	}
	alice.click("#hangup")
	bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	capture.Stop(t)
	gate := netip.AddrPortFrom(addr, webrtcPort)
	relayed, direct := 0, 0
	for _, p := range capture.Packets() {
		switch {
		case p.Dst != gate:
		case p.Src.Addr() == turn.At.Addr():
			relayed++
		default:
			direct++
		}
	}
	if relayed < 50 || direct != 0 {
		t.Errorf("%d packets came to the gateway from the relay and %d from elsewhere, expected all from the relay", relayed, direct)
	}
	g.records(t, 1)
	for _, l := range g.db.Query(t, "select host(remote_media) as media, srtp from patchbay.leg where role = 'caller'") {
		if l["media"] != turn.At.Addr().String() || l["srtp"] != "dtls" {
			t.Errorf("on record the browser's media came from %v with SRTP %v, expected the relay %s with dtls", l["media"], l["srtp"], turn.At.Addr())
		}
	}
}
