package peers

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// neckWaits is how long a packet waits at most where the way is narrow: what would wait longer is lost, as in a router.
const neckWaits = 250 * time.Millisecond

// neck is the way to clients, all of them together, where it can be narrow.
type neck struct {
	out  *net.UDPConn
	over sync.WaitGroup

	mu    sync.Mutex
	rate  int       // bit/s; 0 = it isn't narrow
	free  time.Time // when all that waits will have gone
	queue chan homeward
}

// homeward is a packet on its way to a client.
type homeward struct {
	due    time.Time
	client netip.AddrPort
	data   []byte
}

// Limit lets so many bits a second through to clients, as a thin line does: packets wait up to a quarter of a second, and are
// lost then. 0 = all, which is so at first.
func (i *Impairer) Limit(rate int) {
	i.neck.mu.Lock()
	defer i.neck.mu.Unlock()
	i.neck.rate = rate
}

func (n *neck) begin(out *net.UDPConn) {
	n.out, n.queue = out, make(chan homeward, 4096)
	n.over.Go(func() {
		for h := range n.queue {
			time.Sleep(time.Until(h.due))
			_, _ = n.out.WriteToUDPAddrPort(h.data, h.client)
		}
	})
}

// end is called when nothing passes any more.
func (n *neck) end() {
	close(n.queue)
	n.over.Wait()
}

// pass sends a packet to a client, at once or in its turn.
func (n *neck) pass(p []byte, client netip.AddrPort) {
	n.mu.Lock()
	now := time.Now()
	wide := n.rate == 0 && !n.free.After(now)
	lost := n.free.Sub(now) > neckWaits
	if n.free.Before(now) {
		n.free = now
	}
	if n.rate > 0 && !lost {
		n.free = n.free.Add(time.Duration(len(p)) * 8 * time.Second / time.Duration(n.rate))
	}
	due := n.free
	n.mu.Unlock()
	switch {
	case lost:
	case wide:
		_, _ = n.out.WriteToUDPAddrPort(p, client)
	default:
		n.queue <- homeward{due, client, append([]byte(nil), p...)}
	}
}
