package rtp

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
)

// receiveControl takes a datagram of RTCP. Nothing of a compound packet counts unless all of it is well-formed.
func (e *Endpoint) receiveControl(p []byte, from *udp.Addr, now int64, muxed bool) {
	a, ok := e.in.controlFrom(from, muxed)
	if !ok {
		return
	}
	if a.crypt != nil {
		if p, ok = e.in.openControl(a.crypt, p); !ok {
			return
		}
	}
	list, err := rtpstream.Unmarshal(p)
	if err != nil {
		e.in.mu.Lock()
		e.in.malformed++
		e.in.mu.Unlock()
		return
	}
	e.in.mu.Lock()
	e.in.alive = now
	ssrc, known := e.in.seq.SSRC, e.in.seq.Started
	e.in.mu.Unlock()
	if e.pictures != nil {
		e.heardFeedback(list, now)
	}
	h := e.control.Hear(list, e.sink.SSRC, ssrc, now)
	if h.Sender && known && h.From == ssrc && !muxed {
		e.control.find(*from)
	}
	if h.About {
		e.sink.Upstream(media.Feedback{Kind: media.Loss, Value: h.Loss})
	}
	if h.Gone && known {
		e.cfg.Notify(media.Gone{})
	}
}

// controlFrom says whether RTCP may come from there now.
func (r *receiver) controlFrom(from *udp.Addr, muxed bool) (*agreement, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.agreed
	ok := a != nil && r.lock.trusts(from)
	if ok && muxed && r.lock.held {
		ok = *from == r.lock.pair
	}
	if ok && !muxed && a.mux {
		ok = false // all of it comes to the RTP port now
	}
	if !ok {
		r.rejected++
	}
	return a, ok
}

// openControl decrypts a packet, or rejects it.
func (r *receiver) openControl(t *transform, p []byte) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := t.openControl(p)
	if err != nil {
		r.rejected++
	}
	return p, err == nil
}

// find has reports go back to where the peer's come from: behind NAT they best do.
func (c *control) find(from udp.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.found {
		c.to, c.found = from, true
	}
}
