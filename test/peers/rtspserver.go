package peers

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// RTSPServer is GStreamer's, running: it sends files in the time that they play, and what it makes itself.
type RTSPServer struct {
	*Process
	At             netip.AddrPort
	User, Password string // of the one who may play
}

//go:embed rtspserver.py
var rtspServer string

// StartRTSPServer starts one whose paths, "/film", have pipelines as gst-launch reads them; each has payloaders named pay0, pay1 ….
func StartRTSPServer(t testing.TB, pipelines map[string]string) *RTSPServer {
	t.Helper()
	s := &RTSPServer{User: "viewer", Password: "secret word"}
	dir := subfolder(t, Folder(t), "rtspserver")
	file := filepath.Join(dir, "rtspserver.py")
	write(t, file, rtspServer)
	at := Address(t)
	args := []string{file, at.String(), s.User, s.Password}
	for path, p := range pipelines {
		args = append(args, path+"="+p)
	}
	s.Process = start(t, command{name: "rtspserver", dir: dir, path: "/usr/bin/python3", args: args, env: []string{
		"GST_PLUGIN_SYSTEM_PATH_1_0=" + plugins(t, dir), "GST_REGISTRY_1_0=" + filepath.Join(dir, "registry"), "GST_DEBUG=1"}})
	var port uint16
	s.ready(t, 30*time.Second, func() bool {
		for _, line := range s.Logged("ready") {
			if _, err := fmt.Sscanf(line, "ready %d", &port); err == nil {
				return true
			}
		}
		return false
	})
	s.At = netip.AddrPortFrom(at, port)
	return s
}

// URL is that of a path, with the name and the password that it takes.
func (s *RTSPServer) URL(path string) string {
	return fmt.Sprintf("rtsp://%s:secret%%20word@%s%s", s.User, s.At, path)
}

// plugins makes a folder of those that pipelines need: to look through all that are there takes seconds.
func plugins(t testing.TB, dir string) string {
	t.Helper()
	from, err := filepath.Glob("/usr/lib/*/gstreamer-1.0")
	if err != nil || len(from) == 0 {
		t.Fatalf("peers: no plugins of GStreamer in /usr/lib: %v", err)
	}
	dir = subfolder(t, dir, "plugins")
	for _, name := range []string{"coreelements", "app", "udp", "tcp", "rtp", "rtpmanager", "rtsp", "typefindfunctions", "playback", "isomp4", "matroska", "wavparse",
		"alaw", "mulaw", "audioconvert", "audiotestsrc", "videotestsrc", "videoconvertscale", "vpx", "opus", "audioparsers"} {
		lib := "libgst" + name + ".so"
		if err := os.Symlink(filepath.Join(from[0], lib), filepath.Join(dir, lib)); err != nil && !os.IsExist(err) {
			t.Fatalf("peers: %v", err)
		}
	}
	return dir
}
