//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/video"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
	"github.com/patchbay/patchbay/test/audio"
	"github.com/patchbay/patchbay/test/peers"
	"github.com/patchbay/patchbay/web/webtest"
)

const (
	videoPatience = 60 * time.Second // for what a machine with nothing else to do shows in one or two
	videoFreeze   = 500.0            // ms without a picture that nobody is to see
	videoRecovery = 1000.0           // ms in which a picture is back after a loss
	videoSpan     = 3 * time.Second  // in which freezes are looked for
	lossySpans    = 3                // in a row in which it always is back: one alone may have lost nothing that counts
)

// tutorials is a program of kurento-client's, a browser, and a gateway between them.
type tutorials struct {
	t       *testing.T
	ctx     context.Context
	gateway *rpcGateway
	app     string // of the program's steps
	browser *webtest.Browser
	site    string
	lossy   *peers.Impairer
	mic     string // a file of the tone that pages say
	files   string // the gateway's folder of media
}

func newTutorials(t *testing.T) *tutorials {
	files := t.TempDir()
	addr := address(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>call</title><body></body>"))
	}))
	t.Cleanup(site.Close)
	r := &tutorials{t: t, files: files, site: site.URL, gateway: startRPCWith(t, addr, rpcSettings{
		http:  fmt.Sprintf(`, origins: ["%s"]`, site.URL),
		media: "  root: " + files + "\n  urls: {schemes: [file, http, https, rtsp], private: [127.0.0.0/8]}\n",
	})}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	program := startApp(t, "tutorials.js", r.gateway.url)
	_, url, _ := strings.Cut(program.Tail(10), "ready ")
	r.app, _, _ = strings.Cut(url, "\n")
	r.mic = filepath.Join(peers.Folder(t), "microphone.wav")
	r.must(audio.WriteWAV(r.mic, audio.Tone(48000, iceTone, -10, 10)))
	var err error
	r.browser, err = webtest.Start(r.ctx, webtest.Config{Microphone: r.mic, Args: []string{"--use-fake-ui-for-media-stream"}})
	r.must(err)
	t.Cleanup(func() { _ = r.browser.Close() })
	media := netip.AddrPortFrom(r.gateway.http.Addr(), 8890)
	r.lossy = peers.StartImpairer(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 19890), media, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	return r
}

func (r *tutorials) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// step has the program do something.
func (r *tutorials) step(name string, params o, out any) {
	r.t.Helper()
	body, err := json.Marshal(params)
	r.must(err)
	resp, err := http.Post(r.app+"/"+name, "application/json", bytes.NewReader(body))
	r.must(err)
	defer resp.Body.Close()
	var reply struct {
		Result json.RawMessage
		Error  string
	}
	r.must(json.NewDecoder(resp.Body).Decode(&reply))
	if reply.Error != "" {
		r.t.Fatalf("%s %v: %s", name, params, reply.Error)
	}
	if out != nil {
		r.must(json.Unmarshal(reply.Result, out))
	}
}

// viewer is a page, and its endpoint.
type viewer struct {
	*tutorials
	name string
	page *webtest.Call
	told []o
}

// page opens a page whose endpoint has that name, and connects the two. Through the impairer if it is to be lossy.
func (r *tutorials) page(name string, cfg webtest.CallConfig, lossy bool) *viewer {
	r.t.Helper()
	page, err := r.browser.Open(r.ctx, r.site)
	r.must(err)
	return r.joins(page, name, cfg, lossy)
}

