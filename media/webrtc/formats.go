package webrtc

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

// opus is the one form that Opus has in SDP, whatever is in it (RFC 7587 7).
func opus() *media.Format { return &media.Format{Codec: "OPUS", Clock: 48000, Channels: 2} }

// described writes formats as SDP's. Opus says what we take.
func described(list []*media.Format) []sdp.Format {
	out := rtpstream.Described(list)
	for i, f := range out {
		if f.Codec == "OPUS" && f.Fmtp == "" {
			out[i].Fmtp = "minptime=10;useinbandfec=1"
		}
	}
	return out
}
