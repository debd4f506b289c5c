package webrtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

// bothStacks runs a test against either.
func bothStacks(t *testing.T, do func(t *testing.T, s Stack)) {
	for name, s := range map[string]Stack{"own": Own, "PeerConnection": PeerConnection} {
		t.Run(name, func(t *testing.T) { do(t, s) })
	}
}

// hears sends tones both ways for a second and measures them: hz to the browser, 2*hz from it.
func hears(t *testing.T, l *leg, b *webrtctest.Browser, f *media.Format, hz float64) {
	t.Helper()
	zero := media.Pad{}
	rb, rl := mediatest.NewRecorder(f), mediatest.NewRecorder(f)
	b.Source(zero).Link(rb)
	l.Source(zero).Link(rl)
	defer b.Source(zero).Unlink(rb)
	defer l.Source(zero).Unlink(rl)
	down, up := mediatest.NewTalker(nil, f), mediatest.NewTalker(nil, f)
	down.Link(l.Sink(zero))
	up.Link(b.Sink(zero))
	defer down.Close()
	defer up.Close()
	low, high := mediatest.Tone(f, hz, -10, 100), mediatest.Tone(f, 2*hz, -10, 100)
	for i := 0; i < 100 && (len(rb.Audio()) < 4000 || len(rl.Audio()) < 4000); i++ {
		down.Say(low[i])
		up.Say(high[i])
		rb.Take(f)
		media.Renegotiate(b)
		time.Sleep(5 * time.Millisecond)
	}
	peak := g711.A().Peak()
	if f.Codec == "PCMU" {
		peak = g711.Mu().Peak()
	}
	for _, m := range []struct {
		name  string
		audio []byte
		hz    float64
	}{{"the browser", rb.Audio(), hz}, {"the leg", rl.Audio(), 2 * hz}} {
		if len(m.audio) < 4000 {
			t.Fatalf("%s hears %d bytes", m.name, len(m.audio))
		}
		// A packet that a busy machine lost is a leap in the tone: one of the latest three windows is without.
		best := math.Inf(-1)
		for end := len(m.audio); end > len(m.audio)-3*1280; end -= 1280 {
			if at := mediatest.Level(mediatest.Linear(f, m.audio[end-1280:end]), 8000, m.hz, peak); math.Abs(at+10) < math.Abs(best+10) {
				best = at
			}
		}
		if best < -11 || best > -9 {
			t.Errorf("%s hears %v Hz at %.1f dBm0, want -10", m.name, m.hz, best)
		}
	}
}

func TestTonesBothWays(t *testing.T) {
	t.Parallel()
	bothStacks(t, func(t *testing.T, s Stack) {
		for _, f := range []*media.Format{media.PCMU(), media.PCMA()} {
			for _, calls := range []bool{true, false} {
				l, b := newLeg(t, newPort(t, nil), func(c *Config) { c.Stack = s }), newBrowser(t, webrtctest.Config{})
				if calls {
					l.call(b, media.Want{Formats: []*media.Format{f, media.TelephoneEvent(8000)}}, false)
				} else {
					l.dial(b, media.Want{Formats: []*media.Format{f, media.TelephoneEvent(8000)}})
				}
				isUp(t, b)
				hears(t, l, b, f, 440)
				n := l.Negotiated()
				if n.Codec != f.String() || !n.Events || n.Profile == "" || !n.Remote.IsValid() || n.SetUp <= 0 || n.Direction != sdp.SendRecv || n.Ptime != 20 {
					t.Errorf("negotiated %+v", n)
				}
				in, out := l.counts()
				if in.Packets < 20 || out.Packets < 20 || in.Lost != 0 || in.First == 0 || in.Format.Codec != f.Codec || len(notices[media.Flowing](l)) != 1 {
					t.Errorf("counted %+v, %+v, notices %v", in, out, l.heard)
				}
			}
		}
	})
}