// joins has a page that is open connect to an endpoint of that name, beside others.
func (r *tutorials) joins(page *webtest.Page, name string, cfg webtest.CallConfig, lossy bool) *viewer {
	r.t.Helper()
	v := &viewer{tutorials: r, name: name}
	var err error
	v.page, err = page.Call(r.ctx, cfg)
	r.must(err)
	r.step("make", o{"name": name, "type": "WebRtcEndpoint", "params": o{"useDataChannels": cfg.Data}}, nil)
	offer, err := v.page.Offer(r.ctx, false)
	r.must(err)
	var answer string
	r.step("negotiate", o{"name": name, "offer": offer}, &answer)
	r.must(v.page.Accept(r.ctx, answer))
	ctx, cancel := context.WithTimeout(r.ctx, videoPatience)
	defer cancel()
	up := make(chan error, 1)
	go func() { up <- v.page.Connected(ctx) }()
	for {
		select {
		case err := <-up:
			if err != nil {
				r.t.Fatalf("%s: %v\n%s", name, err, answer)
			}
			return v
		case <-time.After(50 * time.Millisecond):
		}
		mine, _, err := v.page.Found(ctx)
		r.must(err)
		for _, c := range mine {
			if !lossy { // else the only way is the page's
				r.step("candidate", o{"name": name, "candidate": c}, nil)
			}
		}
		v.fetch()
		var rest []o
		for _, e := range v.told {
			c, ok := e["candidate"].(o)
			if !ok {
				rest = append(rest, e)
				continue
			}
			text := c["candidate"].(string)
			if lossy {
				f := strings.Fields(text)
				if f[2] != "udp" {
					continue
				}
				f[4], f[5] = r.lossy.Front.Addr().String(), fmt.Sprint(r.lossy.Front.Port())
				text = strings.Join(f, " ")
			}
			r.must(v.page.AddCandidate(ctx, webtest.Candidate{Candidate: text, MID: c["sdpMid"].(string), Line: int(c["sdpMLineIndex"].(float64))}))
		}
		v.told = rest
	}
}

// fetch adds what the program was told of the endpoint since the last time.
func (v *viewer) fetch() {
	v.t.Helper()
	var list []o
	v.step("events", o{"name": v.name}, &list)
	v.told = append(v.told, list...)
}

// sees waits for a picture of a size.
func (v *viewer) sees(width, height int) {
	v.t.Helper()
	var last webtest.Picture
	if !eventually(videoPatience, func() bool {
		p, err := v.page.Sees(v.ctx)
		v.must(err)
		last = p
		return p.Frames >= 10 && p.Width == width && p.Height == height
	}) {
		v.t.Errorf("%s is shown %+v, expected 10 pictures of %dx%d", v.name, last, width, height)
	}
}

// hears waits for the microphones' tone.
func (v *viewer) hears() {
	v.t.Helper()
	var hz, level float64
	for range 8 {
		var err error
		hz, level, err = v.page.Hears(v.ctx)
		v.must(err)
		if hz > iceTone-5 && hz < iceTone+5 && level > -14 && level < -6 {
			return
		}
	}
	v.t.Errorf("%s hears %.0f Hz at %.1f dB, expected the tone at -10", v.name, hz, level)
}

// counts are an endpoint's streams of a direction, as getStats tells them.
func (v *viewer) counts(kind string) (list []o) {
	v.t.Helper()
	var stats map[string]o
	v.step("invoke", o{"name": v.name, "method": "getStats", "args": []string{}}, &stats)
	for _, s := range stats {
		if s["type"] == kind {
			list = append(list, s)
		}
	}
	return list
}

