package rtp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	prtcp "github.com/pion/rtcp"
	"github.com/pion/srtp/v3"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
)

// vault is a phone that speaks SRTP by pion's contexts.
type vault struct {
	*phone
	suite   suite
	tag     int
	key     []byte
	mki     []byte
	in, out *srtp.Context
}

func newVault(tb testing.TB, name string) *vault {
	tb.Helper()
	v := &vault{phone: newPhone(tb, "127.0.0.1"), tag: 7}
	for _, s := range suites() {
		if s.name == name {
			v.suite = s
		}
	}
	v.rekey('k')
	return v
}

// rekey gives the phone other keys.
func (v *vault) rekey(c byte) {
	v.tb.Helper()
	v.key = []byte(strings.Repeat(string(c), v.suite.size()))
	var options []srtp.ContextOption
	if v.mki != nil {
		options = append(options, srtp.MasterKeyIndicator(v.mki))
	}
	v.out = v.context(v.key, options...)
}

func (v *vault) context(key []byte, options ...srtp.ContextOption) *srtp.Context {
	v.tb.Helper()
	c, err := srtp.CreateContext(key[:v.suite.key], key[v.suite.key:], v.suite.profile, options...)
	must(v.tb, err)
	return c
}

func (v *vault) crypto() string {
	c := sdp.Crypto{Tag: v.tag, Suite: v.suite.name, Keys: []sdp.CryptoKey{{Key: v.key, MKI: v.mki}}}
	return "a=crypto:" + c.Line()
}

// sdp is the vault's description over a transport.
func (v *vault) sdp(proto string, lines ...string) []byte {
	return v.phone.sdp(append([]string{"m=audio %d " + proto + " 0 8 101"}, lines...)...)
}

// learns takes the other side's key out of its description.
func (v *vault) learns(body []byte) {
	v.tb.Helper()
	d, err := sdp.Parse(body)
	must(v.tb, err)
	for _, l := range d.Audio().Crypto {
		c, err := sdp.ParseCrypto(l)
		must(v.tb, err)
		if c.Suite == v.suite.name {
			v.tag, v.in = c.Tag, v.context(c.Keys[0].Key)
			return
		}
	}
	v.tb.Fatalf("no key of %s in\n%s", v.suite.name, body)
}

// calls lets the vault offer itself.
func (v *vault) calls(d *desk, w media.Want, lines ...string) {
	v.tb.Helper()
	p, err := d.Answer(context.Background(), v.sdp("RTP/SAVP", append([]string{v.crypto()}, lines...)...), w)
	must(v.tb, err)
	v.learns(p.SDP())
	must(v.tb, p.Commit())
	v.to = d.LocalAddr()
}

// called lets the vault answer an offer.
func (v *vault) called(d *desk, w media.Want) {
	v.tb.Helper()
	o := d.offers(w)
	v.learns(o.SDP())
	remote, err := sdp.Parse(o.SDP())
	must(v.tb, err)
	must(v.tb, o.Accept("x", v.sdp(remote.Audio().Proto, v.crypto())))
	must(v.tb, o.Commit("x"))
	v.to = d.LocalAddr()
}

func (v *vault) sealed(mark byte) []byte {
	v.tb.Helper()
	b, err := v.out.EncryptRTP(nil, v.packet(tone(mark)), nil)
	must(v.tb, err)
	return b
}

func (v *vault) say(mark byte) { v.write(v.sealed(mark)) }

func (v *vault) hear() packet {
	v.tb.Helper()
	b, from, ok := read(v.tb, v.rtp, patience)
	if !ok {
		v.tb.Fatalf("nothing came within %v", patience)
	}
	b, err := v.in.DecryptRTP(nil, b, nil)
	must(v.tb, err)
	k := packet{from: from}
	k.Parse(b)
	k.payload = b[k.Size:]
	return k
}

