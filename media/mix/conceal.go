package mix

import "time"

// concealer makes up what is missing of a voice: it repeats the last period of its pitch, fading out over 60 ms, as
// ITU-T G.711 Appendix I does.
type concealer struct {
	rate int
	past []int16 // what was played last, at the end the newest: 45 ms

	lag    int // the period that is repeated; 0: nothing is missing now
	made   int // samples made up so far
	mended []int16
}

const (
	longestPeriod  = 15 * time.Millisecond
	shortestPeriod = 2500 * time.Microsecond
	holds          = 10 * time.Millisecond // as loud as before
	fades          = 50 * time.Millisecond // and down to nothing
)

func (c *concealer) setRate(rate int) {
	*c = concealer{rate: rate, past: make([]int16, 3*c.of(longestPeriod, rate)), mended: make([]int16, rate/400)}
	c.lag, c.made = 1, c.of(holds+fades, rate) // nothing was: it has faded out
}

func (*concealer) of(d time.Duration, rate int) int {
	return int(int64(d) * int64(rate) / int64(time.Second))
}

// played notes what was.
func (c *concealer) played(x []int16) {
	if len(x) >= len(c.past) {
		copy(c.past, x[len(x)-len(c.past):])
		return
	}
	copy(c.past, c.past[len(x):])
	copy(c.past[len(c.past)-len(x):], x)
}

// period finds the pitch of what was played last, in samples, by its correlation with itself. Ten milliseconds at most, so that
// two fit into a tick.
func (c *concealer) period() int { return c.pitch(10 * time.Millisecond) }

func (c *concealer) pitch(most time.Duration) int {
	shortest, longest := c.of(shortestPeriod, c.rate), c.of(most, c.rate)
	step := max(c.rate/8000, 1) // a voice's pitch is found at 8 kHz, and then to the sample
	lag := c.best(shortest, longest, step, c.rate/100)
	if step > 1 {
		lag = c.best(max(lag-step, shortest), min(lag+step, longest), 1, lag)
	}
	return lag
}

// best is the lag, of those between two, at which the newest samples are most like what was before them.
func (c *concealer) best(from, to, step, lag int) int {
	x := c.past
	most := 0.0
	for l := from; l <= to; l += step {
		var cross, power int64
		for i := len(x) - len(x)/3; i < len(x); i += step {
			cross += int64(x[i]) * int64(x[i-l])
			power += int64(x[i-l]) * int64(x[i-l])
		}
		if cross <= 0 || power == 0 {
			continue
		}
		// The square of the normalised correlation, but for the power of what all lags are compared with.
		if score := float64(cross) * float64(cross) / float64(power); score > most {
			most, lag = score, l
		}
	}
	return lag
}

// fill makes up samples that are missing, and reports false once it has faded out.
func (c *concealer) fill(dst []int16) bool {
	if c.lag == 0 {
		c.lag, c.made = c.pitch(longestPeriod), 0
	}
	hold, fade := c.of(holds, c.rate), c.of(fades, c.rate)
	if c.made >= hold+fade {
		clear(dst)
		return false
	}
	for i := range dst {
		dst[i] = c.next(i, hold, fade)
	}
	c.made += len(dst)
	return true
}

// next is the sample i after what was played. What is repeated may have been made up too, and be fainter already.
func (c *concealer) next(i, hold, fade int) int16 {
	at := i % c.lag
	x := int(c.past[len(c.past)-c.lag+at])
	before, now := c.gain(c.made+at-c.lag, hold, fade), c.gain(c.made+i, hold, fade)
	if before == 0 {
		return 0
	}
	return int16(x * now / before)
}

// gain is how loud the sample is that is made up after so many others, of 1024.
func (*concealer) gain(made, hold, fade int) int {
	switch {
	case made <= hold:
		return 1024
	case made >= hold+fade:
		return 0
	}
	return 1024 - 1024*(made-hold)/fade
}

// mend has what is there again begin where what was made up ends, over 2.5 ms.
func (c *concealer) mend(dst []int16) {
	if c.lag == 0 {
		return
	}
	n := min(len(dst), len(c.mended))
	hold, fadeOut := c.of(holds, c.rate), c.of(fades, c.rate)
	for i := range n {
		c.mended[i] = c.next(i, hold, fadeOut)
	}
	fade(dst[:n], c.mended[:n], dst[:n])
	c.lag = 0
}

// fade goes from a to b.
func fade(dst, a, b []int16) {
	n := len(dst)
	for i := range dst {
		dst[i] = int16((int(a[i])*(n-i) + int(b[i])*i) / n)
	}
}
