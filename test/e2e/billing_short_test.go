//go:build e2e && !billing

package e2e

import "time"

// How long the story of records is among all others; by name (T=billing) it is told whole.
const (
	logFor    = 11 * time.Second // of calls whose records are held against SIPp's log
	logQuiet  = 1 * time.Second  // before Postgres goes away
	logAway   = 3 * time.Second
	logSlow   = 3 * time.Second
	killTimes = 2
)
