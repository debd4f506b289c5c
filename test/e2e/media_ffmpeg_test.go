//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/video"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

const (
	ffmpegPictures = 20   // that are decoded of a codec
	ffmpegTries    = 3    // for a machine on which a decoder is late for its packets
	payloadType    = "96" // of peers of RTP
)

// encoders have ffmpeg make pictures of each codec, as a peer of RTP does: a key picture each second.
var encoders = map[string][]string{
	"VP8":  {"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k"},
	"VP9":  {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k", "-strict", "experimental"},
	"H264": {"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline"},
	"H265": {"-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-x265-params", "log-level=error:repeat-headers=1"},
	"AV1":  {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-b:v", "200k"},
}

// throughFFmpeg: what ffmpeg sends to an RtpEndpoint goes by a WebRtcEndpoint to a peer that sends it back, and from another RtpEndpoint to
// ffmpeg, whose decoder finds no fault in it. Of AV1 ffmpeg has no RTP: it encodes and decodes, and the payload format is ours.
func (r *tutorials) throughFFmpeg(t *testing.T, codec string, base uint16) {
	addr := r.gateway.http.Addr()
	from, at := netip.AddrPortFrom(addr, base), netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), base+2)
	to := r.peer("in "+codec, from, "sendonly", codec)
	mirror, err := webrtctest.NewScreen(webrtctest.ScreenConfig{Codecs: []string{codec}, Mirror: true})
	r.must(err)
	defer func() { _ = mirror.Close() }()
	r.screen("mirror "+codec, mirror)
	r.step("connect", o{"from": "in " + codec, "to": "mirror " + codec}, nil)
	ctx, cancel := context.WithCancel(r.ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	r.send(ctx, &work, codec, from, to)
	var got decoded
	for i := range ffmpegTries {
		out := fmt.Sprintf("out %s %d", codec, i)
		got = r.decode(ctx, codec, at, func() { // it listens: the first that it gets is a key picture
			r.peer(out, at, "recvonly", codec)
			r.step("connect", o{"from": "mirror " + codec, "to": out}, nil)
		})
		r.step("release", o{"name": out}, nil)
		if got.pictures >= ffmpegPictures && got.faults == "" {
			break
		}
	}
	if got.pictures < ffmpegPictures || got.faults != "" || got.size != "W256 H144" {
		t.Errorf("%s: ffmpeg decodes %d pictures, %s, and finds: %s; expected %d, W256 H144, and no fault; the mirror saw %+v", codec, got.pictures, got.size, got.faults, ffmpegPictures, mirror.Seen())
	}
	for _, name := range []string{"in ", "mirror "} {
		r.step("release", o{"name": name + codec}, nil)
	}
}

// peer makes an RtpEndpoint for a peer that has pictures of a codec at that address, and returns where the endpoint has its own.
func (r *tutorials) peer(name string, at netip.AddrPort, direction, codec string) netip.AddrPort {
	r.t.Helper()
	r.step("make", o{"name": name, "type": "RtpEndpoint"}, nil)
	lines := []string{"v=0", "o=- 1 1 IN IP4 " + at.Addr().String(), "s=-", "c=IN IP4 " + at.Addr().String(), "t=0 0",
		fmt.Sprintf("m=video %d RTP/AVPF %s", at.Port(), payloadType), fmt.Sprintf("a=rtpmap:%s %s/90000", payloadType, codec), "a=" + direction}
	if codec == "H264" {
		lines = append(lines, "a=fmtp:"+payloadType+" packetization-mode=1;profile-level-id=42e01f")
	}
	var answer string
	r.step("negotiate", o{"name": name, "offer": strings.Join(lines, "\r\n") + "\r\n"}, &answer)
	d, err := sdp.Parse([]byte(answer))
	r.must(err)
	if len(d.Media) != 1 || d.Media[0].Port == 0 {
		r.t.Fatalf("%s is refused:\n%s", name, answer)
	}
	return d.Media[0].Target()
}

// send has ffmpeg send pictures until ctx ends.
func (r *tutorials) send(ctx context.Context, work *sync.WaitGroup, codec string, from, to netip.AddrPort) {
	r.t.Helper()
	args := append([]string{"-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=256x144:rate=15,format=yuv420p"}, encoders[codec]...)
	args = append(args, "-g", "15")
	if codec == "AV1" {
		clip := filepath.Join(r.files, "clip.ivf")
		args = append(args, "-frames:v", "30", "-f", "ivf", clip)
		if said, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput(); err != nil {
			r.t.Fatalf("ffmpeg: %v\n%s", err, said)
		}
		pictures := ivf(r, clip)
		conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
		r.must(err)
		work.Go(func() { sendAV1(ctx, conn, pictures) })
		return
	}
	args = append(args, "-payload_type", payloadType, "-f", "rtp", fmt.Sprintf("rtp://%s?pkt_size=1200&localrtpport=%d", to, from.Port()))
	ffmpeg := exec.CommandContext(ctx, "ffmpeg", args...)
	r.must(ffmpeg.Start())
	work.Go(func() { _ = ffmpeg.Wait() }) // it is killed
}

// ivf reads the pictures of a file.
func ivf(r *tutorials, name string) (list [][]byte) {
	b, err := os.ReadFile(name)
	r.must(err)
	for b = b[32:]; len(b) > 12; {
		n := int(binary.LittleEndian.Uint32(b))
		list = append(list, b[12:12+n])
		b = b[12+n:]
	}
	return list
}

// sendAV1 sends pictures over and over, 15 a second.
func sendAV1(ctx context.Context, conn *net.UDPConn, pictures [][]byte) {
	defer conn.Close()
	tick := time.NewTicker(time.Second / 15)
	defer tick.Stop()
	packer := video.NewPacker("AV1", []byte{0x81, 0, 0, 0}) // each key picture has its sequence header
	seq, ts := uint16(0), uint32(0)
	for i := 0; ; i++ {
		packer.Packets(pictures[i%len(pictures)], func(payload []byte, last bool) {
			b := []byte{0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
			if last {
				b[1] |= 0x80
			}
			binary.BigEndian.PutUint16(b[2:], seq)
			binary.BigEndian.PutUint32(b[4:], ts)
			seq++
			_, _ = conn.Write(append(b, payload...)) // lost, as on a network
		})
		ts += 6000
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// decoded is what ffmpeg makes of RTP.
type decoded struct {
	pictures int
	size     string
	faults   string // what its log says
}

// decode has ffmpeg decode what comes to an address. ready is called when something listens there.
func (r *tutorials) decode(ctx context.Context, codec string, at netip.AddrPort, ready func()) (d decoded) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, videoPatience)
	defer cancel()
	args := []string{"-nostdin", "-v", "error"}
	if codec == "AV1" {
		args = append(args, "-f", "obu", "-i", "pipe:0")
	} else {
		name := filepath.Join(r.files, fmt.Sprintf("%s-%d.sdp", codec, at.Port()))
		r.must(os.WriteFile(name, []byte(fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=video %[2]d RTP/AVP %[3]s\r\na=rtpmap:%[3]s %[4]s/90000\r\n",
			at.Addr(), at.Port(), payloadType, codec)), 0o600))
		args = append(args, "-protocol_whitelist", "file,udp,rtp", "-buffer_size", "1000000", "-i", name)
	}
	ffmpeg := exec.CommandContext(ctx, "ffmpeg", append(args, "-an", "-f", "yuv4mpegpipe", "-flush_packets", "1", "pipe:1")...)
	var said bytes.Buffer
	ffmpeg.Stderr = &said
	out, err := ffmpeg.StdoutPipe()
	r.must(err)
	if codec == "AV1" {
		in, err := ffmpeg.StdinPipe()
		r.must(err)
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		r.must(err)
		defer conn.Close()
		go unpackAV1(conn, in)
	}
	r.must(ffmpeg.Start())
	if !eventually(videoPatience, func() bool { return taken(r, at) }) {
		r.t.Fatalf("ffmpeg doesn't listen at %s: %s", at, said.String())
	}
	ready()
	d.size, d.pictures = readY4M(out, ffmpegPictures)
	cancel()
	_ = ffmpeg.Wait() // it was killed
	d.faults = strings.TrimSpace(said.String())
	return d
}

// taken reports whether somebody has an address, or its port on all.
func taken(r *tutorials, at netip.AddrPort) bool {
	b, err := os.ReadFile("/proc/net/udp")
	r.must(err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", at.Port())) {
			return true
		}
	}
	return false
}

