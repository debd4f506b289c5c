package rtp

import (
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// receiver is the way in. Packets come one at a time from the sockets' loop; its lock is for those who look or change
// the agreement meanwhile, and nobody is called under it.
type receiver struct {
	// What each packet touches stands first: with a thousand calls none of it is in the processor's cache when the packet
	// comes. What is found elsewhere too is a copy, made when that changes.
	mu       sync.Mutex
	agreed   *agreement
	heard    *media.Format // of the latest audio
	format   *media.Format // of pt; nil if it isn't agreed
	clock    uint32        // the format's
	epoch    uint32        // of frames
	pt       uint8         // of the latest packet, whatever has been agreed since then
	known    bool          // pt, format and clock hold
	event    bool          // the format is telephone-event
	held     bool          // as in lock
	receives bool          // as in agreed
	sealed   bool          // agreed has a crypt
	flows    bool          // Flowing was told
	quiet    bool          // Silent was told
	frame    media.Frame   // the loop's own
	pair     udp.Addr      // as in lock
	pictures *pictures     // nil unless it is video that comes
	seq      rtpstream.Sequence

	lock   lock
	events dtmf.Reader
	since  int64 // the agreement's beginning
	alive  int64 // when the peer's latest RTCP came

	rejected, malformed, unknown uint64
}

// change sets another agreement in force. keep says that it is one with the same peer.
func (r *receiver) change(a *agreement, signalling udp.Addr, keep bool, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lock.signalling = signalling
	if a != nil {
		r.lock.reopen(a.target, a.barred, keep, a.open)
	} else {
		r.lock = lock{}
	}
	r.copyLock()
	r.agreed, r.known = a, false
	r.receives, r.sealed = a != nil && a.direction.Receives(), a != nil && a.crypt != nil
	r.since = now
	if !keep {
		r.flows, r.events = false, dtmf.Reader{}
	}
	r.quiet = false
}

func (r *receiver) copyLock() { r.held, r.pair = r.lock.held, r.lock.pair }

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
	ask     bool // a key picture is to be asked for
	lost    bool // and packets that are missing
}

// receive takes a datagram of the RTP socket.
func (e *Endpoint) receive(p []byte, from *udp.Addr, now int64) {
	if rtpstream.IsControl(p) {
		if a := e.agreed.Load(); a != nil && a.mux {
			e.receiveControl(p, from, now, true)
			return
		}
	}
	var f found
	r := &e.in
	r.mu.Lock()
	a, pass := r.packet(p, from, now, &f)
	ssrc := r.seq.SSRC
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
	var h rtpstream.Header
	if !h.Parse(p) {
		r.malformed++
		return nil, false
	}
	if a = r.agreed; a == nil {
		r.rejected++
		return nil, false
	}
	if r.held {
		if !from.Equal(&r.pair) {
			r.rejected++
			return a, false
		}
	} else if !r.sealed && !r.admit(from, &h, now, f) {
		r.rejected++
		return a, false
	}
	if r.sealed {
		if p = r.unseal(a, p, from, &h, now, f); p == nil {
			r.rejected++
			return a, false
		}
	}
	if r.pictures != nil && a.beside != nil {
		if p = r.restore(a, p, &h); p == nil {
			return a, false
		}
	}
	payload, ok := h.Payload(p)
	if !ok {
		r.malformed++
		return a, false
	}
	if h.PT != r.pt || !r.known {
		r.switchTo(h.PT)
	}
	if r.format == nil && rtpstream.IsControl(p) { // RTCP that strayed to the RTP port
		r.unknown++
		return a, false
	}
	return a, r.follow(&h, payload, now, f)
}

// unseal decrypts a packet, nil if it isn't genuine. While nobody holds the lock only what is genuine counts for it.
func (r *receiver) unseal(a *agreement, p []byte, from *udp.Addr, h *rtpstream.Header, now int64, f *found) []byte {
	if !r.held && !r.lock.eligible(from) {
		return nil
	}
	p, err := a.crypt.open(p, h.SSRC)
	if err != nil || !r.held && !r.admit(from, h, now, f) {
		return nil
	}
	return p
}

// admit asks the lock, while nobody holds it.
func (r *receiver) admit(from *udp.Addr, h *rtpstream.Header, now int64, f *found) (ok bool) {
	ok, f.locked = r.lock.admit(from, h, now)
	r.copyLock()
	return ok
}

// switchTo finds the format of a payload type.
func (r *receiver) switchTo(pt uint8) {
	r.pt, r.known, r.format, r.clock, r.event = pt, true, r.agreed.In[pt], 0, false
	if r.format != nil {
		r.clock, r.event = uint32(r.format.Clock), r.format.Kind == media.Event
	}
	if r.pictures != nil {
		r.pictures.typed(r.format)
	}
}

// follow places the packet in its stream and fills the frame.
func (r *receiver) follow(h *rtpstream.Header, payload []byte, now int64, f *found) bool {
	anew := r.seq.Started && h.SSRC != r.seq.SSRC
	v := r.seq.Next(h, now)
	if v == rtpstream.Drop {
		return false
	}
	r.seq.Bytes += uint64(len(payload))
	if r.pictures != nil && r.agreed.repeats {
		f.lost = r.pictures.misses.takes(h, v, now)
	}
	if !r.flows || r.quiet {
		r.flows, r.quiet = true, false
		f.flowing = true
	}
	if v == rtpstream.Begin {
		r.epoch++
		f.anew = anew
		f.digit, f.ended = r.events.End()
		r.events = dtmf.Reader{}
	}
	fr := &r.frame
	fr.Kind = media.Audio
	switch {
	case r.format == nil && h.PT == rtpstream.ComfortNoise && r.pictures == nil:
		r.seq.Noise(h, v)
		return false
	case r.format == nil:
		r.unknown++
		r.seq.Skip(h, v)
		return false
	case r.event:
		fr.Kind = media.Event
		r.seq.Interrupt(h, v, now)
		if d, ended := r.events.Packet(payload, h.TS, int(r.clock), now); ended {
			f.digit, f.ended = d, true
		}
		fr.Sequence = h.Seq - r.seq.Skipped
	default:
		if r.seq.Pace(h.TS, r.clock, now) {
			r.epoch++
		}
		if r.heard != r.format {
			r.heard = r.format
		}
		fr.Sequence = r.seq.Number(h, v)
	}
	fr.Format, fr.Payload, fr.Timestamp, fr.Marker = r.format, payload, h.TS, h.Marker
	fr.Epoch, fr.Arrival = r.epoch, now
	if r.pictures != nil {
		f.ask = r.pictures.picture(fr, now)
	}
	return r.receives // what a held peer sends nevertheless isn't passed on
}

// tell posts what a packet made known. It happens a few times in a call.
func (e *Endpoint) tell(a *agreement, f *found, from *udp.Addr, ssrc uint32) {
	if f.locked {
		e.sink.aim(a, *from)
	}
	if f.ask {
		e.askKey()
	}
	if f.lost {
		e.askLost()
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
	} else if quiet := now - max(r.since, r.alive, r.seq.Last); !r.quiet && e.cfg.Timeout > 0 && quiet >= int64(e.cfg.Timeout) {
		r.quiet, silent = true, quiet
	}
	digit, ended := r.events.Expire(now)
	r.mu.Unlock()
	if silent > 0 {
		e.cfg.Notify(media.Silent{For: silent})
	}
	if ended {
		e.cfg.Notify(digit)
	}
}
