package webrtc

import (
	"net/netip"
	"sync"
	"unsafe"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// incoming is the way in. flow lets packets in one at a time, whichever goroutine read them, and Close wait for them; mu
// is for those who look or change the agreement meanwhile, and nobody is called under it.
type incoming struct {
	// What each packet touches stands first, and what stands elsewhere too is a copy: with hundreds of legs none of it is in the
	// processor's cache when the packet comes.
	flow     sync.Mutex
	mu       sync.Mutex
	closed   bool // under flow
	receives bool // as in agreed
	flows    bool // Flowing was told
	quiet    bool // Silent was told
	known    bool // what comes of payload type pt has the format typed, nil if it isn't agreed
	pt       uint8
	epoch    uint32 // of frames
	line     line   // as in agreed; nil before it
	typed    *media.Format
	format   *media.Format // of the latest audio
	alive    int64         // when the peer last gave a sign of life
	frame    media.Frame   // under flow
	seq      rtpstream.Sequence

	agreed *agreement
	events dtmf.Reader
	since  int64 // the agreement's beginning

	rejected, malformed, unknown uint64
}

// change sets another agreement in force. keep says that it is one with the same peer.
func (r *incoming) change(a *agreement, keep bool, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agreed, r.line, r.receives, r.known = a, nil, false, false
	if a != nil {
		r.line, r.receives = a.line, a.direction.Receives()
	}
	r.since = now
	if !keep {
		r.flows, r.events = false, dtmf.Reader{}
	}
	r.quiet = false
}

// found is what a packet made known; it is told when mu is free again.
type found struct {
	flowing bool
	anew    bool
	digit   media.Digit
	ended   bool
}

// Receive takes a packet of the peer's: audio or a telephone-event.
func (e *Endpoint) Receive(l line, p []byte, from netip.AddrPort, now int64) {
	r := &e.in
	r.flow.Lock()
	defer r.flow.Unlock()
	if r.closed {
		return
	}
	var f found
	r.mu.Lock()
	pass := r.packet(l, p, now, &f)
	ssrc := r.seq.SSRC
	r.mu.Unlock()
	if f != (found{}) {
		e.tell(&f, from, ssrc)
	}
	if pass {
		e.source.Send(&r.frame)
	}
}

// Warm fetches what Receive touches.
func (e *Endpoint) Warm(step int) {
	if step == 0 {
		udp.Prefetch(unsafe.Pointer(&e.in), linesIn)
		return
	}
	e.source.Warm()
}

// packet takes one packet up to the frame that is in it. false if nothing is to be sent on. Header extensions and CSRCs end
// here.
func (r *incoming) packet(l line, p []byte, now int64, f *found) (pass bool) {
	if r.line == nil || r.line != l { // an early dialog that isn't the active one
		r.rejected++
		return false
	}
	var h rtpstream.Header
	if !h.Parse(p) {
		r.malformed++
		return false
	}
	payload, ok := h.Payload(p)
	if !ok {
		r.malformed++
		return false
	}
	if !r.known || r.pt != h.PT {
		r.known, r.pt, r.typed = true, h.PT, r.agreed.In[h.PT]
	}
	return r.follow(&h, payload, now, f)
}

// follow places the packet in its stream and fills the frame.
func (r *incoming) follow(h *rtpstream.Header, payload []byte, now int64, f *found) bool {
	format := r.typed
	anew := r.seq.Started && h.SSRC != r.seq.SSRC
	v := r.seq.Next(h, now)
	if v == rtpstream.Drop {
		return false
	}
	r.count(len(payload), now, f)
	if v == rtpstream.Begin {
		r.epoch++
		f.anew = anew
		f.digit, f.ended = r.events.End()
		r.events = dtmf.Reader{}
	}
	fr := &r.frame
	switch {
	case format == nil && h.PT == rtpstream.ComfortNoise:
		r.seq.Noise(h, v)
		return false
	case format == nil:
		r.unknown++
		r.seq.Skip(h, v)
		return false
	case format.Kind == media.Event:
		r.seq.Interrupt(h, v, now)
		if d, ended := r.events.Packet(payload, h.TS, format.Clock, now); ended {
			f.digit, f.ended = d, true
		}
		fr.Sequence = h.Seq - r.seq.Skipped
	default:
		if r.seq.Pace(h.TS, uint32(format.Clock), now) {
			r.epoch++
		}
		r.format = format
		fr.Sequence = r.seq.Number(h, v)
	}
	fr.Kind, fr.Format, fr.Payload, fr.Timestamp, fr.Marker = format.Kind, format, payload, h.TS, h.Marker
	fr.Epoch, fr.Arrival = r.epoch, now
	return r.receives // what a held peer sends nevertheless isn't passed on
}

func (r *incoming) count(size int, now int64, f *found) {
	r.seq.Bytes += uint64(size)
	r.alive = now
	if !r.flows || r.quiet {
		r.flows, r.quiet = true, false
		f.flowing = true
	}
}

// tell posts what a packet made known. It happens a few times in a call.
func (e *Endpoint) tell(f *found, from netip.AddrPort, ssrc uint32) {
	if f.flowing {
		e.cfg.Notify(media.Flowing{From: from, Format: e.in.format})
	}
	if f.anew {
		e.cfg.Notify(media.Switched{SSRC: ssrc})
	}
	if f.ended {
		e.cfg.Notify(f.digit)
	}
}

// State takes what became of a line.
func (e *Endpoint) State(l line, s state, why error) {
	r := &e.in
	r.mu.Lock()
	active := r.agreed != nil && r.agreed.line == l
	var silent int64
	if active && s == disconnected && !r.quiet {
		r.quiet, silent = true, int64(consentTime)
	}
	r.mu.Unlock()
	if e.speaks(l) {
		e.shaken(s)
	}
	switch {
	case !active:
	case silent > 0:
		e.cfg.Notify(media.Silent{For: silent})
	case s == failed:
		e.cfg.Notify(media.Failed{Err: why})
	}
}

// quieten looks for silence and for digits whose end was lost.
func (e *Endpoint) quieten(now int64) {
	r := &e.in
	r.mu.Lock()
	var silent int64
	if r.agreed == nil || !r.agreed.direction.Receives() {
		r.since = now
	} else if quiet := now - max(r.since, r.alive); !r.quiet && e.cfg.Timeout > 0 && quiet >= int64(e.cfg.Timeout) {
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

// stats is the peer's stream, over all its SSRCs.
func (r *incoming) stats() media.Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.seq.Stream()
	st.Format, st.Rejected, st.Epochs = r.format, r.rejected, r.epoch
	return st
}
