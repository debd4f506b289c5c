package sip_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
)

// guard is a peer that challenges like a carrier does.
type guard struct {
	*siptest.Peer
	server *auth.Server
	proxy  bool
}

func newGuard(t *testing.T, b *bench, proxy bool) *guard {
	return &guard{siptest.NewPeer(t, b.addr), users(t, map[string]string{"trunk": "secret"}), proxy}
}

// authorized waits for a request and challenges it until it has the right credentials.
func (g *guard) authorized(t *testing.T, method string, challenges int) siptest.Message {
	t.Helper()
	for {
		m := g.Request(method)
		uri := strings.Fields(m.Start)[1]
		user, result := g.server.Verify(g.Addr().Addr(), g.proxy, method, uri, m.Headers)
		if user == "trunk" {
			if challenges > 0 {
				t.Fatalf("%s came with credentials before it was challenged", method)
			}
			return m
		}
		if challenges--; challenges < 0 {
			t.Fatalf("%s: credentials %v: %v", method, result, m.Headers.Lines("Authorization"))
		}
		status := 401
		if g.proxy {
			status = 407
		}
		var lines []string
		for _, h := range g.server.Challenge(g.Addr().Addr(), g.proxy, result.Stale()) {
			lines = append(lines, h.Name+": "+h.Value)
		}
		g.Reply(m, status, "peer", "", lines...)
		if method == "INVITE" {
			g.Request("ACK")
		}
	}
}

func TestCredentialsOnAllMethods(t *testing.T) {
	for _, proxy := range []bool{false, true} {
		b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) {
			c.Credentials = sip.Credentials{Username: "trunk", Password: "secret"}
		})
		g := newGuard(t, b, proxy)
		d := b.dial(g.Peer, nil)
		inv := g.authorized(t, "INVITE", 1)
		if inv.CSeq() != 2 {
			t.Errorf("CSeq %d", inv.CSeq())
		}
		g.Reply(inv, 200, "peer", siptest.SDP, g.Contact())
		ack := g.Request("ACK")
		if ack.CSeq() != 2 || (!ack.Headers.Has("Authorization") && !ack.Headers.Has("Proxy-Authorization")) {
			t.Errorf("ACK %v", ack.Headers)
		}
		expect(t, d, sip.KindAnswered)

		run := func(f func() error) chan error {
			c := make(chan error, 1)
			go func() { c <- f() }()
			return c
		}
		// The nonce is kept, so these come with credentials at once and with a rising nonce count.
		done := run(func() error { _, err := d.Reinvite(soon(t), []byte(siptest.SDP)); return err })
		g.Reply(g.authorized(t, "INVITE", 0), 200, "", siptest.SDP, g.Contact())
		g.Request("ACK")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		done = run(func() error { return d.Info(soon(t), "text/plain", []byte("x")) })
		g.Reply(g.authorized(t, "INFO", 0), 200, "", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// A server that forgot its nonces.
		g.server = users(t, map[string]string{"trunk": "secret"})
		done = run(func() error { return d.Refer(soon(t), mustURI("sip:x@y"), "") })
		g.Reply(g.authorized(t, "REFER", 1), 202, "", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		g.server = users(t, map[string]string{"trunk": "secret"})
		done = run(func() error { return d.Hangup(soon(t), sip.Reason{}, 0) })
		g.Reply(g.authorized(t, "BYE", 1), 200, "", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ended(t, d, sip.ByLocal, 0)
	}
}

func TestWrongPasswordEnds(t *testing.T) {
	b := newBench(t, nil)
	g := newGuard(t, b, true)
	d := b.dial(g.Peer, func(i *sip.Invite) { i.Credentials = sip.Credentials{Username: "trunk", Password: "wrong"} })
	for range 2 {
		m := g.Request("INVITE")
		g.Reply(m, 407, "peer", "", "Proxy-Authenticate: "+g.server.Challenge(g.Addr().Addr(), true, false)[0].Value)
		g.Request("ACK")
	}
	ended(t, d, sip.ByPeer, 407)
	g.Silence(50 * time.Millisecond)
}

func TestStaleNonce(t *testing.T) {
	b := newBench(t, nil)
	g := newGuard(t, b, false)
	d := b.dial(g.Peer, func(i *sip.Invite) { i.Credentials = sip.Credentials{Username: "trunk", Password: "secret"} })
	for _, stale := range []bool{false, true} {
		m := g.Request("INVITE")
		g.Reply(m, 401, "peer", "", "WWW-Authenticate: "+g.server.Challenge(g.Addr().Addr(), false, stale)[0].Value)
		g.Request("ACK")
	}
	g.Reply(g.authorized(t, "INVITE", 0), 486, "peer", "")
	g.Request("ACK")
	ended(t, d, sip.ByPeer, 486)
}

// home is a UA with a registrar, for phones.
func home(t *testing.T, change func(*sip.RegistrarConfig)) (*bench, *sip.Registrar, chan string) {
	t.Helper()
	changes := make(chan string, 64)
	rc := sip.RegistrarConfig{
		Auth: users(t, map[string]string{"alice": "a-pass", "bob": "b-pass"}),
		Changed: func(user string, online bool) {
			if online {
				changes <- user + " on"
			} else {
				changes <- user + " off"
			}
		},
	}
	if change != nil {
		change(&rc)
	}
	reg, err := sip.NewRegistrar(rc)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) { c.Registrar = reg })
	return b, reg, changes
}

