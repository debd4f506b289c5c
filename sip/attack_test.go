package sip_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// TestAttack is what strangers and guessers try, each of which must fail; docs/sip.md lists them.
func TestAttack(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"stranger_gets_silence":         strangersAreDropped,
		"stranger_scans":                strangerScans,
		"scanner_gets_silence":          scannersGetSilence,
		"stranger_takes_a_dialog":       strangerCannotUseADialog,
		"stranger_stays_connected":      onlyThoseWhoProveThemselvesStay,
		"foreign_connection":            foreignConnections,
		"foreign_contact":               contactOfSomebodyElse,
		"user_enumeration_by_answers":   userEnumeration,
		"user_enumeration_by_time":      userEnumerationByTime,
		"digest_replay":                 digestReplay,
		"digest_nonce_elsewhere":        nonceElsewhere,
		"digest_guesses_10000":          tenThousandGuesses,
		"digest_forged_guesses":         forgedGuessesBanNobody,
		"lockout_of_user":               guessesAboutOneName,
		"lockout_of_address":            guessesAboutManyNames,
		"lockout_from_everywhere":       guessesFromEverywhere,
		"message_too_large":             largeMessages,
		"headers_129":                   manyHeaders,
		"connections_of_one_source":     connectionsOfOneSource,
		"connections_in_all":            connectionsInAll,
		"tcp_slow_loris":                slowLoris,
		"tls_stalled":                   stalledHandshakes,
		"tls_bad_certificates":          badCertificates,
		"udp_forged_sources_leave_none": forgedSourcesLeaveNothing,
		"udp_flood_of_registers":        floodOfRegisters,
		"trunk_forged_flood":            floodFromATrunksAddress,
		"crlf_in_our_values":            unsafeValuesAreRefused,
		"crlf_in_theirs":                crlfIsNotCarriedOn,
	} {
		t.Run("attack_"+name, run)
	}
}

