//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/opus"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc"
)

// Where the two sides of a call are.
var (
	ours   = netip.AddrFrom4([4]byte{127, 77, 0, 1})
	theirs = netip.AddrFrom4([4]byte{127, 77, 0, 2})
)

// patchbay bridges as the gateway does: two endpoints that have negotiated, linked both ways in a pipeline.
type patchbay struct {
	kind     string
	net      *udp.Net
	ports    *udp.Ports
	shared   *webrtc.Port // of browsers
	registry *media.Registry

	mu    sync.Mutex
	calls []*media.Pipeline
}

func newPatchbay(kind string) (_ *patchbay, err error) {
	p := &patchbay{kind: kind, registry: media.NewRegistry()}
	p.registry.Register(g711.Conversions()...)
	p.registry.Register(opus.Conversions()...)
	if p.ports, err = udp.NewPorts(udp.PortsConfig{Min: 30000, Max: 59999, Hold: -1}); err != nil {
		return nil, err
	}
	if p.net, err = udp.New(udp.Config{}); err != nil {
		return nil, err
	}
	p.shared, err = webrtc.NewPort(webrtc.PortConfig{Net: p.net, Bind: []netip.AddrPort{netip.AddrPortFrom(ours, 0)}})
	if err != nil {
		return nil, errors.Join(err, p.net.Close())
	}
	return p, nil
}

// Call sets up a call whose first leg made the offer.
func (p *patchbay) Call(o order) (reply, error) {
	pipeline := media.NewPipeline(media.Config{Registry: p.registry})
	r, err := p.call(pipeline, o)
	if err != nil {
		return reply{}, errors.Join(err, pipeline.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, pipeline)
	return r, nil
}

func (p *patchbay) call(pipeline *media.Pipeline, o order) (reply, error) {
	phone, err := p.plain(o.Phone.Addr(), []*media.Format{media.PCMU()})
	if err != nil {
		return reply{}, err
	}
	if err := pipeline.Add(phone); err != nil {
		return reply{}, err
	}
	first, err := p.first(o)
	if err != nil {
		return reply{}, err
	}
	if err := pipeline.Add(first); err != nil {
		return reply{}, err
	}
	if _, err := answer(phone, phoneOffer(o.Phone), media.Want{}); err != nil {
		return reply{}, fmt.Errorf("the phone's leg: %w", err)
	}
	sdp, err := answer(first, []byte(o.Offer), p.want())
	if err != nil {
		return reply{}, fmt.Errorf("the first leg: %w", err)
	}
	return reply{Answer: string(sdp), Media: phone.Negotiated().Local}, pipeline.Bridge(first, phone, media.Pad{})
}

// first is the endpoint that faces who made the offer.
func (p *patchbay) first(o order) (media.Endpoint, error) {
	if p.kind == kindWebRTC {
		return webrtc.New(webrtc.Config{Port: p.shared, Shared: true, Registry: p.registry, Stack: webrtc.Own})
	}
	return p.plain(o.Phone.Addr(), []*media.Format{opus.Format()})
}

// want is what the gateway asks for: Opus that goes on to a telephone needn't be wider than one.
func (p *patchbay) want() media.Want {
	if p.kind != kindOpus {
		return media.Want{}
	}
	f := opus.Format()
	f.Params = opus.NarrowParams
	return media.Want{Formats: []*media.Format{f}}
}

func (p *patchbay) plain(peer netip.Addr, formats []*media.Format) (*rtp.Endpoint, error) {
	return rtp.New(rtp.Config{Net: p.net, Ports: p.ports, Bind: ours, Registry: p.registry, Signalling: peer, Formats: formats})
}

// phoneOffer is what a phone that has PCMU alone would offer. Its RTCP comes to the same port.
func phoneOffer(at netip.AddrPort) []byte {
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=rtcp:%d\r\n",
		at.Addr(), at.Addr(), at.Port(), at.Port())
}

func answer(e media.Endpoint, offer []byte, w media.Want) ([]byte, error) {
	a, err := e.Answer(context.Background(), offer, w)
	if err != nil {
		return nil, err
	}
	if err := a.Commit(); err != nil {
		a.Rollback()
		return nil, err
	}
	return a.SDP(), nil
}

// Close ends all calls.
func (p *patchbay) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.calls {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, p.shared.Close(), p.net.Close(), p.registry.Close())...)
}