func change(t *testing.T, c chan string, want string) {
	t.Helper()
	select {
	case got := <-c:
		if got != want {
			t.Fatalf("%s, expected %s", got, want)
		}
	case <-time.After(siptest.Patience):
		t.Fatalf("not in time: %s", want)
	}
}

func TestPhoneRegistersAndCalls(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			b, reg, changes := home(t, nil)
			server := b.addr
			if network == "tcp" {
				server = b.tcp
			}
			p := siptest.NewPhone(t, siptest.PhoneConfig{User: "alice", Password: "a-pass", Server: server, Network: network})
			r := p.Register()
			change(t, changes, "alice on")
			if s := r.Status(); s.Granted != time.Hour || s.Status != 200 || !s.Learned.IsValid() {
				t.Errorf("status %+v", s)
			}
			contacts := reg.Contacts("alice")
			if len(contacts) != 1 || contacts[0].Network != network || contacts[0].UserAgent != "siptest" || contacts[0].URI.User != "alice" {
				t.Fatalf("contacts %+v", contacts)
			}

			// From the phone: challenged, then authenticated.
			call := p.Dial("123")
			d := b.inbound()
			if d.Request().User != "alice" || d.Request().URI.User != "123" {
				t.Errorf("user %q dials %q", d.Request().User, d.Request().URI.User)
			}
			d.Answer([]byte(siptest.SDP))
			call.Wait(sip.KindAnswered)
			expect(t, d, sip.KindAcked)
			call.Bye()
			ended(t, d, sip.ByPeer, 0)

			// To the phone, on its own flow.
			out, err := b.ua.Dial(soon(t), sip.Invite{
				Target: contacts[0].URI, Destination: contacts[0].Destination(), From: sip.NameAddr{URI: mustURI("sip:123@127.0.0.1")}, Body: []byte(siptest.SDP),
			})
			if err != nil {
				t.Fatal(err)
			}
			in := p.Incoming()
			in.Accept()
			for expectAny(t, out).Kind != sip.KindAnswered {
			}
			if err := out.Hangup(soon(t), sip.Reason{}, 0); err != nil {
				t.Fatal(err)
			}
			in.Wait(sip.KindEnded)

			ctx := soon(t)
			if err := r.Unregister(ctx); err != nil {
				t.Fatal(err)
			}
			change(t, changes, "alice off")
			if len(reg.Contacts("alice")) != 0 || len(reg.Users()) != 0 {
				t.Error("still registered")
			}
		})
	}
}

func expectAny(t *testing.T, d *sip.Dialog) sip.Event {
	t.Helper()
	e := next(t, d)
	if e.Kind == sip.KindEnded {
		t.Fatalf("ended by %v, %d, %v", e.By, e.Status, e.Err)
	}
	return e
}

func TestTCPPhoneGoesOfflineWithItsConnection(t *testing.T) {
	b, _, changes := home(t, nil)
	p := siptest.NewPhone(t, siptest.PhoneConfig{User: "bob", Password: "b-pass", Server: b.tcp, Network: "tcp"})
	p.Register()
	change(t, changes, "bob on")
	p.Close()
	change(t, changes, "bob off")
}

