// Package rtsp plays what RTSP servers send (RFC 2326): cameras, media servers. Connections are made by whoever opens a stream, so that they
// lead where that is allowed; datagrams go to the server that was connected to, and come from there.
package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/player"
	"github.com/patchbay/patchbay/media/uri"
)

// Network is where streams come from; uri.Opener is one.
type Network interface {
	// DialContext connects, if the address that DNS leads to is allowed.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// Moved says whether a redirect is followed, the hop-th one from 1.
	Moved(from, to *url.URL, hop int) error
}

// Config of a stream.
type Config struct {
	Network Network
	Name    string        // of what is played, for errors: without a password
	Stall   time.Duration // a server that says nothing for so long has failed
	MaxTime time.Duration // that a stream may take in all
	TLS     *tls.Config   // of rtsps; nil = the system's authorities
	TCP     bool          // media in the connection alone; else in datagrams where the server has them, and they come
}

// Stream is what a server sends, as it comes: what isn't read in time is lost. It can be sought where the server says how long it is.
type Stream struct {
	cfg     Config
	client  *gortsplib.Client
	ring    ring
	unknown []container.Track
	watch   *time.Timer // for MaxTime
	gone    chan struct{}
	once    sync.Once
	behind  sync.WaitGroup // what the server is told beside

	sockets []*datagrams // in the order in which they were made; of whoever sets up

	at    *base.URL     // that it was described at
	first time.Duration // of the server's own time: where it begins
	rest  time.Duration // how often the server is told that it is still wanted, while it pauses
	from  time.Duration // where it goes on after a Seek; of whoever reads

	talk  sync.Mutex  // one of PAUSE, PLAY and OPTIONS at a time
	plays bool        // the server does
	keeps bool        // somebody reminds it while it pauses
	halts atomic.Bool // somebody is about to have it pause
}

// Open connects to a server and has it play. It follows redirects, which keep the password for the same host alone.
func Open(ctx context.Context, at *url.URL, cfg Config) (*Stream, error) {
	for hop := 1; ; hop++ {
		s, moved, err := open(ctx, at, cfg)
		if errors.As(err, &liberrors.ErrClientServerPortsNotProvided{}) && !cfg.TCP {
			cfg.TCP = true
			continue
		}
		if moved == nil {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", cfg.Name, err)
			}
			return s, nil
		}
		if moved, err = at.Parse(moved.String()); err == nil {
			err = cfg.Network.Moved(at, moved, hop)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.Name, err)
		}
		if moved.User = nil; moved.Host == at.Host {
			moved.User = at.User
		}
		at = moved
	}
}

// open makes one try; moved is where the server says that the stream is.
func open(ctx context.Context, at *url.URL, cfg Config) (s *Stream, moved *url.URL, err error) {
	there, err := base.ParseURL(at.String())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: it can't be read", uri.ErrURI)
	}
	var elsewhere *url.URL // belongs to the client until it is closed
	s = &Stream{cfg: cfg, gone: make(chan struct{})}
	s.ring.init(cfg.Stall)
	s.client = s.newClient(at, &elsewhere)
	if err := s.client.Start(); err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, s.client.Close)
	s.at = there
	desc, res, err := s.client.Describe(there)
	if err == nil {
		s.first, s.ring.duration = length(res.Body)
		err = s.setup(desc)
	}
	if err == nil {
		err = s.play(0)
	}
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		s.ring.end(err)
		s.client.Close()
		return nil, elsewhere, plain(err)
	}
	s.watch = time.AfterFunc(cfg.MaxTime, func() { s.ring.end(fmt.Errorf("%w: it may play for %s", uri.ErrTime, cfg.MaxTime)) })
	go func() {
		defer close(s.gone)
		s.ring.end(plain(s.client.Wait()))
	}()
	return s, nil, nil
}