// edge is a gateway as strangers see it: users who register at home.test, and a trunk at 127.0.0.9.
func edge(t *testing.T, change func(*sip.FrontConfig)) (b *bench, reg *sip.Registrar) {
	t.Helper()
	reg, err := sip.NewRegistrar(sip.RegistrarConfig{Auth: users(t, map[string]string{"alice": "a-pass", "bob": "b-pass"})})
	if err != nil {
		t.Fatal(err)
	}
	carrier := netip.MustParseAddr("127.0.0.9")
	b = newBench(t, func(f *sip.FrontConfig, c *sip.Config) {
		if change != nil {
			change(f)
		}
		c.Match = func(in sip.Inbound) bool { return in.Source.Addr() == carrier }
		c.Knows = func(a netip.Addr) bool { return a == carrier }
	})
	_, err = b.front.NewUA(sip.Config{Name: "users", Registrar: reg, Invite: func(d *sip.Dialog) { b.in <- d }, Match: func(in sip.Inbound) bool {
		if in.Method != "REGISTER" {
			return reg.Knows(in.Source.Addr())
		}
		return in.URI.Host == "home.test" || in.URI.Host == "127.0.0.1"
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b, reg
}

// A scanner learns nothing: whatever it asks, of users that are there or not, nobody answers, unless it registers at our very own
// domain.
func strangerScans(t *testing.T) {
	b, _ := edge(t, nil)
	p := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	agents := []string{"friendly-scanner", "sipvicious", "sipcli/1.8", "pplsip", "VaxSIPUserAgent", "Z 3.2"}
	n := uint64(0)
	for _, method := range []string{"OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE", "PUBLISH", "NOTIFY", "REFER", "INFO", "BYE", "CANCEL", "UPDATE", "PRACK", "JUGGLE"} {
		for i, uri := range []string{"sip:alice@home.test", "sip:nobody@home.test", "sip:100@127.0.0.1"} {
			p.Write(siptest.Ask{Method: method, URI: uri, Headers: []string{"User-Agent: " + agents[i]}})
			n++
		}
	}
	for _, uri := range []string{"sip:elsewhere.test", "sip:alice@elsewhere.test", "sip:192.0.2.1", "tel:123", "sips:other.test"} {
		p.Write(siptest.Ask{Method: "REGISTER", URI: uri, To: "<sip:alice@home.test>"})
		n++
	}
	p.Send("INVITE sip:alice@home.test SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKbroken\nFrom: <sip:a@b\nTo: <sip:c@d>\nCall-ID: x\nCSeq: 1 INVITE\n\n")
	eventually(t, "all is dropped", func() bool { return b.front.Stats().Dropped[sip.DropStranger] == n+1 })
	p.Silence(50 * time.Millisecond)
	if s := b.front.Stats(); s.ServerTransactions != 0 {
		t.Errorf("%d transactions are held for strangers", s.ServerTransactions)
	}
	// The same socket is challenged where phones register, and holds nothing for that either.
	p.Write(siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: "<sip:alice@home.test>"})
	p.Response(401)
	if s := b.front.Stats(); s.ServerTransactions != 0 {
		t.Errorf("%d transactions are held for who hasn't shown who it is", s.ServerTransactions)
	}
}

// try registers a user with a password, asking for a challenge first, and returns both answers and how long the second took.
func try(t *testing.T, p *siptest.Peer, user, password string) (first, second siptest.Message, took time.Duration) {
	t.Helper()
	client := auth.NewClient(auth.Credentials{Username: user, Password: password})
	ask := siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: "<sip:" + user + "@home.test>", From: "<sip:" + user + "@home.test>;tag=1"}
	p.Write(ask)
	first = p.Response(401)
	if err := client.Challenge(&auth.Attempt{}, first.Headers); err != nil {
		t.Fatal(err)
	}
	h := client.Headers("REGISTER", ask.URI, nil)[0]
	ask.CSeq, ask.Headers = 2, []string{h.Name + ": " + h.Value}
	begun := time.Now()
	p.Write(ask)
	second, _ = p.Receive(siptest.Patience)
	return first, second, time.Since(begun)
}

// What a user that is there is answered and one that isn't differs in what is random alone.
func userEnumeration(t *testing.T) {
	b, _ := edge(t, nil)
	p := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	shape := func(m siptest.Message, user string) string {
		var lines []string
		for _, h := range m.Headers {
			v := strings.ReplaceAll(h.Value, user, "USER")
			switch h.Name {
			case "Via", "Call-ID":
				continue
			case "To":
				v, _, _ = strings.Cut(v, ";tag=")
			case "WWW-Authenticate":
				before, rest, _ := strings.Cut(v, `nonce="`)
				nonce, after, _ := strings.Cut(rest, `"`)
				v = fmt.Sprintf("%snonce of %d%s", before, len(nonce), after)
			}
			lines = append(lines, h.Name+": "+v)
		}
		return m.Start + "\n" + strings.Join(lines, "\n") + "\n" + m.Body
	}
	want := ""
	for _, user := range []string{"alice", "nobody", "bob", "root", "alicf"} {
		first, second, _ := try(t, p, user, "guess")
		if got := shape(first, user) + shape(second, user); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%s is told\n%s\nalice\n%s", user, got, want)
		}
	}
}

// Nor does it take longer. Requests about either kind take turns, so that whatever the machine does meanwhile befalls both.
func userEnumerationByTime(t *testing.T) {
	b, _ := edge(t, func(f *sip.FrontConfig) { f.Limits.StrangerMessages = 100000 })
	const each = 15 // of one name and source; thirty are a lockout
	var took [2][]time.Duration
	for source := range 12 {
		p := siptest.NewPeerAt(t, fmt.Sprintf("127.0.2.%d", source+1), b.addr)
		for i := range 2 * each {
			_, m, d := try(t, p, []string{"alice", "nobody"}[i%2], "guess")
			if m.Status() != 401 {
				t.Fatalf("%q", m.Start)
			}
			took[i%2] = append(took[i%2], d)
		}
	}
	median := func(list []time.Duration) time.Duration { slices.Sort(list); return list[len(list)/2] }
	there, absent := median(took[0]), median(took[1])
	if apart := max(there, absent) - min(there, absent); apart > max(min(there, absent)/2, 300*time.Microsecond) {
		t.Errorf("a user that is there takes %v, one that isn't %v", there, absent)
	}
	t.Logf("there %v, absent %v", there, absent)
}

