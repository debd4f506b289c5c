package sip

import "time"

// ShortSession is a session timer that is shorter than RFC 4028 allows.
func ShortSession(d time.Duration) SessionTimer {
	return SessionTimer{Interval: d, Min: d, hasty: true}
}
