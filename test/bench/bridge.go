//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/udp"
)

// bridges relays as a call does: two RTP endpoints that negotiated PCMU with their peers and are linked both ways in a
// pipeline, with source lock, sequence checks, statistics, RTCP and silence watch.
type bridges struct {
	net      *udp.Net
	ports    *udp.Ports
	ip       netip.Addr
	registry *media.Registry
	calls    []*bridge
	sink     *udp.Socket // takes the RTCP of all legs, and says nothing
}

type bridge struct {
	pipeline *media.Pipeline
	a, b     *rtp.Endpoint
}

func newBridges(n *udp.Net, ports *udp.Ports, ip netip.Addr) (*bridges, error) {
	sink, err := n.Open(netip.AddrPortFrom(generator, 0), silent{})
	if err != nil {
		return nil, err
	}
	r := media.NewRegistry()
	r.Register(g711.Conversions()...)
	return &bridges{net: n, ports: ports, ip: ip, registry: r, sink: sink}, nil
}

// generator is where the load comes from: two sockets a call, from port 20000 up.
var generator = netip.AddrFrom4([4]byte{127, 77, 0, 2})

func (r *bridges) Call() (call, error) {
	c := &bridge{pipeline: media.NewPipeline(media.Config{Registry: r.registry})}
	var err error
	if c.a, err = r.leg(c.pipeline, 2*len(r.calls)); err == nil {
		c.b, err = r.leg(c.pipeline, 2*len(r.calls)+1)
	}
	if err == nil {
		err = c.pipeline.Bridge(c.a, c.b, media.Pad{})
	}
	if err != nil {
		return nil, errors.Join(err, c.pipeline.Close())
	}
	if len(r.calls) < maxCalls { // calls that come and go beside have no load, and share the last port
		r.calls = append(r.calls, c)
	}
	return c, nil
}

func (r *bridges) leg(p *media.Pipeline, index int) (*rtp.Endpoint, error) {
	e, err := rtp.New(rtp.Config{Net: r.net, Ports: r.ports, Bind: r.ip, Registry: r.registry, Signalling: generator})
	if err != nil {
		return nil, err
	}
	if err := p.Add(e); err != nil {
		return nil, err
	}
	offer := fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0 8 101\r\n"+
		"a=rtpmap:101 telephone-event/8000\r\na=rtcp:%d\r\n", generator, generator, 20000+index, r.sink.LocalAddr().Port())
	answer, err := e.Answer(context.Background(), offer, media.Want{})
	if err != nil {
		return nil, err
	}
	return e, answer.Commit()
}

func (r *bridges) Packets() uint64 {
	var n uint64
	var s media.Snapshot
	for _, c := range r.calls {
		s.Streams = s.Streams[:0]
		c.a.Stats(&s)
		c.b.Stats(&s)
		for _, st := range s.Streams {
			if !st.Inbound {
				n += st.Packets
			}
		}
	}
	return n
}

func (c *bridge) Ports() (a, b uint16) {
	return c.a.Negotiated().Local.Port(), c.b.Negotiated().Local.Port()
}

func (c *bridge) Close() error { return c.pipeline.Close() }
