package ndjson

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func reopen(t *testing.T, cfg Config) *File {
	t.Helper()
	f, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func add(t *testing.T, f *File, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if err := f.Append([]byte(l)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTornLineIsCutOff(t *testing.T) {
	for _, torn := range []string{"", `{"half":`, string(bytes.Repeat([]byte{'x'}, 200<<10))} {
		path := filepath.Join(t.TempDir(), "calls.ndjson")
		f := reopen(t, Config{Path: path})
		add(t, f, "1", "2")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("1\n2\n"+torn), 0o640); err != nil {
			t.Fatal(err)
		}
		f = reopen(t, Config{Path: path})
		if last, err := f.Last(10); err != nil || string(bytes.Join(last, []byte(","))) != "1,2" {
			t.Errorf("%q %v", last, err)
		}
		add(t, f, "3")
		if got := read(t, path); got != "1\n2\n3\n" {
			t.Errorf("%q", got)
		}
	}
}

func TestLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.ndjson")
	f := reopen(t, Config{Path: path})
	if last, err := f.Last(5); err != nil || len(last) != 0 {
		t.Errorf("of an empty file: %q %v", last, err)
	}
	var batch [][]byte
	for i := range 3000 {
		batch = append(batch, fmt.Appendf(nil, "%04d%0100d", i, 0))
	}
	if err := f.Append(batch...); err != nil {
		t.Fatal(err)
	}
	last, err := reopen(t, Config{Path: path}).Last(1000)
	if err != nil || len(last) != 1000 || string(last[0][:4]) != "2000" || string(last[999][:4]) != "2999" {
		t.Errorf("%d lines from %.4s on, %v", len(last), last[0], err)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.ndjson")
	now := time.Date(2026, 11, 28, 13, 0, 0, 0, time.UTC)
	cfg := Config{Path: path, MaxSize: 10, MaxAge: time.Hour, Keep: 2, now: func() time.Time { return now },
		Born: func(l []byte) time.Time { b, _ := time.Parse("15:04", string(l)); return b.AddDate(2026, 10, 27) }}
	f := reopen(t, cfg)
	rotate := func() {
		t.Helper()
		if err := f.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	add(t, f, "13:00")
	rotate() // neither large nor old
	add(t, f, "13:01")
	rotate() // large
	add(t, f, "13:00")
	if got := read(t, filepath.Join(filepath.Dir(path), "calls-20261128T130000.000Z.ndjson")); got != "13:00\n13:01\n" {
		t.Errorf("%q", got)
	}
	now = now.Add(59 * time.Minute)
	f = reopen(t, cfg) // how old it is outlives a restart
	rotate()
	if read(t, path) != "13:00\n" {
		t.Error("rotated too early")
	}
	now = now.Add(time.Minute)
	rotate() // old
	if read(t, path) != "" {
		t.Error("not rotated by age")
	}
	for range 3 {
		add(t, f, "line of ten or more")
		rotate()
	}
	old, err := filepath.Glob(filepath.Join(filepath.Dir(path), "calls-*.ndjson"))
	if err != nil || len(old) != 2 || read(t, old[1]) != "line of ten or more\n" {
		t.Errorf("%v %v, expected the last two", old, err)
	}
}

func TestMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.ndjson")
	f := reopen(t, Config{Path: path})
	add(t, f, "1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add(t, f, "2")
	if a, b := read(t, path+".1"), read(t, path); a != "1\n" || b != "2\n" {
		t.Errorf("%q %q", a, b)
	}
	if err := os.Truncate(path, 0); err != nil { // as some rotate
		t.Fatal(err)
	}
	add(t, f, "3")
	if got := read(t, path); got != "3\n" {
		t.Errorf("%q", got)
	}
}

// A file that failed is read and written again.
func TestFailedFile(t *testing.T) {
	f := reopen(t, Config{Path: filepath.Join(t.TempDir(), "calls.ndjson")})
	add(t, f, "1")
	_ = f.f.Close()
	add(t, f, "2")
	if got := read(t, f.cfg.Path); got != "1\n2\n" {
		t.Errorf("%q", got)
	}
}
