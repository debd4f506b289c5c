package billing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/patchbay/patchbay/gateway/call"
)

// A record of the journal, little endian:
//
//	 0  length of the payload  u32
//	 4  CRC-32C                u32  of everything else, seeded with the segment's header
//	 8  lsn                    u64  counts records over all segments, without gaps
//	16  durable                u64  the lsn up to which fdatasync had returned when this record was written
//	24  kind                   u8
//	25  payload
//
// The field durable tells a torn tail from damage: a bad record is torn if nothing behind it was written after a
// later fdatasync, and damaged if something was.
const (
	recordHeader = 25
	eventHeader  = 24 // call id, seq: found without reading the JSON behind it
	// maxEvent bounds one stored event; SIP messages end at 64 KiB and an event keeps less than one.
	maxEvent = 256 << 10
)

type recordKind byte

const (
	recordEvent      recordKind = 1 // call id, seq, JSON
	recordClosing    recordKind = 2 // the same; it ends its call
	recordCheckpoint recordKind = 3 // u64: events up to this lsn are in the database
	recordShut       recordKind = 4 // empty: the journal was closed in order
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShort = errors.New("record goes on behind the end")
	errBad   = errors.New("record doesn't check")
)

// record is one parsed record; payload points into the buffer it was read from.
type record struct {
	lsn, durable uint64
	kind         recordKind
	payload      []byte
	pos          position

	// Of an event that this process has written: itself, and where its data begin in the payload.
	held call.Event
	data int
}

// position of a record in the journal.
type position struct {
	seg  uint64
	off  uint32
	size uint32 // with its header
}

func (r record) isEvent() bool { return r.kind == recordEvent || r.kind == recordClosing }

// key of an event's record. The payload was checked for its length when it was parsed.
func (r record) key() (id call.ID, seq uint64) {
	copy(id[:], r.payload)
	return id, binary.LittleEndian.Uint64(r.payload[16:])
}

// event is the record's event: the one that it was made of, if that is known, else what its JSON says.
func (r record) event() (call.Event, error) {
	if r.held.Data != nil {
		return r.held, nil
	}
	var e call.Event
	if err := e.UnmarshalJSON(r.payload[eventHeader:]); err != nil {
		return e, err
	}
	if id, seq := r.key(); e.Call != id || e.Seq != seq {
		return e, fmt.Errorf("record %d is keyed %s/%d but holds event %s/%d", r.lsn, id, seq, e.Call, e.Seq)
	}
	return e, nil
}

// usualEvent is what most events have room in.
const usualEvent = 640

// encode makes the payload of an event's record, and tells where in it the event's data begin.
func encode(e *call.Event) (payload []byte, data int, err error) {
	b := make([]byte, 0, usualEvent)
	b = append(b, e.Call[:]...)
	b = binary.LittleEndian.AppendUint64(b, e.Seq)
	if b, data, err = e.AppendJSON(b); err != nil {
		return nil, 0, err
	}
	if n := len(b) - eventHeader; n > maxEvent {
		return nil, 0, fmt.Errorf("event %s/%d (%s) has %d bytes, expected at most %d", e.Call, e.Seq, e.Data.Kind(), n, maxEvent)
	}
	return b, data, nil
}

func appendRecord(b []byte, seed uint32, lsn, durable uint64, kind recordKind, payload []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, lsn)
	b = binary.LittleEndian.AppendUint64(b, durable)
	b = append(b, byte(kind))
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[at+4:], checksum(seed, b[at:]))
	return b
}

func checksum(seed uint32, r []byte) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, r[:4]), castagnoli, r[8:])
}

// parse reads the record at the start of b. errShort means that b ends before the record does, errBad that these
// bytes are no record; either may be a torn tail.
func parse(b []byte, seed uint32) (record, int, error) {
	if len(b) < recordHeader {
		return record{}, 0, errShort
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > maxEvent+eventHeader {
		return record{}, 0, errBad
	}
	if len(b) < recordHeader+n {
		return record{}, 0, errShort
	}
	size := recordHeader + n
	if checksum(seed, b[:size]) != binary.LittleEndian.Uint32(b[4:]) {
		return record{}, 0, errBad
	}
	r := record{lsn: binary.LittleEndian.Uint64(b[8:]), durable: binary.LittleEndian.Uint64(b[16:]),
		kind: recordKind(b[24]), payload: b[recordHeader:size]}
	ok := false
	switch r.kind {
	case recordEvent, recordClosing:
		ok = n >= eventHeader
	case recordCheckpoint:
		ok = n == 8
	case recordShut:
		ok = n == 0
	}
	if !ok || r.lsn == 0 {
		return record{}, 0, errBad
	}
	return r, size, nil
}

// resync looks in b for the next whole record that may follow the lost record with number want, and returns where it
// starts, or -1.
func resync(b []byte, seed uint32, want uint64) (int, record) {
	for i := 1; i+recordHeader <= len(b); i++ {
		lsn := binary.LittleEndian.Uint64(b[i+8:])
		if lsn <= want || lsn-want > uint64(len(b)) || b[i+24] > byte(recordShut) {
			continue
		}
		if r, _, err := parse(b[i:], seed); err == nil {
			return i, r
		}
	}
	return -1, record{}
}
