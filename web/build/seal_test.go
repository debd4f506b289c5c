package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What is embedded is what the sources give: neither was changed without the other.
func TestDistIsUpToDate(t *testing.T) {
	bad, err := broken("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Errorf("web/%s since dist was built: run go generate ./web", b)
	}
}

func TestSealNotices(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"src/main.tsx", "src/gone.ts", "build/main.go", "build/replace.go", "package.json", "package-lock.json", "dist/index.html"} {
		write(name, name)
	}
	if err := seal(dir); err != nil {
		t.Fatal(err)
	}
	if bad, err := broken(dir); err != nil || len(bad) != 0 {
		t.Fatalf("just sealed: %v, %v", bad, err)
	}
	write("src/main.tsx", "changed")
	write("src/new.ts", "new")
	write("src/new.test.ts", "tests aren't built")
	write("dist/index.html", "edited by hand")
	if err := os.Remove(filepath.Join(dir, "src", "gone.ts")); err != nil {
		t.Fatal(err)
	}
	bad, err := broken(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"dist/index.html was changed", "src/gone.ts is gone", "src/main.tsx was changed", "src/new.ts is new"}
	if len(bad) != len(want) {
		t.Fatalf("noticed %q, expected %q", bad, want)
	}
	for i := range want {
		if bad[i] != want[i] {
			t.Errorf("noticed %q, expected %q", bad[i], want[i])
		}
	}
}