// Kurento's tutorials with Chromium: a page in its own mirror; two that call each other; one that many watch; messages.
func TestMediaTutorials(t *testing.T) {
	r := newTutorials(t)
	mirror := r.page("mirror", webtest.CallConfig{Camera: "320x180", Data: true}, false)
	r.step("connect", o{"from": "mirror", "to": "mirror"}, nil)
	mirror.sees(320, 180)
	mirror.hears()
	t.Run("data", func(t *testing.T) { r.data(t, mirror) })
	t.Run("messages", func(t *testing.T) { r.messages(t, mirror) })
	t.Run("statistics", func(t *testing.T) { r.statistics(t, mirror) })
	t.Run("record and play", func(t *testing.T) { r.recordAndPlay(t, mirror) })
	t.Run("post", func(t *testing.T) { r.post(t) })
	t.Run("one to one", func(t *testing.T) { r.oneToOne(t, mirror) })
	t.Run("one to many", func(t *testing.T) { r.oneToMany(t, mirror) })
	t.Run("group call", func(t *testing.T) { r.groupCall(t, mirror) })
	t.Run("loss", func(t *testing.T) { r.loss(t, mirror) })
	t.Run("RTP receiver", func(t *testing.T) { r.receiver(t) })
	t.Run("RTP sender", func(t *testing.T) { r.sender(t, mirror) })
	t.Run("RTSP", func(t *testing.T) { r.rtsp(t) })
	t.Run("films", func(t *testing.T) { r.films(t) })
	page := r.stand()
	t.Run("codecs", func(t *testing.T) { r.codecs(t, page, []string{"AV1"}) })
	t.Run("simulcast", func(t *testing.T) { r.simulcast(t, page) })
	t.Run("camera later", func(t *testing.T) { r.later(t, page) })
	t.Run("statistics of both sides", func(t *testing.T) { r.stats(t, page) })
	t.Run("ffmpeg", func(t *testing.T) { r.throughFFmpeg(t, "H265", 19960) })
}

// rtp makes an RtpEndpoint for a peer that has video at that address, and returns where the endpoint has its own.
func (r *tutorials) rtp(name string, at netip.AddrPort, direction string) netip.AddrPort {
	r.t.Helper()
	r.step("make", o{"name": name, "type": "RtpEndpoint"}, nil)
	offer := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=video %[2]d RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=%[3]s\r\n",
		at.Addr(), at.Port(), direction)
	var answer string
	r.step("negotiate", o{"name": name, "offer": offer}, &answer)
	d, err := sdp.Parse([]byte(answer))
	r.must(err)
	if len(d.Media) != 1 || d.Media[0].Port == 0 {
		r.t.Fatalf("%s is refused:\n%s", name, answer)
	}
	return d.Media[0].Target()
}

// receiver: what ffmpeg sends as RTP is shown to a page.
func (r *tutorials) receiver(t *testing.T) {
	from := netip.AddrPortFrom(r.gateway.http.Addr(), 19894) // what this host sends there comes from there
	to := r.rtp("receiver", from, "sendonly")
	v := r.page("spectator", webtest.CallConfig{Watches: true}, false)
	r.step("connect", o{"from": "receiver", "to": v.name}, nil)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	ffmpeg := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=256x144:rate=15", "-c:v", "libvpx",
		"-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", "15", "-payload_type", "96", "-f", "rtp",
		fmt.Sprintf("rtp://%s?pkt_size=1200&localrtpport=%d", to, from.Port()))
	var said bytes.Buffer
	ffmpeg.Stderr = &said
	r.must(ffmpeg.Start())
	defer func() {
		cancel()
		_ = ffmpeg.Wait() // it was killed
	}()
	v.sees(256, 144)
	if r.t.Failed() {
		t.Logf("ffmpeg: %s", said.String())
	}
	r.step("release", o{"name": v.name}, nil)
	r.step("release", o{"name": "receiver"}, nil)
}

// sender: what a page shows goes out as RTP, from a key picture on and without a gap, and ends each picture with the marker.
func (r *tutorials) sender(t *testing.T, presenter *viewer) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	r.must(err)
	defer conn.Close()
	r.rtp("sender", conn.LocalAddr().(*net.UDPAddr).AddrPort(), "recvonly")
	r.step("connect", o{"from": presenter.name, "to": "sender"}, nil)
	r.must(conn.SetReadDeadline(time.Now().Add(videoPatience)))
	var last rtpstream.Header
	pictures, packets := 0, 0
	for b := make([]byte, 2000); pictures < 15; packets++ {
		n, err := conn.Read(b)
		r.must(err)
		var h rtpstream.Header
		if !h.Parse(b[:n]) {
			t.Fatalf("not RTP: %x", b[:n])
		}
		payload, ok := h.Payload(b[:n])
		switch {
		case !ok || h.PT != 96:
			t.Fatalf("packet %d has payload type %d", packets, h.PT)
		case packets == 0 && !video.Key("VP8")(payload):
			t.Fatalf("the first packet is no key picture's: %x", payload[:8])
		case packets > 0 && (h.Seq != last.Seq+1 || h.SSRC != last.SSRC || (h.TS != last.TS) != last.Marker):
			t.Fatalf("packet %d is %+v after %+v", packets, h, last)
		}
		if h.Marker {
			pictures++
		}
		last = h
	}
	r.step("release", o{"name": "sender"}, nil)
}

