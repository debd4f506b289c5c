package rtsp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/rtsp"
	"github.com/patchbay/patchbay/media/uri"
)

func TestAttack(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"private_addresses": privateAddresses, "redirect_to_metadata": redirectToMetadata, "redirect_to_other_schemes": redirectToOtherSchemes,
		"endless_redirects": endlessRedirects, "password_to_others": passwordToOthers, "password_in_errors": passwordInErrors, "media_from_elsewhere": mediaFromElsewhere,
		"source_by_name": sourceByName, "multicast": multicast, "huge_description": hugeDescription, "many_media": manyMedia, "endless_header": endlessHeader,
		"silent_server": silentServer, "silent_handshake": silentHandshake, "redirect_amid": redirectAmid,
		"wrong_descriptions": wrongDescriptions, "endless_length": endlessLength, "frames_unasked": framesUnasked,
	} {
		t.Run("attack_"+name, func(t *testing.T) {
			t.Parallel()
			run(t)
		})
	}
}

func refused(t *testing.T, cfg rtsp.Config, raw string, want error) {
	t.Helper()
	if _, err := open(t, cfg, raw); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", raw, err, want)
	}
}

func privateAddresses(t *testing.T) {
	cfg := config(opener(t, uri.Config{Schemes: []string{"rtsp", "rtsps"}}))
	for _, host := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost", "100.100.100.200"} {
		refused(t, cfg, "rtsp://"+host+":8554/live", uri.ErrRefused)
		refused(t, cfg, "rtsps://"+host+"/live", uri.ErrRefused)
	}
}

func redirects(to string) func(request) string {
	return func(r request) string {
		if r.method == "OPTIONS" {
			return "200 OK\r\n"
		}
		return "302 Found\r\nLocation: " + to + "\r\n"
	}
}

func redirectToMetadata(t *testing.T) {
	cfg := config(network(t))
	for _, to := range []string{"rtsp://169.254.169.254/latest", "rtsp://192.168.0.1/", "rtsps://[::1]/"} {
		refused(t, cfg, newScript(t, redirects(to)).url, uri.ErrRefused)
	}
}

func redirectToOtherSchemes(t *testing.T) {
	cfg := config(opener(t, uri.Config{Schemes: []string{"rtsp", "http"}, Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}))
	for _, to := range []string{"http://127.0.0.1/", "file:///etc/passwd", "rtsps://127.0.0.1/", "rtsp:///live", "rtmp://127.0.0.1/"} {
		refused(t, cfg, newScript(t, redirects(to)).url, uri.ErrHop)
	}
	from, to := &url.URL{Scheme: "rtsps", Host: "a"}, &url.URL{Scheme: "rtsp", Host: "a"}
	if err := network(t).Moved(from, to, 1); !errors.Is(err, uri.ErrHop) {
		t.Errorf("from TLS to none: %v", err)
	}
}

func endlessRedirects(t *testing.T) {
	for _, to := range []string{"", "/other", "%zz"} {
		s := newScript(t, redirects(to))
		refused(t, config(network(t)), s.url, uri.ErrHop)
		if n := len(s.asked("DESCRIBE")); n == 0 || n > 7 {
			t.Errorf("redirected to %q it was asked %d times", to, n)
		}
	}
}

// A server that is trusted with a password has others asked, which aren't.
func passwordToOthers(t *testing.T) {
	wants := func(r request) string {
		if r.method == "OPTIONS" {
			return "200 OK\r\n"
		}
		return "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
	}
	other := newScript(t, wants)
	first := newScript(t, redirects(other.url))
	refused(t, config(network(t)), strings.Replace(first.url, "rtsp://", "rtsp://u:hush@", 1), uri.ErrServer)
	for _, r := range append(other.asked("DESCRIBE"), other.asked("OPTIONS")...) {
		if a := r.header.Get("Authorization"); a != "" || strings.Contains(r.url, "hush") {
			t.Errorf("it is told %s of %s", a, r.url)
		}
	}
	if len(other.asked("DESCRIBE")) == 0 {
		t.Error("it isn't asked")
	}
}

