package wire

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var parser = NewParser(Limits{Bytes: 65535, Headers: 128})

// crlf writes test messages with lone line feeds.
func crlf(s string) []byte {
	return []byte(strings.ReplaceAll(strings.TrimPrefix(s, "\n"), "\n", "\r\n"))
}

const sdp = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 49217 RTP/AVP 0 12\n"

var policy = Policy{
	Methods: []string{"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER"}, Bodies: []string{"application/sdp", "multipart/mixed"},
}

// Messages in the manner of RFC 4475 3.1.2 to 3.4, each with one thing wrong that other parsers let pass. want 0:
// it must be accepted.
func TestWhatParsersLetPass(t *testing.T) {
	for _, c := range []struct {
		name, msg string
		want      int
		header    string
	}{
		{"branch is only the cookie", options("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"), 400, "Via"},
		{"branch of the old kind", options("Via: SIP/2.0/UDP 192.0.2.1;branch=1"), 0, ""},
		{"date not in GMT", options("Date: Fri, 01 Jan 2010 16:00:00 EST"), 400, "Date"},
		{"unknown version", strings.Replace(options(), "SIP/2.0\n", "SIP/7.0\n", 1), 505, ""},
		{"unknown extension", options("Require: nothingSupportsThis, norThis"), 420, "Require"},
		{"URI with header fields", strings.Replace(options(), "sip:user@example.com", "sip:user@example.com?Route=%3Csip:example.com%3E", 1), 400, "Request-URI"},
		{"much is missing", "INVITE sip:user@example.com SIP/2.0\nCSeq: 193942 INVITE\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\nContent-Type: application/sdp\nl: 10\n\n0123456789", 400, "From"},
		{"of RFC 2543", "INVITE sip:UserB@example.com SIP/2.0\nVia: SIP/2.0/UDP iftgw.example.com\nFrom: <sip:+13035551111@ift.client.example.net;user=phone>\nTo: sip:+16505552222@ss1.example.net;user=phone\nCall-ID: inv2543.1717@ift.client.example.com\nCSeq: 56 INVITE\nContent-Type: application/sdp\n\n" + sdp, 400, "From"},
		{"unknown body", invite("<audio/>", "Content-Type: application/unknownformat"), 415, "Content-Type"},
		{"two lengths", options("Content-Length: 13", "Content-Length: 5"), 400, "Content-Length"},
		{"length beyond the datagram", options("Content-Length: 9999"), 400, "Content-Length"},
		{"method and CSeq differ", options("CSeq: 8 INVITE"), 400, "CSeq"},
		{"unknown method and CSeq differ", strings.Replace(options("CSeq: 8 INVITE"), "OPTIONS", "NEWMETHOD", 1), 400, "CSeq"},
		{"singletons twice", options("To: sip:other@example.net", "To: sip:j@example.net"), 400, "To"},
		{"answer we can't give", invite(sdp, "Content-Type: application/sdp", "Accept: text/nobodyKnowsThis"), 406, "Accept"},
		{"unknown scheme", strings.Replace(options(), "sip:user@example.com", "nobodyKnowsThisScheme:totallyopaquecontent", 1), 416, "Request-URI"},
		{"no hop left", invite("", "Max-Forwards: 000"), 483, "Max-Forwards"},
		{"no hop needed", options("Max-Forwards: 0"), 0, ""},
		{"an empty parameter", options("Via: SIP/2.0/UDP 192.0.2.1;;branch=z9hG4bKx"), 400, "Via"},
		{"an empty value", options("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx,;,"), 400, "Via"},
		{"IPv6 with a colon too many", strings.Replace(options(), "sip:user@example.com", "sip:user@[2001:db8:::1]", 1), 400, "Request-URI"},
		{"Contact with ? and no brackets", strings.Replace(options("Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E", "CSeq: 1 REGISTER"), "OPTIONS", "REGISTER", 1), 400, "Contact"},
		{"a control character", strings.Replace(options(), "Max-Forwards: 70", "X-Evil: a\vb", 1), 400, "X-Evil"},
		{"Contact with header fields in brackets", strings.Replace(options("M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>", "CSeq: 1 REGISTER"), "OPTIONS", "REGISTER", 1), 0, ""},
		{"unknown Contact parameters", strings.Replace(options("Contact: sip:+19725552222@gw1.example.net;unknownparam", "Contact: <sip:+1@gw1.example.net;unknownparam>", "CSeq: 2 REGISTER"), "OPTIONS", "REGISTER", 1), 0, ""},
		{"unknown authentication scheme", strings.Replace(options("Authorization: NoOneKnowsThisScheme opaque-data=here", "CSeq: 1 REGISTER"), "OPTIONS", "REGISTER", 1), 0, ""},
		{"To of an unknown scheme", options("To: isbn:2983792873"), 0, ""},
		{"spaces where they may stand", "OPTIONS sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\nTO :\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\n  ;\n  tag = 98asjd8\nMaX-fOrWaRdS: 0068\nCall-ID: wsinv.ndaksdj@192.0.2.1\nContent-Length   : 0\ncseq: 0009\n  OPTIONS\nVia  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=z9hG4bK390skdjuw\ns :\nNewFangledHeader:   newfangled value\n continued newfangled value\n\n", 0, ""},
		{"a user with anything in it", strings.Replace(options(), "sip:user@example.com", "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com", 1), 0, ""},
	} {
		m, ref := parser.Parse(crlf(c.msg))
		if ref == nil {
			ref = m.Refuse(policy)
		}
		switch {
		case c.want == 0 && ref != nil:
			t.Errorf("%s: %d %v", c.name, ref.Status, ref)
		case c.want != 0 && ref == nil:
			t.Errorf("%s: accepted", c.name)
		case c.want != 0 && (ref.Status != c.want || ref.Header != c.header):
			t.Errorf("%s: %d %q (%v), expected %d %q", c.name, ref.Status, ref.Header, ref, c.want, c.header)
		}
	}
	// A response with two Vias isn't ours.
	res := "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\nCall-ID: b\nCSeq: 35 INVITE\nFrom: sip:u@e;tag=1\nTo: sip:u@e;tag=2\nContent-Length: 0\n\n"
	if _, ref := parser.Parse(crlf(res)); ref == nil {
		t.Error("two Vias: accepted")
	}
}

