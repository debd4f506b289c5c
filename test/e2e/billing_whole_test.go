//go:build e2e && billing

package e2e

import "time"

// The story of records, whole.
const (
	logFor    = 2 * time.Minute  // of calls whose records are held against SIPp's log
	logQuiet  = 15 * time.Second // before Postgres goes away
	logAway   = 30 * time.Second
	logSlow   = 30 * time.Second
	killTimes = 10
)
