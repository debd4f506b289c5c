package webrtc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	prtcp "github.com/pion/rtcp"
	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/mediatest"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

// TestAttack is what strangers try on a browser's line; docs/sip.md lists these, the rest stands below.
func TestAttack(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"dtls_early_client_hello":   earlyRecords,
		"dtls_handshake_flood":      handshakesAreLimited,
		"dtls_another_fingerprint":  anotherFingerprint,
		"dtls_forged_fingerprint":   forgedFingerprint,
		"srtp_replay":               replays,
		"srtp_forged_packet":        forgedPackets,
		"stranger_gets_no_response": strangers,
	} {
		t.Run("attack_"+name, run)
	}
}

func newPortLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// The peer's certificate is held against its SDP in the handshake: without keys there is nothing to attack.
func forgedFingerprint(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.print = "sha-256 00:" + strings.SplitN(c.print, ":", 2)[1]
	c.offers(l, "actpass")
	c.finds()
	if c.shakesWithin(2*time.Second) == nil {
		t.Error("the handshake succeeds")
	}
	await(t, "the failure", func() bool { return len(notices[media.Failed](l)) == 1 })
	if f := notices[media.Failed](l)[0]; !errors.Is(f.Err, errNoMatch) {
		t.Errorf("failed with %v", f.Err)
	}
	if p := l.peer(); p.in.Load() != nil || p.Send(make([]byte, 100, 200)) == nil {
		t.Error("there are keys")
	}
}

func TestNoClientCertificate(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.offers(l, "actpass")
	c.finds()
	c.cert.Certificate = nil
	if c.shakesWithin(2*time.Second) == nil {
		t.Error("a peer without a certificate is let in")
	}
	await(t, "the failure", func() bool { return len(notices[media.Failed](l)) == 1 })
}

func TestExtendedMasterSecretIsRequired(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.offers(l, "actpass")
	c.finds()
	if c.shakesWithin(2*time.Second, dtls.WithExtendedMasterSecret(dtls.DisableExtendedMasterSecret)) == nil {
		t.Error("a peer without extended master secret is let in")
	}
}

// Fingerprints that don't count, and what else an offer must have.
func TestOffersRefused(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	good := string(c.sdp("actpass"))
	for name, change := range map[string][2]string{
		"SHA-1":                 {c.print, "sha-1 " + c.print[8:67]},
		"MD5":                   {c.print, "md5 " + c.print[8:55]},
		"no hex":                {c.print[8:10], "ZZ"},
		"too short":             {c.print, c.print[:len(c.print)-3]},
		"short ufrag":           {c.mine.ufrag, "abc"},
		"short password":        {c.mine.pwd, "short"},
		"a password with space": {c.mine.pwd, c.mine.pwd[:12] + " " + c.mine.pwd[:12]},
		"no rtcp-mux":           {"a=rtcp-mux\r\n", ""},
		"strange setup":         {"actpass", "holdconn"},
		"SDES":                  {"UDP/TLS/RTP/SAVPF", "RTP/SAVP"},
		"plain":                 {"UDP/TLS/RTP/SAVPF", "RTP/AVP"},
		"no audio":              {"m=audio 9", "m=audio 0"},
		"no codec":              {" 0 8 101", " 18"},
	} {
		p, err := l.Answer(context.Background(), []byte(strings.ReplaceAll(good, change[0], change[1])), media.Want{})
		if err == nil {
			t.Errorf("%s: answered with %s", name, p.SDP())
		} else if _, _, ok := sdp.Warning(err); !ok {
			t.Errorf("%s: %v has no warning", name, err)
		}
	}
	if n := l.cfg.Port.credentials(); n != 0 {
		t.Errorf("%d credentials are left", n)
	}
	p, err := l.Answer(context.Background(), []byte(good), media.Want{})
	if err != nil {
		t.Fatal(err)
	}
	p.Rollback()
}

