package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"github.com/patchbay/patchbay/media"
)

// matroska is a file of Matroska (RFC 9559) or WebM.
type matroska struct {
	c        *cursor
	tracks   []Track
	numbers  map[int64]int // of tracks
	stripped [][]byte      // what stands in front of each unit of a track
	each     []time.Duration
	scale    int64 // ns
	duration time.Duration
	first    int64 // where clusters begin

	begin int64 // of the cluster that is read
	end   int64 // of it; 0 = between clusters
	base  int64 // its timestamp
	ready []Unit
	block []byte
}

const (
	// maxHeader is the largest Info or Tracks element that is read, bytes.
	maxHeader = 1 << 20
	// maxStripped is the most that may be taken from in front of each unit, bytes: it is put back in front of each, of which a
	// block of a few bytes has hundreds.
	maxStripped = 256
)

func openMatroska(c *cursor) (Reader, error) {
	m := &matroska{c: c, numbers: map[int64]int{}, scale: int64(time.Millisecond)}
	for {
		at := c.at
		id, size, err := c.element()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = damaged("Matroska without media")
			}
			return nil, err
		}
		switch {
		case id == idSegment:
			continue
		case id == idCluster:
			c.seek(at)
			m.first = at
			if m.tracks == nil {
				return nil, damaged("Matroska without tracks")
			}
			return m, m.measure()
		case id == idInfo || id == idTracks:
			if size > maxHeader {
				return nil, damaged("header of Matroska of %d bytes", size)
			}
			b := make([]byte, size)
			if err := c.read(b); err != nil {
				return nil, err
			}
			if id == idInfo {
				m.info(b)
			} else {
				m.readTracks(b)
			}
		case size == unknownSize:
			return nil, damaged("element %x of Matroska without a size", id)
		default:
			c.skip(size)
		}
	}
}

func (m *matroska) info(b []byte) {
	length := 0.0
	elements(b, func(id uint32, data []byte) bool {
		switch id {
		case idScale:
			if v := number(data); v > 0 && v <= int64(time.Second) {
				m.scale = v
			}
		case idDuration:
			length = decimal(data)
		}
		return true
	})
	if ns := length * float64(m.scale); ns > 0 && ns < math.MaxInt64/2 {
		m.duration = time.Duration(ns)
	}
}

func (m *matroska) readTracks(b []byte) {
	elements(b, func(id uint32, data []byte) bool {
		if id == idTrackEntry && len(m.tracks) < 64 {
			m.readTrack(data)
		}
		return true
	})
}

func (m *matroska) readTrack(b []byte) {
	var t Track
	var stripped []byte
	var no, each int64
	rate, channels, depth := 8000.0, 1, 0
	elements(b, func(id uint32, data []byte) bool {
		switch id {
		case idTrackNumber:
			no = number(data)
		case idTrackType:
			t.Other = number(data) > 2
		case 0x23E383: // DefaultDuration
			each = number(data)
		case idCodecID:
			t.Name = string(bytes.TrimRight(data, "\x00"))
		case idCodecSetup:
			t.Setup = bytes.Clone(data)
		case idVideo, idAudio:
			elements(data, func(id uint32, data []byte) bool {
				switch id {
				case idWidth:
					t.Width = int(number(data))
				case idHeight:
					t.Height = int(number(data))
				case idRate:
					rate = decimal(data)
				case idChannels:
					channels = int(number(data))
				case idBitDepth:
					depth = int(number(data))
				}
				return true
			})
		case idEncodings:
			stripped = encodings(data, &t)
		}
		return true
	})
	if t.Name != "" {
		t.Format = matroskaFormat(&t, int(rate), channels, depth)
	}
	m.numbers[no] = len(m.tracks)
	m.tracks = append(m.tracks, t)
	m.stripped = append(m.stripped, stripped)
	m.each = append(m.each, time.Duration(min(max(each, 0), int64(time.Second))))
}

