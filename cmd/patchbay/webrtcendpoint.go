package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/webrtc"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// webEndpoint is an endpoint of browsers' media as Kurento's classes want it.
type webEndpoint struct {
	*webrtc.Endpoint
	hosts []string // STUN and TURN servers that every client may name
	once  sync.Once
	give  func()
}

// Close ends the endpoint and gives its place on the port back; twice is as good as once.
func (e *webEndpoint) Close() error {
	err := e.Endpoint.Close()
	e.once.Do(e.give)
	return err
}

// webEndpoints makes what stands behind a WebRtcEndpoint; nil if browsers' media is switched off.
func (s *server) webEndpoints() func(kurento.WebRTCOptions) (kurento.WebRTC, error) {
	if s.browsers == nil {
		return nil
	}
	return func(o kurento.WebRTCOptions) (kurento.WebRTC, error) { return s.newWebEndpoint(o) }
}

func (s *server) newWebEndpoint(o kurento.WebRTCOptions) (*webEndpoint, error) {
	c := webrtc.Config{
		Port: s.browsers, Registry: o.Pipeline.Registry(), Notify: o.Notify, Log: s.log.With("element", o.Name), Trickle: true, Key: webrtc.RSA,
		// As Kurento has them.
		Formats: []*media.Format{{Codec: "OPUS", Clock: 48000, Channels: 2}, media.PCMU(), media.PCMA(), media.TelephoneEvent(8000)},
		Video:   videoFormats(),
		Data:    o.Data,
		DSCP:    o.DSCP,
		Watch:   func(e webrtc.Event) { o.Watch(webEvent(e)) },
	}
	if o.ECDSA {
		c.Key = webrtc.ECDSA
	}
	e := &webEndpoint{hosts: s.cfg.RPC.ICEHosts, give: func() { s.webShare.give(o.Tenant) }}
	err := s.webShare.take(o.Tenant, s.browsers.Room, func() (err error) {
		e.Endpoint, err = webrtc.New(c)
		return err
	})
	if errors.Is(err, webrtc.ErrFull) {
		return nil, &rpc.Error{Code: rpc.NotEnoughResources, Message: "All endpoints of browsers are in use", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("endpoint of WebRTC: %w", err)
	}
	return e, nil
}

// videoFormats are those that pass through, as our offers have them: first what every peer and every recorder takes.
func videoFormats() []*media.Format {
	h264 := func(mode, profile string) *media.Format {
		return media.VideoFormat("H264", "level-asymmetry-allowed=1;packetization-mode="+mode+";profile-level-id="+profile)
	}
	return []*media.Format{
		media.VideoFormat("VP8", ""), h264("1", "42e01f"), h264("1", "42001f"), h264("1", "4d001f"), h264("1", "64001f"), h264("1", "640c1f"),
		h264("0", "42e01f"), h264("0", "42001f"), media.VideoFormat("VP9", ""), media.VideoFormat("AV1", ""), media.VideoFormat("H265", ""),
	}
}

// OpenChannel opens a data channel.
func (e *webEndpoint) OpenChannel(c kurento.Channel) error {
	return channelError(e.Endpoint.OpenChannel(webrtc.ChannelOptions{
		Label: c.Label, Protocol: c.Protocol, Unordered: c.Unordered, MaxLife: c.LifeTime, MaxAgain: c.Retransmits}))
}

// CloseChannel closes one.
func (e *webEndpoint) CloseChannel(id int) error { return channelError(e.Endpoint.CloseChannel(id)) }

// Channels are those that there are now.
func (e *webEndpoint) Channels() (list []kurento.ChannelStats, opened, closed uint64) {
	all, opened, closed := e.Endpoint.Channels()
	for _, c := range all {
		list = append(list, kurento.ChannelStats{ID: c.ID, Label: c.Label, Protocol: c.Protocol, State: kurento.RTCDataChannelState(c.State),
			Sent: c.Sent, SentBytes: c.SentBytes, Came: c.Came, CameSize: c.CameSize})
	}
	return list, opened, closed
}

// Traffic is what went over the path.
func (e *webEndpoint) Traffic() kurento.Traffic { return kurento.Traffic(e.Endpoint.Traffic()) }

// channelError is an error of data channels as Kurento's classes know it.
func channelError(err error) error {
	switch {
	case errors.Is(err, webrtc.ErrNoData):
		return kurento.ErrNoData
	case errors.Is(err, webrtc.ErrNoChannel):
		return kurento.ErrNoChannel
	case errors.Is(err, webrtc.ErrChannels):
		return kurento.ErrChannels
	}
	return err
}

// SetICE says where to look for the peer.
func (e *webEndpoint) SetICE(c kurento.ICE) error {
	listed := func(host string) bool {
		return slices.ContainsFunc(e.hosts, func(h string) bool { return strings.EqualFold(h, host) })
	}
	err := e.Endpoint.SetICE(webrtc.ICE{
		STUN: c.STUN, TURN: webrtc.TURN(c.TURN), Interfaces: c.Interfaces, NoTCP: c.NoTCP, External4: c.External4, External6: c.External6,
		Foreign: slices.DeleteFunc(c.Foreign, listed),
	})
	if errors.Is(err, webrtc.ErrForeign) {
		return kurento.ErrICEHost
	}
	return err
}

// Connectivity is what is known of ICE and DTLS now.
func (e *webEndpoint) Connectivity() kurento.WebRTCEvent {
	c := e.Endpoint.Connectivity()
	out := kurento.WebRTCEvent{ICE: kurento.IceComponentState(c.ICE.String()), DTLS: kurento.DtlsConnectionState(c.DTLS.String())}
	if c.Pair != (webrtc.PairSelected{}) {
		out.Pair = webEvent(c.Pair).Pair
	}
	return out
}

func webEvent(e webrtc.Event) kurento.WebRTCEvent {
	switch e := e.(type) {
	case webrtc.CandidateFound:
		return kurento.WebRTCEvent{Candidate: &kurento.IceCandidate{Candidate: e.Candidate, SdpMid: e.MID, SdpMLineIndex: e.Line}}
	case webrtc.GatheringDone:
		return kurento.WebRTCEvent{Gathered: true}
	case webrtc.ComponentChanged:
		return kurento.WebRTCEvent{ICE: kurento.IceComponentState(e.State.String())}
	case webrtc.PairSelected:
		return kurento.WebRTCEvent{Pair: &kurento.IceCandidatePair{StreamID: "1", ComponentID: 1, LocalCandidate: e.Local, RemoteCandidate: e.Remote}}
	case webrtc.ChannelOpened:
		return kurento.WebRTCEvent{Opened: &e.ID}
	case webrtc.ChannelClosed:
		return kurento.WebRTCEvent{Closed: &e.ID}
	case webrtc.HandshakeChanged:
		return kurento.WebRTCEvent{DTLS: kurento.DtlsConnectionState(e.State.String())}
	}
	return kurento.WebRTCEvent{}
}
