package webrtc

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/video"
)

// maxPicture bounds a payload: with what SRTP and a header extension add a packet fits into an Ethernet frame.
const maxPicture = 1400

// pictureOut is the sink of pictures. It begins with a key picture, and asks for one.
type pictureOut struct {
	media.Inlet
	r    *rich
	caps atomic.Pointer[media.Caps]

	mu      sync.Mutex // Push is single by the Inlet; this is for those who look or change the agreement meanwhile
	line    *pionLine
	closed  bool
	waits   bool   // for a key picture
	begun   bool   // a frame has come
	epoch   uint32 // of the frames
	at      int64  // when a key picture was asked for last
	beside  uint32 // SSRC of retransmissions
	limit   media.Rates
	path    float64 // bit/s that the path takes, as GCC or the peer says; 0 = not known
	first   float64 // and what it is taken for before; 0 = not known
	target  uint64  // and what the source was told
	format  *media.Format
	cutter  *video.Cutter // nil before the first frame
	most    int           // bytes of a payload
	room    [rtpstream.HeaderSize + maxPicture]byte
	numbers rtpstream.Numbering
	SSRC    uint32

	dropped, waited, unsent, reused uint64
	nacks, plis, firs               uint64
	pictures                        video.Counter
}

func (s *pictureOut) init(r *rich) {
	s.r, s.waits, s.most = r, true, maxPicture
	s.numbers.Init()
	s.SSRC = s.numbers.SSRC
	var b [4]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	if s.beside = binary.BigEndian.Uint32(b[:]); s.beside == s.SSRC {
		s.beside++
	}
}

// Caps is what the peer takes: nil before SDP, empty while it is held, or takes no pictures.
func (s *pictureOut) Caps() *media.Caps { return s.caps.Load() }

// change sets another agreement in force.
func (s *pictureOut) change(n *scene, l *pionLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = nil
	s.numbers.Pause()
	s.waits = true
	if n == nil || n.picture == nil {
		s.caps.Store(nil)
		return
	}
	caps := &media.Caps{}
	if n.picture.direction.Sends() {
		for _, f := range n.picture.formats {
			caps.Formats = append(caps.Formats, s.r.get(f.Format))
		}
		s.line = l
	}
	l.lane.beside(s.beside, n.picture.beside())
	s.caps.Store(caps)
}

func (s *pictureOut) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.caps.Store(&media.Caps{})
}

// Push sends one frame as one packet.
func (s *pictureOut) Push(f *media.Frame) {
	s.mu.Lock()
	ask := s.push(f)
	s.mu.Unlock()
	if ask {
		s.Upstream(media.Feedback{Kind: media.KeyFrame})
	}
}

// push sends a frame; ask says that a key picture is to be asked for.
func (s *pictureOut) push(f *media.Frame) (ask bool) {
	if s.line == nil || s.closed || f.Kind != media.Video || f.Format != s.format && !s.takes(f.Format) {
		s.dropped++
		return false
	}
	if !s.line.ready() { // the first pictures would be lost, and the peer has to begin with one of them
		s.waits = true
		s.waited++
		return false
	}
	s.format = f.Format
	if !s.begun || f.Epoch != s.epoch {
		s.begun, s.epoch, s.waits = true, f.Epoch, true
	}
	if s.waits {
		if !f.Key {
			s.waited++
			if now := udp.Now(); s.at == 0 || now-s.at >= int64(keyEvery) {
				s.at, ask = now, true
			}
			return ask
		}
		s.waits = false
		s.numbers.Pause()
	}
	if !s.slice(f) {
		return false
	}
	s.pictures.Count(f, udp.Now())
	return false
}

// slice sends a frame as one packet, or as several that are no longer than they may be; false if that didn't go.
func (s *pictureOut) slice(f *media.Frame) bool {
	if s.cutter == nil || s.cutter.Codec() != f.Format.Codec {
		if s.cutter = video.NewCutter(f.Format.Codec, s.most); s.cutter == nil {
			s.dropped++
			return false
		}
		s.numbers.Pause() // its numbers aren't those before
	}
	pieces, first, ok := s.cutter.Cut(f.Payload, f.Sequence, f.Epoch)
	if !ok {
		s.dropped++
		return false
	}
	one := *f
	for i, p := range pieces {
		one.Payload, one.Sequence, one.Marker = p, first+uint16(i), f.Marker && i == len(pieces)-1
		if !s.packet(&one) {
			return false
		}
	}
	return true
}

