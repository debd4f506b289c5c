package rtsp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/rtsp"
	"github.com/patchbay/patchbay/media/uri"
)

// within is how long a test waits for what comes at once, on a machine that is busy.
const within = 60 * time.Second

// camera is the library's server, with one stream at /live.
type camera struct {
	*gortsplib.Server
	t        *testing.T
	stream   *gortsplib.ServerStream
	password string // of user "u"; "" = anybody may
	mu       sync.Mutex
	conns    map[*gortsplib.ServerConn]struct{}
	playing  chan *gortsplib.ServerSession
	heard    func(*description.Media, rtcp.Packet) // may be nil
	sequence map[uint8]uint16
}

// newCamera starts one with these formats, each a medium of its own; with datagrams it speaks UDP too.
func newCamera(t *testing.T, datagrams bool, secure *tls.Config, formats ...format.Format) *camera {
	t.Helper()
	c := &camera{t: t, conns: map[*gortsplib.ServerConn]struct{}{}, playing: make(chan *gortsplib.ServerSession, 16), sequence: map[uint8]uint16{}}
	var err error
	for range 200 { // whoever else runs may take a port first
		c.Server = &gortsplib.Server{Handler: c, RTSPAddress: "127.0.0.1:0", TLSConfig: secure}
		if datagrams {
			at := pair(t)
			c.UDPRTPAddress, c.UDPRTCPAddress = fmt.Sprintf("127.0.0.1:%d", at), fmt.Sprintf("127.0.0.1:%d", at+1)
		}
		c.Listen = func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			if err == nil {
				c.RTSPAddress = l.Addr().String()
			}
			return l, err
		}
		if err = c.Start(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Server.Close)
	desc := &description.Session{}
	for _, f := range formats {
		kind := description.MediaTypeAudio
		switch f.(type) {
		case *format.H264, *format.H265, *format.VP8, *format.VP9, *format.AV1, *format.MJPEG:
			kind = description.MediaTypeVideo
		}
		desc.Medias = append(desc.Medias, &description.Media{Type: kind, Formats: []format.Format{f}})
	}
	c.stream = &gortsplib.ServerStream{Server: c.Server, Desc: desc}
	if err := c.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stream.Close)
	return c
}

// pair is an even port that was free with the one above it.
func pair(t *testing.T) int {
	t.Helper()
	for range 200 {
		l, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.LocalAddr().(*net.UDPAddr).Port
		_ = l.Close()
		if port%2 == 0 {
			return port
		}
	}
	t.Fatal("no even port")
	return 0
}

func (c *camera) url(user string) string {
	scheme := "rtsp"
	if c.TLSConfig != nil {
		scheme = "rtsps"
	}
	return scheme + "://" + user + c.RTSPAddress + "/live"
}

// send sends a payload of a medium to whoever plays.
func (c *camera) send(medium int, timestamp uint32, marker bool, payload []byte) {
	c.t.Helper()
	m := c.stream.Desc.Medias[medium]
	pt := m.Formats[0].PayloadType()
	c.sequence[pt]++
	err := c.stream.WritePacketRTP(m, &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: c.sequence[pt], Timestamp: timestamp, Marker: marker, SSRC: 1}, Payload: payload})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *camera) OnConnOpen(x *gortsplib.ServerHandlerOnConnOpenCtx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[x.Conn] = struct{}{}
}

func (c *camera) OnConnClose(x *gortsplib.ServerHandlerOnConnCloseCtx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, x.Conn)
}

// die ends all connections, as the death of a server does.
func (c *camera) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for x := range c.conns {
		_ = x.NetConn().Close()
	}
}

func (c *camera) OnDescribe(x *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if c.password != "" && !x.Conn.VerifyCredentials(x.Request, "u", c.password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	if x.Path != "/live" {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnPlay(x *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	if c.heard != nil {
		x.Session.OnPacketRTCPAny(c.heard)
	}
	c.playing <- x.Session
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// network is an opener that may reach this host.
func network(t *testing.T) *uri.Opener {
	return opener(t, uri.Config{Schemes: []string{"rtsp", "rtsps"}, Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Stall: within})
}

func opener(t *testing.T, cfg uri.Config) *uri.Opener {
	o := uri.New(cfg)
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// config is that of a stream whose server has time.
func config(o *uri.Opener) rtsp.Config {
	return rtsp.Config{Network: o, Name: "rtsp://name", Stall: within, MaxTime: time.Hour}
}

func open(t *testing.T, cfg rtsp.Config, raw string) (*rtsp.Stream, error) {
	t.Helper()
	at, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	s, err := rtsp.Open(ctx, at, cfg)
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s, err
}

func mustOpen(t *testing.T, cfg rtsp.Config, raw string) *rtsp.Stream {
	t.Helper()
	s, err := open(t, cfg, raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, s *rtsp.Stream) (u container.Unit) {
	t.Helper()
	if err := s.Read(&u); err != nil {
		t.Fatal(err)
	}
	return u
}

// request is what a scripted server is asked.
type request struct {
	method, url string
	header      textproto.MIMEHeader
}

// script is a server whose answers a test writes: the status and all that comes behind it, without CSeq; "" = it says nothing and hangs up.
type script struct {
	url   string
	mu    sync.Mutex
	seen  []request
	conns []net.Conn
}

// hangUp ends all connections.
func (s *script) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

func newScript(t *testing.T, answer func(r request) string) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{url: "rtsp://" + l.Addr().String() + "/live"}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				stop := context.AfterFunc(t.Context(), func() { _ = conn.Close() })
				defer stop()
				defer func() { _ = conn.Close() }()
				s.serve(conn, answer)
			})
		}
	})
	return s
}

func (s *script) serve(conn net.Conn, answer func(r request) string) {
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	s.mu.Unlock()
	in := textproto.NewReader(bufio.NewReader(conn))
	for {
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		header, err := in.ReadMIMEHeader()
		if err != nil {
			return
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			return
		}
		r := request{f[0], f[1], header}
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		text := answer(r)
		if text == "" {
			return
		}
		status, rest, _ := strings.Cut(text, "\r\n")
		if !strings.Contains(rest, "\r\n\r\n") {
			rest += "\r\n"
		}
		if _, err := io.WriteString(conn, "RTSP/1.0 "+status+"\r\nCSeq: "+header.Get("CSeq")+"\r\n"+rest); err != nil {
			return
		}
	}
}

// asked are the requests of a method so far.
func (s *script) asked(method string) (list []request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		if r.method == method {
			list = append(list, r)
		}
	}
	return list
}

// law is SDP of one track of G.711.
const law = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\na=control:track1\r\n"

func described(sdp string) string {
	return fmt.Sprintf("200 OK\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(sdp), sdp)
}

// authority is a certificate for 127.0.0.1, and what trusts it.
func authority(t *testing.T) (server, client *tls.Config) {
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
}
