package rtsp_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/player"
	"github.com/patchbay/patchbay/media/rtsp"
	"github.com/patchbay/patchbay/media/uri"
	"github.com/patchbay/patchbay/media/video"
)

// Sound and pictures come as the server sends them, in datagrams, in the connection, and under TLS, with a name and a password: in order,
// at their times, pictures whole, the first one a key picture with its parameter sets.
func TestWays(t *testing.T) {
	server, client := authority(t)
	for name, way := range map[string]struct {
		datagrams, tcp bool
		tls            *tls.Config
	}{
		"UDP": {datagrams: true}, "TCP because it must be": {}, "TCP because it is wanted": {datagrams: true, tcp: true}, "TLS": {tls: server},
		"SRTP": {datagrams: true, tls: server},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCamera(t, way.datagrams, way.tls, &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1},
				&format.H264{PayloadTyp: 96, PacketizationMode: 1, SPS: []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x47, 0xfe, 0xc8}, PPS: []byte{0x68, 0xce, 0x38, 0x80}})
			c.password = "secret word"
			cfg := config(network(t))
			cfg.TCP, cfg.TLS = way.tcp, client
			var wrong []string
			for range 5 { // where nothing comes for 3 s, because this machine is busy, it begins anew in the connection, and what was sent is lost
				if wrong = comesAll(t, c, cfg); len(wrong) == 0 || !way.datagrams || way.tcp {
					break
				}
			}
			if len(wrong) > 0 {
				t.Error(strings.Join(wrong, "; "))
			}
		})
	}
}

// comesAll opens a camera's stream, has it send some, and says what of it doesn't come as it should.
func comesAll(t *testing.T, c *camera, cfg rtsp.Config) (wrong []string) {
	s := mustOpen(t, cfg, c.url("u:secret%20word@"))
	<-c.playing
	tracks := s.Tracks()
	if len(tracks) != 2 || tracks[0].Format.String() != "PCMA/8000" || !strings.HasPrefix(tracks[1].Format.String(), "H264/90000;") || !tracks[1].Sent {
		t.Fatalf("tracks %v", tracks)
	}
	enough := time.AfterFunc(within/4, func() { _ = s.Close() })
	defer enough.Stop()
	c.send(1, 5, true, []byte{0x41, 1, 2, 3}) // needs another
	c.send(1, 3005, false, []byte{0x65, 1, 2, 3})
	c.send(1, 3005, true, []byte{0x65, 4, 5, 6})
	c.send(1, 6005, true, []byte{0x41, 7, 8, 9})
	for i := range 3 {
		c.send(0, uint32(1000+160*i), false, bytes.Repeat([]byte{byte(i)}, 160))
	}
	var sound, pictures []string
	var at [2][]time.Duration
	for range 5 {
		var u container.Unit
		if err := s.Read(&u); err != nil {
			return []string{err.Error()}
		}
		at[u.Track] = append(at[u.Track], u.At)
		if u.Track == 0 {
			sound = append(sound, fmt.Sprint(len(u.Data), u.Data[0], u.For))
			continue
		}
		text := fmt.Sprint(u.Key)
		video.Split(u.Data, func(p []byte) { text += fmt.Sprintf(" %x", p) })
		pictures = append(pictures, text)
	}
	if got := strings.Join(sound, ", "); got != "160 0 20ms, 160 1 20ms, 160 2 20ms" {
		return []string{"sound " + got}
	}
	if got := strings.Join(pictures, ", "); got != "true 6742c01ed900a047fec8 68ce3880 65010203 65040506, false 41070809" {
		return []string{"pictures " + got}
	}
	if at[0][2]-at[0][0] != 40*time.Millisecond || (at[1][1]-at[1][0]-time.Second/30).Abs() > time.Microsecond {
		wrong = append(wrong, fmt.Sprint("times ", at))
	}
	if err := s.Seek(0); err == nil || s.Duration() != 0 {
		wrong = append(wrong, "it can be sought")
	}
	return wrong
}

