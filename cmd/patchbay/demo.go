package main

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The demo carrier of `patchbay carrier`, and our account there.
const (
	demoCarrier = "127.0.0.1:5090"
	demoUser    = "patchbay"
)

// addDemo adds the users alice (100) and bob (101), the application demo (102), the trunk demo, and the route that sends every
// other number there.
// Passwords are generated once and kept in the data folder.
func addDemo(c *Config) error {
	for i, id := range [...]string{"alice", "bob"} {
		pw, err := demoPassword(c.Node.Data, id)
		if err != nil {
			return err
		}
		c.Users = append(c.Users, User{ID: id, Password: pw, Numbers: []string{fmt.Sprint(100 + i)}})
	}
	c.Trunks = append(c.Trunks, Trunk{ID: "demo", Mode: "carrier"})
	c.Apps = append(c.Apps, App{ID: "demo"})
	c.Routes = append(c.Routes, Route{ID: "demo-app", Source: []string{"any"}, Number: []string{"102"}, To: []Hop{{App: "demo"}}},
		Route{ID: "demo", Source: []string{"user", "app"}, To: []Hop{{Trunk: "demo"}}})
	return nil
}

// demoPassword reads the account's generated password from the data folder, or makes it on the first call. Two processes
// that ask at once (`serve` and `carrier`) get the same one.
func demoPassword(dir, account string) (Secret, error) {
	path := filepath.Join(dir, "demo", account+".password")
	if pw, err := readSecretFile(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return pw, err
	}
	// Others may pass through the data folder: as root, the private Postgres runs as another user. They see nothing of demo.
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(filepath.Dir(path), 0o700)); err != nil {
		return "", fmt.Errorf("demo password of %s: %w", account, err)
	}
	b := make([]byte, 10) // 80 bits
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("demo password of %s: %w", account, err)
	}
	pw := strings.ToLower(base32.StdEncoding.EncodeToString(b))
	if err := createOnce(path, pw+"\n"); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("demo password of %s: %w", account, err)
	}
	return readSecretFile(path)
}

// createOnce makes a file that only its owner reads, whole or not at all; fs.ErrExist if another was first.
func createOnce(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

const maxSecretFile = 4096

// readSecretFile reads a secret from its file; spaces and line ends around it don't count.
func readSecretFile(path string) (Secret, error) {
	b, err := os.ReadFile(path)
	switch {
	case err != nil:
		return "", err
	case len(b) > maxSecretFile:
		return "", fmt.Errorf("%s has %d bytes, a secret has at most %d", path, len(b), maxSecretFile)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return Secret(s), nil
}