// Opus passes as it is, at its own clock, with events at that clock.
func TestOpusPasses(t *testing.T) {
	bothStacks(t, func(t *testing.T, s Stack) {
		l, b := newLeg(t, newPort(t, nil), func(c *Config) { c.Stack = s }), newBrowser(t, webrtctest.Config{})
		l.call(b, media.Want{Formats: []*media.Format{opus(), media.TelephoneEvent(8000)}}, false)
		isUp(t, b)
		zero := media.Pad{}
		r := mediatest.NewRecorder(b.Source(zero).Formats()...)
		b.Source(zero).Link(r)
		l.Source(zero).Link(l.Sink(zero)) // an echo
		var f, e *media.Format
		for _, g := range b.Formats() {
			if g.Codec == "OPUS" {
				f = g
			} else if g.Kind == media.Event && g.Clock == 48000 {
				e = g
			}
		}
		if f == nil || e == nil {
			t.Fatalf("the browser sends %v", b.Formats())
		}
		speak := mediatest.NewTalker(nil, f)
		speak.Link(b.Sink(zero))
		defer speak.Close()
		want := bytes.Repeat([]byte{0x78, 1, 2, 3}, 10)
		await(t, "the echo", func() bool {
			speak.Say(want)
			r.Take(b.Source(zero).Formats()...)
			media.Renegotiate(b)
			return bytes.Contains(r.Audio(), want)
		})
		for i := range 8 {
			d := []byte{11, 10, 0, 0}
			binary.BigEndian.PutUint16(d[2:], uint16(960*min(i+1, 6)))
			if i >= 5 {
				d[1] |= 0x80
			}
			say(b.Sink(zero), e, d, 77777, i == 0)
		}
		await(t, "the digit", func() bool { return len(notices[media.Digit](l)) == 1 })
		if d := notices[media.Digit](l)[0]; d.Digit != '#' || d.Duration != 120 {
			t.Errorf("heard %+v", d)
		}
	})
}

// say pushes one frame past a source.
func say(k media.Sink, f *media.Format, payload []byte, ts uint32, marker bool) {
	k.Push(&media.Frame{Kind: f.Kind, Format: f, Payload: payload, Timestamp: ts, Marker: marker})
}

// DTMF goes both ways at 8000.
func TestDigits(t *testing.T) {
	port := newPort(t, nil)
	a, b, c, d := newLeg(t, port, nil), newLeg(t, port, nil), newCaller(t), newCaller(t)
	c.connects(a)
	d.connects(b)
	a.Source(media.Pad{}).Link(b.Sink(media.Pad{}))
	c.say(1)
	d.hear(false)
	ts := c.ts
	for i := range 7 {
		c.ts = ts
		p := []byte{5, 10, 0, byte(20 * i)}
		if i >= 4 {
			p[1] |= 0x80
		}
		c.write(c.packet(101, p))
		if h := d.hear(false); h.PT != 101 || !bytes.Equal(h.payload, p) {
			t.Errorf("event %d came as %+v, %x", i, h.Header, h.payload)
		}
	}
	c.say(2)
	d.hear(false)
	if n := notices[media.Digit](a); len(n) != 1 || n[0].Digit != '5' {
		t.Errorf("heard %v", n)
	}
}

func TestHoldAndResume(t *testing.T) {
	bothStacks(t, func(t *testing.T, s Stack) {
		l, b := newLeg(t, newPort(t, nil), func(c *Config) { c.Stack = s }), newBrowser(t, webrtctest.Config{})
		w := media.Want{Formats: []*media.Format{media.PCMU()}}
		l.call(b, w, false)
		isUp(t, b)
		hears(t, l, b, media.PCMU(), 440)
		line := l.agreed.Load().line
		w.Direction = sdp.Inactive
		l.dial(b, w)
		if n := l.Negotiated(); n.Direction != sdp.Inactive {
			t.Errorf("negotiated %+v", n)
		}
		if c := l.Sink(media.Pad{}).Caps(); len(c.Formats) != 0 {
			t.Errorf("a held peer takes %v", c.Formats)
		}
		w.Direction = sdp.SendRecv
		l.dial(b, w)
		hears(t, l, b, media.PCMU(), 600)
		l.call(b, w, false) // and a re-offer of the browser's that changes nothing
		hears(t, l, b, media.PCMU(), 700)
		if l.agreed.Load().line != line {
			t.Error("the line isn't the same")
		}
	})
}

// ICE restarts in mid-call, by either side: not a packet is lost, keys and numbers go on.
func TestRestart(t *testing.T) {
	t.Parallel()
	bothStacks(t, func(t *testing.T, s Stack) {
		port := newPort(t, nil)
		l, b := newLeg(t, port, func(c *Config) { c.Stack = s }), newBrowser(t, webrtctest.Config{})
		w := media.Want{Formats: []*media.Format{media.PCMU()}}
		l.call(b, w, false)
		isUp(t, b)
		hears(t, l, b, media.PCMU(), 440)
		was, line := l.ours, l.agreed.Load().line
		l.call(b, w, true)
		if l.ours == was || l.agreed.Load().line != line {
			t.Error("the credentials are the same, or the line isn't")
		}
		await(t, "the new nomination", func() bool { return port.credentials() == 1 })
		hears(t, l, b, media.PCMU(), 500)
		was = l.ours
		w.ICERestart = true
		l.dial(b, w)
		if l.ours == was {
			t.Error("the credentials are the same")
		}
		await(t, "the new nomination", func() bool { return port.credentials() == 1 })
		hears(t, l, b, media.PCMU(), 600)
		if in, _ := l.counts(); in.Lost != 0 || in.Epochs > 1 {
			t.Errorf("counted %+v", in)
		}
	})
}