// register sends a REGISTER with credentials and returns the answer.
func register(t *testing.T, p *siptest.Peer, user, password string, cseq *int, headers ...string) siptest.Message {
	t.Helper()
	client := auth.NewClient(auth.Credentials{Username: user, Password: password})
	uri := "sip:127.0.0.1"
	ask := siptest.Ask{Method: "REGISTER", URI: uri, From: "<sip:" + user + "@127.0.0.1>;tag=r", To: "<sip:" + user + "@127.0.0.1>", CallID: "reg-" + user + p.Addr().String()}
	var attempt auth.Attempt
	for {
		*cseq++
		ask.CSeq, ask.Headers, ask.Branch = *cseq, headers, ""
		for _, h := range client.Headers("REGISTER", uri, nil) {
			ask.Headers = append(append([]string(nil), ask.Headers...), h.Name+": "+h.Value)
		}
		p.Write(ask)
		m, ok := p.Receive(siptest.Patience)
		if !ok {
			t.Fatal("no answer to REGISTER")
		}
		if m.Status() != 401 {
			return m
		}
		if err := client.Challenge(&attempt, m.Headers); err != nil {
			return m
		}
	}
}

func TestRegistrar(t *testing.T) {
	b, reg, changes := home(t, func(c *sip.RegistrarConfig) { c.MaxContacts = 3; c.MinExpires = 30 * time.Second })
	p := siptest.NewPeer(t, b.addr)
	seq := 0
	status := func(want int, headers ...string) siptest.Message {
		t.Helper()
		m := register(t, p, "alice", "a-pass", &seq, headers...)
		if m.Status() != want {
			t.Fatalf("%v: %s, expected %d", headers, m.Start, want)
		}
		return m
	}
	if m := status(200); m.Headers.Has("Contact") {
		t.Error("a query made a contact")
	}
	m := status(200, `Contact: <sip:alice@10.0.0.1:5066>;q=0.5;expires=100`, `Contact: "A" <sip:alice@10.0.0.2>;expires=99999`)
	change(t, changes, "alice on")
	if got := m.Headers.Values("Contact"); len(got) != 2 || !strings.Contains(got[1], ";expires=100") || !strings.Contains(got[0], ";expires=3600") {
		t.Errorf("contacts %q", got)
	}
	if got := reg.Contacts("alice"); len(got) != 2 || got[0].Q != 1 || got[1].Q != 0.5 || got[0].Source != p.Addr() {
		t.Errorf("contacts %+v", got)
	}
	if m := status(423, `Contact: <sip:alice@10.0.0.3>;expires=5`); m.Headers.Get("Min-Expires") != "30" {
		t.Errorf("423 %v", m.Headers)
	}
	status(200, `Contact: <sip:alice@10.0.0.1:5066>;expires=200`) // refreshed, not added
	if n := len(reg.Contacts("alice")); n != 2 {
		t.Errorf("%d contacts", n)
	}
	refused := status(403, `Contact: <sip:a@h1>, <sip:a@h2>`)
	if w := refused.Headers.Get("Warning"); !strings.HasPrefix(w, "399 ") || !strings.Contains(w, "Contact: more than 3 of this user") {
		t.Errorf("the refusal doesn't say why: Warning %q", w)
	}
	status(200, `m: <sip:alice@10.0.0.2>;expires=0`)
	if n := len(reg.Contacts("alice")); n != 1 {
		t.Errorf("%d contacts", n)
	}
	status(400, `Contact: *`)
	status(200, `Contact: *`, `Expires: 0`)
	change(t, changes, "alice off")
	status(200, `Contact: <sip:alice@10.0.0.1>;+sip.instance="<urn:uuid:1>"`)
	status(200, `Contact: <sip:alice@10.0.0.9>;+sip.instance="<urn:uuid:1>"`)
	if got := reg.Contacts("alice"); len(got) != 1 || got[0].URI.Host != "10.0.0.9" {
		t.Errorf("an instance that moved: %+v", got)
	}
	status(400, `Contact: <mailto:a@b>`)
	status(400, `Contact: <sip:a@b>;expires=1`, `Expires: soon`)

	// Wrong password and unknown user are told the same.
	var challenges [2]siptest.Message
	for i, who := range [][2]string{{"alice", "wrong"}, {"mallory", "x"}} {
		seq := 0
		challenges[i] = register(t, siptest.NewPeer(t, b.addr), who[0], who[1], &seq, "Contact: <sip:x@10.0.0.1>")
		if challenges[i].Status() != 401 {
			t.Errorf("%s: %s", who[0], challenges[i].Start)
		}
	}
	shape := func(m siptest.Message) string {
		s := m.Start
		for _, h := range m.Headers {
			s += "|" + h.Name
		}
		v := m.Headers.Get("WWW-Authenticate")
		return s + v[:strings.Index(v, "nonce")]
	}
	if shape(challenges[0]) != shape(challenges[1]) {
		t.Errorf("%s\n%s", shape(challenges[0]), shape(challenges[1]))
	}
	// Somebody else's address-of-record.
	q := siptest.NewPeer(t, b.addr)
	client := auth.NewClient(auth.Credentials{Username: "bob", Password: "b-pass"})
	q.Write(siptest.Ask{Method: "REGISTER", URI: "sip:127.0.0.1", To: "<sip:alice@127.0.0.1>", CallID: "steal"})
	var attempt auth.Attempt
	if err := client.Challenge(&attempt, q.Response(401).Headers); err != nil {
		t.Fatal(err)
	}
	h := client.Headers("REGISTER", "sip:127.0.0.1", nil)[0]
	q.Write(siptest.Ask{Method: "REGISTER", URI: "sip:127.0.0.1", To: "<sip:alice@127.0.0.1>", CallID: "steal", CSeq: 2, Headers: []string{h.Name + ": " + h.Value, "Contact: <sip:bob@10.6.6.6>"}})
	q.Response(403)
	// The same credentials again: a replay.
	q.Write(siptest.Ask{Method: "REGISTER", URI: "sip:127.0.0.1", To: "<sip:alice@127.0.0.1>", CallID: "steal", CSeq: 3, Headers: []string{h.Name + ": " + h.Value}})
	q.Response(401)
	if b.ua.Stats().Refused == 0 || b.ua.Stats().Challenged == 0 {
		t.Errorf("stats %+v", b.ua.Stats())
	}
}