// Every suite, offered and answered, with media and reports both ways.
func TestSDES(t *testing.T) {
	for _, s := range suites() {
		for name, begin := range map[string]func(*vault, *desk){
			"answered":                 func(v *vault, d *desk) { v.calls(d, media.Want{SRTP: media.SRTPPrefer}) },
			"offered":                  func(v *vault, d *desk) { v.called(d, media.Want{SRTP: media.SRTPRequire}) },
			"offered beside plain RTP": func(v *vault, d *desk) { v.called(d, media.Want{SRTP: media.SRTPPrefer}) },
		} {
			t.Run(s.name+" "+name, func(t *testing.T) {
				d, other := newDesk(t, often), newDesk(t, nil)
				bridge(d, other)
				v, plain := newVault(t, s.name), newPhone(t, "127.0.0.1")
				begin(v, d)
				other.call(plain)
				for i := range byte(5) {
					v.say(i)
					if k := plain.hear(); k.payload[0] != i || len(k.payload) != 160 {
						t.Fatalf("%d came, %d bytes, want %d", k.payload[0], len(k.payload), i)
					}
					plain.say(100 + i)
					if k := v.hear(); k.payload[0] != 100+i || len(k.payload) != 160 {
						t.Fatalf("%d came, %d bytes, want %d", k.payload[0], len(k.payload), 100+i)
					}
				}
				if n := d.Negotiated(); n.SRTP != s.name {
					t.Errorf("negotiated %+v", n)
				}
				if n := other.Negotiated(); n.SRTP != "" {
					t.Errorf("the plain side negotiated %+v", n)
				}
				v.reports(d, func() { plain.say(1) })
			})
		}
	}
}

// reports exchanges RTCP with the desk. speak has it send media: only who has sent of late writes sender reports.
func (v *vault) reports(d *desk, speak func()) {
	v.tb.Helper()
	var sr *prtcp.SenderReport
	for sr == nil || len(sr.Reports) == 0 || sr.PacketCount == 0 { // the first may have left before the first packet did
		speak()
		b, _, ok := read(v.tb, v.rtcp, patience)
		if !ok {
			v.tb.Fatalf("no report within %v", patience)
		}
		b, err := v.in.DecryptRTCP(nil, b, nil)
		must(v.tb, err)
		list, err := rtpstream.Unmarshal(b)
		must(v.tb, err)
		sr, _ = list[0].(*prtcp.SenderReport)
	}
	if sr.Reports[0].SSRC != v.ssrc {
		v.tb.Errorf("reported %+v", sr)
	}
	b, err := prtcp.Marshal([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: v.ssrc, Reports: []prtcp.ReceptionReport{{SSRC: sr.SSRC, TotalLost: 3}}}})
	must(v.tb, err)
	before, _ := d.counts()
	v.control(d, b) // in the clear: nobody's
	sealed, err := v.out.EncryptRTCP(nil, b, nil)
	must(v.tb, err)
	v.control(d, sealed)
	v.control(d, sealed) // and again: a replay
	await(v.tb, "what the peer lost", func() bool { _, out := d.counts(); return out.Lost == 3 })
	await(v.tb, "two rejected", func() bool { in, _ := d.counts(); return in.Rejected == before.Rejected+2 })
}

// control sends RTCP to the port above the desk's.
func (v *vault) control(d *desk, b []byte) {
	v.tb.Helper()
	a := d.LocalAddr()
	if _, err := v.rtcp.WriteToUDPAddrPort(b, netip.AddrPortFrom(a.Addr(), a.Port()+1)); err != nil {
		v.tb.Fatal(err)
	}
}

