package rtsp_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/rtsp"
	"github.com/patchbay/patchbay/media/uri"
)

// film is a server of ten seconds of G.711 in one second's pieces, at whose beginnings alone it can go on. It sends a fifth of a second each time
// that it is asked to play, in the connection.
type film struct {
	*script
	mu   sync.Mutex
	sent uint16 // packets
}

// zero is a timestamp that the film begins at, near where timestamps go round.
const zero = 1<<32 - 4000

func newFilm(t *testing.T, answer func(r request) (text string, own bool)) *film {
	f := &film{}
	f.script = newScript(t, func(r request) string {
		if answer != nil {
			if text, own := answer(r); own {
				return text
			}
		}
		return f.answer(r)
	})
	return f
}

func (f *film) answer(r request) string {
	switch r.method {
	case "DESCRIBE":
		return described("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=range:npt=0-10\r\nm=audio 0 RTP/AVP 0\r\na=control:track1\r\n")
	case "SETUP":
		return "200 OK\r\nSession: 7;timeout=1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
	case "PLAY":
		var at float64
		if _, err := fmt.Sscanf(r.header.Get("Range"), "npt=%f-", &at); err != nil {
			return "457 Invalid Range\r\n"
		}
		return f.play(int(at))
	}
	return "200 OK\r\nSession: 7\r\n"
}

// play says where it plays from, and ten packets from there on.
func (f *film) play(second int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamp := uint32(zero + 8000*second)
	var b strings.Builder
	fmt.Fprintf(&b, "200 OK\r\nSession: 7\r\nRange: npt=%d-10\r\nRTP-Info: url=rtsp://x/live/track1;seq=%d;rtptime=%d\r\n\r\n", second, f.sent, stamp)
	for i := range 10 {
		p := append([]byte{0x80, 0}, make([]byte, 10+160)...)
		binary.BigEndian.PutUint16(p[2:], f.sent)
		binary.BigEndian.PutUint32(p[4:], stamp+uint32(160*i))
		p[11] = 9
		f.sent++
		b.WriteByte('$')
		b.WriteByte(0)
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(p))))
		b.Write(p)
	}
	return b.String()
}

func openFilm(t *testing.T, f *film, stall time.Duration) *rtsp.Stream {
	t.Helper()
	cfg := config(network(t))
	cfg.TCP, cfg.Stall = true, stall
	return mustOpen(t, cfg, f.url)
}

// ten reads what the film sends at once, which stands where it was to play from.
func ten(t *testing.T, s *rtsp.Stream, from time.Duration) {
	t.Helper()
	for i := range 10 {
		var u container.Unit
		for u.Track = -1; u.Track < 0; {
			u = read(t, s)
		}
		if want := from + time.Duration(i)*20*time.Millisecond; u.At != want || len(u.Data) != 160 {
			t.Fatalf("unit %d of %d bytes stands at %s, want %s", i, len(u.Data), u.At, want)
		}
	}
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %s", what, within)
		}
	}
}

// What a server has a length of is sought there, and pauses there: it is told that it is still wanted, its silence means nothing, and what was sent
// before is left out.
func TestSeek(t *testing.T) {
	t.Parallel()
	f := newFilm(t, nil)
	s := openFilm(t, f, within)
	if s.Duration() != 10*time.Second {
		t.Errorf("it plays for %s", s.Duration())
	}
	ten(t, s, 0)
	if err := s.Seek(5500 * time.Millisecond); err != nil || s.From() != 5*time.Second {
		t.Fatalf("sought: %v, it goes on at %s", err, s.From())
	}
	ten(t, s, 5*time.Second)
	s.Pause(true)
	poll(t, "PAUSE", func() bool { return len(f.asked("PAUSE")) == 2 })
	known := len(f.asked("OPTIONS"))
	poll(t, "word that it is still wanted", func() bool { return len(f.asked("OPTIONS")) > known+1 })
	if session := f.asked("OPTIONS")[known].header.Get("Session"); session != "7" {
		t.Errorf("of session %q", session)
	}
	if err := s.Seek(9 * time.Second); err != nil || len(f.asked("PLAY")) != 2 {
		t.Errorf("sought while it pauses: %v, %d times played", err, len(f.asked("PLAY")))
	}
	s.Pause(true)
	s.Wake()
	if u := read(t, s); u.Track != -1 {
		t.Errorf("woken it reads %+v", u)
	}
	s.Pause(false)
	if err := s.Seek(s.From()); err != nil {
		t.Fatal(err)
	}
	ten(t, s, 9*time.Second)
	if got := f.asked("PLAY")[2].header.Get("Range"); got != "npt=9-" {
		t.Errorf("asked for %s", got)
	}
	if n := len(f.asked("PAUSE")); n != 2 {
		t.Errorf("%d times told to pause", n)
	}
}

// At its end a server that falls silent, or goes, has ended; and can be sought again, if it is there.
func TestFilmEnds(t *testing.T) {
	t.Parallel()
	f := newFilm(t, nil)
	s := openFilm(t, f, within)
	ten(t, s, 0)
	if err := s.Seek(9 * time.Second); err != nil {
		t.Fatal(err)
	}
	ten(t, s, 9*time.Second)
	var u container.Unit
	if err := s.Read(&u); !errors.Is(err, io.EOF) {
		t.Errorf("in silence at its end: %v", err)
	}
	if err := s.Seek(time.Second); err != nil {
		t.Fatalf("sought after its end: %v", err)
	}
	ten(t, s, time.Second)

	f = newFilm(t, nil)
	s = openFilm(t, f, within)
	ten(t, s, 0)
	f.hangUp()
	if err := s.Read(&u); !errors.Is(err, uri.ErrBroken) {
		t.Errorf("gone amid it: %v", err)
	}
}

// A server that refuses to pause, or to play elsewhere, goes on.
func TestSeekRefused(t *testing.T) {
	t.Parallel()
	for _, refused := range []string{"PAUSE", "PLAY"} {
		f := newFilm(t, func(r request) (string, bool) {
			return "457 Invalid Range\r\n", r.method == refused && r.header.Get("Range") != "npt=0-" && !strings.HasPrefix(r.header.Get("Range"), "npt=0.18")
		})
		s := openFilm(t, f, within)
		ten(t, s, 0)
		if err := s.Seek(5 * time.Second); !errors.Is(err, container.ErrSeek) {
			t.Errorf("%s refused: %v", refused, err)
		}
		if refused == "PLAY" { // it had paused
			ten(t, s, 0)
		}
	}
	f := newFilm(t, func(r request) (string, bool) {
		return "457 Invalid Range\r\n", r.method == "PLAY" && r.header.Get("Range") != "npt=0-"
	})
	s := openFilm(t, f, within)
	ten(t, s, 0)
	if err := s.Seek(5 * time.Second); !errors.Is(err, uri.ErrServer) {
		t.Errorf("it won't play at all any more: %v", err)
	}
}