// data: what a page says comes back on its channel, and on one that the program opens; the page sees it close.
func (r *tutorials) data(t *testing.T, v *viewer) {
	said := func(want, state string) {
		t.Helper()
		var list []string
		var now string
		if !eventually(videoPatience, func() bool {
			var err error
			list, now, err = v.page.Said(r.ctx)
			r.must(err)
			return fmt.Sprint(list) == want && (state == "" || now == state)
		}) {
			t.Fatalf("the page has %v, its channel is %s; expected %s", list, now, want)
		}
	}
	said("[]", "open")
	r.must(v.page.Say(r.ctx, "hello"))
	said("[hello]", "open")
	r.step("invoke", o{"name": v.name, "method": "createDataChannel", "args": []any{"ours", true, -1, -1, ""}}, nil)
	var ids []float64
	if !eventually(videoPatience, func() bool {
		v.fetch()
		ids = nil
		for _, e := range v.told {
			if e["event"] == "DataChannelOpened" {
				ids = append(ids, e["channelId"].(float64))
			}
		}
		return len(ids) == 2
	}) {
		t.Fatalf("DataChannelOpened told of %v, expected two channels", ids)
	}
	r.must(v.page.Say(r.ctx, "both"))
	said("[hello both both]", "open")
	r.step("invoke", o{"name": v.name, "method": "closeDataChannel", "args": []any{ids[1]}}, nil)
	said("[hello both both]", "closed")
	if list := v.counts("datachannel"); len(list) != 1 || list[0]["messagesReceived"].(float64) < 1 || list[0]["label"] != "data" {
		t.Errorf("getStats tells of the channels %v", list)
	}
}

// statistics are true: what one side counts the other does, too.
func (r *tutorials) statistics(t *testing.T, v *viewer) {
	for _, kind := range []string{"inboundrtp", "outboundrtp"} {
		codecs := ""
		for _, s := range v.counts(kind) {
			codecs += fmt.Sprint(s["codecId"], " ")
			if n, _ := s["ssrc"].(string); n == "" || n == "0" {
				t.Errorf("%s: %v", kind, s)
			}
		}
		if !strings.Contains(codecs, "VP8/90000") || !strings.Contains(codecs, "OPUS/48000/2") {
			t.Errorf("%s has the codecs %s", kind, codecs)
		}
	}
	for kind, field := range map[string]string{"session": "dataChannelsOpened", "candidatepair": "localCandidateId", "localcandidate": "ipAddress", "remotecandidate": "portNumber", "transport": "selectedCandidatePairId", "track": "framesReceived"} {
		if list := v.counts(kind); len(list) == 0 || list[0][field] == nil || list[0][field] == "" {
			t.Errorf("getStats has no %s with %s: %v", kind, field, list)
		}
	}
}

func (r *tutorials) oneToOne(t *testing.T, caller *viewer) {
	callee := r.page("callee", webtest.CallConfig{Camera: "160x120"}, false)
	r.step("connect", o{"from": caller.name, "to": callee.name}, nil)
	r.step("connect", o{"from": callee.name, "to": caller.name}, nil)
	callee.sees(320, 180)
	caller.sees(160, 120)
	callee.hears()
	r.step("release", o{"name": callee.name}, nil)
}

