package peers

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
)

// SIPpConfig is one run of SIPp.
type SIPpConfig struct {
	Name     string         // of its subfolder; one per test
	Scenario string         // XML file
	Remote   netip.AddrPort // where requests go; zero: it waits for calls
	Bind     netip.AddrPort // zero: an address of its own, port 5060; port 0 is 5060
	TCP      bool
	Calls    int           // it ends after so many; 0: only when stopped
	Rate     float64       // calls per second; 0: SIPp's 10
	Limit    int           // calls at a time; 0: SIPp's default
	Users    [][]string    // fields injected into the calls, one line each, in order
	Username string        // of digest and of [service]
	Password string        // of digest
	RTPEcho  bool          // send back what comes to the media port and the one two above
	Media    uint16        // media port; 0: 6000
	Tone     audio.Clip    // written as tone.ul (PCMU) into its folder, for rtp_stream
	Length   time.Duration // of pauses without a length of their own
	Keys     []string      // name, value, name, value: keywords of the scenario
	Timeout  time.Duration // it gives up after this; 0: 60 s for who calls, and who waits for calls does so until it is stopped
	Cores    string        // that it may use, as taskset takes them; empty: all
	Quiet    bool          // messages aren't logged: for a load
	Args     []string      // more of its options
}

// SIPp is a running SIPp.
type SIPp struct {
	*Process
	SIP netip.AddrPort
	dir string
}

// StartSIPp starts SIPp; its socket is bound when it is returned.
func StartSIPp(t testing.TB, cfg SIPpConfig) *SIPp {
	t.Helper()
	scenario, err := filepath.Abs(cfg.Scenario)
	if err != nil {
		t.Fatalf("peers: sipp: %v", err)
	}
	if !cfg.Bind.IsValid() {
		cfg.Bind = netip.AddrPortFrom(Address(t), 5060)
	}
	if cfg.Bind.Port() == 0 {
		cfg.Bind = netip.AddrPortFrom(cfg.Bind.Addr(), 5060)
	}
	s := &SIPp{SIP: cfg.Bind, dir: subfolder(t, Folder(t), "sipp-"+cfg.Name)}
	s.Process = start(t, command{name: "sipp", dir: s.dir, path: "sipp", args: s.args(t, cfg, scenario), cores: cfg.Cores, stdout: filepath.Join(s.dir, "screen")})
	t.Cleanup(func() {
		s.Stop(syscall.SIGKILL, 0)
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(s.dir, "errors.log"))
			t.Logf("--- errors of sipp %s (messages in %s)\n%s", cfg.Name, s.dir, b)
		}
	})
	if cfg.TCP {
		// A short run may be over before its socket is seen.
		return s
	}
	ok := poll(5*time.Second, func() bool { return !s.Running() || bound(s.SIP) })
	code, ended := s.Process.Wait(0)
	if !ok || ended && code != 0 {
		b, _ := os.ReadFile(filepath.Join(s.dir, "errors.log"))
		t.Fatalf("peers: sipp %s didn't start: exit code %d\n%s\n%s", cfg.Name, code, s.Tail(20), b)
	}
	return s
}

