package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Addr is passed to the kernel as it is.
var _ = [1]struct{}{}[(familyV4-unix.AF_INET)|(familyV6-unix.AF_INET6)|(sizeV4-unix.SizeofSockaddrInet4)|(sizeV6-unix.SizeofSockaddrInet6)]

// The calls below are raw: none of them can block, so the scheduler needn't be
// prepared for it, which would cost more than some of them do.

func epollWait(ep int, events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// recvfrom gives the datagram's true length, which is more than len(p) if it
// was cut.
func recvfrom(fd int, p []byte, from *Addr) (int, syscall.Errno) {
	size := uint32(sizeV6)
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, uintptr(unsafe.Pointer(&from.sa)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0, errno
	}
	from.size = size
	if size == sizeV4 { // what an IPv6 socket's peer may have left behind
		*(*[sizeV6 - sizeV4]byte)(from.sa[sizeV4:]) = [sizeV6 - sizeV4]byte{}
	}
	return int(n), 0
}

// sendto is the whole of sending on a loop's socket.
func (s *Socket) sendto(p []byte, to *Addr) error {
	if s.many {
		return s.vectors.send(s, p, to)
	}
	return s.sendNow(p, to)
}

func (s *Socket) sendNow(p []byte, to *Addr) error {
	if s.dual && to.size == sizeV4 {
		m := to.mapped()
		return sendErr(rawSendto(int(s.fd), p, &m))
	}
	return sendErr(rawSendto(int(s.fd), p, to))
}

// marked is a control message that sets the DSCP of one datagram (ip(7), ipv6(7)).
type marked struct {
	header unix.Cmsghdr
	tos    int32
	_      int32
}

// sendMarked sends a datagram with a DSCP of its own.
func (s *Socket) sendMarked(p []byte, to *Addr, dscp int) error {
	if len(p) == 0 {
		return s.sendto(p, to)
	}
	m := *to
	c := marked{tos: int32(max(dscp, 0) << 2)}
	c.header.Level, c.header.Type = unix.IPPROTO_IP, unix.IP_TOS
	if !to.Is4() {
		c.header.Level, c.header.Type = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	if s.dual && to.Is4() {
		m = to.mapped()
	}
	c.header.SetLen(unix.CmsgLen(4))
	v := unix.Iovec{Base: unsafe.SliceData(p)}
	v.SetLen(len(p))
	h := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&m.sa)), Namelen: m.size, Iov: &v, Control: (*byte)(unsafe.Pointer(&c))}
	h.SetIovlen(1)
	h.SetControllen(unix.CmsgSpace(4))
	for try := 0; ; try++ {
		_, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno == unix.ECONNREFUSED && try == 0 {
			continue // as in rawSendto
		}
		return sendErr(errno)
	}
}

func rawSendto(fd int, p []byte, to *Addr) syscall.Errno {
	for try := 0; ; try++ {
		_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&to.sa)), uintptr(to.size))
		if errno == unix.ECONNREFUSED && try == 0 {
			continue // an earlier datagram's ICMP error; this one hasn't been tried yet
		}
		return errno
	}
}

func sendErr(errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.EAGAIN, unix.ENOBUFS:
		return ErrFull
	}
	return errno
}

// expirations is how often the timer fired since it was last asked.
func expirations(timer int) int {
	var b [8]byte
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(timer), uintptr(unsafe.Pointer(&b)), uintptr(len(b)))
	if errno != 0 || n != uintptr(len(b)) {
		return 0
	}
	return int(min(binary.NativeEndian.Uint64(b[:]), phases))
}

// kernelDrops is how many datagrams found the receive buffer full. The caller
// holds a use of the descriptor.
func (s *Socket) kernelDrops() uint64 {
	if s.stream != nil {
		return 0
	}
	var info [9]uint32 // enum sk_meminfo of linux/sock_diag.h
	const drops = 8
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < 4*(drops+1) {
		return 0
	}
	return uint64(info[drops])
}

func (s *Socket) closeFD() {
	if s.many {
		s.net.unshare(s)
	}
	if err := unix.Close(int(s.fd)); err != nil {
		s.net.cfg.Log.Error("close socket", "addr", s.local, "err", err)
	}
}

// open makes a bound, non-blocking socket and says where it is bound.
func open(cfg *Config, local netip.AddrPort) (fd int, bound netip.AddrPort, err error) {
	family := unix.AF_INET
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, bound, fmt.Errorf("socket: %w", err)
	}
	if err := prepare(fd, family, cfg, local); err != nil {
		return -1, bound, errors.Join(err, unix.Close(fd))
	}
	if local.Port() != 0 {
		return fd, local, nil
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return -1, bound, errors.Join(fmt.Errorf("getsockname: %w", err), unix.Close(fd))
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		bound = netip.AddrPortFrom(local.Addr(), uint16(sa.Port))
	case *unix.SockaddrInet6:
		bound = netip.AddrPortFrom(local.Addr(), uint16(sa.Port))
	}
	return fd, bound, nil
}

func prepare(fd, family int, cfg *Config, local netip.AddrPort) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, cfg.ReadBuffer); err != nil {
		return fmt.Errorf("set SO_RCVBUF to %d: %w", cfg.ReadBuffer, err)
	}
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(local.Port())}
	if family == unix.AF_INET6 {
		only := 1
		if local.Addr().IsUnspecified() && !cfg.V6Only {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return fmt.Errorf("set IPV6_V6ONLY to %d: %w", only, err)
		}
		sa = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16(), ZoneId: scope(local.Addr().Zone())}
	} else {
		sa.(*unix.SockaddrInet4).Addr = local.Addr().As4()
	}
	if err := mark(fd, family, cfg.DSCP); err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// mark sets the DSCP of what is sent; an IPv6 socket may send IPv4 too.
func mark(fd, family, dscp int) error {
	if dscp == 0 {
		return nil
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, dscp<<2); err != nil {
			return fmt.Errorf("set IPV6_TCLASS to %d: %w", dscp<<2, err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, dscp<<2); err != nil && family == unix.AF_INET {
		return fmt.Errorf("set IP_TOS to %d: %w", dscp<<2, err)
	}
	return nil
}