// packet sends a frame as one packet.
func (s *pictureOut) packet(f *media.Frame) bool {
	if len(f.Payload) > maxPicture {
		s.dropped++
		return false
	}
	b, at := s.numbers.Packet(s.room[:], f, byte(f.Format.Tag), uint32(f.Format.Clock), udp.Now)
	switch err := s.line.sendPicture(b); err {
	case nil:
	case ErrReused:
		s.reused++
		return false
	default:
		s.unsent++
		return false
	}
	s.numbers.Sent(f, f.Format, at)
	return true
}

// SetMTU bounds what packets of pictures that are sent have, from their header on and without what SRTP and header extensions add, bytes. An endpoint
// that carries none takes no notice.
func (e *Endpoint) SetMTU(bytes int) {
	if e.rich == nil {
		return
	}
	s := &e.rich.out
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = min(bytes-rtpstream.HeaderSize, maxPicture)
	if s.cutter != nil {
		s.cutter.SetMost(s.most)
	}
}

func (s *pictureOut) takes(f *media.Format) bool {
	for _, g := range s.caps.Load().Formats {
		if g == f {
			return true
		}
	}
	return false
}

// heard takes RTCP of the peer's that is about the picture. It comes on a goroutine of the line's.
func (r *rich) heard(l *pionLine, p []byte, now int64) {
	list, err := prtcp.Unmarshal(p) // reduced size is fine here (RFC 5506)
	if err != nil || r.in.speaker() != l {
		return
	}
	s := &r.out
	h := r.control.Hear(list, s.SSRC, 0, now)
	if h.About {
		s.Upstream(media.Feedback{Kind: media.Loss, Value: h.Loss})
	}
	for _, q := range list {
		switch q := q.(type) {
		case *prtcp.TransportLayerNack:
			if q.MediaSSRC != s.SSRC {
				continue
			}
			s.count(&s.nacks)
			for _, pair := range q.Nacks {
				pair.Range(func(seq uint16) bool {
					l.lane.want(seq, now)
					return true
				})
			}
		case *prtcp.PictureLossIndication:
			if q.MediaSSRC == s.SSRC {
				s.count(&s.plis)
				s.Upstream(media.Feedback{Kind: media.KeyFrame})
			}
		case *prtcp.FullIntraRequest:
			for _, f := range q.FIR {
				if f.SSRC == s.SSRC {
					s.count(&s.firs)
					s.Upstream(media.Feedback{Kind: media.KeyFrame})
				}
			}
		case *prtcp.ReceiverEstimatedMaximumBitrate:
			s.estimated(float64(q.Bitrate))
		}
	}
}

func (s *pictureOut) count(n *uint64) {
	s.mu.Lock()
	*n++
	s.mu.Unlock()
}

// estimated takes what the path takes, in bit/s, and tells the source what it may send.
func (s *pictureOut) estimated(rate float64) {
	s.mu.Lock()
	s.path = rate
	s.mu.Unlock()
	s.retell()
}

// retell tells the source, which may be another than before.
func (s *pictureOut) retell() {
	s.mu.Lock()
	rate := s.bound()
	s.mu.Unlock()
	if rate > 0 {
		s.Upstream(media.Feedback{Kind: media.Bitrate, Value: rate})
	}
}

// bound is what the source may send, in bit/s. The caller holds mu.
func (s *pictureOut) bound() float64 {
	rate := s.path
	if rate == 0 {
		rate = s.first
	}
	if most := float64(s.limit.MaxSend); most > 0 && (rate == 0 || rate > most) {
		rate = most
	}
	if rate > 0 {
		rate = max(rate, float64(s.limit.MinSend))
	}
	s.target = uint64(rate)
	return rate
}

// sent is our stream as a report tells it.
func (s *pictureOut) sent(now int64, wall time.Time) rtpstream.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.numbers.Report(now, wall)
}

// stream is ours, as it was counted.
func (s *pictureOut) stream() media.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.numbers.Stream()
	st.Format = s.format
	st.NACKs, st.PLIs, st.FIRs, st.Target = s.nacks, s.plis, s.firs, s.target
	s.pictures.Tell(&st, udp.Now())
	if s.line != nil {
		_, st.Resent = s.line.lane.counts()
	}
	return st
}

func (s *pictureOut) notes(n *media.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Note("webrtc.video.dropped", float64(s.dropped))
	n.Note("webrtc.video.waited", float64(s.waited))
	n.Note("webrtc.video.unsent", float64(s.unsent))
	n.Note("webrtc.video.reused", float64(s.reused))
}
