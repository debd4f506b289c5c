package flow

import (
	"net"
	"syscall"
)

// forceReadBuffer asks for a larger receive buffer than the system grants anybody, which a process with CAP_NET_ADMIN may: a burst
// that doesn't fit takes the datagrams of those who sent nothing amiss with it. Otherwise what SetReadBuffer got stands.
func forceReadBuffer(conn *net.UDPConn, size int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, size)
	})
}
