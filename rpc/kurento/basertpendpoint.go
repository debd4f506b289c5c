package kurento

import (
	"reflect"

	"github.com/patchbay/patchbay/rpc"
)

// BaseRtpEndpoint is what every endpoint embeds that exchanges RTP with its peer.
type BaseRtpEndpoint struct{ SdpEndpoint }

func (k *Core) baseRtpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "BaseRtpEndpoint", Extends: k.SdpEndpoint, Abstract: true, Type: reflect.TypeFor[*BaseRtpEndpoint](),
		Props: []rpc.Prop{
			rpc.Property("minVideoRecvBandwidth", (*BaseRtpEndpoint).MinVideoRecvBandwidth, (*BaseRtpEndpoint).SetMinVideoRecvBandwidth),
			rpc.Property("minVideoSendBandwidth", (*BaseRtpEndpoint).MinVideoSendBandwidth, (*BaseRtpEndpoint).SetMinVideoSendBandwidth),
			rpc.Property("maxVideoSendBandwidth", (*BaseRtpEndpoint).MaxVideoSendBandwidth, (*BaseRtpEndpoint).SetMaxVideoSendBandwidth),
			rpc.ReadOnly("mediaState", (*BaseRtpEndpoint).MediaState),
			rpc.ReadOnly("connectionState", (*BaseRtpEndpoint).ConnectionState),
			rpc.Property("mtu", (*BaseRtpEndpoint).MTU, (*BaseRtpEndpoint).SetMTU),
			rpc.Property("rembParams", (*BaseRtpEndpoint).RembParams, (*BaseRtpEndpoint).SetRembParams),
		},
		Ops:    []rpc.Op{rpc.Method("requestKeyframe", (*BaseRtpEndpoint).RequestKeyframe)},
		Events: []string{"MediaStateChanged", "ConnectionStateChanged"}}
}

// MinVideoRecvBandwidth is in kbit/s.
func (e *BaseRtpEndpoint) MinVideoRecvBandwidth() (int, error) { return 0, missing("BaseRtpEndpoint") }

// SetMinVideoRecvBandwidth is in kbit/s.
func (e *BaseRtpEndpoint) SetMinVideoRecvBandwidth(int) error { return missing("BaseRtpEndpoint") }

// MinVideoSendBandwidth is in kbit/s.
func (e *BaseRtpEndpoint) MinVideoSendBandwidth() (int, error) { return 0, missing("BaseRtpEndpoint") }

// SetMinVideoSendBandwidth is in kbit/s.
func (e *BaseRtpEndpoint) SetMinVideoSendBandwidth(int) error { return missing("BaseRtpEndpoint") }

// MaxVideoSendBandwidth is in kbit/s.
func (e *BaseRtpEndpoint) MaxVideoSendBandwidth() (int, error) { return 0, missing("BaseRtpEndpoint") }

// SetMaxVideoSendBandwidth is in kbit/s.
func (e *BaseRtpEndpoint) SetMaxVideoSendBandwidth(int) error { return missing("BaseRtpEndpoint") }

// MediaState tells whether media comes from the peer.
func (e *BaseRtpEndpoint) MediaState() (MediaState, error) { return "", missing("BaseRtpEndpoint") }

// ConnectionState tells whether the transport is ready.
func (e *BaseRtpEndpoint) ConnectionState() (ConnectionState, error) {
	return "", missing("BaseRtpEndpoint")
}

// MTU is the most that a packet of ours has, bytes.
func (e *BaseRtpEndpoint) MTU() (int, error) { return 0, missing("BaseRtpEndpoint") }

// SetMTU sets the most that a packet of ours has, bytes.
func (e *BaseRtpEndpoint) SetMTU(int) error { return missing("BaseRtpEndpoint") }

// RembParams are those of the congestion control towards the peer.
func (e *BaseRtpEndpoint) RembParams() (RembParams, error) {
	return RembParams{}, missing("BaseRtpEndpoint")
}

// SetRembParams sets those of the congestion control towards the peer.
func (e *BaseRtpEndpoint) SetRembParams(RembParams) error { return missing("BaseRtpEndpoint") }

// RequestKeyframe asks the peer for a picture that needs no other.
func (e *BaseRtpEndpoint) RequestKeyframe() error { return missing("BaseRtpEndpoint") }