// Who decides what: policy, what is offered, what comes of it.
func srtpDowngrade(t *testing.T) {
	const crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0"
	aead := "a=crypto:2 AEAD_AES_128_GCM inline:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3Bxcg=="
	for _, c := range []struct {
		policy media.SRTP
		proto  string
		lines  []string
		want   string // suite; "plain" or "refused"
	}{
		{media.SRTPNever, "RTP/AVP", nil, "plain"},
		{media.SRTPNever, "RTP/AVP", []string{crypto}, "plain"},
		{media.SRTPNever, "RTP/SAVP", []string{crypto}, "refused"},
		{media.SRTPPrefer, "RTP/AVP", nil, "plain"},
		{media.SRTPPrefer, "RTP/AVPF", []string{crypto}, "AES_CM_128_HMAC_SHA1_80"},
		{media.SRTPPrefer, "RTP/SAVPF", []string{crypto, aead}, "AEAD_AES_128_GCM"},
		{media.SRTPPrefer, "RTP/SAVP", nil, "refused"},
		{media.SRTPPrefer, "RTP/SAVP", []string{"a=crypto:1 NULL_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0"}, "refused"},
		{media.SRTPPrefer, "RTP/SAVP", []string{"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:QQ=="}, "refused"},
		{media.SRTPRequire, "RTP/AVP", nil, "refused"},
		{media.SRTPRequire, "RTP/AVP", []string{crypto}, "AES_CM_128_HMAC_SHA1_80"},
		{media.SRTPRequire, "RTP/SAVP", []string{crypto + " WSH=128 -UNKNOWN"}, "AES_CM_128_HMAC_SHA1_80"},
		{media.SRTPRequire, "RTP/SAVP", []string{crypto + " UNENCRYPTED_SRTP"}, "refused"},
		{media.SRTPRequire, "RTP/SAVP", []string{crypto + " UNAUTHENTICATED_SRTP"}, "refused"},
		{media.SRTPRequire, "RTP/SAVP", []string{crypto + " KDR=1"}, "refused"},
	} {
		d, p := newDesk(t, nil), newPhone(t, "127.0.0.1")
		what := fmt.Sprintf("policy %d, %s %v", c.policy, c.proto, c.lines)
		offer := p.sdp(append([]string{"m=audio %d " + c.proto + " 0"}, c.lines...)...)
		a, err := d.Answer(context.Background(), offer, media.Want{SRTP: c.policy})
		if c.want == "refused" {
			if !errors.Is(err, sdp.ErrTransport) {
				t.Errorf("%s: %v, want a refusal", what, err)
			} else if strings.Contains(err.Error(), "MDEy") {
				t.Errorf("%s: a key is told: %v", what, err)
			}
			continue
		}
		must(t, err)
		must(t, a.Commit())
		local, err := sdp.Parse(a.SDP())
		must(t, err)
		got := "plain"
		if n := d.Negotiated(); n.SRTP != "" {
			got = n.SRTP
		}
		m := local.Audio()
		if got != c.want || m.Proto != c.proto || (len(m.Crypto) == 1) != (c.want != "plain") {
			t.Errorf("%s: %s\n%s", what, got, a.SDP())
		}
	}
}

