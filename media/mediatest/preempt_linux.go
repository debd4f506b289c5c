package mediatest

import "syscall"

// preemptions counts how often the kernel has taken this thread's processor away. A thread that waits gives it up by
// itself, which isn't counted.
func preemptions() int64 {
	const thread = 1 // RUSAGE_THREAD, getrusage(2)
	var u syscall.Rusage
	if syscall.Getrusage(thread, &u) != nil {
		return 0
	}
	return int64(u.Nivcsw)
}
