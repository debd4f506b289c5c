// Package ndjson appends lines to a file that is durable when Append returns, and that goes on as a new one when it is large or old.
package ndjson

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Config of a File. Path is required.
type Config struct {
	Path    string
	MaxSize int64         // bytes; a file that has more goes on as a new one. 0 = any
	MaxAge  time.Duration // since its first line. 0 = any
	Keep    int           // so many old files; 0 = all

	// Born tells when the line was written, of a file that an earlier process began; zero: not known.
	Born func(line []byte) time.Time

	now func() time.Time
}

// File is a log of lines. It isn't safe for use by many goroutines.
type File struct {
	cfg  Config
	f    *os.File
	size int64
	born time.Time // of its first line
}

// Open opens or makes the file. What a crash has left of a line at its end is cut off.
func Open(cfg Config) (*File, error) {
	if cfg.now == nil {
		cfg.now = time.Now
	}
	l := &File{cfg: cfg}
	return l, l.open()
}

func (l *File) open() error {
	f, err := os.OpenFile(l.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	l.f, l.born = f, time.Time{}
	err = l.resume()
	if err == nil {
		err = syncDir(filepath.Dir(l.cfg.Path))
	}
	if err != nil {
		l.f = nil
		return errors.Join(fmt.Errorf("open %s: %w", l.cfg.Path, err), f.Close())
	}
	return nil
}

// resume cuts off a torn line and finds out how old the file is.
func (l *File) resume() error {
	st, err := l.f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("not a file")
	}
	l.size = st.Size()
	tail, from, err := l.tail(1)
	if err != nil {
		return err
	}
	if end := from + int64(bytes.LastIndexByte(tail, '\n')) + 1; end < l.size {
		if err := l.f.Truncate(end); err != nil {
			return err
		}
		l.size = end
	}
	if l.size == 0 {
		return nil
	}
	l.born = st.ModTime()
	head := make([]byte, min(l.size, 1<<20))
	if _, err := l.f.ReadAt(head, 0); err != nil {
		return err
	}
	if first, _, ok := bytes.Cut(head, []byte{'\n'}); ok && l.cfg.Born != nil {
		if t := l.cfg.Born(first); !t.IsZero() {
			l.born = t
		}
	}
	return nil
}

// tail reads from the end back until it has so many whole lines, or all.
func (l *File) tail(lines int) ([]byte, int64, error) {
	for n := int64(64 << 10); ; n *= 4 {
		n = min(n, l.size)
		b := make([]byte, n)
		if _, err := l.f.ReadAt(b, l.size-n); n > 0 && err != nil {
			return nil, 0, err
		}
		if n == l.size || bytes.Count(b, []byte{'\n'}) > lines {
			return b, l.size - n, nil
		}
	}
}

// Last returns the last lines, at most so many, oldest first: whoever doesn't know what was written before a crash finds it here, as long
// as it was written since Rotate.
func (l *File) Last(lines int) ([][]byte, error) {
	b, from, err := l.tail(lines)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", l.cfg.Path, err)
	}
	out := bytes.Split(bytes.TrimSuffix(b, []byte{'\n'}), []byte{'\n'})
	if from > 0 {
		out = out[1:] // the rest of a line
	}
	if l.size == 0 {
		out = nil
	}
	return out[max(0, len(out)-lines):], nil
}

// Rotate goes on in a new file if this one is large or old enough, and removes the oldest that aren't kept.
func (l *File) Rotate() error {
	large := l.cfg.MaxSize > 0 && l.size >= l.cfg.MaxSize
	old := l.cfg.MaxAge > 0 && !l.born.IsZero() && l.cfg.now().Sub(l.born) >= l.cfg.MaxAge
	if l.f == nil || l.size == 0 || !large && !old {
		return nil
	}
	to := l.free()
	if err := os.Rename(l.cfg.Path, to); err != nil {
		return err
	}
	err := l.f.Close()
	l.f = nil
	return errors.Join(err, l.open(), l.expire())
}

// free is a name for what is now the file: with the time, and if that is taken a later one.
func (l *File) free() string {
	base, ext := l.split()
	for t := l.cfg.now().UTC(); ; t = t.Add(time.Millisecond) {
		name := base + "-" + t.Format("20060102T150405.000Z") + ext
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
}

func (l *File) split() (base, ext string) {
	ext = filepath.Ext(l.cfg.Path)
	return strings.TrimSuffix(l.cfg.Path, ext), ext
}

func (l *File) expire() error {
	if l.cfg.Keep <= 0 {
		return nil
	}
	base, ext := l.split()
	entries, err := os.ReadDir(filepath.Dir(l.cfg.Path))
	if err != nil {
		return err
	}
	var old []string
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), filepath.Base(base)+"-")
		if stamp, ok2 := strings.CutSuffix(stamp, ext); ok && ok2 {
			if _, err := time.Parse("20060102T150405.000Z", stamp); err == nil {
				old = append(old, filepath.Join(filepath.Dir(l.cfg.Path), e.Name()))
			}
		}
	}
	slices.Sort(old)
	for _, name := range old[:max(0, len(old)-l.cfg.Keep)] {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// Append writes the lines, each without its newline, and returns when they are durable. After an error none, some or all of
// them may be there: what was torn is cut off by the next call.
func (l *File) Append(lines ...[]byte) error {
	if err := l.there(); err != nil {
		return err
	}
	var b []byte
	for _, line := range lines {
		b = append(append(b, line...), '\n')
	}
	n, err := l.f.Write(b)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		// What the disk holds isn't known: the file is read again before it is written to.
		err = errors.Join(fmt.Errorf("write %s: %w", l.cfg.Path, err), l.f.Close())
		l.f = nil
		return err
	}
	if l.born.IsZero() {
		l.born = l.cfg.now()
	}
	l.size += int64(n)
	return nil
}

// there opens the file again if it failed, or if somebody has moved it away.
func (l *File) there() error {
	if l.f == nil {
		return l.open()
	}
	ours, err := l.f.Stat()
	if err != nil {
		_ = l.f.Close() // it can't be used any more, whatever this says
		return l.open()
	}
	now, err := os.Stat(l.cfg.Path)
	if err == nil && os.SameFile(ours, now) && now.Size() == l.size {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = l.f.Close()
	l.f = nil
	return errors.Join(err, l.open())
}

// Close closes the file.
func (l *File) Close() error {
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
