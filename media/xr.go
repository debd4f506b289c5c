package media

// XR is what a peer measured of the stream that it gets from us, as its extended reports have it (RFC 3611 4.6 and 4.7). What it doesn't
// say, or says outside of what the RFC allows, is nil.
type XR struct {
	Loss         *float64 // percent of packets that never came
	Discard      *float64 // percent that came too late, or too early, for its jitter buffer
	BurstDensity *float64 // percent lost or discarded within bursts
	GapDensity   *float64 // and between them
	Burst        *float64 // mean length of a burst, ms
	Gap          *float64
	RTT          *float64 // between it and us, ms
	Delay        *float64 // its own: from packet to ear, and from mouth to packet, ms
	Signal       *float64 // level of the speech that it plays, dBm0
	Noise        *float64
	EchoLoss     *float64 // residual echo return loss, dB
	R            *float64 // 0 to 100
	ExternalR    *float64 // of the network behind it
	MOSLQ        *float64 // listening, 1 to 5
	MOSCQ        *float64 // conversational
	Buffer       *float64 // its jitter buffer's delay, ms
	BufferMax    *float64
	Lost         *int64 // packets
	Duplicate    *int64
	Concealment  string // disabled, enhanced, standard; "" = not said
}