// A request that was overheard is worth nothing: neither as it was, nor with its credentials on another, nor later.
func digestReplay(t *testing.T) {
	b, reg := edge(t, nil)
	p := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	client := auth.NewClient(auth.Credentials{Username: "alice", Password: "a-pass"})
	ask := siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: "<sip:alice@home.test>", Headers: []string{p.Contact()}}
	p.Write(ask)
	if err := client.Challenge(&auth.Attempt{}, p.Response(401).Headers); err != nil {
		t.Fatal(err)
	}
	h := client.Headers("REGISTER", ask.URI, nil)[0]
	credentials := h.Name + ": " + h.Value
	ask.CSeq, ask.Headers = 2, []string{p.Contact(), credentials}
	p.Write(ask)
	p.Response(200)
	mine := reg.Contacts("alice")
	// From the same address: another contact, with the same nonce and count.
	thief := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	thief.Write(siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: ask.To, Headers: []string{thief.Contact(), credentials}})
	if m := thief.Response(401); !strings.Contains(m.Headers.Get("WWW-Authenticate"), "stale=true") {
		t.Errorf("a replay is told %v", m.Headers.Lines("WWW-Authenticate"))
	}
	// With the next count, which the response doesn't fit.
	thief.Write(siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: ask.To, Headers: []string{thief.Contact(), strings.Replace(credentials, "nc=00000001", "nc=00000002", 1)}})
	thief.Response(401)
	// On a call.
	thief.Write(siptest.Ask{Method: "INVITE", URI: "sip:0900@home.test", Body: siptest.SDP, Headers: []string{"Proxy-" + credentials}})
	thief.Response(407)
	if now := reg.Contacts("alice"); len(now) != 1 || now[0].URI.String() != mine[0].URI.String() {
		t.Errorf("contacts %+v", now)
	}
	if len(b.in) != 0 {
		t.Error("a call went through")
	}
}

// A nonce is good for the address it was given to; one of a minute ago is for nobody, see auth's tests.
func nonceElsewhere(t *testing.T) {
	b, reg := edge(t, nil)
	p, q := siptest.NewPeerAt(t, "127.0.0.2", b.addr), siptest.NewPeerAt(t, "127.0.0.3", b.addr)
	client := auth.NewClient(auth.Credentials{Username: "alice", Password: "a-pass"})
	ask := siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: "<sip:alice@home.test>"}
	p.Write(ask)
	if err := client.Challenge(&auth.Attempt{}, p.Response(401).Headers); err != nil {
		t.Fatal(err)
	}
	h := client.Headers("REGISTER", ask.URI, nil)[0]
	ask.Headers = []string{q.Contact(), h.Name + ": " + h.Value}
	q.Write(ask)
	q.Response(401)
	if len(reg.Users()) != 0 {
		t.Errorf("online: %v", reg.Users())
	}
}

