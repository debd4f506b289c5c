//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// strangerTone is in Hz, like nothing that a phone of the story sends.
const strangerTone = 1500

// strangers send RTP and RTCP to both legs of a call from its first SDP to after its end.
type strangers struct {
	capture *peers.Capture
	g       *gateway
	from    netip.Addr
	stop    chan struct{}
	done    sync.WaitGroup

	mu      sync.Mutex
	targets map[netip.AddrPort]int // Patchbay's media ports, and how many datagrams went there
}

// sendStrangeMedia waits in the background for the next call's SDP.
func sendStrangeMedia(t *testing.T, capture *peers.Capture, g *gateway, from netip.Addr) *strangers {
	s := &strangers{capture: capture, g: g, from: from, stop: make(chan struct{}), targets: map[netip.AddrPort]int{}}
	t.Cleanup(s.end)
	began := time.Now()
	// The callee's leg is known from the INVITE to it, the caller's from the 200: neither peer can have sent RTP before.
	for name, is := range map[string]func(peers.Message) bool{
		"callee": func(m peers.Message) bool { return m.Request("INVITE") },
		"caller": func(m peers.Message) bool { return m.Status == 200 && m.Method == "INVITE" },
	} {
		s.done.Go(func() {
			p, ok := capture.Find(10*time.Second, func(p peers.Packet) bool {
				if p.Src != g.sip || p.At.Before(began) {
					return false
				}
				m := peers.SIP([]peers.Packet{p})
				return len(m) == 1 && is(m[0]) && mediaPort(m[0].Body) != 0
			})
			if !ok {
				t.Errorf("no SDP went to the %s", name)
				return
			}
			to := netip.AddrPortFrom(g.addr, mediaPort(peers.SIP([]peers.Packet{p})[0].Body))
			if err := s.send(to); err != nil {
				t.Errorf("to the leg of the %s: %v", name, err)
			}
		})
	}
	return s
}

// mediaPort is the port of the first audio line, 0 if there is none.
func mediaPort(sdp string) uint16 {
	_, rest, ok := strings.Cut(sdp, "m=audio ")
	if !ok {
		return 0
	}
	port, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}

// send sends a tone in sequence to the RTP port, and reports and goodbyes to the RTCP port.
func (s *strangers) send(to netip.AddrPort) error {
	rtp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.from, 0)))
	if err != nil {
		return err
	}
	defer rtp.Close()
	tone := audio.Tone(8000, strangerTone, -3, 1)
	control := netip.AddrPortFrom(to.Addr(), to.Port()+1)
	const ssrc = 0x01020304
	for i := 0; ; i++ {
		select {
		case <-s.stop:
			return nil
		case <-time.After(10 * time.Millisecond):
		}
		p := prtp.Packet{Header: prtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i) * 160, SSRC: ssrc}}
		for _, v := range tone.Samples[i%50*160 : (i%50+1)*160] {
			p.Payload = append(p.Payload, audio.MuLaw.Encode(v))
		}
		b, err := p.Marshal()
		if err != nil {
			return err
		}
		_, _ = rtp.WriteToUDPAddrPort(b, to)
		n := 1
		if i%5 == 0 {
			report, err := prtcp.Marshal([]prtcp.Packet{
				&prtcp.SenderReport{SSRC: ssrc, NTPTime: 1 << 32, RTPTime: p.Timestamp, PacketCount: uint32(i)},
				&prtcp.Goodbye{Sources: []uint32{ssrc}},
			})
			if err != nil {
				return err
			}
			_, _ = rtp.WriteToUDPAddrPort(report, control)
			n++
		}
		s.mu.Lock()
		s.targets[to] += n
		s.mu.Unlock()
	}
}

func (s *strangers) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.done.Wait()
}

// ended goes on for a moment after the call has ended, and then judges: nothing came back, nobody heard it, and the
// legs' records have counted it.
func (s *strangers) ended(t *testing.T) {
	t.Helper()
	time.Sleep(300 * time.Millisecond)
	s.end()
	if len(s.targets) != 2 {
		t.Errorf("strangers sent to %d legs, expected 2", len(s.targets))
	}
	back, injected := 0, 0
	for _, p := range s.capture.Packets() {
		if p.Dst.Addr() == s.from && p.Src.Port() >= 20000 && p.Src.Port() <= 24999 {
			back++
		}
	}
	for _, stream := range peers.Streams(s.capture.Packets(), func(p peers.Packet) bool { return p.Src.Addr() == s.g.addr && p.Dst.Addr() == s.g.addr }) {
		// Phones and Patchbay share an address; whatever a phone gets or sends, the tone isn't in it.
		if clip := stream.Clip(); len(clip.Samples) > 0 && audio.Level(clip, strangerTone) > -50 {
			injected++
			t.Errorf("%s to %s: %d Hz at %.1f dBFS, which only a stranger sends", stream.Src, stream.Dst, strangerTone, audio.Level(clip, strangerTone))
		}
	}
	if back > 0 {
		t.Errorf("%d packets went back to the stranger, expected none", back)
	}
	legs := s.legs(t, len(s.targets))
	for to, sent := range s.targets {
		rejected, ok := legs[to.Port()]
		// What came before the SDP was agreed on and after the end has no leg to count it; the call is most of the time.
		if !ok || rejected < sent/2 || rejected > sent {
			t.Errorf("leg at port %d: %d of a stranger's %d datagrams on record as rejected, expected most of them", to.Port(), rejected, sent)
		}
		t.Logf("leg at port %d: %d of a stranger's %d datagrams on record as rejected", to.Port(), rejected, sent)
	}
}

// legs is what the records of the answered call's legs count as rejected, by Patchbay's media port.
func (s *strangers) legs(t *testing.T, want int) map[uint16]int {
	t.Helper()
	out := map[uint16]int{}
	eventually(5*time.Second, func() bool {
		for _, row := range s.g.db.Query(t, `select l.local_media_port as port, l.quality->>'rejected' as rejected from patchbay.leg l
			join patchbay.call c using (call_id) where c.answered_at is not null and c.ended_at is not null and l.quality is not null`) {
			port, _ := strconv.ParseUint(fmt.Sprint(row["port"]), 10, 16)
			n, _ := strconv.Atoi(fmt.Sprint(row["rejected"]))
			out[uint16(port)] = n
		}
		return len(out) >= want
	})
	return out
}
