package rtp

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
)

// viewer is a peer of raw sockets that is shown pictures by an endpoint, whose clock the test moves.
type viewer struct {
	t     *testing.T
	conn  *net.UDPConn
	e     *Endpoint
	now   atomic.Int64
	local string // the answer
	send  func(seq uint16, size int)
}

// newViewer makes one whose line of video has these attributes. The endpoint's first packet is under way.
func newViewer(t *testing.T, formats, attributes string) *viewer {
	t.Helper()
	v := &viewer{t: t}
	v.now.Store(int64(time.Second))
	n := newLines(t)
	var err error
	v.e, err = New(Config{Net: n.net, Ports: n.ports, Bind: localhost, Video: videoFormats(), Feedback: true, now: v.now.Load})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.e.Close() })
	if v.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: localhost.AsSlice()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.conn.Close() })
	_ = v.conn.SetReadBuffer(4 << 20)
	offer := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=video %[2]d RTP/AVPF %[3]s\r\na=rtpmap:96 VP8/90000\r\n%[4]sa=rtcp-mux\r\n",
		localhost, v.conn.LocalAddr().(*net.UDPAddr).Port, formats, attributes)
	p, err := v.e.Answer(context.Background(), []byte(offer), media.Want{Video: true})
	if err != nil {
		t.Fatal(err)
	}
	v.local = string(p.SDP())
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	vp8 := media.VideoFormat("VP8", "")
	camera := media.NewSource(nil, nil)
	camera.SetFormats(vp8)
	camera.Link(v.e.Sink(media.Pad{Kind: media.Video}))
	v.send = func(seq uint16, size int) {
		camera.Send(&media.Frame{Kind: media.Video, Format: vp8, Payload: append([]byte{0x10, 0x50, byte(seq)}, make([]byte, size)...), Sequence: seq,
			Timestamp: uint32(seq) * 3000, Marker: true, Key: true, Epoch: 1, Arrival: v.now.Load()})
	}
	return v
}

// next is the next packet of media.
func (v *viewer) next() (raw []byte, p *prtp.Packet) {
	v.t.Helper()
	for b := make([]byte, 1600); ; {
		_ = v.conn.SetReadDeadline(time.Now().Add(60 * time.Second))
		n, err := v.conn.Read(b)
		if err != nil {
			v.t.Fatal(err)
		}
		if rtpstream.IsControl(b[:n]) {
			continue
		}
		p = &prtp.Packet{}
		if err := p.Unmarshal(bytes.Clone(b[:n])); err != nil {
			v.t.Fatal(err)
		}
		return bytes.Clone(b[:n]), p
	}
}

// nack asks as a peer's RTCP does.
func (v *viewer) nack(seqs ...uint16) {
	v.e.video.heardFeedback([]prtcp.Packet{&prtcp.TransportLayerNack{SenderSSRC: 7, MediaSSRC: v.e.video.sink.SSRC,
		Nacks: prtcp.NackPairsFromSequenceNumbers(seqs)}}, v.now.Load())
}

