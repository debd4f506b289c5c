package main

import (
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
)

// A leg's line says what we have measured, and apart from that what the party says itself.
func TestSound(t *testing.T) {
	of := func(v float64) *float64 { return &v }
	silence := int64(12_340)
	for want, l := range map[string]*call.Leg{
		"": {},
		"from it MOS 4.20, loss 1.0 %, 12.3 s of silence left out, its clock -350 ppm against ours": {
			In: &call.Bucket{MOSCQ: of(4.2), Ppl: of(1), Silence: &silence, Skew: of(-350.4)}},
		"from it MOS 4.20": {In: &call.Bucket{MOSCQ: of(4.2), Skew: of(80)}, Out: &call.Bucket{}},
		"to it MOS 4.00, jitter 2.0 ms, by its own account MOS 3.1, loss 0.5 %, 7.0 % too late to be played": {
			Out: &call.Bucket{MOSCQ: of(4), Jitter: of(2), XR: &call.XR{MOSLQ: of(3.5), MOSCQ: of(3.1), Loss: of(0.5), Discard: of(7)}}},
		"to it by its own account MOS 3.5": {Out: &call.Bucket{XR: &call.XR{MOSLQ: of(3.5), Discard: of(0)}}},
		"to it nothing to rate":            {Out: &call.Bucket{XR: &call.XR{Concealment: "standard"}}},
	} {
		if got := sound(l); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}
