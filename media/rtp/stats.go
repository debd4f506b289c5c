package rtp

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

// stats is the peer's stream, over all its SSRCs.
func (r *receiver) stats() media.Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.seq.Stream()
	st.Format, st.Rejected, st.Epochs = r.heard, r.rejected, max(r.epoch, 1)-1
	if r.pictures != nil {
		st.NACKs, st.PLIs, st.Target = r.pictures.misses.sent, r.pictures.plis, r.pictures.target
		r.pictures.came.Tell(&st, udp.Now())
	}
	return st
}

// notes are the counts of packets that no stream has.
func (r *receiver) notes(s *media.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Note("rtp.malformed", float64(r.malformed))
	s.Note("rtp.unknown", float64(r.unknown))
	s.Note("rtp.probation", float64(r.seq.Odd))
}

// stats is our stream; what the peer reported of it is added by control.
func (s *sender) stats() media.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.Stream()
	if n := s.e.pictures; n != nil {
		st.NACKs, st.Resent, st.PLIs, st.FIRs = n.again.nacks, n.again.sent, n.plied, n.fired
		n.went.Tell(&st, udp.Now())
	}
	return st
}

func (s *sender) count(n *uint64) {
	s.mu.Lock()
	*n++
	s.mu.Unlock()
}

func (s *sender) notes(n *media.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Note("rtp.dropped", float64(s.dropped))
	n.Note("rtp.unsent", float64(s.unsent))
	n.Note("rtp.reused", float64(s.reused))
}
