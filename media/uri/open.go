package uri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// File is one that is open for reading. ReadAt waits for what is still on its way; Close ends that.
type File struct {
	io.ReaderAt
	Type string // what the server says it is (Content-Type); "" = nothing
	Name string // for messages, without a password

	size  func() (n int64, whole bool)
	close func() error
}

// Size is how much there is by now, and whether that is all.
func (f *File) Size() (n int64, whole bool) { return f.size() }

// Close ends reading, also one that is waiting.
func (f *File) Close() error { return f.close() }

// Open opens a place for reading. It waits for a server's first word, not for the file.
func (o *Opener) Open(ctx context.Context, p Place) (*File, error) {
	switch p.scheme {
	case "file":
		return o.openFile(p)
	case "http", "https":
		return o.fetch(ctx, p)
	case "s3":
		return nil, fmt.Errorf("%w: what is in S3 is recorded to, not played", ErrURI)
	}
	return nil, fmt.Errorf("%w: %s isn't a file", ErrURI, p.scheme)
}

func (o *Opener) openFile(p Place) (*File, error) {
	root, err := o.root(p.folder)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(p.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe has nobody to wait for
	if err != nil {
		return nil, p.failed(err)
	}
	size, err := p.regular(f, o.cfg.MaxSize)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{ReaderAt: f, Name: p.String(), close: f.Close, size: func() (int64, bool) {
		if info, err := f.Stat(); err == nil {
			return info.Size(), true
		}
		return size, true
	}}, nil
}

// regular checks that f is a file, of allowed size.
func (p Place) regular(f *os.File, most int64) (int64, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, p.failed(err)
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s: %w", p, ErrKind)
	case info.Size() > most:
		return 0, fmt.Errorf("%s: %w: %d bytes, at most %d", p, ErrSize, info.Size(), most)
	}
	return info.Size(), nil
}

// failed says of the file system's error what it says of the place, and no path of this machine.
func (p Place) failed(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s: %w", p, ErrNoFile)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", p, err)
}

// create makes a file, with the folders it is in. One that was there is emptied.
func (o *Opener) create(p Place) (*os.File, error) {
	root, err := o.root(p.folder)
	if err != nil {
		return nil, err
	}
	if dir := path.Dir(p.path); dir != "." {
		if err := root.MkdirAll(dir, 0o750); err != nil {
			return nil, p.failed(err)
		}
	}
	f, err := root.OpenFile(p.path, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, p.failed(err)
	}
	before, err := p.regular(f, 1<<62)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o.kept.moved(-before)
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(p.failed(err), f.Close())
	}
	return f, nil
}
