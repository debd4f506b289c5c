package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/patchbay/patchbay/media"
)

func wrongCodec(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCodec, fmt.Sprintf(format, args...))
}

const opusClock = 48000

func opusFormat() *media.Format { return &media.Format{Codec: "OPUS", Clock: opusClock, Channels: 2} }

// oggFile is Ogg (RFC 3533) with Opus in it (RFC 7845). Of several streams the first of Opus is read.
type oggFile struct {
	c        *cursor
	table    [256]uint32
	track    Track
	serial   uint32
	skip     int64 // samples to be thrown away at the beginning
	first    int64 // where audio pages begin
	duration time.Duration

	wasted  int64
	packet  []byte // that is being collected
	ready   [][]byte
	granule int64 // samples before the next packet
}

// page is one of Ogg.
type page struct {
	serial  uint32
	granule int64 // samples up to its end; -1 = no packet ends here
	goes    bool  // its first packet began on an earlier page
	last    bool
	lacing  []byte
	body    []byte
}

const (
	// maxPacket is the largest packet that is read, bytes.
	maxPacket = 8 << 20
	// maxWasted is how much is read of pages that turn out to be none, bytes: their sums cost time.
	maxWasted = 4 << 20
)

func openOgg(c *cursor) (Reader, error) {
	o := &oggFile{c: c, table: oggTable()}
	if err := o.headers(); err != nil {
		return nil, err
	}
	o.first = c.at
	if size, all := c.in.Size(); all {
		o.duration = o.last(size)
	}
	return o, nil
}

// headers finds the stream of Opus and reads its two headers.
func (o *oggFile) headers() error {
	seen := 0
	for range 1000 {
		p, err := o.page()
		if err != nil {
			return err
		}
		switch {
		case seen == 0 && bytes.HasPrefix(p.body, []byte("OpusHead")) && len(p.body) >= 19:
			if p.body[8]>>4 != 0 || p.body[18] != 0 && p.body[9] > 2 {
				return wrongCodec("Opus of version %d with %d channels", p.body[8], p.body[9])
			}
			o.serial, o.skip = p.serial, int64(binary.LittleEndian.Uint16(p.body[10:]))
			o.track = Track{Format: opusFormat(), Name: "Opus", Setup: bytes.Clone(p.body[:19])}
			seen = 1
		case seen == 0 && p.granule > 0:
			return wrongCodec("Ogg without Opus")
		case seen == 1 && p.serial == o.serial && len(p.lacing) > 0 && p.lacing[len(p.lacing)-1] < 255: // comments end here
			o.granule = 0
			return nil
		}
	}
	return damaged("Ogg of too many headers")
}

// page reads the next page, and skips what is none.
func (o *oggFile) page() (*page, error) {
	for skipped := 0; ; skipped++ {
		h, err := o.c.peek(27)
		if err != nil {
			return nil, err
		}
		if string(h[:4]) != "OggS" || h[4] != 0 {
			if skipped > 1<<20 {
				return nil, damaged("Ogg without pages")
			}
			o.c.skip(1)
			continue
		}
		if h, err = o.c.peek(27 + int(h[26])); err != nil {
			return nil, err
		}
		size := len(h)
		for _, n := range h[27:] {
			size += int(n)
		}
		at := o.c.at
		b := make([]byte, size)
		if err := o.c.read(b); err != nil {
			return nil, err
		}
		sum := binary.LittleEndian.Uint32(b[22:])
		clear(b[22:26])
		if o.sum(b) != sum {
			if o.wasted += int64(size); o.wasted > maxWasted {
				return nil, damaged("Ogg of pages with wrong sums")
			}
			o.c.seek(at + 1)
			continue
		}
		lacing := b[27 : 27+int(b[26])]
		return &page{serial: binary.LittleEndian.Uint32(b[14:]), granule: int64(binary.LittleEndian.Uint64(b[6:])),
			goes: b[5]&1 != 0, last: b[5]&4 != 0, lacing: lacing, body: b[27+len(lacing):]}, nil
	}
}

func oggTable() (t [256]uint32) {
	for i := range t {
		r := uint32(i) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
		t[i] = r
	}
	return t
}

func (o *oggFile) sum(b []byte) (crc uint32) {
	for _, c := range b {
		crc = crc<<8 ^ o.table[byte(crc>>24)^c]
	}
	return crc
}

func (o *oggFile) Tracks() []Track         { return []Track{o.track} }
func (o *oggFile) Duration() time.Duration { return o.duration }

func (o *oggFile) Read(u *Unit) error {
	for len(o.ready) == 0 {
		if err := o.more(); err != nil {
			return err
		}
	}
	data := o.ready[0]
	o.ready = o.ready[1:]
	n := int64(opusDuration(data))
	*u = Unit{At: samples(max(o.granule-o.skip, 0)), For: samples(n), Key: true, Data: data}
	o.granule += n
	return nil
}

