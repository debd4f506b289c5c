package billing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// A segment is a file "<number>.seg" of the journal: a header of 48 bytes and records without a gap between them.
//
//	 0  "PBJ1"            magic and version
//	 4  CRC-32C           of the rest of the header
//	 8  journal           16 bytes: the identity of this journal
//	24  number            u64
//	32  first lsn         u64
//	40  0                 u64, for later use
const (
	segmentHeader = 48
	segmentMagic  = "PBJ1"
	segmentSuffix = ".seg"
)

type segment struct {
	no      uint64
	path    string
	journal uuid.UUID
	seed    uint32 // of its records' CRC
	first   uint64 // lsn of its first record
	last    uint64 // lsn of its last record; first-1 while it's empty
	size    int64  // bytes that hold whole records
	refs    int    // calls that need it: their earliest event is here
	damaged bool
}

func segmentPath(dir string, no uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", no, segmentSuffix))
}

func (s *segment) header() []byte {
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	copy(b[8:], s.journal[:])
	binary.LittleEndian.PutUint64(b[24:], s.no)
	binary.LittleEndian.PutUint64(b[32:], s.first)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

func parseSegmentHeader(path string, b []byte) (*segment, error) {
	if len(b) < segmentHeader || string(b[:4]) != segmentMagic {
		return nil, fmt.Errorf("%s: not a segment of a journal", path)
	}
	if crc32.Checksum(b[8:segmentHeader], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, fmt.Errorf("%s: the segment's header doesn't check", path)
	}
	s := &segment{path: path, no: binary.LittleEndian.Uint64(b[24:]), first: binary.LittleEndian.Uint64(b[32:]), size: segmentHeader}
	copy(s.journal[:], b[8:])
	s.seed = binary.LittleEndian.Uint32(b[4:])
	s.last = s.first - 1
	return s, nil
}

// createSegment makes the file with its blocks allocated, so that no later write to it can fail for lack of space. It
// appears under its name only when whole.
func createSegment(dir string, s *segment, allocate int64) (*os.File, error) {
	h := s.header()
	s.path, s.seed, s.last, s.size = segmentPath(dir, s.no), binary.LittleEndian.Uint32(h[4:]), s.first-1, segmentHeader
	tmp := s.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	err = preallocate(f, allocate)
	if err == nil {
		_, err = f.WriteAt(h, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, s.path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create segment %s: %w", s.path, err), f.Close(), os.Remove(tmp))
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// listSegments returns the numbers of the segments in dir, in order.
func listSegments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var nos []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		no, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: not a name of a segment", filepath.Join(dir, e.Name()))
		}
		nos = append(nos, no)
	}
	sort.Slice(nos, func(i, k int) bool { return nos[i] < nos[k] })
	return nos, nil
}

// Damage is a part of the journal that can't be read: events were lost there. It is reported, never passed over.
type Damage struct {
	Path     string // of the segment
	From, To int64  // bytes
	First    uint64 // the records that were lost, by number
	Last     uint64
	Why      string
}

func (d Damage) Error() string {
	return fmt.Sprintf("journal %s: bytes %d to %d can't be read, records %d to %d are lost: %s", d.Path, d.From, d.To, d.First, d.Last, d.Why)
}

// scan reads the records in b, the bytes of the segment from offset off on, and hands each to each. want is the lsn
// that must come next; limit is the last that the segment may hold, or 0 if it's the journal's last segment, which
// may be torn. It returns the offset behind the last good record and the lsn wanted after it: bytes left behind that
// offset are a torn tail, or lost if the next segment begins with another lsn than the one wanted.
func (s *segment) scan(b []byte, off int64, want, limit uint64, each func(record) error) (int64, uint64, []Damage, error) {
	var damage []Damage
	for i := 0; ; {
		end := off + int64(i)
		if i == len(b) || limit != 0 && want > limit {
			return end, want, damage, nil
		}
		r, n, err := parse(b[i:], s.seed)
		if err == nil && r.lsn == want {
			r.pos = position{s.no, uint32(end), uint32(n)}
			if err := each(r); err != nil {
				return end, want, damage, err
			}
			i += n
			want++
			continue
		}
		skip, why := 0, fmt.Sprintf("record %d stands where %d belongs", r.lsn, want)
		if err != nil {
			why = err.Error()
			skip, r = resync(b[i:], s.seed, want)
		}
		switch {
		case skip < 0, r.lsn < want, limit != 0 && r.lsn > limit:
			return end, want, damage, nil
		case limit == 0 && r.durable < want:
			return end, want, damage, nil // torn: this batch's fdatasync never returned
		}
		damage = append(damage, Damage{s.path, end, end + int64(skip), want, r.lsn - 1, why})
		want = r.lsn
		i += skip
	}
}

// fill makes the file n bytes long by writing to it.
func fill(f *os.File, n int64) error {
	st, err := f.Stat()
	zeros := make([]byte, 1<<20)
	for at := int64(0); err == nil && at < n; at += int64(len(zeros)) {
		if at+int64(len(zeros)) <= st.Size() {
			continue
		}
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), n-at)], at)
	}
	return err
}
