package sip_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/siptest"
	"github.com/patchbay/patchbay/sip/wire"
)

// verdict is what becomes of a message of an RFC's: a request is answered, a response is taken or not.
type verdict struct {
	section string
	status  int    // of our answer; 0: none, the message goes no further
	header  string // a header field of the answer that says more, as "Name: value"; the value may be the beginning
	taken   bool   // a response: the parser takes it
	fields  fields // as the RFC reads them
}

// fields are parts of a message by what the test calls them.
type fields map[string]string

// tortures are the 49 messages of RFC 4475 with what it says of each. Two verdicts are not the RFC's first choice, see docs/sip.md:
// intmeth, inv2543.
var tortures = map[string]verdict{
	// 3.1.1: valid, however they look.
	"wsinv": {"3.1.1.1", 481, "", false, fields{ // well-formed; it is of a dialog that isn't there
		"to-tag": "1918181833n", "from-display": `J Rosenberg \"`, "from-tag": "98asjd8", "cseq": "9", "vias": "3", "Subject": "",
		"NewFangledHeader": "newfangled value continued newfangled value", "UnknownHeaderWithUnusualValue": ";;,,;;,;", "user": "vivekg", "body": "150"}},
	"intmeth": {"3.1.1.2", 400, "Warning: 399", false, nil},
	"esc01": {"3.1.1.3", 200, "", false, fields{"user": "sips:user@example.com", "host": "example.net", "to-user": "user", "from-user": "I have spaces",
		"contact-user": "caller", "body": "150"}},
	"escnull":    {"3.1.1.4", 200, "Contact: <sip:%00", false, fields{"to-user": "null-\x00-null", "contacts": "2"}},
	"esc02":      {"3.1.1.5", 405, "Allow: INVITE", false, fields{"method": "RE%47IST%45R", "contacts": "2", "to-display": "%Z%45"}},
	"lwsdisp":    {"3.1.1.6", 200, "", false, fields{"from-display": "caller", "from-user": "caller"}},
	"longreq":    {"3.1.1.7", 200, "", false, fields{"vias": "34", "cseq": "3882340", "body": "150"}},
	"dblreq":     {"3.1.1.8", 200, "", false, fields{"method": "REGISTER", "body": "0"}}, // what follows it is nothing
	"semiuri":    {"3.1.1.9", 200, "", false, fields{"user": "user;par=u@example.net", "host": "example.com"}},
	"transports": {"3.1.1.10", 200, "", false, fields{"vias": "5"}},
	"mpart01":    {"3.1.1.11", 405, "", false, fields{"method": "MESSAGE", "body": "553"}},
	"unreason":   {"3.1.1.12", 0, "", true, fields{"status": "200", "phrase": "= 2**3 * 5**2 но сто девяносто девять - простое"}},
	"noreason":   {"3.1.1.13", 0, "", true, fields{"status": "100", "phrase": ""}},
	// 3.1.2: broken.
	"badinv01":   {"3.1.2.1", 400, "", false, nil},
	"clerr":      {"3.1.2.2", 400, "", false, nil},
	"ncl":        {"3.1.2.3", 400, "", false, nil},
	"scalar02":   {"3.1.2.4", 400, "", false, nil},
	"scalarlg":   {"3.1.2.5", 0, "", false, nil},
	"quotbal":    {"3.1.2.6", 400, "", false, nil},
	"ltgtruri":   {"3.1.2.7", 400, "", false, nil},
	"lwsruri":    {"3.1.2.8", 400, "", false, nil},
	"lwsstart":   {"3.1.2.9", 400, "", false, nil},
	"trws":       {"3.1.2.10", 400, "", false, nil},
	"escruri":    {"3.1.2.11", 400, "", false, nil},
	"baddate":    {"3.1.2.12", 400, "", false, nil},
	"regbadct":   {"3.1.2.13", 400, "", false, nil},
	"badaspec":   {"3.1.2.14", 400, "", false, nil},
	"baddn":      {"3.1.2.15", 400, "", false, nil},
	"badvers":    {"3.1.2.16", 505, "", false, nil},
	"mismatch01": {"3.1.2.17", 400, "", false, nil},
	"mismatch02": {"3.1.2.18", 400, "", false, nil},
	"bigcode":    {"3.1.2.19", 0, "", false, nil},
	// 3.2: what a transaction layer sees.
	"badbranch": {"3.2.1", 400, "", false, nil},
	// 3.3: what an application sees.
	"insuf":    {"3.3.1", 0, "", false, nil}, // no answer can be made of it
	"unkscm":   {"3.3.2", 416, "", false, nil},
	"novelsc":  {"3.3.3", 416, "", false, nil},
	"unksm2":   {"3.3.4", 400, "", false, fields{"to-scheme": "isbn"}},
	"bext01":   {"3.3.5", 420, "Unsupported: nothingSupportsThis, nothingSupportsThisEither", false, nil},
	"invut":    {"3.3.6", 415, "Accept: application/sdp", false, nil},
	"regaut01": {"3.3.7", 401, "WWW-Authenticate: Digest", false, nil},
	"multi01":  {"3.3.8", 400, "", false, nil},
	"mcl01":    {"3.3.9", 400, "", false, nil},
	"bcast":    {"3.3.10", 0, "", false, nil},
	"zeromf":   {"3.3.11", 200, "", false, nil}, // it isn't for anybody beyond us
	"cparam01": {"3.3.12", 200, "Contact: <sip:+19725552222@gw1.example.net>", false, nil},
	"cparam02": {"3.3.13", 200, "Contact: <sip:+19725552222@gw1.example.net;unknownparam>", false, nil},
	"regescrt": {"3.3.14", 200, "Contact: <sip:user@example.com>", false, nil},
	"sdp01":    {"3.3.15", 406, "", false, nil},
	// 3.4: of RFC 2543.
	"inv2543": {"3.4.1", 400, "", false, nil},
}

