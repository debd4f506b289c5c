package webrtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

// lines of a description that begin so.
func lines(body []byte, prefix string) []string {
	var out []string
	for l := range strings.SplitSeq(string(body), "\r\n") {
		if strings.HasPrefix(l, prefix) {
			out = append(out, l)
		}
	}
	return out
}

// answered is the leg's answer, committed.
func (l *leg) answered(offer []byte, w media.Want) []byte {
	l.tb.Helper()
	p := must[media.Pending](l.tb)(l.Answer(context.Background(), offer, w))
	if err := p.Commit(); err != nil {
		l.tb.Fatal(err)
	}
	return p.SDP()
}

// An offer as Chromium makes it with camera and data, trickling: audio is taken, the rest refused by name.
func TestChromiumOffer(t *testing.T) {
	l := newLeg(t, newPort(t, nil), func(c *Config) { c.Stack = Own })
	offer := strings.ReplaceAll(`v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS x
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Pw3S
a=ice-pwd:qvKAr7jGmnUJZ1h1jzQHQ2Qx
a=ice-options:trickle
a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:x y
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=rtpmap:96 VP8/90000
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:2
a=sctp-port:5000
`, "\n", "\r\n")
	got := l.answered([]byte(offer), media.Want{})
	d := must[*sdp.Description](t)(parse(got))
	if len(d.Media) != 3 || d.Media[1].Port != 0 || d.Media[2].Port != 0 || d.Media[2].Proto != "UDP/DTLS/SCTP" {
		t.Fatalf("answered\n%s", got)
	}
	m := d.Media[0]
	if m.Direction != sdp.SendRecv || !m.Mux || m.Port != l.cfg.Port.main().Port() || m.Addr != localhost {
		t.Errorf("audio is %+v", m)
	}
	var names []string
	for _, f := range m.Formats {
		names = append(names, fmt.Sprintf("%d %s/%d", f.PT, f.Codec, f.Clock))
	}
	if want := []string{"0 PCMU/8000", "8 PCMA/8000", "111 OPUS/48000", "126 TELEPHONE-EVENT/8000", "110 TELEPHONE-EVENT/48000"}; !slices.Equal(names, want) {
		t.Errorf("formats are %v, want %v", names, want)
	}
	for _, want := range []string{
		"a=ice-lite", "a=group:BUNDLE 0", "a=mid:0", "a=mid:1", "a=mid:2", "a=setup:passive", "a=end-of-candidates",
		"a=fingerprint:" + l.ident.fingerprint, "a=fmtp:111 minptime=10;useinbandfec=1",
		fmt.Sprintf("a=candidate:1 1 udp 2130706431 127.0.0.1 %d typ host", m.Port),
		fmt.Sprintf("a=ssrc:%d cname:%s", l.sink.SSRC, l.control.Name),
	} {
		if n := len(lines(got, want)); n != 1 {
			t.Errorf("%d lines %q in\n%s", n, want, got)
		}
	}
	for _, never := range []string{"a=extmap", "a=rtcp-fb", "a=rtcp-rsize", "a=rtpmap:63"} {
		if len(lines(got, never)) != 0 {
			t.Errorf("%q in\n%s", never, got)
		}
	}
	// The same offer again is answered by the same words: nothing changed.
	if again := l.answered([]byte(offer), media.Want{}); !bytes.Equal(again, got) {
		t.Errorf("the same offer is answered with\n%s\nafter\n%s", again, got)
	}
	// A re-offer of ours keeps lines, names, numbers and credentials.
	o := must[media.Offer](t)(l.Offer(context.Background(), media.Want{Direction: sdp.SendOnly}))
	defer o.Rollback()
	re := must[*sdp.Description](t)(parse(o.SDP()))
	if len(re.Media) != 3 || re.Media[0].Direction != sdp.SendOnly || re.Origin.ID != d.Origin.ID || re.Origin.Version != d.Origin.Version+1 {
		t.Errorf("re-offered\n%s", o.SDP())
	}
	for _, same := range []string{"a=mid:", "a=ice-ufrag", "a=ice-pwd", "a=ssrc", "a=msid:", "a=rtpmap"} {
		if a, b := lines(got, same), lines(o.SDP(), same); !slices.Equal(a, b) {
			t.Errorf("%s was %v, is %v", same, a, b)
		}
	}
	if s := lines(o.SDP(), "a=setup:"); len(s) != 1 || s[0] != "a=setup:actpass" {
		t.Errorf("re-offered with %v", s)
	}
}

