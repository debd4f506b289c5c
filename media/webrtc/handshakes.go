package webrtc

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3/pkg/protocol/handshake"
)

var errCrowded = errors.New("webrtc: the handshake wasn't over when others needed its place")

const (
	youngTime    = 2 * time.Second // in which a handshake isn't pushed out: with two round trips it is over sooner
	crowdedEvery = time.Minute     // between two lines of the log
)

// handshakes are the DTLS handshakes of a port that run. They are bounded, and half of them is what one source may have:
// who begins some and goes silent shall not keep others out.
type handshakes struct {
	most  int
	young time.Duration
	log   *slog.Logger

	refused, pushed atomic.Uint64

	mu      sync.Mutex
	running []*slot // the oldest first
	told    time.Time
}

// slot is the place of one handshake.
type slot struct {
	source netip.Addr
	since  time.Time
	alive  context.Context
	end    context.CancelCauseFunc
}

// begin gives a handshake a place, nil if there is none now. At a limit the oldest makes room, of the source that has most;
// but none that is young.
func (h *handshakes) begin(from netip.Addr, alive context.Context) *slot {
	now, source := time.Now(), subscriber(from)
	h.mu.Lock()
	defer h.mu.Unlock()
	var old *slot
	switch {
	case h.count(source) >= max(1, h.most/2):
		old = h.oldest(source)
	case len(h.running) >= h.most:
		old = h.oldest(h.heaviest())
	}
	if old != nil && now.Sub(old.since) < h.young {
		h.refused.Add(1)
		h.tell("no room for another DTLS handshake: the peer's next try is awaited", now, source)
		return nil
	}
	if old != nil {
		h.pushed.Add(1)
		h.tell("a DTLS handshake that isn't over made room for another", now, old.source)
		h.forget(old)
		old.end(errCrowded)
	}
	x := &slot{source: source, since: now}
	x.alive, x.end = context.WithCancelCause(alive)
	h.running = append(h.running, x)
	return x
}

// done gives a place back; again does nothing.
func (h *handshakes) done(x *slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(x)
}

func (h *handshakes) forget(x *slot) {
	h.running = slices.DeleteFunc(h.running, func(y *slot) bool { return x == y })
}

func (h *handshakes) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.running)
}

func (h *handshakes) count(source netip.Addr) (n int) {
	for _, x := range h.running {
		if x.source == source {
			n++
		}
	}
	return n
}

func (h *handshakes) oldest(source netip.Addr) *slot {
	return h.running[slices.IndexFunc(h.running, func(x *slot) bool { return x.source == source })]
}

// heaviest is the source that has most; of several the one that began first.
func (h *handshakes) heaviest() netip.Addr {
	return slices.MaxFunc(h.running, func(a, b *slot) int { return h.count(a.source) - h.count(b.source) }).source
}

func (h *handshakes) tell(what string, now time.Time, source netip.Addr) {
	if now.Sub(h.told) < crowdedEvery {
		return
	}
	h.told = now
	h.log.Warn(what, "running", len(h.running), "most", h.most, "source", source)
}

// subscriber is an address; of IPv6 the network that one subscriber has (RFC 6177).
func subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 is good for every IPv6 address
		return p.Addr()
	}
	return a
}

// Sizes in octets: of a record's header, of a handshake message's (RFC 6347 4.1, 4.2.2), and of what stands in a
// ClientHello before its session_id.
const (
	recordHeader  = 13
	messageHeader = 12
	helloFixed    = 34
	maxHello      = 1 << 14
)

// begins tells whether a datagram begins with a ClientHello, or with the first fragment of one: a long one has several.
func begins(b []byte) bool {
	if len(b) < recordHeader+messageHeader || b[0] != 22 || b[1] != 254 || b[3]|b[4] != 0 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[11:]))
	if n < messageHeader || n > len(b)-recordHeader {
		return false
	}
	b = b[recordHeader : recordHeader+n]
	all, at, size := uint24(b[1:]), uint24(b[6:]), uint24(b[9:])
	if b[0] != 1 || all > maxHello || at != 0 || size > all || size > len(b)-messageHeader {
		return false
	}
	body := b[messageHeader : messageHeader+size]
	if size == all {
		var m handshake.MessageClientHello
		return m.Unmarshal(body) == nil && len(m.CipherSuiteIDs) > 0
	}
	return beginsHello(body)
}

// beginsHello looks at as much of a ClientHello as its first fragment surely holds (RFC 6347 4.2.1).
func beginsHello(b []byte) bool {
	if len(b) < helloFixed || b[0] != 254 {
		return false
	}
	b = b[helloFixed:]
	for range 2 { // session_id and cookie
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return false
		}
		b = b[1+int(b[0]):]
	}
	if len(b) < 2 {
		return false
	}
	suites := int(binary.BigEndian.Uint16(b))
	return suites >= 2 && suites%2 == 0 && suites <= len(b)-2
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