// A restart that is taken back leaves everything as it was.
func TestRestartRolledBack(t *testing.T) {
	bothStacks(t, func(t *testing.T, s Stack) {
		port := newPort(t, nil)
		l, b := newLeg(t, port, func(c *Config) { c.Stack = s }), newBrowser(t, webrtctest.Config{})
		w := media.Want{Formats: []*media.Format{media.PCMU()}}
		l.call(b, w, false)
		isUp(t, b)
		hears(t, l, b, media.PCMU(), 440)
		o := must[media.Offer](t)(l.Offer(context.Background(), media.Want{Formats: w.Formats, ICERestart: true}))
		if port.credentials() != 2 {
			t.Errorf("the port knows %d credentials, want those in force and the offer's", port.credentials())
		}
		o.Rollback()
		if port.credentials() != 1 {
			t.Errorf("the port knows %d credentials after the rollback, want 1", port.credentials())
		}
		hears(t, l, b, media.PCMU(), 500)
	})
}

// The browser's address changes in mid-call: audio is back after its next check.
func TestRoaming(t *testing.T) {
	port := newPort(t, nil)
	l, b, n := newLeg(t, port, nil), newBrowser(t, webrtctest.Config{}), newNAT(t, port)
	ctx := context.Background()
	offer := must[[]byte](t)(b.Offer(ctx, false))
	for _, line := range strings.Split(string(offer), "\r\n") { // the browser is behind the nat: its own address can't be reached
		if strings.HasPrefix(line, "a=candidate:") {
			offer = bytes.Replace(offer, []byte(line+"\r\n"), nil, 1)
		}
	}
	p := must[media.Pending](t)(l.Answer(ctx, offer, media.Want{Formats: []*media.Format{media.PCMU()}}))
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := b.Accept(n.through(p.SDP())); err != nil {
		t.Fatal(err)
	}
	isUp(t, b)
	hears(t, l, b, media.PCMU(), 440)
	at := l.Negotiated().Remote
	n.rebind()
	began := time.Now()
	k := mediatest.NewTalker(nil, b.Formats()[0])
	k.Link(b.Sink(media.Pad{}))
	await(t, "the move", func() bool { k.Say(tone(1)); return l.Negotiated().Remote != at })
	k.Close()
	t.Logf("the leg follows after %s", time.Since(began))
	hears(t, l, b, media.PCMU(), 500)
	if m := l.notes()["webrtc.moves"]; m != 1 {
		t.Errorf("%v moves", m)
	}
}

// SRTP from another address that a check has vouched for moves the leg too.
func TestMediaMoves(t *testing.T) {
	l, c, x := newLeg(t, newPort(t, nil), nil), newCaller(t), newCaller(t)
	c.connects(l)
	c.say(1)
	x.to, x.mine, x.yours, x.out = c.to, c.mine, c.yours, c.out
	x.seq, x.ssrc, x.ts = c.seq, c.ssrc, c.ts
	if x.answered(x.check()) == nil {
		t.Fatal("no answer")
	}
	if got := l.Negotiated().Remote; got != c.addr() {
		t.Errorf("a check alone moved the leg to %s", got)
	}
	x.say(2)
	await(t, "the move", func() bool { return l.Negotiated().Remote == x.addr() })
}

// Without checks the peer has taken its consent back: nothing is sent, and that is told. With the next one all goes on.
func TestConsent(t *testing.T) {
	l, c := newLeg(t, newPort(t, func(c *PortConfig) { c.consent = 300 * time.Millisecond }), nil), newCaller(t)
	c.connects(l)
	f := l.Sink(media.Pad{}).Caps().Formats[0]
	k := mediatest.NewTalker(nil, f)
	k.Link(l.Sink(media.Pad{}))
	defer k.Close()
	k.Say(tone(1))
	c.hear(false)
	await(t, "the notice", func() bool { return len(notices[media.Silent](l)) == 1 })
	_, before := l.counts()
	k.Say(tone(2))
	if _, after := l.counts(); after.Packets != before.Packets {
		t.Error("media is sent without consent")
	}
	c.finds()
	k.Say(tone(3))
	if h := c.hear(false); h.payload[0] != 3 {
		t.Errorf("heard %x", h.payload[0])
	}
}

