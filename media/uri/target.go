package uri

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"
)

// Target is a file that is being recorded. What is for a server is written to the spool first, so that neither a slow server nor
// the death of this process costs any of it, and sent by Finish. One goroutine at a time uses it.
type Target struct {
	of     *Opener
	place  Place
	remote bool
	name   string // in the folder that root is
	root   *os.Root
	note   *os.File // where it goes, if that is a server; see noted

	mu     sync.Mutex
	file   *os.File
	size   int64
	closed bool
}

// Create makes the file that a place names, with the folders it is in. One that was there is emptied.
func (o *Opener) Create(p Place) (*Target, error) {
	t := &Target{of: o, place: p, name: p.path, remote: p.scheme != "file"}
	var err error
	if !t.remote {
		if t.root, err = o.root(p.folder); err != nil {
			return nil, err
		}
		t.file, err = o.create(p)
		return t, err
	}
	if p.scheme == "rtsp" || p.scheme == "rtsps" {
		return nil, fmt.Errorf("%w: what RTSP names is played, not recorded to", ErrURI)
	}
	if p.scheme == "s3" && o.cfg.S3.Endpoint == "" {
		return nil, fmt.Errorf("%w: there is no object store", ErrURI)
	}
	dir := o.spoolDir()
	if t.root, err = o.open(dir, "spool"); err != nil {
		return nil, err
	}
	ext := p.Ext()
	if !regexp.MustCompile(`^\.[a-z0-9]{1,8}$`).MatchString(ext) {
		ext = ""
	}
	if err := t.spool(dir, ext); err != nil {
		return nil, err
	}
	return t, nil
}

// Place is where the recording goes.
func (t *Target) Place() Place { return t.place }

// Write adds to the end. It fails with ErrSize where more isn't allowed. What comes to the disk in part alone, because that is full, is
// cut off again: the file ends with what was written whole.
func (t *Target) Write(p []byte) (int, error) { return t.write(p, t.size) }

// WriteAt writes over what is there, or behind it.
func (t *Target) WriteAt(p []byte, off int64) (int, error) { return t.write(p, off) }

func (t *Target) write(p []byte, off int64) (int, error) {
	before := t.size
	if grow := off + int64(len(p)) - t.size; grow > 0 {
		if err := t.of.fits(t.size, grow, t.remote); err != nil {
			return 0, fmt.Errorf("%s: %w", t.place, err)
		}
		t.size += grow
	}
	n, err := t.file.WriteAt(p, off)
	if err == nil {
		return n, nil
	}
	err = t.place.failed(err)
	if cut := t.file.Truncate(before); cut != nil {
		return n, errors.Join(err, t.place.failed(cut))
	}
	if t.remote {
		t.of.used.Add(before - t.size)
	} else {
		t.of.kept.moved(before - t.size)
	}
	t.size = before
	return int(min(int64(n), max(before-off, 0))), err
}

// fits notes that a file grows.
func (o *Opener) fits(size, n int64, spooled bool) error {
	if spooled {
		if err := o.spool.grow(o.spoolDir(), n); err != nil {
			return err
		}
		return o.take(size, n)
	}
	if size+n > o.cfg.MaxSize {
		return fmt.Errorf("%w: more than %d bytes", ErrSize, o.cfg.MaxSize)
	}
	return o.kept.grow(o.cfg.Root, n)
}

// spoolDir is the folder of the spool.
func (o *Opener) spoolDir() string { return cmp.Or(o.cfg.Spool, os.TempDir()) }

// ReadAt reads what was written.
func (t *Target) ReadAt(p []byte, off int64) (int, error) { return t.file.ReadAt(p, off) }

// Size is how much was written, bytes.
func (t *Target) Size() int64 { return t.size }

// Replace puts what do writes in the place of what was written, in one step: whoever looks, or a crash, finds one or the other.
func (t *Target) Replace(do func(f *os.File) error) error {
	other := path.Join(path.Dir(t.name), "."+path.Base(t.name)+".new")
	f, err := t.root.OpenFile(other, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return t.place.failed(err)
	}
	var size int64
	err = do(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		size, err = t.place.regular(f, 1<<62)
	}
	if err == nil {
		err = t.root.Rename(other, t.name)
	}
	if err != nil {
		return errors.Join(t.place.failed(err), f.Close(), t.root.Remove(other))
	}
	if t.remote {
		t.of.used.Add(size - t.size)
	} else {
		t.of.kept.moved(size - t.size)
	}
	old := t.file
	t.file, t.size = f, size
	return old.Close()
}

// Finish makes the file last: on disk, and with the server that it is for. It may take as long as Config.MaxTime allows, or until
// ctx ends. What couldn't be sent stays in the spool, for Resend, and the error says under which name, unless Config.MaxAll bytes are kept
// there already.
func (t *Target) Finish(ctx context.Context) error {
	if err := t.file.Sync(); err != nil {
		return errors.Join(t.place.failed(err), t.Close())
	}
	if !t.remote {
		return t.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, t.of.cfg.MaxTime)
	defer cancel()
	err := t.of.send(ctx, t)
	switch {
	case err == nil:
		return errors.Join(t.root.Remove(t.name), t.root.Remove(t.name+noteExt), t.Close())
	case t.keeps():
		t.of.cfg.Log.Error("recording isn't sent: it stays in the spool", "uri", t.place.String(), "file", t.name, "err", err)
		return errors.Join(fmt.Errorf("%s: %w; it is kept as %s", t.place, err, t.name), t.Close())
	}
	t.of.cfg.Log.Error("recording isn't sent, and is lost: the spool is full of such as weren't", "uri", t.place.String(), "bytes", t.size, "err", err)
	return errors.Join(fmt.Errorf("%s: %w; the spool has no room to keep it", t.place, err), t.root.Remove(t.name), t.root.Remove(t.name+noteExt), t.Close())
}

// keeps reports whether the spool has room for one more recording that stays: of those that stay nobody else keeps count.
func (t *Target) keeps() bool {
	list, err := fs.ReadDir(t.root.FS(), ".")
	if err != nil {
		return false
	}
	all := -t.of.used.Load() // those that are on their way have a share of their own; this one is among them
	for _, e := range list {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), outgoing) && !strings.HasSuffix(e.Name(), noteExt) {
			all += info.Size()
		}
	}
	return max(all, 0)+t.size <= t.of.cfg.MaxAll
}

// outgoing is what names in the spool begin with.
const outgoing = "out-"

// Close closes the file as it is. What is for a server stays in the spool. After the first time it does nothing.
func (t *Target) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	if t.remote {
		t.of.used.Add(-t.size)
		return errors.Join(t.file.Close(), t.note.Close())
	}
	return t.file.Close()
}
