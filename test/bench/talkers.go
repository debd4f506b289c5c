//go:build linux

package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/thesyncim/gopus"

	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/udp"
)

// speech is seven seconds of two voices in u-law, 8 kHz.
//
//go:embed testdata/speech.ul
var speech []byte

// talkers are pairs of an Opus phone and a PCMU phone that both say the same speech.
type talkers struct {
	net        *udp.Net
	opus, pcmu []*talker
	said       atomic.Int64
	lines      [2][][]byte // payloads of 20 ms: Opus, PCMU
}

// talker is one of them.
type talker struct {
	socket *udp.Socket
	to     udp.Addr
	packet []byte
	heard  *atomic.Int64
}

// The payload types of the talkers.
const (
	opusType = 111
	pcmuType = 0
)

// opusBits is what a browser sends for speech, in bit/s.
const opusBits = 32000

// talkers lets Opus phones talk to PCMU phones.
func (j *job) talkers(ctx context.Context) (o outcome, err error) {
	t := &talkers{}
	if t.lines[0], err = coded(speech); err != nil {
		return o, err
	}
	for i := 0; i+160 <= len(speech); i += 160 {
		t.lines[1] = append(t.lines[1], speech[i:i+160])
	}
	if t.net, err = udp.New(udp.Config{Loops: 1}); err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, t.net.Close()) }()
	var heard [2]atomic.Int64
	for range j.legs {
		for k, list := range []*[]*talker{&t.opus, &t.pcmu} {
			w := &talker{heard: &heard[k], packet: make([]byte, 0, 1500)}
			if w.socket, err = t.net.Open(netip.AddrPortFrom(theirs, 0), w); err != nil {
				return o, err
			}
			*list = append(*list, w)
		}
	}
	before, err := j.account()
	if err != nil {
		return o, err
	}
	if err := j.setUp(ctx, t.connect); err != nil {
		return o, err
	}
	// A pair is a frame converted each way; both ways are equally frequent.
	var said, came int64
	both := func() int64 { return heard[0].Load() + heard[1].Load() }
	o, err = j.measure(ctx, before, func() int64 { return both() / 2 }, t.say, func() { said, came = t.said.Load(), both() })
	if err != nil {
		return o, err
	}
	for k, name := range []string{"Opus", "PCMU"} {
		if heard[k].Load() == 0 {
			return o, fmt.Errorf("no %s came through the gateway", name)
		}
	}
	o.Loss = 100 * (1 - float64(both()-came)/float64(t.said.Load()-said))
	return o, nil
}

// coded is u-law speech as Opus of a browser: made at 48 kHz, mono.
func coded(law []byte) ([][]byte, error) {
	narrow := g711.Mu().Decode(nil, law)
	wide := make([]int16, 0, 6*len(narrow))
	for i := range narrow { // between the samples on a line: good enough to be something to code
		a, b := int(narrow[i]), int(narrow[min(i+1, len(narrow)-1)])
		for k := range 6 {
			wide = append(wide, int16(a+(b-a)*k/6))
		}
	}
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: 48000, Channels: 1, Application: gopus.ApplicationVoIP})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(enc.SetFrameSize(960), enc.SetBitrate(opusBits)); err != nil {
		return nil, err
	}
	var out [][]byte
	for buf := make([]byte, 1500); len(wide) >= 960; wide = wide[960:] {
		n, err := enc.EncodeInt16(wide[:960], buf)
		if err != nil {
			return nil, err
		}
		out = append(out, append([]byte(nil), buf[:n]...))
	}
	return out, nil
}

// connect makes the call of pair i.
func (t *talkers) connect(i int, o orders, id string) error {
	at := t.opus[i].socket.LocalAddr()
	offer := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP %d\r\n"+
		"a=rtpmap:%d opus/48000/2\r\na=fmtp:%d minptime=10;useinbandfec=1\r\na=rtcp:%d\r\n", at.Addr(), at.Addr(), at.Port(), opusType, opusType, opusType, at.Port())
	r, err := o.call(id, order{Offer: offer, Phone: t.pcmu[i].socket.LocalAddr()})
	if err != nil {
		return err
	}
	port, err := audioPort(r.Answer)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.ToLower(r.Answer), "opus/48000") {
		return fmt.Errorf("the gateway takes no Opus: %q", r.Answer)
	}
	t.opus[i].to = udp.From(netip.AddrPortFrom(ours, port))
	t.pcmu[i].to = udp.From(r.Media)
	return nil
}

// say sends the next 20 ms of both phones of a pair. Each pair is at another place of the speech.
func (t *talkers) say(i int, seq uint16) {
	t.opus[i].send(opusType, uint32(2*i+1), seq, 960, t.lines[0], i, &t.said)
	t.pcmu[i].send(pcmuType, uint32(2*i+2), seq, 160, t.lines[1], i, &t.said)
}

func (w *talker) send(pt byte, ssrc uint32, seq uint16, samples uint32, lines [][]byte, i int, said *atomic.Int64) {
	b := append(w.packet[:0], 0x80, pt)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = binary.BigEndian.AppendUint32(b, uint32(seq)*samples)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = append(b, lines[(int(seq)+17*i)%len(lines)]...)
	if w.socket.WriteTo(b, &w.to) == nil {
		said.Add(1)
	}
}

// Datagram counts a packet.
func (w *talker) Datagram(b []byte, _ udp.Addr, _ int64) {
	if len(b) > 12 && !control(b) {
		w.heard.Add(1)
	}
}

// Tick does nothing.
func (w *talker) Tick(int64) {}
