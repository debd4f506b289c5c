//go:build e2e

package web_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/web/webtest"
)

// screens is where pictures of the page are left, for people to look at.
const screens = "../out/page"

// desk is one browser with the stub gateway that it talks to.
type desk struct {
	t    *testing.T
	ctx  context.Context
	stub *stub
	url  string
	page *webtest.Page
}

func newDesk(t *testing.T, b *webtest.Browser) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	s := newStub(t)
	server := httptest.NewServer(s.handler())
	t.Cleanup(func() {
		s.leave(true) // hijacked connections aren't the server's any more
		server.Close()
	})
	d := &desk{t: t, ctx: ctx, stub: s, url: server.URL}
	var err error
	if d.page, err = b.Open(ctx, d.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			var cancel context.CancelFunc
			d.ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			d.shot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
			html := ""
			_ = d.page.Eval(d.ctx, "document.getElementById('page').outerHTML", &html)
			t.Logf("errors of the page: %q\n%.3000s", d.page.Errors(), html)
		}
	})
	return d
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) click(selector string) { d.t.Helper(); d.must(d.page.Click(d.ctx, selector)) }
func (d *desk) fill(selector, text string) {
	d.t.Helper()
	d.must(d.page.Fill(d.ctx, selector, text))
}

func (d *desk) wait(expression string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	d.must(d.page.Wait(ctx, expression))
}

// call waits for an attribute of the call in front.
func (d *desk) call(name, value string) {
	d.t.Helper()
	d.wait(fmt.Sprintf(`document.querySelector('[data-testid=call]')?.dataset[%q] === %q`, name, value))
}

func (d *desk) line(state string) {
	d.t.Helper()
	d.wait(fmt.Sprintf(`document.getElementById('page').dataset.line === %q`, state))
}

func (d *desk) text(selector string) string {
	d.t.Helper()
	s, err := d.page.Text(d.ctx, selector)
	d.must(err)
	return s
}

func (d *desk) login() {
	d.t.Helper()
	d.fill("#user", user)
	d.fill("#password", password)
	d.click("#login")
	d.line("ready")
}

func (d *desk) count(selector string) (n int) {
	d.t.Helper()
	d.must(d.page.Eval(d.ctx, fmt.Sprintf("document.querySelectorAll(%q).length", selector), &n))
	return n
}

// choose takes the nth option of a list.
func (d *desk) choose(selector string, nth int) {
	d.t.Helper()
	d.must(d.page.Eval(d.ctx, fmt.Sprintf("(e => { e.selectedIndex = %d; e.dispatchEvent(new Event('change', {bubbles: true})); })"+
		"(document.querySelector(%q))", nth, selector), nil))
}

// clean fails the test if the page reported anything but what fits one of the patterns.
func (d *desk) clean(but ...string) {
	d.t.Helper()
next:
	for _, e := range d.page.Errors() {
		for _, b := range but {
			if strings.Contains(e, b) {
				continue next
			}
		}
		d.t.Errorf("the page reported: %s", e)
	}
}

func (d *desk) shot(name string) {
	d.t.Helper()
	b, err := d.page.Screenshot(d.ctx)
	d.must(err)
	d.must(os.MkdirAll(screens, 0o755))
	d.must(os.WriteFile(filepath.Join(screens, name+".png"), b, 0o644))
}

// shots takes the page at a desk's and a telephone's width, light and dark, and asserts that nothing sticks out sideways.
func (d *desk) shots(name string) {
	d.t.Helper()
	began := time.Now()
	defer func() { d.t.Logf("pictures of %s took %v", name, time.Since(began).Round(time.Millisecond)) }()
	for _, s := range []struct {
		width, height int
		dark          bool
	}{{1280, 800, false}, {1280, 800, true}, {390, 844, false}, {390, 844, true}} {
		d.must(d.page.Screen(d.ctx, s.width, s.height, s.dark))
		time.Sleep(250 * time.Millisecond) // for bars and transitions to settle
		var over int
		d.must(d.page.Eval(d.ctx, "document.documentElement.scrollWidth - document.documentElement.clientWidth", &over))
		if over > 0 {
			d.t.Errorf("%s is %d px too wide at %d", name, over, s.width)
		}
		scheme := "light"
		if s.dark {
			scheme = "dark"
		}
		d.shot(fmt.Sprintf("%s-%d-%s", name, s.width, scheme))
	}
	d.must(d.page.Screen(d.ctx, 1280, 800, false))
}

