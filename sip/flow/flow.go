// Package flow moves SIP messages as bytes: UDP sockets, TCP listeners and connections, their framing and limits.
package flow

// Flow is one way to and from one peer.
type Flow struct{}
