package sip

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Names are remembered for a while, since each request of a dialog asks again.
const (
	nameLife = 30 * time.Second
	maxNames = 256
)

type resolver struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	mu    sync.Mutex
	names map[string]resolved
}

type resolved struct {
	addrs []netip.Addr
	until time.Time
}

// resolve returns the addresses of a host, IPv4 first. Literals are returned as they are.
func (r *resolver) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	r.mu.Lock()
	if n, ok := r.names[host]; ok && time.Now().Before(n.until) {
		r.mu.Unlock()
		return n.addrs, nil
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	found, err := r.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("sip: resolve %q: %w", host, err)
	}
	var addrs []netip.Addr
	for _, want4 := range []bool{true, false} {
		for _, a := range found {
			if a = a.Unmap(); a.IsValid() && a.Is4() == want4 {
				addrs = append(addrs, a)
			}
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("sip: resolve %q: no address", host)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil || len(r.names) >= maxNames {
		r.names = map[string]resolved{}
	}
	r.names[host] = resolved{addrs, time.Now().Add(nameLife)}
	return addrs, nil
}