// eventually asks every 20 ms for up to 10 s.
func (d *desk) eventually(what string, is func() bool) {
	d.t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func TestBrowserPage(t *testing.T) {
	b, err := webtest.Start(t.Context(), webtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, story := range []struct {
		name string
		run  func(*desk)
	}{
		{"login", loginStory}, {"remember", rememberStory}, {"sip alone", sipAloneStory}, {"call", callStory}, {"refused", refusedStory},
		{"incoming", incomingStory}, {"two", twoStory}, {"microphone", microphoneStory}, {"away", awayStory}, {"held off", heldOffStory}, {"path", pathStory}, {"close", closeStory},
		{"keyboard", keyboardStory}, {"reports", reportsStory}, {"reports' access", reportAccessStory},
	} {
		t.Run(story.name, func(t *testing.T) { story.run(newDesk(t, b)) })
	}
}

func loginStory(d *desk) {
	d.shots("login")
	d.fill("#user", user)
	d.fill("#password", "guess")
	d.click("#login")
	d.wait(`document.querySelector('#problem')?.dataset.problem === 'password'`)
	if s := d.text("#problem"); s != "The user name or the password is wrong." {
		d.t.Errorf("the page says %q", s)
	}
	d.shots("wrong-password")
	d.stub.set(func(s *stub) { s.records = sampleRecords() })
	d.fill("#password", password)
	d.click("#login")
	d.line("ready")
	d.wait(`document.querySelectorAll('[data-testid=record]').length === 7`)
	if who := d.text("[data-testid=who]"); who != user {
		d.t.Errorf("logged in as %q", who)
	}
	for i, want := range []string{"Call ended", "Busy", "Missed", "Call ended", "Cancelled", "Declined", "Answered elsewhere"} {
		cause, err := d.page.Data(d.ctx, fmt.Sprintf(`[data-id$="%012d"]`, i+1), "cause")
		d.must(err)
		if cause != want {
			d.t.Errorf("record %d shows cause %q, expected %q", i+1, cause, want)
		}
	}
	d.shots("idle")
	d.click(`[data-id$="1"] .record-main`)
	if s := d.text(`[data-id$="1"] .details`); !strings.Contains(s, "5:12") || !strings.Contains(s, "PCMA") {
		d.t.Errorf("details of a record: %q", s)
	}
	d.shot("idle-details")
	d.must(d.page.Screen(d.ctx, 390, 844, false))
	d.click("[data-testid=tab-recent]")
	d.shot("calls-390-light")
	d.click("[data-testid=tab-audio]")
	d.click("#test-microphone")
	d.wait(`Number(document.getElementById('test-level')?.dataset.level) > 20`)
	d.shot("audio-390-light")
	d.click("#test-microphone")
	d.must(d.page.Screen(d.ctx, 1280, 800, false))
	d.click("#logout")
	d.line("out")
	d.stub.await("REGISTER with Expires 0", func(m message) bool { return m.method() == "REGISTER" && m.get("expires") == "0" })
	d.clean("401")
}

// sampleRecords are calls of all kinds as the gateway tells them (GET /api/v1/me/calls): taken from one, and moved to now. That they
// are what it says, and what the page makes of it, a test with the gateway itself shows.
func sampleRecords() string {
	at := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC3339Nano) }
	call := func(id, from, to, direction string, ago time.Duration, more string) string {
		return fmt.Sprintf(`{"id":%q,"from":%q,"to":%q,"direction":%q,"startedAt":%q,%s}`, id, from, to, direction, at(ago), more)
	}
	over := func(ago, talk time.Duration, cause int, codec string) string {
		return fmt.Sprintf(`"answeredAt":%q,"endedAt":%q,"durationMs":%d,"cause":%d,"sip":null,"codec":%q`, at(ago-4*time.Second), at(ago-talk-4*time.Second),
			talk.Milliseconds(), cause, codec)
	}
	failed := func(ago time.Duration, cause, sip int) string {
		return fmt.Sprintf(`"answeredAt":null,"endedAt":%q,"durationMs":null,"cause":%d,"sip":%d`, at(ago-9*time.Second), cause, sip)
	}
	return "[" + strings.Join([]string{
		call("01982f6e-0000-7000-8000-000000000001", "100", "+493012345678", "out", 26*time.Minute, over(26*time.Minute, 312400*time.Millisecond, 16, "PCMA/8000")),
		call("01982f6e-0000-7000-8000-000000000002", "100", "102", "out", 2*time.Hour, failed(2*time.Hour, 17, 486)),
		call("01982f6e-0000-7000-8000-000000000003", "+442079460123", "100", "in", 3*time.Hour, failed(3*time.Hour, 16, 487)),
		call("01982f6e-0000-7000-8000-000000000004", "101", "100", "in", 30*time.Hour, over(30*time.Hour, 3723*time.Second, 16, "OPUS/48000/2")),
		call("01982f6e-0000-7000-8000-000000000005", "100", "103", "out", 90*time.Hour, failed(90*time.Hour, 16, 487)),
		call("01982f6e-0000-7000-8000-000000000006", "100", "104", "out", 91*time.Hour, failed(91*time.Hour, 21, 603)),
		call("01982f6e-0000-7000-8000-000000000007", "104", "100", "in", 92*time.Hour, failed(92*time.Hour, 26, 487)),
	}, ",") + "]"
}

