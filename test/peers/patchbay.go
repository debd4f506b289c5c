package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PatchbayConfig is one process of Patchbay.
type PatchbayConfig struct {
	Name     string   // of its subfolder; empty: patchbay
	Settings string   // the YAML file's text
	HTTP     string   // address in the settings' http.listen, asked for /readyz
	Env      []string // NAME=value
	Args     []string // more flags of serve
	Cores    string   // that it may use, as taskset takes them; empty: all
	Disk     string   // size of the file system of its own that its data are on, as mount takes it: 16m. It ends with the process. Empty: the test's
}

// Patchbay is a running gateway.
type Patchbay struct {
	*Process
	cfg    PatchbayConfig
	dir    string
	file   string
	starts int
}

// Binary is Patchbay's binary: PATCHBAY_BIN, which Main sets if it built one.
func Binary(t testing.TB) string {
	t.Helper()
	bin := os.Getenv(binaryKey)
	if bin == "" {
		t.Fatalf("peers: %s names no binary of Patchbay", binaryKey)
	}
	return bin
}

// StartPatchbay writes the settings and starts `patchbay serve`; /readyz says 200
// when it is returned. Data live in the test's folder.
func StartPatchbay(t testing.TB, cfg PatchbayConfig) *Patchbay {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "patchbay"
	}
	p := &Patchbay{cfg: cfg, dir: subfolder(t, Folder(t), cfg.Name)}
	p.file = filepath.Join(p.dir, "patchbay.yaml")
	write(t, p.file, cfg.Settings)
	p.Start(t)
	return p
}

// Start starts the process (again) with the same settings and data.
func (p *Patchbay) Start(t testing.TB) {
	t.Helper()
	p.starts++
	args := append([]string{"serve", "--config", p.file, "--data", filepath.Join(p.dir, "data")}, p.cfg.Args...)
	c := command{name: fmt.Sprintf("serve-%d", p.starts), dir: p.dir, path: Binary(t), args: args, env: p.cfg.Env, cores: p.cfg.Cores}
	if p.cfg.Disk != "" {
		c = p.onDisk(t, c)
	}
	p.Process = start(t, c)
	p.Process.ready(t, 20*time.Second, func() bool { return p.Ready() })
}

// Settings is the path of the settings file.
func (p *Patchbay) Settings() string { return p.file }

// onDisk is the command in a mount namespace of its own, with its data on a small file system.
func (p *Patchbay) onDisk(t testing.TB, c command) command {
	t.Helper()
	args := []string{"--mount", "--propagation", "private"}
	if os.Getuid() != 0 {
		args = append(args, "--map-root-user")
	}
	args = append(args, "sh", "-c", `mount -t tmpfs -o size="$1",mode=755 tmpfs "$2" && shift 2 && exec "$@"`, "sh", p.cfg.Disk, subfolder(t, p.dir, "data"), c.path)
	c.path, c.args = "unshare", append(args, c.args...)
	return c
}

// Data is the path of a file among the data of the running process, also when they are on a disk of its own.
func (p *Patchbay) Data(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.PID()), "root", p.dir, "data", name)
}

// Ready tells whether /readyz says 200 now.
func (p *Patchbay) Ready() bool {
	code, _, err := p.get("/readyz")
	return err == nil && code == http.StatusOK
}

// Get fetches a path of the HTTP server.
func (p *Patchbay) Get(t testing.TB, path string) (code int, body string) {
	t.Helper()
	code, body, err := p.get(path)
	if err != nil {
		t.Fatalf("peers: patchbay: GET %s: %v", path, err)
	}
	return code, body
}

// Metrics is /metrics now: each sample by its name, with its labels in braces as they stand there.
func (p *Patchbay) Metrics(t testing.TB) map[string]float64 {
	t.Helper()
	code, body := p.Get(t, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("peers: patchbay: /metrics says %d, expected 200", code)
	}
	out := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("peers: patchbay: /metrics: %q: %v", line, err)
		}
		out[line[:i]] = v
	}
	return out
}

// Metric is one sample of /metrics; the test fails if there is none of the name.
func (p *Patchbay) Metric(t testing.TB, name string) float64 {
	t.Helper()
	v, ok := p.Metrics(t)[name]
	if !ok {
		t.Fatalf("peers: patchbay: /metrics has no %s", name)
	}
	return v
}

// Heap is how many bytes are in use on the heap once garbage is collected.
func (p *Patchbay) Heap(t testing.TB) int {
	t.Helper()
	const name = "# HeapAlloc = "
	heap := 0
	for range 2 { // what finalizers let go of is free after the next one
		code, body := p.Get(t, "/debug/pprof/heap?gc=1&debug=1")
		if code != http.StatusOK {
			t.Fatalf("peers: patchbay: /debug/pprof/heap says %d, expected 200: %s", code, body)
		}
		if _, after, ok := strings.Cut(body, name); ok {
			heap, _ = strconv.Atoi(strings.TrimSpace(strings.SplitN(after, "\n", 2)[0]))
		}
	}
	if heap == 0 {
		t.Fatalf("peers: patchbay: /debug/pprof/heap has no %q", name)
	}
	return heap
}

