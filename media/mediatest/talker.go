package mediatest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
)

// Talker is a source that says what it is told, in one format, 20 ms at a time.
type Talker struct {
	*media.Source
	Format *media.Format
	next   media.Frame

	mu       sync.Mutex
	feedback []media.Feedback
}

// NewTalker makes a talker that converts with reg, which may be nil.
func NewTalker(reg *media.Registry, f *media.Format) *Talker {
	t := &Talker{Format: f, next: media.Frame{Kind: f.Kind, Format: f, Marker: true, Sequence: 1000, Timestamp: 160000}}
	t.Source = media.NewSource(reg, func(fb media.Feedback) {
		t.mu.Lock()
		t.feedback = append(t.feedback, fb)
		t.mu.Unlock()
	})
	t.SetFormats(f)
	return t
}

// Say sends one frame; sequence number and timestamp go on from the last.
func (t *Talker) Say(payload []byte) {
	t.next.Payload = payload
	t.next.Arrival = time.Since(birth).Nanoseconds()
	t.Send(&t.next)
	t.next.Payload = nil
	t.next.Marker = false
	t.next.Sequence++
	t.next.Timestamp += uint32(t.Format.Clock / 50)
}

// Anew begins another stream: another epoch, sequence number and timestamp jump.
func (t *Talker) Anew() {
	t.next.Epoch++
	t.next.Sequence += 12345
	t.next.Timestamp -= 1 << 30
	t.next.Marker = true
}

// Heard is the feedback that came upstream so far.
func (t *Talker) Heard() []media.Feedback {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]media.Feedback(nil), t.feedback...)
}

// birth is where Arrival counts from.
var birth = time.Now()

// Tone makes n payloads of 20 ms of a sine in PCMU, PCMA or L16, the level in dBm0.
func Tone(f *media.Format, hz, dbm0 float64, n int) [][]byte {
	law := g711.A() // L16 has A-law's load
	if f.Codec == "PCMU" {
		law = g711.Mu()
	}
	amplitude := law.Peak() * math.Pow(10, dbm0/20)
	out := make([][]byte, n)
	per := f.Clock / 50
	for i := range out {
		for j := range per {
			s := int16(math.Round(amplitude * math.Sin(2*math.Pi*hz*float64(i*per+j)/float64(f.Clock))))
			if f.Codec == "L16" {
				out[i] = binary.BigEndian.AppendUint16(out[i], uint16(s))
			} else {
				out[i] = append(out[i], law.Code(s))
			}
		}
	}
	return out
}

// Linear is the 16-bit samples of a payload in PCMU, PCMA or L16.
func Linear(f *media.Format, payload []byte) []int16 {
	switch f.Codec {
	case "PCMU":
		return g711.Mu().Decode(nil, payload)
	case "PCMA":
		return g711.A().Decode(nil, payload)
	}
	var out []int16
	for ; len(payload) >= 2; payload = payload[2:] {
		out = append(out, int16(binary.BigEndian.Uint16(payload)))
	}
	return out
}

// Level is the level of one frequency in samples of a clock rate, in dBm0 by a law's Peak, over a whole number of its periods.
func Level(samples []int16, clock, hz, peak float64) float64 {
	if periods := math.Floor(float64(len(samples)) * hz / clock); periods > 0 {
		samples = samples[:int(math.Round(periods*clock/hz))]
	}
	var re, im float64
	for i, s := range samples {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / clock)
		re += float64(s) * cos
		im += float64(s) * sin
	}
	amplitude := 2 * math.Hypot(re, im) / float64(max(len(samples), 1))
	return 20 * math.Log10(max(amplitude, 1e-3)/peak)
}

// payloads makes what a sink of this format may get: a tone where it is linear or G.711, one event, else noise of plausible
// sizes.
func payloads(f *media.Format) [][]byte {
	switch {
	case f.Codec == "PCMU" || f.Codec == "PCMA" || f.Codec == "L16" && f.Channels <= 1:
		return Tone(f, 440, -10, 50)
	case f.Kind == media.Event:
		var out [][]byte
		for i := range 8 {
			b := []byte{5, 10, 0, 0}
			binary.BigEndian.PutUint16(b[2:], uint16(160*min(i+1, 6)))
			if i >= 5 {
				b[1] |= 0x80
			}
			out = append(out, b)
		}
		return out
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, 50)
	for i := range out {
		b := make([]byte, 20+rnd.IntN(60))
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		out[i] = b
	}
	return out
}