// Ten thousand guesses from one address: none is right, not even the right one once it is locked out, and they cost little.
func tenThousandGuesses(t *testing.T) {
	b, reg := edge(t, nil)
	p := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	client := auth.NewClient(auth.Credentials{Username: "alice", Password: "guess"})
	ask := siptest.Ask{Method: "REGISTER", URI: "sip:home.test", To: "<sip:alice@home.test>"}
	p.Write(ask)
	challenge := p.Response(401).Headers
	if err := client.Challenge(&auth.Attempt{}, challenge); err != nil {
		t.Fatal(err)
	}
	guess := func(c *auth.Client) {
		h := c.Headers("REGISTER", ask.URI, nil)[0]
		ask.CSeq, ask.CallID, ask.Branch, ask.Headers = ask.CSeq+1, "", "", []string{h.Name + ": " + h.Value, p.Contact()}
		p.Write(ask)
	}
	seen := func() (n uint64) {
		s := b.front.Stats()
		return s.Dropped[sip.DropFlood] + s.Dropped[sip.DropSuspect]
	}
	begun, cpu := time.Now(), cpuTime()
	for i := range 10000 {
		guess(client)
		if i%500 == 499 { // so that the socket's buffer holds them
			eventually(t, "the guesses are dropped", func() bool { return seen() >= uint64(i)-200 })
		}
	}
	spent := cpuTime() - cpu
	// Both processes' work is in it, ours and the guesser's.
	if spent > 5*time.Second {
		t.Errorf("10,000 guesses took %v of CPU in %v", spent, time.Since(begun))
	}
	time.Sleep(100 * time.Millisecond) // its bucket has room again: the ban must hold by itself
	for ok := true; ok; {
		_, ok = p.Receive(10 * time.Millisecond)
	}
	right := auth.NewClient(auth.Credentials{Username: "alice", Password: "a-pass"})
	if err := right.Challenge(&auth.Attempt{}, challenge); err != nil {
		t.Fatal(err)
	}
	guess(right)
	if m, ok := p.Receive(300 * time.Millisecond); ok {
		t.Errorf("the right one is told %s", m.Start)
	}
	if len(reg.Users()) != 0 || b.front.Stats().ServerTransactions > 40 {
		t.Errorf("online: %v; %+v", reg.Users(), b.front.Stats())
	}
	t.Logf("%v of CPU in %v, %v", spent, time.Since(begun), b.front.Stats().Dropped)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func manyHeaders(t *testing.T) {
	b, _ := edge(t, nil)
	p := siptest.NewPeerAt(t, "127.0.0.2", b.addr)
	for n, status := range map[int]int{119: 401, 125: 513} { // with the eight that Write puts in, and Content-Length
		p.Write(siptest.Ask{Method: "REGISTER", URI: "sip:home.test", Headers: slices.Repeat([]string{"X-A: b"}, n)})
		p.Response(status)
	}
}

// Strangers fill the listener: who comes next takes the place of one of them, and never that of a phone.
func connectionsInAll(t *testing.T) {
	b, _ := edge(t, func(f *sip.FrontConfig) { f.Limits.Connections, f.Limits.ConnectionsPerSource = 20, 5 })
	seq := 0
	alice := siptest.NewTCPPeer(t, "127.0.0.2", b.tcp)
	register(t, alice, "alice", "a-pass", &seq, alice.Contact())
	for i := range 40 {
		siptest.NewTCPPeer(t, fmt.Sprintf("127.0.1.%d", i/4+1), b.tcp)
	}
	eventually(t, "those that are too many are closed", func() bool { return b.front.Stats().Dropped["connection_pushed"] >= 21 })
	if n := b.front.Stats().Connections; n != 20 {
		t.Errorf("%d connections are open, expected 20", n)
	}
	for user, p := range map[string]*siptest.Peer{"alice": alice, "bob": siptest.NewTCPPeer(t, "127.0.0.3", b.tcp)} {
		if m := register(t, p, user, user[:1]+"-pass", &seq, p.Contact()); m.Status() != 200 {
			t.Errorf("%s: %s", user, m.Start)
		}
	}
}

// Neither silence, half a message, a byte now and then nor pings keep a stranger's connection.
func slowLoris(t *testing.T) {
	b, _ := edge(t, func(f *sip.FrontConfig) { f.Limits.FirstMessage, f.Limits.Partial = time.Second, time.Second })
	stop := make(chan struct{})
	defer close(stop)
	for i, drip := range []string{"", "REGISTER sip:home.test SIP/2.0\r\nContent-Length: 1000\r\n\r\nhalf", "x", "\r\n\r\n"} {
		c, err := net.Dial("tcp", b.tcp.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			for drip != "" {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				if _, err := c.Write([]byte(drip)); err != nil {
					return
				}
				if i == 1 {
					return
				}
			}
		}()
	}
	eventually(t, "all are open", func() bool { return b.front.Stats().Connections == 4 })
	eventually(t, "all are closed", func() bool { return b.front.Stats().Connections == 0 })
}

// Datagrams from ever new addresses leave nothing that grows.
func forgedSourcesLeaveNothing(t *testing.T) {
	b, _ := edge(t, func(f *sip.FrontConfig) { f.Limits.StrangersMessages = 100 }) // few: however slowly a busy machine sends, it is a flood
	const sources = 10000
	text := "REGISTER sip:home.test SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:alice@home.test>\r\nCall-ID: %d\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range sources {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 3, byte(i>>8), byte(i))}, net.UDPAddrFromAddrPort(b.addr))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, text, i, i)
		c.Close()
	}
	eventually(t, "what came is read", func() bool { return b.front.Stats().Dropped[sip.DropFlood] > sources/4 })
	s := b.front.Stats()
	if s.ServerTransactions != 0 || s.ClientTransactions != 0 {
		t.Errorf("%+v", s)
	}
	// A row of the table of sources is some 200 bytes, and there are 16,384 at most.
	if after := heap(); after > before && after-before > 8<<20 {
		t.Errorf("%d bytes are held after %d addresses", after-before, sources)
	}
}

