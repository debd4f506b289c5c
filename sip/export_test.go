package sip

import "time"

// ShortSessions makes the sessions of a user agent shorter than RFC 4028 allows.
func ShortSessions(u *UA, d time.Duration) { u.cfg.Session = SessionTimer{Interval: d, Min: d} }
