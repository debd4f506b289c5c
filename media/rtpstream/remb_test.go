package rtpstream

import (
	"math"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// What is asked of a peer falls by a factor at heavy loss, comes back fast to near where that was and slowly from there, and light loss
// doesn't lower it. Without terms, or loss, nothing is asked.
func TestRemb(t *testing.T) {
	terms := media.Remb{Packets: 100, Losses: 12, Decrement: 0.5, Threshold: 0.8, Exponential: 0.04, LinearLeast: 50, LinearGrade: 30}
	var r Remb
	var st media.Stream
	now := int64(1e9)
	// half is half a second in which so many packets of 1250 bytes come, 10 kbit each, and so many don't.
	half := func(came, lost int) float64 {
		now += rembStep
		st.Packets, st.Bytes, st.Lost = st.Packets+uint64(came), st.Bytes+1250*uint64(came), st.Lost+int64(lost)
		return r.Look(st, now)
	}
	is := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1 {
			t.Errorf("%s: %.0f bit/s, expected %.0f", what, got, want)
		}
	}
	half(100, 0)
	is("without terms", half(50, 50), 0)
	r.Set(terms)
	half(100, 0)
	is("without loss", half(100, 0), 0)
	is("light loss", half(98, 2), 0)
	is("heavy loss at 1.8 Mbit/s", half(90, 10), 900e3)
	rate := 900e3
	for rate < 0.8*1800e3 {
		rate *= 1.04
		is("fast", half(45, 0), rate)
	}
	for range 10 {
		rate += 0.2 * 1800e3 / 30
		is("slow", half(80, 0), rate)
	}
	is("light loss", half(98, 2), min(rate, 1960e3))
	if again := half(50, 50); again > 0.5*rate+1 || again < 0.4e6 {
		t.Errorf("heavy loss again: %.0f bit/s of %.0f", again, rate)
	}
	for range 100 {
		half(1, 9)
	}
	is("nothing but loss", half(1, 9), rembLeast)
	is("silence", half(0, 0), rembLeast)
	before := r.Look(st, now)
	is("twice at once", r.Look(st, now), before)
	r.Set(terms)
	is("anew", half(100, 0), 0)
}
