package kurento

import (
	"strings"

	"github.com/patchbay/patchbay/rpc"
)

// Exception is what our table doesn't have as Kurento has it, or has but doesn't do, and why.
type Exception struct {
	Member string // Class, for all that it is; Class.new, its constructor; Class.member; or the name of a type
	Reason string // a sentence that a client may be told
}

// Ours is the list of what Kurento's classes have here and not at Kurento's, for Compare.
func Ours() []Exception {
	return []Exception{
		{"SdpEndpoint.renegotiate", "Kurento's endpoints are negotiated once; ours may be again, each time after they were told so, with an ICE restart if asked for."},
	}
}

// Missing is the list of what is missing on purpose: it is in the table, so that clients can be told, and answers
// NotSupported with the reason.
func Missing() []Exception {
	return []Exception{
		{"AlphaBlending", "AlphaBlending isn't available: this server doesn't decode video."},
		{"Composite.picture", "Composite mixes audio and shows no picture: this server doesn't decode video."},
		{"FaceOverlayFilter", "FaceOverlayFilter isn't available: this server doesn't decode video."},
		{"GStreamerFilter", "GStreamerFilter isn't available: this server doesn't run GStreamer elements."},
		{"ImageOverlayFilter", "ImageOverlayFilter isn't available: this server doesn't decode video."},
		{"ZBarFilter", "ZBarFilter isn't available: this server doesn't decode video."},
	}
}

// Idle is the list of what clients can set, or subscribe to, as at Kurento's, and what does nothing here.
func Idle() []Exception {
	return []Exception{
		{"BaseRtpEndpoint.rembParams", "Until they are set nothing is estimated by what gets lost: browsers find what a path takes themselves, by feedback of what came when (transport-cc), and are told what elements behind can take. Once set they are heeded too; of several sizes of a picture (simulcast) they aren't."},
		{"EndpointStats.E2ELatency", "It is always empty. inputLatency tells of each element's own."},
		{"HttpPostEndpoint.useEncodedMedia", "It changes nothing: media goes out as it is wherever sinks take it. PlayerEndpoint's doesn't, either."},
		{"MediaElement.encoderBitrate", "It is kept, as are minEncoderBitrate and maxEncoderBitrate, and heeded by nobody: video isn't encoded, and audio has its codec's rate. The bitrate of setAudioFormat is left out of account, too."},
		{"MediaElement.setVideoFormat", "It is taken, and video goes on in the format that it comes in: this server doesn't transcode video."},
		{"RtpEndpoint.OnKeySoftLimit", "It never comes: no stream lasts as long as a key does."},
		{"RTCMediaStreamTrackStats", "What of it only a decoder knows is 0."},
		{"RTCRTPStreamStats", "Its associateStatsId is empty, isRemote false, and sliCount 0."},
	}
}

// Missing is what is missing of a table that is made with cfg: beside what always is, the endpoints that cfg has nothing to
// stand behind.
func (cfg Config) Missing() []Exception {
	list := Missing()
	if cfg.RTP == nil {
		list = append(list, Exception{"RtpEndpoint", "RtpEndpoint isn't available on this server."})
	}
	if cfg.WebRTC == nil {
		list = append(list, Exception{"WebRtcEndpoint", noWebRTC})
	}
	if cfg.Room == nil {
		list = append(list, Exception{"Mixer", noRoom("Mixer")}, Exception{"Composite", noRoom("Composite")})
	}
	if cfg.Player == nil {
		list = append(list, Exception{"PlayerEndpoint", noPlayer})
	}
	if cfg.Post == nil {
		list = append(list, Exception{"HttpPostEndpoint", noPost})
	}
	if cfg.Recorder == nil {
		list = append(list, Exception{"RecorderEndpoint", noRecorder})
	}
	return list
}

const noPost = "HttpPostEndpoint isn't available on this server."

const noRecorder = "RecorderEndpoint isn't available on this server."

const noPlayer = "PlayerEndpoint isn't available on this server."

const noWebRTC = "WebRtcEndpoint isn't available: browsers' media is switched off on this server."

// missing is the error of a member on the list, or of one whose class is. A member that isn't on it says so itself.
func missing(member string) error {
	class, _, _ := strings.Cut(member, ".")
	for _, name := range []string{member, class} {
		for _, e := range Missing() {
			if e.Member == name {
				return rpc.Errorf(rpc.NotSupported, "%s", e.Reason)
			}
		}
	}
	return rpc.Errorf(rpc.NotSupported, "%s isn't available on this server.", member)
}
