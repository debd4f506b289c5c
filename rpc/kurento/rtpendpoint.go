package kurento

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// RTP is what stands behind an RtpEndpoint.
type RTP interface{ media.Endpoint }

// RTPOptions are what an RtpEndpoint is made with.
type RTPOptions struct {
	Pipeline *media.Pipeline // has the registry and the clock
	Name     string          // in logs
	Notify   func(media.Notice)
	Crypto   SDES
	IPv6     bool
}

// RtpEndpoint speaks plain RTP, or SRTP with keys that stand in the SDP.
type RtpEndpoint struct{ BaseRtpEndpoint }

func (k *Core) rtpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "RtpEndpoint", Extends: k.BaseRtpEndpoint, Parent: k.Pipeline,
		New:    rpc.Make(newRtpEndpoint, rpc.Arg("mediaPipeline"), rpc.OptArg("crypto", SDES{}), rpc.OptArg("useIpv6", false)),
		Events: []string{"OnKeySoftLimit"}}
}

func newRtpEndpoint(*rpc.Object, *Pipeline, SDES, bool) (*RtpEndpoint, error) {
	return nil, missing("RtpEndpoint")
}
