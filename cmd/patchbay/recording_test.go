package main

import (
	"encoding/json"
	"testing"

	"github.com/patchbay/patchbay/media/sdp"
)

// A browser that is connected to a recorder is asked first for video that the recorder's profile holds.
func TestBrowserSendsWhatIsRecorded(t *testing.T) {
	c := newMediaClient(t, startServer(t, func(c *Config) { c.Tokens = nil }))
	for profile, want := range map[string]string{"": "VP8", "WEBM": "VP8", "MKV": "VP8", "MP4": "H264", "FLV": "H264", "MP4_AUDIO_ONLY": "VP8"} {
		e := c.make("WebRtcEndpoint", map[string]any{})
		if profile != "" {
			c.call(e, "connect", map[string]any{"sink": c.make("RecorderEndpoint", map[string]any{"uri": "a.x", "mediaProfile": profile})})
		}
		var offer string
		if err := json.Unmarshal([]byte(c.call(e, "generateOffer", nil)), &offer); err != nil {
			t.Fatal(err)
		}
		d, err := sdp.Parse([]byte(offer))
		if err != nil {
			t.Fatal(err)
		}
		first := map[string]string{}
		for _, m := range d.Media {
			if len(m.Formats) > 0 {
				first[m.Kind] = m.Formats[0].Codec
			}
		}
		if first["video"] != want || first["audio"] != "OPUS" {
			t.Errorf("with a recorder of %q the offer is of %v first, expected %s", profile, first, want)
		}
	}
}
