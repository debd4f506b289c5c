// Package container reads and writes the files that media is kept in: WAV, headerless G.711 and PCM, Ogg with Opus, Matroska,
// WebM and MP4. It knows media's formats, and nothing of where the bytes are.
package container

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/patchbay/patchbay/media"
)

// Input is a file to read. ReadAt may wait for what is still on its way.
type Input interface {
	io.ReaderAt
	// Size is how much there is by now, and whether that is all.
	Size() (n int64, whole bool)
}

// Track is one stream of a file.
type Track struct {
	Format *media.Format // as it travels in RTP; nil = nobody knows it
	Name   string        // what the file calls its codec
	Setup  []byte        // what a decoder must have before the first unit, as the file has it; nil = nothing
	Width  int           // of the picture; 0 = unknown
	Height int
	Other  bool // neither sound nor pictures: subtitles, say
	Sent   bool // units of video are the payloads that RTP brought them in, as video.Join puts them together
}

// Unit is what one timestamp of a track stands at: a packet of audio, a picture.
type Unit struct {
	Track int           // index into Tracks
	At    time.Duration // from the file's beginning; of what an encoder needed before it, less than 0
	For   time.Duration // how long it plays; 0 = unknown
	Key   bool          // can be decoded without what came before it
	Data  []byte        // the reader's again at its next call
}

// Reader reads the units of a file in the order in which they stand there. It is used by one goroutine at a time.
type Reader interface {
	Tracks() []Track
	// Duration is how long the file plays; 0 = unknown.
	Duration() time.Duration
	// Read reads the next unit; io.EOF says that there is none.
	Read(u *Unit) error
	// Seek has reading go on at or before a time, where it can be decoded from. It fails with ErrSeek where nobody can tell the
	// place, or it isn't there yet.
	Seek(at time.Duration) error
}

// Errors.
var (
	ErrUnknown = errors.New("container: neither WAV, Ogg, WebM, Matroska nor MP4")
	ErrDamaged = errors.New("container: damaged")
	ErrCodec   = errors.New("container: codec isn't known")
	ErrSeek    = errors.New("container: can't be sought")
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Open finds out what a file is, by its first bytes; where they say nothing by its media type, then by the end of its name.
func Open(in Input, name, mediaType string) (Reader, error) {
	c := &cursor{in: in}
	head, err := c.peek(12)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case strings.HasPrefix(string(head), "RIFF") && strings.HasSuffix(string(head), "WAVE"):
		return openWAV(c)
	case strings.HasPrefix(string(head), "OggS"):
		return openOgg(c)
	case strings.HasPrefix(string(head), "\x1a\x45\xdf\xa3"):
		return openMatroska(c)
	case len(head) >= 8 && slices.Contains([]string{"ftyp", "moov", "wide", "free", "mdat"}, string(head[4:8])):
		return openMP4(c)
	}
	if f, little := rawFormat(name, mediaType); f != nil && len(head) > 0 {
		return openRaw(c, f, little), nil
	}
	return nil, ErrUnknown
}

// rawFormat is what a file without a header holds, and whether its samples have the low byte first.
func rawFormat(name, mediaType string) (f *media.Format, little bool) {
	kind, params, _ := mime.ParseMediaType(mediaType)
	rate := map[string]int{"16000": 16000, "48000": 48000}[params["rate"]]
	switch kind {
	case "audio/basic", "audio/pcmu", "audio/x-mulaw":
		return media.PCMU(), false
	case "audio/pcma", "audio/x-alaw":
		return media.PCMA(), false
	case "audio/l16": // RFC 2586: the high byte first
		if params["channels"] != "" && params["channels"] != "1" {
			return nil, false
		}
		if rate == 0 {
			rate = 8000
		}
		return media.L16(rate), false
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".ul", ".ulaw", ".mulaw", ".pcmu", ".mu":
		return media.PCMU(), false
	case ".al", ".alaw", ".pcma":
		return media.PCMA(), false
	case ".sln", ".raw", ".pcm", ".s16", ".sln8":
		return media.L16(8000), true
	case ".sln16":
		return media.L16(16000), true
	case ".sln48":
		return media.L16(48000), true
	}
	return nil, false
}

// Packet is how long the units are that PCM and G.711 are read in.
const Packet = 20 * time.Millisecond

// cursor reads on, or jumps, in an Input. It reads ahead what is there, and waits for no more than is asked for.
type cursor struct {
	in  Input
	at  int64  // of what is read next
	win []byte // what was read ahead, from at on
	buf []byte

	room int // what is read ahead at most; 0 = window
}

const window = 32 << 10

func (c *cursor) most() int { return cmp.Or(c.room, window) }

// peek is the next n bytes, at most a window, without moving on; fewer and io.EOF at the end. They are valid until the next call.
func (c *cursor) peek(n int) ([]byte, error) {
	if len(c.win) >= n {
		return c.win[:n], nil
	}
	if c.buf == nil {
		c.buf = make([]byte, c.most())
	}
	have, _ := c.in.Size()
	want := max(int64(n), min(int64(len(c.buf)), have-c.at))
	got, err := c.in.ReadAt(c.buf[:want], c.at)
	c.win = c.buf[:got]
	if got >= n {
		return c.win[:n], nil
	}
	if err == nil {
		err = io.EOF
	}
	return c.win, err
}

// read fills p, or fails: with io.EOF if there was nothing, with ErrDamaged if there was less.
func (c *cursor) read(p []byte) error {
	n := copy(p, c.win)
	c.skip(int64(n))
	if n == len(p) {
		return nil
	}
	if len(p)-n >= c.most() {
		got, err := c.in.ReadAt(p[n:], c.at)
		c.at += int64(got)
		return whole(n+got, len(p), err)
	}
	b, err := c.peek(len(p) - n)
	n += copy(p[n:], b)
	c.skip(int64(len(b)))
	return whole(n, len(p), err)
}

func whole(n, want int, err error) error {
	switch {
	case n == want:
		return nil
	case n > 0 && (err == nil || errors.Is(err, io.EOF)):
		return damaged("ends amid something")
	case err == nil:
		return io.EOF
	}
	return err
}

// skip moves on.
func (c *cursor) skip(n int64) {
	if n <= int64(len(c.win)) {
		c.win = c.win[n:]
	} else {
		c.win = nil
	}
	c.at += n
}

// seek moves to a place.
func (c *cursor) seek(at int64) {
	if at >= c.at {
		c.skip(at - c.at)
		return
	}
	c.at, c.win = at, nil
}
