package sdp

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var (
	pcmu   = Format{Codec: "PCMU", Clock: 8000, Channels: 1}
	pcma   = Format{Codec: "PCMA", Clock: 8000, Channels: 1}
	opus   = Format{Codec: "OPUS", Clock: 48000, Channels: 2}
	events = Format{Codec: TelephoneEvent, Clock: 8000, Channels: 1, Fmtp: "0-15"}
	wide   = Format{Codec: TelephoneEvent, Clock: 48000, Channels: 1, Fmtp: "0-15"}
)

func terms() Terms {
	return Terms{Formats: []Format{pcmu, pcma, events}, Addr: netip.MustParseAddr("192.0.2.1"), Port: 5000}
}

func session() *Session { return NewSession("test", netip.MustParseAddr("192.0.2.1")) }

func read(t *testing.T, lines ...string) *Description {
	t.Helper()
	head := []string{"v=0", "o=- 1 1 IN IP4 198.51.100.1", "s=-", "c=IN IP4 198.51.100.1", "t=0 0"}
	d, err := Parse([]byte(strings.Join(append(head, lines...), "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func codecs(list []Format) string {
	var s []string
	for _, f := range list {
		s = append(s, strings.TrimSuffix(rtpmap(f), "/1"))
	}
	return strings.Join(s, ", ")
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		offer   []string
		terms   func(*Terms)
		formats string
		dir     Direction
		ptime   int
	}{
		{"order and numbers as offered", []string{"m=audio 4000 RTP/AVP 8 0 96", "a=rtpmap:96 telephone-event/8000"}, nil,
			"8 PCMA/8000, 0 PCMU/8000, 96 telephone-event/8000", SendRecv, 20},
		{"our order", []string{"m=audio 4000 RTP/AVP 8 0"}, func(t *Terms) { t.Ordered = true }, "0 PCMU/8000, 8 PCMA/8000", SendRecv, 20},
		{"hold", []string{"m=audio 4000 RTP/AVP 8", "a=sendonly"}, nil, "8 PCMA/8000", RecvOnly, 20},
		{"inactive", []string{"m=audio 4000 RTP/AVP 8", "a=inactive"}, nil, "8 PCMA/8000", Inactive, 20},
		{"old hold", []string{"m=audio 4000 RTP/AVP 8", "c=IN IP4 0.0.0.0"}, nil, "8 PCMA/8000", RecvOnly, 20},
		{"hold against hold", []string{"m=audio 4000 RTP/AVP 8", "a=sendonly"}, func(t *Terms) { t.Direction = SendOnly }, "8 PCMA/8000", Inactive, 20},
		{"we hold", []string{"m=audio 4000 RTP/AVP 8"}, func(t *Terms) { t.Direction = SendOnly }, "8 PCMA/8000", SendOnly, 20},
		{"the peer's ptime", []string{"m=audio 4000 RTP/AVP 8", "a=ptime:40"}, nil, "8 PCMA/8000", SendRecv, 40},
		{"within its maxptime", []string{"m=audio 4000 RTP/AVP 8", "a=ptime:40", "a=maxptime:30"}, nil, "8 PCMA/8000", SendRecv, 30},
		{"our ptime", []string{"m=audio 4000 RTP/AVP 8", "a=ptime:40"}, func(t *Terms) { t.Ptime = 10 }, "8 PCMA/8000", SendRecv, 10},
		{"events only at the codec's clock", []string{"m=audio 4000 RTP/AVP 0 96 97", "a=rtpmap:96 telephone-event/48000", "a=rtpmap:97 telephone-event/8000"},
			func(t *Terms) { t.Formats = append(t.Formats, wide, opus) }, "0 PCMU/8000, 97 telephone-event/8000", SendRecv, 20},
		{"events at each clock", []string{"m=audio 4000 RTP/AVP 111 0 96 97", "a=rtpmap:111 opus/48000/2", "a=rtpmap:96 telephone-event/48000", "a=rtpmap:97 telephone-event/8000"},
			func(t *Terms) { t.Formats = append(t.Formats, wide, opus) },
			"111 opus/48000/2, 0 PCMU/8000, 96 telephone-event/48000, 97 telephone-event/8000", SendRecv, 20},
		{"the second audio line", []string{"m=audio 4000 RTP/SAVP 0", "m=audio 4002 RTP/AVP 0"}, nil, "0 PCMU/8000", SendRecv, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			terms := terms()
			if c.terms != nil {
				c.terms(&terms)
			}
			offer := read(t, c.offer...)
			d, a, err := session().Answer(offer, terms)
			if err != nil {
				t.Fatal(err)
			}
			m := d.Audio()
			if got := codecs(m.Formats); got != c.formats {
				t.Errorf("formats are %s, want %s", got, c.formats)
			}
			if m.Direction != c.dir || a.Direction != c.dir || m.Ptime != c.ptime {
				t.Errorf("direction %s, %s, ptime %d; want %s, %d", m.Direction, a.Direction, m.Ptime, c.dir, c.ptime)
			}
			if len(d.Media) != len(offer.Media) {
				t.Errorf("%d lines answer %d", len(d.Media), len(offer.Media))
			}
			if a.Remote.Port == 0 || a.Local.Port != 5000 {
				t.Errorf("agreed on %+v and %+v", a.Local, a.Remote)
			}
		})
	}
}

func TestAnswerRefusesOtherLines(t *testing.T) {
	d, _, err := session().Answer(read(t, "m=video 9000 RTP/AVP 31", "m=audio 4000 RTP/AVP 0", "m=image 9002 udptl t38", "m=application 9004 UDP/BFCP *"), terms())
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.SplitSeq(string(b), "\r\n") {
		if strings.HasPrefix(l, "m=") {
			lines = append(lines, l)
		}
	}
	want := []string{"m=video 0 RTP/AVP 31", "m=audio 5000 RTP/AVP 0", "m=image 0 udptl t38", "m=application 0 UDP/BFCP *"}
	if !slices.Equal(lines, want) {
		t.Errorf("lines are %q, want %q", lines, want)
	}
}

// Each line has an address, its own or the session's, also where all are refused, or those in use share none (RFC 4566 5.7).
func TestRefusedLinesHaveAnAddress(t *testing.T) {
	apart := &Description{Origin: Origin{ID: "1", Addr: "192.0.2.1"}, Media: []Media{
		{Kind: "audio", Proto: "RTP/AVP", Port: 4000, Formats: []Format{pcmu}, Host: "192.0.2.1"},
		{Kind: "audio", Proto: "RTP/AVP", Port: 4002, Formats: []Format{pcmu}, Host: "192.0.2.2"},
		{Kind: "video", Proto: "RTP/AVP", Tokens: []string{"31"}},
	}}
	for name, d := range map[string]*Description{
		"video alone": Decline(read(t, "m=video 9000 RTP/AVP 31")),
		"two lines":   Decline(read(t, "m=audio 9000 RTP/AVP 18", "m=video 9000 RTP/AVP 31")),
		"two hosts":   apart,
	} {
		b, err := d.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(string(b), "m=")
		whole := strings.Count(head, "\r\nc=IN IP4 ")
		if whole > 1 {
			t.Errorf("%s: %d addresses of the session", name, whole)
		}
		for section := range strings.SplitSeq(rest, "\r\nm=") {
			if n := strings.Count(section, "\r\nc=IN IP4 "); n > 1 || n+whole == 0 {
				t.Errorf("%s: a line has %d addresses of its own, the session %d:\n%s", name, n, whole, b)
			}
		}
		again, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range again.Media {
			if m.Port != 0 && m.Host != d.Media[i].Host {
				t.Errorf("%s: line %d is at %s now, not at %s", name, i, m.Host, d.Media[i].Host)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		offer string
		err   error
		code  int
		word  string
	}{
		{"m=video 9000 RTP/AVP 31", ErrNoAudio, 304, "no audio"},
		{"m=audio 0 RTP/AVP 0", ErrNoAudio, 304, "no audio"},
		{"m=audio 4000 RTP/AVP 18 101\r\na=rtpmap:101 telephone-event/8000", ErrNoCodec, 305, "G729/8000, TELEPHONE-EVENT/8000, accepted PCMU"},
		{"m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 x\"\\y/8000", ErrNoCodec, 305, "X??Y"},
		{"m=audio 4000 RTP/SAVP 0", ErrTransport, 302, "RTP/SAVP, expected RTP/AVP"},
	} {
		_, _, err := session().Answer(read(t, c.offer), terms())
		code, text, ok := Warning(err)
		if !errors.Is(err, c.err) || !ok || code != c.code || !strings.Contains(text, c.word) {
			t.Errorf("%s: %v: warning %d %q, want %d with %q", c.offer, err, code, text, c.code, c.word)
		}
		if strings.ContainsAny(text, "\"\\\r\n") {
			t.Errorf("%q doesn't fit into a quoted string", text)
		}
	}
	if _, _, ok := Warning(errors.New("other")); ok {
		t.Error("any error is a warning")
	}
}

func TestSeveralAnswers(t *testing.T) {
	s := session()
	terms := terms()
	terms.Formats = []Format{opus, pcmu, pcma, events, wide}
	offer, err := s.Offer(terms)
	if err != nil {
		t.Fatal(err)
	}
	if got := codecs(offer.Audio().Formats); got != "96 opus/48000/2, 0 PCMU/8000, 8 PCMA/8000, 101 telephone-event/8000, 97 telephone-event/48000" {
		t.Fatalf("offered %s", got)
	}
	first, err := Agree(offer, read(t, "m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=sendonly"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Formats[0].Codec != "PCMA" || first.Direction != RecvOnly || len(first.Formats) != 3 {
		t.Errorf("first is %+v", first)
	}
	// The second numbers opus otherwise: it is sent 111 and sends 96.
	second, err := Agree(offer, read(t, "m=audio 4000 RTP/AVPF 111", "a=rtpmap:111 opus/48000/2", "a=ptime:60"))
	if err != nil {
		t.Fatal(err)
	}
	if p := second.Formats[0]; p.Send != 111 || p.Recv != 96 || second.Ptime != 60 || second.Direction != SendRecv {
		t.Errorf("second is %+v", second)
	}
	for _, c := range []struct {
		answer []string
		err    error
	}{
		{[]string{"m=audio 0 RTP/AVP 0"}, ErrNoAudio},
		{[]string{"m=audio 4000 RTP/AVP 18"}, ErrNoCodec},
		{[]string{"m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"}, ErrNoCodec},
		{[]string{"m=audio 4000 RTP/SAVP 0"}, ErrTransport},
		{[]string{"m=video 4000 RTP/AVP 31"}, ErrShape},
		{[]string{"m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/AVP 0"}, ErrShape},
		{nil, ErrShape},
	} {
		if _, err := Agree(offer, read(t, c.answer...)); !errors.Is(err, c.err) {
			t.Errorf("%q: %v, want %v", c.answer, err, c.err)
		}
	}
}

func TestVersionsAndNumbersOfReoffers(t *testing.T) {
	s := session()
	// The peer offers first, with a fax line before the audio and its own numbers.
	d, _, err := s.Answer(read(t, "m=image 9002 udptl t38", "m=audio 4000 RTP/AVP 99 0 120", "a=rtpmap:99 opus/48000/2", "a=rtpmap:120 telephone-event/8000"),
		Terms{Formats: []Format{opus, pcmu, events}, Addr: netip.MustParseAddr("192.0.2.1"), Port: 5000})
	if err != nil {
		t.Fatal(err)
	}
	s.Commit(d)
	offer := func(f func(*Terms)) *Description {
		t.Helper()
		terms := Terms{Formats: []Format{opus, pcmu, events}, Addr: netip.MustParseAddr("192.0.2.1"), Port: 5000}
		f(&terms)
		o, err := s.Offer(terms)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	same := offer(func(*Terms) {})
	if same.Origin != d.Origin {
		t.Errorf("nothing changed, but o= went from %+v to %+v", d.Origin, same.Origin)
	}
	held := offer(func(t *Terms) { t.Direction = SendOnly })
	if held.Origin.Version != d.Origin.Version+1 || held.Origin.ID != d.Origin.ID {
		t.Errorf("o= went from %+v to %+v", d.Origin, held.Origin)
	}
	if len(held.Media) != 2 || held.Media[0].Port != 0 || held.Media[1].Kind != "audio" {
		t.Errorf("lines moved: %+v", held.Media)
	}
	if got := codecs(held.Media[1].Formats); got != "99 opus/48000/2, 0 PCMU/8000, 120 telephone-event/8000" {
		t.Errorf("numbers changed: %s", got)
	}
	// That one is rejected; the next still rises, and a new codec gets a number that never meant anything else.
	more := offer(func(t *Terms) { t.Formats = []Format{{Codec: "X", Clock: 8000, Channels: 1}, opus} })
	if more.Origin.Version != d.Origin.Version+2 {
		t.Errorf("version is %d after %d", more.Origin.Version, held.Origin.Version)
	}
	if got := codecs(more.Media[1].Formats); got != "96 X/8000, 99 opus/48000/2" {
		t.Errorf("numbers are %s", got)
	}
	s.Commit(more)
	back := offer(func(t *Terms) { t.Formats = []Format{pcmu, events} })
	if got := codecs(back.Media[1].Formats); got != "0 PCMU/8000, 120 telephone-event/8000" {
		t.Errorf("numbers aren't remembered: %s", got)
	}
}

func TestOfferErrors(t *testing.T) {
	for name, spoil := range map[string]func(*Terms){
		"no codec":           func(t *Terms) { t.Formats = []Format{events} },
		"no address":         func(t *Terms) { t.Addr = netip.Addr{} },
		"the unspecified":    func(t *Terms) { t.Addr = netip.IPv4Unspecified() },
		"no port":            func(t *Terms) { t.Port = 0 },
		"attribute of lines": func(t *Terms) { t.Attributes = []Attribute{{"x", "y\r\nz"}} },
	} {
		terms := terms()
		spoil(&terms)
		if d, err := session().Offer(terms); err == nil {
			t.Errorf("%s: offered %+v", name, d)
		}
	}
}

func TestParams(t *testing.T) {
	a := Format{Codec: "AMR", Clock: 8000, Channels: 1, Fmtp: "mode-set=0,2; Octet-Align=1"}
	b := Format{Codec: "AMR", Clock: 8000, Channels: 1, Fmtp: "octet-align=0"}
	if a.Params() != "octet-align=1" || b.Params() != "" || a.Same(b) {
		t.Errorf("AMR: %q, %q", a.Params(), b.Params())
	}
	if f := (Format{Codec: "ILBC", Fmtp: "mode=20"}); f.Params() != "mode=20" {
		t.Errorf("iLBC: %q", f.Params())
	}
	if events.Params() != "" || !events.Same(Format{Codec: TelephoneEvent, Clock: 8000, Channels: 1, Fmtp: "0-16"}) {
		t.Error("which events are taken makes two formats of telephone-event")
	}
}

func TestDirections(t *testing.T) {
	for d := SendRecv; d <= Inactive; d++ {
		if d.Reverse().Reverse() != d || d.And(SendRecv) != d || d.And(Inactive) != Inactive || d.Sends() != d.Reverse().Receives() {
			t.Errorf("%s", d)
		}
	}
}