// DTLS ends once there are keys: a leg has no goroutine then.
func TestAsleep(t *testing.T) {
	port := newPort(t, nil)
	const legs = 10
	var all []*leg
	var callers []*caller
	for range legs {
		all, callers = append(all, newLeg(t, port, nil)), append(callers, newCaller(t))
	}
	before := runtime.NumGoroutine() // the callers' own, and the port's
	for i, c := range callers {
		c.connects(all[i])
		if err := c.session.Close(); err != nil {
			t.Fatal(err)
		}
		c.session = nil
	}
	await(t, "sleep", func() bool {
		for _, l := range all {
			if !l.peer().Stats().Asleep {
				return false
			}
		}
		return true
	})
	await(t, "the end of goroutines", func() bool { return runtime.NumGoroutine() <= before })
	for i, c := range callers {
		c.say(1)
		await(t, "media", func() bool { in, _ := all[i].counts(); return in.Packets == 1 })
	}
	if n := drops(port)["webrtc.handshakes"]; n != 0 {
		t.Errorf("%v handshakes run", n)
	}
}

func TestReports(t *testing.T) {
	l, c := newLeg(t, newPort(t, func(c *PortConfig) { c.Report = 700 * time.Millisecond }), nil), newCaller(t)
	c.connects(l)
	f := l.Sink(media.Pad{}).Caps().Formats[0]
	k := mediatest.NewTalker(nil, f)
	k.Link(l.Sink(media.Pad{}))
	defer k.Close()
	for range 5 {
		k.Say(tone(1))
		c.say(1)
	}
	h := c.hear(true)
	sr, ok := h.control[0].(*prtcp.SenderReport)
	if !ok || sr.PacketCount != 5 || sr.OctetCount != 800 || len(sr.Reports) != 1 || sr.Reports[0].SSRC != c.ssrc || sr.Reports[0].TotalLost != 0 {
		t.Fatalf("reported %+v", h.control[0])
	}
	if s, ok := h.control[1].(*prtcp.SourceDescription); !ok || s.Chunks[0].Items[0].Text != l.control.Name {
		t.Errorf("described %+v", h.control[1])
	}
	now := rtpstream.NTP(time.Now())
	reply := &prtcp.ReceiverReport{SSRC: c.ssrc, Reports: []prtcp.ReceptionReport{{
		SSRC: sr.SSRC, FractionLost: 64, TotalLost: 3, Jitter: 80, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 0,
	}}}
	c.write(must[[]byte](t)(c.out.EncryptRTCP(nil, must[[]byte](t)(prtcp.Marshal([]prtcp.Packet{reply})), nil)))
	await(t, "the round trip", func() bool { _, out := l.counts(); return out.RTT > 0 })
	_, out := l.counts()
	if out.Lost != 3 || out.Jitter != 10*time.Millisecond || out.RTT > time.Duration(rtpstream.NTP(time.Now())-now+uint64(time.Second)) {
		t.Errorf("counted %+v", out)
	}
	if fb := k.Heard(); len(fb) == 0 || fb[0] != (media.Feedback{Kind: media.Loss, Value: 0.25}) {
		t.Errorf("fed back %v", fb)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		if h := c.hear(true); len(h.control) == 3 {
			if b, ok := h.control[2].(*prtcp.Goodbye); !ok || b.Sources[0] != sr.SSRC {
				t.Errorf("took leave with %+v", h.control[2])
			}
			return
		}
	}
}

// Peers that know only the older profile get it.
func TestProfiles(t *testing.T) {
	for profile, want := range map[uint16]string{1: "SRTP_AES128_CM_HMAC_SHA1_80", 7: "AEAD_AES_128_GCM"} {
		l, b := newLeg(t, newPort(t, nil), nil), newBrowser(t, webrtctest.Config{Profiles: []uint16{profile}})
		l.call(b, media.Want{Formats: []*media.Format{media.PCMU()}}, false)
		isUp(t, b)
		hears(t, l, b, media.PCMU(), 440)
		if got := l.Negotiated().Profile; got != want {
			t.Errorf("profile is %s, want %s", got, want)
		}
	}
	if _, err := NewPort(PortConfig{Net: newPort(t, nil).cfg.Net, Bind: []netip.AddrPort{netip.AddrPortFrom(localhost, 0)}, Profiles: []string{"NULL"}}); err == nil {
		t.Error("an unknown profile is taken")
	}
}

