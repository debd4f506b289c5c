package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// written is a file that is being written, in memory.
type written struct{ b []byte }

func (w *written) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *written) WriteAt(p []byte, at int64) (int, error) { return copy(w.b[at:], p), nil }
func (w *written) Size() int64                             { return int64(len(w.b)) }

// script is what a file of two tracks is to have: sound from 300 ms on, with a gap; pictures, of which some come before others that are shown
// before them.
func script() (list []Unit) {
	for i := range 300 { // 20 ms each
		at := time.Duration(i) * 20 * time.Millisecond
		if i%5 == 0 {
			n := i / 5 // one of 60 pictures
			shown := at
			if n > 20 && n < 50 && n%10 != 0 {
				shown += time.Duration([]int{100, -100}[n%2]) * time.Millisecond // 2 1 4 3
			}
			list = append(list, Unit{Track: 1, At: shown, For: 100 * time.Millisecond, Key: n%10 == 0, Data: bytes.Repeat([]byte{1, byte(n)}, 20+n)})
		}
		if i >= 15 && (i < 100 || i >= 150) {
			list = append(list, Unit{Track: 0, At: at, For: 20 * time.Millisecond, Key: true, Data: []byte{0x78, byte(i), byte(i >> 8)}})
		}
	}
	return list
}

// What is written is what is read, at its time, whether the writer has died amid it or not; and pictures need not come in the order in which
// they are shown.
func TestMP4ThereAndBack(t *testing.T) {
	out := &written{}
	w, err := NewMP4(out, []Track{{Format: opusFormat()}, {}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&Unit{Track: 1}); !errors.Is(err, ErrCodec) {
		t.Errorf("a unit of a track that isn't described: %v", err)
	}
	list := script()
	if err := w.Describe(1, Track{Format: media.VideoFormat("VP9", ""), Width: 320, Height: 180}); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := w.Write(&list[i]); err != nil {
			t.Fatal(err)
		}
		if i == len(list)/2 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			same(t, "killed", out.b, list[:i+1])
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "whole", out.b, list)
	if bytes.Index(out.b, []byte("mdat")) > 64 || bytes.Contains(out.b[out.Size()-200:], []byte("moof")) {
		t.Error("the file isn't a plain one")
	}
}

// same sees that a file has these units, and that all that follows comes after a seek.
func same(t *testing.T, what string, b []byte, want []Unit) {
	t.Helper()
	r, err := Open(memory{Reader: bytes.NewReader(b)}, "", "")
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	tracks := r.Tracks()
	if len(tracks) != 2 || tracks[1].Width != 320 || tracks[1].Height != 180 || tracks[1].Format.Codec != "VP9" || tracks[0].Format.Codec != "OPUS" {
		t.Fatalf("%s: tracks %+v", what, tracks)
	}
	got := units(t, r)
	end := time.Duration(0)
	for i := range tracks {
		is, should := of(got, i), of(want, i)
		if len(is) != len(should) {
			t.Fatalf("%s: %d units of track %d, want %d", what, len(is), i, len(should))
		}
		for n, u := range is {
			v := should[n]
			end = max(end, v.At+v.For)
			if !bytes.Equal(u.Data, v.Data) || u.Key != v.Key || (u.At-v.At).Abs() > 50*time.Microsecond {
				t.Fatalf("%s: unit %d of track %d is %x at %s, key %t; want %x at %s, key %t", what, n, i, u.Data, u.At, u.Key, v.Data, v.At, v.Key)
			}
		}
	}
	if d := r.Duration(); (d - end).Abs() > time.Millisecond {
		t.Errorf("%s: says %s, has %s", what, d, end)
	}
	if err := r.Seek(1500 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	rest := units(t, r)
	if p, s := of(rest, 1), of(rest, 0); p[0].At != time.Second || s[0].At < 1480*time.Millisecond || s[0].At > 1500*time.Millisecond {
		t.Errorf("%s: after a seek to 1.5 s pictures from %s, sound from %s", what, p[0].At, s[0].At)
	}
	if n := len(of(got, 1)) - len(of(rest, 1)); n != 10 {
		t.Errorf("%s: after a seek to 1.5 s %d pictures are missing, expected 10", what, n)
	}
}

func of(list []Unit, track int) (out []Unit) {
	for _, u := range list {
		if u.Track == track {
			out = append(out, u)
		}
	}
	return out
}

// An edit list cuts what is before the beginning: pictures that are shown in another order than they come begin at 0, as the sound does. A
// codec that isn't known has a name.
func TestForeignMP4(t *testing.T) {
	r := openFile(t, "aac.mp4")
	tracks := r.Tracks()
	if len(tracks) != 2 || tracks[0].Format == nil || tracks[0].Format.Codec != "H264" || tracks[1].Format != nil || tracks[1].Name != "AAC (mp4a)" {
		t.Fatalf("tracks %+v", tracks)
	}
	if tracks[0].Width != 160 || tracks[0].Height != 120 {
		t.Errorf("%d x %d", tracks[0].Width, tracks[0].Height)
	}
	var at []time.Duration
	ordered := true
	for _, u := range units(t, r) {
		if n := len(at); n > 0 && u.At < at[n-1] {
			ordered = false
		}
		at = append(at, u.At)
	}
	slices.Sort(at)
	if len(at) != 30 || at[0] != 0 || (at[29]-2900*time.Millisecond).Abs() > time.Millisecond || ordered {
		t.Errorf("pictures at %v, in order %t", at, ordered)
	}
}

// far is a file of which the beginning has come; who reads on fails.
type far struct {
	*bytes.Reader
	t    *testing.T
	have int64
}

func (f far) Size() (int64, bool) { return f.have, false }

func (f far) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.have {
		f.t.Errorf("%d bytes are read at %d, there are %d", len(p), at, f.have)
		return 0, io.ErrUnexpectedEOF
	}
	return f.Reader.ReadAt(p, at)
}

