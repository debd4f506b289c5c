package kurento

import (
	"reflect"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// SdpEndpoint is what every endpoint embeds that negotiates by SDP. The embedder's constructor calls Begin instead of Init; its
// Close calls Element's, then that of the media endpoint.
type SdpEndpoint struct {
	SessionEndpoint
	endpoint media.Endpoint
	want     media.Want
	bounded  func() // what the peer may send has changed; may be nil
	agreed   func() // after the first terms, if media is among them; may be nil

	mu           sync.Mutex // one negotiation at a time
	stage        stage
	restart      bool        // the next offer of ours restarts ICE
	offer        media.Offer // of ours that waits; nil if it has no line that can carry media
	local        string
	remote       string
	audio, video int // kbit/s that the peer may send at most; 0 = not said
}

// stage is how far the negotiation is.
type stage uint8

const (
	idle     stage = iota
	offered        // ours waits for its answer
	answered       // ours has its answer
	taken          // the peer's has our answer
)

func (k *Core) sdpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "SdpEndpoint", Doc: "Negotiates by SDP.", Extends: k.SessionEndpoint, Abstract: true, Type: reflect.TypeFor[*SdpEndpoint](),
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
			rpc.Method("renegotiate", (*SdpEndpoint).Renegotiate, rpc.OptArg("iceRestart", false)),
		}}
}

// Begin makes the element ready. endpoint has its pads and negotiates; it stays the caller's, who closes it after Element's
// Close. want is what it negotiates, where an operation doesn't say otherwise.
func (e *SdpEndpoint) Begin(self *rpc.Object, p *Pipeline, endpoint media.Endpoint, want media.Want) {
	e.endpoint, e.want = endpoint, want
	e.Init(self, p, endpoint)
}

// MaxAudioRecvBandwidth is what our SDP asks of the peer's audio (b=AS), kbit/s; 0 = nothing.
func (e *SdpEndpoint) MaxAudioRecvBandwidth() int { return e.bandwidth(&e.audio) }

// SetMaxAudioRecvBandwidth sets what our next SDP asks of the peer's audio, kbit/s; 0 = nothing.
func (e *SdpEndpoint) SetMaxAudioRecvBandwidth(v int) error {
	return e.setBandwidth("maxAudioRecvBandwidth", &e.audio, v)
}

// MaxVideoRecvBandwidth is what the peer is asked to send of video at most, kbit/s, in our SDP and later; 0 = nothing.
func (e *SdpEndpoint) MaxVideoRecvBandwidth() int { return e.bandwidth(&e.video) }

// SetMaxVideoRecvBandwidth sets what the peer is asked to send of video at most, kbit/s; 0 = nothing.
func (e *SdpEndpoint) SetMaxVideoRecvBandwidth(v int) error {
	err := e.setBandwidth("maxVideoRecvBandwidth", &e.video, v)
	if err == nil && e.bounded != nil {
		e.bounded()
	}
	return err
}

func (e *SdpEndpoint) bandwidth(of *int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return *of
}

func (e *SdpEndpoint) setBandwidth(name string, of *int, v int) error {
	if v < 0 {
		return rpc.Errorf(rpc.IllegalParam, "'%s' is %d kbit/s, should be 0 or more", name, v)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	*of = v
	return nil
}

// LocalSessionDescriptor is our SDP.
func (e *SdpEndpoint) LocalSessionDescriptor() (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.local == "" {
		return "", rpc.Errorf(rpc.NoLocalSDP, "No local SDP: there was no offer yet")
	}
	if l, ok := e.endpoint.(interface{ Local() []byte }); ok { // candidates are found later
		if b := l.Local(); b != nil {
			return string(b), nil
		}
	}
	return e.local, nil
}

// RemoteSessionDescriptor is the peer's SDP.
func (e *SdpEndpoint) RemoteSessionDescriptor() (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.remote == "" {
		return "", rpc.Errorf(rpc.NoRemoteSDP, "No remote SDP: the peer's wasn't processed yet")
	}
	return e.remote, nil
}