func (s *SIPp) args(t testing.TB, cfg SIPpConfig, scenario string) []string {
	if cfg.Timeout == 0 && cfg.Remote.IsValid() {
		cfg.Timeout = 60 * time.Second
	}
	if cfg.Media == 0 {
		cfg.Media = 6000
	}
	transport := "u1"
	if cfg.TCP {
		transport = "t1"
	}
	args := []string{
		"-sf", scenario, "-t", transport, "-i", s.SIP.Addr().String(), "-p", strconv.Itoa(int(s.SIP.Port())),
		"-mi", s.SIP.Addr().String(), "-mp", strconv.Itoa(int(cfg.Media)), "-nostdin", "-skip_rlimit",
		"-trace_err", "-error_file", s.file("errors.log"),
		"-trace_stat", "-stf", s.file("stat.csv"), "-fd", "1",
	}
	if cfg.Timeout > 0 {
		args = append(args, "-timeout", strconv.Itoa(int(cfg.Timeout.Seconds()))+"s")
	}
	if !cfg.Quiet {
		args = append(args, "-trace_msg", "-message_file", s.file("messages.log"), "-ringbuffer_size", "0", "-trace_logs", "-log_file", s.file("actions.log"))
	}
	if cfg.Calls > 0 {
		args = append(args, "-m", strconv.Itoa(cfg.Calls))
	}
	if cfg.Rate > 0 {
		// SIPp's rate is whole per period, so scale the period.
		args = append(args, "-r", strconv.Itoa(int(cfg.Rate*10+0.5)), "-rp", "10000")
	}
	if cfg.Limit > 0 {
		args = append(args, "-l", strconv.Itoa(cfg.Limit))
	}
	if len(cfg.Users) > 0 {
		var b strings.Builder
		b.WriteString("SEQUENTIAL\n")
		for _, u := range cfg.Users {
			b.WriteString(strings.Join(u, ";") + "\n")
		}
		write(t, s.file("users.csv"), b.String())
		args = append(args, "-inf", s.file("users.csv"))
	}
	if cfg.Username != "" {
		args = append(args, "-s", cfg.Username, "-au", cfg.Username, "-ap", cfg.Password)
	}
	if len(cfg.Tone.Samples) > 0 {
		b := make([]byte, len(cfg.Tone.Samples))
		for i, v := range cfg.Tone.Samples {
			b[i] = audio.MuLaw.Encode(v)
		}
		write(t, s.file("tone.ul"), string(b))
	}
	if cfg.Length > 0 {
		args = append(args, "-d", strconv.Itoa(int(cfg.Length.Milliseconds())))
	}
	if cfg.RTPEcho {
		args = append(args, "-rtp_echo")
	}
	for i := 0; i+1 < len(cfg.Keys); i += 2 {
		args = append(args, "-key", cfg.Keys[i], cfg.Keys[i+1])
	}
	args = append(args, cfg.Args...)
	if cfg.Remote.IsValid() {
		args = append(args, cfg.Remote.String())
	}
	return args
}

// Says tells whether a captured packet comes from SIPp's media address.
func (s *SIPp) Says(p Packet) bool { return p.Src.Addr() == s.SIP.Addr() && p.Src != s.SIP }

func (s *SIPp) file(name string) string { return filepath.Join(s.dir, name) }

// Done waits until SIPp has ended by itself, and fails the test if that takes
// longer than timeout or one of its calls went otherwise than its scenario.
func (s *SIPp) Done(t testing.TB, timeout time.Duration) {
	t.Helper()
	code, ok := s.Process.Wait(timeout)
	if !ok {
		t.Fatalf("peers: sipp in %s still runs after %v", s.dir, timeout)
	}
	if code != 0 {
		t.Errorf("peers: sipp in %s ended with code %d, expected 0 (1: some call failed)", s.dir, code)
	}
}

// Errors is SIPp's error log.
func (s *SIPp) Errors() string {
	b, _ := os.ReadFile(s.file("errors.log"))
	return string(b)
}

// Finish asks SIPp to end once its calls have, and waits for it. Its log is whole then.
func (s *SIPp) Finish(t testing.TB, timeout time.Duration) {
	t.Helper()
	s.Signal(syscall.SIGUSR1)
	if _, ok := s.Process.Wait(timeout); !ok {
		t.Errorf("peers: sipp in %s still has calls after %v", s.dir, timeout)
		s.Stop(syscall.SIGKILL, 0)
	}
}

// Messages is SIPp's message log.
func (s *SIPp) Messages(t testing.TB) []Message {
	t.Helper()
	f, err := os.Open(s.file("messages.log"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatalf("peers: sipp: %v", err)
	}
	defer f.Close()
	m, err := ParseSIPpLog(f)
	if err != nil {
		t.Fatalf("peers: sipp: %s: %v", f.Name(), err)
	}
	return m
}

// Calls is the calls in SIPp's message log, in the order of their first message.
func (s *SIPp) Calls(t testing.TB) []Call {
	t.Helper()
	return Calls(s.Messages(t))
}

// Stat is a column of the last line of SIPp's statistics, such as "SuccessfulCall(C)".
func (s *SIPp) Stat(t testing.TB, column string) string {
	t.Helper()
	b, err := os.ReadFile(s.file("stat.csv"))
	if err != nil {
		t.Fatalf("peers: sipp: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	last := strings.Split(lines[len(lines)-1], ";")
	for i, name := range strings.Split(lines[0], ";") {
		if name == column && i < len(last) {
			return last[i]
		}
	}
	t.Fatalf("peers: sipp: no column %q in %s", column, fmt.Sprint(lines[0]))
	return ""
}