// Of a file that is still on its way, with its index in front or in fragments, what has come can be played.
func TestMP4OnItsWay(t *testing.T) {
	for _, name := range []string{"aac.mp4", "parts.mp4"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		all := units(t, openFile(t, name))
		last := all[len(all)/3].Data
		have := bytes.Index(b, last) + len(last)
		r, err := Open(far{bytes.NewReader(b), t, int64(have)}, name, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range len(all) / 4 {
			var u Unit
			if err := r.Read(&u); err != nil || !bytes.Equal(u.Data, all[i].Data) {
				t.Fatalf("%s: unit %d: %v", name, i, err)
			}
		}
	}
}

// arriving is a file that comes piece by piece, whenever somebody waits for more of it.
type arriving struct {
	*bytes.Reader
	have int64
}

func (a *arriving) Size() (int64, bool) { return a.have, a.have == a.Reader.Size() }

func (a *arriving) ReadAt(p []byte, at int64) (int, error) {
	for a.have < min(at+int64(len(p)), a.Reader.Size()) {
		a.have = min(a.have+1000, a.Reader.Size())
	}
	return a.Reader.ReadAt(p, at)
}

// A file whose index stands at the end is waited for.
func TestMP4IndexAtTheEnd(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "h264.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	a := &arriving{Reader: bytes.NewReader(b)}
	r, err := Open(a, "", "")
	if err != nil || a.have < int64(len(b))*9/10 {
		t.Fatalf("%v, when %d bytes of %d had come", err, a.have, len(b))
	}
	if got := units(t, r); len(got) != len(units(t, openFile(t, "h264.mp4"))) {
		t.Errorf("%d units", len(got))
	}
}

// nested makes a box of others.
func nested(kind string, inside ...[]byte) []byte {
	return box(nil, kind, func(b []byte) []byte { return append(b, bytes.Join(inside, nil)...) })
}

// numbers are those of a box with a version and flags.
func numbers(kind string, version byte, flags uint32, list ...uint32) []byte {
	return full(nil, kind, version, flags, func(b []byte) []byte { return be32(b, list...) })
}

// forged is an MP4 of one track of VP9 with these tables, and what follows it.
func forged(rest []byte, extra []byte, tables ...[]byte) []byte {
	entry := nested("vp09", make([]byte, 78))
	stsd := full(nil, "stsd", 0, 0, func(b []byte) []byte { return append(be32(b, 1), entry...) })
	stbl := nested("stbl", append([][]byte{stsd}, tables...)...)
	trak := nested("trak", numbers("tkhd", 0, 0, 0, 0, 1, 0, 0), nested("mdia", numbers("mdhd", 0, 0, 0, 0, 1000, 0, 0),
		numbers("hdlr", 0, 0, 0, 0x76696465, 0, 0, 0), nested("minf", stbl)))
	return slices.Concat(nested("ftyp", []byte("isom")), nested("moov", numbers("mvhd", 0, 0, 0, 0, 1000, 0, 0), trak, extra), rest)
}

// hostile are files that say what isn't so.
func hostile() map[string][]byte {
	const all = 0xffffffff
	one := numbers("stsc", 0, 0, 1, 1, all, 1)
	place := numbers("stco", 0, 0, 1, 0)
	extends := nested("mvex", numbers("trex", 0, 0, 1, 1, all, 1, 0))
	part := func(boxes ...[]byte) []byte { return nested("moof", nested("traf", boxes...)) }
	return map[string][]byte{
		"units without end":     forged(nil, nil, numbers("stts", 0, 0, 1, all, 1), numbers("stsz", 0, 0, 1, all), one, place),
		"tables without rows":   forged(nil, nil, numbers("stts", 0, 0, all), numbers("stsz", 0, 0, 0, all), numbers("stsc", 0, 0, all), numbers("stco", 0, 0, all)),
		"units of nothing":      forged(nil, nil, numbers("stts", 0, 0, 1, all, 0), numbers("stsz", 0, 0, 0, 3, 0, 0, 0), one, place),
		"a huge unit":           forged(nil, nil, numbers("stts", 0, 0, 1, 1, 1), numbers("stsz", 0, 0, 0, 1, all), one, place),
		"pieces of nothing":     forged(nil, nil, numbers("stts", 0, 0, 1, 9, 1), numbers("stsz", 0, 0, 1, 9), numbers("stsc", 0, 0, 1, 1, 0, 1), place),
		"runs without end":      forged(part(numbers("tfhd", 0, 0, 1), numbers("trun", 0, 0, all), numbers("trun", 0, 0, all)), extends),
		"runs of nothing":       forged(bytes.Repeat(part(numbers("tfhd", 0, hasSize, 1, 0), numbers("trun", 0, 0, all)), 3), extends),
		"a place before all":    forged(part(numbers("tfhd", 0, 0, 1), numbers("trun", 0, runOffset, 1, 0x80000000)), extends),
		"a place behind all":    forged(part(numbers("tfhd", 0, hasBase, 1, all, all), numbers("trun", 0, runOffset, 1, 0x7fffffff)), extends),
		"a time without end":    forged(part(numbers("tfhd", 0, 0, 1), numbers("tfdt", 1, 0, all, all), numbers("trun", 0, 0, 5)), extends),
		"a part that is cut":    forged(part(numbers("tfhd", 0, 0, 1), numbers("trun", 0, 0)), extends),
		"a description of 4 GB": append(nested("ftyp", []byte("isom")), 0xff, 0xff, 0xff, 0xff, 'm', 'o', 'o', 'v'),
		"a box of 8 EB":         append(nested("ftyp", []byte("isom")), 0, 0, 0, 1, 'm', 'o', 'o', 'v', 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"an edit without end":   forged(nil, nested("trak", nested("edts", numbers("elst", 1, 0, 2, all, all, all, all, 1, all, all, all, all, 1)))),
	}
}

// Files that say what isn't so cost little memory, and end.
func TestHostileMP4(t *testing.T) {
	for name, b := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		exhaust(b, "x.mp4")
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes of memory for a file of %d", name, n, len(b))
		}
	}
	most := forged(nil, nil, numbers("stts", 0, 0, 1, maxUnits, 1), numbers("stsz", 0, 0, 1, maxUnits), numbers("stsc", 0, 0, 1, 1, maxUnits, 1), numbers("stco", 0, 0, 1, 0))
	r, err := Open(memory{Reader: bytes.NewReader(most)}, "", "")
	if err == nil {
		err = r.Seek(10 * time.Hour)
	}
	if err != nil {
		t.Errorf("as many units as there may be: %v", err)
	}
	huge := forged(nil, nil, numbers("stts", 0, 0, 1, 1<<31, 1), numbers("stsz", 0, 0, 1, 1<<31), numbers("stsc", 0, 0, 1, 1, 1, 1), numbers("stco", 0, 0, 1, 0))
	timeless := forged(nil, nil)
	binary.BigEndian.PutUint32(timeless[bytes.Index(timeless, []byte("mdhd"))+16:], 0)
	for want, b := range map[string][]byte{
		"track of 2147483648 units": huge,
		"isn't whole":               nested("ftyp", []byte("isom")),
		"begins amid":               slices.Concat(nested("ftyp"), nested("moof")),
		"without sound or pictures": slices.Concat(nested("ftyp"), nested("moov")),
		"time scales 1000 and 0":    timeless,
		"ends amid its description": forged(nil, nil)[:100],
	} {
		if _, err := Open(memory{Reader: bytes.NewReader(b)}, "", ""); !errors.Is(err, ErrDamaged) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, expected one that says %q", err, want)
		}
	}
}

func FuzzMP4(f *testing.F) {
	for _, b := range hostile() {
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) { exhaust(append(nested("ftyp", []byte("isom")), b...), "x.mp4") })
}
