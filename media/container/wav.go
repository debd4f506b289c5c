package container

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"github.com/patchbay/patchbay/media"
)

// wavTags are formats of WAVE (RFC 2361).
const (
	wavPCM        = 1
	wavFloat      = 3
	wavALaw       = 6
	wavMuLaw      = 7
	wavExtensible = 0xfffe
)

// pcmFile is a file whose samples stand one behind the other: WAV, or no header at all.
type pcmFile struct {
	c        *cursor
	track    Track
	begin    int64 // of the samples
	end      int64 // behind them; math.MaxInt64 = the file's
	frame    int   // bytes that one moment takes
	rate     int   // moments per second
	at       int64 // moments read
	decode   func(dst []byte, src []byte) []byte
	raw, out []byte
}

func openRaw(c *cursor, f *media.Format, little bool) Reader {
	p := &pcmFile{c: c, track: Track{Format: f, Name: f.Codec}, end: math.MaxInt64, frame: 1, rate: f.Clock}
	if f.Codec == "L16" {
		p.frame = 2
	}
	if little {
		p.decode = func(dst, src []byte) []byte { return linear(dst, src, 2, 1, false) }
	}
	return p
}

func openWAV(c *cursor) (Reader, error) {
	c.skip(12)
	var p *pcmFile
	for range 1000 { // chunks, mostly of text
		var head [8]byte
		if err := c.read(head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = damaged("WAV without a data chunk")
			}
			return nil, err
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		switch string(head[:4]) {
		case "fmt ":
			if size < 16 || size > 1<<10 {
				return nil, damaged("WAV with a fmt chunk of %d bytes", size)
			}
			b := make([]byte, size)
			if err := c.read(b); err != nil {
				return nil, err
			}
			var err error
			if p, err = wavLayout(c, b); err != nil {
				return nil, err
			}
			c.skip(size % 2)
		case "data":
			if p == nil {
				return nil, damaged("WAV with data before its fmt chunk")
			}
			p.begin, p.end = c.at, c.at+size
			if size == 0 || size == math.MaxUint32 { // never fixed by whoever wrote it
				p.end = math.MaxInt64
			}
			return p, nil
		default:
			c.skip(size + size%2)
		}
	}
	return nil, damaged("WAV of too many chunks")
}

// wavLayout reads a fmt chunk.
func wavLayout(c *cursor, b []byte) (*pcmFile, error) {
	le := binary.LittleEndian
	tag, channels, rate, bits := le.Uint16(b), int(le.Uint16(b[2:])), int(le.Uint32(b[4:])), int(le.Uint16(b[14:]))
	if tag == wavExtensible && len(b) >= 26 {
		tag = le.Uint16(b[24:])
	}
	if channels < 1 || channels > 8 || rate < 4000 || rate > 192000 {
		return nil, damaged("WAV of %d channels at %d Hz", channels, rate)
	}
	p := &pcmFile{c: c, rate: rate, frame: channels * bits / 8}
	switch {
	case tag == wavMuLaw && bits == 8 && channels == 1 && rate == 8000:
		p.track = Track{Format: media.PCMU(), Name: "u-law"}
	case tag == wavALaw && bits == 8 && channels == 1 && rate == 8000:
		p.track = Track{Format: media.PCMA(), Name: "A-law"}
	case tag == wavPCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32), tag == wavFloat && bits == 32:
		p.track = Track{Format: media.L16(rate), Name: "PCM"}
		p.decode = func(dst, src []byte) []byte { return linear(dst, src, bits/8, channels, tag == wavFloat) }
	default:
		return nil, wrongCodec("WAV of format %d with %d bits, %d channels at %d Hz", tag, bits, channels, rate)
	}
	return p, nil
}

// linear makes 16-bit samples, the high byte first, of one channel out of samples of so many bytes, the low byte first: the mean
// of all channels.
func linear(dst, src []byte, size, channels int, float bool) []byte {
	le := binary.LittleEndian
	for ; len(src) >= size*channels; src = src[size*channels:] {
		sum := 0
		for i := range channels {
			b := src[i*size:]
			switch {
			case float:
				f := float64(math.Float32frombits(le.Uint32(b)))
				if f != f {
					f = 0
				}
				sum += int(math.Round(max(-1, min(1, f)) * math.MaxInt16))
			case size == 1:
				sum += (int(b[0]) - 128) << 8
			default:
				sum += int(int16(le.Uint16(b[size-2:])))
			}
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(int16(sum/channels)))
	}
	return dst
}

func (p *pcmFile) Tracks() []Track { return []Track{p.track} }

// limit is where the samples end, as far as is known.
func (p *pcmFile) limit() (end int64, known bool) {
	n, all := p.c.in.Size()
	if all {
		return min(n, p.end), true
	}
	return p.end, p.end != math.MaxInt64
}

func (p *pcmFile) Duration() time.Duration {
	end, known := p.limit()
	if !known {
		return 0
	}
	return p.time((end - p.begin) / int64(p.frame))
}

func (p *pcmFile) time(moments int64) time.Duration {
	return time.Duration(moments/int64(p.rate))*time.Second + time.Duration(moments%int64(p.rate))*time.Second/time.Duration(p.rate)
}

// Read reads 20 ms.
func (p *pcmFile) Read(u *Unit) error {
	// The n-th unit begins at n/50 s, at rates that don't divide by 50 too.
	n := p.at*50/int64(p.rate) + 1
	count := (n*int64(p.rate)+49)/50 - p.at
	size := count * int64(p.frame)
	if left := p.end - p.c.at; left < size {
		size = left - left%int64(p.frame)
	}
	if size <= 0 {
		return io.EOF
	}
	if int64(cap(p.raw)) < size {
		p.raw = make([]byte, size)
	}
	raw := p.raw[:size]
	if b, err := p.c.peek(int(size)); errors.Is(err, io.EOF) { // the last piece is shorter
		raw = raw[:len(b)-len(b)%p.frame]
		if len(raw) == 0 {
			return io.EOF
		}
	}
	if err := p.c.read(raw); err != nil {
		return err
	}
	got := int64(len(raw)) / int64(p.frame)
	*u = Unit{At: p.time(p.at), For: p.time(got), Key: true, Data: raw}
	if p.decode != nil {
		p.out = p.decode(p.out[:0], raw)
		u.Data = p.out
	}
	p.at += got
	return nil
}

func (p *pcmFile) Seek(at time.Duration) error {
	moment := int64(at/time.Second)*int64(p.rate) + int64(at%time.Second)*int64(p.rate)/int64(time.Second)
	moment -= moment % max(int64(p.rate/50), 1)
	if end, known := p.limit(); known {
		moment = min(moment, (end-p.begin)/int64(p.frame))
	} else if have, _ := p.c.in.Size(); p.begin+moment*int64(p.frame) > have {
		return ErrSeek
	}
	p.at = max(moment, 0)
	p.c.seek(p.begin + p.at*int64(p.frame))
	return nil
}