func passwordInErrors(t *testing.T) {
	o := network(t)
	for _, raw := range []string{"rtsp://u:hush@127.0.0.1:1/live", "rtsp://u:hush@192.168.1.1/live", strings.Replace(newScript(t, redirects("rtsp://u:hush@10.0.0.1/")).url, "//", "//u:hush@", 1)} {
		p, err := o.Parse(raw, "")
		if err != nil {
			t.Fatal(err)
		}
		cfg := config(o)
		cfg.Name = p.String()
		if _, err := open(t, cfg, raw); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("error %v", err)
		}
	}
}

// setup answers up to SETUP, and that with a transport.
func setup(transport string) func(request) string {
	return func(r request) string {
		switch r.method {
		case "DESCRIBE":
			return described(law)
		case "SETUP":
			return "200 OK\r\nSession: 1\r\nTransport: " + transport + "\r\n"
		}
		return "200 OK\r\n"
	}
}

// A server would have us send datagrams to others, and take theirs.
func mediaFromElsewhere(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.LocalAddr().(*net.UDPAddr).Port
	for _, source := range []string{"127.0.0.2", "169.254.169.254", "8.8.8.8"} {
		s := newScript(t, setup(fmt.Sprintf("RTP/AVP;unicast;client_port=5000-5001;server_port=%d-%d;source=%s", port, port+1, source)))
		refused(t, config(network(t)), s.url, uri.ErrRefused)
		if n := len(s.asked("PLAY")); n != 0 {
			t.Errorf("from %s it is played", source)
		}
	}
	if err := l.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := l.ReadFrom(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes were sent elsewhere", n)
	}
}

// A name in the place of an address isn't even looked up.
func sourceByName(t *testing.T) {
	s := newScript(t, setup("RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;source=inner.example"))
	if _, err := open(t, config(network(t)), s.url); err == nil || !strings.Contains(err.Error(), "names no address") {
		t.Errorf("error %v", err)
	}
}

func multicast(t *testing.T) {
	s := newScript(t, setup("RTP/AVP;multicast;destination=224.0.0.1;port=5000-5001;ttl=1"))
	if _, err := open(t, config(network(t)), s.url); err == nil {
		t.Error("a group is joined")
	}
}

func hugeDescription(t *testing.T) {
	s := newScript(t, func(r request) string {
		if r.method == "OPTIONS" {
			return "200 OK\r\n"
		}
		return "200 OK\r\nContent-Type: application/sdp\r\nContent-Length: 1000000000000\r\n\r\n"
	})
	if _, err := open(t, config(network(t)), s.url); err == nil || !strings.Contains(err.Error(), "Content-Length") {
		t.Errorf("error %v", err)
	}
}

// Of a thousand media two are asked for.
func manyMedia(t *testing.T) {
	var b strings.Builder
	b.WriteString(law)
	for i := range 1000 {
		fmt.Fprintf(&b, "m=audio 0 RTP/AVP 0\r\na=control:t%d\r\n", i)
	}
	s := newScript(t, func(r request) string {
		switch r.method {
		case "DESCRIBE":
			return described(b.String())
		case "SETUP":
			return "200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
		}
		return "200 OK\r\n"
	})
	cfg := config(network(t))
	cfg.TCP = true
	stream := mustOpen(t, cfg, s.url)
	if n := len(s.asked("SETUP")); n != 1 || len(stream.Tracks()) != 1 {
		t.Errorf("%d are asked for", n)
	}
}

func endlessHeader(t *testing.T) {
	for _, line := range []string{strings.Repeat("X: y\r\n", 100000), "X: " + strings.Repeat("y", 10<<20) + "\r\n", strings.Repeat("x", 10<<20) + ": y\r\n"} {
		s := newScript(t, func(request) string { return "200 OK\r\n" + line })
		if _, err := open(t, config(network(t)), s.url); err == nil {
			t.Error("it is taken")
		}
	}
}

