package webrtc

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

// marks is a browser's socket that counts packets of media by how they were marked on their way.
type marks struct {
	*net.UDPConn
	rtp [64]atomic.Int64 // by DSCP
}

func (m *marks) ReadFrom(p []byte) (int, net.Addr, error) {
	var oob [64]byte
	n, size, _, from, err := m.ReadMsgUDP(p, oob[:])
	if err != nil {
		return n, nil, err
	}
	list, err := unix.ParseSocketControlMessage(oob[:size])
	for _, c := range list {
		if c.Header.Level == unix.IPPROTO_IP && c.Header.Type == unix.IP_TOS && n > 0 && p[0]>>6 == 2 {
			m.rtp[c.Data[0]>>2].Add(1)
		}
	}
	return n, from, err
}

// What an endpoint sends of media is marked as it is told, whatever stands behind it, and as all else of the port if it isn't told.
func TestMarks(t *testing.T) {
	for _, stack := range []Stack{Own, PeerConnection} {
		for _, dscp := range []int{34, 0} {
			conn := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
			t.Cleanup(func() { _ = conn.Close() })
			raw := must[interface{ Control(func(uintptr)) error }](t)(conn.SyscallConn())
			var err error
			if bad := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1) }); bad != nil || err != nil {
				t.Fatal(bad, err)
			}
			m := &marks{UDPConn: conn}
			l := newLeg(t, newPort(t, nil), func(c *Config) { c.DSCP, c.Stack = dscp, stack })
			b := newBrowser(t, webrtctest.Config{Socket: m, Formats: []*media.Format{media.PCMU()}})
			l.call(b, media.Want{}, false)
			isUp(t, b)
			talker := media.NewSource(nil, nil)
			f := l.Sink(media.Pad{}).Caps().Formats[0]
			talker.SetFormats(f)
			talker.Link(l.Sink(media.Pad{}))
			seq := uint16(0)
			await(t, "marked media", func() bool {
				talker.Send(&media.Frame{Format: f, Payload: make([]byte, 160), Sequence: seq, Timestamp: 160 * uint32(seq), Epoch: 1})
				seq++
				time.Sleep(time.Millisecond)
				return m.rtp[dscp].Load() >= 10
			})
			for i := range m.rtp {
				if n := m.rtp[i].Load(); n > 0 && i != dscp {
					t.Errorf("stack %v, DSCP %d: %d packets are marked %d", stack, dscp, n, i)
				}
			}
		}
	}
}
