package sdp

import "testing"

// Formats of video are the same if one's payloads can be decoded as the other's, whatever their levels.
func TestVideoFormats(t *testing.T) {
	h264 := func(fmtp string) Format { return Format{Codec: "H264", Clock: 90000, Channels: 1, Fmtp: fmtp} }
	for _, c := range []struct {
		name string
		a, b Format
		same bool
	}{
		{"levels", h264("profile-level-id=42e01f;packetization-mode=1"), h264("packetization-mode=1;profile-level-id=42E034;level-asymmetry-allowed=1"), true},
		{"constrained baseline said otherwise", h264("profile-level-id=42e01f"), h264("profile-level-id=4dc01f"), true},
		{"nothing said", h264(""), h264("packetization-mode=0;profile-level-id=42e00a"), true},
		{"packetization", h264("packetization-mode=1"), h264("packetization-mode=0"), false},
		{"profile", h264("profile-level-id=42e01f"), h264("profile-level-id=640c1f"), false},
		{"baseline and constrained", h264("profile-level-id=42001f"), h264("profile-level-id=42e01f"), false},
		{"VP9's profile 0", Format{Codec: "VP9"}, Format{Codec: "VP9", Fmtp: "profile-id=0"}, true},
		{"VP9's profiles", Format{Codec: "VP9"}, Format{Codec: "VP9", Fmtp: "profile-id=2"}, false},
		{"AV1's profile 0", Format{Codec: "AV1", Fmtp: "level-idx=5;profile=0;tier=0"}, Format{Codec: "AV1"}, true},
		{"H265's Main", Format{Codec: "H265", Fmtp: "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST"}, Format{Codec: "H265"}, true},
		{"H265's Main 10", Format{Codec: "H265", Fmtp: "profile-id=2"}, Format{Codec: "H265"}, false},
	} {
		if got := c.a.Same(c.b); got != c.same {
			t.Errorf("%s: %q and %q are the same: %t, expected %t", c.name, c.a.Params(), c.b.Params(), got, c.same)
		}
		if again := (Format{Codec: c.a.Codec, Fmtp: c.a.Params()}).Params(); again != c.a.Params() {
			t.Errorf("%s: %q is written %q the second time", c.name, c.a.Params(), again)
		}
	}
}
