package webrtc

import (
	"encoding/binary"
	"testing"

	"github.com/patchbay/patchbay/media/rtpstream"
)

// A peer that asks for all packets again, as often as it may, has no more than twice the stream.
func TestAskedForAllTheTime(t *testing.T) {
	var n lane
	n.init()
	rtx := [128]uint8{96: 97}
	n.beside(2, rtx)
	p := make([]byte, rtpstream.HeaderSize+100)
	p[0], p[1] = 0x80, 96
	room := make([]byte, laneSlot+2)
	now, first, again := int64(1), 0, 0
	drain := func() {
		for {
			b, ok := n.next(room, now)
			switch {
			case !ok:
				return
			case b[1] == 97:
				again++
			default:
				first++
			}
		}
	}
	for seq := range uint16(2000) {
		binary.BigEndian.PutUint16(p[2:], seq)
		if err := n.put(p); err != nil {
			t.Fatal(err)
		}
		drain()
		if seq%10 == 9 { // 500 packets a second
			now += rtpstream.AgainEvery
			for back := range uint16(rtpstream.HistorySize) {
				n.want(seq-back, now)
			}
			drain()
		}
	}
	if first != 2000 || again > first || again < first*9/10 {
		t.Errorf("%d packets, and %d of them again", first, again)
	}
}
