package uri

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// shelf is a server that takes recordings, while it does.
type shelf struct {
	url   string
	mu    sync.Mutex
	full  bool
	tries int
	taken map[string]string // by path
}

func newShelf(t *testing.T) *shelf {
	h := &shelf{taken: map[string]string{}}
	s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, q *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		user, pass, _ := q.BasicAuth()
		h.tries++
		b, err := io.ReadAll(q.Body)
		if h.full || err != nil {
			w.WriteHeader(http.StatusForbidden) // which isn't tried again at once
			return
		}
		h.taken[q.Method+" "+user+":"+pass+q.URL.Path] += string(b)
	})
	h.url = strings.Replace(s.URL, "http://", "http://u:hush@", 1)
	return h
}

func (h *shelf) has() (int, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries, fmt.Sprint(h.taken)
}

func (h *shelf) fill(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = on
}

// childSpool has the test's own program record, until it is killed.
const childSpool = "PATCHBAY_TEST_SPOOL"

// TestMain lets the program be a process that records, for TestKilledRecorder.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childSpool); dir != "" {
		if err := recordUntilKilled(dir, os.Getenv(childSpool+"_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func recordUntilKilled(dir, to string) error {
	o := New(Config{Spool: dir, Private: loopback()})
	p, err := o.Parse(to, "")
	if err != nil {
		return err
	}
	f, err := o.Create(p)
	if err != nil {
		return err
	}
	if _, err := f.Write([]byte("what was said until then")); err != nil {
		return err
	}
	fmt.Println("recording")
	_, err = io.Copy(io.Discard, os.Stdin) // for ever
	return err
}

// left are the files of a spool.
func left(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// kept are the recordings in a spool, each of which has a note beside it.
func kept(t *testing.T, dir string) (names []string) {
	t.Helper()
	all := left(t, dir)
	for _, name := range all {
		if strings.HasSuffix(name, noteExt) {
			continue
		}
		names = append(names, name)
		if !slices.Contains(all, name+noteExt) {
			t.Errorf("nobody knows where %s goes: %q", name, all)
		}
	}
	return names
}

// What a process was recording when it was killed is sent by the next one, and not while it is still written.
func TestKilledRecorder(t *testing.T) {
	h := newShelf(t)
	dir := filepath.Join(t.TempDir(), "spool")
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childSpool+"="+dir, childSpool+"_URL="+h.url+"/calls/1.webm")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "recording\n" {
		t.Fatalf("the process says %q, %v", line, err)
	}
	o := New(Config{Spool: dir, Private: loopback()})
	defer func() { _ = o.Close() }()
	o.resend(t.Context())
	if n, got := h.has(); n != 0 || len(left(t, dir)) != 2 {
		t.Errorf("while it is written %d are sent: %s; %q is left", n, got, left(t, dir))
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	next := New(Config{Spool: dir, Private: loopback()})
	next.Resend()
	next.behind.Wait()
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if n, got := h.has(); n != 1 || got != "map[PUT u:hush/calls/1.webm:what was said until then]" || len(left(t, dir)) != 0 {
		t.Errorf("%d are sent: %s; %q is left", n, got, left(t, dir))
	}
}

// What a server doesn't take is sent again by the next starts, not for ever, and stays; other files in the folder are left alone.
func TestResendIsBounded(t *testing.T) {
	h := newShelf(t)
	h.fill(true)
	o, _ := place(t, Config{Private: loopback()})
	dir := o.cfg.Spool
	if err := record(t, o, h.url+"/a.wav"); !errors.Is(err, ErrServer) {
		t.Errorf("a full server: %v", err)
	}
	first, _ := h.has()
	name := left(t, dir)
	if len(name) != 2 || name[1] != name[0]+noteExt {
		t.Fatalf("%q is left", name)
	}
	for range 2 * maxStarts {
		o.resend(t.Context())
	}
	if n, _ := h.has(); n-first != maxStarts {
		t.Errorf("it is sent %d times by as many starts, expected %d", n-first, maxStarts)
	}
	if got := left(t, dir); len(got) != 2 || o.used.Load() != 0 {
		t.Errorf("%q is left, %d bytes are counted", got, o.used.Load())
	}
	for name, text := range map[string]string{
		"out-1.wav" + noteExt: `{"uri":"http://x/"}`, "out-2.wav": "without a note", "out-3.wav": "x", "out-3.wav" + noteExt: `{"uri":"file:///etc/x"}`,
		"out-4.wav": "x", "out-4.wav" + noteExt: `{`, "out-5.wav": "", "out-5.wav" + noteExt: `{"uri":"` + h.url + `/5"}`, "other" + noteExt: `{"uri":"` + h.url + `/other"}`, "other": "x",
		"out-6.wav": "x", "out-6.wav" + noteExt: `{"uri":"http://169.254.169.254/"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.fill(false)
	before, _ := h.has()
	o.resend(t.Context())
	if n, got := h.has(); n != before {
		t.Errorf("%d are sent: %s", n-before, got)
	}
	got := strings.Join(left(t, dir), " ")
	for _, gone := range []string{"out-1.wav", "out-5.wav"} { // sent before; nothing in it
		if strings.Contains(got, gone) {
			t.Errorf("%s is left", gone)
		}
	}
	for _, stays := range []string{"out-2.wav", "out-3.wav", "out-4.wav", "out-6.wav", "other"} {
		if !strings.Contains(got, stays) {
			t.Errorf("%s is gone", stays)
		}
	}
}