// The peer's fresh credentials get fresh ones; an answer that is rolled back leaves nothing.
func TestCredentialsOfAnswers(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, nil), newCaller(t)
	first := lines(l.answered(c.sdp("actpass"), media.Want{}), "a=ice-ufrag")
	c.mine = credentials{token(8), token(24)}
	p := must[media.Pending](t)(l.Answer(context.Background(), c.sdp("actpass"), media.Want{}))
	if slices.Equal(lines(p.SDP(), "a=ice-ufrag"), first) {
		t.Error("an ICE restart is answered with the same credentials")
	}
	p.Rollback()
	if port.credentials() != 1 {
		t.Errorf("%d credentials are known after a rollback", port.credentials())
	}
	again := must[media.Pending](t)(l.Answer(context.Background(), c.sdp("actpass"), media.Want{}))
	more := must[media.Pending](t)(l.Answer(context.Background(), c.sdp("actpass"), media.Want{})) // voids the one before
	if err := again.Commit(); !errors.Is(err, ErrSettled) {
		t.Errorf("a void answer is committed: %v", err)
	}
	if err := more.Commit(); err != nil {
		t.Fatal(err)
	}
	if port.credentials() != 2 { // the old ones hold until the new are nominated
		t.Errorf("%d credentials are known", port.credentials())
	}
}

// Addresses behind NAT and of both families are in candidates, best first, each with its socket's port.
func TestCandidates(t *testing.T) {
	port := newPort(t, func(c *PortConfig) {
		c.Bind = append(c.Bind, netip.MustParseAddrPort("[::1]:0"))
		c.Advertise = []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("203.0.113.9")}
	})
	l := newLeg(t, port, nil)
	o := must[media.Offer](t)(l.Offer(context.Background(), media.Want{}))
	defer o.Rollback()
	four, six := port.sockets[0].udp.LocalAddr().Port(), port.sockets[1].udp.LocalAddr().Port()
	want := []string{
		fmt.Sprintf("a=candidate:1 1 udp 2130706431 2001:db8::1 %d typ host", six),
		fmt.Sprintf("a=candidate:2 1 udp 2130706175 198.51.100.7 %d typ host", four),
		fmt.Sprintf("a=candidate:3 1 udp 2130705919 203.0.113.9 %d typ host", four),
	}
	if got := lines(o.SDP(), "a=candidate"); !slices.Equal(got, want) {
		t.Errorf("candidates are %v, want %v", got, want)
	}
	if got := lines(o.SDP(), "c="); !slices.Equal(got, []string{"c=IN IP6 2001:db8::1"}) {
		t.Errorf("%v", got)
	}
	for _, bad := range []PortConfig{
		{}, {Net: port.cfg.Net}, {Net: port.cfg.Net, Bind: port.cfg.Bind[:1], Advertise: []netip.Addr{netip.MustParseAddr("2001:db8::1")}},
		{Net: port.cfg.Net, Bind: port.cfg.Bind[:1], Advertise: []netip.Addr{netip.IPv4Unspecified()}}, {Net: port.cfg.Net, Bind: port.cfg.Bind, Report: -1},
	} {
		if p, err := NewPort(bad); err == nil {
			t.Errorf("%+v is taken", bad)
			_ = p.Close()
		}
	}
}

