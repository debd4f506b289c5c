package rtsp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media/container"
)

// Packets that overtook others wait for them, a little; what is lost holds nothing up for long; what comes twice or too late is left out.
func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		in   string // numbers; "_" lets 60 ms pass, "!" is another source from there on
		want string
	}{
		"in order":         {"1 2 3", "1 2 3"},
		"two change":       {"1 3 2 4", "1 2 3 4"},
		"one is late":      {"1 3 4 2 5", "1 2 3 4 5"},
		"one is lost":      {"1 3 4 5 6 7", "1 3 4 5 6 7"},
		"one too late":     {"1 3 4 5 6 2 7", "1 3 4 5 6 7"},
		"lost, and slow":   {"1 3 _ 4", "1 3 4"},
		"waits still":      {"1 3 4 5", "1"},
		"twice":            {"1 1 2 4 4 3 3 5", "1 2 3 4 5"},
		"the other way":    {"1 5 4 3 2 6", "1 2 3 4 5 6"},
		"numbers go round": {"65534 0 65535 1", "65534 65535 0 1"},
		"begins anew":      {"1 2 40000 40001", "1 2 40000 40001"},
		"another source":   {"1 2 4 ! 7 8", "1 2 4 7 8"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, sound, _ := newRing(t, time.Hour)
			r.direct(sound)
			source := uint32(1)
			for _, f := range strings.Fields(c.in) {
				switch f {
				case "_":
					time.Sleep(awaited)
				case "!":
					source++
				default:
					p := &rtp.Packet{Header: rtp.Header{SSRC: source}, Payload: make([]byte, 160)}
					_, _ = fmt.Sscan(f, &p.SequenceNumber)
					p.Payload[0], p.Payload[1] = byte(p.SequenceNumber>>8), byte(p.SequenceNumber)
					p.Timestamp = 160 * uint32(p.SequenceNumber)
					r.packet(sound, p, time.Now(), true)
					r.packet(sound, p, time.Now(), false) // by the other way
					clear(p.Payload)
				}
			}
			got := ""
			for len(r.units) > 0 {
				var u container.Unit
				_ = r.read(&u)
				got += fmt.Sprint(" ", int(u.Data[0])<<8|int(u.Data[1]))
			}
			if got != " "+c.want {
				t.Errorf("%s: %s became%s, want %s", name, c.in, got, c.want)
			}
		})
	}
}
