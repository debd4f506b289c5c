//go:build e2e && media

package e2e

import "time"

// layerLate bounds the time from a layer's key picture until it is seen, in ms.
const layerLate = 1000

// The recorder's story, whole.
const (
	recordCycles = 500
	recordPause  = 2 * time.Second
)

// recordKept are the profiles that end as they should.
func recordKept() []taping {
	return []taping{{"both.webm", "WEBM", "vp9"}, {"video.webm", "WEBM_VIDEO_ONLY", "vp9"}, {"sound.webm", "WEBM_AUDIO_ONLY", "h264"},
		{"both.mkv", "MKV", "h264"}, {"video.mkv", "MKV_VIDEO_ONLY", "vp9"}, {"sound.mkv", "MKV_AUDIO_ONLY", "h264"},
		{"both.mp4", "MP4", "vp9"}, {"video.mp4", "MP4_VIDEO_ONLY", "h264"}, {"sound.mp4", "MP4_AUDIO_ONLY", "vp9"}, {"both.flv", "FLV", "h264"}}
}

// recordDead are those whose process is killed.
func recordDead() []taping {
	return []taping{{"dead.webm", "WEBM", "vp9"}, {"dead.mkv", "MKV", "h264"}, {"dead.mp4", "MP4", "h264"}, {"dead.flv", "FLV", "h264"}, {"dead.wav", "WEBM", "vp9"},
		{"dead-video.webm", "WEBM_VIDEO_ONLY", "vp9"}, {"dead-sound.mp4", "MP4_AUDIO_ONLY", "h264"}}
}
