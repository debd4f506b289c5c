package rtp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// FuzzDatagrams feeds both sockets with what the input says: chunks, each with its length, who sends it and where to.
// Nothing may be sent because something came.
func FuzzDatagrams(f *testing.F) {
	chunk := func(how byte, p []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{how}, uint16(len(p))), p...)
	}
	var stream []byte
	p := phone{seq: 65533, ssrc: 1}
	for i := range 8 {
		if p.pt = 0; i > 4 {
			p.pt = 101
		}
		stream = append(stream, chunk(0, p.packet([]byte{5, 0x8a, 0, 160}))...)
	}
	f.Add(stream)
	f.Add(chunk(1, []byte{0x81, 200, 0, 12, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}))
	f.Add(chunk(0, []byte{0xbf, 0x80, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}))
	f.Add(chunk(2, []byte{0x90, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 5}))

	d, one := newDesk(f, nil), newPhone(f, "127.0.0.1")
	pairs := [4]udp.Addr{udp.From(one.addr()), udp.From(one.addr()), pair("127.0.0.1:9"), pair("192.0.2.1:4000")}
	f.Fuzz(func(t *testing.T, in []byte) {
		mux := "a=x"
		if len(in) > 0 && in[0]&8 != 0 {
			mux = "a=rtcp-mux"
		}
		d.tb = t
		d.takes(one.sdp(mux), media.Want{})
		sent := d.rtp.Stats().PacketsOut + d.rtcp.Stats().PacketsOut
		now := udp.Now()
		buf := make([]byte, 2048+udp.Room)
		for len(in) >= 3 {
			how, n := in[0], min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3, 2048)
			k := buf[:copy(buf[:n], in[3:])]
			in = in[3+n:]
			now += int64(how>>4) * int64(20*time.Millisecond)
			if from := pairs[how>>1&3]; how&1 == 0 {
				d.receive(k, &from, now)
			} else {
				d.receiveControl(k, &from, now, false)
			}
		}
		if n := d.rtp.Stats().PacketsOut + d.rtcp.Stats().PacketsOut; n != sent {
			t.Errorf("%d datagrams were sent", n-sent)
		}
		c, _ := d.counts()
		if c.Jitter < 0 || c.JitterMax < c.Jitter || c.Packets < c.Reordered || c.RTT < 0 {
			t.Errorf("counted %+v", c)
		}
		d.mu.Lock()
		d.heard = d.heard[:0]
		d.mu.Unlock()
	})
}
