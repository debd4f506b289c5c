//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// controlPort is where rtpengine takes orders.
const controlPort = 2223

// rtpengineCommand is the daemon in user space, with one thread for media.
func rtpengineCommand(ctx context.Context, dir string) (*exec.Cmd, error) {
	path, err := exec.LookPath("rtpengine")
	if err != nil {
		return nil, fmt.Errorf("rtpengine is compared with: %w", err)
	}
	return exec.CommandContext(ctx, path, "--config-file=none", "--table=-1", "--interface="+ours.String(),
		fmt.Sprintf("--listen-ng=%s:%d", ours, controlPort), "--foreground", "--log-stderr", "--log-level=3", "--num-threads=1",
		"--port-min=30000", "--port-max=59999", "--pidfile="+filepath.Join(dir, "rtpengine.pid")), nil
}

// rtpengine is a client of a running one, over its ng protocol: a dictionary in bencode behind a cookie, in a datagram.
type rtpengine struct {
	conn   *net.UDPConn
	kind   string
	buf    []byte
	cookie int
}

func dialRTPEngine(kind string) (*rtpengine, error) {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ours, controlPort)))
	if err != nil {
		return nil, err
	}
	return &rtpengine{conn: c, kind: kind, buf: make([]byte, 65536)}, nil
}

func (r *rtpengine) Close() error { return r.conn.Close() }

// entry is one of a dictionary: keys are in order of writing, which rtpengine doesn't mind.
type entry struct {
	key   string
	value any // string, []string or []entry
}

// call sets up a call as order says.
func (r *rtpengine) call(id string, o order) (reply, error) {
	offer := []entry{{"command", "offer"}, {"call-id", id}, {"from-tag", "f"}, {"ICE", "remove"}, {"DTLS", "off"}, {"SDES", "off"},
		{"transport-protocol", "RTP/AVP"}, {"rtcp-mux", []string{"demux"}}, {"replace", []string{"origin"}},
		// Without an address rtpengine sees a call on hold.
		{"sdp", strings.ReplaceAll(o.Offer, "c=IN IP4 0.0.0.0", "c=IN IP4 "+theirs.String())}}
	if r.kind == kindOpus {
		offer = append(offer, entry{"codec", []entry{{"mask", []string{"all"}}, {"transcode", []string{"PCMU"}}}})
	}
	towards, err := r.ask(offer)
	if err != nil {
		return reply{}, fmt.Errorf("offer: %w", err)
	}
	port, err := audioPort(towards)
	if err != nil {
		return reply{}, err
	}
	back := []entry{{"command", "answer"}, {"call-id", id}, {"from-tag", "f"}, {"to-tag", "t"}, {"replace", []string{"origin"}},
		{"flags", []string{"trust-address"}}, {"sdp", string(phoneOffer(o.Phone))}}
	if r.kind == kindWebRTC {
		back = append(back, entry{"DTLS", "passive"}, entry{"ICE", "force"}, entry{"rtcp-mux", []string{"require"}})
	}
	sdp, err := r.ask(back)
	if err != nil {
		return reply{}, fmt.Errorf("answer: %w", err)
	}
	if ssrc, ok := announced(o.Offer); ok && r.kind == kindWebRTC { // it relays the phone's SSRC, our own as an echo; pion wants to know it beforehand
		sdp += fmt.Sprintf("a=ssrc:%s cname:gw\r\na=ssrc:%s msid:gw audio\r\na=msid:gw audio\r\n", ssrc, ssrc)
	}
	return reply{Answer: sdp, Media: netip.AddrPortFrom(ours, port)}, nil
}

// announced is the SSRC of an offer.
func announced(sdp string) (string, bool) {
	_, after, ok := strings.Cut(sdp, "a=ssrc:")
	ssrc, _, _ := strings.Cut(after, " ")
	return ssrc, ok
}

func audioPort(sdp string) (uint16, error) {
	_, after, ok := strings.Cut(sdp, "m=audio ")
	text, _, _ := strings.Cut(after, " ")
	port, err := strconv.ParseUint(text, 10, 16)
	if !ok || err != nil {
		return 0, fmt.Errorf("no port of audio in %q", sdp)
	}
	return uint16(port), nil
}

// ask sends a command and gives the SDP of the response.
func (r *rtpengine) ask(command []entry) (string, error) {
	r.cookie++
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d_%d ", r.conn.LocalAddr().(*net.UDPAddr).Port, r.cookie)
	bencode(&b, command)
	if _, err := r.conn.Write(b.Bytes()); err != nil {
		return "", err
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	n, err := r.conn.Read(r.buf)
	if err != nil {
		return "", fmt.Errorf("rtpengine doesn't respond: %w", err)
	}
	sdp, ok := bencoded(string(r.buf[:n]), "sdp")
	if !ok {
		return "", fmt.Errorf("rtpengine responds %q", r.buf[:n])
	}
	return sdp, nil
}

// ready waits until the daemon takes orders.
func (r *rtpengine) ready(ctx context.Context) error {
	for end := time.Now().Add(startTime); ; {
		if _, err := fmt.Fprint(r.conn, "0 d7:command4:pinge"); err == nil {
			_ = r.conn.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := r.conn.Read(r.buf); err == nil && strings.Contains(string(r.buf[:n]), "pong") {
				return nil
			}
		}
		if time.Now().After(end) {
			return errors.New("rtpengine takes no orders")
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func bencode(w io.Writer, v any) {
	switch v := v.(type) {
	case string:
		fmt.Fprintf(w, "%d:%s", len(v), v)
	case []string:
		io.WriteString(w, "l")
		for _, s := range v {
			bencode(w, s)
		}
		io.WriteString(w, "e")
	case []entry:
		io.WriteString(w, "d")
		for _, e := range v {
			bencode(w, e.key)
			bencode(w, e.value)
		}
		io.WriteString(w, "e")
	}
}

// bencoded finds a string under a key of a dictionary that has no such text elsewhere.
func bencoded(text, key string) (string, bool) {
	_, after, ok := strings.Cut(text, fmt.Sprintf("%d:%s", len(key), key))
	length, rest, found := strings.Cut(after, ":")
	n, err := strconv.Atoi(length)
	if !ok || !found || err != nil || n < 0 || n > len(rest) {
		return "", false
	}
	return rest[:n], true
}
