package uri

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Spool is a file that one side writes, in order, while the other reads wherever it likes and waits for what isn't there yet.
// It has no name in the file system.
type Spool struct {
	file *os.File
	of   *Opener

	mu   sync.Mutex
	more *sync.Cond
	size int64 // that there are
	end  error // io.EOF: all is there; else why there won't be more
	gone bool
}

// NewSpool makes an empty one.
func (o *Opener) NewSpool() (*Spool, error) {
	f, err := o.temporary()
	if err != nil {
		return nil, err
	}
	s := &Spool{file: f, of: o}
	s.more = sync.NewCond(&s.mu)
	return s, nil
}

// temporary makes a file without a name.
func (o *Opener) temporary() (*os.File, error) {
	if o.cfg.Spool != "" {
		if err := os.MkdirAll(o.cfg.Spool, 0o700); err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
	}
	f, err := os.CreateTemp(o.cfg.Spool, "in-*")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), f.Close())
	}
	return f, nil
}

// take notes bytes that come into the spool, and fails if there are too many.
func (o *Opener) take(size, n int64) error {
	if size+n > o.cfg.MaxSize {
		return fmt.Errorf("%w: more than %d bytes", ErrSize, o.cfg.MaxSize)
	}
	if o.used.Add(n) > o.cfg.MaxAll {
		o.used.Add(-n)
		return fmt.Errorf("%w: the spool holds %d bytes", ErrSize, o.cfg.MaxAll)
	}
	return nil
}

// Write adds to the end.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.end != nil {
		return 0, ErrClosed
	}
	if err := s.of.take(s.size, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := s.file.WriteAt(p, s.size)
	s.of.used.Add(int64(n - len(p)))
	s.size += int64(n)
	s.more.Broadcast()
	return n, err
}

// End says that no more comes: io.EOF if all is there, else why. The first time counts.
func (s *Spool) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = err
		s.more.Broadcast()
	}
}

// ReadAt waits for all of p, or for the end.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.gone && s.end == nil && s.size < off+int64(len(p)) {
		s.more.Wait()
	}
	switch {
	case s.gone:
		return 0, ErrClosed
	case off >= s.size:
		return 0, s.end
	}
	n, err := s.file.ReadAt(p[:min(int64(len(p)), s.size-off)], off)
	if err == nil && n < len(p) {
		err = s.end
	}
	return n, err
}

// Size is how many bytes there are, and whether there will be more.
func (s *Spool) Size() (n int64, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size, s.end == io.EOF
}

// Close frees the file; whoever waits in ReadAt is told.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil
	}
	s.gone = true
	s.more.Broadcast()
	s.of.used.Add(-s.size)
	return s.file.Close()
}
