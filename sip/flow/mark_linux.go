package flow

import "syscall"

// mark sets the DSCP of both families where the socket has both.
func mark(fd uintptr, six bool, dscp int) error {
	if six {
		if err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, dscp<<2); err != nil {
			return err
		}
	}
	if err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS, dscp<<2); err != nil && !six {
		return err
	}
	return nil
}
