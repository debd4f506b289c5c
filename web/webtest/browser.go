// Package webtest drives a headless Chromium for tests: pages in profiles of their own, clicks and keys as a person's, what
// the page shows, screenshots. It speaks the DevTools protocol and needs nothing but the browser.
package webtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// Config says how the browser starts. The zero value is a browser with a fake microphone that beeps.
type Config struct {
	Path       string   // of the program; "": the first of chromium, chromium-browser, google-chrome in PATH
	Microphone string   // WAV file (16 bit, 48 kHz) that the fake microphone plays in a loop; "": a beep each second
	Insecure   bool     // takes certificates that nobody signed
	Args       []string // more of the browser's arguments
}

// Browser is one running Chromium. Its methods may be called from several goroutines.
type Browser struct {
	cmd     *exec.Cmd
	profile string
	conn    *websocket.Conn
	read    chan struct{} // closed when the reader has ended
	exited  chan struct{} // closed when the process has
	once    sync.Once

	mu      sync.Mutex // guards what follows, and writing
	next    int
	waiting map[int]chan reply
	pages   map[string]*Page // by DevTools session
	dead    error
}

type reply struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startTime is how long a browser may take to start; on a busy machine it does.
const startTime = 60 * time.Second

// Start runs a browser until Close, or until ctx ends. It is given a profile of its own, which Close removes.
func Start(ctx context.Context, cfg Config) (*Browser, error) {
	path, err := find(cfg.Path)
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "patchbay-chromium-")
	if err != nil {
		return nil, err
	}
	b := &Browser{profile: profile, read: make(chan struct{}), exited: make(chan struct{}),
		waiting: map[int]chan reply{}, pages: map[string]*Page{}}
	b.cmd = exec.CommandContext(ctx, path, arguments(cfg, profile)...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cmd.Cancel = b.kill
	b.cmd.WaitDelay = 5 * time.Second
	errs, err := b.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(profile))
	}
	if err := b.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", path, err), os.RemoveAll(profile))
	}
	url, drained, err := endpoint(errs)
	go func() {
		<-drained
		_ = b.cmd.Wait() // how it ended is of no interest
		close(b.exited)
	}()
	if err == nil {
		b.conn, _, err = websocket.DefaultDialer.DialContext(ctx, url, nil)
	}
	if err != nil {
		close(b.read)
		return nil, errors.Join(fmt.Errorf("browser: %w", err), b.Close())
	}
	go b.receive()
	return b, nil
}

func find(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", errors.New("no chromium in PATH: install the package chromium")
}

func arguments(cfg Config, profile string) []string {
	args := []string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
		"--user-data-dir=" + profile, "--remote-debugging-port=0", "--remote-allow-origins=*", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--lang=en-GB", "--hide-scrollbars",
		// Tabs that aren't in front go on as if they were.
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
		"--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required",
		"--allow-loopback-in-peer-connection",
	}
	if cfg.Microphone != "" {
		args = append(args, "--use-file-for-fake-audio-capture="+cfg.Microphone)
	}
	if cfg.Insecure {
		args = append(args, "--ignore-certificate-errors")
	}
	return append(append(args, cfg.Args...), "about:blank")
}

// endpoint reads the browser's messages up to the address that it listens on. drained is closed when there are no more.
func endpoint(errs io.Reader) (url string, drained <-chan struct{}, err error) {
	found, done := make(chan string, 1), make(chan struct{})
	var tail bytes.Buffer
	go func() {
		defer close(done)
		lines := bufio.NewScanner(errs)
		for lines.Scan() {
			if at, ok := strings.CutPrefix(lines.Text(), "DevTools listening on "); ok {
				found <- strings.TrimSpace(at)
				break
			}
			tail.WriteString(lines.Text() + "\n")
		}
		_, _ = io.Copy(io.Discard, errs)
	}()
	timer := time.NewTimer(startTime)
	defer timer.Stop()
	select {
	case url = <-found:
		return url, done, nil
	case <-done:
		return "", done, fmt.Errorf("ended at its start:\n%s", tail.String())
	case <-timer.C:
		return "", done, fmt.Errorf("said nothing of DevTools in %v", startTime)
	}
}

// kill ends the browser and what it started: they are a process group.
func (b *Browser) kill() error {
	if err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Close ends the browser and removes its profile. Pages that are still open don't get to say goodbye.
func (b *Browser) Close() error {
	var err error
	b.once.Do(func() {
		if b.conn != nil {
			_ = b.conn.Close() // the process ends next
		}
		err = b.kill()
		<-b.exited
		<-b.read
		err = errors.Join(err, os.RemoveAll(b.profile))
	})
	return err
}

// receive hands answers to who waits for them and events to their pages.
func (b *Browser) receive() {
	defer close(b.read)
	for {
		var m struct {
			ID      int             `json:"id"`
			Session string          `json:"sessionId"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
			reply
		}
		err := b.conn.ReadJSON(&m)
		b.mu.Lock()
		if err != nil {
			b.dead = fmt.Errorf("browser has gone: %w", err)
			for id, c := range b.waiting {
				close(c)
				delete(b.waiting, id)
			}
			b.mu.Unlock()
			return
		}
		if c := b.waiting[m.ID]; m.ID != 0 && c != nil {
			delete(b.waiting, m.ID)
			c <- m.reply
		}
		page := b.pages[m.Session]
		b.mu.Unlock()
		if page != nil && m.Method != "" {
			page.event(m.Method, m.Params)
		}
	}
}

// post sends a command whose answer nobody needs. It may be called from the reader.
func (b *Browser) post(session, method string, params map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	// A browser that has gone shows at the next call.
	_ = b.conn.WriteJSON(map[string]any{"id": b.next, "sessionId": session, "method": method, "params": params})
}

// call sends a command and waits for its answer, which it reads into out if that isn't nil.
func (b *Browser) call(ctx context.Context, session, method string, params map[string]any, out any) error {
	command := map[string]any{"method": method, "params": params}
	if session != "" {
		command["sessionId"] = session
	}
	c := make(chan reply, 1)
	b.mu.Lock()
	if b.dead != nil {
		b.mu.Unlock()
		return b.dead
	}
	b.next++
	id := b.next
	command["id"] = id
	b.waiting[id] = c
	err := b.conn.WriteJSON(command)
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case r, ok := <-c:
		switch {
		case !ok:
			return fmt.Errorf("%s: the browser has gone", method)
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case out != nil:
			return json.Unmarshal(r.Result, out)
		}
		return nil
	case <-ctx.Done():
		b.mu.Lock()
		delete(b.waiting, id)
		b.mu.Unlock()
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
