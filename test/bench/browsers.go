//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	prtp "github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media/udp"
)

// browser is a client made of pion's PeerConnection: a full ICE agent with DTLS-SRTP on a socket of its own.
type browser struct {
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	id    uint32
	up    chan struct{}
	load  *browserLoad
}

// browserLoad is all of them, and the phones that send back what they get.
type browserLoad struct {
	pion   *pion
	net    *udp.Net
	all    []*browser
	phones []*echoPhone

	said, heard, relayed, wrong atomic.Int64
	timing                      atomic.Bool

	mu      sync.Mutex
	latency []time.Duration
}

// packetBytes is an RTP packet of 20 ms of PCMU.
const packetBytes = 12 + 160

// sampled is of how many packets one is timed.
const sampled = 8

// connectTime is what a client may take for ICE and DTLS; other clients are set up at the same time.
const connectTime = 20 * time.Second

// browsers lets clients talk to phones.
func (j *job) browsers(ctx context.Context) (o outcome, err error) {
	l := &browserLoad{all: make([]*browser, j.legs), phones: make([]*echoPhone, j.legs)}
	if l.pion, err = newPion(false); err != nil {
		return o, err
	}
	if l.net, err = udp.New(udp.Config{Loops: 1}); err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for i := range l.phones {
		if l.phones[i], err = newEchoPhone(l); err != nil {
			return o, err
		}
	}
	before, err := j.account()
	if err != nil {
		return o, err
	}
	if err := j.setUp(ctx, l.connect); err != nil {
		return o, err
	}
	var said, relayed, heard int64
	payload := make([]byte, packetBytes-12)
	o, err = j.measure(ctx, before, func() int64 { return l.relayed.Load() + l.heard.Load() }, func(i int, seq uint16) {
		l.all[i].say(seq, payload)
	}, func() {
		said, relayed, heard = l.said.Load(), l.relayed.Load(), l.heard.Load()
		l.timing.Store(true)
	})
	if err != nil {
		return o, err
	}
	if n := l.wrong.Load(); n > 0 {
		return o, fmt.Errorf("%d packets came to the wrong client, or changed", n)
	}
	said, relayed, heard = l.said.Load()-said, l.relayed.Load()-relayed, l.heard.Load()-heard
	o.Loss = 100 * (1 - float64(heard)/float64(said))
	l.mu.Lock()
	defer l.mu.Unlock()
	o.P50, o.P99 = quantile(l.latency, 0.5), quantile(l.latency, 0.99)
	o.Note = l.all[0].cipher()
	return o, nil
}

// connect makes client i and its call.
func (l *browserLoad) connect(i int, o orders, id string) error {
	b := &browser{id: uint32(i), up: make(chan struct{}), load: l}
	pc, track, sender, err := l.pion.connection()
	if err != nil {
		return err
	}
	l.all[i], b.pc, b.track = b, pc, track
	go drain(sender) // ends with the connection
	var once sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(b.up) })
		}
	})
	pc.OnTrack(b.listen)
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	sdp, err := local(pc, offer)
	if err != nil {
		return err
	}
	r, err := o.call(id, order{Offer: sdp, Phone: l.phones[i].socket.LocalAddr()})
	if err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.Answer}); err != nil {
		return fmt.Errorf("the gateway's answer: %w", err)
	}
	select {
	case <-b.up:
		return nil
	case <-time.After(connectTime):
		return fmt.Errorf("client %d isn't connected after %s", i, connectTime)
	}
}

// say sends a packet that tells who sent it, and when.
func (b *browser) say(seq uint16, payload []byte) {
	binary.BigEndian.PutUint32(payload, b.id)
	binary.BigEndian.PutUint64(payload[4:], uint64(udp.Now()))
	h := prtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(seq) * 160, SSRC: 1}
	if b.track.WriteRTP(&prtp.Packet{Header: h, Payload: payload}) == nil {
		b.load.said.Add(1)
	}
}

// listen counts what comes back.
func (b *browser) listen(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	go drain(r)
	l := b.load
	for p := make([]byte, 1500); ; {
		n, _, err := t.Read(p)
		if err != nil {
			return
		}
		if n != packetBytes || binary.BigEndian.Uint32(p[12:]) != b.id {
			l.wrong.Add(1)
			continue
		}
		if heard := l.heard.Add(1); heard%sampled == 0 && l.timing.Load() {
			d := time.Duration(udp.Now() - int64(binary.BigEndian.Uint64(p[16:])))
			l.mu.Lock()
			l.latency = append(l.latency, d)
			l.mu.Unlock()
		}
	}
}

func (b *browser) cipher() string {
	for _, s := range b.pc.GetStats() {
		if t, ok := s.(webrtc.TransportStats); ok {
			return t.SRTPCipher
		}
	}
	return ""
}

func (l *browserLoad) close() error {
	var errs []error
	for _, b := range l.all {
		if b != nil {
			errs = append(errs, b.pc.Close())
		}
	}
	return errors.Join(append(errs, l.net.Close())...)
}

// echoPhone sends media back to where it comes from.
type echoPhone struct {
	load   *browserLoad
	socket *udp.Socket
	opened chan struct{} // closed once socket is there: packets may come before
}

func newEchoPhone(l *browserLoad) (*echoPhone, error) {
	p := &echoPhone{load: l, opened: make(chan struct{})}
	var err error
	p.socket, err = l.net.Open(netip.AddrPortFrom(theirs, 0), p)
	close(p.opened)
	return p, err
}

// Datagram sends a packet back.
func (p *echoPhone) Datagram(b []byte, from udp.Addr, _ int64) {
	<-p.opened
	if len(b) == packetBytes && !control(b) && p.socket.WriteTo(b, &from) == nil {
		p.load.relayed.Add(1)
	}
}

func (p *echoPhone) Tick(int64) {}

// control tells RTCP from RTP (RFC 5761 4).
func control(b []byte) bool { return b[1]&0x7f >= 64 && b[1]&0x7f < 96 }