// options is an OPTIONS whose header fields are replaced by those given.
func options(headers ...string) string { return message("OPTIONS", "", headers) }

func invite(body string, headers ...string) string {
	return message("INVITE", body, append(headers, "CSeq: 1 INVITE", "Contact: <sip:caller@host5.example.net>"))
}

func message(method, body string, headers []string) string {
	lines := []string{
		"To: sip:user@example.com", "From: sip:caller@example.org;tag=33242", "Max-Forwards: 70", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx1",
		"Call-ID: t.1", "CSeq: 8 " + method,
	}
	given := map[string]bool{}
	for _, h := range headers {
		name, _, _ := strings.Cut(h, ":")
		given[Canonical(strings.TrimSpace(name))] = true
	}
	out := method + " sip:user@example.com SIP/2.0\n"
	for _, l := range lines {
		if name, _, _ := strings.Cut(l, ":"); !given[Canonical(name)] {
			out += l + "\n"
		}
	}
	return out + strings.Join(headers, "\n") + strings.Repeat("\n", min(1, len(headers))) + "\n" + body
}

func TestMessageFields(t *testing.T) {
	m, ref := parser.Parse(crlf(invite(sdp, "Content-Type: application/sdp", "k: timer,path", "Supported: replaces", "f: \"A, B\" <sip:a@b>;tag=x", "P-Asserted-Identity: \"x,y\" <sip:a,b@c>, <tel:+1>", "l: 5")))
	if ref != nil {
		t.Fatal(ref)
	}
	if got := m.Headers.Values("supported"); !reflect.DeepEqual(got, []string{"timer", "path", "replaces"}) {
		t.Errorf("Supported %q", got)
	}
	if got := m.Headers.Values("P-Asserted-Identity"); len(got) != 2 {
		t.Errorf("P-Asserted-Identity %q", got)
	}
	if m.From.Display != "A, B" || m.From.Tag() != "x" || len(m.Body) != 5 || m.Method != "INVITE" || m.CSeq != 1 || m.Via.Branch != "z9hG4bKx1" {
		t.Errorf("%+v", m)
	}
	if !m.Answerable() || !m.Headers.Has("k") || m.Headers.Get("Content-Length") != "5" {
		t.Error("lookups")
	}
}