// A re-offer with another certificate is refused, or with fresh credentials another session.
func anotherFingerprint(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, nil), newCaller(t)
	c.connects(l)
	was := l.peer()
	d := newCaller(t)
	old := d.mine
	d.mine = c.mine
	if _, err := l.Answer(context.Background(), d.sdp("actpass"), media.Want{}); err == nil {
		t.Error("another fingerprint under the same credentials is accepted")
	}
	d.mine = old
	d.connects(l)
	if l.peer() == was || l.peer().Stats().Profile == "" {
		t.Error("the line isn't another")
	}
	r := mediatest.NewRecorder(l.Source(media.Pad{}).Formats()...)
	l.Source(media.Pad{}).Link(r)
	d.say(7)
	r.Wait(t, 1, time.Second)
	c.say(8)
	time.Sleep(20 * time.Millisecond)
	if bytes.Contains(r.Audio(), tone(8)) {
		t.Error("the old session is still heard")
	}
	if c.asks(c.check()) != nil {
		t.Error("the old credentials are still answered")
	}
}

// Nothing but a good check from an unknown address has any effect, and nothing else is answered.
func strangers(t *testing.T) {
	port := newPort(t, nil)
	l, c, x := newLeg(t, port, nil), newCaller(t), newCaller(t)
	c.connects(l)
	c.say(1)
	await(t, "the first packet", func() bool { in, _ := l.counts(); return in.Packets == 1 })
	at, before := l.Negotiated().Remote, drops(port)
	x.to, x.mine, x.yours = c.to, c.mine, c.yours
	x.write([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0})
	x.write(c.packet(0, tone(2)))
	x.write([]byte{0x81, 201, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0})
	user, key := stun.NewUsername(c.yours.ufrag+":"+c.mine.ufrag), stun.NewShortTermIntegrity(c.yours.pwd)
	build := func(set ...stun.Setter) *stun.Message {
		return must[*stun.Message](t)(stun.Build(append([]stun.Setter{stun.BindingRequest, stun.TransactionID}, set...)...))
	}
	for name, m := range map[string]*stun.Message{
		"a wrong password":  build(user, stun.NewShortTermIntegrity("wrong"), stun.Fingerprint),
		"another ufrag":     build(stun.NewUsername("nobody:"+c.mine.ufrag), key, stun.Fingerprint),
		"another peer":      build(stun.NewUsername(c.yours.ufrag+":nobody"), key, stun.Fingerprint),
		"half a name":       build(stun.NewUsername(c.yours.ufrag), key, stun.Fingerprint),
		"no name":           build(key, stun.Fingerprint),
		"no integrity":      build(user, stun.Fingerprint),
		"no fingerprint":    build(user, key),
		"a wrong print":     flip(build(user, key, stun.Fingerprint)),
		"an indication":     must[*stun.Message](t)(stun.Build(stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.TransactionID, stun.Fingerprint)),
		"an answer unasked": must[*stun.Message](t)(stun.Build(stun.BindingSuccess, stun.TransactionID, key, stun.Fingerprint)),
	} {
		if r := x.asks(m); r != nil {
			t.Errorf("%s is answered: %v", name, r)
		}
	}
	after := drops(port)
	if n := after["webrtc.port.strangers"] - before["webrtc.port.strangers"]; n != 3 {
		t.Errorf("%v strangers' datagrams were dropped, want 3", n)
	}
	if got := l.Negotiated().Remote; got != at {
		t.Errorf("the leg moved from %s to %s", at, got)
	}
	if in, _ := l.counts(); in.Packets != 1 {
		t.Errorf("%d packets were taken", in.Packets)
	}
}

func flip(m *stun.Message) *stun.Message {
	m.Raw[len(m.Raw)-1] ^= 1
	return m
}

// What stands behind MESSAGE-INTEGRITY isn't signed: a USE-CANDIDATE there doesn't nominate.
func TestUnsignedNomination(t *testing.T) {
	port := newPort(t, nil)
	l, c, x := newLeg(t, port, nil), newCaller(t), newCaller(t)
	c.connects(l)
	x.to, x.mine, x.yours = c.to, c.mine, c.yours
	m := must[*stun.Message](t)(stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(c.yours.ufrag+":"+c.mine.ufrag),
		priority(1), role{stun.AttrICEControlling, 7}, stun.NewShortTermIntegrity(c.yours.pwd)))
	m.Add(stun.AttrUseCandidate, nil)
	if err := stun.Fingerprint.AddTo(m); err != nil {
		t.Fatal(err)
	}
	x.asks(m)
	if got := l.Negotiated().Remote; got != c.addr() {
		t.Errorf("the leg moved to %s", got)
	}
	x.finds() // signed it does
	if got := l.Negotiated().Remote; got != x.addr() {
		t.Errorf("the leg is at %s, want %s", got, x.addr())
	}
}