// tortures6 are those of RFC 5118.
var tortures6 = map[string]verdict{
	"ipv6-good":                     {"4.1", 200, "Contact: <sip:caller@[2001:db8::1]>", false, fields{"host": "2001:db8::10", "port": "0"}},
	"ipv6-bad":                      {"4.2", 400, "", false, nil},
	"port-ambiguous":                {"4.3", 200, "", false, fields{"host": "2001:db8::10:5070", "port": "0"}},
	"port-unambiguous":              {"4.4", 200, "", false, fields{"host": "2001:db8::10", "port": "5070"}},
	"via-received-param-with-delim": {"4.5", 481, "", false, fields{"via-host": "2001:db8::9:1"}},
	"via-received-param-no-delim":   {"4.5", 481, "", false, fields{"via-host": "2001:db8::9:1"}},
	"ipv6-in-sdp":                   {"4.6", 200, "", false, fields{"contact-host": "2001:db8::20"}},
	"mult-ip-in-header":             {"4.7", 481, "", false, fields{"vias": "3"}},
	"mult-ip-in-sdp":                {"4.8", 200, "", false, nil},
	"ipv4-mapped-ipv6":              {"4.9", 200, "", false, fields{"via-host": "::ffff:192.0.2.10", "contact-host": "::ffff:192.0.2.2"}},
	"ipv6-bug-abnf-3-colons":        {"4.10", 200, "", false, fields{"host": "2001:db8::192.0.2.1"}},
	"ipv6-correct-abnf-2-colons":    {"4.10", 200, "", false, fields{"host": "2001:db8::192.0.2.1"}},
}

func TestTorture(t *testing.T) {
	if len(tortures) != 49 {
		t.Errorf("%d messages, RFC 4475 has 49", len(tortures))
	}
	torture(t, "rfc4475", tortures)
}

func TestTortureIPv6(t *testing.T) { torture(t, "rfc5118", tortures6) }

func torture(t *testing.T, folder string, verdicts map[string]verdict) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.sip"))
	if err != nil || len(files) != len(verdicts) {
		t.Fatalf("%d files, %d verdicts, %v", len(files), len(verdicts), err)
	}
	parser := wire.NewParser(wire.Limits{Bytes: 65535, Headers: 128})
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sip")
		want, ok := verdicts[name]
		if !ok {
			t.Errorf("%s: no verdict", name)
			continue
		}
		t.Run(want.section+"_"+name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, ref := parser.Parse(text)
			if strings.HasPrefix(string(text), "SIP/") {
				if want.taken != (ref == nil) {
					t.Errorf("taken %v: %v", ref == nil, ref)
				}
			} else if want.fields != nil && ref != nil {
				t.Fatalf("refused: %v", ref)
			}
			if want.fields != nil {
				want.fields.check(t, m)
			}
			tortured(t).answers(string(text), want)
		})
	}
}