// The peer may insist on being the DTLS server, or the client.
func TestSetup(t *testing.T) {
	for _, setup := range []string{"active", "passive"} {
		l, b := newLeg(t, newPort(t, nil), nil), newBrowser(t, webrtctest.Config{})
		offer := must[[]byte](t)(b.Offer(context.Background(), false))
		offer = bytes.ReplaceAll(offer, []byte("a=setup:actpass"), []byte("a=setup:"+setup))
		p := must[media.Pending](t)(l.Answer(context.Background(), offer, media.Want{Formats: []*media.Format{media.PCMU()}}))
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := b.Accept(p.SDP()); err != nil {
			t.Fatal(err)
		}
		isUp(t, b)
		hears(t, l, b, media.PCMU(), 440)
		if got := l.agreed.Load().deal.client; got != (setup == "passive") {
			t.Errorf("offered %s, we are the client: %v", setup, got)
		}
		l.call(b, media.Want{Formats: []*media.Format{media.PCMU()}}, false) // the roles stay
		hears(t, l, b, media.PCMU(), 500)
	}
}

func TestIPv6(t *testing.T) {
	six := netip.MustParseAddr("::1")
	port := newPort(t, func(c *PortConfig) {
		c.Bind = []netip.AddrPort{netip.AddrPortFrom(localhost, 0), netip.AddrPortFrom(six, 0)}
	})
	l, c := newLeg(t, port, nil), newCallerAt(t, "::1")
	c.connects(l)
	l.Source(media.Pad{}).Link(l.Sink(media.Pad{}))
	c.say(7)
	if h := c.hear(false); h.payload[0] != 7 {
		t.Errorf("heard %x", h.payload[0])
	}
	if n := l.Negotiated(); n.Remote != c.addr() || n.Local != port.Addresses()[0] || port.Addresses()[1].Addr() != six {
		t.Errorf("negotiated %+v on %v", n, port.Addresses())
	}
	d := newCaller(t) // the same leg, found at IPv4
	d.take([]byte(strings.ReplaceAll(string(c.sdp("passive")), "a=mid", "a=candidate:1 1 udp 1 "+strings.Replace(port.Addresses()[0].String(), ":", " ", 1)+" typ host\r\na=mid")))
	d.mine, d.yours, d.out, d.in = c.mine, c.yours, c.out, c.in
	d.finds()
	c.seq, d.seq, d.ssrc, d.ts = 200, c.seq, c.ssrc, c.ts
	d.say(8)
	if h := d.hear(false); h.payload[0] != 8 || l.Negotiated().Remote != d.addr() {
		t.Errorf("heard %x, the leg is at %s", h.payload[0], l.Negotiated().Remote)
	}
}

// A peer made of pion's library is connected at once if we check back.
func TestCheckBack(t *testing.T) {
	port := newPort(t, func(c *PortConfig) { c.Check = true })
	for _, calls := range []bool{true, false} {
		l, b := newLeg(t, port, nil), newBrowser(t, webrtctest.Config{})
		began := time.Now()
		if calls {
			l.call(b, media.Want{Formats: []*media.Format{media.PCMU()}}, false)
		} else {
			l.dial(b, media.Want{Formats: []*media.Format{media.PCMU()}})
		}
		isUp(t, b)
		t.Logf("browser calls: %v, connected after %s", calls, time.Since(began))
		hears(t, l, b, media.PCMU(), 440)
	}
	if _, _, n, _ := port.known(); n != 0 {
		t.Errorf("%d checks wait", n)
	}
}

// The first offer decides what stands behind a leg.
func TestFirstOfferDecides(t *testing.T) {
	port := newPort(t, nil)
	audio, rich := newLeg(t, port, nil), newLeg(t, port, nil)
	c, d := newCaller(t), newCaller(t)
	c.offers(audio, "actpass")
	d.offers(rich, "actpass", "m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=mid:b", "a=rtpmap:96 VP8/90000")
	if _, ok := audio.agreed.Load().line.(*peer); !ok {
		t.Error("audio alone isn't on our own stack")
	}
	if _, ok := rich.agreed.Load().line.(*pionLine); !ok {
		t.Error("video isn't on a PeerConnection")
	}
}