func rememberStory(d *desk) {
	d.click("#remember")
	d.login()
	d.must(d.page.Navigate(d.ctx, d.url+"/calls"))
	d.line("ready")
	calls := "Object.keys(localStorage).filter(k => k.startsWith('patchbay.calls.')).length"
	d.must(d.page.Eval(d.ctx, "localStorage.setItem('patchbay.calls.sip:other@stub.example', '[]')", nil)) // of whom the tab was closed on
	d.fill("#number", "404")
	d.click("#dial")
	d.call("ending", "No such number")
	var kept int
	if d.must(d.page.Eval(d.ctx, calls, &kept)); kept != 2 {
		d.t.Errorf("calls of %d users are kept before the logout, expected 2", kept)
	}
	d.click("#logout")
	d.must(d.page.Navigate(d.ctx, d.url))
	d.wait(`document.getElementById('login')`)
	if d.must(d.page.Eval(d.ctx, "sessionStorage.length + "+calls, &kept)); kept != 0 {
		d.t.Errorf("%d values are kept after the logout", kept)
	}
	d.clean()
}

// A gateway that offers SIP alone: the page registers, and remembers calls by itself.
func sipAloneStory(d *desk) {
	d.stub.set(func(s *stub) { s.noAPI = true })
	d.fill("#user", user+"@"+realm)
	d.fill("#password", "guess")
	d.click("#login")
	d.wait(`document.querySelector('#problem')?.dataset.problem === 'password'`)
	d.fill("#password", password)
	d.click("#login")
	d.line("ready")
	d.fill("#number", "404")
	d.must(d.page.Key(d.ctx, "Enter"))
	d.wait(`document.querySelector('[data-testid=record]')?.dataset.cause === 'No such number'`)
	if source, _ := d.page.Data(d.ctx, "[data-testid=recent]", "source"); source != "browser" {
		d.t.Errorf("records come from %q", source)
	}
	d.clean("404")
}

