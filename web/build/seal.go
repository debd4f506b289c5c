package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sealName is the file in web that tells what dist was built from and what it holds: a line for each file, "sha256  path",
// sources first. It stands beside dist, not in it: it isn't served.
const sealName = "dist.sha256"

// sources are what decides how dist looks, beside the version of the bundler in go.mod.
var sources = [...]string{"src", "build/main.go", "build/replace.go", "package.json", "package-lock.json"}

// seal writes the seal of what is there now.
func seal(dir string) error {
	lines, err := sums(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, sealName), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// sums are the lines of a seal for the files as they are.
func sums(dir string) ([]string, error) {
	var lines []string
	for _, top := range append(sources[:len(sources):len(sources)], "dist") {
		var part []string
		err := filepath.WalkDir(filepath.Join(dir, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".test.ts") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(b)
			part = append(part, hex.EncodeToString(sum[:])+"  "+filepath.ToSlash(rel))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("checksums: %w", err)
		}
		slices.SortFunc(part, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
		lines = append(lines, part...)
	}
	return lines, nil
}

// broken compares the files with the seal and names those that differ.
func broken(dir string) ([]string, error) {
	f, err := os.Open(filepath.Join(dir, sealName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sealed := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		sum, path, _ := strings.Cut(s.Text(), "  ")
		sealed[path] = sum
	}
	now, err := sums(dir)
	if err != nil {
		return nil, err
	}
	var bad []string
	for _, line := range now {
		sum, path, _ := strings.Cut(line, "  ")
		switch was, ok := sealed[path]; {
		case !ok:
			bad = append(bad, path+" is new")
		case was != sum:
			bad = append(bad, path+" was changed")
		}
		delete(sealed, path)
	}
	for path := range sealed {
		bad = append(bad, path+" is gone")
	}
	slices.Sort(bad)
	return bad, nil
}