// Profile writes a profile, such as "profile?seconds=10" or "heap", into a file of the test's folder, for go tool pprof.
func (p *Patchbay) Profile(t testing.TB, what, file string) {
	t.Helper()
	code, body, err := p.fetch("/debug/pprof/"+what, 30*time.Second)
	if err != nil || code != http.StatusOK {
		t.Errorf("peers: patchbay: profile %s: %d %v", what, code, err)
		return
	}
	if err := os.WriteFile(filepath.Join(p.dir, file), []byte(body), 0o644); err != nil {
		t.Errorf("peers: patchbay: profile: %v", err)
	}
}

func (p *Patchbay) get(path string) (int, string, error) { return p.fetch(path, 10*time.Second) }

func (p *Patchbay) fetch(path string, timeout time.Duration) (int, string, error) {
	// No connection is kept: it would be a goroutine of ours left.
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + p.cfg.HTTP + path)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	return r.StatusCode, string(b), err
}

// Kill ends the process as a power cut would.
func (p *Patchbay) Kill() { p.Process.Stop(syscall.SIGKILL, 5*time.Second) }

// Term asks the process to stop and waits for it; the test fails if it must be
// killed or ends with an error.
func (p *Patchbay) Term(t testing.TB, grace time.Duration) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	if code, ok := p.Process.Wait(grace); !ok {
		t.Errorf("peers: patchbay still runs %v after SIGTERM", grace)
	} else if code != 0 {
		t.Errorf("peers: patchbay ended with code %d after SIGTERM, expected 0", code)
	}
	p.Process.Stop(syscall.SIGKILL, 0)
}

// Logs is the JSON log lines of all starts, in order; lines that aren't JSON are left out.
func (p *Patchbay) Logs(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	for n := 1; n <= p.starts; n++ {
		b, err := os.ReadFile(filepath.Join(p.dir, fmt.Sprintf("serve-%d.log", n)))
		if err != nil {
			t.Fatalf("peers: patchbay: %v", err)
		}
		for line := range bytes.Lines(b) {
			var m map[string]any
			if json.Unmarshal(line, &m) == nil {
				out = append(out, m)
			}
		}
	}
	return out
}

// LogsWith is the log lines in which the key has the value.
func (p *Patchbay) LogsWith(t testing.TB, key, value string) []map[string]any {
	t.Helper()
	return slices.DeleteFunc(p.Logs(t), func(m map[string]any) bool { return fmt.Sprint(m[key]) != value })
}

// CLI runs a command of Patchbay with the same settings and data, and returns
// what it prints on standard output.
func (p *Patchbay) CLI(t testing.TB, args ...string) string {
	t.Helper()
	out, code := p.Try(t, args...)
	if code != 0 {
		t.Fatalf("peers: patchbay %s: exit code %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

// Try is CLI for a command that may fail: it returns the exit code too, and then what the command says on standard error
// before the rest.
func (p *Patchbay) Try(t testing.TB, args ...string) (string, int) {
	t.Helper()
	args = append(args, "--config", p.file, "--data", filepath.Join(p.dir, "data"))
	out, errs, code := RunPatchbay(t, p.cfg.Env, args...)
	if code != 0 {
		out = errs + out
	}
	return out, code
}

// CDRs is `cdr list --json`.
func (p *Patchbay) CDRs(t testing.TB, args ...string) []map[string]any {
	t.Helper()
	return decodeList(t, p.CLI(t, append([]string{"cdr", "list", "--json"}, args...)...))
}

// CDR is `cdr show --json ID`.
func (p *Patchbay) CDR(t testing.TB, id string) map[string]any {
	t.Helper()
	var m map[string]any
	out := p.CLI(t, "cdr", "show", "--json", id)
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("peers: patchbay cdr show: %v: %s", err, out)
	}
	return m
}

// Why is `why CALL-ID`.
func (p *Patchbay) Why(t testing.TB, id string) string { t.Helper(); return p.CLI(t, "why", id) }

// decodeList takes a JSON array or one object a line.
func decodeList(t testing.TB, text string) []map[string]any {
	t.Helper()
	var list []map[string]any
	if json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	d := json.NewDecoder(strings.NewReader(text))
	for d.More() {
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			t.Fatalf("peers: patchbay: %v: %s", err, text)
		}
		list = append(list, m)
	}
	return list
}

// RunPatchbay runs the binary to its end, at most a minute.
func RunPatchbay(t testing.TB, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("peers: patchbay %s: %v %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// StartCarrier starts `patchbay carrier` with flags; done polls for readiness.
func StartCarrier(t testing.TB, done func() bool, args ...string) *Process {
	t.Helper()
	p := start(t, command{name: "carrier", dir: subfolder(t, Folder(t), "carrier"), path: Binary(t), args: append([]string{"carrier"}, args...)})
	p.ready(t, 10*time.Second, done)
	return p
}
