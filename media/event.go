package media

import "net/netip"

// Notice is something an element found out on the packet path and posts to its owner. Posting never blocks: the
// receiver queues it, bounded, or drops it.
type Notice interface{ notice() }

// Digit is one DTMF digit that a peer sent as telephone-event (RFC 4733) or as tones, told once, at its end.
type Digit struct {
	Digit    byte // 0-9 * # A-D
	Duration int  // ms
	Tone     bool // it was tones in the audio (ITU-T Q.23)
}

// Pressed says that a digit has begun that comes as tones. Digit follows at its end.
type Pressed struct{ Digit byte }

// Flowing says that the peer's media came for the first time, or again after Silent.
type Flowing struct {
	From   netip.AddrPort
	Format *Format
}

// Silent says that nothing came from the peer for the endpoint's timeout.
type Silent struct{ For int64 } // ns

// Switched says that the peer's stream began anew: another SSRC from the locked address.
type Switched struct{ SSRC uint32 }

// Gone says that the peer said RTCP BYE (RFC 3550 6.6).
type Gone struct{}

// Failed says that an element can't go on.
type Failed struct{ Err error }

// Lacks says that an element goes on without a part of what it should do.
type Lacks struct{ Err error }

// Ended says that a source has no more to send.
type Ended struct{}

func (Digit) notice()    {}
func (Pressed) notice()  {}
func (Flowing) notice()  {}
func (Silent) notice()   {}
func (Switched) notice() {}
func (Gone) notice()     {}
func (Failed) notice()   {}
func (Lacks) notice()    {}
func (Ended) notice()    {}