// What a peer has lost is sent again as it was, if it was sent a moment ago or longer, while it is among the latest; who says nothing of
// lost packets isn't sent any again, and who asks for all always gets a bounded stream.
func TestAgain(t *testing.T) {
	const ms = int64(time.Millisecond)
	v := newViewer(t, "96", "a=rtcp-fb:96 nack\r\n")
	var raw [][]byte
	var seqs []uint16
	for i := range uint16(10) {
		v.send(i, 1000+int(i))
		b, p := v.next()
		raw, seqs = append(raw, b), append(seqs, p.SequenceNumber)
	}
	v.nack(seqs[3])
	v.now.Add(30 * ms)
	v.nack(seqs[5], seqs[6], seqs[9]+1, seqs[0]-1)
	for _, want := range []int{5, 6} {
		if b, p := v.next(); !bytes.Equal(b, raw[want]) {
			t.Fatalf("packet %d came, expected %d once more", p.SequenceNumber, seqs[want])
		}
	}
	v.nack(seqs[5])
	v.now.Add(30 * ms)
	v.nack(seqs[5])
	if b, p := v.next(); !bytes.Equal(b, raw[5]) {
		t.Fatalf("packet %d came, expected %d the second time", p.SequenceNumber, seqs[5])
	}
	v.send(10, 10)
	if _, p := v.next(); p.SequenceNumber != seqs[9]+1 {
		t.Fatalf("packet %d came, expected the next one, %d: what had just gone was sent again", p.SequenceNumber, seqs[9]+1)
	}
	st := v.e.video.sink.stats()
	if st.NACKs != 4 || st.Resent != 3 || st.Packets != 11 {
		t.Errorf("counted %d requests, %d packets again, %d in all, expected 4, 3 and 11", st.NACKs, st.Resent, st.Packets)
	}
	for range 10_000 {
		v.now.Add(30 * ms)
		v.nack(seqs...)
	}
	if st = v.e.video.sink.stats(); st.Resent > st.Packets {
		t.Errorf("%d packets were sent again, expected at most as many as went, %d", st.Resent, st.Packets)
	}

	v = newViewer(t, "96", "a=rtcp-fb:96 nack pli\r\n")
	v.send(0, 100)
	_, p := v.next()
	v.now.Add(30 * ms)
	v.nack(p.SequenceNumber)
	if st := v.e.video.sink.stats(); st.Resent != 0 || v.e.video.pictures.again.past.Get(p.SequenceNumber) != nil {
		t.Errorf("who doesn't know lost packets is sent %d again", st.Resent)
	}
}

