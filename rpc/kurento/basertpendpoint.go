package kurento

import (
	"reflect"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/rpc"
)

// BaseRtpEndpoint is what every endpoint embeds that exchanges RTP with its peer. The embedder hands Notice to what stands
// behind it, and says by SetConnectionState when the transport is ready and when it isn't any more.
type BaseRtpEndpoint struct {
	SdpEndpoint
	counts RTPStats

	state    sync.Mutex
	mediaNow MediaState
	linkNow  ConnectionState
	minRecv  int // kbit/s of video
	minSend  int
	maxSend  int
	mtu      int
	remb     RembParams
}

func (k *Core) baseRtpEndpointClass() *rpc.Class {
	return &rpc.Class{Name: "BaseRtpEndpoint", Doc: "Exchanges RTP with its peer.", Extends: k.SdpEndpoint, Abstract: true, Type: reflect.TypeFor[*BaseRtpEndpoint](),
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

const (
	leastMTU = 68    // RFC 791 3.2
	mostMTU  = 65535 // bytes
)

// Begin makes the element ready, as SdpEndpoint's does.
func (e *BaseRtpEndpoint) Begin(self *rpc.Object, p *Pipeline, endpoint media.Endpoint, want media.Want) {
	e.mediaNow, e.linkNow = MediaStateDisconnected, ConnectionStateDisconnected
	e.minSend, e.maxSend, e.mtu = 100, 500, 1200
	e.remb = RembParams{PacketsRecvIntervalTop: 100, ExponentialFactor: 0.04, LinealFactorGrade: 30, DecrementFactor: 0.5,
		ThresholdFactor: 0.8, UpLosses: 12, RembOnConnect: 300_000}
	e.counts = NewRTPStats()
	e.bounded = e.bound
	e.SdpEndpoint.Begin(self, p, endpoint, want)
	e.bound()
	e.SetStats(func(kind MediaType, base ElementStats) map[string]AnyStats {
		return e.counts.Of(e.endpoint, kind, base)
	})
}

// Notice takes what the endpoint finds out on the packet path, and never blocks: the media's state follows from it.
func (e *BaseRtpEndpoint) Notice(n media.Notice) {
	switch n.(type) {
	case media.Flowing:
		e.setMedia(MediaStateConnected)
	case media.Silent, media.Gone:
		e.setMedia(MediaStateDisconnected)
	case media.Failed:
		e.setMedia(MediaStateDisconnected)
		e.SetConnectionState(ConnectionStateDisconnected)
	}
}

func (e *BaseRtpEndpoint) setMedia(s MediaState) {
	e.state.Lock()
	defer e.state.Unlock()
	if old := e.mediaNow; old != s {
		e.mediaNow = s
		e.self.Post(MediaStateChanged{OldState: old, NewState: s})
	}
}

// SetConnectionState says whether the transport is ready, and tells of a change. It never blocks.
func (e *BaseRtpEndpoint) SetConnectionState(s ConnectionState) {
	e.state.Lock()
	defer e.state.Unlock()
	if old := e.linkNow; old != s {
		e.linkNow = s
		e.self.Post(ConnectionStateChanged{OldState: old, NewState: s})
	}
}

// MediaState tells whether media comes from the peer.
func (e *BaseRtpEndpoint) MediaState() MediaState {
	e.state.Lock()
	defer e.state.Unlock()
	return e.mediaNow
}

// ConnectionState tells whether the transport is ready.
func (e *BaseRtpEndpoint) ConnectionState() ConnectionState {
	e.state.Lock()
	defer e.state.Unlock()
	return e.linkNow
}

// MinVideoRecvBandwidth is the least that the peer is asked to send, kbit/s.
func (e *BaseRtpEndpoint) MinVideoRecvBandwidth() int { return e.number(&e.minRecv) }

// SetMinVideoRecvBandwidth sets the least that the peer is asked to send, kbit/s, at least 0.
func (e *BaseRtpEndpoint) SetMinVideoRecvBandwidth(v int) error {
	return e.setNumber("minVideoRecvBandwidth", &e.minRecv, v, 0, 1<<31-1)
}

// MinVideoSendBandwidth is the least that we send, kbit/s; 100 at first.
func (e *BaseRtpEndpoint) MinVideoSendBandwidth() int { return e.number(&e.minSend) }

// SetMinVideoSendBandwidth sets the least that we send, kbit/s, at least 0.
func (e *BaseRtpEndpoint) SetMinVideoSendBandwidth(v int) error {
	return e.setNumber("minVideoSendBandwidth", &e.minSend, v, 0, 1<<31-1)
}

// MaxVideoSendBandwidth is the most that we send, kbit/s; 0 = no limit; 500 at first.
func (e *BaseRtpEndpoint) MaxVideoSendBandwidth() int { return e.number(&e.maxSend) }

// SetMaxVideoSendBandwidth sets the most that we send, kbit/s, at least 0; 0 = no limit.
func (e *BaseRtpEndpoint) SetMaxVideoSendBandwidth(v int) error {
	return e.setNumber("maxVideoSendBandwidth", &e.maxSend, v, 0, 1<<31-1)
}

// MTU is the most that a packet of video to the peer has, bytes, from its RTP header on; 1200 at first. Audio stays far below.
func (e *BaseRtpEndpoint) MTU() int { return e.number(&e.mtu) }

// SetMTU sets the most that a packet of video to the peer has, 68 to 65535 bytes.
func (e *BaseRtpEndpoint) SetMTU(v int) error {
	return e.setNumber("mtu", &e.mtu, v, leastMTU, mostMTU)
}

func (e *BaseRtpEndpoint) number(of *int) int {
	e.state.Lock()
	defer e.state.Unlock()
	return *of
}

func (e *BaseRtpEndpoint) setNumber(name string, of *int, v, least, most int) error {
	if v < least || v > most {
		return rpc.Errorf(rpc.IllegalParam, "'%s' is %d, should be %d to %d", name, v, least, most)
	}
	e.state.Lock()
	*of = v
	e.state.Unlock()
	e.bound()
	return nil
}

// bound tells the endpoint what video may take. A least above the most is the most.
func (e *BaseRtpEndpoint) bound() {
	b, ok := e.endpoint.(interface{ SetRates(media.Rates) })
	if !ok {
		return
	}
	most := e.MaxVideoRecvBandwidth()
	e.state.Lock()
	defer e.state.Unlock()
	r := media.Rates{MinSend: kilo(e.minSend), MaxSend: kilo(e.maxSend), MinReceive: kilo(e.minRecv), MaxReceive: kilo(most)}
	if r.MaxSend > 0 {
		r.MinSend = min(r.MinSend, r.MaxSend)
	}
	if r.MaxReceive > 0 {
		r.MinReceive = min(r.MinReceive, r.MaxReceive)
	}
	b.SetRates(r)
	if b, ok := e.endpoint.(interface{ SetMTU(bytes int) }); ok {
		b.SetMTU(e.mtu)
	}
}

// kilo is a rate of kbit/s in bit/s.
func kilo(v int) int { return min(v, mostKilo) * 1000 }

const mostKilo = 1_000_000

// RembParams are the terms on which it is estimated, by what gets lost, how much the peer may send, once they were set.
func (e *BaseRtpEndpoint) RembParams() RembParams {
	e.state.Lock()
	defer e.state.Unlock()
	return e.remb
}

// SetRembParams has what the peer may send be estimated on these terms. It fails with IllegalParam where they make no sense.
func (e *BaseRtpEndpoint) SetRembParams(p RembParams) error {
	least := 50 // bit/s, Kurento's own
	if p.LinealFactorMin != nil {
		least = *p.LinealFactorMin
	}
	for _, v := range []struct {
		name        string
		v           float64
		least, most float64
	}{
		{"packetsRecvIntervalTop", float64(p.PacketsRecvIntervalTop), 1, 1e6}, {"exponentialFactor", float64(p.ExponentialFactor), 0, 1},
		{"linealFactorMin", float64(least), 0, 1e9}, {"linealFactorGrade", float64(p.LinealFactorGrade), 1e-3, 1e6},
		{"decrementFactor", float64(p.DecrementFactor), 0, 1}, {"thresholdFactor", float64(p.ThresholdFactor), 0, 1},
		{"upLosses", float64(p.UpLosses), 0, 255}, {"rembOnConnect", float64(p.RembOnConnect), 0, 1e9},
	} {
		if !(v.v >= v.least && v.v <= v.most) {
			return rpc.Errorf(rpc.IllegalParam, "'rembParams.%s' is %v, should be %v to %v", v.name, v.v, v.least, v.most)
		}
	}
	e.state.Lock()
	defer e.state.Unlock()
	e.remb = p
	if b, ok := e.endpoint.(interface{ SetRemb(media.Remb) }); ok {
		b.SetRemb(media.Remb{Packets: p.PacketsRecvIntervalTop, Losses: p.UpLosses, Decrement: float64(p.DecrementFactor), Threshold: float64(p.ThresholdFactor),
			Exponential: float64(p.ExponentialFactor), LinearLeast: float64(least), LinearGrade: float64(p.LinealFactorGrade), OnConnect: p.RembOnConnect})
	}
	return nil
}

// RequestKeyframe asks the peer for a picture that needs no other. It fails with NotSupported while there is no video.
func (e *BaseRtpEndpoint) RequestKeyframe() error {
	if k, ok := e.endpoint.(interface{ RequestKeyframe() error }); ok && k.RequestKeyframe() == nil {
		return nil
	}
	return rpc.Errorf(rpc.NotSupported, "Endpoint has no video: there is no picture to ask for")
}