// On a wildcard address the candidates are the machine's own.
func TestWildcard(t *testing.T) {
	port := newPort(t, func(c *PortConfig) { c.Bind = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:0")} })
	for _, a := range port.Addresses() {
		if !a.Addr().Is4() || a.Addr().IsUnspecified() || a.Port() != port.sockets[0].udp.LocalAddr().Port() {
			t.Errorf("candidate %s", a)
		}
	}
}

func TestReadCandidate(t *testing.T) {
	for line, want := range map[string]string{
		"1 1 udp 2130706431 192.0.2.1 5000 typ host":                                       "192.0.2.1:5000",
		"1 1 UDP 2130706431 2001:db8::2 5000 typ srflx raddr 0.0.0.0 rport 0 generation 0": "[2001:db8::2]:5000",
		"1 2 udp 2130706431 192.0.2.1 5000 typ host":                                       "",
		"1 1 tcp 2130706431 192.0.2.1 9 typ host tcptype active":                           "",
		"1 1 udp 2130706431 x-y.local 5000 typ host":                                       "",
		"1 1 udp 2130706431 0.0.0.0 5000 typ host":                                         "",
		"1 1 udp 2130706431 224.0.0.1 5000 typ host":                                       "",
		"1 1 udp 2130706431 192.0.2.1 0 typ host":                                          "",
		"1 1 udp 2130706431 192.0.2.1 70000 typ host":                                      "",
		"": "",
	} {
		a, ok := readCandidate(line)
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%q is %s, %v, want %q", line, a, ok, want)
		}
	}
}

// The answers of different peers to one offer each have their own line; answers that don't fit are refused.
func TestAnswersRefused(t *testing.T) {
	l, b, c := newLeg(t, newPort(t, nil), nil), newBrowser(t, webrtctest.Config{}), newCaller(t)
	ctx := context.Background()
	o := must[media.Offer](t)(l.Offer(ctx, media.Want{}))
	if _, err := l.Offer(ctx, media.Want{}); !errors.Is(err, ErrPending) {
		t.Errorf("a second offer: %v", err)
	}
	if _, err := l.Answer(ctx, c.sdp("actpass"), media.Want{}); !errors.Is(err, ErrPending) {
		t.Errorf("glare: %v", err)
	}
	for _, bad := range [][]byte{c.sdp("actpass"), bytes.ReplaceAll(c.sdp("active"), []byte("a=rtcp-mux\r\n"), nil), bytes.ReplaceAll(c.sdp("active"), []byte("sha-256"), []byte("sha-1"))} {
		if err := o.Accept("bad", bad); err == nil {
			t.Errorf("accepted\n%s", bad)
		}
	}
	if err := o.Accept("c", c.sdp("active")); err != nil {
		t.Fatal(err)
	}
	if err := o.Accept("twin", c.sdp("active")); err == nil {
		t.Error("two dialogs have one ufrag")
	}
	answer := must[[]byte](t)(b.Answer(ctx, o.SDP()))
	if err := o.Accept("b", answer); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit("b"); err != nil {
		t.Fatal(err)
	}
	isUp(t, b)
	if n := l.cfg.Port.credentials(); n != 1 {
		t.Errorf("%d credentials are known", n)
	}
	for i := range maxTags + 1 {
		if i == 0 {
			o = must[media.Offer](t)(l.Offer(ctx, media.Want{}))
		}
		err := o.Accept(fmt.Sprint(i), answer)
		if (err != nil) != (i == maxTags) {
			t.Errorf("dialog %d: %v", i, err)
		}
	}
	o.Rollback()
}

func TestPortIsFull(t *testing.T) {
	port := newPort(t, func(c *PortConfig) { c.Endpoints = 1 })
	l := newLeg(t, port, nil)
	if _, err := New(Config{Port: port}); !errors.Is(err, ErrFull) {
		t.Errorf("a second endpoint: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	newLeg(t, port, nil)
	for _, bad := range []Config{{}, {Port: port, Stack: 9}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
