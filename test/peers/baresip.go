package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
)

// BaresipConfig is one phone.
type BaresipConfig struct {
	User, Password string     // of the address of record and of digest; a phone without a password doesn't authenticate
	Domain         string     // of the address of record
	Proxy          string     // host:port that it registers at and sends to; empty: neither
	TCP            bool       // SIP over TCP
	CA             string     // PEM file: SIP over TLS, with a server that this authority vouches for
	Codecs         string     // such as "PCMU/8000/1"; empty: PCMU and PCMA
	Audio          audio.Clip // what its microphone hears; empty: silence
	Bind           netip.Addr // its address; zero: one of its own
	SRTP           string     // srtp (offered beside plain RTP), srtp-mand, srtp-mandf: keys in SDP; empty: none
	Ptime          int        // ms of its packets, said in its SDP; 0: 20
	AutoAnswer     bool       // accepts every call
	AnswerAfter    time.Duration
}

// Baresip is a running phone.
type Baresip struct {
	*Process
	SIP  netip.AddrPort // where it listens
	User string
	dir  string
	conn net.Conn

	mu      sync.Mutex
	tokens  int
	answers map[string]chan reply
	events  []*Event
	news    chan struct{} // closed and renewed with each event
	readers sync.WaitGroup
}

// Event is what baresip says unasked.
type Event struct {
	Type      string `json:"type"` // REGISTER_OK, CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED, CALL_DTMF_START …
	Class     string `json:"class"`
	Direction string `json:"direction"`
	Peer      string `json:"peeruri"`
	ID        string `json:"id"`    // the call's Call-ID
	Param     string `json:"param"` // the reason of CALL_CLOSED, the digit of CALL_DTMF_START
	At        time.Time
	taken     bool
}

type reply struct {
	OK   bool   `json:"ok"`
	Data string `json:"data"`
}

// StartBaresip starts a phone; it has registered, if it has a proxy, when it is returned.
func StartBaresip(t testing.TB, cfg BaresipConfig) *Baresip {
	t.Helper()
	if cfg.User == "" || cfg.Domain == "" {
		t.Fatalf("peers: baresip: user %q and domain %q, expected both", cfg.User, cfg.Domain)
	}
	if !cfg.Bind.IsValid() {
		cfg.Bind = Address(t)
	}
	b := &Baresip{
		SIP: netip.AddrPortFrom(cfg.Bind, 5060), User: cfg.User,
		dir:     subfolder(t, Folder(t), "baresip-"+cfg.User),
		answers: map[string]chan reply{}, news: make(chan struct{}),
	}
	control := netip.AddrPortFrom(cfg.Bind, 4444)
	b.configure(t, cfg, control)
	b.Process = start(t, command{name: "baresip", dir: b.dir, path: "baresip", args: []string{"-f", b.dir}})
	b.ready(t, 10*time.Second, func() bool {
		var err error
		b.conn, err = net.DialTimeout("tcp", control.String(), time.Second)
		return err == nil
	})
	b.readers.Go(func() { b.read(cfg) })
	// baresip 1.0.0 may hang while it quits, and it has nothing to lose.
	t.Cleanup(func() { b.Process.Stop(syscall.SIGKILL, 0); _ = b.conn.Close(); b.readers.Wait() })
	if cfg.Proxy != "" {
		// Events before the control connection are lost, so ask.
		Wait(t, 10*time.Second, cfg.User+" to register", b.Registered)
	}
	return b
}

