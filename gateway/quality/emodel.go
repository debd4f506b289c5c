// Package quality rates what a call sounds like by the E-model of ITU-T G.107, from what was counted of its packets. It is
// arithmetic alone: it knows nobody of ours.
package quality

import (
	"math"
	"strings"
)

// Ie,eff can't pass this (G.107 7.3).
const worst = 95

// Base is R without loss and delay, of the defaults of G.107 (Table 3) in one direction.
const Base = 93.2

// Inputs are what R is computed of. They are kept beside the result, so that it can be computed again.
type Inputs struct {
	Ie     float64 // what the codec itself takes away (G.113 Appendix I), 0 to 95
	Bpl    float64 // how well it stands loss (G.113 Appendix I), above 0
	Ppl    float64 // percent of the packets that are lost, 0 to 100
	BurstR float64 // mean length of a burst of loss, as a multiple of that under random loss; below 1 counts as 1
	Delay  float64 // ms from mouth to ear, one way, 0 or more
}

// R is the transmission rating, 0 to 93.2: conversational, with the delay (G.107 simplified for the defaults of all that isn't
// among the inputs).
func (i Inputs) R() float64 {
	return min(Base, max(0, Base-delay(max(0, i.Delay))-i.effective()))
}

// Listening is R without the delay: what somebody hears who only listens.
func (i Inputs) Listening() float64 {
	i.Delay = 0
	return i.R()
}

// delay is Id of G.107 for the default echo loudness, as it is commonly approximated.
func delay(d float64) float64 {
	return 0.024*d + 0.11*max(0, d-177.3)
}

// effective is Ie,eff (G.107 7.3, formula 7-29).
func (i Inputs) effective() float64 {
	ppl := min(100, max(0, i.Ppl))
	if ppl == 0 {
		return i.Ie
	}
	return i.Ie + (worst-i.Ie)*ppl/(ppl/max(1, i.BurstR)+i.Bpl)
}

// MOS is the mean opinion score that R stands for, 1 to 4.5 (G.107 Annex B, formula B-4).
func MOS(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1, 1+0.035*r+7e-6*r*(r-60)*(100-r))
}

// BurstR is the burst ratio of so many packets lost of those expected, in so many runs (G.107 7.3): 1 if losses are as
// random ones are, or if there are none.
func BurstR(lost, expected, runs float64) float64 {
	if lost <= 0 || runs <= 0 || expected <= lost {
		return 1
	}
	return max(1, lost/runs*(1-lost/expected))
}

// Codec is what is known of a codec's impairments.
type Codec struct {
	Ie, Bpl     float64
	Provisional bool // nobody has agreed on the values: they are ours
}

// Of is the codec of a name such as PCMU/8000. G.711's values (G.113 Appendix I) are those of a receiver that conceals loss, as
// all but the simplest phones do. Of codecs without agreed values ours are provisional.
func Of(codec string) Codec {
	name, _, _ := strings.Cut(codec, "/")
	switch strings.ToUpper(name) {
	case "PCMU", "PCMA":
		return Codec{Ie: 0, Bpl: 25.1}
	case "G729":
		return Codec{Ie: 11, Bpl: 19}
	}
	return Codec{Ie: 0, Bpl: 20, Provisional: true}
}

// Buffer is the delay in ms of a jitter buffer that a receiver would need for packets of ptime ms and that jitter in ms: a
// model, since the receiver doesn't tell. A packet time at least, 200 ms at most.
func Buffer(ptime, jitter float64) float64 {
	return min(200, max(ptime, math.Ceil(2*jitter)))
}
