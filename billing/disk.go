package billing

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// disk watches the journal's disk: how long writes take, how much room is left, and the reserve: a file whose blocks
// are given up when the disk is full, so that the calls that run get their records.
type disk struct {
	dir     string
	log     *slog.Logger
	warn    time.Duration
	want    int64 // size of the reserve
	minFree int64

	mu      sync.Mutex
	reserve *os.File
	size    int64     // of the reserve now
	spent   bool      // the reserve isn't whole
	busy    time.Time // since when a write is under way; zero if none is
	slow    time.Duration
	err     error // of the last write
	low     bool
	free    int64
}

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

func (d *disk) open(cfg Config) error {
	d.dir, d.log, d.warn, d.want, d.minFree = cfg.journalDir(), cfg.Log, cfg.CommitWarn, cfg.Reserve, cfg.MinFree
	f, err := os.OpenFile(filepath.Join(d.dir, "reserve"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	d.reserve, d.size = f, st.Size()
	d.watch(0)
	return nil
}

func (d *disk) close() error { return d.reserve.Close() }

// watch looks at the room that is left and makes the reserve whole again when there is some; segment is what the
// journal will need next.
func (d *disk) watch(segment int64) {
	var st unix.Statfs_t
	err := unix.Statfs(d.dir, &st)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.log.Error("free space of the journal's disk is unknown", "dir", d.dir, "err", err)
		return
	}
	d.free = int64(st.Bavail) * int64(st.Bsize)
	if missing := d.want - d.size; missing > 0 && d.free >= missing+2*segment {
		if err := extend(d.reserve, d.want); err != nil {
			d.log.Error("the journal's reserve can't be allocated", "bytes", d.want, "err", err)
		} else {
			d.size = d.want
		}
	}
	d.setSpent(d.size < d.want)
	if low := d.free < d.minFree; low != d.low {
		d.low = low
		if low {
			d.log.Warn("little room is left on the journal's disk", "free", d.free, "expected", d.minFree)
		} else {
			d.log.Info("the journal's disk has room again", "free", d.free)
		}
	}
}

func (d *disk) setSpent(spent bool) {
	if spent == d.spent {
		return
	}
	d.spent = spent
	if spent {
		d.log.Error("the journal's disk is full: new calls are refused, running calls use the reserve", "reserve", d.size)
	} else {
		d.log.Info("the journal's reserve is whole again: new calls are taken")
	}
}

// release gives n bytes of the reserve back to the file system; false if there are none.
func (d *disk) release(n int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.size == 0 {
		return false
	}
	size := max(0, d.size-n)
	if err := d.reserve.Truncate(size); err != nil {
		d.log.Error("the journal's reserve can't be released", "err", err)
		return false
	}
	d.size = size
	d.setSpent(true)
	return true
}

func (d *disk) writing(now time.Time) {
	d.mu.Lock()
	d.busy = now
	d.mu.Unlock()
}

func (d *disk) wrote(took time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy, d.slow, d.err = time.Time{}, 0, err
	if took > d.warn {
		d.slow = took
	}
}

// refuses says why the disk takes no new call, or nothing.
func (d *disk) refuses() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refusal()
}

func (d *disk) refusal() string {
	switch {
	case isFull(d.err):
		return "the disk is full"
	case d.err != nil:
		return "the last write failed: " + d.err.Error()
	case d.spent:
		return "the disk is full, the reserve is in use"
	}
	return ""
}

// stalled says why the gateway should take no new call, or nothing.
func (d *disk) stalled() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil && !d.busy.IsZero() {
		if t := time.Since(d.busy); t > d.warn {
			return fmt.Sprintf("a write to the journal takes %v so far", t.Round(time.Millisecond))
		}
	}
	if d.slow > 0 {
		return fmt.Sprintf("the last write to the journal took %v", d.slow.Round(time.Millisecond))
	}
	return d.refusal()
}

// ill reports whether a write should be tried to see if the disk is well again.
func (d *disk) ill() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err != nil || d.slow > 0
}
