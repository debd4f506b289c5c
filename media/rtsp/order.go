package rtsp

import (
	"bytes"
	"time"

	"github.com/pion/rtp"
)

// early is a packet that came before the server's word from where it plays, or before others that it overtook.
type early struct {
	track *track
	rtp   rtp.Packet
	at    time.Time
}

// keep is a packet for later: its payload is somebody else's.
func keep(t *track, p *rtp.Packet, now time.Time) early {
	e := early{t, *p, now}
	e.rtp.Payload = bytes.Clone(p.Payload)
	return e
}

const (
	awaited   = 40 * time.Millisecond // after so long a packet that is missing is given up, at the next that comes
	overtaken = 64                    // so it is when so many have come first: a key picture's may come at once
	away      = 512                   // so far from what is expected a packet belongs to a stream that began anew
)

// direct says that a track's packets come as the network brings them.
func (r *ring) direct(t *track) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.direct = true
}

// sort takes packets in order. What is missing is waited for a little, and where there is something else to take instead. The lock is held.
func (r *ring) sort(t *track, p *rtp.Packet, now time.Time) {
	if !t.begun && !t.sorts && t.start.isAfter(p) {
		return
	}
	if !t.direct {
		r.take(t, p, now)
		return
	}
	d := int16(p.SequenceNumber - t.next)
	switch {
	case !t.sorts || d > away || d < -away || p.SSRC != t.source:
		r.giveUp(t)
		t.sorts, t.next, t.source = true, p.SequenceNumber, p.SSRC
	case d < 0: // too late, or for the second time
		return
	case d > 0:
		r.hold(t, p, now)
		if len(t.held) >= overtaken || now.Sub(t.held[0].at) >= awaited {
			r.giveUp(t)
		}
		return
	}
	r.take(t, p, now)
	t.next++
	r.release(t)
}

// hold keeps a packet that overtook another, in order; those that wait are sorted by number, which the first to come stays with in time.
func (r *ring) hold(t *track, p *rtp.Packet, now time.Time) {
	i := len(t.held)
	for i > 0 && int16(p.SequenceNumber-t.held[i-1].rtp.SequenceNumber) < 0 {
		i--
	}
	if i > 0 && t.held[i-1].rtp.SequenceNumber == p.SequenceNumber {
		return
	}
	e := keep(t, p, now)
	if len(t.held) > 0 {
		e.at = t.held[0].at // since when something is missing
	}
	t.held = append(t.held, early{})
	copy(t.held[i+1:], t.held[i:])
	t.held[i] = e
}

// release takes what waited for a packet that has come. The lock is held.
func (r *ring) release(t *track) {
	for len(t.held) > 0 && t.held[0].rtp.SequenceNumber == t.next {
		r.first(t)
	}
}

// giveUp takes all that waits: what is missing doesn't come any more. The lock is held.
func (r *ring) giveUp(t *track) {
	for len(t.held) > 0 {
		r.first(t)
	}
}

func (r *ring) first(t *track) {
	e := t.held[0]
	t.held = append(t.held[:0], t.held[1:]...)
	t.next = e.rtp.SequenceNumber + 1
	r.take(t, &e.rtp, e.at)
}
