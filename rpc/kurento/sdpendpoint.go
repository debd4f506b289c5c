package kurento

import (
	"reflect"

	"github.com/patchbay/patchbay/rpc"
)

// SdpEndpoint is what every endpoint embeds that negotiates by SDP.
type SdpEndpoint struct{ SessionEndpoint }

func (k *Core) sdpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "SdpEndpoint", Extends: k.SessionEndpoint, Abstract: true, Type: reflect.TypeFor[*SdpEndpoint](),
		Props: []rpc.Prop{
			rpc.Property("maxAudioRecvBandwidth", (*SdpEndpoint).MaxAudioRecvBandwidth, (*SdpEndpoint).SetMaxAudioRecvBandwidth),
			rpc.Property("maxVideoRecvBandwidth", (*SdpEndpoint).MaxVideoRecvBandwidth, (*SdpEndpoint).SetMaxVideoRecvBandwidth),
		},
		Ops: []rpc.Op{
			rpc.Method("generateOffer", (*SdpEndpoint).GenerateOffer, rpc.Opt("options")),
			rpc.Method("processOffer", (*SdpEndpoint).ProcessOffer, rpc.Arg("offer")),
			rpc.Method("processAnswer", (*SdpEndpoint).ProcessAnswer, rpc.Arg("answer")),
			rpc.Method("getLocalSessionDescriptor", (*SdpEndpoint).LocalSessionDescriptor),
			rpc.Method("getRemoteSessionDescriptor", (*SdpEndpoint).RemoteSessionDescriptor),
		}}
}

// MaxAudioRecvBandwidth is what our SDP asks of the peer's audio, kbit/s; 0 = nothing.
func (e *SdpEndpoint) MaxAudioRecvBandwidth() (int, error) { return 0, missing("SdpEndpoint") }

// SetMaxAudioRecvBandwidth sets what our SDP asks of the peer's audio, kbit/s; 0 = nothing.
func (e *SdpEndpoint) SetMaxAudioRecvBandwidth(int) error { return missing("SdpEndpoint") }

// MaxVideoRecvBandwidth is what our SDP asks of the peer's video, kbit/s; 0 = nothing.
func (e *SdpEndpoint) MaxVideoRecvBandwidth() (int, error) { return 0, missing("SdpEndpoint") }

// SetMaxVideoRecvBandwidth sets what our SDP asks of the peer's video, kbit/s; 0 = nothing.
func (e *SdpEndpoint) SetMaxVideoRecvBandwidth(int) error { return missing("SdpEndpoint") }

// GenerateOffer makes the offer.
func (e *SdpEndpoint) GenerateOffer(*OfferOptions) (string, error) { return "", missing("SdpEndpoint") }

// ProcessOffer answers an offer.
func (e *SdpEndpoint) ProcessOffer(string) (string, error) { return "", missing("SdpEndpoint") }

// ProcessAnswer reads the answer to our offer.
func (e *SdpEndpoint) ProcessAnswer(string) (string, error) { return "", missing("SdpEndpoint") }

// LocalSessionDescriptor is our SDP.
func (e *SdpEndpoint) LocalSessionDescriptor() (string, error) { return "", missing("SdpEndpoint") }

// RemoteSessionDescriptor is the peer's SDP.
func (e *SdpEndpoint) RemoteSessionDescriptor() (string, error) { return "", missing("SdpEndpoint") }
