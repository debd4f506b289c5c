//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// peerConnections bridges with pion's PeerConnection as its examples do: default interceptors, a goroutine that reads the track
// and one that reads the phone's socket.
type peerConnections struct {
	pion *pion
	work sync.WaitGroup

	mu    sync.Mutex
	calls []*peerConnection
}

type peerConnection struct {
	pc    *webrtc.PeerConnection
	phone *net.UDPConn
}

func newPeerConnections() (*peerConnections, error) {
	p, err := newPion(true)
	if err != nil {
		return nil, err
	}
	return &peerConnections{pion: p}, nil
}

// pion makes PeerConnections with PCMU alone, on the loopback's own address (it asks the interface for them), with one certificate.
type pion struct {
	api         *webrtc.API
	certificate webrtc.Certificate
}

// newPion has pion's default interceptors if asked for, or none.
func newPion(interceptors bool) (*pion, error) {
	engine, chain := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: pcmu()}, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	if interceptors {
		if err := webrtc.RegisterDefaultInterceptors(engine, chain); err != nil {
			return nil, err
		}
	}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	return &pion{webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(chain), webrtc.WithSettingEngine(settings)), *certificate}, nil
}

func pcmu() webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}
}

func (p *pion) connection() (*webrtc.PeerConnection, *webrtc.TrackLocalStaticRTP, *webrtc.RTPSender, error) {
	pc, err := p.api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{p.certificate}})
	if err != nil {
		return nil, nil, nil, err
	}
	track, err := webrtc.NewTrackLocalStaticRTP(pcmu(), "audio", "bench")
	if err != nil {
		return nil, nil, nil, errors.Join(err, pc.Close())
	}
	sender, err := pc.AddTrack(track)
	if err != nil {
		return nil, nil, nil, errors.Join(err, pc.Close())
	}
	return pc, track, sender, nil
}

// drain reads RTCP, which makes the interceptors work.
func drain(r interface {
	Read([]byte) (int, interceptor.Attributes, error)
}) {
	for p := make([]byte, 1500); ; {
		if _, _, err := r.Read(p); err != nil {
			return
		}
	}
}

// local sets a description and gives it with all candidates.
func local(pc *webrtc.PeerConnection, d webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

// Call sets up one call.
func (p *peerConnections) Call(o order) (reply, error) {
	pc, track, sender, err := p.pion.connection()
	if err != nil {
		return reply{}, err
	}
	phone, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ours, 0)))
	if err != nil {
		return reply{}, errors.Join(err, pc.Close())
	}
	p.mu.Lock()
	p.calls = append(p.calls, &peerConnection{pc, phone})
	p.mu.Unlock()
	p.work.Go(func() { drain(sender) })
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		go drain(r) // ends with the connection
		for b := make([]byte, 1500); ; {
			n, _, err := t.Read(b)
			if err != nil {
				return
			}
			_, _ = phone.WriteToUDPAddrPort(b[:n], o.Phone) // a packet that can't be sent is lost
		}
	})
	p.work.Go(func() {
		for b := make([]byte, 1500); ; {
			n, _, err := phone.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = track.Write(b[:n])
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.Offer}); err != nil {
		return reply{}, err
	}
	a, err := pc.CreateAnswer(nil)
	if err != nil {
		return reply{}, err
	}
	sdp, err := local(pc, a)
	return reply{Answer: sdp, Media: phone.LocalAddr().(*net.UDPAddr).AddrPort()}, err
}

// Close ends all calls.
func (p *peerConnections) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.calls {
		errs = append(errs, c.pc.Close(), c.phone.Close())
	}
	p.work.Wait()
	return errors.Join(errs...)
}
