package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxTracked is the largest file that a repository of sources needs, in bytes.
const maxTracked = 2 << 20

// Nothing that is built belongs among the sources.
func TestPictureHoldsNoBuiltFile(t *testing.T) {
	root := strings.TrimSpace(git(t, ".", "rev-parse", "--show-toplevel"))
	files := strings.Split(strings.TrimSuffix(git(t, root, "ls-files", "-z"), "\x00"), "\x00")
	if len(files) < 100 {
		t.Fatalf("git knows of %d files", len(files))
	}
	for _, name := range files {
		if why := built(t, filepath.Join(root, name)); why != "" {
			t.Errorf("%s %s: git rm --cached it, and name it in .gitignore", name, why)
		}
	}
}

func TestBuilt(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	large, small := filepath.Join(t.TempDir(), "large"), filepath.Join(t.TempDir(), "small")
	for path, size := range map[string]int{large: maxTracked + 1, small: maxTracked} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	elf := filepath.Join(t.TempDir(), "elf")
	if err := os.WriteFile(elf, []byte("\x7fELF\x02\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{self: true, large: true, elf: true, small: false, "tracked_test.go": false, "no such file": false} {
		if why := built(t, path); (why != "") != want {
			t.Errorf("%s: %q, expected to be refused: %v", path, why, want)
		}
	}
}

// built tells why a file is no source; "" if it is one, or not there: git still knows what was removed just now.
func built(t *testing.T, path string) string {
	t.Helper()
	st, err := os.Lstat(path)
	if os.IsNotExist(err) || err == nil && !st.Mode().IsRegular() {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > maxTracked {
		return "is larger than 2 MB"
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 4)
	if _, err := io.ReadFull(f, head); err == nil && bytes.Equal(head, []byte("\x7fELF")) {
		return "is a binary (ELF)"
	}
	return ""
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
