package main

import (
	"fmt"
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
)

// sound is what a leg was like, in a line: as it came from the party, and as the party heard us.
func sound(l *call.Leg) string {
	var parts []string
	if b := l.In; b != nil {
		parts = append(parts, "from it "+bucket(b))
	}
	if b := l.Out; b != nil && b.MOS() != nil {
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
	return s
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
