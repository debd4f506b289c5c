package stream

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchbay/patchbay/media"
)

// instant tells when something loud comes.
type instant struct {
	media.Inlet
	caps *media.Caps
	loud chan time.Time
}

func (i *instant) Caps() *media.Caps { return i.caps }
func (i *instant) Push(f *media.Frame) {
	if f.Payload[0] == 0x80 && f.Payload[1] == 0x80 {
		select {
		case i.loud <- time.Now():
		default:
		}
	}
}

// What an application that says back what it hears adds to what a caller hears, from when a frame of 20 ms is there to when it begins to be played: the ms of
// the median and of the worst. The caller speaks at its own pace, as a phone does.
func BenchmarkEcho(b *testing.B) {
	a := newApp(b, func(ws *websocket.Conn, m map[string]any) {
		if m["event"] == "media" {
			_ = ws.WriteJSON(map[string]any{"event": "media", "payload": m["payload"]})
		}
	})
	r := open(b, a, Config{Encoding: PCMU}, media.PCMU())
	in := &instant{caps: &media.Caps{Formats: []*media.Format{media.PCMU()}}, loud: make(chan time.Time, 1)}
	r.Source(media.Pad{}).Link(in)
	quiet, loud := bytes.Repeat([]byte{0xff}, 160), bytes.Repeat([]byte{0x80}, 160)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var took []float64
	for b.Loop() {
		var said time.Time
		for n := 0; ; n++ {
			<-tick.C
			if n == 25 {
				said = time.Now()
				r.say.Say(loud)
			} else {
				r.say.Say(quiet)
			}
			var heard time.Time
			select {
			case heard = <-in.loud:
			default:
			}
			if !heard.IsZero() && !said.IsZero() {
				took = append(took, float64(heard.Sub(said).Microseconds())/1000)
				break
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "ms/median")
	b.ReportMetric(took[len(took)-1], "ms/worst")
	b.ReportMetric(0, "ns/op")
}
