package sip

import (
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// inlet is where bytes come in: a socket of the Front, a socket of one UA, or the connections one UA opened.
type inlet struct {
	front  *Front
	owner  *UA           // only this UA
	opened bool          // connections it opened itself: the peer needs no match
	grace  time.Duration // over WebSocket: how long dialogs outlive their connection
}

// Dropped counts.
func (in *inlet) Dropped(reason string) { in.front.drops.add(reason) }

// Closed tells everyone who used the connection.
func (in *inlet) Closed(fl *flow.Flow) {
	f := in.front
	f.suspects.gone(originOf(fl))
	f.mu.RLock()
	var lost []*clientTx
	for _, t := range f.clients {
		if t.flow == fl {
			lost = append(lost, t)
		}
	}
	uas := f.uas
	f.mu.RUnlock()
	for _, t := range lost {
		t.fail(fmt.Errorf("connection to %s closed: %w", fl, ErrTransport))
	}
	for _, u := range uas {
		if u.cfg.Registrar != nil {
			u.cfg.Registrar.lost(fl)
		}
	}
	if fl.Web() {
		f.stranded(fl, in.grace)
	}
}

// Message routes one message. It runs on the reader's goroutine; the work is queued by Call-ID.
func (in *inlet) Message(fl *flow.Flow, data []byte, broken error) {
	f := in.front
	if !in.opened && (!fl.Welcomed() || !fl.Reliable()) { // a datagram's address may be forged whoever was there before
		if reason := f.gate.pass(fl.Remote().Addr(), &seen{front: f, data: data}); reason != "" {
			in.drop(fl, reason)
			return
		}
	}
	m, ref := in.parse(data, broken)
	if m == nil || (ref != nil && !m.Answerable()) {
		if ref != nil {
			f.log.Debug("message not readable", "source", fl.Remote(), "network", fl.Network(), "err", ref)
		}
		in.drop(fl, DropMalformed)
		return
	}
	if !m.IsRequest {
		f.response(fl, m, data)
		return
	}
	u, proved := in.owns(fl, m, ref != nil)
	if u == nil {
		if m.Method == "ACK" {
			if m.To.Tag() != f.statelessTag(m) { // of a challenge: nothing waits for it
				in.drop(fl, DropAck)
			}
			return
		}
		in.drop(fl, DropStranger)
		return
	}
	if !proved && f.scans(u, fl, m) {
		in.drop(fl, DropScanner)
		return
	}
	fl.Meet()
	if proved || u.users == nil {
		fl.Welcome() // else it is once it has shown who it is
		f.gate.know(fl.Remote().Addr(), u.users == nil)
	}
	f.trace(true, u, fl, data)
	u.count.requestsIn.method(m.Method)
	if ref != nil {
		u.refuseBroken(fl, m, ref)
		return
	}
	m.Body = append([]byte(nil), m.Body...)
	at := time.Now()
	if !f.serial.Do(m.CallID, func() { u.serve(fl, m, at) }) {
		f.drops.add(DropOverload)
	}
}

func (in *inlet) parse(data []byte, broken error) (*wire.Message, *wire.Refusal) {
	if broken == nil {
		m, ref := in.front.parser.Parse(data)
		if ref != nil && m != nil && !m.IsRequest {
			return nil, ref
		}
		return m, ref
	}
	m, _ := in.front.parser.Scan(data)
	if m == nil || !m.IsRequest {
		return nil, nil
	}
	status := 513
	if !strings.Contains(broken.Error(), "large") {
		status = 400
	}
	return m, &wire.Refusal{Status: status, Header: "Content-Length", Why: broken.Error()}
}

// drop counts, and ends a connection that never brought anything for us.
func (in *inlet) drop(fl *flow.Flow, reason string) {
	in.front.drops.add(reason)
	if fl.Accepted() && !fl.Met() {
		fl.Close()
	}
}

func (f *Front) response(fl *flow.Flow, m *wire.Message, data []byte) {
	f.mu.RLock()
	t := f.clients[clientKey(m.Via.Branch, m.Method)]
	f.mu.RUnlock()
	if t == nil || t.callID != m.CallID {
		f.drops.add(DropResponse)
		return
	}
	f.trace(true, t.ua, fl, data)
	t.ua.count.responsesIn.status(m.Status)
	m.Body = append([]byte(nil), m.Body...)
	if !f.serial.Do(m.CallID, func() { t.receive(m) }) {
		f.drops.add(DropOverload)
	}
}

// owns finds whose request it is: a known transaction's, a known dialog's, or a match. proved tells that its sender is in a
// dialog of ours: nobody else knows its tags.
func (in *inlet) owns(fl *flow.Flow, m *wire.Message, broken bool) (u *UA, proved bool) {
	f := in.front
	f.mu.RLock()
	t := f.servers[serverKey(m)]
	if t == nil && m.Method == "CANCEL" {
		t = f.servers[m.Key("INVITE")]
	}
	d := f.dialogs[dialogKey(m.CallID, m.To.Tag())]
	uas := f.uas
	f.mu.RUnlock()
	switch {
	case t != nil && t.source().Addr() == fl.Remote().Addr():
		return t.ua, d != nil
	case d != nil && !broken:
		return d.ua, true
	case m.Method == "ACK":
		return nil, false
	case in.opened:
		return in.owner, false
	}
	about := Inbound{
		Source: fl.Remote(), Network: fl.Network(), Local: fl.Local(), Method: m.Method, URI: m.URI,
		From: m.From, To: m.To, Headers: m.Headers, Chains: fl.Chains(),
	}
	for _, u := range uas {
		if in.owner != nil && in.owner != u {
			continue
		}
		if u.bound != nil && in.owner == nil {
			continue // it has sockets of its own
		}
		if u.cfg.Match != nil && u.cfg.Match(about) {
			return u, false
		}
	}
	return nil, false
}