// tortured is a gateway with a registrar, and a trunk whose callers have no password, as the RFC's have none.
func tortured(t *testing.T) *bench {
	t.Helper()
	users, err := auth.NewServer(auth.ServerConfig{Realm: "example.com", Lookup: func(name, _ string) (auth.Credentials, bool) {
		return auth.Credentials{Username: name, Password: "pw"}, name == "phone"
	}})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := sip.NewRegistrar(sip.RegistrarConfig{Auth: users, Allowed: func(string, sip.URI) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(_ *sip.FrontConfig, c *sip.Config) {
		c.Match = func(in sip.Inbound) bool { return in.Method != "REGISTER" }
	})
	if _, err := b.front.NewUA(sip.Config{Name: "users", Registrar: reg, Match: func(sip.Inbound) bool { return true }}); err != nil {
		t.Fatal(err)
	}
	return b
}

// answers sends a request and compares what comes back; a REGISTER that is challenged is sent again with credentials.
func (b *bench) answers(text string, want verdict) {
	b.Helper()
	dropped := func() (n uint64) {
		for _, v := range b.front.Stats().Dropped {
			n += v
		}
		return n
	}
	before := dropped()
	p := siptest.NewPeer(b.T, b.addr)
	p.Send(text)
	if want.status == 0 {
		eventually(b.T, "the message is dropped and counted", func() bool { return dropped() > before })
		return
	}
	m := b.final(p)
	if strings.HasPrefix(text, "REGISTER") && m.Status() == 401 && want.status != 401 {
		client := auth.NewClient(auth.Credentials{Username: "phone", Password: "pw"})
		if err := client.Challenge(&auth.Attempt{}, m.Headers); err != nil {
			b.Fatal(err)
		}
		h := client.Headers("REGISTER", strings.Fields(text)[1], nil)[0]
		head, rest, _ := strings.Cut(text, "\r\n")
		rest = regexp.MustCompile(`(?m)^CSeq: (\d+) REGISTER`).ReplaceAllStringFunc(rest, func(s string) string {
			n, _ := strconv.Atoi(strings.Fields(s)[1])
			return "CSeq: " + strconv.Itoa(n+1) + " REGISTER"
		})
		rest = strings.Replace(rest, "branch=z9hG4bK", "branch=z9hG4bKagain", 1)
		p.Send(head + "\r\n" + h.Name + ": " + h.Value + "\r\n" + rest)
		m = b.final(p)
	}
	if m.Status() != want.status {
		b.Errorf("answered %s (%s), expected %d", m.Start, m.Headers.Get("Warning"), want.status)
	}
	if name, value, _ := strings.Cut(want.header, ": "); !strings.HasPrefix(m.Headers.Get(name), value) {
		b.Errorf("%s is %q, expected %q", name, m.Headers.Get(name), value)
	}
	select {
	case d := <-b.in:
		b.Errorf("another call: %v", d.Request().URI)
	default:
	}
}

// final is the final answer; a call that comes in meanwhile is answered.
func (b *bench) final(p *siptest.Peer) siptest.Message {
	b.Helper()
	for {
		m, ok := p.Receive(siptest.Patience)
		if !ok {
			b.Fatal("no answer")
		}
		if m.Status() >= 200 {
			return m
		}
		if err := b.inbound().Answer([]byte(siptest.SDP)); err != nil {
			b.Fatal(err)
		}
	}
}

func (f fields) check(t *testing.T, m *wire.Message) {
	t.Helper()
	contacts := m.Headers.Values("Contact")
	var contact wire.NameAddr
	if len(contacts) > 0 {
		contact, _ = wire.ParseNameAddr(contacts[0])
	}
	for name, want := range f {
		got, known := map[string]string{
			"method": m.Method, "status": strconv.Itoa(m.Status), "phrase": m.Phrase, "user": wire.Unescape(m.URI.User), "host": m.URI.Host,
			"port": strconv.Itoa(int(m.URI.Port)), "to-tag": m.To.Tag(), "to-user": wire.Unescape(m.To.URI.User), "to-scheme": m.To.URI.Scheme,
			"to-display": m.To.Display, "from-display": m.From.Display, "from-tag": m.From.Tag(), "from-user": wire.Unescape(m.From.URI.User),
			"cseq": strconv.Itoa(int(m.CSeq)), "vias": strconv.Itoa(len(m.Vias)), "via-host": m.Via.Host, "body": strconv.Itoa(len(m.Body)),
			"contacts": strconv.Itoa(len(contacts)), "contact-user": wire.Unescape(contact.URI.User), "contact-host": contact.URI.Host,
		}[name]
		if !known {
			got = m.Headers.Get(name)
		}
		if got != want {
			t.Errorf("%s is %q, expected %q", name, got, want)
		}
	}
}
