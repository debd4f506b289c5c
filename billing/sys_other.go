//go:build !linux

package billing

import (
	"os"
	"syscall"
)

// preallocate does nothing here: a full disk is then noticed by the write itself.
func preallocate(*os.File, int64) error { return nil }

func datasync(f *os.File) error { return f.Sync() }

func dieWithParent(*syscall.SysProcAttr) {}

// extend allocates the file's first n bytes.
func extend(f *os.File, n int64) error { return fill(f, n) }