// A datagram that is lost holds up what comes after it for a moment alone.
func TestLostDatagram(t *testing.T) {
	t.Parallel()
	c := newCamera(t, true, nil, &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1})
	got := ""
	for range 5 { // as in TestWays
		s := mustOpen(t, config(network(t)), c.url(""))
		<-c.playing
		enough := time.AfterFunc(within/4, func() { _ = s.Close() })
		came := make(chan string, 1)
		go func() {
			var text string
			for range 5 {
				var u container.Unit
				if err := s.Read(&u); err != nil {
					text += " " + err.Error()
					break
				}
				text += fmt.Sprint(" ", u.Data[0])
			}
			came <- text
		}()
		i := 0
		for got = ""; got == ""; i++ {
			if i == 3 {
				c.sequence[8]++ // lost
			}
			c.send(0, uint32(160*i), false, bytes.Repeat([]byte{byte(i)}, 160))
			select {
			case got = <-came:
			case <-time.After(20 * time.Millisecond):
			}
		}
		enough.Stop()
		if got == " 0 1 2 3 4" && i < 60 { // else 64 have come first
			return
		}
	}
	t.Errorf("came%s", got)
}

// Each codec that is spoken becomes a track; what isn't is named.
func TestCodecs(t *testing.T) {
	o := network(t)
	for want, f := range map[string]format.Format{
		"PCMU/8000":     &format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1},
		"OPUS/48000/2":  &format.Opus{PayloadTyp: 96, ChannelCount: 2},
		"L16/44100":     &format.LPCM{PayloadTyp: 96, BitDepth: 16, SampleRate: 44100, ChannelCount: 2},
		"VP8/90000":     &format.VP8{PayloadTyp: 96},
		"VP9/90000":     &format.VP9{PayloadTyp: 96},
		"AV1/90000":     &format.AV1{PayloadTyp: 96},
		"H265/90000":    &format.H265{PayloadTyp: 96},
		"G722 isn't it": &format.G722{},
		"JPEG isn't it": &format.MJPEG{},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			c := newCamera(t, false, nil, f)
			s, err := open(t, config(o), c.url(""))
			if name, bad := strings.CutSuffix(want, " isn't it"); bad {
				if !errors.Is(err, player.ErrNothing) || !strings.Contains(err.Error(), name) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Tracks()[0].Format.String(); got != want {
				t.Errorf("is %s", got)
			}
			<-c.playing
			if want == "L16/44100" {
				c.send(0, 0, false, []byte{0x10, 0, 0x20, 0, 0xff, 0xfe, 0xff, 0xfc})
				if u := read(t, s); !bytes.Equal(u.Data, []byte{0x18, 0, 0xff, 0xfd}) {
					t.Errorf("two channels in one are % x", u.Data)
				}
			}
		})
	}
}

// Sound that nobody can decode is named, as people call it; beside video that can be played it is left out.
func TestAAC(t *testing.T) {
	aac := "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/44100/2\r\na=fmtp:97 streamtype=5;mode=AAC-hbr;config=1210;sizeLength=13;indexLength=3;indexDeltaLength=3\r\na=control:track2\r\n"
	film := "m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=control:track1\r\n"
	var sdp string
	s := newScript(t, func(r request) string {
		switch r.method {
		case "DESCRIBE":
			return described("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n" + sdp)
		case "SETUP":
			return "200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
		}
		return "200 OK\r\n"
	})
	cfg := config(network(t))
	cfg.TCP = true
	sdp = aac
	if _, err := open(t, cfg, s.url); !errors.Is(err, player.ErrNothing) || !strings.Contains(err.Error(), "AAC (mpeg4-generic/44100/2)") {
		t.Errorf("alone: %v", err)
	}
	sdp = film + aac
	if tracks := mustOpen(t, cfg, s.url).Tracks(); len(tracks) != 2 || tracks[0].Format.Codec != "VP8" || tracks[1].Format != nil || tracks[1].Name != "AAC (mpeg4-generic/44100/2)" {
		t.Errorf("beside video: %+v", tracks)
	}
	if n := len(s.asked("SETUP")); n != 1 {
		t.Errorf("%d tracks are asked for", n)
	}
}

