//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
	"github.com/patchbay/patchbay/media/video"
)

// What ffmpeg made is cut to packets, put together from them, and written to a file of each form, as a recorder does: ffmpeg decodes it
// without a complaint, whether its writer has died or not.
func TestMediaVideoFiles(t *testing.T) {
	for name, codec := range map[string]string{"vp9.webm": "vp9", "h264.mkv": "h264", "h265.mp4": "hevc", "av1.mp4": "av1"} {
		for _, form := range []string{".mp4", ".dead.mp4", ".mkv"} {
			if form == ".mkv" && (codec == "vp9" || codec == "h264") {
				continue // these come from there
			}
			file := filepath.Join(t.TempDir(), name+form)
			into(t, filepath.Join("../../media/container/testdata", name), file)
			sound, picture := tracks(t, file)
			if sound.Codec != "opus" || sound.count < 150 || picture.Codec != codec || picture.count != 30 || picture.Width != 160 || picture.Height != 120 {
				t.Errorf("%s as %s: %+v and %+v", name, form, sound, picture)
			}
			if stated := probe(t, file); form != ".dead.mp4" && math.Abs(stated-3) > 0.04 {
				t.Errorf("%s as %s says %.3f s, expected 3", name, form, stated)
			}
			if form == ".dead.mp4" {
				continue
			}
			if clip := decode(t, file); math.Abs(clip.Seconds()-3) > 0.04 {
				t.Errorf("%s as %s: %.3f s of sound, expected 3", name, form, clip.Seconds())
			}
		}
	}
}

// onDisk is a file to write.
type onDisk struct{ *os.File }

func (f onDisk) Size() int64 {
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return -1
	}
	return n
}

// readable is one to read.
type readable struct{ onDisk }

func (f readable) Size() (int64, bool) { return f.onDisk.Size(), true }

// into writes all units of a file to another one.
func into(t *testing.T, from, to string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in, err := os.Open(from)
	must(err)
	defer in.Close()
	out, err := os.Create(to)
	must(err)
	defer out.Close()
	r, err := container.Open(readable{onDisk{in}}, from, "")
	must(err)
	pictures := slices.IndexFunc(r.Tracks(), func(t container.Track) bool { return t.Format.Kind == media.Video })
	track := r.Tracks()[pictures]
	codec := track.Format.Codec
	pack, unpack := video.NewPacker(codec, track.Setup), video.NewUnpacker(codec)
	list := slices.Clone(r.Tracks())
	list[pictures] = container.Track{}
	var w interface {
		container.Writer
		Describe(i int, t container.Track) error
	}
	if strings.HasSuffix(to, ".mp4") {
		w, err = container.NewMP4(onDisk{out}, list)
	} else {
		w, err = container.NewMatroska(onDisk{out}, false, list)
	}
	must(err)
	begun := false
	for {
		var u container.Unit
		if err := r.Read(&u); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		u.At = max(u.At, 0)
		if u.Track == pictures {
			pack.Packets(u.Data, func(p []byte, _ bool) { unpack.Add(p) })
			data, ok := unpack.Take()
			if !ok {
				t.Fatalf("%s: the picture at %s isn't whole", from, u.At)
			}
			u.Data, u.For = data, 100*time.Millisecond
			if !begun {
				begun = true
				width, height, _ := video.Size(codec, data)
				must(w.Describe(pictures, container.Track{Format: track.Format, Setup: unpack.Setup(), Width: width, Height: height}))
			}
		}
		must(w.Write(&u))
	}
	if strings.Contains(to, ".dead") {
		must(w.Flush())
	} else {
		must(w.Close())
	}
}

// stream is one of a file, as ffprobe tells of it.
type stream struct {
	Kind          string `json:"codec_type"`
	Codec         string `json:"codec_name"`
	Width, Height int
	Packets       string  `json:"nb_read_packets"`
	count         int     // of packets
	begin, end    float64 // times of the first one and of the last one, s
}

// tracks are the streams of a file, all of whose pictures ffmpeg must decode without a complaint.
func tracks(t *testing.T, file string) (sound, picture stream) {
	t.Helper()
	ffmpeg := exec.Command("ffmpeg", "-v", "error", "-xerror", "-err_detect", "explode", "-i", file,
		"-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-f", "null", "-") // at the times that pictures have, however close they are
	if out, err := ffmpeg.CombinedOutput(); err != nil || len(out) != 0 {
		t.Fatalf("ffmpeg %s: %v: %s", file, err, out)
	}
	out, err := exec.Command("ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_type,codec_name,width,height,nb_read_packets:packet=codec_type,pts_time", "-of", "json", file).Output()
	var told struct {
		Streams []stream
		Packets []struct {
			Kind string `json:"codec_type"`
			At   string `json:"pts_time"`
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &told)
	}
	if err != nil {
		t.Fatalf("ffprobe %s: %v: %s", file, err, out)
	}
	for _, s := range told.Streams {
		s.count, _ = strconv.Atoi(s.Packets)
		s.begin = math.Inf(1)
		for _, p := range told.Packets {
			if at, err := strconv.ParseFloat(p.At, 64); err == nil && p.Kind == s.Kind {
				s.begin, s.end = min(s.begin, at), max(s.end, at)
			}
		}
		if s.Kind == "video" {
			picture = s
		} else {
			sound = s
		}
	}
	return sound, picture
}