// Answers that don't fit our offer.
func TestSRTPAnswers(t *testing.T) {
	v := newVault(t, "AES_CM_128_HMAC_SHA1_80")
	for _, c := range []struct {
		policy media.SRTP
		proto  string
		tag    int
		suite  string
		ok     bool
	}{
		{media.SRTPPrefer, "RTP/AVP", 1, "", true},
		{media.SRTPPrefer, "RTP/AVP", 1, "AES_CM_128_HMAC_SHA1_80", true},
		{media.SRTPPrefer, "RTP/SAVP", 1, "AES_CM_128_HMAC_SHA1_80", true}, // some name the profile
		{media.SRTPPrefer, "RTP/SAVP", 1, "", false},
		{media.SRTPRequire, "RTP/SAVP", 1, "AES_CM_128_HMAC_SHA1_80", true},
		{media.SRTPRequire, "RTP/SAVP", 2, "AES_CM_128_HMAC_SHA1_80", false}, // another line's tag
		{media.SRTPRequire, "RTP/SAVP", 9, "AES_CM_128_HMAC_SHA1_80", false},
		{media.SRTPRequire, "RTP/SAVP", 1, "", false},
		{media.SRTPRequire, "RTP/AVP", 1, "", false},
		{media.SRTPNever, "RTP/SAVP", 1, "AES_CM_128_HMAC_SHA1_80", false},
	} {
		o := newDesk(t, nil).offers(media.Want{SRTP: c.policy})
		var lines []string
		if v.tag = c.tag; c.suite != "" {
			lines = append(lines, v.crypto())
		}
		err := o.Accept("x", v.sdp(c.proto, lines...))
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	// A re-offer keeps the transport that was agreed on, and the key.
	d := newDesk(t, nil)
	v.calls(d, media.Want{SRTP: media.SRTPPrefer})
	before := d.session.Local().Audio().Crypto[0]
	o := d.offers(media.Want{SRTP: media.SRTPPrefer})
	again, err := sdp.Parse(o.SDP())
	must(t, err)
	_, key, _ := strings.Cut(before, "inline:")
	if m := again.Audio(); m.Proto != "RTP/SAVP" || !strings.Contains(m.Crypto[0], key) {
		t.Errorf("offered again as %s", o.SDP())
	}
}

// Packets that aren't the peer's, wherever they come from, get neither in nor the lock.
func strangersWithSRTP(t *testing.T) {
	d, other := newDesk(t, nil), newDesk(t, nil)
	bridge(d, other)
	v, plain := newVault(t, "AES_CM_128_HMAC_SHA1_80"), newPhone(t, "127.0.0.1")
	v.calls(d, media.Want{SRTP: media.SRTPRequire})
	other.call(plain)
	rejected := func(want uint64) {
		t.Helper()
		await(t, fmt.Sprint(want, " rejected"), func() bool { in, _ := d.counts(); return in.Rejected == want })
		plain.deaf()
	}
	stranger := newPhone(t, "127.0.0.1") // the same address, another port
	stranger.to = v.to
	for range 10 {
		stranger.say(66)
	}
	rejected(10)
	for range 10 { // the very pair, in the clear
		v.write(v.packet(tone(66)))
	}
	rejected(20)
	wrong := newVault(t, v.suite.name)
	wrong.rekey('w')
	wrong.phone = v.phone
	for range 10 {
		wrong.say(66)
	}
	rejected(30)
	var sent [][]byte
	for i := range byte(10) {
		sent = append(sent, v.sealed(i))
		v.write(sent[i])
		if k := plain.hear(); k.payload[0] != i {
			t.Fatalf("%d came, want %d", k.payload[0], i)
		}
	}
	for _, b := range sent { // replayed by the one who holds the lock
		v.write(b)
	}
	rejected(40)
	b := v.sealed(77)
	b[20] ^= 1
	v.write(b)
	rejected(41)
	v.say(78)
	if k := plain.hear(); k.payload[0] != 78 {
		t.Errorf("%d came, want 78", k.payload[0])
	}
	in, _ := d.counts()
	if in.Packets != 11 || in.Lost != 1 {
		t.Errorf("counted %+v", in)
	}
}

// Rollover counters outlast a re-offer with the same keys; other keys begin anew.
func TestSRTPReoffer(t *testing.T) {
	d, other := newDesk(t, nil), newDesk(t, nil)
	bridge(d, other)
	v, plain := newVault(t, "AEAD_AES_128_GCM"), newPhone(t, "127.0.0.1")
	v.seq, plain.seq = 65530, 7
	want := media.Want{SRTP: media.SRTPRequire}
	v.calls(d, want)
	other.call(plain)
	talk := func(what string) {
		t.Helper()
		for i := range byte(10) {
			v.say(i)
			if k := plain.hear(); k.payload[0] != i {
				t.Fatalf("%s: %d came, want %d", what, k.payload[0], i)
			}
			plain.say(i)
			if k := v.hear(); k.payload[0] != i {
				t.Fatalf("%s: the vault got %d, want %d", what, k.payload[0], i)
			}
		}
	}
	talk("before")
	in := v.in
	v.calls(d, want)
	v.in = in // the phone keeps its context too
	talk("offered again")
	v.called(d, want)
	v.in = in
	talk("offered again by us")
	v.rekey('n')
	v.calls(d, want)
	v.in = in
	talk("other keys")
	if c, _ := d.counts(); c.Packets != 40 || c.Rejected != 0 || c.Lost != 0 {
		t.Errorf("counted %+v", c)
	}
}

// A peer may name its keys in each packet (RFC 3711 8.1).
func TestMKI(t *testing.T) {
	for _, name := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"} {
		d, other := newDesk(t, nil), newDesk(t, nil)
		bridge(d, other)
		v, plain := newVault(t, name), newPhone(t, "127.0.0.1")
		v.mki = []byte{0, 0, 0, 9}
		v.rekey('m')
		two := sdp.Crypto{Tag: 3, Suite: name, Keys: []sdp.CryptoKey{
			{Key: []byte(strings.Repeat("x", v.suite.size())), MKI: []byte{0, 0, 0, 8}, Lifetime: 1 << 20}, {Key: v.key, MKI: v.mki}}}
		p, err := d.Answer(context.Background(), v.sdp("RTP/SAVP", "a=crypto:"+two.Line()), media.Want{SRTP: media.SRTPRequire})
		must(t, err)
		v.learns(p.SDP())
		must(t, p.Commit())
		v.to = d.LocalAddr()
		other.call(plain)
		for i := range byte(5) {
			v.say(i)
			if k := plain.hear(); k.payload[0] != i {
				t.Fatalf("%d came, want %d", k.payload[0], i)
			}
			plain.say(i)
			v.hear()
		}
	}
}