func TestBrokenLinesOfResponses(t *testing.T) {
	base := []string{
		"SIP/2.0 200 OK", "Via: SIP/2.0/UDP a;branch=z9hG4bKx", "Call-ID: b", "CSeq: 35 INVITE", "From: sip:u@e;tag=1", "To: sip:u@e;tag=2",
		"Contact: <sip:u@e>",
	}
	parse := func(extra ...string) (*Message, *Refusal) {
		lines := append(append([]string(nil), base...), extra...)
		return parser.Parse([]byte(strings.Join(append(lines, "Content-Length: 2", "", "v="), "\r\n")))
	}
	for name, extra := range map[string][]string{
		"escape":          {"Subject: a\x1bb"},
		"bare line feed":  {"Subject: a\nRecord-Route: <sip:evil;lr>"},
		"bare return":     {"Subject: a\rContact: <sip:evil>"},
		"null":            {"Server: x\x00"},
		"name":            {"Sub\x01ject: x"},
		"no colon":        {"nonsense"},
		"folded":          {"Subject: a\x1b", " b", "\tc\x00"},
		"in continuation": {"Subject: a", " b\x1b", " c"},
	} {
		m, ref := parse(append(extra, "X-After: 1")...)
		if ref != nil {
			t.Errorf("%s: %v", name, ref)
			continue
		}
		if len(m.Headers) != len(base)+1 || m.Headers.Get("X-After") != "1" || m.Headers.Has("Subject") || string(m.Body) != "v=" || m.IsRequest {
			t.Errorf("%s: %q", name, m.Headers)
		}
		if got := m.Headers.Lines("Record-Route"); len(got) != 0 || len(m.Headers.Lines("Contact")) != 1 {
			t.Errorf("%s: a header field was smuggled in: %v, %q", name, got, m.Headers)
		}
	}
	for _, line := range []string{"Record-Route: <sip:a\x1b;lr>", "m: <sip:x\x00>", "Content-Type: application/sdp\nX: y"} {
		if _, ref := parse(line); ref == nil {
			t.Errorf("%q: taken, though the dialog hangs on it", line)
		}
	}
}

func TestBrokenLinesOfRequests(t *testing.T) {
	for header, line := range map[string]string{
		"From":         "From: \"A\x1b[2J\" <sip:a@b>;tag=x",
		"f":            "f: A\x07 <sip:a@b>;tag=x",
		"To":           "To: \"x\r\" <sip:c@d>",
		"Contact":      "Contact: <sip:a@b>\x00",
		"Subject":      "Subject: a\nVia: SIP/2.0/UDP evil;branch=z9hG4bKy",
		"X-Continued":  "X-Continued: a\r\n b\x1b",
		"Max-Forwards": "Max-Forwards: 70\n",
	} {
		text := strings.ReplaceAll(string(crlf(options())), "Call-ID: t.1\r\n", "Call-ID: t.1\r\n"+line+"\r\n")
		for _, old := range []string{"From: sip:caller@example.org;tag=33242\r\n", "To: sip:user@example.com\r\n"} {
			if strings.EqualFold(old[:1], line[:1]) {
				text = strings.Replace(text, old, "", 1)
			}
		}
		m, ref := parser.Parse([]byte(text))
		if ref == nil || ref.Status != 400 || ref.Phrase() != "Bad "+header+" Header" || !m.Answerable() {
			t.Errorf("%s: %v, answerable %v", header, ref, m.Answerable())
			continue
		}
		for _, h := range m.Headers {
			if CheckHeader(h) != nil {
				t.Errorf("%s: the answer would hold %q", header, h)
			}
		}
	}
	m, ref := parser.Parse([]byte(strings.Replace(string(crlf(options())), "sip:user@example.com SIP", "sip:us\x1ber@example.com SIP", 1)))
	if ref == nil || ref.Phrase() != "Bad Request-URI Header" || !m.Answerable() {
		t.Errorf("request-URI: %v", ref)
	}
}

