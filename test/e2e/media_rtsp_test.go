//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/web/webtest"
)

// rtspServer gives those who play what somebody publishes, at any path.
type rtspServer struct {
	*gortsplib.Server
	addr string

	mu        sync.Mutex
	stream    *gortsplib.ServerStream
	publisher *gortsplib.ServerSession
	ready     chan struct{} // something is published
}

func startRTSP(t *testing.T) *rtspServer {
	t.Helper()
	s := &rtspServer{ready: make(chan struct{})}
	s.Server = &gortsplib.Server{Handler: s, RTSPAddress: "127.0.0.1:0", UDPRTPAddress: "127.0.0.1:19896", UDPRTCPAddress: "127.0.0.1:19897",
		Listen: func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			if err == nil {
				s.addr = l.Addr().String()
			}
			return l, err
		}}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *rtspServer) OnAnnounce(x *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stream := &gortsplib.ServerStream{Server: s.Server, Desc: x.Description}
	if err := stream.Initialize(); err != nil {
		return &base.Response{StatusCode: base.StatusBadRequest}, err
	}
	s.stream, s.publisher = stream, x.Session
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (s *rtspServer) OnRecord(x *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stream := s.stream
	x.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *prtp.Packet) { _ = stream.WritePacketRTP(m, p) }) // it may be closed
	close(s.ready)
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnSessionClose has those who play lose their connections when the publisher goes.
func (s *rtspServer) OnSessionClose(x *gortsplib.ServerHandlerOnSessionCloseCtx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.publisher == x.Session {
		s.stream.Close()
		s.stream, s.publisher = nil, nil
	}
}

func (s *rtspServer) played() (*base.Response, *gortsplib.ServerStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, s.stream, nil
}

func (s *rtspServer) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return s.played()
}

func (s *rtspServer) OnSetup(x *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if x.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return &base.Response{StatusCode: base.StatusOK}, nil, nil
	}
	return s.played()
}

func (s *rtspServer) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// rtsp: a film that ffmpeg publishes to a server is shown to a page, with its sound; when it breaks off, the player says so.
func (r *tutorials) rtsp(t *testing.T) {
	server := startRTSP(t)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	ffmpeg := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=256x144:rate=15",
		"-re", "-stream_loop", "-1", "-i", r.mic, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8",
		"-b:v", "200k", "-g", "15", "-c:a", "libopus", "-f", "rtsp", "-rtsp_transport", "tcp", "rtsp://"+server.addr+"/film")
	var said bytes.Buffer
	ffmpeg.Stderr = &said
	r.must(ffmpeg.Start())
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			_ = ffmpeg.Wait() // it was killed
		})
	}
	defer stop()
	select {
	case <-server.ready:
	case <-time.After(videoPatience):
		stop()
		t.Fatalf("ffmpeg publishes nothing: %s", said.String())
	}
	v := r.page("cinema", webtest.CallConfig{Watches: true}, false)
	r.step("make", o{"name": "film", "type": "PlayerEndpoint", "params": o{"uri": "rtsp://" + server.addr + "/film", "networkCache": 200}}, nil)
	r.step("connect", o{"from": "film", "to": v.name}, nil)
	r.step("invoke", o{"name": "film", "method": "play"}, nil)
	v.sees(256, 144)
	v.hears()
	stop()
	var told []o
	if !eventually(videoPatience, func() bool {
		var list []o
		r.step("events", o{"name": "film"}, &list)
		told = append(told, list...)
		for _, e := range told {
			if e["event"] == "Error" {
				return true
			}
		}
		return false
	}) {
		t.Errorf("the server went, and the player says %v", told)
	}
	if r.t.Failed() {
		t.Logf("ffmpeg: %s; the player: %v", said.String(), told)
	}
	r.step("release", o{"name": "film"}, nil)
	r.step("release", o{"name": v.name}, nil)
}
