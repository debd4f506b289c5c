package rtp

// maxPayload keeps a packet with an SRTP tag below an Ethernet frame; PCMU at 60 ms has 480 bytes.
const maxPayload = 1400

// transform turns packets into protected ones and back (RFC 3711). seal may write into the room behind p; open returns
// a part of p.
type transform interface {
	seal(p []byte) ([]byte, error)
	open(p []byte) ([]byte, error)
	sealControl(p []byte) ([]byte, error)
	openControl(p []byte) ([]byte, error)
}
