package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// holder tells who holds a folder's lock, for the message to the one who doesn't get it.
type holder struct {
	PID  int    `json:"pid"`
	Role string `json:"role"` // server, reader
}

const (
	roleServer = "server"
	roleReader = "reader"
)

// ErrLocked says that another process holds the folder.
var ErrLocked = errors.New("folder is in use")

// lockDir takes the folder for this process alone. The lock ends with the process, however it ends. A reader holds it
// for a query's time, so it's waited for until patience is over.
func lockDir(ctx context.Context, dir, role string, patience time.Duration) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for give := time.Now().Add(patience); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		h := readHolder(f)
		if time.Now().After(give) || h.Role == roleServer && role == roleReader {
			return nil, errors.Join(fmt.Errorf("%w: %s is held by process %d (%s)", ErrLocked, dir, h.PID, h.Role), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, ctx.Err()), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
	b, err := json.Marshal(holder{os.Getpid(), role})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

func readHolder(f *os.File) holder {
	var h holder
	b := make([]byte, 256)
	n, _ := f.ReadAt(b, 0)
	_ = json.Unmarshal(b[:n], &h) // only for a message; an unknown holder is process 0
	return h
}

// nextEpoch counts the starts on this folder, durably.
func nextEpoch(dir string) (uint64, error) {
	path := filepath.Join(dir, "epoch")
	var n uint64
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, fmt.Errorf("epoch: %w", err)
	default:
		n, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63)
		if err != nil {
			return 0, fmt.Errorf("epoch %s: %q, expected a count of starts", path, b)
		}
	}
	n++
	return n, writeFile(path, []byte(strconv.FormatUint(n, 10)+"\n"))
}

// writeFile replaces a small file so that a crash leaves the old or the new one, whole.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}
