package peers

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Packet is one UDP datagram seen on the loopback interface.
type Packet struct {
	At       time.Time // the kernel's
	Src, Dst netip.AddrPort
	Data     []byte
}

// Capture records all UDP datagrams of the test's namespace.
type Capture struct {
	file string
	fd   int
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	packets []Packet
	raw     [][]byte // the IP packets, for the pcap file
	bytes   int
	failed  error
}

// captureMost bounds a capture's memory; a call of both directions is 40 kB a second.
const captureMost = 256 << 20

// StartCapture begins to record. The packets are also written to capture.pcap
// in the test's folder when the capture stops (at the latest with the test).
func StartCapture(t testing.TB) *Capture {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IP)))
	if err != nil {
		t.Fatalf("peers: capture: %v", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	tv := unix.NsecToTimeval((50 * time.Millisecond).Nanoseconds())
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	if err != nil {
		t.Fatalf("peers: capture: %v", err)
	}
	c := &Capture{file: filepath.Join(Folder(t), "capture.pcap"), fd: fd, stop: make(chan struct{})}
	c.done.Go(c.read)
	t.Cleanup(func() { c.Stop(t) })
	return c
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (c *Capture) read() {
	b, oob := make([]byte, 64<<10), make([]byte, 256)
	for {
		n, oobn, _, from, err := unix.Recvmsg(c.fd, b, oob, 0)
		select {
		case <-c.stop:
			return
		default:
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			c.fail(err)
			return
		}
		// Loopback shows each packet twice: on its way out, and in.
		if ll, ok := from.(*unix.SockaddrLinklayer); !ok || ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		c.take(b[:n], stamp(oob[:oobn]))
	}
}

func stamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

func (c *Capture) take(ip []byte, at time.Time) {
	p, ok := parseUDP(ip)
	if !ok {
		return
	}
	p.At = at
	raw := append([]byte(nil), ip...)
	p.Data = raw[len(raw)-len(p.Data):]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes += len(raw) + 100; c.bytes > captureMost {
		if c.failed == nil {
			c.failed = errors.New("more than 256 MiB captured")
		}
		return
	}
	c.packets = append(c.packets, p)
	c.raw = append(c.raw, raw)
}

// parseUDP reads an unfragmented IPv4 packet.
func parseUDP(ip []byte) (p Packet, ok bool) {
	if len(ip) < 20 || ip[0]>>4 != 4 || ip[9] != unix.IPPROTO_UDP {
		return p, false
	}
	head, size := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if head < 20 || size > len(ip) || size < head+8 || binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return p, false
	}
	udp := ip[head:size]
	p.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(udp))
	p.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), binary.BigEndian.Uint16(udp[2:]))
	p.Data = udp[8:]
	return p, size == len(ip)
}

func (c *Capture) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
}

// Stop ends the capture; twice is as good as once. The test fails if packets
// were lost, since no gap that it finds could be believed.
func (c *Capture) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-c.stop:
		return
	default:
	}
	// What was sent before this call shall be in the capture.
	time.Sleep(20 * time.Millisecond)
	close(c.stop)
	c.done.Wait()
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	_ = unix.Close(c.fd)
	switch {
	case err != nil:
		t.Errorf("peers: capture: statistics: %v", err)
	case stats.Drops > 0:
		t.Errorf("peers: capture: the kernel dropped %d of %d packets", stats.Drops, stats.Packets)
	case c.failed != nil:
		t.Errorf("peers: capture: %v", c.failed)
	}
	if err := c.save(); err != nil && !errors.Is(err, syscall.ENOENT) {
		t.Errorf("peers: capture: %v", err)
	}
}

// save writes a classic pcap file of raw IP packets.
func (c *Capture) save() error {
	b := make([]byte, 0, c.bytes+24)
	for _, v := range []uint32{0xa1b23c4d, 2 | 4<<16, 0, 0, 65535, 101} { // nanoseconds, 2.4, raw IP
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	for i, ip := range c.raw {
		at := c.packets[i].At
		for _, v := range []uint32{uint32(at.Unix()), uint32(at.Nanosecond()), uint32(len(ip)), uint32(len(ip))} {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		b = append(b, ip...)
	}
	return os.WriteFile(c.file, b, 0o644)
}

// Packets is what was captured so far.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Packet(nil), c.packets...)
}

// Await waits for a packet that match takes, among those captured after the call, and returns it.
func (c *Capture) Await(t testing.TB, timeout time.Duration, what string, match func(Packet) bool) Packet {
	t.Helper()
	c.mu.Lock()
	seen := len(c.packets)
	c.mu.Unlock()
	p, ok := c.await(timeout, seen, match)
	if !ok {
		t.Fatalf("peers: capture: no %s in %v", what, timeout)
	}
	return p
}

// await looks at each packet from the given one on once.
func (c *Capture) await(timeout time.Duration, seen int, match func(Packet) bool) (Packet, bool) {
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c.mu.Lock()
		news := c.packets[seen:len(c.packets):len(c.packets)]
		seen = len(c.packets)
		c.mu.Unlock()
		for _, p := range news {
			if match(p) {
				return p, true
			}
		}
	}
	return Packet{}, false
}

// Find waits like Await, but among all that was captured, and doesn't fail the test.
func (c *Capture) Find(timeout time.Duration, match func(Packet) bool) (Packet, bool) {
	return c.await(timeout, 0, match)
}