func samples(n int64) time.Duration {
	return time.Duration(n/opusClock)*time.Second + time.Duration(n%opusClock)*time.Second/opusClock
}

// more collects the packets of the next page.
func (o *oggFile) more() error {
	p, err := o.page()
	if err != nil {
		return err
	}
	if p.serial != o.serial {
		return nil
	}
	if !p.goes {
		o.packet = nil
	}
	body, skip := p.body, p.goes && o.packet == nil
	var whole int64
	for _, n := range p.lacing {
		o.packet = append(o.packet, body[:n]...)
		body = body[n:]
		switch {
		case len(o.packet) > maxPacket:
			return damaged("Ogg with a packet of more than %d bytes", maxPacket)
		case n == 255:
			continue
		case !skip && opusDuration(o.packet) > 0:
			o.ready = append(o.ready, o.packet)
			whole += int64(opusDuration(o.packet))
		}
		o.packet, skip = nil, false
	}
	if len(p.lacing) > 0 && p.lacing[len(p.lacing)-1] < 255 {
		o.packet = nil
	} else if o.packet == nil {
		o.packet = []byte{}
	}
	if p.granule > 0 && !p.last && p.granule-whole >= 0 { // the last page may end early
		o.granule = p.granule - whole
	}
	return nil
}

// whole is the page that b begins with, nil if it isn't one, or not all of it is there.
func (o *oggFile) whole(b []byte) []byte {
	if len(b) < 27 || b[4] != 0 || len(b) < 27+int(b[26]) {
		return nil
	}
	size := 27 + int(b[26])
	for _, n := range b[27:size] {
		size += int(n)
	}
	if len(b) < size {
		return nil
	}
	b = bytes.Clone(b[:size])
	sum := binary.LittleEndian.Uint32(b[22:])
	clear(b[22:26])
	if o.sum(b) != sum {
		o.wasted += int64(size)
		return nil
	}
	return b
}

// last is how long the file plays, by its last page.
func (o *oggFile) last(size int64) time.Duration {
	b := make([]byte, min(size, 128<<10))
	n, err := o.c.in.ReadAt(b, size-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	defer func(before int64) { o.wasted = before }(o.wasted)
	for b = b[:n]; ; {
		i := bytes.LastIndex(b, []byte("OggS"))
		if i < 0 {
			return 0
		}
		if p := o.whole(b[i:]); p != nil && binary.LittleEndian.Uint32(p[14:]) == o.serial {
			if g := int64(binary.LittleEndian.Uint64(p[6:])); g > o.skip {
				return samples(g - o.skip)
			}
		}
		if o.wasted > maxWasted {
			return 0
		}
		b = b[:i]
	}
}

// Seek reads the heads of all pages up to the one with the time.
func (o *oggFile) Seek(at time.Duration) error {
	want := int64(at/time.Second)*opusClock + int64(at%time.Second)*opusClock/int64(time.Second) + o.skip
	o.ready, o.packet, o.granule = nil, nil, 0
	o.c.seek(o.first)
	before := int64(0)
	for {
		h, err := o.c.peek(27)
		if err == nil && string(h[:4]) == "OggS" {
			h, err = o.c.peek(27 + int(h[26]))
		}
		if errors.Is(err, io.EOF) || err == nil && string(h[:4]) != "OggS" {
			return nil // at the end, or where reading finds the next page
		}
		if err != nil {
			return err
		}
		size := len(h)
		for _, n := range h[27:] {
			size += int(n)
		}
		if g := int64(binary.LittleEndian.Uint64(h[6:])); binary.LittleEndian.Uint32(h[14:]) == o.serial && g >= 0 {
			if g > want {
				o.granule = before
				return nil
			}
			before = g
		}
		o.c.skip(int64(size))
	}
}

// OpusLength is how long a packet of Opus plays, 0 if it isn't one.
func OpusLength(p []byte) time.Duration {
	return time.Duration(opusDuration(p)) * time.Second / opusClock
}

// opusDuration is how much audio a packet holds, in samples of 48 kHz (RFC 6716 3.1, 3.2); 0 = it isn't one.
func opusDuration(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	frames := 1
	switch p[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(p) < 2 {
			return 0
		}
		frames = int(p[1] & 63)
	}
	each := 120 << (p[0] >> 3 & 3)
	switch config := p[0] >> 3; {
	case config < 12:
		each = [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16:
		each = 480 << (config & 1)
	}
	if frames*each > opusClock*120/1000 {
		return 0
	}
	return frames * each
}