// oneToMany: two pages and eighteen others watch one, and none of them sees the picture stand still.
func (r *tutorials) oneToMany(t *testing.T, presenter *viewer) {
	r.step("connect", o{"from": presenter.name, "to": presenter.name}, nil)
	var pages []*viewer
	for i := range 2 {
		v := r.page(fmt.Sprintf("page %d", i), webtest.CallConfig{Watches: true}, false)
		r.step("connect", o{"from": presenter.name, "to": v.name}, nil)
		pages = append(pages, v)
	}
	var screens []*webrtctest.Screen
	for i := range 18 {
		s, err := webrtctest.NewScreen(webrtctest.ScreenConfig{Audio: true})
		r.must(err)
		defer func() { _ = s.Close() }()
		r.screen(fmt.Sprintf("screen %d", i), s)
		r.step("connect", o{"from": presenter.name, "to": fmt.Sprintf("screen %d", i)}, nil)
		screens = append(screens, s)
	}
	var told string
	ok := eventually(2*videoPatience, func() bool {
		for _, v := range pages {
			_, err := v.page.Sees(r.ctx)
			r.must(err)
		}
		before := make([]int, len(screens))
		for i, s := range screens {
			s.Forget()
			before[i] = s.Seen().Pictures
		}
		time.Sleep(videoSpan)
		told = ""
		for _, v := range pages {
			if p, err := v.page.Sees(r.ctx); err != nil || p.Frames < 10 || p.Longest > videoFreeze || p.Width != 320 {
				told += fmt.Sprintf("%s: %+v %v\n", v.name, p, err)
			}
		}
		for i, s := range screens {
			if n := s.Seen(); n.Pictures-before[i] < 10 || float64(n.Freeze.Milliseconds()) > videoFreeze {
				told += fmt.Sprintf("screen %d: %+v, %d before\n", i, n, before[i])
			}
		}
		return told == ""
	})
	if !ok {
		t.Errorf("not all are shown pictures without a freeze of more than %.0f ms:\n%s", videoFreeze, told)
	}
	for _, v := range pages {
		r.step("release", o{"name": v.name}, nil)
	}
	for i := range screens {
		r.step("release", o{"name": fmt.Sprintf("screen %d", i)}, nil)
	}
}

// screen connects one with its endpoint.
func (r *tutorials) screen(name string, s *webrtctest.Screen) {
	r.t.Helper()
	offer, err := s.Offer(r.ctx)
	r.must(err)
	r.step("make", o{"name": name, "type": "WebRtcEndpoint"}, nil)
	var answer string
	r.step("negotiate", o{"name": name, "offer": string(offer)}, &answer)
	r.must(s.Accept([]byte(answer)))
	for end := time.Now().Add(videoPatience); ; time.Sleep(50 * time.Millisecond) {
		var list []o
		r.step("events", o{"name": name}, &list)
		for _, e := range list {
			if c, ok := e["candidate"].(o); ok {
				r.must(s.AddCandidate(c["candidate"].(string)))
			}
		}
		select {
		case <-s.Connected():
			return
		default:
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s isn't connected", name)
		}
	}
}

// loss: a twentieth of the packets to and from a page is thrown away, and its picture is back within a second.
func (r *tutorials) loss(t *testing.T, presenter *viewer) {
	v := r.page("lossy", webtest.CallConfig{Watches: true}, true)
	r.step("connect", o{"from": presenter.name, "to": v.name}, nil)
	v.sees(320, 180)
	r.lossy.Lose(5)
	defer r.lossy.Lose(0)
	var p webtest.Picture
	row := 0 // spans one after the other in which the picture was always back in time
	if !eventually(videoPatience, func() bool {
		before, err := v.page.Sees(r.ctx)
		r.must(err)
		time.Sleep(videoSpan)
		p, err = v.page.Sees(r.ctx)
		r.must(err)
		if p.Frames-before.Frames >= 10 && p.Longest < videoRecovery {
			row++
		} else {
			row = 0
		}
		return row == lossySpans
	}) {
		t.Errorf("at 5 %% of loss the page is shown %+v, expected a picture again within %.0f ms, %d times in a row", p, videoRecovery, lossySpans)
	}
	for _, s := range v.counts("outboundrtp") {
		if s["codecId"] == "VP8/90000" && s["nackCount"].(float64) == 0 {
			t.Errorf("nothing was asked for again: %v", s)
		}
	}
}