// A server that takes the connection and says nothing fails within the time that it has, and at once when nobody waits any more.
func silentServer(t *testing.T) {
	s := newScript(t, func(request) string {
		<-t.Context().Done()
		return ""
	})
	cfg := config(network(t))
	cfg.Stall = 200 * time.Millisecond
	refused(t, cfg, s.url, uri.ErrStalled)
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := rtsp.Open(ctx, at, config(network(t))); err == nil || time.Since(begin) > within/2 {
		t.Errorf("error %v after %s", err, time.Since(begin))
	}
}

func silentHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg := config(network(t))
	cfg.Stall = 200 * time.Millisecond
	refused(t, cfg, "rtsps://"+l.Addr().String()+"/live", uri.ErrStalled)
}

// A redirect in the place of a later answer is one like others.
func redirectAmid(t *testing.T) {
	s := newScript(t, func(r request) string {
		switch r.method {
		case "DESCRIBE":
			return described(law)
		case "SETUP":
			return "302 Found\r\nLocation: rtsp://169.254.169.254/\r\n"
		}
		return "200 OK\r\n"
	})
	refused(t, config(network(t)), s.url, uri.ErrRefused)
}

// Descriptions that make no sense open nothing, or what of them makes sense.
func wrongDescriptions(t *testing.T) {
	for _, sdp := range []string{
		"", "\x00\xff", "v=0", strings.Repeat("a=", 50000), "v=0\r\n" + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", 1000),
		law + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=,,;profile-level-id=zz;packetization-mode=9\r\n",
		"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 L16/0/0\r\n",
		strings.Replace(law, "track1", "rtsp://169.254.169.254/latest", 1), strings.Replace(law, "track1", "%zz", 1),
	} {
		s := newScript(t, func(r request) string {
			switch r.method {
			case "DESCRIBE":
				return described(sdp)
			case "SETUP":
				return "200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
			}
			return "200 OK\r\n"
		})
		cfg := config(network(t))
		cfg.TCP = true
		if stream, err := open(t, cfg, s.url); err == nil && len(stream.Tracks()) == 0 {
			t.Errorf("%.60q: nothing to play, and no error", sdp)
		}
	}
}

// A length that no stream has, and places that aren't in it, are believed by nobody.
func endlessLength(t *testing.T) {
	for _, length := range []string{"0-1e18", "0-9999999999999999999999", "5-1", "0-0"} {
		s := newScript(t, func(r request) string {
			switch r.method {
			case "DESCRIBE":
				return described(strings.Replace(law, "m=audio", "a=range:npt="+length+"\r\nm=audio", 1))
			case "SETUP":
				return "200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
			}
			return "200 OK\r\nRange: npt=99999999-\r\nRTP-Info: url=track1;seq=99;rtptime=4294967295,,;;=\r\n"
		})
		cfg := config(network(t))
		cfg.TCP = true
		stream := mustOpen(t, cfg, s.url)
		if stream.Duration() != 0 || stream.From() != 0 || stream.Seek(time.Second) == nil {
			t.Errorf("%s: it plays for %s, from %s", length, stream.Duration(), stream.From())
		}
	}
}

// Media that comes before it is asked for, or on a channel that nobody set up, opens nothing and ends nothing but the connection.
func framesUnasked(t *testing.T) {
	frame := "$\x09\x00\x10" + strings.Repeat("\x80", 16)
	for _, early := range []string{"OPTIONS", "DESCRIBE", "SETUP", "PLAY"} {
		s := newScript(t, func(r request) string {
			text := "200 OK\r\n"
			switch r.method {
			case "DESCRIBE":
				text = described(law)
			case "SETUP":
				text = "200 OK\r\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
			}
			if r.method != early {
				return text
			}
			if !strings.Contains(text, "\r\n\r\n") {
				text += "\r\n"
			}
			return text + strings.Repeat(frame, 1000)
		})
		cfg := config(network(t))
		cfg.TCP, cfg.Stall = true, 300*time.Millisecond
		stream, err := open(t, cfg, s.url)
		if err == nil {
			err = stream.Read(nil)
		}
		if err == nil {
			t.Errorf("with %s: no error", early)
		}
	}
}