func TestRoleConflict(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.offers(l, "actpass")
	m := must[*stun.Message](t)(stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(c.yours.ufrag+":"+c.mine.ufrag),
		priority(1), role{stun.AttrICEControlled, 7}, stun.NewShortTermIntegrity(c.yours.pwd), stun.Fingerprint))
	r := c.answered(m)
	var code stun.ErrorCodeAttribute
	if r == nil || code.GetFrom(r) != nil || code.Code != stun.CodeRoleConflict || stun.NewShortTermIntegrity(c.yours.pwd).Check(r) != nil {
		t.Fatalf("a controlled peer's check is answered with %v", r)
	}
	if n := l.peer().Stats().Checks; n != 0 {
		t.Errorf("%d checks counted", n)
	}
	c.finds()
}

// A handshake record comes first, and from an address that a check has vouched for.
func earlyRecords(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, nil), newCaller(t)
	c.offers(l, "actpass")
	hello := []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0}
	c.write(hello)
	c.finds()
	c.write(append([]byte{23}, hello[1:]...))
	c.write(append([]byte{21}, hello[1:]...))
	await(t, "the records", func() bool { return l.notes()["webrtc.dtls_dropped"] == 2 })
	if n := drops(port)["webrtc.handshakes"]; n != 0 {
		t.Errorf("%v handshakes run", n)
	}
	c.write(make([]byte, 1400))
	c.write(append([]byte{0x80, 0}, make([]byte, 160)...))
	await(t, "early media", func() bool { return l.notes()["webrtc.early"] == 1 })
}

func replays(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.connects(l)
	r := mediatest.NewRecorder(media.PCMU())
	l.Source(media.Pad{}).Link(r)
	var kept [][]byte
	for i := range byte(20) {
		p := c.packet(0, tone(i))
		kept = append(kept, p)
		c.write(p)
		c.write(p)
	}
	for _, p := range kept {
		c.write(p)
	}
	await(t, "the replays", func() bool { return l.notes()["webrtc.refused"] == 40 })
	if r.Len() != 20 {
		t.Errorf("%d frames came out, want 20", r.Len())
	}
	report := must[[]byte](t)(prtcp.Marshal([]prtcp.Packet{&prtcp.SenderReport{SSRC: c.ssrc, NTPTime: 5 << 32}, &prtcp.Goodbye{Sources: []uint32{c.ssrc}}}))
	q := must[[]byte](t)(c.out.EncryptRTCP(nil, report, nil))
	c.write(q)
	c.write(q)
	await(t, "the report and its replay", func() bool { return l.notes()["webrtc.refused"] == 41 && len(notices[media.Gone](l)) == 1 })
}

// A forged packet from the right address is refused, and what comes after it isn't lost.
func forgedPackets(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.connects(l)
	r := mediatest.NewRecorder(media.PCMU())
	l.Source(media.Pad{}).Link(r)
	c.say(1)
	for _, ahead := range []uint16{1, 100, 32767, 40000} { // also across the rollover
		f := c.packet(0, tone(9))
		c.seq--
		binary.BigEndian.PutUint16(f[2:], c.seq+ahead)
		c.write(f)
		c.seq++
		c.say(2)
	}
	await(t, "the packets", func() bool { return r.Len() == 5 && l.notes()["webrtc.refused"] == 4 })
	if in, _ := l.counts(); in.Rejected < 4 {
		t.Errorf("counted %+v", in)
	}
}