// A key picture that somebody needs is asked for, at the server's own name for the stream, beside a report as RTCP wants it; also before anybody
// says so, while none has come.
func TestRefresh(t *testing.T) {
	t.Parallel()
	for _, datagrams := range []bool{false, true} {
		c := newCamera(t, datagrams, nil, &format.VP8{PayloadTyp: 96})
		asked := make(chan *rtcp.PictureLossIndication, 16)
		c.heard = func(_ *description.Media, p rtcp.Packet) {
			if p, ok := p.(*rtcp.PictureLossIndication); ok {
				asked <- p
			}
		}
		cfg := config(network(t))
		cfg.TCP = !datagrams
		s := mustOpen(t, cfg, c.url(""))
		<-c.playing
		wait := func() {
			t.Helper()
			for end := time.Now().Add(within); ; {
				c.send(0, uint32(time.Since(end)/time.Millisecond)*90, true, []byte{0x10, 1, 2, 3}) // needs another; the first may be lost in a change of transport
				select {
				case p := <-asked:
					m := c.stream.Desc.Medias[0]
					if source := c.stream.Stats().Medias[m].Formats[m.Formats[0]].LocalSSRC; p.MediaSSRC != source || p.SenderSSRC == 0 {
						t.Errorf("asked for %x by %x, want %x", p.MediaSSRC, p.SenderSSRC, source)
					}
					return
				case <-time.After(20 * time.Millisecond):
				}
				if time.Now().After(end) {
					t.Fatal("nobody asks")
				}
			}
		}
		wait()
		wait() // again, after a while
		s.Refresh()
	}
}

// A server that ends the stream ends it; one that dies, falls silent, refuses or isn't there is an error that says so.
func TestEnds(t *testing.T) {
	o := network(t)
	sound := func() format.Format { return &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1} }
	for name, run := range map[string]func(t *testing.T, c *camera) error{
		"EOF": func(t *testing.T, c *camera) error {
			s := mustOpen(t, config(o), c.url(""))
			<-c.playing
			c.send(0, 0, false, []byte{1})
			if err := c.stream.WritePacketRTCP(c.stream.Desc.Medias[0], &rtcp.Goodbye{Sources: []uint32{1}}); err != nil {
				t.Fatal(err)
			}
			u := read(t, s)
			return s.Read(&u)
		},
		"rtsp://name: server ended before the media did": func(t *testing.T, c *camera) error {
			s := mustOpen(t, config(o), c.url(""))
			<-c.playing
			c.die()
			return s.Read(nil)
		},
		"rtsp://name: server said nothing for too long": func(t *testing.T, c *camera) error {
			cfg := config(o)
			cfg.Stall = 2 * time.Second
			var s *rtsp.Stream
			for range 10 { // until a busy machine is fast enough to open it
				var err error
				if s, err = open(t, cfg, c.url("")); err == nil {
					return s.Read(nil)
				}
			}
			return errors.New("it isn't opened")
		},
		"rtsp://name: took longer than allowed: it may play for 1ms": func(t *testing.T, c *camera) error {
			cfg := config(o)
			cfg.MaxTime = time.Millisecond
			return mustOpen(t, cfg, c.url("")).Read(nil)
		},
		`rtsp://name: server refused: 404 "Not Found"`: func(t *testing.T, c *camera) error {
			_, err := open(t, config(o), strings.TrimSuffix(c.url(""), "live")+"other")
			return err
		},
		`rtsp://name: server refused: 401 "Unauthorized"`: func(t *testing.T, c *camera) error {
			c.password = "right"
			_, err := open(t, config(o), c.url("u:wrong@"))
			return err
		},
		"player: stopped": func(t *testing.T, c *camera) error {
			s := mustOpen(t, config(o), c.url(""))
			go func() { _ = s.Close() }()
			return s.Read(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCamera(t, false, nil, sound())
			if err := run(t, c); err == nil || err.Error() != name {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := open(t, config(o), "rtsp://127.0.0.1:1/live"); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("where nobody listens: %v", err)
	}
	server, _ := authority(t)
	c := newCamera(t, false, server, sound())
	if _, err := open(t, config(o), c.url("")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
	if o := opener(t, uri.Config{}); o != nil {
		if _, err := o.Parse("rtsp://x/y", ""); !errors.Is(err, uri.ErrURI) {
			t.Errorf("a scheme that isn't allowed: %v", err)
		}
	}
}