// A flood of registrations, from more addresses than can be told apart by their pace, takes nothing from a carrier's calls.
func floodOfRegisters(t *testing.T) {
	var taken atomic.Uint64
	b, _ := edge(t, func(f *sip.FrontConfig) {
		f.Trace = func(in bool, _, _ string, _, _ netip.AddrPort, data []byte) {
			if in && bytes.HasPrefix(data, []byte("REGISTER")) {
				taken.Add(1)
			}
		}
	})
	carrier := siptest.NewPeerAt(t, "127.0.0.9", b.addr)
	var conns []*net.UDPConn
	for i := range 200 {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 4, 0, byte(i))}, net.UDPAddrFromAddrPort(b.addr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	n := 0
	for call := range 20 {
		for range 500 {
			if n++; n%50 == 0 { // so that the socket's buffer holds them, and what the carrier sends
				eventually(t, "what came is read", func() bool { return b.front.Stats().Dropped[sip.DropFlood]+taken.Load()+1 >= uint64(n) })
			}
			fmt.Fprintf(conns[n%len(conns)], "REGISTER sip:home.test SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKf%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:alice@home.test>\r\nCall-ID: f%d\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", n, n)
		}
		d, ask, res := b.inboundCall(carrier)
		if call%2 == 0 {
			hangUp(t, d, carrier)
			continue
		}
		carrier.Write(siptest.Ask{Method: "BYE", From: ask.From, To: res.Headers.Get("To"), CallID: ask.CallID, CSeq: 2})
		carrier.Response(200)
	}
	if s := b.front.Stats(); s.Dropped[sip.DropTransactions] != 0 || s.Dropped[sip.DropOverload] != 0 || s.ServerTransactions > 40 {
		t.Errorf("%+v", s)
	}
}

// What a caller says of itself can't end its line in what we send on, nor in our answer.
func crlfIsNotCarriedOn(t *testing.T) {
	b, _ := edge(t, nil)
	carrier := siptest.NewPeerAt(t, "127.0.0.9", b.addr)
	for i, line := range []string{
		"From: \"x\nX-Evil: 1\" <sip:a@b>;tag=1", "From: \"x\rX-Evil: 1\" <sip:a@b>;tag=1", "To: <sip:a\x00@b>", "X-Forwarded: a\nVia: SIP/2.0/UDP evil",
		"P-Asserted-Identity: <sip:a@b>\rX-Evil: 1", "Subject: a\n\nv=0", "Contact: <sip:a@b;x=\ny>",
	} {
		name, _, _ := strings.Cut(line, ":")
		text := "INVITE sip:1@home.test SIP/2.0\r\n"
		for _, l := range []string{
			fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bKcrlf%d", carrier.Addr(), i), "From: <sip:a@b>;tag=1", "To: <sip:c@d>", fmt.Sprintf("Call-ID: crlf%d", i), "CSeq: 1 INVITE",
			"Max-Forwards: 70", carrier.Contact(),
		} {
			if !strings.HasPrefix(l, name+":") {
				text += l + "\r\n"
			}
		}
		carrier.Send(text + line + "\r\nContent-Length: 0\r\n\r\n")
		m := carrier.Response(400)
		for _, h := range m.Headers {
			if h.Name == "X-Evil" || h.Name == "Via" && strings.Contains(h.Value, "evil") {
				t.Errorf("%q: the answer carries %v", line, h)
			}
		}
	}
	// Escapes stay escapes.
	carrier.Write(siptest.Ask{Method: "INVITE", URI: "sip:1%0d%0aX-Evil:1@home.test", Body: siptest.SDP, From: "<sip:a%0d%0a@b>;tag=1"})
	d := b.inbound()
	if got := d.Request().URI.String(); got != "sip:1%0d%0aX-Evil:1@home.test" {
		t.Errorf("request-URI %q", got)
	}
	d.Reject(486, "")
	carrier.Response(486)
	if len(b.in) != 0 {
		t.Error("a call went through")
	}
}