func callStory(d *desk) {
	d.login()
	for _, key := range "600" {
		d.click(fmt.Sprintf("[data-testid=key-%c]", key))
	}
	d.click("#dial")
	d.call("state", "talking")
	invite := d.stub.await("INVITE", func(m message) bool { return m.method() == "INVITE" })
	if invite.dialled() != "600" || strings.Contains(invite.body, "m=video") {
		d.t.Errorf("offer: %s\n%s", invite.first, invite.body)
	}
	far := d.stub.peer(invite.get("call-id"))
	d.call("codec", "PCMU")
	d.call("loss", "0.0")
	d.wait(`Number(document.getElementById('level').dataset.level) > 20`)
	d.wait(`Number(document.getElementById('heard').dataset.level) > 20`)
	d.wait(`Number(document.querySelector('[data-testid=timer]').dataset.seconds) >= 2`)
	d.eventually("the page's sound at the far side", func() bool { return far.loud.Load() > 2 })
	d.wait(`document.getElementById('round-trip').innerText.endsWith('ms')`)
	d.shots("call")

	d.click("#mute")
	d.call("muted", "true")
	time.Sleep(300 * time.Millisecond)
	packets, loud := far.packets.Load(), far.loud.Load()
	time.Sleep(1500 * time.Millisecond) // the fake microphone beeps each second
	if p, l := far.packets.Load()-packets, far.loud.Load()-loud; p < 40 || l != 0 {
		d.t.Errorf("muted: %d packets came, %d of them with sound", p, l)
	}
	d.click("#mute")
	d.call("muted", "false")
	d.eventually("sound after mute", func() bool { return far.loud.Load() > loud })

	d.click("#pad")
	for _, key := range "12#" {
		d.click(fmt.Sprintf("[data-testid=\"key-%c\"]", key))
	}
	d.eventually("digits by RFC 4733", func() bool { return far.heard() == "12#" })
	if len(d.stub.all("INFO")) != 0 {
		d.t.Error("digits were sent by INFO too")
	}
	d.shots("keypad")
	d.click("#pad")

	d.click("#hold")
	d.call("held", "true")
	hold := d.stub.await("re-INVITE", func(m message) bool {
		return m.method() == "INVITE" && m.get("call-id") == invite.get("call-id") && m.get("cseq") != invite.get("cseq")
	})
	if !strings.Contains(hold.body, "a=sendonly") && !strings.Contains(hold.body, "a=inactive") {
		d.t.Errorf("the re-INVITE of a hold offers:\n%s", hold.body)
	}
	d.wait(`!document.getElementById('hold').disabled`)
	d.shot("held")
	d.click("#hold")
	d.call("held", "false")
	d.stub.await("re-INVITE with sendrecv", func(m message) bool {
		return m.method() == "INVITE" && m.get("cseq") > hold.get("cseq") && strings.Contains(m.body, "a=sendrecv")
	})

	// Another way of hearing the microphone, in the middle of the call.
	d.click("#echo")
	loud = far.loud.Load()
	d.eventually("sound after the switch", func() bool { return far.loud.Load() > loud+2 })

	d.wait(`!document.getElementById('hold').disabled`)
	if n := d.count("#microphone option"); n < 3 {
		d.t.Errorf("%d microphones are offered, expected the system's choice and the browser's fake ones", n)
	}
	d.choose("#microphone", 2)
	loud = far.loud.Load()
	d.eventually("sound of another microphone", func() bool { return far.loud.Load() > loud+2 })
	d.choose("#speaker", 1)
	d.wait(`document.querySelector('audio').sinkId === document.getElementById('speaker').value`)

	d.click("#hangup")
	d.stub.await("BYE", func(m message) bool { return m.method() == "BYE" && m.get("call-id") == invite.get("call-id") })
	d.call("ending", "Call ended")
	// The keypad is there at once, and digits go to it.
	if d.count("[data-testid=dialer]") != 1 {
		d.t.Error("the keypad isn't there when a call has ended")
	}
	d.must(d.page.Key(d.ctx, "7"))
	d.shots("ended")
	d.click("[data-testid=key-0]")
	d.click("#dismiss")
	d.wait(`!document.querySelector('[data-testid=call]') && document.getElementById('number').value === '70'`)
	d.clean()
}