// Each number goes out once, whatever a source does: a second packet under one index gives the key away.
func TestNumbersGoOutOnce(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.connects(l)
	f := l.Sink(media.Pad{}).Caps().Formats[0]
	src := media.NewSource(nil, nil)
	src.SetFormats(f)
	src.Link(l.Sink(media.Pad{}))
	fr := media.Frame{Format: f, Arrival: 1}
	seen := map[uint16]bool{}
	send := func(seq uint16, mark byte, goes bool) {
		t.Helper()
		fr.Sequence, fr.Timestamp, fr.Payload = seq, uint32(seq)*160, tone(mark)
		_, before := l.counts()
		src.Send(&fr)
		if _, after := l.counts(); (after.Packets > before.Packets) != goes {
			t.Fatalf("number %d with %d goes out: %v, want %v", seq, mark, !goes, goes)
		}
		if goes {
			h := c.hear(false)
			if seen[h.Seq] || h.payload[0] != mark {
				t.Fatalf("number %d came again, or with %d", h.Seq, h.payload[0])
			}
			seen[h.Seq] = true
		}
	}
	for i := range uint16(70) {
		send(1000+i, byte(i), true)
		send(1000+i, 0xff, false)
	}
	send(1075, 1, true) // late ones within the window pass once, older ones never
	send(1072, 2, true)
	send(1072, 3, false)
	send(1005, 4, false)
	fr.Epoch++ // another source begins anew, on numbers of its own
	send(1000, 5, true)
	send(1000, 6, false)
	if n := l.notes()["webrtc.reused"]; n != 73 {
		t.Errorf("%v reuses counted, want 73", n)
	}
	var w rtpstream.Once
	out := map[uint32]bool{}
	roll := uint32(0)
	for i := range uint32(200_000) { // across three rollovers, with everything repeated
		seq := uint16(i + 65_000)
		if i > 0 && seq == 0 {
			roll++
		}
		if !w.Take(seq) || w.Take(seq) || w.Take(seq-uint16(i%100)) || out[roll<<16|uint32(seq)] {
			t.Fatalf("number %d isn't let through exactly once", i)
		}
		out[roll<<16|uint32(seq)] = true
	}
}

// CSRCs and header extensions end at the leg, and so does RTCP.
func TestExtensionsEndHere(t *testing.T) {
	port := newPort(t, nil)
	a, b, c, d := newLeg(t, port, nil), newLeg(t, port, nil), newCaller(t), newCaller(t)
	c.connects(a)
	d.connects(b)
	a.Source(media.Pad{}).Link(b.Sink(media.Pad{}))
	c.write(c.packet(0, tone(3), func(h []byte) []byte {
		h[0] |= 0x12 // two CSRCs and an extension
		h = append(h, 1, 2, 3, 4, 5, 6, 7, 8)
		return append(h, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0)
	}))
	h := d.hear(false)
	if h.Size != 12 || !bytes.Equal(h.payload, tone(3)) || h.SSRC == c.ssrc || h.Seq == c.seq-1 {
		t.Errorf("came as %+v, %x", h.Header, h.payload[:4])
	}
	report := must[[]byte](t)(prtcp.Marshal([]prtcp.Packet{&prtcp.ReceiverReport{SSRC: c.ssrc}, &prtcp.PictureLossIndication{SenderSSRC: c.ssrc, MediaSSRC: 5}}))
	c.write(must[[]byte](t)(c.out.EncryptRTCP(nil, report, nil)))
	select {
	case p := <-d.rest:
		t.Errorf("%x came", p)
	case <-time.After(50 * time.Millisecond):
	}
}

// A peer's validated addresses are bounded, and the one in use stays.
func TestAddressesAreBounded(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, nil), newCaller(t)
	c.connects(l)
	for range 2 * maxPaths {
		x := newCaller(t)
		x.to, x.mine, x.yours = c.to, c.mine, c.yours
		if r := x.answered(x.check()); r == nil || r.Type != stun.BindingSuccess {
			t.Fatal("a check from another address isn't answered")
		}
	}
	own, _ := l.peer().sizes()
	if _, all, _, _ := port.known(); own != maxPaths || all != maxPaths || l.Negotiated().Remote != c.addr() {
		t.Errorf("%d paths, %d in the port, sends to %s", own, all, l.Negotiated().Remote)
	}
	before := drops(port)["webrtc.port.strangers"]
	c.say(1)
	await(t, "the packet", func() bool { in, _ := l.counts(); return in.Packets == 1 })
	if n := drops(port)["webrtc.port.strangers"]; n != before {
		t.Error("the address in use was forgotten")
	}
}

