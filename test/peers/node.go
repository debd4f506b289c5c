package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NodeConfig is one Node.js program.
type NodeConfig struct {
	Name   string   // of its log, and of its subfolder
	Dir    string   // working directory, whose node_modules it uses
	Script string   // file in Dir, or the program's text after "-e"
	Args   []string // of the script
	Env    []string // NAME=value
	Ready  string   // what it prints when it is ready; empty: it is ready at once
}

// StartNode starts a program, which has said that it is ready when it is returned. Its packages must be installed:
// `make deps-e2e` does.
func StartNode(t testing.TB, cfg NodeConfig) *Process {
	t.Helper()
	if _, err := os.Stat(filepath.Join(cfg.Dir, "node_modules", ".package-lock.json")); err != nil {
		t.Fatalf("peers: the packages of %s aren't installed: run make deps-e2e", cfg.Dir)
	}
	p := start(t, command{name: cfg.Name, dir: subfolder(t, Folder(t), cfg.Name), work: cfg.Dir, path: "node",
		args: append([]string{cfg.Script}, cfg.Args...), env: cfg.Env})
	p.ready(t, 30*time.Second, func() bool { return cfg.Ready == "" || strings.Contains(p.Tail(100), cfg.Ready) })
	return p
}
