package rtsp

import (
	"fmt"
	"time"

	"github.com/pion/rtcp"
)

// seldom is how often a server is asked for a key picture at most.
const seldom = time.Second

// asks reports whether it may be asked for a key picture again. The lock is held.
func (r *ring) asks(t *track, now time.Time) bool {
	if r.duration > 0 || !t.asked.IsZero() && now.Sub(t.asked) < seldom { // a file has those that it has
		return false
	}
	t.asked = now
	return true
}

// wish is the track of video whose server may be asked for a key picture, now that somebody needs one; nil = there is none.
func (r *ring) wish(now time.Time) *track {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tracks {
		if t.key != nil && t.begun && r.err == nil && r.asks(t, now) {
			return t
		}
	}
	return nil
}

// Refresh has the server asked for a key picture, if that wasn't done within a second: by RTCP (RFC 4585 6.3.1), also where its description
// doesn't say that it takes that, since one that doesn't leaves it aside. Those of files have none to give.
func (s *Stream) Refresh() {
	if t := s.ring.wish(time.Now()); t != nil {
		s.ask(t, t.source)
	}
}

// ask asks for a key picture of a track. What can't be asked comes when it comes.
func (s *Stream) ask(t *track, source uint32) {
	_ = s.client.WritePacketRTCP(t.medium, &rtcp.CompoundPacket{
		&rtcp.ReceiverReport{SSRC: t.ours}, rtcp.NewCNAMESourceDescription(t.ours, fmt.Sprintf("%x", t.ours)),
		&rtcp.PictureLossIndication{SenderSSRC: t.ours, MediaSSRC: source},
	})
}