// A peer that offers a stream of retransmissions is sent them there, and what it sends in its own is taken as what it repeats.
func TestAgainBeside(t *testing.T) {
	v := newViewer(t, "96 97 98", "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=31\r\na=rtcp-fb:96 nack\r\n")
	group := regexp.MustCompile(`a=ssrc-group:FID (\d+) (\d+)\r\n`).FindStringSubmatch(v.local)
	if !regexp.MustCompile(`m=video \d+ RTP/AVPF 96 97\r\n`).MatchString(v.local) || !regexp.MustCompile(`a=fmtp:97 apt=96\r\n`).MatchString(v.local) || group == nil {
		t.Fatalf("the answer is\n%s", v.local)
	}
	v.send(0, 700)
	_, first := v.next()
	v.send(1, 500)
	_, second := v.next()
	for i := range 2 {
		v.now.Add(int64(30 * time.Millisecond))
		v.nack(first.SequenceNumber)
		_, p := v.next()
		own := uint16(p.Payload[0])<<8 | uint16(p.Payload[1])
		if p.PayloadType != 97 || own != first.SequenceNumber || !bytes.Equal(p.Payload[2:], first.Payload) || p.Timestamp != first.Timestamp || !p.Marker ||
			strconv.FormatUint(uint64(p.SSRC), 10) != group[2] || strconv.FormatUint(uint64(first.SSRC), 10) != group[1] {
			t.Fatalf("retransmission %d is %v of packet %d, expected what repeats %v", i, p, own, first)
		}
	}
	if second.SSRC != first.SSRC {
		t.Error("the stream isn't one")
	}

	k := &shown{caps: &media.Caps{Formats: []*media.Format{media.VideoFormat("VP8", "")}}, got: make(chan media.Frame, 100)}
	v.e.Source(media.Pad{Kind: media.Video}).Link(k)
	say := func(pt uint8, ssrc uint32, seq uint16, payload ...byte) {
		b, err := (&prtp.Packet{Header: prtp.Header{Version: 2, PayloadType: pt, SequenceNumber: seq, Timestamp: 9000, SSRC: ssrc, Marker: true}, Payload: payload}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.conn.WriteToUDPAddrPort(b, v.e.video.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	for seq := range uint16(6) {
		if seq != 3 {
			say(96, 7, 100+seq, 0x10, 0x50, byte(seq))
		}
	}
	say(97, 8, 5000, 0)                     // probes
	say(97, 8, 5001)                        // and so
	say(97, 8, 5002, 0, 103, 0x10, 0x50, 3) // 103
	say(96, 7, 106, 0x10, 0x50, 6)
	var got []byte
	for len(got) == 0 || got[len(got)-1] != 6 {
		select {
		case f := <-k.got:
			got = append(got, f.Payload[2])
		case <-time.After(60 * time.Second):
			t.Fatalf("only %v came", got)
		}
	}
	if !slices.Contains(got, 3) {
		t.Errorf("pictures %v came, expected 3 among them, which was lost and sent again", got)
	}
	if st := v.e.video.in.stats(); st.Epochs != 0 || st.SSRC != 7 {
		t.Errorf("the stream of retransmissions is taken for another: %+v", st)
	}
}

// lossy is a network between two endpoints that loses each tenth packet of video when it comes for the first time.
func lossy(t *testing.T, srtp bool) (a, b *Endpoint, lost *atomic.Int64) {
	t.Helper()
	n := newLines(t)
	make := func() *Endpoint {
		e, err := New(Config{Net: n.net, Ports: n.ports, Bind: localhost, Video: videoFormats(), Feedback: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	a, b = make(), make()
	want := media.Want{Video: true, NoAudio: true}
	if srtp {
		want.SRTP = media.SRTPRequire
	}
	x, y := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1") // before a, before b
	port := regexp.MustCompile(`m=video [1-9]\d*`)
	moved := func(body []byte, p *phone) []byte {
		return port.ReplaceAll(body, fmt.Appendf(nil, "m=video %d", p.addr().Port()))
	}
	o, err := a.Offer(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Answer(context.Background(), moved(o.SDP(), y), want)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := o.Accept("", moved(p.SDP(), x)); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(""); err != nil {
		t.Fatal(err)
	}
	lost = &atomic.Int64{}
	known := map[uint16]bool{} // of the one goroutine that has pictures
	var work sync.WaitGroup
	relay := func(from, to *net.UDPConn, dst netip.AddrPort, drops bool) {
		work.Go(func() {
			for b := make2k(); ; {
				n, err := from.Read(b)
				if err != nil {
					return
				}
				if drops && !rtpstream.IsControl(b[:n]) {
					if seq := uint16(b[2])<<8 | uint16(b[3]); !known[seq] {
						known[seq] = true
						if len(known)%10 == 5 {
							lost.Add(1)
							continue
						}
					}
				}
				_, _ = to.WriteToUDPAddrPort(b[:n], dst)
			}
		})
	}
	next := func(p netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(p.Addr(), p.Port()+1) }
	relay(x.rtp, y.rtp, b.video.LocalAddr(), true)
	relay(y.rtp, x.rtp, a.video.LocalAddr(), false)
	relay(x.rtcp, y.rtcp, next(b.video.LocalAddr()), false)
	relay(y.rtcp, x.rtcp, next(a.video.LocalAddr()), false)
	t.Cleanup(func() {
		for _, p := range []*phone{x, y} {
			_ = p.rtp.Close()
			_ = p.rtcp.Close()
		}
		work.Wait()
	})
	return a, b, lost
}

func make2k() []byte { return make([]byte, 2048) }

// Over a network that loses packets all pictures come, in the clear and under keys: the one endpoint asks, the other sends them again.
func TestAgainWhole(t *testing.T) {
	for _, srtp := range []bool{false, true} {
		t.Run(fmt.Sprintf("srtp=%t", srtp), func(t *testing.T) {
			a, b, lost := lossy(t, srtp)
			vp8 := media.VideoFormat("VP8", "")
			camera := media.NewSource(nil, nil)
			camera.SetFormats(vp8)
			camera.Link(a.Sink(media.Pad{Kind: media.Video}))
			k := &shown{caps: &media.Caps{Formats: []*media.Format{vp8}}, got: make(chan media.Frame, 1000)}
			b.Source(media.Pad{Kind: media.Video}).Link(k)
			got := map[byte]bool{}
			const many = 60
			at := 0
			show := func() {
				camera.Send(&media.Frame{Kind: media.Video, Format: vp8, Payload: append([]byte{0x10, 0x50, byte(min(at, 255))}, make([]byte, 900)...), Sequence: uint16(at),
					Timestamp: uint32(at) * 3000, Marker: true, Key: true, Epoch: 1})
				at++
			}
			whole := func() bool {
				for i := byte(10); i < many; i++ { // the lock takes the first ones
					if !got[i] {
						return false
					}
				}
				return true
			}
			for end := time.Now().Add(60 * time.Second); !whole(); {
				if show(); time.Now().After(end) {
					t.Fatalf("%d of %d pictures came, %d packets were lost: %+v", len(got), at, lost.Load(), a.video.sink.stats())
				}
				wait := time.After(5 * time.Millisecond)
				for more := true; more; {
					select {
					case f := <-k.got:
						got[f.Payload[2]] = true
					case <-wait:
						more = false
					}
				}
			}
			if st := a.video.sink.stats(); lost.Load() < 5 || st.Resent < 5 || st.NACKs == 0 {
				t.Errorf("%d packets were lost; asked %d times, %d sent again", lost.Load(), st.NACKs, st.Resent)
			}
		})
	}
}

// Neither what is kept nor what is sent again allocates.
func TestAgainAllocates(t *testing.T) {
	v := newViewer(t, "96", "a=rtcp-fb:96 nack\r\n")
	f := &media.Frame{Kind: media.Video, Format: v.e.video.sink.Caps().Formats[0], Payload: make([]byte, 1000), Marker: true, Key: true, Epoch: 1}
	nacks := []prtcp.NackPair{{PacketID: 0, LostPackets: 0xffff}}
	v.e.video.sink.Push(f)
	_, p := v.next()
	last := p.SequenceNumber
	if n := testing.AllocsPerRun(1000, func() {
		f.Sequence++
		f.Timestamp += 3000
		v.e.video.sink.Push(f)
		v.now.Add(int64(30 * time.Millisecond))
		last++
		nacks[0].PacketID = last - 16
		v.e.video.sink.again(nacks, v.now.Load())
	}); n != 0 {
		t.Errorf("a packet that is sent, and sent again, allocates %v times", n)
	}
}

// Pictures go in packets that are no longer than is set, from then on; a piece that is lost is sent again.
func TestMTU(t *testing.T) {
	v := newViewer(t, "96", "a=rtcp-fb:96 nack\r\n")
	v.send(0, 1380)
	raw, p := v.next()
	if len(raw) != 1380+3+rtpstream.HeaderSize || !p.Marker {
		t.Fatalf("packet of %d bytes, expected one as it came", len(raw))
	}
	for i, mtu := range []int{600, 68, 1200} {
		v.e.SetMTU(mtu)
		v.send(uint16(i+1), 1390)
		before := p.SequenceNumber
		var got, lost []byte
		for last := false; !last; {
			if raw, p = v.next(); len(raw) > mtu || p.SequenceNumber != before+1 {
				t.Fatalf("packet %d of %d bytes after %d, expected %d at most", p.SequenceNumber, len(raw), before, mtu)
			}
			got, last, before, lost = append(got, p.Payload[1:]...), p.Marker, p.SequenceNumber, raw
		}
		if len(got) != 1392 || got[0] != 0x50 || got[1] != byte(i+1) {
			t.Errorf("a picture of %d bytes came", len(got))
		}
		v.now.Add(int64(30 * time.Millisecond))
		v.nack(p.SequenceNumber)
		if raw, _ := v.next(); !bytes.Equal(raw, lost) {
			t.Error("a piece isn't sent again as it was")
		}
	}
}
