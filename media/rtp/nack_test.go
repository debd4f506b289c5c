package rtp

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
)

// What is missing is asked for once it is late, again if it stays away, not for ever, and not if it has come.
func TestMisses(t *testing.T) {
	const ms = int64(time.Millisecond)
	var m misses
	take := func(n uint16, v rtpstream.Verdict, at int64) []uint16 {
		if !m.takes(&rtpstream.Header{Seq: n}, v, at*ms) {
			return nil
		}
		return m.ask(at * ms)
	}
	for _, c := range []struct {
		number uint16
		v      rtpstream.Verdict
		at     int64
		want   []uint16
	}{
		{65534, rtpstream.Begin, 0, nil},
		{1, rtpstream.Take, 1, nil}, // two are missing, and may yet come
		{0, rtpstream.Late, 2, nil},
		{2, rtpstream.Take, 3, []uint16{65535}},
		{3, rtpstream.Take, 30, nil},
		{4, rtpstream.Take, 43, []uint16{65535}},
		{5, rtpstream.Take, 83, []uint16{65535}},
		{5, rtpstream.Drop, 123, []uint16{65535}},
		{6, rtpstream.Take, 500, nil},
		{8, rtpstream.Take, 501, nil},
		{9, rtpstream.Take, 506, []uint16{7}},
		{7, rtpstream.Late, 507, nil},
		{10, rtpstream.Take, 900, nil},
		{500, rtpstream.Begin, 901, nil},
		{501, rtpstream.Take, 1500, nil},
	} {
		if got := take(c.number, c.v, c.at); !slices.Equal(got, c.want) {
			t.Errorf("%d at %d ms: asks for %v, want %v", c.number, c.at, got, c.want)
		}
	}
	m = misses{}
	take(0, rtpstream.Begin, 0)
	if got := take(1000, rtpstream.Take, 1); len(got) > nackMost || m.n > nackMost {
		t.Errorf("asks for %d at once", len(got))
	}
}

// A peer whose line says that it sends lost packets again is asked for them, and what it sends then is taken; one that doesn't say so isn't
// asked.
func TestNack(t *testing.T) {
	for _, c := range []struct {
		fb   string
		asks bool
	}{{"nack", true}, {"nack pli", false}, {"ccm fir", false}} {
		n := newLines(t)
		e, err := New(Config{Net: n.net, Ports: n.ports, Bind: localhost, Video: videoFormats(), Feedback: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: localhost.AsSlice()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = peer.Close() })
		offer := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=video %[2]d RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 %[3]s\r\na=rtcp-mux\r\n",
			localhost, peer.LocalAddr().(*net.UDPAddr).Port, c.fb)
		p, err := e.Answer(context.Background(), []byte(offer), media.Want{Video: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		if says := slices.Contains(lineFeedback(string(p.SDP())), "* nack"); says != c.asks {
			t.Errorf("%s is answered by\n%s", c.fb, p.SDP())
		}
		vp8 := media.VideoFormat("VP8", "")
		k := &shown{caps: &media.Caps{Formats: []*media.Format{vp8}}, got: make(chan media.Frame, 1000)}
		e.Source(media.Pad{Kind: media.Video}).Link(k)
		send := func(number uint16) {
			b, err := (&prtp.Packet{Header: prtp.Header{Version: 2, PayloadType: 96, SequenceNumber: number, Timestamp: uint32(number) * 3000, SSRC: 7, Marker: true}, Payload: []byte{0x10, 0x50, 0, 0}}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := peer.WriteToUDPAddrPort(b, e.video.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		got := map[uint16]bool{}
		drain := func() {
			for {
				select {
				case f := <-k.got:
					got[f.Sequence] = true
				default:
					return
				}
			}
		}
		const first, lost = 1000, 1005
		asked := 0
		for number, end := uint16(first), time.Now().Add(60*time.Second); number < first+20 && (asked == 0 || !c.asks) && time.Now().Before(end); number++ {
			if number != lost {
				send(number)
			}
			_ = peer.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			for b := make([]byte, 1500); ; {
				size, err := peer.Read(b)
				if err != nil {
					break
				}
				list, err := rtpstream.Unmarshal(b[:size])
				if err != nil {
					continue // media
				}
				for _, q := range list {
					if q, ok := q.(*prtcp.TransportLayerNack); ok && q.MediaSSRC == 7 && slices.Contains(q.Nacks[0].PacketList(), lost) {
						asked++
					}
				}
			}
		}
		if asked > 0 != c.asks {
			t.Fatalf("%s: it is asked %d times", c.fb, asked)
		}
		if !c.asks {
			continue
		}
		send(lost)
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
			if drain(); got[lost] {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("what was sent again isn't taken: %v", got)
			}
		}
		var s media.Snapshot
		e.Stats(&s)
		if !slices.ContainsFunc(s.Streams, func(st media.Stream) bool { return st.Inbound && st.NACKs > 0 }) {
			t.Errorf("no stream says that it asked: %+v", s.Streams)
		}
	}
}

// lineFeedback are the values of rtcp-fb in SDP.
func lineFeedback(body string) (list []string) {
	for line := range strings.SplitSeq(body, "\r\n") {
		if v, ok := strings.CutPrefix(line, "a=rtcp-fb:"); ok {
			list = append(list, v)
		}
	}
	return list
}
