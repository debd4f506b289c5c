package rtpstream

import "math"

const (
	driftWindow  = int64(4e9) // ns: of the packets of so much time the one that the way delayed least tells the clocks' difference
	driftWindows = 5          // so many at least
	driftDoubt   = 20         // ppm: what is less certain isn't told
)

// drift compares a peer's clock with ours. How much later than its timestamp a packet comes is the way's delay, which varies, and the
// difference of the clocks, which grows: a line through the least of each window has it as its slope. The zero value is ready; a sample is
// taken of few packets.
type drift struct {
	begun   bool
	ts      uint32 // of the latest sample
	at      int64
	late    float64 // ns that it came later than its timestamp says, counted from the first
	origin  int64
	opened  int64 // the window
	least   float64
	leastAt int64
	n       float64
	x, y    float64 // sums over the windows, of s and ns
	xx, xy  float64
	yy      float64
}

// add takes a packet of a timestamp, at a clock rate in Hz, that came at a time.
func (d *drift) add(ts, clock uint32, now int64) {
	if !d.begun {
		*d = drift{begun: true, ts: ts, at: now, origin: now, opened: now, leastAt: now}
		return
	}
	d.late += float64(now-d.at) - float64(int32(ts-d.ts))*(1e9/float64(clock))
	d.ts, d.at = ts, now
	if now-d.opened >= driftWindow {
		d.close()
		d.opened, d.least, d.leastAt = now, d.late, now
	}
	if d.late < d.least {
		d.least, d.leastAt = d.late, now
	}
}

// close adds the window's least to the line.
func (d *drift) close() {
	x, y := float64(d.leastAt-d.origin)/1e9, d.least
	d.n++
	d.x, d.y, d.xx, d.xy, d.yy = d.x+x, d.y+y, d.xx+x*x, d.xy+x*y, d.yy+y*y
}

// ppm is how much faster than ours the peer's clock runs, in millionths; false while that isn't certain.
func (d *drift) ppm() (float64, bool) {
	if d.n < driftWindows {
		return 0, false
	}
	xx, xy, yy := d.xx-d.x*d.x/d.n, d.xy-d.x*d.y/d.n, d.yy-d.y*d.y/d.n
	if xx <= 0 {
		return 0, false
	}
	slope := xy / xx // ns in a second
	doubt := math.Sqrt(max(0, yy-slope*xy) / (d.n - 2) / xx)
	if doubt/1e3 > driftDoubt {
		return 0, false
	}
	return -slope / 1e3, true // packets of a fast clock come ever earlier
}
