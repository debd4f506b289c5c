package sdp

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// phone is what a desk phone with all its habits offers.
const phone = "v=0\r\n" +
	"o=alice 2890844526 7 IN IP4 198.51.100.7\r\n" +
	"s=call\r\n" +
	"c=IN IP4 198.51.100.7\r\n" +
	"b=RR:0\r\n" +
	"t=0 0\r\n" +
	"a=sendonly\r\n" +
	"m=audio 4000 RTP/AVP 8 0 9 97 101\r\n" +
	"b=AS:64\r\n" +
	"a=rtpmap:97 opus/48000/2\r\n" +
	"a=fmtp:97 useinbandfec=1\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\n" +
	"a=fmtp:101 0-16\r\n" +
	"a=ptime:30\r\n" +
	"a=maxptime:60\r\n" +
	"a=rtcp:4005\r\n" +
	"a=rtcp-mux\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n" +
	"a=setup:actpass\r\n" +
	"m=image 4002 udptl t38\r\n" +
	"c=IN IP6 2001:db8::1\r\n" +
	"a=T38FaxVersion:0\r\n" +
	"m=video 0 RTP/AVP 31\r\n"

func TestParse(t *testing.T) {
	d, err := Parse([]byte(phone))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Origin{"alice", "2890844526", 7, "198.51.100.7"}); d.Origin != want {
		t.Errorf("origin is %+v, want %+v", d.Origin, want)
	}
	if len(d.Media) != 3 {
		t.Fatalf("%d media lines, want 3", len(d.Media))
	}
	a := d.Audio()
	want := []Format{
		{8, "PCMA", 8000, 1, ""}, {0, "PCMU", 8000, 1, ""}, {9, "G722", 8000, 1, ""},
		{97, "OPUS", 48000, 2, "useinbandfec=1"}, {101, TelephoneEvent, 8000, 1, "0-16"},
	}
	if !slices.Equal(a.Formats, want) {
		t.Errorf("formats are %v, want %v", a.Formats, want)
	}
	if a.Target() != netip.MustParseAddrPort("198.51.100.7:4000") || a.Ptime != 30 || a.MaxPtime != 60 || a.Direction != SendOnly {
		t.Errorf("audio is %+v", a)
	}
	if !a.Mux || a.RTCP.Port() != 4005 || a.Control() != a.Target() {
		t.Errorf("mux %v, rtcp %v, control %v", a.Mux, a.RTCP, a.Control())
	}
	if a.Rate("RR") != 0 || a.Rate("AS") != 64 || a.Rate("RS") != -1 {
		t.Errorf("bandwidth is %v", a.Bandwidth)
	}
	if v, ok := a.Attribute("setup"); !ok || v != "actpass" || len(a.Crypto) != 1 {
		t.Errorf("attributes %v, crypto %v", a.Attributes, a.Crypto)
	}
	if !d.Held() || d.Direction() != SendOnly {
		t.Errorf("direction is %s", d.Direction())
	}
	if fax := d.Media[1]; fax.Formats != nil || fax.Tokens[0] != "t38" || fax.Addr != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("fax line is %+v", fax)
	}
}

