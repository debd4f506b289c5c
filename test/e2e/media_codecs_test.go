//go:build e2e && media

package e2e

import "testing"

// All codecs, which take longer than all others have time for.
func TestMediaCodecs(t *testing.T) {
	r := newTutorials(t)
	page := r.stand()
	t.Run("Chromium", func(t *testing.T) { r.codecs(t, page, []string{"VP8", "VP9", "H264", "AV1"}) })
	for i, codec := range []string{"VP8", "VP9", "H264", "H265", "AV1"} {
		t.Run("ffmpeg "+codec, func(t *testing.T) { r.throughFFmpeg(t, codec, uint16(19960+4*i)) })
	}
}
