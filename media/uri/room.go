package uri

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrRoom is that what programs record may take no more room: Config.MaxFiles or Config.MinFree.
var ErrRoom = errors.New("no room for recordings")

const (
	recount  = 10 * time.Second // between two counts of the files: somebody may have removed some
	lookFree = time.Second      // between two looks at how much is free
	lookSize = 8 << 20          // or bytes written meanwhile
	share    = 20               // a small volume keeps a 20th of it free, if that is less than Config.MinFree
)

// room is what recordings may still take of a folder. Its methods may be called from any goroutine; they wait for the disk.
type room struct {
	most, floor int64
	recount     time.Duration
	disk        func(dir string) (free, whole int64, err error)

	mu      sync.Mutex
	bytes   int64     // of all files
	counted time.Time // when they were
	looked  time.Time // at what is free
	since   int64     // bytes written since then
	full    bool      // it was too little
}

// grow notes that a file in the folder will have n bytes more, and fails if they may not be.
func (r *room) grow(dir string, n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.look(dir, n); err != nil || r.most == 0 {
		return err
	}
	if now := time.Now(); r.counted.IsZero() || r.bytes+n > r.most && now.Sub(r.counted) >= r.recount {
		r.bytes, r.counted = size(dir), now
	}
	if r.bytes+n > r.most {
		return fmt.Errorf("%w: all files have %d bytes, at most %d", ErrRoom, r.bytes, r.most)
	}
	r.bytes += n
	return nil
}

// moved notes bytes that came or went otherwise.
func (r *room) moved(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += n
}

// look compares what is free with what must stay so. The caller holds mu.
func (r *room) look(dir string, n int64) error {
	if r.floor == 0 {
		return nil
	}
	now := time.Now()
	if r.since += n; r.full || now.Sub(r.looked) >= lookFree || r.since >= lookSize {
		free, whole, err := r.disk(dir)
		if err != nil {
			return nil // the write says what is wrong
		}
		r.looked, r.since = now, n
		floor := min(r.floor, whole/share)
		if r.full = free-n < floor; r.full {
			return fmt.Errorf("%w: %d bytes are free, and %d stay so", ErrRoom, free, floor)
		}
	}
	return nil
}

// disk is what is free of a folder's disk, and how large that is, in bytes.
func disk(dir string) (free, whole int64, err error) {
	var st syscall.Statfs_t
	err = syscall.Statfs(dir, &st)
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), err
}

// size is what all files below a folder have, in bytes. What can't be read counts nothing.
func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
