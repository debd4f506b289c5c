package sip

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// round is an INVITE at one server.
type round struct {
	at        place
	tx        *clientTx
	cseq      uint32
	heard     bool // a response came
	left      bool // another server is tried instead: what this one still says is taken back
	cancelled bool // CANCEL went out
}

// try sends the INVITE to the first of several servers that can be reached.
func (d *Dialog) try(find context.Context, list []place, err error) {
	var f *flow.Flow
	var at place
	if err == nil {
		f, at, list, err = d.ua.openFirst(find, list)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	if c := d.out.cancel; c != nil {
		d.end(Event{By: c.by, Status: c.status, Err: c.err, Reason: c.why})
		return
	}
	if err != nil {
		e := Event{By: ByTransport, Status: 503, Phrase: "No Way to the Peer", Err: err}
		var busy *AsideError
		if errors.As(err, &busy) {
			e.Headers = Headers{{Name: "Retry-After", Value: strconv.Itoa(int(busy.Wait/time.Second) + 1)}}
		}
		if d.out.ctx.Err() != nil {
			e = Event{By: ByLocal, Status: 487, Err: d.out.ctx.Err()}
		}
		d.end(e)
		return
	}
	first := d.flow == nil
	d.flow, d.out.rest = f, list
	if first {
		d.compose()
	} else {
		d.contact = "<" + d.ua.contactURI(d.out.inv.contactUser(), f, d.out.inv.Target.Scheme).String() + ">"
		d.out.o.contact, d.out.o.branch = d.contact, ""
		where := at.Addr.String()
		if at.udp {
			where += " over UDP"
		}
		d.emit(Event{Kind: KindMoved, Phrase: where})
	}
	d.sendInvite(at)
}

// silent is the end of a server's time to respond at all.
func (d *Dialog) silent(r *round) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !r.heard {
		d.next(r)
	}
}

// next tries another server instead of the one that failed (RFC 3263 4.3), and tells whether it does; d.mu is held. A
// server that has rung somebody has not failed.
func (d *Dialog) next(r *round) bool {
	if d.over || d.phase != calling || d.out.cancel != nil || d.out.round != r || len(d.out.rest) == 0 {
		return false
	}
	if d.out.road != d.flow && !r.heard {
		d.ua.widths.fail(d.flow.Remote()) // it accepts TCP and makes nothing of it
	} else {
		d.ua.blame(r.at)
	}
	r.left = true
	d.out.heard, d.legs = false, map[string]*leg{}
	list := d.out.rest
	d.out.rest = nil
	if !d.ua.spawn(func() {
		find, cancel := context.WithTimeout(d.out.ctx, d.out.inv.TrialTimeout)
		defer cancel()
		d.try(find, list, nil)
	}) {
		d.end(Event{By: ByLocal, Err: ErrClosed})
	}
	return true
}

// late handles what a server still says after another was tried; it tells whether m was of that kind. It may ring
// somebody by now: that is taken back, and an answer is BYEd in onSuccess.
func (d *Dialog) late(r *round, m *wire.Message) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r.heard = true
	if !r.left {
		if rest := d.out.rest; len(rest) > 0 && rest[0].udp {
			d.out.rest = rest[1:] // it does take TCP
		}
		if m.Status != 503 {
			d.ua.praise(r.at)
		}
		return false
	}
	if m.Status < 200 && !r.cancelled {
		d.takeBack(r, Reason{})
	}
	return m.Status < 200 || m.Status >= 300
}
