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
	"strconv"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
)

// What ffmpeg made as Matroska and WebM is put into MP4 as it is, and ffmpeg decodes it without a complaint, whether its writer has died or
// not.
func TestMediaMP4(t *testing.T) {
	for name, codec := range map[string]string{"vp9.webm": "vp9", "h264.mkv": "h264"} {
		for _, whole := range []bool{true, false} {
			file := filepath.Join(t.TempDir(), name+".mp4")
			into(t, filepath.Join("../../media/container/testdata", name), file, whole)
			sound, picture := tracks(t, file)
			if sound.Codec != "opus" || sound.count != 151 || picture.Codec != codec || picture.count != 30 || picture.Width != 160 || picture.Height != 120 {
				t.Errorf("%s, whole %t: %+v and %+v", name, whole, sound, picture)
			}
			if stated := probe(t, file); whole && math.Abs(stated-3) > 0.04 {
				t.Errorf("%s says %.3f s, expected 3", name, stated)
			}
			if clip := decode(t, file); math.Abs(clip.Seconds()-3) > 0.04 {
				t.Errorf("%s, whole %t: %.3f s of sound, expected 3", name, whole, clip.Seconds())
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

// into writes all units of a file to one of MP4.
func into(t *testing.T, from, to string, whole bool) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r, err := container.Open(readable{onDisk{in}}, from, "")
	if err != nil {
		t.Fatal(err)
	}
	w, err := container.NewMP4(onDisk{out}, r.Tracks())
	if err != nil {
		t.Fatal(err)
	}
	for {
		var u container.Unit
		if err := r.Read(&u); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if r.Tracks()[u.Track].Format.Kind == media.Video {
			u.For = 100 * time.Millisecond
		}
		if err := w.Write(&u); err != nil {
			t.Fatal(err)
		}
	}
	if whole {
		err = w.Close()
	} else {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
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
	if out, err := exec.Command("ffmpeg", "-v", "error", "-xerror", "-err_detect", "explode", "-i", file, "-f", "null", "-").CombinedOutput(); err != nil || len(out) != 0 {
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
