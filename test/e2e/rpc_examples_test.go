//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
)

// The examples of docs/examples, as they stand there, with kurento-client as it comes from npm: tones are measured at both ends,
// and the records say what happened.
func TestRpcExamples(t *testing.T) {
	s := setStage(t)
	t.Run("browser to phone", s.browserToPhone)
	t.Run("phone to browser", s.phoneToBrowser)
	t.Run("two phones", s.twoPhones)
	t.Run("monitor", s.monitor)
	t.Run("killed", s.killed)
}

func (s *stage) browserToPhone(t *testing.T) {
	app := s.example(t, "browser-to-phone", "open http://")
	page := s.open(t)
	page.must(page.page.Fill(page.ctx, "#number", "100"))
	page.click("#call")
	s.bob.Expect(t, "CALL_INCOMING", 20*time.Second)
	page.state("ringing")
	s.bob.Accept(t)
	s.bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	page.state("answered")
	from := time.Now()
	time.Sleep(2 * time.Second)
	page.hearsAll(pageTone, bobTone)
	s.passes(t, 2)
	time.Sleep(time.Until(from.Add(6 * time.Second)))
	to := time.Now()
	page.click("#hangup")
	s.bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	page.state("ended")
	s.pageHeard(t, s.bob, from.Add(500*time.Millisecond), to, bobTone)
	s.recorded(t, 1)

	// A number that nobody has: the page is told why.
	page.must(page.page.Fill(page.ctx, "#number", "999"))
	page.click("#call")
	page.state("404")
	if !app.Running() {
		t.Error("the example has ended")
	}
	s.calls++ // of the refused call
	s.records(t, s.calls)
	app.Stop(9, 0)
}

func (s *stage) phoneToBrowser(t *testing.T) {
	app := s.example(t, "phone-to-browser", "open http://")
	page := s.open(t)
	s.bob.Dial(t, "sip:700@test.local")
	page.state("ringing")
	page.click("#accept")
	s.bob.Expect(t, "CALL_ESTABLISHED", 10*time.Second)
	page.state("answered")
	from := time.Now()
	time.Sleep(2 * time.Second)
	page.hearsAll(pageTone, bobTone)
	s.passes(t, 2)
	time.Sleep(time.Until(from.Add(6 * time.Second)))
	to := time.Now()
	s.bob.Hangup(t)
	s.bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	page.state("ended")
	s.pageHeard(t, s.bob, from.Add(500*time.Millisecond), to, bobTone)
	s.recorded(t, 1)
	app.Stop(9, 0)
}

func (s *stage) twoPhones(t *testing.T) {
	app := s.example(t, "two-phones", "", "100", "102")
	s.bob.Expect(t, "CALL_INCOMING", 20*time.Second)
	s.bob.Accept(t)
	s.carol.Expect(t, "CALL_INCOMING", 10*time.Second)
	s.carol.Accept(t)
	s.bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	s.carol.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	from := time.Now().Add(300 * time.Millisecond)
	time.Sleep(6 * time.Second)
	to := time.Now()
	s.bob.Hangup(t)
	s.bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	s.carol.Expect(t, "CALL_CLOSED", 5*time.Second)
	if code, ok := app.Wait(10 * time.Second); !ok || code != 0 {
		t.Errorf("the example's exit code is %d (ended: %t), expected 0", code, ok)
	}
	arrived(t, s.bob, s.capture, s.carol.Says, from, to, carolTone, bobTone, audio.MuLaw)
	arrived(t, s.carol, s.capture, s.bob.Says, from, to, bobTone, carolTone, audio.MuLaw)
	s.recorded(t, 2)
}

func (s *stage) monitor(t *testing.T) {
	app := s.example(t, "monitor", "open http://", "102")
	page := s.open(t)
	s.bob.Dial(t, "sip:701@test.local")
	s.carol.Expect(t, "CALL_INCOMING", 20*time.Second)
	s.carol.Accept(t)
	s.bob.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	page.click("#listen")
	page.state("listening")
	from := time.Now()
	time.Sleep(2 * time.Second)
	page.hearsAll(pageTone, bobTone, carolTone)
	s.passes(t, 2) // the page says nothing
	// Neither phone hears who listens.
	time.Sleep(time.Until(from.Add(6 * time.Second)))
	to := time.Now()
	s.carol.Hangup(t)
	s.carol.Expect(t, "CALL_CLOSED", 5*time.Second)
	s.bob.Expect(t, "CALL_CLOSED", 5*time.Second)
	page.state("ended")
	arrived(t, s.bob, s.capture, s.carol.Says, from, to, carolTone, pageTone, audio.MuLaw)
	arrived(t, s.carol, s.capture, s.bob.Says, from, to, bobTone, pageTone, audio.MuLaw)
	s.recorded(t, 2)
	app.Stop(9, 0)
}

// killed is an application that dies without a word: its calls end once it has been away for 15 s.
func (s *stage) killed(t *testing.T) {
	app := s.example(t, "two-phones", "", "100", "102")
	s.bob.Expect(t, "CALL_INCOMING", 20*time.Second)
	s.bob.Accept(t)
	s.carol.Expect(t, "CALL_INCOMING", 10*time.Second)
	s.carol.Accept(t)
	s.carol.Expect(t, "CALL_ESTABLISHED", 5*time.Second)
	says(t, app, "joined", 5*time.Second)
	died := time.Now()
	app.Stop(9, 0)
	s.bob.Expect(t, "CALL_CLOSED", 20*time.Second)
	s.carol.Expect(t, "CALL_CLOSED", 5*time.Second)
	if took := time.Since(died); took < 14*time.Second {
		t.Errorf("the calls ended %v after their application, expected it to have 15 s to come back", took)
	} else {
		t.Logf("the calls ended %v after their application", took.Round(10*time.Millisecond))
	}
	s.calls += 2
	rows := s.records(t, s.calls)
	for _, r := range rows[max(0, len(rows)-2):] {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 31}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
		}
	}
}
