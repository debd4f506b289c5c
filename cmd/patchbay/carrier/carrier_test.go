package carrier_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/cmd/patchbay/carrier"
	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/cmd/patchbay/phone"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil { // calls wait far more than they work
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const password = "correct horse"

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// testLog writes to the test's log, which is shown when the test fails.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func newCarrier(t *testing.T, change func(*carrier.Config)) *carrier.Carrier {
	t.Helper()
	cfg := carrier.Config{Listen: netip.AddrPortFrom(loopback, 0), Accounts: []carrier.Account{{User: "alice", Password: password}},
		Control: filepath.Join(t.TempDir(), "carrier.sock"), Log: testLog(t)}
	if change != nil {
		change(&cfg)
	}
	c, err := carrier.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newPhone(t *testing.T, c *carrier.Carrier, change func(*phone.Config)) *phone.Phone {
	t.Helper()
	cfg := phone.Config{Server: c.Addr().String(), User: "alice", Password: password, Log: testLog(t)}
	if change != nil {
		change(&cfg)
	}
	p, err := phone.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func registered(t *testing.T, c *carrier.Carrier, change func(*phone.Config)) *phone.Phone {
	t.Helper()
	p := newPhone(t, c, change)
	if err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func sound(t *testing.T, s string) phone.Sound {
	t.Helper()
	out, err := phone.ParseSound(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tone checks what was heard in the last second, within half a decibel.
func tone(t *testing.T, who string, got leg.Tone, hz, level float64) {
	t.Helper()
	if math.Abs(got.Hz-hz) > 1 || math.Abs(got.Level-level) > 0.5 {
		t.Errorf("%s hears %.1f Hz at %.2f dBm0, want %.0f Hz at %.1f dBm0", who, got.Hz, got.Level, hz, level)
	}
}

// last waits until the carrier's last call has ended there, too.
func last(t *testing.T, c *carrier.Carrier) carrier.Call {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		calls := c.Calls(true)
		if n := len(calls); n > 0 && calls[n-1].State == "ended" {
			return calls[n-1]
		}
	}
	t.Fatal("the carrier has no call that ended")
	return carrier.Call{}
}

func TestGreetingThenEcho(t *testing.T) {
	for _, x := range []struct{ transport, codec string }{{"udp", "pcmu"}, {"tcp", "pcma"}} {
		t.Run(x.codec, func(t *testing.T) {
			t.Parallel()
			c := newCarrier(t, nil)
			p := registered(t, c, func(cfg *phone.Config) { cfg.Transport, cfg.Codecs = x.transport, []string{x.codec} })
			r, err := p.Call(t.Context(), phone.Plan{Number: "9000", Play: sound(t, "tone:440@-10"), Talk: 5500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			tone(t, "the phone", r.Heard.Strongest, 440, -10)
			far := last(t, c)
			tone(t, "the carrier", far.Heard.Strongest, 440, -10)
			if want := strings.ToUpper(x.codec) + "/8000"; r.Codec != want || far.Codec != want {
				t.Errorf("codecs are %s and %s, want %s", r.Codec, far.Codec, want)
			}
			// Speech first: quieter over all than a tone at -10 alone, louder than nothing, with pauses between words.
			if r.Heard.Level < -30 || r.Heard.Silences == 0 {
				t.Errorf("no speech was heard: %+v", r.Heard)
			}
			if far.EndedBy != "peer" || r.EndedBy != "us" || far.Number != "9000" || far.From != "alice" || far.Account != "alice" {
				t.Errorf("the carrier says %+v", far)
			}
			if r.Heard.FirstAudio == nil || *r.Heard.FirstAudio > 200 || r.Heard.Lost != 0 || r.Heard.Packets < 250 {
				t.Errorf("the phone's packets: %+v", r.Heard)
			}
		})
	}
}

func TestMilliwatt(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, nil)
	record := filepath.Join(t.TempDir(), "heard.wav")
	p := registered(t, c, nil)
	r, err := p.Call(t.Context(), phone.Plan{Number: "9001", Play: sound(t, "tone:880@-20"), Talk: 1500 * time.Millisecond, Record: record})
	if err != nil {
		t.Fatal(err)
	}
	tone(t, "the phone", r.Heard.Strongest, 1004, 0)
	tone(t, "the carrier", last(t, c).Heard.Strongest, 880, -20)
	if st, err := os.Stat(record); err != nil || st.Size() < 2*8000 {
		t.Errorf("recording: %v, %v; want over a second", st, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, nil)
	p := registered(t, c, nil)
	for number, want := range map[string]struct {
		status int
		text   []string
	}{
		"9002":         {486, []string{"busy", "cause=17"}},
		"9404":         {404, []string{"unknown", "cause=1;"}},
		"+49301234567": {404, []string{"unknown", "cause=1;"}},
		"9503":         {503, []string{"can't be reached", "cause=41"}},
	} {
		_, err := p.Call(t.Context(), phone.Plan{Number: number})
		var f *phone.Failure
		if !errors.As(err, &f) || f.Status != want.status {
			t.Errorf("%s: %v, want status %d", number, err, want.status)
			continue
		}
		for _, s := range want.text {
			if !strings.Contains(f.Text, s) {
				t.Errorf("%s: %q doesn't say %q", number, f.Text, s)
			}
		}
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, func(cfg *carrier.Config) { cfg.Ring = 2 * time.Second })
	p := registered(t, c, nil)
	_, err := p.Call(t.Context(), phone.Plan{Number: "9003", Ring: time.Second})
	var f *phone.Failure
	if !errors.As(err, &f) || !strings.Contains(f.Text, "9003 doesn't answer") {
		t.Errorf("given up by the phone: %v", err)
	}
	if far := last(t, c); far.EndedBy != "peer" || far.Answered != nil {
		t.Errorf("the carrier says %+v", far)
	}
	_, err = p.Call(t.Context(), phone.Plan{Number: "9003"})
	if !errors.As(err, &f) || f.Status != 480 || !strings.Contains(f.Text, "cause=19") {
		t.Errorf("given up by the carrier: %v", err)
	}
}

func TestAnnouncementBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, nil)
	p := registered(t, c, nil)
	r, err := p.Call(t.Context(), phone.Plan{Number: "9004", Play: sound(t, "tone:700@-15"), Talk: 1700 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	tone(t, "the phone", r.Heard.Strongest, 700, -15)
	if r.Heard.FirstAudio == nil || *r.Heard.FirstAudio > -2500 {
		t.Errorf("first audio %v ms after the answer, want over 2.5 s before it", r.Heard.FirstAudio)
	}
	if r.Heard.Seconds < 4.5 || r.Heard.Level < -35 {
		t.Errorf("heard %+v, want speech and echo", r.Heard)
	}
}

func TestDigitsAreReadBack(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, nil)
	p := registered(t, c, nil)
	r, err := p.Call(t.Context(), phone.Plan{Number: "9005", Digits: "159#", Expect: "159#", Talk: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if r.Digits != "159#" || r.EndedBy != "us" {
		t.Errorf("read back %q, ended by %s", r.Digits, r.EndedBy)
	}
	if far := last(t, c); far.Digits != "159#" {
		t.Errorf("the carrier heard %q", far.Digits)
	}
	if r.Heard.Level < -40 {
		t.Errorf("the digits weren't spoken: %+v", r.Heard)
	}
	// Without #, a pause is the end.
	began := time.Now()
	r, err = p.Call(t.Context(), phone.Plan{Number: "9005", Digits: "7", Expect: "7", Talk: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); r.Digits != "7" || took < 3*time.Second || took > 8*time.Second {
		t.Errorf("read back %q after %s, want 7 after 3 s of pause", r.Digits, took)
	}
}

func TestCarrierHangsUp(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, func(cfg *carrier.Config) { cfg.Longest = 1500 * time.Millisecond })
	p := registered(t, c, nil)
	began := time.Now()
	r, err := p.Call(t.Context(), phone.Plan{Number: "9001"})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); r.EndedBy != "peer" || !strings.Contains(r.Reason, "cause=16") || took < time.Second || took > 4*time.Second {
		t.Errorf("ended by %s for %q after %s, want by the carrier after 1.5 s", r.EndedBy, r.Reason, took)
	}
	c = newCarrier(t, nil)
	began = time.Now()
	r, err = registered(t, c, nil).Call(t.Context(), phone.Plan{Number: "9006"})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); r.EndedBy != "peer" || took < 2900*time.Millisecond || took > 6*time.Second {
		t.Errorf("9006 ended by %s after %s, want by the carrier after 3 s", r.EndedBy, took)
	}
}

func TestOnlyAccountsMayCall(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, nil)
	for name, change := range map[string]func(*phone.Config){
		"wrong password": func(cfg *phone.Config) { cfg.Password = "wrong" },
		"unknown user":   func(cfg *phone.Config) { cfg.User = "mallory" },
	} {
		p := newPhone(t, c, change)
		err := p.Register(t.Context())
		var f *phone.Failure
		if !errors.As(err, &f) || f.Status != 401 || !strings.Contains(f.Text, "password is wrong") {
			t.Errorf("%s: register: %v", name, err)
		}
		if _, err := p.Call(t.Context(), phone.Plan{Number: "9001"}); !errors.As(err, &f) || f.Status != 407 {
			t.Errorf("%s: call: %v", name, err)
		}
	}
	p := newPhone(t, c, nil) // the password is right, but it hasn't registered
	var f *phone.Failure
	if _, err := p.Call(t.Context(), phone.Plan{Number: "9001"}); !errors.As(err, &f) || f.Status != 403 {
		t.Errorf("not registered: %v, want 403", err)
	}
	if n := len(c.Registered()); n != 0 {
		t.Errorf("%d accounts are registered", n)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, nil)
	for _, transport := range []string{"udp", "tcp"} {
		p := newPhone(t, c, func(cfg *phone.Config) { cfg.Server, cfg.Transport = "127.0.0.1:9", transport })
		err := p.Register(t.Context())
		var f *phone.Failure
		if !errors.As(err, &f) || !strings.Contains(f.Text, "nobody answers at 127.0.0.1:9") {
			t.Errorf("%s: %v", transport, err)
		}
	}
}

func TestCallIn(t *testing.T) {
	t.Parallel()
	sock := filepath.Join(t.TempDir(), "c.sock")
	c := newCarrier(t, func(cfg *carrier.Config) { cfg.Control = sock })
	client := carrier.Connect(sock)
	if _, err := client.Call(t.Context(), carrier.Order{Number: "+4930555", From: "+491", Account: "alice"}, nil); err == nil ||
		!strings.Contains(err.Error(), "not registered") {
		t.Errorf("call to an account that isn't registered: %v", err)
	}
	p := registered(t, c, nil)
	type answered struct {
		r   phone.Result
		err error
	}
	done := make(chan answered, 1)
	go func() {
		r, err := p.Answer(context.Background(), phone.Plan{Play: sound(t, "tone:600@-12"), Talk: 6 * time.Second})
		done <- answered{r, err}
	}()
	var mu sync.Mutex
	var told []string
	var call carrier.Call
	for { // the phone needs a moment to wait
		var err error
		call, err = client.Call(t.Context(), carrier.Order{Number: "+4930555", From: "+491234", Account: "alice"}, func(x carrier.Told) {
			mu.Lock()
			told = append(told, x.Event)
			mu.Unlock()
		})
		if err != nil {
			t.Fatal(err)
		}
		if call.Status != 486 {
			break
		}
	}
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	if call.Answered == nil || call.EndedBy != "peer" || call.Direction != "out" || call.State != "ended" || a.r.Number != "+491234" {
		t.Errorf("call %+v; the phone was called by %s", call, a.r.Number)
	}
	tone(t, "the carrier", call.Heard.Strongest, 600, -12)
	tone(t, "the phone", a.r.Heard.Strongest, 600, -12)
	if s := strings.Join(told, "; "); !strings.Contains(s, "180 Ringing") || !strings.Contains(s, "answered") || !strings.Contains(s, "ended by peer") {
		t.Errorf("told %q", s)
	}
	if st, err := os.Stat(sock); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v: want mode 0600", st.Mode(), err)
	}
}

func TestCallInGivenUpByTheClient(t *testing.T) {
	t.Parallel()
	sock := filepath.Join(t.TempDir(), "c.sock")
	c := newCarrier(t, func(cfg *carrier.Config) { cfg.Control = sock })
	p := registered(t, c, nil)
	done := make(chan phone.Result, 1)
	go func() {
		r, err := p.Answer(context.Background(), phone.Plan{})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for tries := 0; ; tries++ {
		call, err := carrier.Connect(sock).Call(ctx, carrier.Order{Number: "100", From: "1", Account: "alice"}, func(x carrier.Told) {
			if x.Event == "answered" {
				time.AfterFunc(500*time.Millisecond, cancel) // once there is media: the phone misses it otherwise
			}
		})
		if err != nil {
			break
		}
		if call.Status != 486 || tries == 50 {
			t.Fatalf("call %+v, want it given up", call)
		}
	}
	if r := <-done; r.EndedBy != "peer" {
		t.Errorf("ended by %s, want the carrier", r.EndedBy)
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	sock := filepath.Join(t.TempDir(), "c.sock")
	client := carrier.Connect(sock)
	if _, err := client.Calls(t.Context(), false); err == nil || !strings.Contains(err.Error(), "no demo carrier is running") {
		t.Errorf("without a carrier: %v", err)
	}
	c := newCarrier(t, func(cfg *carrier.Config) { cfg.Control = sock })
	if _, err := carrier.New(carrier.Config{Listen: netip.AddrPortFrom(loopback, 0), Control: sock,
		Accounts: []carrier.Account{{User: "a", Password: "b"}}}); err == nil || !strings.Contains(err.Error(), "running there already") {
		t.Errorf("a second carrier on the same socket: %v", err)
	}
	if calls, err := client.Calls(t.Context(), true); err != nil || calls == nil || len(calls) != 0 {
		t.Errorf("calls %v, %v; want an empty list", calls, err)
	}
	for _, o := range []carrier.Order{
		{Number: "12 34", From: "1", Account: "alice"}, {Number: "1", From: "", Account: "alice"},
		{Number: "1", From: "1", Account: "nobody"}, {Number: "1", From: "1", Account: "alice", Ring: -1},
		{Number: strings.Repeat("1", 33), From: "1", Account: "alice"},
	} {
		if _, err := client.Call(t.Context(), o, nil); err == nil {
			t.Errorf("order %+v was taken", o)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	// What a carrier that was killed leaves behind is taken over.
	if err := os.WriteFile(sock+".x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	newCarrier(t, func(cfg *carrier.Config) { cfg.Control = sock })
}

func TestStopInACall(t *testing.T) {
	t.Parallel()
	sock := filepath.Join(t.TempDir(), "c.sock")
	c := newCarrier(t, func(cfg *carrier.Config) { cfg.Control = sock })
	p := registered(t, c, nil)
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	go func() {
		defer stop()
		for range 500 {
			calls, err := carrier.Connect(sock).Calls(ctx, false)
			if err == nil && len(calls) == 1 && calls[0].State == "talking" {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond) // there is media now
	}()
	r, err := p.Call(t.Context(), phone.Plan{Number: "9001"})
	if err != nil {
		t.Fatal(err)
	}
	if r.EndedBy != "peer" {
		t.Errorf("ended by %s, want by the carrier that stops", r.EndedBy)
	}
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	good := []carrier.Account{{User: "a", Password: "b"}}
	for name, cfg := range map[string]carrier.Config{
		"no address":      {Accounts: good},
		"all addresses":   {Listen: netip.MustParseAddrPort("0.0.0.0:0"), Accounts: good},
		"no account":      {Listen: netip.AddrPortFrom(loopback, 0)},
		"empty password":  {Listen: netip.AddrPortFrom(loopback, 0), Accounts: []carrier.Account{{User: "a"}}},
		"negative time":   {Listen: netip.AddrPortFrom(loopback, 0), Accounts: good, Longest: -1},
		"ports":           {Listen: netip.AddrPortFrom(loopback, 0), Accounts: good, MinPort: 9, MaxPort: 8},
		"socket's folder": {Listen: netip.AddrPortFrom(loopback, 0), Accounts: good, Control: "/nowhere/c.sock"},
	} {
		if c, err := carrier.New(cfg); err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
