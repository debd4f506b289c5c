package webrtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

// witness keeps what an endpoint tells of ICE and DTLS.
type witness struct {
	mu   sync.Mutex
	told []Event
	then func(Event)
}

func (w *witness) event(e Event) {
	w.mu.Lock()
	w.told = append(w.told, e)
	then := w.then
	w.mu.Unlock()
	if then != nil {
		then(e)
	}
}

// words are the events, each as one word.
func (w *witness) words() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.told {
		switch e := e.(type) {
		case CandidateFound:
			out = append(out, "candidate")
		case GatheringDone:
			out = append(out, "done")
		case ComponentChanged:
			out = append(out, e.State.String())
		case PairSelected:
			out = append(out, "pair")
		case HandshakeChanged:
			out = append(out, "dtls "+e.State.String())
		}
	}
	return out
}

func (w *witness) candidates() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.told {
		if c, ok := e.(CandidateFound); ok {
			out = append(out, c.Candidate)
		}
	}
	return out
}

// mailbox is how two sides trickle: what is put in is handed over on a goroutine of its own.
type mailbox struct {
	in   chan string
	work sync.WaitGroup
}

func newMailbox(t *testing.T) *mailbox {
	m := &mailbox{in: make(chan string, 100)}
	t.Cleanup(func() {
		close(m.in)
		m.work.Wait()
	})
	return m
}

func (m *mailbox) to(t *testing.T, take func(string) error) {
	m.work.Go(func() {
		for c := range m.in {
			if err := take(c); err != nil {
				t.Errorf("candidate %q: %v", c, err)
			}
		}
	})
}

func port(t *testing.T) *Port {
	return newPort(t, func(c *PortConfig) { c.Streams = []netip.AddrPort{netip.AddrPortFrom(localhost, 0)} })
}

// trickled is a leg and a browser that tell each other their candidates one by one.
func trickled(t *testing.T, p *Port, s Stack, b webrtctest.Config, more ...func(*Config)) (*leg, *webrtctest.Browser, *witness) {
	t.Helper()
	w, ours, theirs := &witness{}, newMailbox(t), newMailbox(t)
	w.then = func(e Event) {
		if c, ok := e.(CandidateFound); ok {
			ours.in <- c.Candidate
		}
	}
	l := newLeg(t, p, func(c *Config) {
		c.Stack, c.Trickle, c.Watch = s, true, w.event
		for _, m := range more {
			m(c)
		}
	})
	b.Found = func(c string) { theirs.in <- c }
	browser := newBrowser(t, b)
	theirs.to(t, func(c string) error { return l.AddCandidate(c, "", -1) })
	ours.to(t, browser.AddCandidate)
	return l, browser, w
}

// Candidates are told one by one, whoever offers, and the browser's come before its SDP too.
func TestTrickle(t *testing.T) {
	bothStacks(t, func(t *testing.T, s Stack) {
		for _, calls := range []bool{true, false} {
			t.Run(fmt.Sprintf("browser offers %t", calls), func(t *testing.T) {
				l, b, w := trickled(t, port(t), s, webrtctest.Config{})
				formats := media.Want{Formats: []*media.Format{media.PCMU()}}
				if calls {
					offer := must[[]byte](t)(b.Offer(context.Background(), false))
					if bytes.Contains(offer, []byte("a=candidate")) {
						t.Fatal("the browser doesn't trickle")
					}
					p := must[media.Pending](t)(l.Answer(context.Background(), offer, formats))
					if err := p.Commit(); err != nil {
						t.Fatal(err)
					}
					if bytes.Contains(p.SDP(), []byte("a=candidate")) {
						t.Errorf("the answer has candidates:\n%s", p.SDP())
					}
					if err := b.Accept(p.SDP()); err != nil {
						t.Fatal(err)
					}
				} else {
					l.dial(b, formats)
				}
				if w := w.words(); slices.Contains(w, "candidate") || slices.Contains(w, "GATHERING") {
					t.Errorf("before it gathers the leg tells %v", w)
				}
				if err := l.Gather(); err != nil {
					t.Fatal(err)
				}
				isUp(t, b)
				hears(t, l, b, media.PCMU(), 440)
				await(t, "READY", func() bool { return slices.Contains(w.words(), "READY") })
				words := w.words()
				last := -1
				for _, word := range []string{"candidate", "GATHERING", "CONNECTING", "pair", "CONNECTED", "READY"} {
					i := slices.Index(words, word)
					if i <= last {
						t.Errorf("told %v, expected %s behind what comes before it", words, word)
					}
					last = i
				}
				if done := slices.Index(words, "done"); done < 0 || done > slices.Index(words, "READY") || !slices.Contains(words, "dtls CONNECTED") {
					t.Errorf("told %v", words)
				}
				if c := l.Connectivity(); c.ICE != ICEReady || c.DTLS != DTLSConnected || !strings.HasPrefix(c.Pair.Local, "candidate:") || !strings.HasPrefix(c.Pair.Remote, "candidate:") {
					t.Errorf("connectivity is %+v", c)
				}
				local := string(l.Local())
				for _, c := range w.candidates() {
					if !strings.Contains(local, "a="+c+"\r\n") {
						t.Errorf("%s isn't in the description:\n%s", c, local)
					}
				}
				if !strings.Contains(local, "a=end-of-candidates") {
					t.Errorf("the description doesn't end its candidates:\n%s", local)
				}
			})
		}
	})
}