func refusedStory(d *desk) {
	d.login()
	for _, c := range [][2]string{{"404", "No such number"}, {"486", "Busy"}} {
		d.fill("#number", c[0])
		d.click("#dial")
		d.call("ending", c[1])
		d.click("#dismiss")
	}
	d.fill("#number", "700")
	d.click("#dial")
	d.call("state", "ringing")
	d.shot("ringing")
	d.click("#hangup")
	d.stub.await("CANCEL", func(m message) bool { return m.method() == "CANCEL" })
	d.call("ending", "Cancelled")
	d.click("#dismiss")
	d.fill("#number", "two words")
	d.click("#dial")
	d.wait(`document.querySelector('#problem')?.dataset.problem === 'call'`)
	d.clean()
}

func incomingStory(d *desk) {
	d.login()
	far := newPeer(d.t, "PCMU")
	offer := far.offer()
	d.stub.request("INVITE", "in1", 1, "", offer)
	d.call("state", "incoming")
	if s := d.text("[data-testid=call] h2"); s != "Front desk" {
		d.t.Errorf("the caller is shown as %q", s)
	}
	d.shots("incoming")
	d.click("#accept")
	ok := d.stub.await("200", func(m message) bool { return m.status() == 200 && m.get("call-id") == "in1" })
	far.answered(ok.body)
	d.stub.request("ACK", "in1", 1, ok.get("to"), "")
	d.call("state", "talking")
	d.call("codec", "PCMU")
	d.eventually("the page's sound at the far side", func() bool { return far.loud.Load() > 2 })
	for i, direction := range []string{"sendonly", "sendrecv"} { // the other side holds the call, and comes back
		d.stub.request("INVITE", "in1", 2+i, ok.get("to"), strings.ReplaceAll(offer, "a=sendrecv", "a="+direction))
		again := d.stub.await("200 to a re-INVITE", func(m message) bool {
			return m.status() == 200 && m.get("call-id") == "in1" && strings.HasPrefix(m.get("cseq"), fmt.Sprint(2+i))
		})
		d.stub.request("ACK", "in1", 2+i, again.get("to"), "")
		d.call("heldByPeer", fmt.Sprint(direction == "sendonly"))
	}
	d.stub.request("INFO", "in1", 4, ok.get("to"), "Signal=5\r\nDuration=100\r\n", "Content-Type: application/dtmf-relay")
	d.call("received", "5")
	d.stub.request("BYE", "in1", 5, ok.get("to"), "", `Reason: Q.850;cause=16;text="Normal call clearing"`)
	d.call("ending", "Call ended")

	for _, c := range []struct{ call, reason, words string }{
		{"in2", `Reason: SIP;cause=200;text="Call completed elsewhere"`, "Answered elsewhere"},
		{"in3", "", "Missed"},
	} {
		d.stub.request("INVITE", c.call, 1, "", newPeer(d.t, "PCMU").offer())
		d.call("state", "incoming")
		if c.reason != "" {
			d.stub.request("CANCEL", c.call, 1, "", "", c.reason)
		} else {
			d.stub.request("CANCEL", c.call, 1, "", "")
		}
		d.call("ending", c.words)
		d.stub.await("487", func(m message) bool { return m.status() == 487 && m.get("call-id") == c.call })
	}
	d.stub.request("INVITE", "in4", 1, "", newPeer(d.t, "PCMU").offer())
	d.call("state", "incoming")
	d.click("#decline")
	d.stub.await("603", func(m message) bool { return m.status() == 603 && m.get("call-id") == "in4" })
	d.call("ending", "Declined")
	d.clean()
}

