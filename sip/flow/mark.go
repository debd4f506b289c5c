package flow

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Mark has what the socket sends carry a DSCP (RFC 2474), 0 to 63; 0 leaves it as it is.
func (u *UDP) Mark(dscp int) error { return markSocket(u.conn, u.local.Addr(), dscp) }

// Mark has what accepted connections send carry a DSCP, 0 to 63, from now on; 0 leaves it as it is.
func (t *TCP) Mark(dscp int) error {
	c, ok := t.ln.(syscall.Conn)
	if !ok {
		return fmt.Errorf("flow: %T has no socket that could be marked", t.ln)
	}
	return markSocket(c, t.local.Addr(), dscp) // whoever is accepted inherits it
}

func markSocket(c syscall.Conn, at netip.Addr, dscp int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("flow: mark %s: %w", at, err)
	}
	if err := control(raw, at.Is6(), dscp); err != nil {
		return fmt.Errorf("flow: mark %s with DSCP %d: %w", at, dscp, err)
	}
	return nil
}

func control(raw syscall.RawConn, six bool, dscp int) error {
	if dscp == 0 {
		return nil
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = mark(fd, six, dscp) }); err != nil {
		return err
	}
	return failed
}

// marking is a net.Dialer's Control: the first packet is marked as all that follow.
func marking(dscp int) func(network, address string, raw syscall.RawConn) error {
	if dscp == 0 {
		return nil
	}
	return func(_, address string, raw syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		a, err := netip.ParseAddr(host)
		return control(raw, err == nil && a.Is6(), dscp)
	}
}
