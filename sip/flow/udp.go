package flow

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// readBuffer is asked of the kernel for a UDP socket, so that a burst of calls isn't lost.
const readBuffer = 4 << 20

// UDP is one UDP socket and its reader. What it sends leaves from the port it listens on (RFC 3581).
type UDP struct {
	conn   *net.UDPConn
	local  netip.AddrPort
	closed atomic.Bool
	once   sync.Once
	reader sync.WaitGroup

	mu    sync.Mutex
	flows map[netip.AddrPort]*Flow // that were asked for lately
}

// manyFlows bounds those that are remembered; strangers' addresses cost nothing, and whose flow is forgotten gets another.
const manyFlows = 1024

// ListenUDP opens a socket and starts to read. Port 0 takes a free port.
func ListenUDP(addr netip.AddrPort, h Handler, lim Limits) (*UDP, error) {
	conn, err := net.ListenUDP(network("udp", addr.Addr()), net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("flow: listen on udp %s: %w", addr, err)
	}
	// The kernel may grant less; what it grants is what we get.
	conn.SetReadBuffer(readBuffer)
	forceReadBuffer(conn, readBuffer)
	conn.SetWriteBuffer(readBuffer)
	u := &UDP{conn: conn, local: conn.LocalAddr().(*net.UDPAddr).AddrPort(), flows: map[netip.AddrPort]*Flow{}}
	u.local = netip.AddrPortFrom(u.local.Addr().Unmap(), u.local.Port())
	u.reader.Go(func() { u.read(h, lim) })
	return u, nil
}

// network keeps an IPv4 socket IPv4: "udp" alone with 0.0.0.0 would open a socket of both families.
func network(base string, a netip.Addr) string {
	if a.Unmap().Is4() {
		return base + "4"
	}
	return base
}

// Addr is the address as bound.
func (u *UDP) Addr() netip.AddrPort { return u.local }

// Flow is the way to a peer from this socket.
func (u *UDP) Flow(remote netip.AddrPort) *Flow {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.flows[remote]
	if f == nil {
		if len(u.flows) >= manyFlows {
			clear(u.flows)
		}
		f = &Flow{network: "udp", local: u.local, remote: remote, udp: u}
		u.flows[remote] = f
	}
	return f
}

// Close closes the socket and awaits the reader.
func (u *UDP) Close() error {
	var err error
	u.once.Do(func() {
		u.closed.Store(true)
		err = u.conn.Close()
	})
	u.reader.Wait()
	return err
}

func (u *UDP) send(b []byte, to netip.AddrPort) error {
	if _, err := u.conn.WriteToUDPAddrPort(b, to); err != nil {
		return fmt.Errorf("flow: send %d bytes to udp %s: %w", len(b), to, err)
	}
	return nil
}

func (u *UDP) read(h Handler, lim Limits) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			h.Dropped(DropReadError)
			time.Sleep(10 * time.Millisecond) // an error that stays must not spin
			continue
		}
		data := trimLines(buf[:n])
		switch {
		case len(data) == 0: // keepalive
		case len(data) < 16:
			h.Dropped(DropShort)
		case len(data) > lim.MessageBytes:
			h.Message(u.Flow(from), data[:lim.MessageBytes], ErrTooLarge)
		default:
			h.Message(u.Flow(from), data, nil)
		}
	}
}

// trimLines takes the line ends off the front (RFC 3261 7.5), and a datagram of nothing but line ends and NULs,
// as keepalives are, becomes empty.
func trimLines(b []byte) []byte {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n' || b[0] == 0) {
		b = b[1:]
	}
	return b
}
