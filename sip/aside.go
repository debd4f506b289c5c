package sip

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// asideMost bounds how long a server can have us stay away, and asideServers how many of them are remembered.
const (
	asideMost    = 5 * time.Minute
	asideServers = 1024
)

// RetryAfter is how long a response asks to be left alone (RFC 3261 20.33), an hour at most; 0 if it doesn't.
func RetryAfter(h Headers) time.Duration {
	v, _, _ := strings.Cut(h.Get("Retry-After"), "(")
	v, _, _ = strings.Cut(v, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, time.Hour)
}

// AsideError says that every server of a destination has answered 503 and asked for no more calls for a while.
type AsideError struct {
	Server netip.AddrPort // that takes calls again first
	Wait   time.Duration  // until then
}

// Error names the server and the time.
func (e *AsideError) Error() string {
	return fmt.Sprintf("sip: %s has asked for no calls for another %v", e.Server, e.Wait.Round(time.Second))
}

// aside are the servers, each of several by one name, that asked one UA for no more calls for a while (RFC 3261 21.5.4): the
// others have them. Who has one server alone learns from the dialog's end what it asked for, and decides. What the UA still has to
// say within dialogs, or by OPTIONS and REGISTER, they are told all the same.
type aside struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time
}

// put notes what a 503 asks for.
func (a *aside) put(at place, h Headers) {
	wait := min(RetryAfter(h), asideMost)
	if wait == 0 || !at.peer {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until == nil || len(a.until) >= asideServers {
		a.until = map[netip.AddrPort]time.Time{}
	}
	a.until[at.Addr] = time.Now().Add(wait)
}

// without are the places that take calls now.
func (a *aside) without(list []place) ([]place, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.until) == 0 {
		return list, nil
	}
	var out []place
	var first *AsideError
	for _, p := range list {
		wait := time.Until(a.until[p.Addr])
		if wait <= 0 {
			delete(a.until, p.Addr)
			out = append(out, p)
		} else if first == nil || wait < first.Wait {
			first = &AsideError{p.Addr, wait}
		}
	}
	if len(out) == 0 && first != nil {
		return nil, first
	}
	return out, nil
}
