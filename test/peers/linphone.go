package peers

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
)

// LinphoneConfig is one linphonec.
type LinphoneConfig struct {
	User, Password, Domain string
	Proxy                  netip.AddrPort // that it registers at
	Audio                  audio.Clip     // what its microphone hears
}

// Linphone is a running linphonec, a phone with a command line.
type Linphone struct {
	*Process
	SIP   netip.AddrPort
	User  string
	dir   string
	stdin *os.File
}

// StartLinphone starts a phone; it is registered when it is returned.
func StartLinphone(t testing.TB, cfg LinphoneConfig) *Linphone {
	t.Helper()
	l := &Linphone{SIP: netip.AddrPortFrom(Address(t), 5060), User: cfg.User, dir: subfolder(t, Folder(t), "linphone-"+cfg.User)}
	for _, d := range []string{".local/share/linphone", ".config/linphone"} { // it doesn't make them
		if err := os.MkdirAll(filepath.Join(l.dir, d), 0o755); err != nil {
			t.Fatalf("peers: linphone: %v", err)
		}
	}
	online(t)
	if err := audio.WriteWAV(l.file("source.wav"), cfg.Audio); err != nil {
		t.Fatalf("peers: linphone: %v", err)
	}
	// Opus and the rest go, and with them what needs a sound card's rate.
	codecs := ""
	for i, c := range []struct {
		mime string
		rate int
	}{{"opus", 48000}, {"speex", 16000}, {"speex", 8000}, {"G729", 8000}, {"PCMU", 8000}, {"PCMA", 8000}} {
		on := 0
		if strings.HasPrefix(c.mime, "PCM") {
			on = 1
		}
		codecs += fmt.Sprintf("[audio_codec_%d]\nmime=%s\nrate=%d\nchannels=1\nenabled=%d\n", i, c.mime, c.rate, on)
	}
	write(t, l.file("linphonerc"), fmt.Sprintf(`[sip]
sip_port=%d
sip_tcp_port=0
sip_tls_port=0
bind_address=%s
guess_hostname=0
contact=sip:%s@%s
[rtp]
audio_rtp_port=7078
bind_address=%s
[net]
nat_address=%s
firewall_policy=nat_address
[sound]
echocancellation=0
%s`, l.SIP.Port(), l.SIP.Addr(), cfg.User, l.SIP, l.SIP.Addr(), l.SIP.Addr(), codecs))
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatalf("peers: linphone: %v", err)
	}
	defer in.Close()
	l.stdin = out
	l.Process = start(t, command{name: "linphonec", dir: l.dir, path: "linphonec", args: []string{"-c", l.file("linphonerc"), "-d", "5", "-l", l.file("debug.log")}, env: []string{"HOME=" + l.dir}, stdin: in})
	t.Cleanup(func() { l.Stop(syscall.SIGKILL, 0); _ = out.Close() })
	l.order(t, "soundcard use files")
	l.order(t, "play "+l.file("source.wav"))
	l.order(t, "record "+l.file("heard.wav"))
	l.order(t, fmt.Sprintf("register sip:%s@%s sip:%s %s", cfg.User, cfg.Domain, cfg.Proxy, cfg.Password))
	l.Expect(t, "LinphoneRegistrationOk", 10*time.Second)
	return l
}

// online gives the namespace a way out that leads nowhere: without one linphonec takes itself to be offline.
func online(t testing.TB) {
	t.Helper()
	for _, args := range []string{"link add out0 type veth peer name out1", "addr add 10.99.0.1/24 dev out0", "link set out0 up", "link set out1 up", "route add default dev out0"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("peers: linphone: ip %s: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "out0").Run() })
}

func (l *Linphone) file(name string) string { return filepath.Join(l.dir, name) }

func (l *Linphone) order(t testing.TB, line string) {
	t.Helper()
	if _, err := l.stdin.WriteString(line + "\n"); err != nil {
		t.Fatalf("peers: linphone: %s: %v", line, err)
	}
}

// Expect waits until its log tells of a state, such as CallIncomingReceived. It says nothing while nobody types.
func (l *Linphone) Expect(t testing.TB, state string, timeout time.Duration) {
	t.Helper()
	Wait(t, timeout, "linphonec to come to the state "+state, func() bool {
		b, _ := os.ReadFile(l.file("debug.log"))
		return strings.Contains(string(b), state)
	})
}

// Type types at its prompt: during a call digits are sent.
func (l *Linphone) Type(t testing.TB, line string) { t.Helper(); l.order(t, line) }

// Dial calls.
func (l *Linphone) Dial(t testing.TB, uri string) { t.Helper(); l.order(t, "call "+uri) }

// Answer takes the call that comes in.
func (l *Linphone) Answer(t testing.TB) { t.Helper(); l.order(t, "answer") }

// Hangup ends the call.
// Hangup ends the call.
func (l *Linphone) Hangup(t testing.TB) { t.Helper(); l.order(t, "terminate") }

// Heard is what it has recorded so far.
func (l *Linphone) Heard(t testing.TB) audio.Clip {
	t.Helper()
	c, err := audio.ReadWAV(l.file("heard.wav"))
	if err != nil {
		t.Fatalf("peers: linphone: %v", err)
	}
	return c
}

// Debug are the lines of its log that hold a word.
func (l *Linphone) Debug(t testing.TB, word string) []string {
	t.Helper()
	data, err := os.ReadFile(l.file("debug.log"))
	if err != nil {
		t.Fatalf("peers: linphone: %v", err)
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, word) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}
