package container

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
)

// Elements of EBML and Matroska (RFC 8794, RFC 9559 5.1).
const (
	idEBML        = 0x1A45DFA3
	idDocType     = 0x4282
	idSegment     = 0x18538067
	idSeekHead    = 0x114D9B74
	idInfo        = 0x1549A966
	idScale       = 0x2AD7B1
	idDuration    = 0x4489
	idMuxingApp   = 0x4D80
	idWritingApp  = 0x5741
	idTracks      = 0x1654AE6B
	idTrackEntry  = 0xAE
	idTrackNumber = 0xD7
	idTrackUID    = 0x73C5
	idTrackType   = 0x83
	idLacing      = 0x9C
	idCodecID     = 0x86
	idCodecSetup  = 0x63A2
	idCodecDelay  = 0x56AA
	idSeekPreRoll = 0x56BB
	idVideo       = 0xE0
	idWidth       = 0xB0
	idHeight      = 0xBA
	idAudio       = 0xE1
	idRate        = 0xB5
	idChannels    = 0x9F
	idBitDepth    = 0x6264
	idEncodings   = 0x6D80
	idEncoding    = 0x6240
	idCompression = 0x5034
	idAlgorithm   = 0x4254
	idStripped    = 0x4255
	idCluster     = 0x1F43B675
	idTimestamp   = 0xE7
	idSimpleBlock = 0xA3
	idBlockGroup  = 0xA0
	idBlock       = 0xA1
	idReference   = 0xFB
	idBlockLength = 0x9B
	idCues        = 0x1C53BB6B
	idCuePoint    = 0xBB
	idCueTime     = 0xB3
	idCuePlaces   = 0xB7
	idCueTrack    = 0xF7
	idCueCluster  = 0xF1
	idTags        = 0x1254C367
	idAttachments = 0x1941A469
	idChapters    = 0x1043A770
	idVoid        = 0xEC
)

// unknownSize is the size of an element that ends where one of its own level, or of a higher one, begins (RFC 8794 6.2).
const unknownSize = math.MaxInt64

// topLevel reports whether an element stands directly in the segment, so that it ends a cluster of unknown size.
func topLevel(id uint32) bool {
	switch id {
	case idEBML, idSegment, idSeekHead, idInfo, idTracks, idCluster, idCues, idTags, idAttachments, idChapters:
		return true
	}
	return false
}

// element reads the head of an element.
func (c *cursor) element() (id uint32, size int64, err error) {
	b, err := c.peek(12)
	if err != nil && !(errors.Is(err, io.EOF) && len(b) > 0) {
		return 0, 0, err
	}
	n := bits.LeadingZeros8(b[0]) + 1
	if n > 4 || len(b) <= n {
		return 0, 0, damaged("element of Matroska at %d", c.at)
	}
	for _, x := range b[:n] {
		id = id<<8 | uint32(x)
	}
	v, m, open := vint(b[n:])
	if m == 0 {
		return 0, 0, damaged("size of an element of Matroska at %d", c.at)
	}
	c.skip(int64(n + m))
	if open {
		return id, unknownSize, nil
	}
	return id, v, nil
}

// vint reads a number of variable length (RFC 8794 4). n is how many bytes it has, 0 if it is damaged; open says that all its bits
// are set, which stands for an unknown size.
func vint(b []byte) (v int64, n int, open bool) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0, false
	}
	n = bits.LeadingZeros8(b[0]) + 1
	if len(b) < n {
		return 0, 0, false
	}
	v = int64(b[0]) & (0xff >> n)
	for _, x := range b[1:n] {
		v = v<<8 | int64(x)
	}
	return v, n, v == 1<<(7*n)-1
}

// elements calls do for each element of a master's data, until it returns false.
func elements(b []byte, do func(id uint32, data []byte) (more bool)) {
	for len(b) > 0 {
		n := bits.LeadingZeros8(b[0]) + 1
		if n > 4 || len(b) <= n {
			return
		}
		var id uint32
		for _, x := range b[:n] {
			id = id<<8 | uint32(x)
		}
		size, m, _ := vint(b[n:])
		if m == 0 || size > int64(len(b)-n-m) {
			return
		}
		data := b[n+m:][:size]
		b = b[n+m+int(size):]
		if !do(id, data) {
			return
		}
	}
}

func number(b []byte) (v int64) {
	for _, x := range b[:min(len(b), 8)] {
		v = v<<8 | int64(x)
	}
	return v
}

func decimal(b []byte) float64 {
	switch len(b) {
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}