func (b *Baresip) configure(t testing.TB, cfg BaresipConfig, control netip.AddrPort) {
	source := cfg.Audio
	if len(source.Samples) == 0 {
		source = audio.Clip{Rate: 8000, Samples: make([]int16, 8000*60)}
	}
	wav := filepath.Join(b.dir, "source.wav")
	if err := audio.WriteWAV(wav, source); err != nil {
		t.Fatalf("peers: baresip: %v", err)
	}
	trust := ""
	if cfg.CA != "" {
		trust = "sip_cafile " + cfg.CA + "\nsip_verify_server yes\n"
	}
	write(t, filepath.Join(b.dir, "config"), fmt.Sprintf(`poll_method epoll
sip_listen %s
net_interface lo
audio_source aufile,%s
audio_player aubridge,sink-%s
audio_alert aubridge,alert-%s
ausrc_srate 8000
auplay_srate 8000
rtp_tos 184
rtp_ports %d-%d
rtcp_mux no
jitter_buffer_delay 5-10
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen %s
snd_path %s
ringback_disabled yes
%s`, b.SIP, wav, cfg.User, cfg.User, b.ports(), b.ports()+portsEach-1, control, b.dir, trust))
	transport := ""
	if cfg.TCP {
		transport = ";transport=tcp"
	}
	if cfg.CA != "" {
		transport = ";transport=tls"
	}
	account := fmt.Sprintf("<sip:%s@%s%s>;answermode=manual", cfg.User, cfg.Domain, transport)
	if cfg.Password != "" {
		account += fmt.Sprintf(";auth_user=%s;auth_pass=%s", cfg.User, cfg.Password)
	}
	if cfg.Proxy != "" {
		account += fmt.Sprintf(`;outbound="sip:%s%s";regint=600`, cfg.Proxy, transport)
	} else {
		account += ";regint=0"
	}
	if cfg.SRTP != "" {
		account += ";mediaenc=" + cfg.SRTP
	}
	if cfg.Ptime != 0 {
		account += ";ptime=" + strconv.Itoa(cfg.Ptime)
	}
	if cfg.Codecs == "" {
		cfg.Codecs = "PCMU/8000/1,PCMA/8000/1"
	}
	write(t, filepath.Join(b.dir, "accounts"), account+";audio_codecs="+cfg.Codecs+"\n")
}

// portsEach is how many RTP and RTCP ports each phone has.
const portsEach = 100

// ports is the first of the phone's ports. They follow from its address, since baresip
// 1.0.0 takes the first address of the interface for media, whatever it is told: phones
// share one, and only the port tells whose a packet is.
func (b *Baresip) ports() uint16 { return 30000 + portsEach*uint16(b.SIP.Addr().As4()[3]) }

// Hears tells whether a captured packet goes to this phone's media ports.
func (b *Baresip) Hears(p Packet) bool {
	return p.Dst.Port() >= b.ports() && p.Dst.Port() < b.ports()+portsEach
}

// Says tells whether a captured packet comes from this phone's media ports.
func (b *Baresip) Says(p Packet) bool {
	return p.Src.Port() >= b.ports() && p.Src.Port() < b.ports()+portsEach
}

// read takes in answers and events until the connection ends.
func (b *Baresip) read(cfg BaresipConfig) {
	r := bufio.NewReader(b.conn)
	for {
		raw, err := readNetstring(r)
		if err != nil {
			return
		}
		var m struct {
			Event
			reply
			IsEvent bool   `json:"event"`
			Token   string `json:"token"`
		}
		if json.Unmarshal(raw, &m) != nil {
			continue
		}
		b.mu.Lock()
		if !m.IsEvent {
			if c := b.answers[m.Token]; c != nil {
				delete(b.answers, m.Token)
				c <- m.reply
			}
			b.mu.Unlock()
			continue
		}
		e := m.Event
		e.At = time.Now()
		b.events = append(b.events, &e)
		close(b.news)
		b.news = make(chan struct{})
		b.mu.Unlock()
		if cfg.AutoAnswer && e.Type == "CALL_INCOMING" {
			b.readers.Go(func() {
				select {
				case <-time.After(cfg.AnswerAfter):
					_, _ = b.command("accept", "")
				case <-b.done:
				}
			})
		}
	}
}

func (b *Baresip) command(name, params string) (reply, error) {
	b.mu.Lock()
	b.tokens++
	token := strconv.Itoa(b.tokens)
	answer := make(chan reply, 1)
	b.answers[token] = answer
	raw, err := json.Marshal(map[string]string{"command": name, "params": params, "token": token})
	if err == nil {
		_, err = b.conn.Write(appendNetstring(nil, raw))
	}
	b.mu.Unlock()
	if err != nil {
		return reply{}, err
	}
	select {
	case r := <-answer:
		if !r.OK {
			return r, fmt.Errorf("%s", strings.TrimSpace(r.Data))
		}
		return r, nil
	case <-b.done:
		return reply{}, fmt.Errorf("baresip has ended")
	case <-time.After(5 * time.Second):
		return reply{}, fmt.Errorf("no answer in 5 s")
	}
}

