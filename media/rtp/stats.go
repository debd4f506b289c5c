package rtp

import (
	"time"

	"github.com/patchbay/patchbay/media"
)

// stats is the peer's stream, over all its SSRCs.
func (r *receiver) stats() media.Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.seq
	return media.Stream{
		Inbound: true, SSRC: q.ssrc, Format: r.heard, Packets: q.packets, Bytes: q.bytes,
		Lost: q.lost + q.missing(), Duplicate: q.duplicate, Reordered: q.reordered, Rejected: r.rejected,
		Jitter: time.Duration(q.jitter), JitterMax: time.Duration(q.highest),
		First: q.first, Last: q.last, Epochs: max(r.epoch, 1) - 1,
	}
}

// notes are the counts of packets that no stream has.
func (r *receiver) notes(s *media.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Note("rtp.malformed", float64(r.malformed))
	s.Note("rtp.unknown", float64(r.unknown))
	s.Note("rtp.probation", float64(r.seq.odd))
}

// stats is our stream; what the peer reported of it is added by control.
func (s *sender) stats() media.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return media.Stream{SSRC: s.ssrc, Format: s.audio, Packets: s.packets, Bytes: s.bytes, First: s.first, Last: s.last}
}

func (s *sender) notes(n *media.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Note("rtp.dropped", float64(s.dropped))
	n.Note("rtp.unsent", float64(s.unsent))
}
