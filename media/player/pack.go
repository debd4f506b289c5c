package player

import (
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/video"
)

// newPacker is what cuts a video track's units to packets, nil if nobody knows how.
func newPacker(t container.Track) packer {
	if t.Sent {
		if p := video.NewRepacker(t.Format.Codec); p != nil {
			return p
		}
		return nil
	}
	if p := video.NewPacker(t.Format.Codec, t.Setup); p != nil {
		return p
	}
	return nil
}
