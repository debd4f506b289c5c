package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
)

// sound is what a leg was like, in a line: as it came from the party, and as the party heard us.
func sound(l *call.Leg) string {
	var parts []string
	if b := l.In; b != nil {
		parts = append(parts, "from it "+bucket(b))
	}
	if b := l.Out; b != nil && (b.MOS() != nil || b.XR != nil) {
		parts = append(parts, "to it "+bucket(b))
	}
	return strings.Join(parts, "; ")
}

// bucket is one in words.
func bucket(b *call.Bucket) string {
	mos := b.MOS()
	if mos == nil {
		if b.OneWay {
			return "nothing, though it was sent media: one-way"
		}
		if text := own(b.XR); text != "" {
			return text
		}
		return "nothing to rate"
	}
	s := fmt.Sprintf("MOS %.2f", *mos)
	if b.MOSCQ == nil {
		s += " (listening: no round trip is known)"
	}
	if b.Ppl != nil {
		s += fmt.Sprintf(", loss %.1f %%", *b.Ppl)
	}
	if b.BurstR != nil && *b.BurstR >= 1.5 {
		s += fmt.Sprintf(" in bursts (%.1f)", *b.BurstR)
	}
	switch {
	case b.JitterAvg != nil && b.JitterP95 != nil:
		s += fmt.Sprintf(", jitter %.1f ms (p95 %.1f)", *b.JitterAvg, *b.JitterP95)
	case b.Jitter != nil:
		s += fmt.Sprintf(", jitter %.1f ms", *b.Jitter)
	}
	if b.Provisional {
		s += ", provisional"
	}
	if b.Silence != nil && *b.Silence > 0 {
		s += fmt.Sprintf(", %.1f s of silence left out", float64(*b.Silence)/1000)
	}
	if b.Skew != nil && math.Abs(*b.Skew) >= notableSkew {
		s += fmt.Sprintf(", its clock %+.0f ppm against ours", *b.Skew)
	}
	if text := own(b.XR); text != "" {
		s += ", " + text
	}
	return s
}

// notableSkew in ppm is more than clocks of quartz differ.
const notableSkew = 200

// own is what the party says itself of what it was sent, "" if nothing.
func own(x *call.XR) string {
	if x == nil {
		return ""
	}
	var parts []string
	if mos := x.MOS(); mos != nil {
		parts = append(parts, fmt.Sprintf("MOS %.1f", *mos))
	}
	if x.Loss != nil {
		parts = append(parts, fmt.Sprintf("loss %.1f %%", *x.Loss))
	}
	if x.Discard != nil && *x.Discard > 0 {
		parts = append(parts, fmt.Sprintf("%.1f %% too late to be played", *x.Discard))
	}
	if len(parts) == 0 {
		return ""
	}
	return "by its own account " + strings.Join(parts, ", ")
}

// scores are a call's, "" if nothing was measured.
func scores(c *call.Call) string {
	if c.MOSAvg == nil || c.MOSMin == nil {
		return ""
	}
	return fmt.Sprintf("%.2f, at worst %.2f in ten seconds", *c.MOSAvg, *c.MOSMin)
}

// suspicions are what somebody should look at.
func suspicions(c *call.Call) string {
	var list []string
	if c.OneWay {
		list = append(list, "one party was never heard (one-way)")
	}
	if c.FASSuspect {
		list = append(list, "no media within 2 s of the answer (false answer supervision)")
	}
	return strings.Join(list, ", ")
}
