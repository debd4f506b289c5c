package billing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// account is the user that Postgres runs as: it refuses to be root.
type account struct {
	name     string
	uid, gid uint32
	other    bool // not who we are
}

// runAs chooses the user: ourselves, or when we are root the owner of the data, postgres, or nobody.
func runAs(data string) (*account, error) {
	if os.Geteuid() != 0 {
		u, err := user.Current()
		if err != nil || u.Username == "" {
			return nil, fmt.Errorf("user id %d has no entry in /etc/passwd and Postgres wants one: add it, or set billing.database", os.Geteuid())
		}
		return &account{name: u.Username, uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	names := []string{"postgres", "nobody"}
	if st, err := os.Stat(data); err == nil {
		owner, ok := st.Sys().(*syscall.Stat_t)
		if ok {
			u, err := user.LookupId(strconv.Itoa(int(owner.Uid)))
			if err != nil || owner.Uid == 0 {
				return nil, fmt.Errorf("%s belongs to user id %d, expected a user other than root that /etc/passwd knows", data, owner.Uid)
			}
			names = []string{u.Username}
		}
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &account{name: name, uid: uint32(uid), gid: uint32(gid), other: true}, nil
		}
	}
	return nil, fmt.Errorf("postgres refuses to run as root and there is none of the users %s: make one, or set billing.database", strings.Join(names, ", "))
}

// command makes a command that runs as the user, in a clean environment.
func (a *account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if a.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

// own makes a folder that belongs to the user alone. One that is there and isn't the user's is refused: it may be
// somebody's trap in a folder that all may write to.
func (a *account) own(dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, mode)
	if err == nil && a.other {
		err = os.Chown(dir, int(a.uid), int(a.gid))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if s, ok := st.Sys().(*syscall.Stat_t); !ok || !st.IsDir() || s.Uid != a.uid {
		return fmt.Errorf("%s must be a folder of user %s", dir, a.name)
	}
	return os.Chmod(dir, mode)
}

// mayReach checks that the user may pass through every folder above dir; the one right above it is ours to open.
func (a *account) mayReach(dir string) error {
	if !a.other {
		return nil
	}
	for i, d := 0, filepath.Dir(dir); ; i, d = i+1, filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil {
			return err
		}
		s, ok := st.Sys().(*syscall.Stat_t)
		pass := st.Mode()&0o001 != 0 || ok && s.Uid == a.uid && st.Mode()&0o100 != 0 || ok && s.Gid == a.gid && st.Mode()&0o010 != 0
		if !pass && i == 0 {
			err = os.Chmod(d, st.Mode().Perm()|0o011)
		} else if !pass {
			err = fmt.Errorf("user %s, which Postgres runs as, may not pass through %s: chmod o+x %s, or choose another folder", a.name, d, d)
		}
		if err != nil || d == filepath.Dir(d) {
			return err
		}
	}
}

// socketDir is where the socket goes: below root if its path fits into the 107 bytes that the system allows.
func socketDir(root string) string {
	dir := filepath.Join(root, "run")
	if len(filepath.Join(dir, ".s.PGSQL.5432.lock")) <= 100 {
		return dir
	}
	sum := sha256.Sum256([]byte(root))
	return filepath.Join("/tmp", "patchbay-"+hex.EncodeToString(sum[:8]))
}

// dataMajor is the Postgres version that wrote the data; 0 if there are none.
func dataMajor(data string) (int, error) {
	path := filepath.Join(data, "PG_VERSION")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %q, expected a version such as 15", path, strings.TrimSpace(string(b)))
	}
	return n, nil
}

// binaryFolders lists the folders with Postgres binaries, by major version: Debian's, Red Hat's, and that of $PATH.
func binaryFolders() map[int]string {
	found := make(map[int]string)
	if path, err := exec.LookPath("postgres"); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if out, err := exec.CommandContext(ctx, path, "--version").Output(); err == nil { // postgres (PostgreSQL) 15.14 (Debian …)
			words := strings.Fields(string(out))
			if len(words) > 2 {
				major, _, _ := strings.Cut(words[2], ".")
				if n, err := strconv.Atoi(major); err == nil {
					found[n] = filepath.Dir(path)
				}
			}
		}
	}
	for _, pattern := range []string{"/usr/pgsql-*/bin/postgres", "/usr/lib/postgresql/*/bin/postgres"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are right
		}
		for _, path := range paths {
			bin := filepath.Dir(path)
			n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(bin)), "pgsql-"))
			if _, e := os.Stat(filepath.Join(bin, "initdb")); err == nil && e == nil {
				found[n] = bin
			}
		}
	}
	return found
}

// findBinaries chooses among them: those that wrote the data, or the newest when there are no data.
func findBinaries(found map[int]string, data int, path string) (string, error) {
	if len(found) == 0 {
		return "", errors.New("there is no Postgres on this machine: apt-get install postgresql, or set billing.database")
	}
	var majors []int
	for n := range found {
		majors = append(majors, n)
	}
	newest := slices.Max(majors)
	if data == 0 {
		return found[newest], nil
	}
	if bin, ok := found[data]; ok {
		return bin, nil
	}
	return "", fmt.Errorf("%s was written by Postgres %d, and installed is %d; the data stay untouched. "+
		"Install it beside the other: apt-get install postgresql-%d. Then, with the gateway stopped, patchbay db upgrade brings the records to Postgres %d",
		path, data, newest, data, newest)
}
