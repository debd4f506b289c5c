package kurento

import (
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// WebRTC is what stands behind a WebRtcEndpoint.
type WebRTC interface{ media.Endpoint }

// WebRTCOptions are what a WebRtcEndpoint is made with.
type WebRTCOptions struct {
	Pipeline *media.Pipeline // has the registry and the clock
	Name     string          // in logs
	Notify   func(media.Notice)
	ECDSA    bool // the certificate's key; false = RSA
	Data     bool // with data channels
}

// WebRtcEndpoint speaks to a browser.
type WebRtcEndpoint struct{ BaseRtpEndpoint }

func (k *Core) webRtcEndpointClass() *rpc.Class {
	e := &rpc.Class{Name: "WebRtcEndpoint", Doc: "Exchanges media and data with a browser.", Extends: k.BaseRtpEndpoint, Parent: k.Pipeline,
		New: rpc.Make(newWebRtcEndpoint, rpc.Arg("mediaPipeline"), rpc.OptArg("recvonly", false), rpc.OptArg("sendonly", false),
			rpc.OptArg("useDataChannels", false), rpc.OptArg("certificateKeyType", CertificateKeyTypeRsa), rpc.OptArg("qosDscp", DSCPValueNoValue)),
		Ops: []rpc.Op{
			rpc.Method("gatherCandidates", (*WebRtcEndpoint).GatherCandidates),
			rpc.Method("addIceCandidate", (*WebRtcEndpoint).AddIceCandidate, rpc.Arg("candidate")),
			rpc.Method("createDataChannel", (*WebRtcEndpoint).CreateDataChannel, rpc.OptArg("label", ""), rpc.OptArg("ordered", true),
				rpc.OptArg("maxPacketLifeTime", -1), rpc.OptArg("maxRetransmits", -1), rpc.OptArg("protocol", "")),
			rpc.Method("closeDataChannel", (*WebRtcEndpoint).CloseDataChannel, rpc.Arg("channelId")),
		},
		Events: []string{"IceCandidateFound", "IceGatheringDone", "IceComponentStateChanged", "DtlsConnectionStateChange",
			"DataChannelOpened", "DataChannelClosed", "NewCandidatePairSelected"}}
	for _, name := range []string{"networkInterfaces", "stunServerAddress", "turnUrl", "externalIPv4", "externalIPv6"} {
		e.Props = append(e.Props, rpc.Property(name, (*WebRtcEndpoint).text, (*WebRtcEndpoint).setText))
	}
	e.Props = append(e.Props,
		rpc.Property("iceTcp", (*WebRtcEndpoint).IceTCP, (*WebRtcEndpoint).SetIceTCP),
		rpc.Property("stunServerPort", (*WebRtcEndpoint).StunServerPort, (*WebRtcEndpoint).SetStunServerPort),
		rpc.ReadOnly("ICECandidatePairs", (*WebRtcEndpoint).CandidatePairs),
		rpc.ReadOnly("IceConnectionState", (*WebRtcEndpoint).IceConnectionState),
		rpc.ReadOnly("DtlsConnectionState", (*WebRtcEndpoint).DtlsConnectionState))
	return e
}

func newWebRtcEndpoint(_ *rpc.Object, _ *Pipeline, _, _, _ bool, _ CertificateKeyType, _ DSCPValue) (*WebRtcEndpoint, error) {
	return nil, missing("WebRtcEndpoint")
}

func (e *WebRtcEndpoint) text() (string, error) { return "", missing("WebRtcEndpoint") }
func (e *WebRtcEndpoint) setText(string) error  { return missing("WebRtcEndpoint") }

// IceTCP tells whether candidates over TCP are used.
func (e *WebRtcEndpoint) IceTCP() (bool, error) { return false, missing("WebRtcEndpoint") }

// SetIceTCP says whether candidates over TCP are used.
func (e *WebRtcEndpoint) SetIceTCP(bool) error { return missing("WebRtcEndpoint") }

// StunServerPort is the STUN server's.
func (e *WebRtcEndpoint) StunServerPort() (int, error) { return 0, missing("WebRtcEndpoint") }

// SetStunServerPort sets the STUN server's.
func (e *WebRtcEndpoint) SetStunServerPort(int) error { return missing("WebRtcEndpoint") }

// CandidatePairs are those that are in use.
func (e *WebRtcEndpoint) CandidatePairs() ([]IceCandidatePair, error) {
	return nil, missing("WebRtcEndpoint")
}

// IceConnectionState tells how far ICE is.
func (e *WebRtcEndpoint) IceConnectionState() ([]IceConnection, error) {
	return nil, missing("WebRtcEndpoint")
}

// DtlsConnectionState tells how far DTLS is.
func (e *WebRtcEndpoint) DtlsConnectionState() ([]DtlsConnection, error) {
	return nil, missing("WebRtcEndpoint")
}

// GatherCandidates begins to look for candidates.
func (e *WebRtcEndpoint) GatherCandidates() error { return missing("WebRtcEndpoint") }

// AddIceCandidate takes one of the peer's candidates.
func (e *WebRtcEndpoint) AddIceCandidate(IceCandidate) error { return missing("WebRtcEndpoint") }

// CreateDataChannel opens a data channel.
func (e *WebRtcEndpoint) CreateDataChannel(_ string, _ bool, _, _ int, _ string) error {
	return missing("WebRtcEndpoint")
}

// CloseDataChannel closes a data channel.
func (e *WebRtcEndpoint) CloseDataChannel(int) error { return missing("WebRtcEndpoint") }