// readY4M reads so many pictures of a stream of YUV4MPEG2.
func readY4M(from io.Reader, most int) (size string, pictures int) {
	b := bufio.NewReader(from)
	head, err := b.ReadString('\n')
	f := strings.Fields(head)
	if err != nil || len(f) < 3 {
		return "", 0
	}
	var w, h int
	if _, err := fmt.Sscanf(f[1]+" "+f[2], "W%d H%d", &w, &h); err != nil {
		return head, 0
	}
	for pictures < most {
		if _, err := b.ReadString('\n'); err != nil {
			break
		}
		if _, err := io.CopyN(io.Discard, b, int64(w*h*3/2)); err != nil {
			break
		}
		pictures++
	}
	return f[1] + " " + f[2], pictures
}

// unpackAV1 writes the pictures that come to a socket as ffmpeg reads them: each behind a delimiter, from a key picture on.
func unpackAV1(conn *net.UDPConn, to io.WriteCloser) {
	defer to.Close()
	u, began := video.NewUnpacker("AV1"), false
	for b := make([]byte, 2000); ; {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		var h rtpstream.Header
		if !h.Parse(b[:n]) {
			continue
		}
		payload, ok := h.Payload(b[:n])
		if began = began || ok && video.Key("AV1")(payload); !began {
			continue
		}
		u.Add(payload)
		if !h.Marker {
			continue
		}
		if picture, ok := u.Take(); ok {
			if _, err := to.Write(append([]byte{0x12, 0}, picture...)); err != nil {
				return
			}
		}
	}
}
