//go:build !linux

package mediatest

func preemptions() int64 { return 0 }
