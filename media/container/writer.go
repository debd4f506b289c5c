package container

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"github.com/patchbay/patchbay/media"
)

// Output is a file to write.
type Output interface {
	io.Writer
	io.WriterAt
	Size() int64 // that was written
}

// Writer writes units to a file, in the order of their time. Whatever was flushed can be played even if nothing more is ever
// written. It is used by one goroutine at a time.
type Writer interface {
	// Write adds a unit. Its data is the caller's again.
	Write(u *Unit) error
	// Flush writes what waits, and sees that the file says how long it is by now.
	Flush() error
	// Close flushes, and writes what only the end tells. The output stays open.
	Close() error
}

// ErrFull says that a file is as large as its form allows.
var ErrFull = errors.New("container: the file is as large as WAV allows, 4 GiB")

const wavHeader = 44

// wavWriter writes WAV of L16 at one rate, mono.
type wavWriter struct {
	out  Output
	rate int
	data int64
	buf  []byte
}

// NewWAV begins a WAV of 16-bit samples, mono, at a rate in Hz. Its units are of L16; where one begins after the last has ended there
// is silence between them.
func NewWAV(out Output, rate int) (Writer, error) {
	w := &wavWriter{out: out, rate: rate}
	_, err := out.Write(w.head())
	return w, err
}

func (w *wavWriter) head() []byte {
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, uint32(w.data+wavHeader-8))...)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	b = le.AppendUint32(b, uint32(w.rate))
	b = le.AppendUint32(b, uint32(2*w.rate))
	b = append(b, "\x02\x00\x10\x00data"...)
	return le.AppendUint32(b, uint32(w.data))
}

func (w *wavWriter) Write(u *Unit) error {
	at := int64(u.At/time.Second)*int64(w.rate) + int64(u.At%time.Second)*int64(w.rate)/int64(time.Second)
	for gap := at - (w.data+int64(len(w.buf)))/2; gap > int64(w.rate/1000); gap -= int64(w.rate / 10) {
		w.buf = append(w.buf, make([]byte, 2*min(gap, int64(w.rate/10)))...)
		if err := w.spill(); err != nil {
			return err
		}
	}
	for p := u.Data; len(p) >= 2; p = p[2:] {
		w.buf = append(w.buf, p[1], p[0])
	}
	return w.spill()
}

func (w *wavWriter) spill() error {
	if len(w.buf) < 32<<10 {
		return nil
	}
	return w.put()
}

func (w *wavWriter) put() error {
	if w.data+int64(len(w.buf)) > math.MaxUint32-wavHeader {
		return ErrFull
	}
	n, err := w.out.Write(w.buf)
	w.data += int64(n)
	w.buf = w.buf[:0]
	return err
}

func (w *wavWriter) Flush() error {
	if err := w.put(); err != nil {
		return err
	}
	_, err := w.out.WriteAt(w.head(), 0)
	return err
}

func (w *wavWriter) Close() error { return w.Flush() }

// Silence is a unit of Opus in which nothing is heard, 20 ms long (a frame of CELT without energy, RFC 6716 4.3).
func Silence() []byte { return []byte{0xf8, 0xff, 0xfe} }

// Length is how long a packet of a format plays; 0 = it isn't known.
func Length(f *media.Format, data []byte) time.Duration {
	switch {
	case f.Codec == "OPUS":
		return samples(int64(opusDuration(data)))
	case f.Codec == "PCMU" || f.Codec == "PCMA":
		return time.Duration(len(data)) * time.Second / time.Duration(f.Clock)
	case f.Codec == "L16":
		return time.Duration(len(data)/2/max(f.Channels, 1)) * time.Second / time.Duration(f.Clock)
	}
	return 0
}
