//go:build e2e && !media

package e2e

// layerLate bounds the time from a layer's key picture until it is seen, in ms, on a machine that does other things too.
const layerLate = 5000

// How much of the recorder's story is told among all others; by name (T=media) it is told whole.
const (
	recordCycles = 48
	recordPause  = 0 // none
)

// recordKept are the profiles that end as they should, but for those that other stories have.
func recordKept() []taping {
	return []taping{{"both.flv", "FLV", "h264"}, {"sound.mp4", "MP4_AUDIO_ONLY", "vp9"}}
}

// recordDead are those whose process is killed.
func recordDead() []taping {
	return []taping{{"dead.webm", "WEBM", "vp9"}, {"dead.mkv", "MKV", "h264"}, {"dead.mp4", "MP4", "h264"}, {"dead.wav", "WEBM", "vp9"}}
}
