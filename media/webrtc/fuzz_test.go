package webrtc

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pion/stun/v4"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// FuzzDatagrams feeds a port with what the input says: chunks, each with its length and who sends it. Nothing but a check
// with the right password is answered, and nothing makes an address known or moves a leg.
func FuzzDatagrams(f *testing.F) {
	chunk := func(how byte, p []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{how}, uint16(len(p))), p...)
	}
	port := newPort(f, nil)
	l, c := newLeg(f, port, nil), newCaller(f)
	c.connects(l)
	good := c.check(useCandidate(true)).Raw
	f.Add(chunk(0, c.packet(0, tone(1))))
	f.Add(append(chunk(1, []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0}), chunk(0, []byte{0x80, 200, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8})...))
	f.Add(chunk(1, good[:len(good)-8]))
	f.Add(chunk(1, must[*stun.Message](f)(stun.Build(stun.BindingSuccess, stun.TransactionID, stun.Fingerprint)).Raw))
	from := [2]udp.Addr{udp.From(c.addr()), udp.From(newCaller(f).addr())}
	s := newSocket(port) // beside the real one: its handler is single
	s.udp, s.open = port.sockets[0].udp, true
	s.paths[from[0]] = &resident{party: l.peer()}
	f.Fuzz(func(t *testing.T, in []byte) {
		sent, at := s.udp.Stats().PacketsOut, l.Negotiated().Remote
		now := udp.Now()
		buf := make([]byte, 2048+udp.Room)
		for len(in) >= 3 {
			n := min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3, 2048)
			k := buf[:copy(buf[:n], in[3:])]
			s.Datagram(k, from[in[0]&1], now)
			in = in[3+n:]
		}
		if n := s.udp.Stats().PacketsOut; n != sent {
			t.Errorf("%d datagrams were sent", n-sent)
		}
		if got := l.Negotiated().Remote; got != at || len(s.paths) != 1 {
			t.Errorf("the leg is at %s, %d paths", got, len(s.paths))
		}
	})
}

// FuzzOffers answers whatever comes, twice: an answer that is made can be read, and is made again.
func FuzzOffers(f *testing.F) {
	port := newPort(f, nil)
	c := newCaller(f)
	f.Add(string(c.sdp("actpass")))
	f.Add(string(c.sdp("passive", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:b\x00c")))
	f.Add(strings.ReplaceAll(string(c.sdp("active")), "\r\n", "\n") + "a=mid:two words\nm=audio 9 UDP/TLS/RTP/SAVPF 0\nc=IN IP6 ::\n")
	f.Fuzz(func(t *testing.T, offer string) {
		l := newLeg(t, port, func(c *Config) { c.Stack = Own })
		for range 2 {
			p, err := l.Answer(context.Background(), []byte(offer), media.Want{})
			if err != nil {
				return
			}
			d, err := parse(p.SDP())
			if err != nil || d.Audio() == nil {
				t.Fatalf("%v\nin\n%s\nto\n%s", err, p.SDP(), offer)
			}
			if _, err := readSide(d, d.Audio()); err != nil {
				t.Fatal(err)
			}
			if err := p.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