// A browser to which UDP is barred comes over TCP.
func TestStreams(t *testing.T) {
	p := port(t)
	l, b, w := trickled(t, p, PeerConnection, webrtctest.Config{TCPOnly: true})
	l.call(b, media.Want{Formats: []*media.Format{media.PCMU()}}, false)
	if err := l.Gather(); err != nil {
		t.Fatal(err)
	}
	isUp(t, b)
	hears(t, l, b, media.PCMU(), 440)
	if c := l.Connectivity().Pair; !strings.Contains(strings.ToLower(c.Local), " tcp ") {
		t.Errorf("the pair is %+v, want TCP", c)
	}
	if !slices.ContainsFunc(w.candidates(), func(c string) bool { return strings.Contains(c, "tcptype passive") }) {
		t.Errorf("candidates are %q, want a passive one", w.candidates())
	}
	if n := drops(p)["webrtc.streams"]; n < 1 {
		t.Errorf("the port has %v connections", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	await(t, "the connections' end", func() bool { return drops(p)["webrtc.streams"] == 0 })
}

// Without TCP there are no such candidates.
func TestNoStreams(t *testing.T) {
	w := &witness{}
	l := newLeg(t, port(t), func(c *Config) {
		c.Stack, c.Trickle, c.Watch, c.ICE.NoTCP = PeerConnection, true, w.event, true
	})
	must[media.Offer](t)(l.Offer(context.Background(), media.Want{}))
	if err := l.Gather(); err != nil {
		t.Fatal(err)
	}
	await(t, "the end", func() bool { return slices.Contains(w.words(), "done") })
	if c := w.candidates(); len(c) != 1 || !strings.Contains(c[0], " udp ") {
		t.Errorf("candidates are %q, want one of UDP", c)
	}
}

// Who connects and shows no password is let go, and gets nothing.
func TestStreamsOfStrangers(t *testing.T) {
	p := port(t)
	l := newLeg(t, p, func(c *Config) { c.Stack = PeerConnection })
	c := newCaller(t)
	c.offers(l, "actpass")
	at := p.streamAddresses[0].String()
	good := c.check()
	bad := must[*stun.Message](t)(stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(c.yours.ufrag+":"+c.mine.ufrag),
		stun.NewShortTermIntegrity("wrong"), stun.Fingerprint))
	for name, b := range map[string][]byte{"nonsense": []byte("GET / HTTP/1.1\r\n\r\n"), "a wrong password": framed(bad.Raw), "an empty frame": {0, 0}, "SRTP": framed(make([]byte, 100))} {
		conn := must[net.Conn](t)(net.Dial("tcp", at))
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := conn.Read(make([]byte, 100)); n != 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s is answered with %d bytes, %v", name, n, err)
		}
		_ = conn.Close()
	}
	await(t, "no connections", func() bool { return drops(p)["webrtc.streams"] == 0 })
	conn := must[net.Conn](t)(net.Dial("tcp", at))
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(framed(good.Raw)); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	var head [22]byte
	if _, err := conn.Read(head[:]); err != nil || head[2] > 1 {
		t.Errorf("a good check gets %x, %v", head, err)
	}
}

func framed(b []byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }

// mapper is a STUN server that sees everybody at one address.
func mapper(t *testing.T, sees netip.AddrPort) netip.AddrPort {
	t.Helper()
	conn := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	var work sync.WaitGroup
	work.Go(func() {
		for b := make([]byte, 1500); ; {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			m := &stun.Message{Raw: b[:n]}
			if m.Decode() != nil {
				continue
			}
			r, err := stun.Build(stun.BindingSuccess, stun.NewTransactionIDSetter(m.TransactionID),
				stun.XORMappedAddress{IP: sees.Addr().AsSlice(), Port: int(sees.Port())}, stun.Fingerprint)
			if err == nil {
				_, _ = conn.WriteToUDPAddrPort(r.Raw, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		work.Wait()
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A STUN server has the leg served by a PeerConnection, and its answer becomes a candidate.
func TestServerReflexive(t *testing.T) {
	sees := netip.MustParseAddrPort("203.0.113.7:4711")
	server := mapper(t, sees)
	l, b, w := trickled(t, port(t), Auto, webrtctest.Config{}, func(c *Config) { c.ICE.STUN = server.String() })
	l.call(b, media.Want{Formats: []*media.Format{media.PCMU()}}, false)
	if _, ok := l.agreed.Load().line.(*pionLine); !ok {
		t.Error("the leg isn't served by a PeerConnection")
	}
	if err := l.Gather(); err != nil {
		t.Fatal(err)
	}
	isUp(t, b)
	await(t, "the end", func() bool { return slices.Contains(w.words(), "done") })
	if !slices.ContainsFunc(w.candidates(), func(c string) bool { return strings.Contains(c, "203.0.113.7 4711 typ srflx") }) {
		t.Errorf("candidates are %q", w.candidates())
	}
	hears(t, l, b, media.PCMU(), 440)
}

// External addresses stand in place of the machine's; interfaces that aren't there are an error.
func TestExternalAddress(t *testing.T) {
	bothStacks(t, func(t *testing.T, s Stack) {
		p := port(t)
		w := &witness{}
		l := newLeg(t, p, func(c *Config) { c.Stack, c.Trickle, c.Watch = s, true, w.event })
		if err := l.SetICE(ICE{External4: netip.MustParseAddr("203.0.113.9"), Interfaces: []string{"lo"}}); err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]ICE{
			"an interface": {Interfaces: []string{"none"}}, "IPv6 as IPv4": {External4: netip.MustParseAddr("2001:db8::1")},
			"a STUN server": {STUN: "127.0.0.1"}, "TURN without user": {TURN: TURN{Address: "127.0.0.1:3478"}},
			"a transport": {TURN: TURN{Address: "127.0.0.1:3478", User: "u", Password: "p", Transport: "sctp"}},
		} {
			if l.SetICE(bad) == nil {
				t.Errorf("%s: %+v is taken", name, bad)
			}
		}
		must[media.Offer](t)(l.Offer(context.Background(), media.Want{}))
		if err := l.Gather(); err != nil {
			t.Fatal(err)
		}
		await(t, "the end", func() bool { return slices.Contains(w.words(), "done") })
		list := w.candidates()
		if len(list) == 0 || slices.ContainsFunc(list, func(c string) bool { return !strings.Contains(c, " 203.0.113.9 ") }) {
			t.Errorf("candidates are %q", list)
		}
	})
}

// What the peer tells is read, or refused; names and ends of candidates are no mistakes.
func TestTrickledCandidates(t *testing.T) {
	bothStacks(t, func(t *testing.T, s Stack) {
		l, c := newLeg(t, port(t), func(c *Config) { c.Stack = s }), newCaller(t)
		for range 2 {
			for _, good := range []string{
				"", "candidate:", "candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host", "a=candidate:1 1 UDP 1 127.0.0.1 5000 typ host generation 0 ufrag abcd",
				"candidate:2 1 tcp 1518280447 127.0.0.1 9 typ host tcptype active", "candidate:3 1 udp 2122260223 5b3c6f1e-9d62-44a5-8b2c-0e2f6a4f8c11.local 5000 typ host",
				"candidate:4 1 udp 1 203.0.113.1 5000 typ srflx raddr 127.0.0.1 rport 5000", "candidate:5 1 udp 2130706431 ::1 5000 typ host",
			} {
				if err := l.AddCandidate(good, "", 0); err != nil {
					t.Errorf("%q: %v", good, err)
				}
			}
			for _, bad := range []string{"nonsense", "candidate:1 1 udp", "candidate:1 1 udp x 127.0.0.1 5000 typ host", "candidate:1 1 udp 1 127.0.0.1 99999 typ host"} {
				if err := l.AddCandidate(bad, "a", 0); !errors.Is(err, ErrCandidate) {
					t.Errorf("%q: %v, want ErrCandidate", bad, err)
				}
			}
			c.offers(l, "actpass")
		}
	})
}

// A browser that bundles everything gives later lines port 0: audio among them is taken, in its place, and candidates of
// other lines are none of ours.
func TestBundleOnly(t *testing.T) {
	w := &witness{}
	l, c := newLeg(t, port(t), func(c *Config) { c.Trickle, c.Watch = true, w.event }), newCaller(t)
	offer := string(c.sdp("actpass", "a=bundle-only"))
	head, audio, _ := strings.Cut(offer, "m=audio 9 ")
	head = strings.Replace(head, "BUNDLE a", "BUNDLE v a", 1)
	offer = head + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\nm=audio 0 " + audio
	p := must[media.Pending](t)(l.Answer(context.Background(), []byte(offer), media.Want{}))
	if err := errors.Join(p.Commit(), l.Gather()); err != nil {
		t.Fatal(err)
	}
	if _, ok := l.agreed.Load().line.(*pionLine); !ok {
		t.Error("an offer with video isn't served by a PeerConnection")
	}
	if s := string(p.SDP()); !strings.Contains(s, "m=video 0 ") || !strings.Contains(s, "a=group:BUNDLE a\r\n") || strings.Contains(s, "m=audio 0 ") {
		t.Errorf("the answer is\n%s", s)
	}
	await(t, "the end", func() bool { return slices.Contains(w.words(), "done") })
	w.mu.Lock()
	first, ok := w.told[0].(CandidateFound)
	w.mu.Unlock()
	if !ok || first.MID != "a" || first.Line != 1 {
		t.Errorf("the first that is told is %+v, want a candidate of line 1", first)
	}
	for _, c := range []struct {
		mid  string
		line int
		ours bool
	}{{"a", 0, true}, {"v", 1, false}, {"", 1, true}, {"", 0, false}, {"", -1, true}} {
		if l.isOurs(place{c.mid, c.line}) != c.ours {
			t.Errorf("a candidate of %q, line %d: ours %t, want %t", c.mid, c.line, !c.ours, c.ours)
		}
	}
}

// A peer that never comes, or goes without a word, is told of.
func TestLostPeers(t *testing.T) {
	t.Parallel()
	bothStacks(t, func(t *testing.T, s Stack) {
		w := &witness{}
		p := newPort(t, func(c *PortConfig) { c.consent = 900 * time.Millisecond })
		never := newLeg(t, p, func(c *Config) { c.Stack, c.Watch = s, w.event })
		newCaller(t).offers(never, "actpass")
		await(t, "FAILED", func() bool { return slices.Contains(w.words(), "FAILED") })
		if words := w.words(); slices.Contains(words, "CONNECTED") || slices.Index(words, "FAILED") != len(words)-1 {
			t.Errorf("told %v", words)
		}

		w2 := &witness{}
		l, b := newLeg(t, p, func(c *Config) { c.Stack, c.Watch = s, w2.event }), newBrowser(t, webrtctest.Config{})
		l.call(b, media.Want{Formats: []*media.Format{media.PCMU()}}, false)
		isUp(t, b)
		hears(t, l, b, media.PCMU(), 440)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		await(t, "DISCONNECTED", func() bool { return slices.Contains(w2.words(), "DISCONNECTED") })
	})
}

// Servers that don't answer hold up neither the end of an endpoint nor the others' candidates.
func TestSilentServers(t *testing.T) {
	udpServer := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	defer func() { _ = udpServer.Close() }()
	tcpServer := must[net.Listener](t)(net.Listen("tcp4", "127.0.0.1:0"))
	defer func() { _ = tcpServer.Close() }()
	for transport, at := range map[string]string{"udp": udpServer.LocalAddr().String(), "tcp": tcpServer.Addr().String()} {
		w := &witness{}
		l := newLeg(t, port(t), func(c *Config) {
			c.Trickle, c.Watch = true, w.event
			c.ICE = ICE{STUN: udpServer.LocalAddr().String(), TURN: TURN{Address: at, Transport: transport, User: "u", Password: "p"}}
		})
		must[media.Offer](t)(l.Offer(context.Background(), media.Want{}))
		if err := l.Gather(); err != nil {
			t.Fatal(err)
		}
		await(t, "candidates of the port", func() bool { return len(w.candidates()) == 2 })
		begun := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("TURN over %s: the end takes %s", transport, took)
		}
	}
}
