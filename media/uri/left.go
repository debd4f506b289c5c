package uri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// maxStarts is how many starts of a process send a recording that was left before it is given up.
const maxStarts = 5

// noted is what stands beside a recording in the spool, in a file of its name with noteExt behind: where it goes. Whoever writes the
// recording, or sends it, holds a lock on that file (flock): a process that is killed gives it back.
type noted struct {
	URI    string `json:"uri"`    // with its password: the folder is nobody else's
	Starts int    `json:"starts"` // that sent it, and failed
}

const noteExt = ".to"

// note writes where a recording goes, and takes the lock.
func (o *Opener) note(root *os.Root, name string, p Place) (*os.File, error) {
	f, err := root.OpenFile(name+noteExt, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // where there are no locks, nothing that is left is sent
	if err := (noted{URI: p.url.String()}).write(f); err != nil {
		return nil, errors.Join(err, f.Close(), root.Remove(name+noteExt))
	}
	return f, nil
}

func (n noted) write(f *os.File) error {
	b, err := json.Marshal(n)
	if err == nil {
		b = append(b, '\n')
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(b, 0)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// Resend sends what an earlier process left in the spool, because it was killed or because the server took nothing: one after the other,
// behind. What can't be sent stays there, with a line in the log, and is sent again at the next start, five times in all. What another
// process still writes, or sends, is left alone.
func (o *Opener) Resend() {
	if o.cfg.Spool != "" {
		o.Behind(o.resend)
	}
}

func (o *Opener) resend(ctx context.Context) {
	list, err := os.ReadDir(o.cfg.Spool)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			o.cfg.Log.Error("spool can't be read: what is left there isn't sent", "err", err)
		}
		return
	}
	list = slices.DeleteFunc(list, func(e fs.DirEntry) bool { return !leftName().MatchString(e.Name()) || !e.Type().IsRegular() })
	if len(list) == 0 {
		return
	}
	root, err := o.open(o.cfg.Spool, "spool")
	if err != nil {
		o.cfg.Log.Error("spool can't be opened: what is left there isn't sent", "err", err)
		return
	}
	for _, e := range list {
		if ctx.Err() != nil {
			return
		}
		name := strings.TrimSuffix(e.Name(), noteExt)
		to, err := o.resendOne(ctx, root, name)
		switch {
		case err != nil:
			o.cfg.Log.Error("recording that was left isn't sent: it stays in the spool", "uri", to, "file", name, "err", err)
		case to != "":
			o.cfg.Log.Info("recording that was left is sent", "uri", to, "file", name)
		}
	}
}

// leftName is what notes are called.
func leftName() *regexp.Regexp {
	return regexp.MustCompile(`^out-[0-9]+(\.[a-z0-9]{1,8})?\` + noteExt + `$`)
}

// resendOne sends a recording; to is where, without a password, "" = there is nothing to send.
func (o *Opener) resendOne(ctx context.Context, root *os.Root, name string) (to string, err error) {
	note, err := root.OpenFile(name+noteExt, os.O_RDWR, 0)
	if err != nil {
		return "", ignore(err, fs.ErrNotExist)
	}
	t := &Target{of: o, remote: true, name: name, root: root, note: note}
	if err := syscall.Flock(int(note.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", errors.Join(ignore(err, syscall.EWOULDBLOCK), note.Close())
	}
	t.file, err = root.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) { // it was sent
		return "", errors.Join(root.Remove(name+noteExt), note.Close())
	}
	if err != nil {
		return "", errors.Join(err, note.Close())
	}
	if to, err = o.again(ctx, t); err != nil {
		return to, errors.Join(err, t.Close())
	}
	return to, errors.Join(root.Remove(name), root.Remove(name+noteExt), t.Close())
}

// again sends what a target holds to where its note says.
func (o *Opener) again(ctx context.Context, t *Target) (to string, err error) {
	b, err := io.ReadAll(io.LimitReader(t.note, 2*maxURI))
	var n noted
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	if err != nil {
		return "", fmt.Errorf("its note: %w", err)
	}
	info, err := t.file.Stat()
	if err != nil || info.Size() == 0 { // nothing was recorded
		return "", err
	}
	if t.place, err = o.Parse(n.URI, ""); err != nil {
		return "", err
	}
	if t.place.url == nil {
		return "", fmt.Errorf("%w: its note names a file", ErrURI)
	}
	to = t.place.String()
	if n.Starts >= maxStarts {
		return to, fmt.Errorf("it was sent by %d starts, and is given up", n.Starts)
	}
	n.Starts++
	if err := n.write(t.note); err != nil { // before: what kills the process must not do so for ever
		return to, err
	}
	t.size = info.Size()
	o.used.Add(t.size)
	ctx, cancel := context.WithTimeout(ctx, o.cfg.MaxTime)
	defer cancel()
	if err := o.send(ctx, t); err != nil {
		if ctx.Err() != nil && o.life.Err() != nil { // we end, which is nobody's fault
			n.Starts--
			err = errors.Join(err, n.write(t.note))
		}
		return to, err
	}
	return to, nil
}

func ignore(err, that error) error {
	if errors.Is(err, that) {
		return nil
	}
	return err
}

// spool makes the spool's file for a recording, with a note where it goes.
func (t *Target) spool(dir, ext string) (err error) {
	if t.file, err = os.CreateTemp(dir, outgoing+"*"+ext); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	t.name = filepath.Base(t.file.Name())
	if t.note, err = t.of.note(t.root, t.name, t.place); err != nil {
		return errors.Join(err, t.file.Close(), t.root.Remove(t.name))
	}
	return nil
}