// A second call while one is up: it waits, is answered, and they are swapped. A third is refused.
func twoStory(d *desk) {
	d.login()
	d.fill("#number", "600")
	d.click("#dial")
	d.call("state", "talking")
	d.call("codec", "PCMU")
	far := newPeer(d.t, "PCMU")
	d.stub.request("INVITE", "second", 1, "", far.offer())
	d.wait(`document.querySelector('[data-testid=waiting]')?.dataset.state === 'incoming'`)
	d.shots("waiting")
	d.click("[data-testid=accept-waiting]")
	ok := d.stub.await("200", func(m message) bool { return m.status() == 200 && m.get("call-id") == "second" })
	far.answered(ok.body)
	d.stub.request("ACK", "second", 1, ok.get("to"), "")
	d.call("peer", "200")
	d.call("state", "talking")
	d.wait(`document.querySelector('[data-testid=waiting]').dataset.held === 'true'`)
	d.stub.request("INVITE", "third", 1, "", newPeer(d.t, "PCMU").offer())
	d.stub.await("486", func(m message) bool { return m.status() == 486 && m.get("call-id") == "third" })
	d.call("codec", "PCMU")
	d.click("[data-testid=swap]")
	d.stub.await("the page's re-INVITE", func(m message) bool { return m.method() == "INVITE" && m.get("call-id") == "second" })
	d.call("peer", "600")
	d.call("held", "false")
	d.click("#hangup")
	d.call("peer", "200")
	d.clean()
}

func microphoneStory(d *desk) {
	d.must(d.page.Microphone(d.ctx, false))
	d.login()
	d.fill("#number", "600")
	d.click("#dial")
	d.wait(`document.querySelector('#problem')?.dataset.problem === 'microphone'`)
	if s := d.text("#problem"); !strings.Contains(s, "blocked") {
		d.t.Errorf("the page says %q", s)
	}
	d.shots("microphone")
	if n := len(d.stub.all("INVITE")); n != 0 {
		d.t.Errorf("%d calls were made without a microphone", n)
	}
	d.must(d.page.Microphone(d.ctx, true))
	d.click("#dial")
	d.call("state", "talking")
	d.clean()
}

func awayStory(d *desk) {
	d.stub.leave(true)
	d.fill("#user", user)
	d.fill("#password", password)
	d.click("#login")
	d.wait(`document.querySelector('#problem')?.dataset.problem === 'away'`)
	d.stub.leave(false)
	d.line("ready")
	d.fill("#number", "600")
	d.click("#dial")
	d.call("state", "talking")
	d.call("codec", "PCMU")

	d.stub.leave(true)
	d.line("away")
	d.wait(`document.querySelector('#problem')?.dataset.problem === 'away'`)
	d.shots("away")
	d.call("state", "talking") // sound needs no signalling
	d.stub.leave(false)
	d.line("ready")
	d.wait(`!document.querySelector('#problem')`)
	d.wait(`!document.getElementById('hold').disabled`)
	d.click("#hangup")
	d.stub.await("BYE over the new connection", func(m message) bool { return m.method() == "BYE" })
	d.clean("502", "WebSocket connection")
}

// A gateway that lets nobody in from here, and says for how long: at the login, at the WebSocket, and in answer to a REGISTER.
func heldOffStory(d *desk) {
	says := func(what, about, words string) {
		d.t.Helper()
		d.wait(fmt.Sprintf(`document.querySelector('#problem')?.dataset.problem === %q`, about))
		if s := d.text("#problem"); !strings.Contains(s, words) {
			d.t.Errorf("%s: the page says %q, expected %q in it", what, s, words)
		}
	}
	limit := func(api, socket, register int) {
		d.stub.set(func(s *stub) { s.limited = limits{api, socket, register} })
	}
	enter := func() {
		d.fill("#user", user)
		d.fill("#password", password)
		d.click("#login")
	}
	limit(429, 0, 0)
	enter()
	says("the login", "busy", "Too many wrong passwords. Try again in 4 minutes.")
	d.line("out")
	limit(503, 0, 0)
	enter()
	says("the login", "busy", "lets nobody in from this address for now")
	d.click("#cancel")
	limit(0, 503, 0)
	enter()
	says("the WebSocket", "busy", "Try again in 4 minutes.")
	d.shots("held-off")
	d.click("#cancel")
	limit(0, 0, 503)
	enter()
	says("the registration", "busy", "lets nobody in from this address for now")
	d.click("#cancel")
	limit(0, 0, 0)
	d.login()
	if n := d.count("#problem"); n != 0 {
		d.t.Error("the message stays when all is well again")
	}
	d.clean("429", "503", "426", "WebSocket connection")
}

