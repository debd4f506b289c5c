//go:build e2e

package e2e

import (
	"math"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
)

// What the stories hold a call's audio to.
const (
	levelWithin = 1.0                   // dB from the reference chain
	crosstalk   = 40.0                  // dB that a phone's own tone is down in what it hears
	gapMost     = 60 * time.Millisecond // longest silence in a tone
	measured    = 5.0                   // seconds
	toneLevel   = -10.0                 // dBFS
)

// heard judges what a phone heard: the tone of hz, like the same file through
// a bare chain of laws, without its own tone and without a gap.
func heard(t *testing.T, who string, clip audio.Clip, hz, own float64, laws ...audio.Law) {
	t.Helper()
	from, ok := audio.Find(clip, hz, measured)
	if !ok {
		t.Errorf("%s: no %g s of %g Hz in %.1f s heard (%.1f dBFS of it, %.1f dBFS in all)", who, measured, hz, clip.Seconds(), audio.Level(clip, hz), audio.RMS(clip))
		return
	}
	part := clip.Cut(from, measured)
	reference := audio.Reference(audio.Tone(8000, hz, toneLevel, measured), laws...)
	got, want := audio.Level(part, hz), audio.Level(reference, hz)
	down := got - audio.Level(part, own)
	gap := audio.LongestGap(part, hz)
	t.Logf("%s: %g Hz at %.2f dBFS (reference %.2f), %g Hz %.1f dB down, longest gap %v", who, hz, got, want, own, down, gap)
	if math.Abs(got-want) > levelWithin {
		t.Errorf("%s: %g Hz at %.2f dBFS, expected %.2f ± %g", who, hz, got, want, levelWithin)
	}
	if down < crosstalk {
		t.Errorf("%s: own tone of %g Hz is %.1f dB down, expected %g or more", who, own, down, crosstalk)
	}
	if gap > gapMost {
		t.Errorf("%s: a gap of %v, expected %v at most", who, gap, gapMost)
	}
}

// arrived judges the packets that reached a phone in [from, to): none lost, and what a phone
// with a jitter buffer plays has the tone without a gap. It sees the time that recordings don't.
// Nothing that the sender did is held against Patchbay: said takes the packets that the sender of the tone
// sent into Patchbay (or, without one, to the phone itself), and each counts as late as it became on the way.
func arrived(t *testing.T, who *peers.Baresip, c *peers.Capture, said func(peers.Packet) bool, from, to time.Time, hz, own float64, laws ...audio.Law) {
	t.Helper()
	s, ok := reached(t, who, c, from, to)
	if !ok {
		return
	}
	sent := peers.Streams(c.Packets(), func(p peers.Packet) bool {
		// What arrived right after from may have been sent right before.
		return said(p) && !p.At.Before(from.Add(-time.Second)) && p.At.Before(to)
	})
	if len(sent) == 0 {
		t.Errorf("%s: nobody sent the RTP that came", who.User)
		return
	}
	even, added := s.Behind(sent[0])
	t.Logf("%s: %d packets, longest pause %v, the sender's %v; longest delay on the way %v", who.User, len(s.Packets), s.Pause(), sent[0].Between(from, to).Pause(), added)
	heard(t, who.User+" (packets)", even.Clip(), hz, own, laws...)
}

// reached is the longest stream that reached a phone in [from, to), none of it lost.
func reached(t *testing.T, who *peers.Baresip, c *peers.Capture, from, to time.Time) (peers.Stream, bool) {
	t.Helper()
	streams := peers.Streams(c.Packets(), func(p peers.Packet) bool {
		return who.Hears(p) && !p.At.Before(from) && p.At.Before(to)
	})
	if len(streams) == 0 {
		t.Errorf("%s: no RTP came", who.User)
		return peers.Stream{}, false
	}
	s := streams[0]
	if n := s.Lost(); n > 0 {
		t.Errorf("%s: %d of %d packets lost on the way", who.User, n, len(s.Packets)+n)
	}
	return s, true
}
