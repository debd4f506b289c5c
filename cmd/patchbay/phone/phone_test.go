package phone_test

import (
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/cmd/patchbay/carrier"
	"github.com/patchbay/patchbay/cmd/patchbay/phone"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/wav"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newCarrier(t *testing.T) *carrier.Carrier {
	t.Helper()
	c, err := carrier.New(carrier.Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Accounts: []carrier.Account{{User: "bob", Password: "pw"}}})
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

func newPhone(t *testing.T, cfg phone.Config) *phone.Phone {
	t.Helper()
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

func TestFileIsPlayedAndRecorded(t *testing.T) {
	c := newCarrier(t)
	dir := t.TempDir()
	samples := make([]int16, 6*8000)
	for i := range samples {
		samples[i] = int16(g711.Mu().Peak() / 10 * math.Sin(2*math.Pi*1500*float64(i)/8000)) // -20 dBm0
	}
	in, out := filepath.Join(dir, "in.wav"), filepath.Join(dir, "out.wav")
	writeWAV(t, in, samples)
	sound, err := phone.ParseSound(in)
	if err != nil {
		t.Fatal(err)
	}
	var told []phone.Line
	p := newPhone(t, phone.Config{Server: c.Addr().String(), User: "bob", Password: "pw", Tell: func(l phone.Line) { told = append(told, l) }})
	if err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := p.Call(t.Context(), phone.Plan{Number: "9000", Play: sound, Record: out, Talk: 5200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Heard.Strongest; math.Abs(got.Hz-1500) > 1 || math.Abs(got.Level+20) > 0.3 {
		t.Errorf("the echo is %+v, want 1500 Hz at -20 dBm0", got)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if rec, err := wav.Read(f); err != nil || rec.Duration() < 4800*time.Millisecond || rec.Duration() > 5600*time.Millisecond {
		t.Errorf("recording of %v, %v; want about 5.2 s", rec.Duration(), err)
	}
	checkStory(t, told, r)
}

func checkStory(t *testing.T, told []phone.Line, r phone.Result) {
	t.Helper()
	if len(told) != len(r.Story) {
		t.Errorf("told %d lines, the result has %d", len(told), len(r.Story))
	}
	at := 0
	for _, want := range []string{"registers as bob", "is registered", "dials 9000", "answered: PCMU/8000", "hangs up", "ended by us"} {
		for at < len(told) && !strings.Contains(told[at].Text, want) {
			at++
		}
		if at == len(told) {
			t.Fatalf("the story doesn't say %q, or not in its place: %+v", want, told)
		}
	}
	if b, err := json.Marshal(r); err != nil || !strings.Contains(string(b), `"ended_by":"us"`) || strings.Contains(string(b), "pw") {
		t.Errorf("as JSON: %s, %v", b, err)
	}
}

func writeWAV(t *testing.T, path string, samples []int16) {
	t.Helper()
	le := func(n uint32, size int) []byte {
		return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}[:size]
	}
	n := uint32(2 * len(samples))
	b := append([]byte("RIFF"), le(36+n, 4)...)
	b = append(append(b, "WAVEfmt "...), le(16, 4)...)
	b = append(append(append(b, le(1, 2)...), le(1, 2)...), le(8000, 4)...)
	b = append(append(append(b, le(16000, 4)...), le(2, 2)...), le(16, 2)...)
	b = append(append(b, "data"...), le(n, 4)...)
	for _, s := range samples {
		b = append(b, byte(s), byte(uint16(s)>>8))
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBusyAndLate(t *testing.T) {
	c := newCarrier(t)
	p := newPhone(t, phone.Config{Server: c.Addr().String(), User: "bob", Password: "pw"})
	if err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Nobody waits for the call: busy.
	call, err := c.Call(t.Context(), carrier.Order{Number: "7", From: "8", Account: "bob"}, nil)
	if err != nil || call.Status != 486 || call.Answered != nil {
		t.Errorf("call %+v, %v; want busy", call, err)
	}
	var f *phone.Failure
	if _, err := p.Answer(t.Context(), phone.Plan{Ring: 50 * time.Millisecond}); !errors.As(err, &f) || !strings.Contains(f.Text, "no call came") {
		t.Errorf("no call: %v", err)
	}
}

// A server that receives and says nothing.
func TestSilentServer(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := newPhone(t, phone.Config{Server: l.LocalAddr().String(), User: "bob", Password: "pw"})
	began := time.Now()
	var f *phone.Failure
	if err := p.Register(t.Context()); !errors.As(err, &f) || !strings.Contains(f.Text, "nobody answers at") {
		t.Errorf("register: %v", err)
	}
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestMistakes(t *testing.T) {
	for name, cfg := range map[string]phone.Config{
		"no user":           {Server: "127.0.0.1"},
		"no server":         {User: "a"},
		"port":              {User: "a", Server: "127.0.0.1:99999"},
		"transport":         {User: "a", Server: "127.0.0.1", Transport: "tls"},
		"codec":             {User: "a", Server: "127.0.0.1", Codecs: []string{"g729"}},
		"phone and browser": {User: "a", Server: "127.0.0.1", Page: "http://127.0.0.1:1"},
		"no URL":            {User: "a", Page: "127.0.0.1:8888"},
		"unknown name":      {User: "a", Server: "no.such.host.invalid"},
	} {
		if p, err := phone.New(t.Context(), cfg); err == nil {
			p.Close()
			t.Errorf("%s: no error", name)
		}
	}
	p := newPhone(t, phone.Config{Server: "127.0.0.1", User: "a"})
	for name, plan := range map[string]phone.Plan{
		"digits": {Number: "1", Digits: "1x"}, "time": {Number: "1", Talk: -1}, "number": {Number: "1\r\n2"},
	} {
		if _, err := p.Call(t.Context(), plan); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, s := range []string{"tone:", "tone:abc@1", "tone:440@99", "tone:10", "tone:NaN", "tone:440@NaN", "/no/such/file.wav", "/etc/hostname"} {
		if _, err := phone.ParseSound(s); err == nil {
			t.Errorf("sound %q: no error", s)
		}
	}
	for _, s := range []string{"", "silence", "tone:440", "tone:440.5@-10.5"} {
		if _, err := phone.ParseSound(s); err != nil {
			t.Errorf("sound %q: %v", s, err)
		}
	}
}
