package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/opus"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
)

// newRTP makes what stands behind an RtpEndpoint: ports of media.ports on the first of media.addresses of the family that is
// asked for.
func (s *server) newRTP(o kurento.RTPOptions) (kurento.RTP, error) {
	addr, ports, ok := s.gateway.MediaPorts(o.IPv6)
	if !ok {
		family := map[bool]string{false: "IPv4", true: "IPv6"}[o.IPv6]
		return nil, rpc.Errorf(rpc.NotSupported, "This server has no media address of %s", family)
	}
	cfg := rtp.Config{Net: s.net, Ports: ports, Bind: addr.Bind, Advertise: addr.Advertise, Formats: rtpFormats(s.cfg.Media.Codecs), Video: videoFormats(),
		Registry: o.Pipeline.Registry(), Timeout: s.cfg.Media.Timeout, Notify: o.Notify, Log: s.log, Name: o.Name, Feedback: true, Comedia: true}
	if cfg.Timeout == 0 {
		cfg.Timeout = -1 // never
	}
	if o.Suite != "" {
		cfg.Key = &rtp.Key{Suite: o.Suite, Key: o.Key}
	}
	e := &rtpEndpoint{give: func() { s.rtpShare.give(o.Tenant) }}
	err := s.rtpShare.take(o.Tenant, func() (taken, all int) {
		n := ports.Stats()
		return n.Used + n.Held, n.Free + n.Used + n.Held
	}, func() (err error) {
		e.Endpoint, err = rtp.New(cfg)
		return err
	})
	if errors.Is(err, udp.ErrExhausted) {
		return nil, &rpc.Error{Code: rpc.NotEnoughResources, Message: "All media ports are in use", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("endpoint of RTP: %w", err)
	}
	return e, nil
}

// rtpEndpoint is an endpoint of the programs' share.
type rtpEndpoint struct {
	*rtp.Endpoint
	once sync.Once
	give func()
}

// Close ends the endpoint and gives its ports back; twice is as good as once.
func (e *rtpEndpoint) Close() error {
	err := e.Endpoint.Close()
	e.once.Do(e.give)
	return err
}

// rtpFormats are all that we have, those of a list first and in its order, and telephone-events.
func rtpFormats(codecs []string) []*media.Format {
	var out []*media.Format
	for _, name := range append(slices.Clone(codecs), "opus", "PCMU", "PCMA") {
		f := map[string]*media.Format{"OPUS": opus.Format(), "PCMU": media.PCMU(), "PCMA": media.PCMA()}[strings.ToUpper(name)]
		if f != nil && !slices.ContainsFunc(out, f.Same) {
			out = append(out, f)
		}
	}
	return append(out, media.TelephoneEvent(8000), media.TelephoneEvent(48000))
}