func TestContactsExpire(t *testing.T) {
	t.Parallel()
	b, reg, changes := home(t, func(c *sip.RegistrarConfig) { c.MinExpires = time.Second })
	p := siptest.NewPeer(t, b.addr)
	seq := 0
	register(t, p, "alice", "a-pass", &seq, "Contact: <sip:alice@10.0.0.1>;expires=1")
	change(t, changes, "alice on")
	change(t, changes, "alice off")
	if len(reg.Contacts("alice")) != 0 {
		t.Error("still there")
	}
}

// Requests from a forged address hold no nonce that was given to it: whoever sits there really isn't banned for them.
func forgedGuessesBanNobody(t *testing.T) {
	b, _, _ := home(t, nil)
	p := siptest.NewPeer(t, b.addr)
	for i := range 40 {
		p.Write(siptest.Ask{Method: "REGISTER", URI: "sip:127.0.0.1", To: "<sip:alice@127.0.0.1>", CSeq: 1 + i, Headers: []string{
			`Authorization: Digest username="alice", realm="127.0.0.1", nonce="Zm9yZ2Vk", uri="sip:127.0.0.1", response="00", qop=auth, nc=00000001, cnonce="c"`,
		}})
		if m := p.Response(401); !strings.Contains(m.Headers.Get("WWW-Authenticate"), "stale=true") {
			t.Fatalf("challenge %q", m.Headers.Get("WWW-Authenticate"))
		}
	}
	seq := 100
	if m := register(t, p, "alice", "a-pass", &seq, "Contact: <sip:alice@10.0.0.1>"); m.Status() != 200 {
		t.Errorf("the owner of the address: %s", m.Start)
	}
	if n := b.ua.Stats().Refused; n != 0 {
		t.Errorf("%d guesses counted", n)
	}
}