// A key given is the only one, and has the size of its suite.
func TestOwnKey(t *testing.T) {
	key := []byte(strings.Repeat("o", 30))
	d := newDesk(t, func(c *Config) { c.Key = &Key{Suite: "AES_CM_128_HMAC_SHA1_32", Key: key}; c.Feedback = true })
	o := d.offers(media.Want{SRTP: media.SRTPRequire, Bandwidth: 64, Video: true})
	local, err := sdp.Parse(o.SDP())
	must(t, err)
	m := local.Audio()
	c, err := sdp.ParseCrypto(m.Crypto[0])
	if err != nil || m.Proto != "RTP/SAVPF" || len(m.Crypto) != 1 || string(c.Keys[0].Key) != string(key) {
		t.Errorf("offered %s", o.SDP())
	}
	if m.Rate("AS") != 64 || len(local.Media) != 2 || local.Media[1].Kind != "video" || local.Media[1].Port != 0 {
		t.Errorf("offered %s", o.SDP())
	}
	for _, k := range []Key{{Suite: "ROT13"}, {Suite: "AEAD_AES_128_GCM", Key: key}} {
		n, ports := network(t)
		if e, err := New(Config{Net: n, Ports: ports, Bind: localhost, Key: &k}); err == nil {
			_ = e.Close()
			t.Errorf("%s is taken", k.Suite)
		} else if strings.Contains(err.Error(), "ooo") {
			t.Errorf("the key is told: %v", err)
		}
	}
	if KeySize("AES_CM_128_HMAC_SHA1_80") != 30 || KeySize("AES_256_CM_HMAC_SHA1_80") != 46 || KeySize("x") != 0 {
		t.Error("sizes of keys")
	}
}

// secure is an endpoint that requires SRTP.
type secure struct{ *Endpoint }

func (s secure) Offer(ctx context.Context, w media.Want) (media.Offer, error) {
	w.SRTP = media.SRTPRequire
	return s.Endpoint.Offer(ctx, w)
}

func (s secure) Answer(ctx context.Context, offer []byte, w media.Want) (media.Pending, error) {
	w.SRTP = media.SRTPRequire
	return s.Endpoint.Answer(ctx, offer, w)
}

func TestSRTPConformance(t *testing.T) {
	mediatest.Endpoint(t, func() (media.Endpoint, func()) {
		n, p := network(t)
		e, err := New(Config{Net: n, Ports: p, Bind: localhost, Registry: registry(), Signalling: localhost, Name: "suite"})
		must(t, err)
		return secure{e}, func() { must(t, n.Close()) }
	})
}

// sealedInject is a bridge whose both sides are protected, and packets made before they are counted.
func sealedInject(tb testing.TB, name string, count int) func() {
	a, b := newDesk(tb, nil), newDesk(tb, nil)
	bridge(a, b)
	one, two := newVault(tb, name), newVault(tb, name)
	one.calls(a, media.Want{SRTP: media.SRTPRequire})
	two.calls(b, media.Want{SRTP: media.SRTPRequire})
	packets := make([][]byte, count)
	for i := range packets {
		packets[i] = one.sealed(1)
	}
	in := &injected{a: a, b: make([]byte, 0, 512)}
	in.from, in.now = udp.From(one.addr()), a.cfg.now()
	next := 0
	return func() {
		in.now += 20e6
		k := in.b[:copy(in.b[:512], packets[next])]
		a.receive(k, &in.from, in.now)
		next++
	}
}

func TestSRTPDoesNotAllocate(t *testing.T) {
	for _, s := range suites() {
		next := sealedInject(t, s.name, 1200)
		for range 10 {
			next()
		}
		if n := testing.AllocsPerRun(1000, next); n != 0 && (!racing || strings.HasPrefix(s.name, "AEAD")) {
			t.Errorf("%s: a packet relayed allocates %v times", s.name, n)
		}
	}
}

func BenchmarkSRTPRelay(b *testing.B) {
	for _, name := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
		b.Run(name, func(b *testing.B) {
			next := sealedInject(b, name, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				next()
			}
		})
	}
}
