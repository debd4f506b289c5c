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
	lines      [3][][]byte // payloads of 20 ms: Opus, PCMU, narrow Opus
}

// talker is one of them.
type talker struct {
	socket *udp.Socket
	to     udp.Addr
	narrow bool // was asked for it
	packet []byte
	heard  *atomic.Int64
}

// The payload types of the talkers.
const (
	opusType = 111
	pcmuType = 0
)

// What Chromium sends for speech, in bit/s: of full width, and where a=fmtp asks for maxplaybackrate=8000.
const (
	wideBits   = 32000
	narrowBits = 12000
)

// talkers lets Opus phones talk to PCMU phones.
func (j *job) talkers(ctx context.Context) (o outcome, err error) {
	t := &talkers{}
	if err := t.prepare(); err != nil {
		return o, err
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
	if t.opus[0].narrow {
		o.Note = "asked for maxplaybackrate=8000"
	}
	o.Loss = 100 * (1 - float64(both()-came)/float64(t.said.Load()-said))
	return o, nil
}

// prepare makes the payloads.
func (t *talkers) prepare() error {
	for i := 0; i+160 <= len(speech); i += 160 {
		t.lines[1] = append(t.lines[1], speech[i:i+160])
	}
	narrow := g711.Mu().Decode(nil, speech)
	wide := make([]int16, 0, 6*len(narrow))
	for i := range narrow { // between the samples on a line: good enough to be something to code
		a, b := int(narrow[i]), int(narrow[min(i+1, len(narrow)-1)])
		for k := range 6 {
			wide = append(wide, int16(a+(b-a)*k/6))
		}
	}
	var err error
	if t.lines[0], err = coded(wide, 48000, wideBits); err != nil {
		return err
	}
	t.lines[2], err = coded(narrow, 8000, narrowBits)
	return err
}

// coded is speech as Opus, mono.
func coded(samples []int16, rate, bits int) ([][]byte, error) {
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: rate, Channels: 1, Application: gopus.ApplicationVoIP})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(enc.SetFrameSize(rate/50), enc.SetBitrate(bits)); err != nil {
		return nil, err
	}
	var out [][]byte
	for buf := make([]byte, 1500); len(samples) >= rate/50; samples = samples[rate/50:] {
		n, err := enc.EncodeInt16(samples[:rate/50], buf)
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
	t.opus[i].narrow = strings.Contains(r.Answer, "maxplaybackrate=8000")
	t.opus[i].to = udp.From(netip.AddrPortFrom(ours, port))
	t.pcmu[i].to = udp.From(r.Media)
	return nil
}

// say sends the next 20 ms of both phones of a pair. Each pair is at another place of the speech.
func (t *talkers) say(i int, seq uint16) {
	said := t.lines[0]
	if t.opus[i].narrow {
		said = t.lines[2]
	}
	t.opus[i].send(opusType, uint32(2*i+1), seq, 960, said, i, &t.said)
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