func TestRegistration(t *testing.T) {
	b := newBench(t, nil)
	g := newGuard(t, b, false)
	changes := make(chan sip.RegistrationStatus, 32)
	reg, err := b.ua.Register(sip.RegisterConfig{
		Registrar: mustURI("sip:" + g.Addr().String()), AOR: sip.NameAddr{URI: mustURI("sip:trunk@carrier.example")},
		Credentials: sip.Credentials{Username: "trunk", Password: "secret"}, Expires: 10 * time.Second, Backoff: 50 * time.Millisecond,
		Changed: func(s sip.RegistrationStatus) { changes <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	state := func(want sip.RegistrationState) sip.RegistrationStatus {
		t.Helper()
		for {
			select {
			case s := <-changes:
				if s.State == want {
					return s
				}
			case <-time.After(siptest.Patience):
				t.Fatalf("not in time: %s", want)
			}
		}
	}
	m := g.authorized(t, "REGISTER", 1)
	first := m
	if m.Headers.Get("To") != "<sip:trunk@carrier.example>" || m.Headers.Get("Expires") != "10" || !strings.Contains(m.Headers.Get("Contact"), "sip:trunk@"+b.addr.String()) {
		t.Errorf("REGISTER %v", m.Headers)
	}
	g.Reply(m, 423, "r", "", "Min-Expires: 20")
	m = g.authorized(t, "REGISTER", 0)
	if m.Headers.Get("Expires") != "20" || m.CSeq() <= first.CSeq() || m.Headers.Get("Call-ID") != first.Headers.Get("Call-ID") {
		t.Errorf("after 423: %v", m.Headers)
	}
	// Granted far less than asked: refreshed from what was granted.
	contact := strings.Split(m.Headers.Get("Contact"), ";")[0]
	g.Reply(m, 200, "r", "", "Contact: <sip:other@1.2.3.4>;expires=999", "Contact: "+contact+";expires=2", "Service-Route: <sip:a;lr>, <sip:b;lr>")
	s := state(sip.Registered)
	if s.Granted != 2*time.Second || len(s.ServiceRoute) != 2 || s.Err != nil {
		t.Errorf("status %+v", s)
	}
	granted := time.Now()
	m = g.authorized(t, "REGISTER", 0)
	if waited := time.Since(granted); waited < 800*time.Millisecond || waited > 3*time.Second {
		t.Errorf("refreshed after %v, expected about 1s", waited)
	}
	// 503: tried again later, with a growing wait.
	g.Reply(m, 503, "r", "")
	if s := state(sip.Failing); s.Status != 503 || s.Err == nil {
		t.Errorf("status %+v", s)
	}
	m = g.authorized(t, "REGISTER", 0)
	g.Reply(m, 200, "r", "", "Contact: "+contact+";expires=100")
	state(sip.Registered)
	done := make(chan error, 1)
	go func() { done <- reg.Unregister(soon(t)) }()
	m = g.authorized(t, "REGISTER", 0)
	if m.Headers.Get("Expires") != "0" || !strings.Contains(m.Headers.Get("Contact"), ";expires=0") {
		t.Errorf("unregister %v", m.Headers)
	}
	g.Reply(m, 200, "r", "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if reg.Status().State != sip.Unregistered {
		t.Errorf("status %+v", reg.Status())
	}
}

// An end that was wished for is no failure, wherever it meets the registration.
func TestRegistrationStops(t *testing.T) {
	for name, stop := range map[string]func(*bench, *sip.Registration) error{
		"Unregister": func(b *bench, r *sip.Registration) error { return r.Unregister(soon(b.T)) },
		"Close":      func(_ *bench, r *sip.Registration) error { return r.Close() },
		"UA.Close":   func(b *bench, _ *sip.Registration) error { return b.ua.Close() },
	} {
		for when, answered := range map[string]int{"unanswered": 0, "refused": 503, "registered": 200} {
			t.Run(name+" "+when, func(t *testing.T) { stopsQuietly(t, stop, answered, name == "Unregister") })
		}
	}
}

// stopsQuietly begins a registration whose first REGISTER is answered with that status, or not at all, and stops it.
func stopsQuietly(t *testing.T, stop func(*bench, *sip.Registration) error, answered int, unregister bool) {
	b := newBench(t, nil)
	g := siptest.NewPeer(t, b.addr)
	changes := make(chan sip.RegistrationStatus, 32)
	reg, err := b.ua.Register(sip.RegisterConfig{
		Registrar: mustURI("sip:" + g.Addr().String()), AOR: sip.NameAddr{URI: mustURI("sip:trunk@carrier.example")},
		Timeout: time.Hour, Backoff: time.Hour, BackoffMax: time.Hour, Changed: func(s sip.RegistrationStatus) { changes <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	first := g.Request("REGISTER")
	if answered > 0 {
		g.Reply(first, answered, "r", "", "Contact: "+first.Headers.Get("Contact"))
		eventually(t, "answer seen", func() bool { return reg.Status().State != sip.Registering })
	}
	done := make(chan error, 1)
	go func() { done <- stop(b, reg) }()
	if answered == 200 && unregister {
		m := g.Request("REGISTER")
		if m.Headers.Get("Expires") != "0" {
			t.Errorf("REGISTER %v", m.Headers)
		}
		g.Reply(m, 200, "r", "")
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := reg.Status(); s.State != sip.Unregistered || s.Err != nil || !s.Next.IsZero() {
		t.Errorf("status %+v", s)
	}
	close(changes)
	var last sip.RegistrationStatus
	for last = range changes {
		if errors.Is(last.Err, context.Canceled) || last.State == sip.Failing && answered != 503 {
			t.Errorf("told %+v", last)
		}
	}
	if last.State != sip.Unregistered || last.Err != nil {
		t.Errorf("told last %+v", last)
	}
}

func TestRegistrationForbidden(t *testing.T) {
	b := newBench(t, nil)
	g := newGuard(t, b, false)
	reg, err := b.ua.Register(sip.RegisterConfig{
		Registrar: mustURI("sip:" + g.Addr().String()), AOR: sip.NameAddr{URI: mustURI("sip:trunk@carrier.example")}, Backoff: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Reply(g.Request("REGISTER"), 403, "r", "")
	eventually(t, "failing", func() bool { return reg.Status().State == sip.Failing })
	s := reg.Status()
	var se *sip.StatusError
	if !errors.As(s.Err, &se) || se.Status != 403 || !strings.Contains(s.Err.Error(), "sip:trunk@carrier.example") {
		t.Errorf("err %v", s.Err)
	}
	eventually(t, "a long wait", func() bool { return time.Until(reg.Status().Next) > 5*time.Minute })
	g.Silence(50 * time.Millisecond)
	if err := reg.Unregister(context.Background()); err != nil {
		t.Errorf("Unregister without a binding: %v", err)
	}
	g.Silence(50 * time.Millisecond)
}

func TestRegistrationLearnsItsAddress(t *testing.T) {
	b := newBench(t, nil)
	g := newGuard(t, b, false)
	reg, err := b.ua.Register(sip.RegisterConfig{
		Registrar: mustURI("sip:" + g.Addr().String()), AOR: sip.NameAddr{URI: mustURI("sip:trunk@carrier.example")},
	})
	if err != nil {
		t.Fatal(err)
	}
	behindNAT := func(m siptest.Message) siptest.Message {
		for i, h := range m.Headers {
			if h.Name == "Via" {
				m.Headers[i].Value = strings.Replace(h.Value, ";rport", ";rport=4711;received=192.0.2.7", 1)
			}
		}
		return m
	}
	m := g.Request("REGISTER")
	old := strings.Split(m.Headers.Get("Contact"), ";")[0]
	g.Reply(behindNAT(m), 200, "r", "", "Contact: "+old+";expires=3600")
	m = g.Request("REGISTER") // at once, with the address the carrier sees, and the old one removed
	got := m.Headers.Get("Contact")
	if !strings.HasPrefix(got, "<sip:trunk@192.0.2.7:4711>;expires=") || !strings.Contains(got, old+";expires=0") {
		t.Errorf("Contact %q", got)
	}
	g.Reply(behindNAT(m), 200, "r", "", "Contact: <sip:trunk@192.0.2.7:4711>;expires=3600")
	eventually(t, "learned", func() bool { return reg.Status().Learned.String() == "192.0.2.7:4711" })
	g.Silence(50 * time.Millisecond)
}