func TestParseHabits(t *testing.T) {
	head := "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\n"
	for name, c := range map[string]struct {
		body  string
		check func(*Description) bool
	}{
		"bandwidth before connection, LF": {"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nb=AS:64\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4 RTP/AVP 0\n",
			func(d *Description) bool { return d.Audio().Addr == netip.MustParseAddr("192.0.2.1") }},
		"old hold": {head + "c=IN IP4 0.0.0.0\nm=audio 4 RTP/AVP 0\n",
			func(d *Description) bool {
				return d.Held() && d.Direction() == SendOnly && !d.Audio().Target().IsValid()
			}},
		"old hold, received only": {head + "c=IN IP4 0.0.0.0\nm=audio 4 RTP/AVP 0\na=recvonly\n",
			func(d *Description) bool { return d.Direction() == Inactive }},
		"a name": {head + "c=IN IP4 media.example\nm=audio 4 RTP/AVP 0\n",
			func(d *Description) bool { return !d.Audio().Addr.IsValid() && d.Audio().Host == "media.example" }},
		"no user": {"v=0\no= 1 1 IN IP4 192.0.2.1\ns=\nc=IN IP4 192.0.2.1\nm=audio 4 RTP/AVP 0\n",
			func(d *Description) bool { return d.Origin.ID == "1" }},
		"big session id": {"v=0\no=- 99999999999999999999999 99999999999999999999999 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nm=audio 4 RTP/AVP 0\n",
			func(d *Description) bool { return d.Origin.ID == "99999999999999999999999" }},
		"session direction, line's own": {head + "a=inactive\nc=IN IP4 192.0.2.1\nm=audio 4 RTP/AVP 0\na=sendrecv\n",
			func(d *Description) bool { return d.Direction() == SendRecv }},
		"payload type without meaning": {head + "c=IN IP4 192.0.2.1\nm=audio 4 RTP/AVP 0 99 0\n",
			func(d *Description) bool { f := d.Audio().Formats; return len(f) == 2 && f[1] == Format{PT: 99} }},
		"rtcp elsewhere": {head + "c=IN IP4 192.0.2.1\nm=audio 4 RTP/AVP 0\na=rtcp:9 IN IP4 192.0.2.9\n",
			func(d *Description) bool { return d.Audio().Control() == netip.MustParseAddrPort("192.0.2.9:9") }},
		"rtcp above": {head + "c=IN IP6 2001:db8::9\nm=audio 4 RTP/AVP 0\n",
			func(d *Description) bool { return d.Audio().Control() == netip.MustParseAddrPort("[2001:db8::9]:5") }},
	} {
		d, err := Parse([]byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.check(d) {
			t.Errorf("%s: read as %+v", name, d)
		}
	}
}

func TestParseErrors(t *testing.T) {
	head := "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
	for _, c := range []struct {
		body, want string
		line       int
	}{
		{"", "v=0", 0},
		{"v=0\n", "o= line", 0},
		{"hello", "letter and =", 1},
		{"o=- 1 1 IN IP4 192.0.2.1", "v=0 in the first line", 1},
		{"v=1", "version 0", 1},
		{"v=0\no=- x 1 IN IP4 192.0.2.1", "numeric", 2},
		{"v=0\no=- 1 IN IP4 192.0.2.1", "numeric session id", 2},
		{"v=0\no=1 IN IP4 192.0.2.1", "session id", 2},
		{head + "m=audio 70000 RTP/AVP 0", "port from 0 to 65535", 6},
		{head + "m=audio -1 RTP/AVP 0", "port from 0 to 65535", 6},
		{head + "m=audio 4 RTP/AVP", "at least one format", 6},
		{head + "m=audio 4 RTP/AVP 128", "0 to 127", 6},
		{head + "m=audio 4 RTP/AVP pcmu", "not \"pcmu\"", 6},
		{head + "m=audio 4/0 RTP/AVP 0", "number of ports", 6},
		{head + "m=audio 4 RTP/AVP" + strings.Repeat(" 0", 65), "at most 64 formats", 6},
		{head + strings.Repeat("m=video 0 RTP/AVP 31\n", 33), "at most 32 media lines", 38},
		{head + "m=audio 4 RTP/AVP 96\na=rtpmap:96 opus", "name/clock", 7},
		{head + "m=audio 4 RTP/AVP 96\na=rtpmap:96 opus/0", "clock from 1", 7},
		{head + "m=audio 4 RTP/AVP 96\na=rtpmap:200 opus/8000", "payload type", 7},
		{head + "m=audio 4 RTP/AVP 0\na=ptime:0", "milliseconds", 7},
		{head + "m=audio 4 RTP/AVP 0\na=ptime:NaN", "milliseconds", 7},
		{head + "m=audio 4 RTP/AVP 0\na=rtcp:0", "port from 1", 7},
		{head + "m=audio 4 RTP/AVP 0\nc=IN IP4 2001:db8::1", "family IP4", 7},
		{head + "m=audio 4 RTP/AVP 0\nc=ATM x y", "IN, IP4 or IP6", 7},
		{head + "b=AS", "a number", 6},
		{head + "x=y", "one of the letters", 6},
		{head + "a=\x00", "NUL", 6},
		{"v=0\n" + strings.Repeat("a=x\n", 1200), "at most 1000 lines", 1001},
		{strings.Repeat("a", MaxSize+1), "at most 65536 bytes", 0},
	} {
		_, err := Parse([]byte(c.body))
		var s *SyntaxError
		if !errors.As(err, &s) {
			t.Errorf("%.60q: %v, want a SyntaxError", c.body, err)
			continue
		}
		if s.Line != c.line || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %q, want line %d and %q", c.body, err, c.line, c.want)
		}
	}
}

