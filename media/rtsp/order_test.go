package rtsp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media/container"
)

// Packets that overtook others wait for them, a little; what is lost holds nothing up for long; what comes twice or too late is left out.
func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		in   string // numbers; "_" lets 40 ms pass, "!" is another source from there on
		want string
	}{
		"in order":         {"1 2 3", "1 2 3"},
		"two change":       {"1 3 2 4", "1 2 3 4"},
		"one is late":      {"1 3 4 2 5", "1 2 3 4 5"},
		"one is lost":      {"1 3 4 _ 5 6 7", "1 3 4 5 6 7"},
		"one too late":     {"1 3 4 _ 5 6 2 7", "1 3 4 5 6 7"},
		"lost, and slow":   {"1 3 _ 4", "1 3 4"},
		"many are":         {"1 3 4 6 _ 7 8", "1 3 4 6 7 8"},
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

// Whatever numbers come, in whatever order, few are kept, and nothing of a stream comes twice or backwards.
func FuzzOrder(f *testing.F) {
	f.Add([]byte{1, 2, 1, 3, 0, 255, 1})
	f.Add([]byte{1, 3, 2, 4, 200, 7, 7, 8, 127, 128})
	f.Add(bytes.Repeat([]byte{2}, 300))
	f.Fuzz(func(t *testing.T, steps []byte) {
		r, sound := &ring{}, &track{waits: true}
		r.init(time.Hour)
		if !sound.take(&format.G711{SampleRate: 8000, ChannelCount: 1}) {
			t.Fatal("G.711 isn't known")
		}
		r.add(sound)
		r.moved(0, nil)
		r.direct(sound)
		now, number := time.Now(), uint16(65000)
		var last uint16
		for i, step := range steps {
			now = now.Add(time.Duration(step&3) * 10 * time.Millisecond)
			number += uint16(int8(step))
			p := &rtp.Packet{Header: rtp.Header{SequenceNumber: number, Timestamp: 160 * uint32(number)}, Payload: []byte{byte(number >> 8), byte(number)}}
			r.packet(sound, p, now, true)
			if len(sound.held) >= overtaken {
				t.Fatalf("%d packets wait", len(sound.held))
			}
			for first := i == 0; len(r.units) > 0; first = false {
				var u container.Unit
				_ = r.read(&u)
				n := uint16(u.Data[0])<<8 | uint16(u.Data[1])
				if d := int16(n - last); !first && d <= 0 && d >= -away {
					t.Fatalf("%d comes after %d", n, last)
				}
				last = n
			}
		}
		r.end(nil)
	})
}