// Command runs one of baresip's long commands and returns what it prints.
func (b *Baresip) Command(t testing.TB, name, params string) string {
	t.Helper()
	r, err := b.command(name, params)
	if err != nil {
		t.Fatalf("peers: baresip %s: %s %s: %v", b.User, name, params, err)
	}
	return r.Data
}

// Registered tells whether the registrar has accepted the phone.
func (b *Baresip) Registered() bool {
	r, err := b.command("reginfo", "")
	return err == nil && strings.Contains(r.Data, "OK")
}

// Dial calls a SIP URI.
func (b *Baresip) Dial(t testing.TB, uri string) { t.Helper(); b.Command(t, "dial", uri) }

// Accept answers the ringing call.
func (b *Baresip) Accept(t testing.TB) { t.Helper(); b.Command(t, "accept", "") }

// Hangup ends (or refuses) the call.
func (b *Baresip) Hangup(t testing.TB) { t.Helper(); b.Command(t, "hangup", "") }

// Hold puts the call on hold.
func (b *Baresip) Hold(t testing.TB) { t.Helper(); b.Command(t, "hold", "") }

// Resume takes the call from hold.
func (b *Baresip) Resume(t testing.TB) { t.Helper(); b.Command(t, "resume", "") }

// CallStat is baresip's line about the call.
func (b *Baresip) CallStat(t testing.TB) string { t.Helper(); return b.Command(t, "callstat", "") }

// SendDTMF presses the keys one after the other, 200 ms apart.
func (b *Baresip) SendDTMF(t testing.TB, keys string) {
	t.Helper()
	for _, k := range keys {
		b.Command(t, "sndcode", string(k))
		time.Sleep(200 * time.Millisecond)
	}
}

// DTMF is all digits received so far.
func (b *Baresip) DTMF() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	for _, e := range b.events {
		if e.Type == "CALL_DTMF_START" {
			s.WriteString(e.Param)
		}
	}
	return s.String()
}

// Events is all events so far.
func (b *Baresip) Events() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Event, len(b.events))
	for i, e := range b.events {
		out[i] = *e
	}
	return out
}

// Expect waits for an event of the type that no Expect took before.
func (b *Baresip) Expect(t testing.TB, kind string, timeout time.Duration) Event {
	t.Helper()
	late := time.NewTimer(timeout)
	defer late.Stop()
	for {
		b.mu.Lock()
		for _, e := range b.events {
			if e.Type == kind && !e.taken {
				e.taken = true
				b.mu.Unlock()
				return *e
			}
		}
		news := b.news
		b.mu.Unlock()
		select {
		case <-news:
		case <-b.done:
			t.Fatalf("peers: baresip %s ended before %s", b.User, kind)
		case <-late.C:
			t.Fatalf("peers: baresip %s: no %s in %v; events: %+v", b.User, kind, timeout, b.Events())
		}
	}
}

// Heard is the recording of what the phone received in its latest call, which
// must be over. It holds what was decoded, end to end: time that was lost on
// the way is not in it, so look for gaps in a Capture.
func (b *Baresip) Heard(t testing.TB) audio.Clip { t.Helper(); return b.recording(t, "dec") }

// Said is the recording of what the phone sent.
func (b *Baresip) Said(t testing.TB) audio.Clip { t.Helper(); return b.recording(t, "enc") }

func (b *Baresip) recording(t testing.TB, side string) audio.Clip {
	t.Helper()
	var files []string
	Wait(t, 3*time.Second, "a recording of "+b.User, func() bool {
		files, _ = filepath.Glob(filepath.Join(b.dir, "dump-*-"+side+".wav"))
		return len(files) > 0
	})
	c, err := audio.ReadWAV(files[len(files)-1]) // names hold the time, Glob sorts
	if err != nil {
		t.Fatalf("peers: baresip %s: %v", b.User, err)
	}
	return c
}
