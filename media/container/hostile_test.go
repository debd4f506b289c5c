package container

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"time"
)

// bomb is a file of Matroska each of whose blocks has 256 units, in front of each of which n bytes are to be put.
func bomb(n, blocks int) []byte {
	packed := put(nil, idCompression, put(putNumber(nil, idAlgorithm, 3), idStripped, make([]byte, n)))
	track := putNumber(nil, idTrackNumber, 1)
	track = putText(track, idCodecID, "V_VP8")
	track = put(track, idEncodings, put(nil, idEncoding, packed))
	b := putText(nil, idEBML, "")
	b = putHead(b, idSegment, unknownSize)
	b = put(b, idTracks, put(nil, idTrackEntry, track))
	cluster := putNumber(nil, idTimestamp, 0)
	for range blocks {
		cluster = put(cluster, idSimpleBlock, []byte{0x81, 0, 0, 0x84, 255}) // fixed lacing: 256 of nothing
	}
	return put(b, idCluster, cluster)
}

// allocated is how many bytes do takes, whether or not they are given back.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a file has put in front of each of its units, or says of itself, makes no more of it than a few times its size.
func TestBombs(t *testing.T) {
	b := bomb(1<<19, 100)
	n := allocated(func() { exhaust(b, "x.mkv") })
	if n > 100<<20 {
		t.Errorf("a file of %d bytes takes %d", len(b), n)
	}
	r, err := Open(memory{Reader: bytes.NewReader(bomb(maxStripped, 1))}, "x.mkv", "")
	if err != nil {
		t.Fatal(err)
	}
	if list := units(t, r); len(list) != 256 || len(list[0].Data) != maxStripped {
		t.Errorf("%d units came of a block of 256", len(list))
	}
}

// counter counts what is read of a file.
type counter struct {
	memory
	read *int64
}

func (c counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.memory.ReadAt(p, off)
	*c.read += int64(n)
	return n, err
}

// A long file of Matroska that doesn't say how long it is isn't read whole to know: its end tells, also where something that looks like the
// beginning of a cluster stands before.
func TestEndTellsLength(t *testing.T) {
	track := putText(putNumber(nil, idTrackNumber, 1), idCodecID, "V_VP8")
	b := putHead(putText(nil, idEBML, ""), idSegment, unknownSize)
	b = put(b, idTracks, put(nil, idTrackEntry, track))
	block := append([]byte{0x81, 0, 0, 0x80}, bytes.Repeat([]byte{0x1f, 0x43, 0xb6, 0x75}, 100)...)
	block = append(block, make([]byte, 3<<20)...)
	for i := range 8 {
		b = put(b, idCluster, put(putNumber(nil, idTimestamp, int64(i)*1000), idSimpleBlock, block))
	}
	var read int64
	r, err := Open(counter{memory{Reader: bytes.NewReader(b)}, &read}, "x.mkv", "")
	if err != nil {
		t.Fatal(err)
	}
	if r.Duration() != 7*time.Second || read > 3*tail {
		t.Errorf("%s, %d of %d bytes read", r.Duration(), read, len(b))
	}
	if list := units(t, r); len(list) != 8 || list[0].At != 0 {
		t.Errorf("%d units", len(list))
	}
	// A file that has none there has no length that is known.
	read = 0
	b = append(b, put(nil, idVoid, make([]byte, 2*tail))...)
	if r, err = Open(counter{memory{Reader: bytes.NewReader(b)}, &read}, "x.mkv", ""); err != nil || r.Duration() != 0 || read > 3*tail {
		t.Errorf("nothing at the end: %v, %d bytes read", err, read)
	}
}

// The last page of a file of Ogg tells how long it is; what looks like one, and has a wrong sum, doesn't.
func TestPageThatIsNone(t *testing.T) {
	tone := readFile(t, "tone.ogg")
	serial := tone[14:18]
	last := append([]byte("OggS\x00\x04\x00\x00\x00\x00\x00\x00\x00\x40"), serial...)
	last = append(last, make([]byte, 8)...)
	last = append(last, 0)
	for _, b := range [][]byte{append(bytes.Clone(tone), last...), append(bytes.Clone(tone), bytes.Repeat(append(last[:26:26], 100), 1000)...)} {
		r, err := Open(memory{Reader: bytes.NewReader(b)}, "x.ogg", "")
		if err != nil {
			t.Fatal(err)
		}
		if d := r.Duration(); (d - 3*time.Second).Abs() > 30*time.Millisecond {
			t.Errorf("it plays for %s", d)
		}
	}
}

// A file of Ogg that is nothing but beginnings of pages, each of which ends in the next ones, is given up soon.
func TestPagesThatAreNone(t *testing.T) {
	page := append([]byte("OggS\x00\x02"), make([]byte, 20)...)
	page = append(page, 255)
	page = append(page, bytes.Repeat([]byte{255}, 255)...)
	var read int64
	b := bytes.Repeat(page, 40_000) // 11 MB
	_, err := Open(counter{memory{Reader: bytes.NewReader(b)}, &read}, "x.ogg", "")
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("opened: %v", err)
	}
	if read > 4*maxWasted {
		t.Errorf("%d bytes were read of a file that is %d long", read, len(b))
	}
	// Some damage is passed over.
	whole := openFile(t, "tone.ogg")
	want := len(units(t, whole))
	tone := readFile(t, "tone.ogg")
	at := bytes.Index(tone[1000:], []byte("OggS")) + 1000
	small := append(bytes.Clone(page[:26]), 1, 10, 0) // and ends amid the next
	r, err := Open(memory{Reader: bytes.NewReader(append(append(bytes.Clone(tone[:at]), small...), tone[at:]...))}, "x.ogg", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := units(t, r); len(got) != want {
		t.Errorf("%d units came behind a page that is none, want %d", len(got), want)
	}
}