// newClient makes the library's, with all that it does to the network in our hands.
func (s *Stream) newClient(at *url.URL, elsewhere **url.URL) *gortsplib.Client {
	c := &gortsplib.Client{
		Scheme: at.Scheme, Host: at.Host, ReadTimeout: s.cfg.Stall, WriteTimeout: s.cfg.Stall, InitialUDPReadTimeout: min(s.cfg.Stall/2, 3*time.Second),
		UserAgent: "Patchbay", OnTransportSwitch: func(error) { s.ring.unsure() }, OnDecodeError: func(error) {}, OnPacketsLost: func(uint64) {},
		OnResponse: func(r *base.Response) { // what the library would follow itself, with the password
			if r.StatusCode < base.StatusMovedPermanently || r.StatusCode > base.StatusUseProxy || len(r.Header["Location"]) != 1 {
				return
			}
			to, err := url.Parse(r.Header["Location"][0])
			if err != nil {
				to = &url.URL{} // nowhere else
			}
			*elsewhere = to
		},
		ResolveIPAddr: func(string, string) (*net.IPAddr, error) { return nil, errors.New("names no address") },
	}
	if s.cfg.TCP {
		tcp := gortsplib.ProtocolTCP
		c.Protocol = &tcp
	}
	c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if *elsewhere != nil {
			return nil, uri.ErrHop
		}
		return s.cfg.Network.DialContext(ctx, network, address)
	}
	c.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return s.secure(ctx, c.DialContext, network, address)
	}
	c.ListenPacket = func(network, address string) (net.PacketConn, error) { return s.listen(c.NetConn(), network, address) }
	return c
}

// secure connects with TLS. The handshake ends with ctx.
func (s *Stream) secure(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), network, address string) (net.Conn, error) {
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{}
	if s.cfg.TLS != nil {
		cfg = s.cfg.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	c := tls.Client(conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// setup asks for the first track of sound and the first of video that can be played.
func (s *Stream) setup(d *description.Session) error {
	var names []string
	for _, m := range d.Medias {
		if m.IsBackChannel {
			continue
		}
		t, f := pick(m)
		if f == nil || s.ring.has(t.track.Format.Kind) {
			names = append(names, nameOf(m))
			if f == nil && len(s.unknown) < 8 {
				other := m.Type != description.MediaTypeAudio && m.Type != description.MediaTypeVideo
				s.unknown = append(s.unknown, container.Track{Name: nameOf(m), Other: other})
			}
			continue
		}
		res, err := s.client.Setup(d.BaseURL, m, 0, 0)
		if err != nil {
			return err
		}
		s.rest = pulse(res.Header["Session"])
		t.medium, t.ours = m, rand.Uint32()
		s.client.OnPacketRTP(m, f, func(p *rtp.Packet) { s.packet(t, p, false) })
		s.client.OnPacketRTCP(m, func(p rtcp.Packet) {
			if _, ok := p.(*rtcp.Goodbye); ok {
				s.ring.bye(t)
			}
		})
		s.ring.add(t)
		s.straighten(t, f, res.Header["Transport"])
	}
	if len(s.ring.tracks) == 0 {
		return fmt.Errorf("%w: it has %q", player.ErrNothing, names)
	}
	return nil
}

// nameOf says what a medium is coded as.
func nameOf(m *description.Media) string {
	if len(m.Formats) == 0 {
		return string(m.Type)
	}
	f := m.Formats[0]
	switch name := f.RTPMap(); f.(type) {
	case *format.MPEG4Audio, *format.MPEG4AudioLATM:
		return "AAC (" + name + ")"
	default:
		if name != "" {
			return name
		}
	}
	return fmt.Sprintf("payload type %d", f.PayloadType())
}

// Tracks are those that can be played, and behind them those that can't, by name.
func (s *Stream) Tracks() []container.Track {
	var list []container.Track
	for _, t := range s.ring.tracks {
		list = append(list, t.track)
	}
	return append(list, s.unknown...)
}

// Duration is how long it plays; 0 = unknown, as of what is live.
func (s *Stream) Duration() time.Duration { return s.ring.duration }

// Read waits for the next unit. io.EOF says that the server has ended the stream; a server that went without a word, or says nothing for
// Stall, is an error.
func (s *Stream) Read(u *container.Unit) error {
	err := s.ring.read(u)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, player.ErrStopped) {
		err = fmt.Errorf("%s: %w", s.cfg.Name, err)
	}
	return err
}

// Close ends the stream, with a word to the server.
func (s *Stream) Close() error {
	s.once.Do(func() {
		s.watch.Stop()
		s.ring.shut()
		s.client.Close()
		<-s.gone
		s.behind.Wait()
	})
	return nil
}

// plain is a library's error in our words, without what the server may have put there.
func plain(err error) error {
	if bad, ok := errors.AsType[liberrors.ErrClientBadStatusCode](err); ok {
		return fmt.Errorf("%w: %d %.60q", uri.ErrServer, bad.Code, bad.Message)
	}
	var (
		late    liberrors.ErrClientRequestTimedOut
		lateUDP liberrors.ErrClientUDPTimeout
		lateTCP liberrors.ErrClientTCPTimeout
		network net.Error
	)
	switch {
	case errors.As(err, &late), errors.As(err, &lateUDP), errors.As(err, &lateTCP), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return uri.ErrStalled
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return uri.ErrBroken
	}
	return err
}