func TestMarshalReadsBack(t *testing.T) {
	d, err := Parse([]byte(phone))
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b)
	if err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	for i := range again.Media { // what a session line said stands in the lines now
		if d.Media[i].Port == 0 {
			continue
		}
		if !reflect.DeepEqual(d.Media[i], again.Media[i]) {
			t.Errorf("line %d is %+v, was %+v", i, again.Media[i], d.Media[i])
		}
	}
	if !bytes.Contains(b, []byte("m=image 4002 udptl t38\r\n")) || !bytes.HasSuffix(b, []byte("m=video 0 RTP/AVP 31\r\n")) {
		t.Errorf("lines of no use to us are changed:\n%s", b)
	}
}

func TestMarshalRefusesWhatBreaksLines(t *testing.T) {
	ok := func() *Description {
		d, err := Parse([]byte(phone))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, spoil := range map[string]func(*Description){
		"name":      func(d *Description) { d.Name = "x\r\nm=audio 9 RTP/AVP 0" },
		"user":      func(d *Description) { d.Origin.User = "a b" },
		"id":        func(d *Description) { d.Origin.ID = "x" },
		"attribute": func(d *Description) { d.Media[0].Attributes = []Attribute{{"x", "y\nz"}} },
		"key":       func(d *Description) { d.Media[0].Attributes = []Attribute{{"x y", ""}} },
		"crypto":    func(d *Description) { d.Media[0].Crypto = []string{"1\n2"} },
		"fmtp":      func(d *Description) { d.Media[0].Formats[0].Fmtp = "a\rb" },
		"codec":     func(d *Description) { d.Media[0].Formats[0].Codec = "a b" },
		"proto":     func(d *Description) { d.Media[0].Proto = "" },
	} {
		d := ok()
		spoil(d)
		if b, err := d.Marshal(); err == nil {
			t.Errorf("%s: written as %q", name, b)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(phone))
	f.Add([]byte("v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nc=IN IP4 224.2.1.1/127/3\nm=audio 5/2 RTP/SAVPF 111\na=rtpmap:111 opus/48000/2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) {
				t.Fatalf("%T is no SyntaxError", err)
			}
			return
		}
		if out, err := d.Marshal(); err == nil { // what can be written is read again, and stays the same
			again, err := Parse(out)
			if err != nil {
				t.Fatalf("%v in %q", err, out)
			}
			twice, err := again.Marshal()
			if err != nil || !bytes.Equal(out, twice) {
				t.Fatalf("%q is written as %q: %v", out, twice, err)
			}
		}
		s := NewSession("fuzz", netip.MustParseAddr("192.0.2.1"))
		local, a, err := s.Answer(d, terms())
		if err != nil {
			return
		}
		if len(local.Media) != len(d.Media) || len(a.Formats) == 0 {
			t.Fatalf("answer has %d lines for %d, %d formats", len(local.Media), len(d.Media), len(a.Formats))
		}
		for i, m := range local.Media {
			if m.Kind != d.Media[i].Kind || m.Proto != d.Media[i].Proto {
				t.Fatalf("line %d answers %s %s with %s %s", i, d.Media[i].Kind, d.Media[i].Proto, m.Kind, m.Proto)
			}
		}
		out, err := local.Marshal()
		if err != nil {
			t.Fatalf("answer can't be written: %v", err)
		}
		if _, err := Parse(out); err != nil {
			t.Fatalf("answer can't be read: %v", err)
		}
		if _, err := Agree(d, local); err != nil && !errors.As(err, new(*Refusal)) {
			t.Fatalf("%T is no Refusal", err)
		}
	})
}
