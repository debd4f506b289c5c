package rtp

import (
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// receiver is the way in. Packets come one at a time from the sockets' loop; its lock is for those who look or change
// the agreement meanwhile, and nobody is called under it.
type receiver struct {
	mu     sync.Mutex
	agreed *agreement
	lock   lock
	seq    sequence
	events events
	format *media.Format // of the latest audio
	since  int64         // the agreement's beginning
	alive  int64         // when the peer last gave a sign of life: RTP, or RTCP while it sends no audio
	flows  bool          // Flowing was told
	quiet  bool          // Silent was told

	rejected, malformed, unknown uint64

	epoch uint32      // of frames; the loop's own
	frame media.Frame // the loop's own
}

// change sets another agreement in force. keep says that it is one with the same peer.
func (r *receiver) change(a *agreement, signalling udp.Addr, keep bool, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lock.signalling = signalling
	if a != nil {
		r.lock.reopen(a.target, a.barred, keep)
	} else {
		r.lock = lock{}
	}
	r.agreed = a
	r.since = now
	if !keep {
		r.flows, r.events = false, events{}
	}
	r.quiet = false
}

// holder is the pair that has the lock, or had it until there was new SDP.
func (r *receiver) holder() (udp.Addr, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lock.pair, r.lock.pair.IsValid()
}

// found is what a packet made known; it is told when the receiver's lock is free again.
type found struct {
	locked  bool
	flowing bool
	anew    bool
	digit   media.Digit
	ended   bool
}

// receive takes a datagram of the RTP socket.
func (e *Endpoint) receive(p []byte, from *udp.Addr, now int64) {
	if isControl(p) {
		if a := e.agreed.Load(); a != nil && a.mux {
			e.receiveControl(p, from, now, true)
			return
		}
	}
	var f found
	r := &e.in
	r.mu.Lock()
	a, pass := r.packet(p, from, now, &f)
	ssrc := r.seq.ssrc
	r.mu.Unlock()
	if f != (found{}) {
		e.tell(a, &f, from, ssrc)
	}
	if pass {
		e.source.Send(&r.frame)
	}
}

// packet takes one packet up to the frame that is in it. pass is false if nothing is to be sent on.
func (r *receiver) packet(p []byte, from *udp.Addr, now int64, f *found) (a *agreement, pass bool) {
	var h header
	if !h.parse(p) {
		r.malformed++
		return nil, false
	}
	if a = r.agreed; a == nil {
		r.rejected++
		return nil, false
	}
	ok, locked := r.lock.admit(from, &h, now)
	if f.locked = locked; !ok {
		r.rejected++
		return a, false
	}
	if a.crypt != nil {
		var err error
		if p, err = a.crypt.open(p); err != nil {
			r.rejected++
			return a, false
		}
	}
	payload, ok := h.payload(p)
	if !ok {
		r.malformed++
		return a, false
	}
	format := a.in[h.pt]
	if format == nil && isControl(p) { // RTCP that strayed to the RTP port
		r.unknown++
		return a, false
	}
	return a, r.follow(a, &h, payload, format, now, f)
}

// follow places the packet in its stream and fills the frame.
func (r *receiver) follow(a *agreement, h *header, payload []byte, format *media.Format, now int64, f *found) bool {
	anew := r.seq.started && h.ssrc != r.seq.ssrc
	v := r.seq.next(h, now)
	if v == drop {
		return false
	}
	r.count(len(payload), now, f)
	if v == begin {
		r.epoch++
		f.anew = anew
		f.digit, f.ended = r.events.end()
		r.events = events{}
	}
	fr := &r.frame
	switch {
	case format == nil:
		r.unknown++
		r.seq.skip(h, v)
		return false
	case format.Kind == media.Event:
		r.seq.skip(h, v)
		if d, ended := r.events.packet(payload, h.ts, format.Clock, now); ended {
			f.digit, f.ended = d, true
		}
		fr.Sequence = h.seq - r.seq.skipped
	default:
		if r.seq.pace(h.ts, format.Clock, now) {
			r.epoch++
		}
		r.format = format
		fr.Sequence = r.seq.number(h, v)
	}
	fr.Kind, fr.Format, fr.Payload, fr.Timestamp, fr.Marker = format.Kind, format, payload, h.ts, h.marker
	fr.Epoch, fr.Arrival = r.epoch, now
	return a.direction.Receives() // what a held peer sends nevertheless isn't passed on
}

func (r *receiver) count(size int, now int64, f *found) {
	if r.seq.first == 0 {
		r.seq.first = now
	}
	r.seq.packets++
	r.seq.bytes += uint64(size)
	r.alive = now
	if !r.flows || r.quiet {
		r.flows, r.quiet = true, false
		f.flowing = true
	}
}

// tell posts what a packet made known. It happens a few times in a call.
func (e *Endpoint) tell(a *agreement, f *found, from *udp.Addr, ssrc uint32) {
	if f.locked {
		e.sink.aim(a, *from)
	}
	if f.flowing {
		e.cfg.Notify(media.Flowing{From: from.AddrPort(), Format: e.in.frame.Format})
	}
	if f.anew {
		e.cfg.Notify(media.Switched{SSRC: ssrc})
	}
	if f.ended {
		e.cfg.Notify(f.digit)
	}
}

// tick looks for silence and for digits whose end was lost.
func (r *receiver) tick(e *Endpoint, now int64) {
	r.mu.Lock()
	var silent int64
	if r.agreed == nil || !r.agreed.direction.Receives() {
		r.since = now
	} else if quiet := now - max(r.since, r.alive); !r.quiet && e.cfg.Timeout > 0 && quiet >= int64(e.cfg.Timeout) {
		r.quiet, silent = true, quiet
	}
	digit, ended := r.events.expire(now)
	r.mu.Unlock()
	if silent > 0 {
		e.cfg.Notify(media.Silent{For: silent})
	}
	if ended {
		e.cfg.Notify(digit)
	}
}
