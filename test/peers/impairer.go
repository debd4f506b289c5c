package peers

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Impairer stands between clients and a server's UDP port as a NAT does: to the server each client is a port of the
// impairer's. Move gives all of them others, as when a phone leaves a WLAN or a NAT forgets.
type Impairer struct {
	Front netip.AddrPort // where clients send to

	server netip.AddrPort
	front  *net.UDPConn
	work   sync.WaitGroup

	lose  atomic.Uint32 // of a thousand packets
	delay atomic.Int64  // ns that clients' packets take at least
	shake atomic.Int64  // and at most beside that
	queue chan delayed
	neck  neck

	mu     sync.Mutex
	from   netip.Addr                      // of the sockets to come
	backs  map[netip.AddrPort]*net.UDPConn // by client
	closed bool
	log    []Passage
}

// Passage is what became of a packet that a client sent.
type Passage struct {
	Head []byte    // its first 12 bytes
	Left time.Time // for the server; zero: it was lost
}

// delayed is a packet on its way.
type delayed struct {
	due  time.Time
	to   *net.UDPConn
	data []byte
}

// StartImpairer forwards what comes to front to the server, and back, until the test ends. To the server it comes from
// ports of the address from.
func StartImpairer(t testing.TB, front, server netip.AddrPort, from netip.Addr) *Impairer {
	t.Helper()
	i := &Impairer{Front: front, server: server, from: from, backs: map[netip.AddrPort]*net.UDPConn{}, queue: make(chan delayed, 4096)}
	var err error
	if i.front, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(front)); err != nil {
		t.Fatalf("peers: impairer: %v", err)
	}
	i.work.Go(func() { i.forward(t) })
	i.work.Go(i.carry)
	i.neck.begin(i.front)
	t.Cleanup(i.close)
	return i
}

// Move drops the ports that clients had at the server and takes others, of the address from: at each client's next
// packet. What the server sends to the old ones is gone.
func (i *Impairer) Move(from netip.Addr) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.from = from
	for client, c := range i.backs {
		_ = c.Close()
		delete(i.backs, client)
	}
}

// Lose throws so many of a hundred packets away, in each direction; none at first.
func (i *Impairer) Lose(percent float64) { i.lose.Store(uint32(percent * 10)) }

// Delay lets clients' packets take so long, and up to shake more, each as chance has it; none overtakes another.
func (i *Impairer) Delay(least, shake time.Duration) {
	i.delay.Store(int64(least))
	i.shake.Store(int64(shake))
}

// Log is what became of the packets that clients sent; one that waits stands where it left.
func (i *Impairer) Log() []Passage {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Passage(nil), i.log...)
}

func (i *Impairer) note(p []byte, left time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.log = append(i.log, Passage{append([]byte(nil), p[:min(len(p), 12)]...), left})
}

// carry sends what was delayed.
func (i *Impairer) carry() {
	for d := range i.queue {
		time.Sleep(time.Until(d.due))
		left := time.Now()
		_, _ = d.to.Write(d.data)
		i.note(d.data, left)
	}
}

// pass sends a client's packet on, or lets it wait.
func (i *Impairer) pass(p []byte, to *net.UDPConn) {
	least, shake := i.delay.Load(), i.shake.Load()
	if i.loses() {
		i.note(p, time.Time{}) // a lost packet is a lost packet
		return
	}
	if least+shake == 0 {
		_, _ = to.Write(p)
		i.note(p, time.Now())
		return
	}
	due := time.Now().Add(time.Duration(least + rand.Int64N(shake+1)))
	i.queue <- delayed{due, to, append([]byte(nil), p...)}
}

func (i *Impairer) loses() bool { return rand.Uint32N(1000) < i.lose.Load() }

func (i *Impairer) close() {
	_ = i.front.Close()
	i.mu.Lock()
	i.closed = true
	for _, c := range i.backs {
		_ = c.Close()
	}
	i.mu.Unlock()
	i.work.Wait()
	i.neck.end()
}

// forward takes clients' packets to the server.
func (i *Impairer) forward(t testing.TB) {
	defer close(i.queue)
	b := make([]byte, 64<<10)
	for {
		n, client, err := i.front.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // what a port that has gone answers
		}
		c, err := i.back(client)
		if err != nil {
			t.Errorf("peers: impairer: %v", err)
			return
		}
		if c != nil {
			i.pass(b[:n], c)
		}
	}
}

// back is the socket that stands for a client at the server; nil once the impairer is closed.
func (i *Impairer) back(client netip.AddrPort) (*net.UDPConn, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.backs[client]; c != nil || i.closed {
		return c, nil
	}
	c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(i.from, 0)), net.UDPAddrFromAddrPort(i.server))
	if err != nil {
		return nil, err
	}
	i.backs[client] = c
	i.work.Go(func() { i.backward(c, client) })
	return c, nil
}

// backward takes the server's packets to a client, until the socket is closed.
func (i *Impairer) backward(c *net.UDPConn, client netip.AddrPort) {
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && !i.loses() {
			i.neck.pass(b[:n], client)
		}
	}
}
