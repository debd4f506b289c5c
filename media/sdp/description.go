// Package sdp reads and writes session descriptions (RFC 8866) and does the offer/answer arithmetic of RFC 3264 for audio.
// It knows nobody of ours.
package sdp

// Direction of a media stream, seen from the side whose description it stands in.
type Direction uint8

const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

// Reverse is the same stream seen from the other side.
func (d Direction) Reverse() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	}
	return d
}

// Sends and Receives tell the two halves of a direction.
func (d Direction) Sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Description is one side's session description.
type Description struct {
	Direction Direction
}
