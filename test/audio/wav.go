package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// Clip is mono 16-bit PCM at Rate samples per second.
type Clip struct {
	Rate    int
	Samples []int16
}

// maxWAV bounds what ReadWAV takes in: an hour of 8 kHz mono, far above any test.
const maxWAV = 64 << 20

// Seconds is the clip's length.
func (c Clip) Seconds() float64 {
	if c.Rate <= 0 {
		return 0
	}
	return float64(len(c.Samples)) / float64(c.Rate)
}

// Cut returns the part of the clip from second from, length seconds long,
// shortened to what is there. The samples are shared.
func (c Clip) Cut(from, length float64) Clip {
	at := clamp(int(from*float64(c.Rate)), 0, len(c.Samples))
	end := clamp(at+int(length*float64(c.Rate)), at, len(c.Samples))
	return Clip{Rate: c.Rate, Samples: c.Samples[at:end]}
}

// Loop repeats the clip until it is seconds long.
func (c Clip) Loop(seconds float64) Clip {
	out := Clip{Rate: c.Rate}
	want := int(seconds * float64(c.Rate))
	if len(c.Samples) == 0 || want <= 0 {
		return out
	}
	out.Samples = make([]int16, want)
	for n := 0; n < want; {
		n += copy(out.Samples[n:], c.Samples)
	}
	return out
}

// WriteWAV writes the clip as a RIFF file, PCM, mono, 16 bit.
func WriteWAV(path string, c Clip) error {
	switch c.Rate {
	case 8000, 16000, 48000:
	default:
		return fmt.Errorf("audio: write %s: rate %d, expected 8000, 16000 or 48000", path, c.Rate)
	}
	if len(c.Samples)*2 > maxWAV {
		return fmt.Errorf("audio: write %s: %d samples, expected at most %d", path, len(c.Samples), maxWAV/2)
	}
	data := len(c.Samples) * 2
	b := make([]byte, 0, 44+data)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(36+data))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(c.Rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(c.Rate*2))
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(data))
	for _, s := range c.Samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("audio: write: %w", err)
	}
	return nil
}

// ReadWAV reads a PCM 16-bit file; of several channels it takes the first.
// A data chunk whose length is not filled in yet (the writer was killed, or is
// still at it) is read up to the end of the file.
func ReadWAV(path string) (Clip, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Clip{}, fmt.Errorf("audio: read: %w", err)
	}
	if info.Size() > maxWAV {
		return Clip{}, fmt.Errorf("audio: read %s: %d bytes, expected at most %d", path, info.Size(), maxWAV)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Clip{}, fmt.Errorf("audio: read: %w", err)
	}
	c, err := ParseWAV(b)
	if err != nil {
		return Clip{}, fmt.Errorf("audio: read %s: %w", path, err)
	}
	return c, nil
}

// ParseWAV is ReadWAV over bytes.
func ParseWAV(b []byte) (Clip, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return Clip{}, errors.New("no RIFF/WAVE header")
	}
	var c Clip
	channels := 0
	for p := 12; p+8 <= len(b); {
		id, size := string(b[p:p+4]), int(binary.LittleEndian.Uint32(b[p+4:]))
		body := b[p+8:]
		switch {
		case id == "fmt " && size >= 16 && len(body) >= 16:
			format, bits := binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint16(body[14:])
			channels = int(binary.LittleEndian.Uint16(body[2:]))
			c.Rate = int(binary.LittleEndian.Uint32(body[4:]))
			if format != 1 || bits != 16 || channels < 1 || channels > 8 {
				return Clip{}, fmt.Errorf("format %d, %d bit, %d channels, expected format 1 (PCM), 16 bit, 1 to 8 channels", format, bits, channels)
			}
			if c.Rate < 1 || c.Rate > 192000 {
				return Clip{}, fmt.Errorf("rate %d, expected 1 to 192000", c.Rate)
			}
		case id == "data":
			if channels == 0 {
				return Clip{}, errors.New("data chunk before fmt chunk")
			}
			if size == 0 || size > len(body) {
				size = len(body)
			}
			step := 2 * channels
			c.Samples = make([]int16, size/step)
			for i := range c.Samples {
				c.Samples[i] = int16(binary.LittleEndian.Uint16(body[i*step:]))
			}
			return c, nil
		}
		p += 8 + size + size&1
	}
	return Clip{}, errors.New("no data chunk")
}

func clamp(v, low, high int) int { return max(low, min(v, high)) }