// One leg can't take another's address away while that is alive, though it may claim to be there.
func TestAddressIsNotTaken(t *testing.T) {
	port := newPort(t, nil)
	a, b, c, d := newLeg(t, port, nil), newLeg(t, port, nil), newCaller(t), newCaller(t)
	c.connects(a)
	d.offers(b, "actpass")
	m := d.check(useCandidate(true))
	if r := c.asks(m); r != nil { // d's password, from c's address
		t.Errorf("answered with %v", r)
	}
	if n := drops(port)["webrtc.port.taken"]; n != 1 {
		t.Errorf("%v attempts counted", n)
	}
	c.say(1)
	await(t, "the packet", func() bool { in, _ := a.counts(); return in.Packets == 1 })
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// Once the leg is gone the address is free.
	if r := c.answered(d.check()); r == nil || r.Type != stun.BindingSuccess {
		t.Errorf("answered with %v", r)
	}
}

// SSRCs of a peer are bounded too: each has state.
func TestSSRCsAreBounded(t *testing.T) {
	l, c := newLeg(t, newPort(t, nil), nil), newCaller(t)
	c.connects(l)
	for i := range uint32(maxSSRCs + 10) {
		c.ssrc = i
		c.say(1)
	}
	await(t, "the refusals", func() bool { return l.notes()["webrtc.refused"] == 10 })
	if _, n := l.peer().sizes(); n != maxSSRCs {
		t.Errorf("%d SSRCs are known", n)
	}
}

// Checks of one address are looked at so many times a second.
func TestChecksAreLimited(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, nil), newCaller(t)
	c.offers(l, "actpass")
	m := c.check()
	for range 3 * maxChecks {
		c.write(m.Raw)
	}
	await(t, "the limit", func() bool { return drops(port)["webrtc.port.limited"] >= maxChecks })
	if n := l.notes()["webrtc.checks"]; n > 2*maxChecks {
		t.Errorf("%v checks were looked at", n)
	}
}

// So many handshakes run at once; another begins when there is room.
func handshakesAreLimited(t *testing.T) {
	port := newPort(t, func(c *PortConfig) { c.Handshakes = 1 })
	a, b, c, d := newLeg(t, port, nil), newLeg(t, port, nil), newCaller(t), newCaller(t)
	c.stalls(a)
	await(t, "the first handshake", func() bool { return drops(port)["webrtc.handshakes"] == 1 })
	d.offers(b, "actpass")
	d.finds()
	err := make(chan error, 1)
	go func() { err <- d.shakes(dtls.WithFlightInterval(100 * time.Millisecond)) }()
	await(t, "a record that finds no room", func() bool {
		return b.notes()["webrtc.dtls_dropped"] > 0 && drops(port)["webrtc.handshakes.refused"] > 0
	})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-err; err != nil {
		t.Fatal(err)
	}
	await(t, "the end of handshakes", func() bool { return drops(port)["webrtc.handshakes"] == 0 })
}

// Close frees all at once: what comes late meets nobody.
func TestNothingIsLeft(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, nil), newCaller(t)
	c.connects(l)
	r := mediatest.NewRecorder(media.PCMU())
	l.Source(media.Pad{}).Link(r)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	before := drops(port)["webrtc.port.strangers"]
	c.say(1)
	await(t, "the late packet", func() bool { return drops(port)["webrtc.port.strangers"] == before+1 })
	if c.asks(c.check()) != nil {
		t.Error("a check is answered after close")
	}
	if users, paths, asked, ends := port.known(); users+paths+asked+ends != 0 || r.Len() != 0 {
		t.Errorf("%d credentials, %d paths, %d checks, %d endpoints are left, %d frames came out", users, paths, asked, ends, r.Len())
	}
}

// The credentials and the certificate are what the standards ask for.
func TestIdentity(t *testing.T) {
	port := newPort(t, nil)
	l, c := newLeg(t, port, nil), newCaller(t)
	c.connects(l)
	sum := sha256.Sum256(c.certificate().Raw)
	if got := "sha-256 " + colons(sum[:]); got != l.ident.fingerprint {
		t.Errorf("the certificate is %s, SDP says %s", got, l.ident.fingerprint)
	}
	if len(c.yours.ufrag) < 8 || len(c.yours.pwd) < 24 {
		t.Errorf("credentials are %+v", c.yours)
	}
	seen := map[string]bool{}
	for range 1000 {
		s := token(24)
		if seen[s] || len(s) != 24 || !credential(s, 24) {
			t.Fatalf("token %q", s)
		}
		seen[s] = true
	}
	if l.Negotiated().Profile != "AEAD_AES_128_GCM" {
		t.Errorf("negotiated %+v", l.Negotiated())
	}
}
