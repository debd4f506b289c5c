package webrtc

import "github.com/patchbay/patchbay/media"

// notes are the counts of packets that no stream has.
func (r *incoming) notes(s *media.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Note("webrtc.malformed", float64(r.malformed))
	s.Note("webrtc.unknown", float64(r.unknown))
	s.Note("webrtc.probation", float64(r.seq.Odd))
}

// stats is our stream; what the peer reported of it is added by control.
func (s *sender) stats() media.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Stream()
}

func (s *sender) notes(n *media.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Note("webrtc.dropped", float64(s.dropped))
	n.Note("webrtc.unsent", float64(s.unsent))
	n.Note("webrtc.reused", float64(s.reused))
}

// notes are a line's counts.
func (t *lineStats) notes(n *media.Snapshot) {
	n.Note("webrtc.refused", float64(t.Refused))
	n.Note("webrtc.early", float64(t.Early))
	n.Note("webrtc.moves", float64(t.Moves))
	n.Note("webrtc.checks", float64(t.Checks))
	n.Note("webrtc.dtls_dropped", float64(t.Dropped))
}
