package kurento

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// WebRTC is what stands behind a WebRtcEndpoint. Its descriptions have no candidates before Gather.
type WebRTC interface {
	media.Endpoint
	// Gather looks for candidates, of which WebRTCOptions.Watch is told.
	Gather() error
	// AddCandidate takes one of the peer's, which may come before its description; "" is the end of them.
	AddCandidate(candidate, mid string, line int) error
	// SetICE says where to look for the peer from now on, or what is wrong with that.
	SetICE(ICE) error
	// Local is our latest description with the candidates found so far; nil before there is one.
	Local() []byte
	// Connectivity is what is known of ICE and DTLS now, in the fields of events.
	Connectivity() WebRTCEvent
	// OpenChannel opens a data channel, of which WebRTCOptions.Watch is told once it is open. It fails with ErrNoData where none
	// were agreed, or not yet.
	OpenChannel(Channel) error
	// CloseChannel closes one, or fails with ErrNoChannel.
	CloseChannel(id int) error
	// Channels are those that there are now, and how many were opened and closed.
	Channels() (list []ChannelStats, opened, closed uint64)
	// Traffic is what went over the path.
	Traffic() Traffic
}

// Channel is a data channel that is to be opened. LifeTime, in ms, and Retransmits are -1 where they aren't said.
type Channel struct {
	Label, Protocol       string
	Unordered             bool
	LifeTime, Retransmits int
}

// ChannelStats are a data channel's counts.
type ChannelStats struct {
	ID                              int
	Label, Protocol                 string
	State                           RTCDataChannelState
	Sent, SentBytes, Came, CameSize uint64
}

// Errors of a WebRTC's data channels.
var (
	ErrNoData    = errors.New("kurento: no data channels are agreed, or they aren't ready yet")
	ErrNoChannel = errors.New("kurento: no such data channel")
	ErrChannels  = errors.New("kurento: too many data channels")
)

// WebRTCOptions are what a WebRtcEndpoint is made with.
type WebRTCOptions struct {
	Pipeline *media.Pipeline // has the registry and the clock
	Name     string          // in logs
	Tenant   string          // whose it is
	Notify   func(media.Notice)
	// Watch is told of ICE and DTLS, one event at a time, and never blocks.
	Watch func(WebRTCEvent)
	ECDSA bool // the certificate's key; false = RSA
	Data  bool // with data channels
	DSCP  int  // of what is sent to the peer, 1 to 63, -1 = none; 0 = the server's own
}

// WebRTCEvent is what a WebRTC tells of ICE and DTLS. Of an event exactly one field is set.
type WebRTCEvent struct {
	Candidate *IceCandidate // one of ours
	Gathered  bool          // there will be no more
	ICE       IceComponentState
	Pair      *IceCandidatePair // another path is used: its two ends
	DTLS      DtlsConnectionState
	Opened    *int // id of a data channel
	Closed    *int
}

// ICE is where a WebRtcEndpoint looks for its peer.
type ICE struct {
	STUN       string // host:port; "" = none
	TURN       TURN
	Interfaces []string // names of network interfaces; nil = all
	NoTCP      bool
	// Foreign are those hosts of STUN and TURN that a client on another host named: none that is this machine, or that is seen
	// from nowhere else, is reached for it, whatever its name leads to. SetICE refuses what can be told at once with ErrICEHost.
	Foreign []string
	// Addresses that stand for all of ours of their family.
	External4, External6 netip.Addr
}

// TURN is a server that relays.
type TURN struct {
	Address   string // host:port; "" = none
	Transport string // udp, tcp or tls
	User      string
	Password  string
}

// WebRtcEndpoint speaks to a browser.
type WebRtcEndpoint struct {
	BaseRtpEndpoint
	web WebRTC

	setting sync.Mutex
	ice     iceSettings
}

