package webrtctest

import (
	"sync"
	"sync/atomic"

	"github.com/pion/dtls/v3"
	prtp "github.com/pion/rtp"
	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media"
)

// sink is a track of pion's that takes frames of all negotiated formats.
type sink struct {
	media.Inlet
	b    *Browser
	caps atomic.Pointer[media.Caps]

	mu     sync.Mutex
	out    pwebrtc.TrackLocalWriter
	header prtp.Header
	epoch  uint32
	move   uint32
	last   uint32
	count  media.Stream
}

// Bind is called by pion when the codecs are known.
func (s *sink) Bind(ctx pwebrtc.TrackLocalContext) (pwebrtc.RTPCodecParameters, error) {
	codecs := ctx.CodecParameters()
	if len(codecs) == 0 {
		return pwebrtc.RTPCodecParameters{}, pwebrtc.ErrUnsupportedCodec
	}
	caps := &media.Caps{}
	for _, c := range codecs {
		caps.Formats = append(caps.Formats, format(c))
	}
	s.mu.Lock()
	s.out, s.header.SSRC, s.header.Version = ctx.WriteStream(), uint32(ctx.SSRC()), 2
	s.count.SSRC = s.header.SSRC
	s.mu.Unlock()
	s.caps.Store(caps)
	media.Renegotiate(s.b)
	return codecs[0], nil
}

// Unbind is called by pion at the end.
func (s *sink) Unbind(pwebrtc.TrackLocalContext) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = nil
	return nil
}

func (s *sink) ID() string                 { return "microphone" }
func (s *sink) RID() string                { return "" }
func (s *sink) StreamID() string           { return "browser" }
func (s *sink) Kind() pwebrtc.RTPCodecType { return pwebrtc.RTPCodecTypeAudio }

// Caps is what was negotiated, best first; nil before.
func (s *sink) Caps() *media.Caps { return s.caps.Load() }

// Push sends a frame.
func (s *sink) Push(f *media.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return
	}
	if f.Epoch != s.epoch {
		s.epoch, s.move = f.Epoch, s.last+uint32(f.Format.Clock/50)-f.Timestamp
	}
	h := &s.header
	h.SequenceNumber++
	h.Timestamp, h.Marker, h.PayloadType = f.Timestamp+s.move, f.Marker, uint8(f.Format.Tag)
	s.last = h.Timestamp
	if _, err := s.out.WriteRTP(h, f.Payload); err != nil {
		return
	}
	s.count.Packets++
	s.count.Bytes += uint64(len(f.Payload))
	if f.Kind == media.Audio {
		s.count.Format = f.Format
	}
}

func (s *sink) stats() media.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func srtpProfiles(list []uint16) []dtls.SRTPProtectionProfile {
	var out []dtls.SRTPProtectionProfile
	for _, p := range list {
		out = append(out, dtls.SRTPProtectionProfile(p))
	}
	return out
}