func TestRespond(t *testing.T) {
	m, ref := parser.Parse(crlf(options("Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKx;received=6.6.6.6, SIP/2.0/UDP b;branch=z9hG4bKy", "Record-Route: <sip:p;lr>", "Timestamp: 5")))
	if ref != nil {
		t.Fatal(ref)
	}
	res := string(Respond(m, netip.MustParseAddrPort("192.0.2.9:4711"), 200, "OK", "mine", []Header{{"X-A", "b"}}, nil))
	for _, want := range []string{
		"SIP/2.0 200 OK\r\n", "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx;rport=4711;received=192.0.2.9\r\nVia: SIP/2.0/UDP b;branch=z9hG4bKy\r\n",
		"Record-Route: <sip:p;lr>\r\n", "To: sip:user@example.com;tag=mine\r\n", "X-A: b\r\n", "Content-Length: 0\r\n",
	} {
		if !strings.Contains(res, want) {
			t.Errorf("lacks %q:\n%s", want, res)
		}
	}
	if trying := string(Respond(m, netip.AddrPort{}, 100, "Trying", "mine", nil, nil)); strings.Contains(trying, "tag=mine") || !strings.Contains(trying, "Timestamp: 5") {
		t.Errorf("100:\n%s", trying)
	}
}

func TestURI(t *testing.T) {
	for in, want := range map[string]URI{
		"sip:alice@Example.COM":          {Scheme: "sip", User: "alice", Host: "example.com"},
		"SIPS:a:pw@[2001:db8::1]:5061":   {Scheme: "sips", User: "a", Password: "pw", Host: "2001:db8::1", Port: 5061},
		"sip:h;lr;transport=tcp?a=b&c=d": {Scheme: "sip", Host: "h", Params: []Parameter{{"lr", ""}, {"transport", "tcp"}}, Headers: "a=b&c=d"},
		"tel:+49-30;phone-context=x":     {Scheme: "tel", Opaque: "+49-30;phone-context=x"},
		"sip:+1;npdi;x=y@h:5":            {Scheme: "sip", User: "+1;npdi;x=y", Host: "h", Port: 5},
		"sip:user;par=u%40example@h":     {Scheme: "sip", User: "user;par=u%40example", Host: "h"},
	} {
		got, err := ParseURI(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v", in, got, err)
			continue
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if back, err := ParseURI(got.String()); err != nil || !reflect.DeepEqual(back, got) {
			t.Errorf("%s became %s", in, got)
		}
	}
	for _, in := range []string{"", "sip:", "alice", "sip:@h", "sip:a@", "sip:h:", "sip:h:0", "sip:h:99999", "sip:[::1", "sip:[1.2.3.4]", "sip:a b@h", "sip:h\r\n", "sip:a@h\x00", ":x", "1:x", "tel:", "sip:h;=x", "sip:h/x", "sip:<h>"} {
		if u, err := ParseURI(in); err == nil {
			t.Errorf("%q: %+v", in, u)
		}
	}
	u, _ := ParseURI("sip:h;a=1")
	if got := u.With("b", "2").With("a", "3").Without("b").String(); got != "sip:h;a=3" || u.String() != "sip:h;a=1" {
		t.Errorf("With, Without: %s, %s", got, u)
	}
	for in, out := range map[string]string{"": "", "+49-30(1)~!": "+49-30(1)~!", "@": "%40", "a b": "a%20b", "1;x=y?/&$,%": "1;x=y?/&$,%25", "ä": "%C3%A4"} {
		if got := EscapeUser(in); got != out {
			t.Errorf("%q is escaped as %q, expected %q", in, got, out)
		}
	}
	if got := Unescape(EscapeUser("ä b@%")); got != "ä b@%" {
		t.Errorf("escapes: %q", got)
	}
}

func TestNameAddr(t *testing.T) {
	for in, want := range map[string]string{
		`Bob <sip:b@h>;tag=1`:                     `"Bob" <sip:b@h>;tag=1`,
		`"B \"x\" <y>" <sip:b@h;p=1>;tag=1;q=0.5`: `"B \"x\" <y>" <sip:b@h;p=1>;tag=1;q=0.5`,
		`sip:b@h;tag=1`:                           `<sip:b@h>;tag=1`,
		`<tel:+1;x=y>`:                            `<tel:+1;x=y>`,
		`<sip:b@h>;+sip.instance="<urn:uuid:1>"`:  `<sip:b@h>;+sip.instance="<urn:uuid:1>"`,
	} {
		n, err := ParseNameAddr(in)
		if err != nil || n.String() != want {
			t.Errorf("%s: %s %v", in, n, err)
		}
		if err := n.Check(); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	for _, in := range []string{"", "<sip:a@h", "Bob sip:a@h", "<sip:a@h>x", "sip:a@h?x=y", "a, <sip:a@h>", `"a <sip:a@h>`, "<sip:a@h>;=1", "<sip:a@h>\r\nX: y"} {
		if n, err := ParseNameAddr(in); err == nil {
			t.Errorf("%q: %s", in, n)
		}
	}
	n, _ := ParseNameAddr("<sip:a@h>;tag=1;x=y")
	if got := n.WithTag("2").String(); got != "<sip:a@h>;x=y;tag=2" || n.Tag() != "1" || n.WithTag("").Tag() != "" {
		t.Errorf("WithTag: %s", got)
	}
	for _, bad := range []NameAddr{
		{Display: "a\r\nb", URI: n.URI}, {URI: n.URI, Params: []Parameter{{"a b", "c"}}}, {URI: n.URI, Params: []Parameter{{"a", "b;c"}}},
		{URI: URI{Scheme: "sip", Host: "h", User: "a@b"}}, {URI: URI{Scheme: "sip", Host: "h;x"}}, {URI: URI{Scheme: "sip"}}, {URI: URI{Scheme: "tel"}},
	} {
		if bad.Check() == nil {
			t.Errorf("%q passes", bad.String())
		}
	}
}

func TestHeaderChecks(t *testing.T) {
	for _, h := range []Header{{"", "x"}, {"a b", "x"}, {"A:", "x"}, {"A", "x\r\nB: y"}, {"A", "x\ny"}, {"A", "\x00"}} {
		if err := CheckHeader(h); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%q: %v", h, err)
		}
	}
	if err := CheckHeader(Header{"X-Good", "any \"text\", ünïcode\ttoo"}); err != nil {
		t.Error(err)
	}
	if v, ok := Param(`Q.850;cause=16;text="a;b=\"c\""`, "TEXT"); !ok || v != `a;b="c"` {
		t.Errorf("Param: %q", v)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../testdata/rfc*/*.sip")
	if err != nil || len(files) == 0 {
		f.Fatal("no messages of the RFCs", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(crlf(options()))
	f.Add(crlf(invite(sdp, "Content-Type: application/sdp", "Record-Route: <sip:a;lr>, <sip:b;lr>", "Reason: Q.850;cause=16")))
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nCall-ID: b\r\nCSeq: 35 INVITE\r\nFrom: sip:u@e;tag=1\r\nTo: sip:u@e;tag=2\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nCall-ID: b\r\nCSeq: 35 INVITE\r\nFrom: sip:u@e;tag=1\r\nSubject: \x1b\r\n x\r\nTo: sip:u@e;tag=2\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ref := parser.Parse(data)
		if m == nil {
			return
		}
		for _, h := range m.Headers {
			if err := CheckHeader(h); err != nil {
				t.Fatalf("%q: %v", data, err)
			}
		}
		if !m.IsRequest {
			return
		}
		if ref == nil {
			m.Refuse(policy)
		}
		if !m.Answerable() {
			return
		}
		// Whatever came: the answer is one message without what could be another.
		res := string(Respond(m, netip.MustParseAddrPort("192.0.2.1:5060"), 400, "Bad", "tag", nil, nil))
		head := strings.TrimSuffix(res, "\r\n\r\n")
		for line := range strings.SplitSeq(head, "\r\n") {
			if line == "" || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("%q was answered %q", data, res)
			}
		}
		if ref == nil {
			if back, r := parser.Parse([]byte(res)); r != nil && len(m.Vias) == 1 && strings.HasPrefix(m.Via.Branch, magic) {
				t.Fatalf("%q was answered %q: %v %v", data, res, r, back)
			}
		}
	})
}

func FuzzURI(f *testing.F) {
	f.Add("sip:a:b@[::1]:5060;x=y?z=1")
	f.Add("tel:+1;phone-context=x")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		back, err := ParseURI(u.String())
		if err != nil || back.String() != u.String() {
			t.Fatalf("%q became %q (%v)", s, u.String(), err)
		}
	})
}

func FuzzNameAddr(f *testing.F) {
	f.Add(`"B \"x\"" <sip:b@h;p=1>;tag=1;q=0.5`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNameAddr(s)
		if err != nil {
			return
		}
		back, err := ParseNameAddr(n.String())
		if err != nil || back.URI.String() != n.URI.String() || back.Tag() != n.Tag() {
			t.Fatalf("%q became %q (%v)", s, n.String(), err)
		}
	})
}

func TestDisplayNames(t *testing.T) {
	for in, want := range map[string]string{
		`<sip:a@b>`: "", `Bob <sip:a@b>`: "Bob", `Bob the  Builder <sip:a@b>`: "Bob the  Builder", `"Bob" <sip:a@b>`: "Bob", `""<sip:a@b>`: "",
		`"\"Bob\" x" <sip:a@b>;tag=1`: `"Bob" x`, `"a\\" <sip:a@b>`: `a\`, `"x <y>, z;" <sip:a@b>`: "x <y>, z;", `"\"" <sip:a@b>`: `"`, `"é" <sip:a@b>`: "é",
	} {
		if n, err := ParseNameAddr(in); err != nil || n.Display != want {
			t.Errorf("%s: display name %q, %v, want %q", in, n.Display, err, want)
		}
	}
	for _, in := range []string{`"Bob <sip:a@b>`, `"Bob" x <sip:a@b>`, `Bob "x" <sip:a@b>`, `"Bob\" <sip:a@b>`, `x" <sip:a@b>`, `a, b <sip:a@b>`, `a;b <sip:a@b>`} {
		if n, err := ParseNameAddr(in); err == nil {
			t.Errorf("%s is taken, with display name %q", in, n.Display)
		}
	}
}

// FuzzDisplayName: whatever name we send is read back as it was.
func FuzzDisplayName(f *testing.F) {
	for _, s := range []string{"", "Bob", `"b" c`, `\`, `a\"b`, `"`, `<x>;y,z`, "é ü", " a "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := NameAddr{Display: s, URI: URI{Scheme: "sip", User: "a", Host: "b.example"}}
		if n.Check() != nil {
			return
		}
		back, err := ParseNameAddr(n.String())
		if err != nil || back.Display != s {
			t.Errorf("%q is written %s and read back as %q, %v", s, n, back.Display, err)
		}
	})
}
