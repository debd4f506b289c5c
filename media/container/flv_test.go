package container

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// disk is a file that is written, in memory.
type disk struct{ b []byte }

func (d *disk) Write(p []byte) (int, error) { d.b = append(d.b, p...); return len(p), nil }

func (d *disk) WriteAt(p []byte, at int64) (int, error) { return copy(d.b[at:], p), nil }

func (d *disk) Size() int64 { return int64(len(d.b)) }

// flvTags takes the tags of a file apart, as a player does.
func flvTags(t *testing.T, b []byte) (kinds []byte, times []uint32, data [][]byte) {
	t.Helper()
	if len(b) < 13 || string(b[:4]) != "FLV\x01" || binary.BigEndian.Uint32(b[5:]) != 9 || binary.BigEndian.Uint32(b[9:]) != 0 {
		t.Fatalf("the file begins with %x", b[:min(13, len(b))])
	}
	for b = b[13:]; len(b) > 0; {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if len(b) < flvHead+n+4 || int(binary.BigEndian.Uint32(b[flvHead+n:])) != flvHead+n {
			t.Fatalf("a tag of %d bytes, of %d that there are", n, len(b))
		}
		kinds = append(kinds, b[0])
		times = append(times, uint32(b[7])<<24|uint32(b[4])<<16|uint32(b[5])<<8|uint32(b[6]))
		data = append(data, b[flvHead:flvHead+n])
		b = b[flvHead+n+4:]
	}
	return kinds, times, data
}

// What was written stands in tags of its times, whole at any moment; the head says what there is, and how long it is.
func TestFLV(t *testing.T) {
	d := &disk{}
	w, err := NewFLV(d, []Track{{Format: media.PCMU()}, {}})
	if err != nil {
		t.Fatal(err)
	}
	write := func(u Unit) {
		t.Helper()
		if err := w.Write(&u); err != nil {
			t.Fatal(err)
		}
		flvTags(t, d.b)
	}
	if err := w.Write(&Unit{Track: 1, Data: []byte("picture")}); err == nil {
		t.Error("a picture is taken before it is described")
	}
	for i := range 100 {
		at := time.Duration(i) * 20 * time.Millisecond
		write(Unit{At: at, For: 20 * time.Millisecond, Key: true, Data: make([]byte, 160)})
		if i == 10 {
			if err := w.Describe(1, Track{Format: media.VideoFormat("H264", ""), Setup: []byte("setup"), Width: 320, Height: 180}); err != nil {
				t.Fatal(err)
			}
		}
		if i >= 10 && i%2 == 0 {
			write(Unit{Track: 1, At: at + time.Duration(i%4)*10*time.Millisecond, For: 40 * time.Millisecond, Key: i == 10, Data: []byte("picture")})
		}
	}
	if d.b[flvHas] != flvHasAudio|flvHasVideo {
		t.Errorf("the file says that there is %d", d.b[flvHas])
	}
	before := len(d.b)
	if err := w.Close(); err != nil || len(d.b) == before {
		t.Errorf("the end: %v, %d bytes, %d before", err, len(d.b), before)
	}
	kinds, times, data := flvTags(t, d.b)
	count := map[byte]int{}
	last := map[byte]uint32{}
	for i, k := range kinds {
		count[k]++
		if times[i] < last[k] {
			t.Errorf("a tag of kind %d at %d after %d", k, times[i], last[k])
		}
		last[k] = times[i]
	}
	if count[flvScript] != 1 || count[flvAudio] != 100 || count[flvVideo] != 46 {
		t.Errorf("tags of each kind: %v", count)
	}
	number := func(at int64) float64 { return math.Float64frombits(binary.BigEndian.Uint64(d.b[at:])) }
	const apart = 2 + 6 + 1 + 8
	if length, width, height := number(w.length), number(w.size), number(w.size+apart); length < 2 || length > 2.06 || width != 320 || height != 180 {
		t.Errorf("the file says %g s, %g by %g", length, width, height)
	}
	if first := data[12]; kinds[12] != flvVideo || string(first) != "\x17\x00\x00\x00\x00setup" {
		t.Errorf("before the first picture stands %q", first)
	}
	if _, err := NewFLV(&disk{}, []Track{{Format: &media.Format{Codec: "OPUS", Clock: 48000, Channels: 2}}}); err == nil {
		t.Error("FLV takes Opus")
	}
}
