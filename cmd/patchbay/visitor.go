package main

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Bounds of connections that wait for a request, or within one that isn't read yet: such cost their opener nothing.
const (
	maxWaiting       = 4096
	maxWaitingSource = 512 // of them from one address
)

// visitors keeps connections that ask for nothing from crowding out others: at a bound the one that has waited longest
// is closed. The HTTP server's own timeouts end each in turn; this bounds how many there are meanwhile.
type visitors struct {
	most, perSource int

	mu      sync.Mutex
	waiting map[net.Conn]*list.Element
	order   *list.List // of net.Conn, who waits longest first
	source  map[netip.Addr]*list.List
	places  map[net.Conn]*list.Element // in the list of its source
}

func newVisitors() *visitors {
	return &visitors{most: maxWaiting, perSource: maxWaitingSource, waiting: map[net.Conn]*list.Element{}, order: list.New(),
		source: map[netip.Addr]*list.List{}, places: map[net.Conn]*list.Element{}}
}

type visitorKey struct{}

// context remembers a request's connection, for served.
func (v *visitors) context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, visitorKey{}, c)
}

// state is told by the HTTP server how its connections fare.
func (v *visitors) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew, http.StateIdle:
		if out := v.wait(c); out != nil {
			if t, ok := out.(*tls.Conn); ok {
				out = t.NetConn() // whose Close never waits: the server accepts nobody meanwhile
			}
			_ = out.Close()
		}
	case http.StateHijacked, http.StateClosed:
		v.leave(c)
	}
}

// served takes a connection whose request has come from those that wait.
func (v *visitors) served(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(visitorKey{}).(net.Conn); ok {
			v.leave(c)
		}
		next.ServeHTTP(w, r)
	})
}

// wait adds a connection and returns the one that makes room for it, if any.
func (v *visitors) wait(c net.Conn) (out net.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting[c] != nil {
		return nil
	}
	from := sourceOf(c)
	mine := v.source[from]
	if mine == nil {
		mine = list.New()
		v.source[from] = mine
	}
	switch {
	case mine.Len() >= v.perSource:
		out = mine.Front().Value.(net.Conn)
	case v.order.Len() >= v.most:
		out = v.order.Front().Value.(net.Conn)
	}
	v.waiting[c], v.places[c] = v.order.PushBack(c), mine.PushBack(c)
	if out != nil {
		v.remove(out)
	}
	return out
}

func (v *visitors) leave(c net.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.remove(c)
}

// remove forgets a connection; v.mu is held.
func (v *visitors) remove(c net.Conn) {
	e := v.waiting[c]
	if e == nil {
		return
	}
	from := sourceOf(c)
	v.order.Remove(e)
	v.source[from].Remove(v.places[c])
	if v.source[from].Len() == 0 {
		delete(v.source, from)
	}
	delete(v.waiting, c)
	delete(v.places, c)
}

func sourceOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
