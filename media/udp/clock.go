package udp

import "time"

// started is the zero of Now, set back a second so that Now is never 0 and 0
// can mean "never".
var started = time.Now().Add(-time.Second)

// Now is the monotonic clock in nanoseconds, always positive and never set
// back. It counts from an arbitrary moment and is only good for differences.
func Now() int64 { return int64(time.Since(started)) }
