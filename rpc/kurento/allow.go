package kurento

// Exception is what our table doesn't have as Kurento has it, and why.
type Exception struct {
	Member string // Class, for all that it is; Class.new, its constructor; Class.member; or the name of a type
	Reason string // a sentence that a client may be told
}

const later = "It arrives with the JSON-RPC server."

// Exceptions is the list of what is missing on purpose.
func Exceptions() []Exception {
	return []Exception{
		{"ServerManager", later},
		{"SessionEndpoint", later},
		{"Hub", later},
		{"Filter", later},
		{"Endpoint", later},
		{"HubPort", later},
		{"PassThrough", later},
		{"UriEndpoint", later},
		{"MediaPipeline", later},
		{"SdpEndpoint", later},
		{"BaseRtpEndpoint", later},
		{"MediaElement", later},
		{"AlphaBlending", later},
		{"Composite", later},
		{"Dispatcher", later},
		{"DispatcherOneToMany", later},
		{"HttpPostEndpoint", later},
		{"HttpEndpoint", later},
		{"Mixer", later},
		{"PlayerEndpoint", later},
		{"RecorderEndpoint", later},
		{"RtpEndpoint", later},
		{"WebRtcEndpoint", later},
		{"FaceOverlayFilter", later},
		{"GStreamerFilter", later},
		{"ImageOverlayFilter", later},
		{"OpenCVFilter", later},
		{"ZBarFilter", later},
	}
}
