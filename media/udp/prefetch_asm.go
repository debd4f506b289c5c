//go:build amd64 || arm64

package udp

import "unsafe"

//go:noescape
func prefetch(p unsafe.Pointer, lines int)
