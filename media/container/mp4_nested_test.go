package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

// Boxes that are nested without end don't take the stack, whose end would be the process's.
func TestNestedMP4(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(32 << 20))
	for _, kind := range []string{"trak", "edts", "mdia", "minf", "stbl", "moov", "mvex"} {
		const deep = 1 << 19
		b := make([]byte, 0, 8*deep)
		for i := range deep {
			b = append(binary.BigEndian.AppendUint32(b, uint32(8*(deep-i))), kind...)
		}
		file := slices.Concat(nested("ftyp", []byte("isom")), nested("moov", nested("trak", b)), nested("moof", b))
		if _, err := Open(memory{Reader: bytes.NewReader(file)}, "", ""); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Of many tracks each has its share of the units that a file may have: what a file of a megabyte says of hundreds of millions isn't gone through.
func TestUnitsOfAllTracks(t *testing.T) {
	const tracks, runs, units = 64, 1 << 10, 1 << 12 // 4 million units each
	var traks, parts, extra [][]byte
	for i := range uint32(tracks) {
		one := forged(nil, nil)
		one = one[bytes.Index(one, []byte("trak"))-4:]
		binary.BigEndian.PutUint32(one[bytes.Index(one, []byte("tkhd"))+16:], i+1)
		traks = append(traks, one)
		extra = append(extra, numbers("trex", 0, 0, i+1, 1, 1, 1, 0))
		parts = append(parts, nested("traf", numbers("tfhd", 0, 0, i+1), bytes.Repeat(numbers("trun", 0, runOffset, units, 0), runs)))
	}
	moov := nested("moov", append([][]byte{numbers("mvhd", 0, 0, 0, 0, 1000, 0, 0), nested("mvex", extra...)}, traks...)...)
	r, err := Open(memory{Reader: bytes.NewReader(slices.Concat(nested("ftyp", []byte("isom")), moov, nested("moof", parts...), make([]byte, 1<<13)))}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Tracks()); n != tracks {
		t.Errorf("%d tracks", n)
	}
	if is, most := r.Duration(), 2*maxUnits/tracks*time.Millisecond; is > most { // each unit plays for 1 ms
		t.Errorf("%s were gone through, expected at most %s", is, most)
	}
}