// encodings reads how units are packed: what is taken from in front of each can be put back, all else is a codec nobody knows.
func encodings(b []byte, t *Track) (stripped []byte) {
	elements(b, func(id uint32, data []byte) bool {
		if id != idEncoding {
			return true
		}
		known := false
		elements(data, func(id uint32, data []byte) bool {
			if id == idCompression {
				elements(data, func(id uint32, data []byte) bool {
					switch id {
					case idAlgorithm:
						known = number(data) == 3
					case idStripped:
						stripped = bytes.Clone(data)
					}
					return true
				})
			}
			return true
		})
		if !known || len(stripped) > maxStripped {
			t.Name, stripped = "", nil
		}
		return true
	})
	return stripped
}

// matroskaFormat is how a track's units travel in RTP, nil if nobody knows.
func matroskaFormat(t *Track, rate, channels, depth int) *media.Format {
	switch t.Name {
	case "A_OPUS":
		if channels <= 2 {
			return opusFormat()
		}
	case "A_PCM/INT/LIT", "A_PCM/INT/BIG":
		if channels == 1 && depth == 16 && rate >= 4000 && rate <= 192000 {
			return media.L16(rate)
		}
	case "A_MS/ACM": // the setup is that of WAV
		if len(t.Setup) >= 16 && channels == 1 && rate == 8000 {
			switch binary.LittleEndian.Uint16(t.Setup) {
			case wavMuLaw:
				return media.PCMU()
			case wavALaw:
				return media.PCMA()
			}
		}
	case "V_VP8":
		return media.VideoFormat("VP8", "")
	case "V_VP9":
		return media.VideoFormat("VP9", "")
	case "V_AV1":
		return media.VideoFormat("AV1", "")
	case "V_MPEG4/ISO/AVC":
		return avcFormat(t.Setup)
	case "V_MPEGH/ISO/HEVC":
		return media.VideoFormat("H265", "")
	}
	return nil
}

func (m *matroska) Tracks() []Track         { return m.tracks }
func (m *matroska) Duration() time.Duration { return m.duration }

const (
	// tail is how much at its end of a file that doesn't say its duration is looked through for it, bytes.
	tail = 8 << 20
	// tries is how often what looks like a cluster there is read in vain.
	tries = 4
)

// measure finds the duration of a file that doesn't say it, as recorders that stream write it: where what stands in its end ends.
func (m *matroska) measure() error {
	size, whole := m.c.in.Size()
	if m.duration != 0 || !whole {
		return nil
	}
	from := m.first
	for n := 0; n < tries && from >= 0 && m.duration == 0; n++ {
		if size-from > tail || n > 0 {
			from = m.find(idCluster, max(from, size-tail), size)
		}
		if from >= 0 {
			m.restart(from)
			m.duration = m.rest()
			from++
		}
	}
	m.restart(m.first)
	return nil
}

// find is where an element's id stands next, -1 = nowhere.
func (m *matroska) find(id uint32, from, size int64) int64 {
	want := binary.BigEndian.AppendUint32(nil, id)
	b := make([]byte, window)
	for ; from < size; from += int64(len(b) - len(want) + 1) {
		n, err := m.c.in.ReadAt(b, from)
		if i := bytes.Index(b[:n], want); i >= 0 {
			return from + int64(i)
		}
		if err != nil {
			break
		}
	}
	return -1
}

// rest is where the last of what can still be read ends. What can't ends it for whoever reads it, too.
func (m *matroska) rest() (end time.Duration) {
	for {
		var u Unit
		if err := m.Read(&u); err != nil {
			return end
		}
		end = max(end, u.At+u.For)
	}
}

func (m *matroska) restart(at int64) {
	m.c.seek(at)
	m.end, m.base, m.ready = 0, 0, nil
}

func (m *matroska) Read(u *Unit) error {
	for len(m.ready) == 0 {
		if err := m.more(); err != nil {
			return err
		}
	}
	*u = m.ready[0]
	m.ready = m.ready[1:]
	return nil
}

