package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/sip"
)

// packets tells of what a handset heard: ms of a packet, and how many were lost.
func (h *handset) packets() (ms float64, lost int64) {
	var s media.Snapshot
	h.Stats(&s)
	in := s.Streams[0]
	return float64(in.Bytes) / float64(max(in.Packets, 1)) / 8, in.Lost
}

// Two parties with packets of different lengths hear each other without a gap, each in packets of its own length; where the
// carrier says nothing, the trunk's setting holds.
func TestPacketTimes(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ phone, carrier, trunk int }{{10, 60, 0}, {20, 40, 0}, {30, 20, 0}, {40, 30, 0}, {60, 10, 0}, {20, 0, 30}} {
		t.Run(fmt.Sprintf("%d and %d ms, trunk %d", x.phone, x.carrier, x.trunk), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(s *settings) { s.Trunks[0].Ptime = x.trunk })
			alice := b.phone("alice")
			ha := handsetOf(t, 440, rtp.Config{Bind: loopback, Ptime: x.phone})
			hc := handsetOf(t, 880, rtp.Config{Bind: loopback, Ptime: x.carrier})
			offer := ha.offer(media.Want{})
			a := b.from(alice, "9123", offer.SDP())
			c := b.carrier.Incoming()
			body := c.Request().Body
			if want := max(x.trunk, 20); !strings.Contains(string(body), fmt.Sprintf("a=ptime:%d\r\n", want)) {
				t.Errorf("the carrier is offered, without %d ms:\n%s", want, body)
			}
			if err := c.Answer(hc.answers(body, media.Want{})); err != nil {
				t.Fatal(err)
			}
			c.Wait(sip.KindAcked)
			ha.takes(offer, a.Wait(sip.KindAnswered).Body)
			ha.hear(880)
			hc.hear(440)
			of := max(x.carrier, x.trunk)
			if ms, lost := ha.packets(); ms != float64(x.phone) || lost != 0 {
				t.Errorf("the phone was sent packets of %v ms, %d lost, want %d ms", ms, lost, x.phone)
			}
			if ms, lost := hc.packets(); ms != float64(of) || lost != 0 {
				t.Errorf("the carrier was sent packets of %v ms, %d lost, want %d ms", ms, lost, of)
			}
			a.Bye()
			c.Wait(sip.KindEnded)
			rec := b.ends(call.Caller, 16, 200)
			if rec.Transcoded || rec.Legs[0].Media.Ptime != x.phone || rec.Legs[1].Media.Ptime != of {
				t.Errorf("transcoded %t, legs %+v, %+v", rec.Transcoded, rec.Legs[0].Media, rec.Legs[1].Media)
			}
		})
	}
}
