package mix

import (
	"math"
	"time"
)

// Levels are in dB below full scale.
const (
	hush      = -70.0 // nothing below is a voice
	loud      = -50.0 // whatever is above is one, how steady it may be
	above     = 6.0   // a voice is so much above the noise
	rises     = 0.05  // the noise, in a tick, at most
	hangover  = 15    // ticks that a voice goes on after its last sound: ends of words
	smoothing = 0.2   // of the level that speakers are compared by
	louder    = 3.0   // dB by which another has to be, to be the active speaker
)

// voice tells speech from noise: by energy against a floor that follows the noise.
type voice struct {
	floor float64 // dB
	level float64 // of the last ticks
	left  int     // of the hangover
}

func newVoice() voice { return voice{floor: loud, level: -100} }

// hear takes the samples of a tick, and reports whether somebody speaks.
func (v *voice) hear(x []int16) bool {
	now := decibels(x)
	v.level += smoothing * (now - v.level)
	if now < v.floor {
		v.floor += (now - v.floor) / 2
	} else {
		v.floor = min(v.floor+rises, loud)
	}
	if now > max(hush, min(v.floor+above, loud)) {
		v.left = hangover
		return true
	}
	v.left = max(v.left-1, 0)
	return v.left > 0
}

// quiet is hear for a tick without any sound.
func (v *voice) quiet() bool {
	v.level += smoothing * (-100 - v.level)
	v.left = max(v.left-1, 0)
	return false
}

func decibels(x []int16) float64 {
	var sum int64
	for _, s := range x {
		sum += int64(s) * int64(s)
	}
	if sum == 0 {
		return -100
	}
	return max(10*math.Log10(float64(sum)/float64(len(x))/(1<<30)), -100)
}

const (
	// takesOver is how long somebody is louder than the active speaker before he is it.
	takesOver = int(300 * time.Millisecond / tick)
	// givesUp is how long the active speaker may be silent while another speaks.
	givesUp = int(100 * time.Millisecond / tick)
)

// floorHolder finds out who speaks: one who is louder than all others for a while, and stays it until another is.
type floorHolder struct {
	active *Port
	rival  *Port
	since  int
}

// next looks at those who speak, and reports whether the active speaker is another now. Nobody's silence changes that.
func (h *floorHolder) next(ports []*Port) bool {
	var top *Port
	for _, p := range ports {
		if p.speaks && (top == nil || p.voice.level > top.voice.level) {
			top = p
		}
	}
	if top == nil || top == h.active || h.active != nil && h.active.speaks && top.voice.level < h.active.voice.level+louder {
		h.rival, h.since = nil, 0
		return false
	}
	if h.rival != top {
		h.rival, h.since = top, 0
	}
	h.since++
	wait := takesOver
	if h.active == nil || !h.active.speaks {
		wait = givesUp
	}
	if h.since < wait {
		return false
	}
	h.active, h.rival, h.since = top, nil, 0
	return true
}
