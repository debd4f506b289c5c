package webrtc

import (
	"sync"

	prtp "github.com/pion/rtp"
	pwebrtc "github.com/pion/webrtc/v4"
)

// pionTrack is what the PeerConnection sends: packets of any of the deal's formats.
type pionTrack struct {
	video  bool
	mu     sync.Mutex
	out    pwebrtc.TrackLocalWriter
	header prtp.Header
}

func (t *pionTrack) Bind(ctx pwebrtc.TrackLocalContext) (pwebrtc.RTPCodecParameters, error) {
	codecs := ctx.CodecParameters()
	if len(codecs) == 0 {
		return pwebrtc.RTPCodecParameters{}, pwebrtc.ErrUnsupportedCodec
	}
	t.mu.Lock()
	t.out = ctx.WriteStream()
	t.mu.Unlock()
	return codecs[0], nil
}

func (t *pionTrack) Unbind(pwebrtc.TrackLocalContext) error {
	t.mu.Lock()
	t.out = nil
	t.mu.Unlock()
	return nil
}

func (t *pionTrack) ID() string       { return t.Kind().String() }
func (t *pionTrack) RID() string      { return "" }
func (t *pionTrack) StreamID() string { return "patchbay" }

func (t *pionTrack) Kind() pwebrtc.RTPCodecType {
	if t.video {
		return pwebrtc.RTPCodecTypeVideo
	}
	return pwebrtc.RTPCodecTypeAudio
}

// write sends a packet. One that can't be sent is lost, as on a network: the state tells why.
func (t *pionTrack) write(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, err := t.header.Unmarshal(b); err == nil && t.out != nil {
		_, _ = t.out.WriteRTP(&t.header, b[n:])
	}
}