// The path to the far side dies in a call: the page looks for another one by an ICE restart, and the call goes on.
func pathStory(d *desk) {
	d.login()
	d.fill("#number", "600")
	d.click("#dial")
	d.call("codec", "PCMU")
	invite := d.stub.await("INVITE", func(m message) bool { return m.method() == "INVITE" })
	call := invite.get("call-id")
	dead, fresh := d.stub.peer(call), newPeer(d.t, "PCMU")
	d.stub.set(func(s *stub) { s.peers[call] = fresh })
	dead.cut.Store(true)
	fragment := regexp.MustCompile(`a=ice-ufrag:(\S+)`)
	d.stub.await("re-INVITE with a new ice-ufrag", func(m message) bool {
		return m.method() == "INVITE" && m.get("call-id") == call && m.body != "" &&
			fragment.FindStringSubmatch(m.body)[1] != fragment.FindStringSubmatch(invite.body)[1]
	})
	d.eventually("the page's sound on the new path", func() bool { return fresh.loud.Load() > 2 })
	d.call("state", "talking")
	d.clean()
}

func closeStory(d *desk) {
	d.login()
	d.fill("#number", "600")
	d.click("#dial")
	d.call("state", "talking")
	d.must(d.page.Navigate(d.ctx, "data:text/html,gone"))
	d.stub.await("BYE of a page that has gone", func(m message) bool { return m.method() == "BYE" })
	d.must(d.page.Navigate(d.ctx, d.url))
	d.login()
	d.fill("#number", "601")
	d.click("#dial")
	d.call("state", "talking")
	second := d.stub.await("INVITE", func(m message) bool { return m.method() == "INVITE" && m.dialled() == "601" })
	d.must(d.page.Close(d.ctx))
	d.stub.await("BYE of a tab that was closed", func(m message) bool {
		return m.method() == "BYE" && m.get("call-id") == second.get("call-id")
	})
	if asked := d.page.Dialogs(); len(asked) < 1 || asked[0] != "beforeunload" {
		d.t.Errorf("dialogs before a page in a call goes: %v", asked)
	}
}

// A call without a mouse: digits anywhere go to the number, Enter calls, digits go to the call.
func keyboardStory(d *desk) {
	d.fill("#user", user)
	d.must(d.page.Key(d.ctx, "Tab"))
	for _, c := range password {
		d.must(d.page.Key(d.ctx, string(c)))
	}
	d.must(d.page.Key(d.ctx, "Enter"))
	d.line("ready")
	for _, c := range "600" {
		d.must(d.page.Key(d.ctx, string(c)))
	}
	d.must(d.page.Key(d.ctx, "Enter"))
	d.call("state", "talking")
	invite := d.stub.await("INVITE", func(m message) bool { return m.method() == "INVITE" })
	d.call("codec", "PCMU")
	d.must(d.page.Key(d.ctx, "7"))
	d.eventually("a digit", func() bool { return d.stub.peer(invite.get("call-id")).heard() == "7" })
	var visible bool
	for range 30 { // walk to the hang-up button by Tab
		d.must(d.page.Key(d.ctx, "Tab"))
		d.must(d.page.Eval(d.ctx, "document.activeElement?.id === 'hangup'", &visible))
		if visible {
			break
		}
	}
	d.must(d.page.Eval(d.ctx, "document.activeElement?.id === 'hangup' && getComputedStyle(document.activeElement).outlineStyle !== 'none'", &visible))
	if !visible {
		d.t.Error("Tab doesn't reach the hang-up button with a visible focus")
	}
	d.must(d.page.Key(d.ctx, "Enter"))
	d.call("state", "ended")
	d.clean()
}