func (k *Core) webRtcEndpointClass() *rpc.Class {
	e := &rpc.Class{Name: "WebRtcEndpoint", Doc: "Exchanges media and data with a browser.", Extends: k.BaseRtpEndpoint, Parent: k.Pipeline,
		New: rpc.Make(k.newWebRtcEndpoint, rpc.Arg("mediaPipeline"), rpc.OptArg("recvonly", false), rpc.OptArg("sendonly", false),
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
	for _, s := range iceTexts() {
		e.Props = append(e.Props, rpc.Property(s.name,
			func(e *WebRtcEndpoint, ctx context.Context) string { return e.text(ctx, s) },
			func(e *WebRtcEndpoint, ctx context.Context, v string) error { return e.setText(ctx, s, v) }))
	}
	e.Props = append(e.Props,
		rpc.Property("iceTcp", (*WebRtcEndpoint).IceTCP, (*WebRtcEndpoint).SetIceTCP),
		rpc.Property("stunServerPort", (*WebRtcEndpoint).StunServerPort, (*WebRtcEndpoint).SetStunServerPort),
		rpc.ReadOnly("ICECandidatePairs", (*WebRtcEndpoint).CandidatePairs),
		rpc.ReadOnly("IceConnectionState", (*WebRtcEndpoint).IceConnectionState),
		rpc.ReadOnly("DtlsConnectionState", (*WebRtcEndpoint).DtlsConnectionState))
	return e
}

func (k *Core) newWebRtcEndpoint(self *rpc.Object, p *Pipeline, recvonly, sendonly, data bool, key CertificateKeyType, qos DSCPValue) (*WebRtcEndpoint, error) {
	if k.cfg.WebRTC == nil {
		return nil, rpc.Errorf(rpc.NotSupported, noWebRTC)
	}
	want, err := wanted(recvonly, sendonly)
	if err != nil {
		return nil, err
	}
	e := &WebRtcEndpoint{ice: iceSettings{port: defaultSTUN, tcp: true}}
	e.web, err = k.cfg.WebRTC(WebRTCOptions{Pipeline: p.Media(), Name: self.ID(), Tenant: self.Tenant(), Notify: e.Notice, Watch: e.event,
		ECDSA: key == CertificateKeyTypeEcdsa, Data: data, DSCP: qos.dscp()})
	if err != nil {
		return nil, err
	}
	e.Begin(self, p, e.web, want)
	e.SetStats(func(kind MediaType, base ElementStats) map[string]AnyStats {
		return e.statsOf(kind, e.counts.Of(e.endpoint, kind, base))
	})
	return e, nil
}

// Close ends the element's connections, then the endpoint.
func (e *WebRtcEndpoint) Close() error { return errors.Join(e.Element.Close(), e.web.Close()) }

// The one transport of an endpoint, as events name it.
const (
	iceStream    = 1
	iceStreamID  = "1"
	iceComponent = 1
)

// event tells of ICE and DTLS. It is called on the packet path.
func (e *WebRtcEndpoint) event(v WebRTCEvent) {
	switch {
	case v.Candidate != nil:
		e.self.Post(IceCandidateFound{Candidate: *v.Candidate})
	case v.Gathered:
		e.self.Post(IceGatheringDone{})
	case v.ICE != "":
		e.self.Post(IceComponentStateChanged{StreamID: iceStream, ComponentID: iceComponent, State: v.ICE})
		if v.ICE == IceComponentStateDisconnected || v.ICE == IceComponentStateFailed {
			e.SetConnectionState(ConnectionStateDisconnected)
		} else if v.ICE == IceComponentStateConnected && e.web.Connectivity().DTLS == DtlsConnectionStateConnected {
			e.SetConnectionState(ConnectionStateConnected)
		}
	case v.Opened != nil:
		e.self.Post(DataChannelOpened{ChannelID: *v.Opened})
	case v.Closed != nil:
		e.self.Post(DataChannelClosed{ChannelID: *v.Closed})
	case v.Pair != nil:
		e.self.Post(NewCandidatePairSelected{CandidatePair: *v.Pair})
	case v.DTLS != "":
		e.self.Post(DtlsConnectionStateChange{StreamID: iceStreamID, ComponentID: "1", ConnectionID: "default", State: v.DTLS})
		if v.DTLS == DtlsConnectionStateConnected {
			e.SetConnectionState(ConnectionStateConnected)
		} else if v.DTLS != DtlsConnectionStateConnecting {
			e.SetConnectionState(ConnectionStateDisconnected)
		}
	}
}

// CandidatePairs are those that are in use: one, or none before there is a path.
func (e *WebRtcEndpoint) CandidatePairs() []IceCandidatePair {
	if p := e.web.Connectivity().Pair; p != nil {
		return []IceCandidatePair{*p}
	}
	return []IceCandidatePair{}
}

// IceConnectionState tells how far ICE is.
func (e *WebRtcEndpoint) IceConnectionState() []IceConnection {
	return []IceConnection{{StreamID: iceStreamID, ComponentID: iceComponent, State: e.web.Connectivity().ICE}}
}

// DtlsConnectionState tells how far DTLS is.
func (e *WebRtcEndpoint) DtlsConnectionState() []DtlsConnection {
	return []DtlsConnection{{StreamID: iceStreamID, ComponentID: "1", ConnectionID: "default", State: e.web.Connectivity().DTLS}}
}

// GatherCandidates begins to look for candidates, which IceCandidateFound tells one by one.
func (e *WebRtcEndpoint) GatherCandidates() error {
	if err := e.web.Gather(); err != nil {
		return &rpc.Error{Code: rpc.GatherCandidates, Message: "Candidates can't be gathered", Err: err}
	}
	return nil
}

// AddIceCandidate takes one of the peer's candidates, which may come before its description. An empty one is the end of
// them. It fails with AddCandidate if it can't be read.
func (e *WebRtcEndpoint) AddIceCandidate(c IceCandidate) error {
	if err := e.web.AddCandidate(c.Candidate, c.SdpMid, c.SdpMLineIndex); err != nil {
		return &rpc.Error{Code: rpc.AddCandidate, Message: fmt.Sprintf("Candidate can't be added: %.200q", c.Candidate), Err: err}
	}
	return nil
}

// mostOf is the most that a channel's lifetime, in ms, and retransmissions may be: more is taken for it.
const mostOf = 65535

// CreateDataChannel opens a data channel; DataChannelOpened tells its id. It fails with NotSupported where none were agreed, or
// before they are ready, and with IllegalParam if both bounds are set.
func (e *WebRtcEndpoint) CreateDataChannel(label string, ordered bool, lifetime, retransmits int, protocol string) error {
	if lifetime >= 0 && retransmits >= 0 {
		return rpc.Errorf(rpc.IllegalParam, "'maxPacketLifeTime' is %d and 'maxRetransmits' %d, only one of them may be set", lifetime, retransmits)
	}
	for name, s := range map[string]string{"label": label, "protocol": protocol} {
		if len(s) > mostOf {
			return rpc.Errorf(rpc.IllegalParam, "'%s' has %d bytes, should have %d at most", name, len(s), mostOf)
		}
	}
	err := e.web.OpenChannel(Channel{Label: label, Protocol: protocol, Unordered: !ordered, LifeTime: min(lifetime, mostOf), Retransmits: min(retransmits, mostOf)})
	switch {
	case errors.Is(err, ErrNoData):
		return rpc.Errorf(rpc.NotSupported, "Data channels aren't negotiated, or not ready yet")
	case errors.Is(err, ErrChannels):
		return &rpc.Error{Code: rpc.NotEnoughResources, Message: "Endpoint has all the data channels that it may have", Err: err}
	}
	return err
}

// CloseDataChannel closes a data channel. It fails with IllegalParam if there is none of that id.
func (e *WebRtcEndpoint) CloseDataChannel(id int) error {
	err := e.web.CloseChannel(id)
	switch {
	case errors.Is(err, ErrNoData):
		return rpc.Errorf(rpc.NotSupported, "Data channels aren't negotiated, or not ready yet")
	case errors.Is(err, ErrNoChannel):
		return rpc.Errorf(rpc.IllegalParam, "'channelId' is %d: no data channel has it", id)
	}
	return err
}