// more reads the next element, and the units in it.
func (m *matroska) more() error {
	begin := m.c.at
	id, size, err := m.c.element()
	if err != nil {
		return err
	}
	if m.end != unknownSize && m.c.at > m.end || topLevel(id) {
		m.end = 0
	}
	switch {
	case id == idCluster:
		m.begin = begin
		if m.end = m.c.at + size; size == unknownSize {
			m.end = unknownSize
		}
		return nil
	case id == idSegment: // another file behind the first one
		return io.EOF
	case size == unknownSize:
		return damaged("element %x of Matroska without a size", id)
	case m.end == 0:
		m.c.skip(size)
		return nil
	}
	switch id {
	case idTimestamp:
		if size > 8 {
			return damaged("timestamp of %d bytes", size)
		}
		var b [8]byte
		if err := m.c.read(b[:size]); err != nil {
			return err
		}
		m.base = number(b[:size])
		return nil
	case idSimpleBlock, idBlockGroup:
		if size > maxPacket {
			return damaged("block of %d bytes", size)
		}
		if int64(cap(m.block)) < size {
			m.block = make([]byte, size)
		}
		b := m.block[:size]
		if err := m.c.read(b); err != nil {
			return err
		}
		if id == idSimpleBlock {
			m.units(b, len(b) > 3 && flags(b)&0x80 != 0, 0)
			return nil
		}
		m.group(b)
		return nil
	}
	m.c.skip(size)
	return nil
}

// flags are those of a block.
func flags(b []byte) byte {
	if _, n, _ := vint(b); n > 0 && len(b) > n+2 {
		return b[n+2]
	}
	return 0
}

func (m *matroska) group(b []byte) {
	var block []byte
	key, length := true, int64(0)
	elements(b, func(id uint32, data []byte) bool {
		switch id {
		case idBlock:
			block = data
		case idReference:
			key = false
		case idBlockLength:
			length = number(data)
		}
		return true
	})
	m.units(block, key, length)
}

// units takes a block apart. What is damaged is left out.
func (m *matroska) units(b []byte, key bool, length int64) {
	no, n, _ := vint(b)
	i, ok := m.numbers[no]
	if n == 0 || !ok || len(b) < n+3 {
		return
	}
	stamp := m.base + int64(int16(binary.BigEndian.Uint16(b[n:])))
	if stamp < 0 || stamp > math.MaxInt64/m.scale/2 {
		return
	}
	at := time.Duration(stamp * m.scale)
	list := unlace(b[n+3:], b[n+2]>>1&3)
	for _, data := range list {
		if s := m.stripped[i]; s != nil {
			data = append(bytes.Clone(s), data...)
		}
		u := Unit{Track: i, At: at, For: m.each[i], Key: key, Data: data}
		switch f := m.tracks[i].Format; {
		case f != nil && f.Codec == "OPUS":
			u.For = samples(int64(opusDuration(data)))
		case length > 0 && length < math.MaxInt64/m.scale:
			u.For = time.Duration(length * m.scale / int64(len(list)))
		case f != nil && f.Kind == media.Audio:
			size := 1
			if f.Codec == "L16" {
				size = 2
				if m.tracks[i].Name == "A_PCM/INT/LIT" {
					u.Data = linear(nil, data, 2, 1, false)
				}
			}
			u.For = time.Duration(len(data)/size) * time.Second / time.Duration(f.Clock)
		}
		at += u.For
		m.ready = append(m.ready, u)
	}
}

// Seek reads from the beginning, block by block, to the last cluster from which the time can be reached: one that has a key unit
// of video, if there is video.
func (m *matroska) Seek(to time.Duration) error {
	video := false
	for _, t := range m.tracks {
		video = video || t.Format != nil && t.Format.Kind == media.Video
	}
	m.restart(m.first)
	best := m.first
	for {
		err := m.more()
		if errors.Is(err, io.EOF) || errors.Is(err, ErrDamaged) {
			break
		}
		if err != nil {
			return err
		}
		late := false
		for _, u := range m.ready {
			kind := m.tracks[u.Track].Format
			late = late || u.At > to
			if u.At <= to && (!video || u.Key && kind != nil && kind.Kind == media.Video) {
				best = m.begin
			}
		}
		m.ready = nil
		if late {
			break
		}
	}
	m.restart(best)
	return nil
}
