package udp

import "time"

// started is the zero of Now: the machine's start where the system tells it, so
// that times of two processes of one machine can be compared; a second before
// this process began elsewhere. So Now is never 0, and 0 can mean "never".
var started = time.Now().Add(-sinceBoot())

// Now is the monotonic clock in nanoseconds, always positive and never set
// back: CLOCK_MONOTONIC on Linux. It is only good for differences.
func Now() int64 { return int64(time.Since(started)) }
