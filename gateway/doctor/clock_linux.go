package doctor

import "syscall"

// timeError is adjtimex's word for a clock that nobody keeps (TIME_ERROR).
const timeError = 5

// Synchronised tells whether the system's clock is kept right, by NTP or the like; known is false where that can't be told.
func Synchronised() (synced, known bool) {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	return err == nil && state != timeError, err == nil
}
