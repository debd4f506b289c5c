package uri

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// made is a recording in progress.
func made(t *testing.T, o *Opener, raw string) *Target {
	t.Helper()
	p, err := o.Parse(raw, "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := o.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// All files below the root have a bound: what would be over it isn't recorded, what was is kept, and what is removed, or written over, gives
// room again.
func TestRoomOfFiles(t *testing.T) {
	o, root := place(t, Config{MaxFiles: 1000})
	o.kept.recount = 0
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "old"), 0o700), os.WriteFile(filepath.Join(root, "old", "b"), make([]byte, 495), 0o600)); err != nil {
		t.Fatal(err)
	}
	f := made(t, o, "new/c.webm") // beside a.wav, of 5 bytes, and b
	if _, err := f.Write(make([]byte, 400)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 100), 0); err != nil { // over what is there
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 101)); !errors.Is(err, ErrRoom) {
		t.Fatalf("the 1001st byte: %v", err)
	}
	if _, err := f.Write(make([]byte, 100)); err != nil {
		t.Fatalf("the 1000th byte: %v", err)
	}
	g := made(t, o, "d.wav")
	if _, err := g.Write([]byte{1}); !errors.Is(err, ErrRoom) {
		t.Fatalf("one more file: %v", err)
	}
	if err := os.Remove(filepath.Join(root, "old", "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write(make([]byte, 495)); err != nil {
		t.Errorf("after a file is gone: %v", err)
	}
	if err := f.Replace(func(f *os.File) error { _, err := f.Write(make([]byte, 200)); return err }); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), g.Close()); err != nil {
		t.Fatal(err)
	}
	g = made(t, o, "d.wav")
	if _, err := g.Write(make([]byte, 795)); err != nil {
		t.Errorf("after one became shorter, and the other was begun anew: %v", err)
	}
	if _, err := g.Write([]byte{1}); !errors.Is(err, ErrRoom) {
		t.Errorf("the 1001st byte: %v", err)
	}
	if n := size(root); n != 1000 {
		t.Errorf("the files have %d bytes, expected 1000", n)
	}
}

// A disk keeps a floor free, a small one a twentieth, whether files or the spool are on it; room that comes again is used.
func TestRoomOfDisk(t *testing.T) {
	o, _ := place(t, Config{MinFree: 1 << 30})
	free, whole := int64(1<<30+100), int64(100<<30)
	for _, r := range []*room{&o.kept, &o.spool} {
		r.disk = func(string) (int64, int64, error) { return free, whole, nil }
	}
	f := made(t, o, "a.webm")
	write := func(n int) error { _, err := f.Write(make([]byte, n)); return err }
	if err := write(100); err != nil {
		t.Fatal(err)
	}
	free, o.kept.since = 1<<30+100, lookSize
	if err := write(101); !errors.Is(err, ErrRoom) {
		t.Errorf("less than the floor: %v", err)
	}
	if err := o.fits(0, 101, true); !errors.Is(err, ErrRoom) {
		t.Errorf("less than the floor, in the spool: %v", err)
	}
	free = 2 << 30
	if err := write(101); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	free, whole, o.kept.since = 1<<20+10, 20<<20, lookSize
	if err := write(10); err != nil {
		t.Errorf("on a small disk: %v", err)
	}
	o.kept.since = lookSize
	if err := write(11); !errors.Is(err, ErrRoom) {
		t.Errorf("less than a twentieth of a small disk: %v", err)
	}
	o.kept.since = lookSize
	o.kept.disk = func(string) (int64, int64, error) { return 0, 0, os.ErrPermission }
	if err := write(1); err != nil {
		t.Errorf("a disk that doesn't tell: %v", err)
	}
}
