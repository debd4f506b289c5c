package sip

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/dns"
	"github.com/patchbay/patchbay/sip/flow"
)

// A request over UDP that is larger than largestUDP goes over TCP where the peer takes it: its fragments might be lost on the way
// (RFC 3261 18.1.1). That is a matter of this one transaction: Contact, and the way of later requests, stay as they are.
// Responses go back the way that their request came, whatever their size (18.2.2).
const (
	largestUDP = 1300                   // bytes; the path's MTU is never known
	connectFor = 800 * time.Millisecond // then the peer has no TCP
	narrowFor  = 10 * time.Minute       // how long that is remembered
	maxNarrow  = 1024
)

// widths remembers which peers of UDP have no TCP, and by which name others were found.
type widths struct {
	mu     sync.Mutex
	narrow map[netip.AddrPort]time.Time
	names  map[netip.AddrPort]string
}

// found notes the name, without a port, that led to a server.
func (w *widths) found(at netip.AddrPort, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names == nil || len(w.names) >= maxNarrow {
		w.names = map[netip.AddrPort]string{}
	}
	w.names[at] = name
}

// fail notes that a peer takes nothing over TCP.
func (w *widths) fail(at netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.narrow == nil || len(w.narrow) >= maxNarrow {
		w.narrow = map[netip.AddrPort]time.Time{}
	}
	w.narrow[at] = time.Now().Add(narrowFor)
}

func (w *widths) look(at netip.AddrPort) (narrow bool, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.narrow[at]), w.names[at]
}

// tooLarge tells whether a request should leave by TCP, were it possible. Phones are where they send from: there is no other way
// to them.
func (u *UA) tooLarge(f *flow.Flow, o *outgoing, req *request) bool {
	if f.Network() != "udp" || u.cfg.Symmetric || len(req.text) <= largestUDP {
		return false
	}
	narrow, _ := u.widths.look(f.Remote())
	return !narrow
}

// widen is the TCP connection to a peer of UDP, which is opened unless there is one; nil: it has none.
func (u *UA) widen(ctx context.Context, f *flow.Flow) *flow.Flow {
	ctx, cancel := context.WithTimeout(ctx, connectFor)
	defer cancel()
	at := f.Remote()
	if _, name := u.widths.look(at); name != "" { // its TCP may be elsewhere
		if list, err := u.front.names.Targets(ctx, dns.Query{Host: name, Network: "tcp"}); err == nil {
			at = list[0].Addr
			for _, t := range list {
				if t.Addr.Addr() == f.Remote().Addr() {
					at = t.Addr
				}
			}
		}
	}
	wide, err := u.dialer.Dial(ctx, at)
	if err != nil {
		u.log.Info("a large request goes over UDP: no TCP at the peer", "peer", f.Remote(), "err", err)
		u.widths.fail(f.Remote())
		return nil
	}
	return wide
}

// fit builds a request, and builds it anew for TCP if it is too large for UDP and the peer has that.
func (u *UA) fit(ctx context.Context, o *outgoing, f *flow.Flow, credentials []Header) (*request, *flow.Flow, error) {
	req, err := u.build(o, f, credentials)
	if err != nil || !u.tooLarge(f, o, req) {
		return req, f, err
	}
	wide := u.widen(ctx, f)
	if wide == nil {
		return req, f, nil
	}
	req, err = u.build(o, wide, credentials)
	return req, wide, err
}

// widen opens TCP for an INVITE, and lets it go by that or by UDP then; d.mu is held.
func (d *Dialog) widen(at place) {
	f, ctx := d.flow, d.out.ctx
	if !d.ua.spawn(func() {
		wide := d.ua.widen(ctx, f)
		d.mu.Lock()
		defer d.mu.Unlock()
		at.udp = at.udp || wide == nil
		switch c := d.out.cancel; {
		case d.over:
		case c != nil: // nothing has left yet
			d.end(Event{By: c.by, Status: c.status, Err: c.err, Reason: c.why})
		default:
			d.launch(at, wide)
		}
	}) {
		d.end(Event{By: ByLocal, Err: ErrClosed})
	}
}
