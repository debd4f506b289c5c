package uri

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// The prefix of a folder that has the root's own name in front is the same file; a redirect that may be followed is.
func TestFilesAndDownloads(t *testing.T) {
	o, root := place(t, Config{Private: loopback()})
	for _, raw := range []string{"a.wav", "/a.wav", "file:///a.wav", "file://" + root + "/a.wav", "./a.wav", "file:///%61.wav"} {
		if b, err := read(t, o, raw); b != "music" || err != nil {
			t.Errorf("%s: %q, %v", raw, b, err)
		}
	}
	s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/moved" {
			http.Redirect(w, q, "/a.wav", http.StatusTemporaryRedirect)
			return
		}
		user, pass, _ := q.BasicAuth()
		_, _ = io.WriteString(w, "served to "+user+pass)
	})
	at := strings.Replace(s.URL, "http://", "http://u:p@", 1)
	for _, raw := range []string{at + "/a.wav", at + "/moved"} {
		if b, err := read(t, o, raw); b != "served to up" || err != nil {
			t.Errorf("%s: %q, %v", raw, b, err)
		}
	}
}

// A server that stalls before or amid its answer, breaks off, or refuses, is an error soon, and names no more than its address.
func TestBadServers(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/silent":
			<-hold
		case "/stalls":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			<-hold
		case "/breaks":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusGone)
		}
	})
	defer close(hold)
	o, _ := place(t, Config{Private: loopback(), Stall: 100 * time.Millisecond})
	for path, want := range map[string]error{"/silent": ErrStalled, "/stalls": ErrStalled, "/breaks": ErrBroken, "/gone": ErrServer} {
		if b, err := read(t, o, s.URL+path); !errors.Is(err, want) || b != "" && b != "part" {
			t.Errorf("%s: %q, %v, want %v", path, b, err, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := read(t, o, "http://"+l.Addr().String()); err == nil {
		t.Error("a server that isn't there is read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, _ := o.Parse(s.URL+"/silent", "")
	if _, err := o.Open(ctx, p); err == nil {
		t.Error("opens although nobody waits any more")
	}
}

// Close has whoever waits for more of a file return.
func TestCloseEndsWaiting(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-hold
	})
	defer close(hold)
	o, _ := place(t, Config{Private: loopback()})
	p, err := o.Parse(s.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := o.Open(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := f.ReadAt(make([]byte, 10), 0)
		failed <- err
	}()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a read of a closed file succeeds")
	}
}

// record writes a recording that is corrected and replaced on the way.
func record(t *testing.T, o *Opener, raw string) error {
	t.Helper()
	p, err := o.Parse(raw, "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := o.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("head tail")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("HEAD"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Replace(func(w *os.File) error {
		b := make([]byte, 9)
		if _, err := f.ReadAt(b, 0); err != nil {
			return err
		}
		_, err := w.WriteString("whole: " + string(b))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return f.Finish(t.Context())
}

// A recording gets to its file, or by PUT or else POST to its server, after tries that fail; and leaves nothing behind.
func TestRecordings(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	fails := 2
	s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case q.URL.Path == "/post.webm" && q.Method == http.MethodPut:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case q.URL.Path == "/later.webm" && fails > 0:
			fails--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case q.URL.Path == "/never.webm":
			w.WriteHeader(http.StatusForbidden)
			return
		case q.URL.Path == "/moved.webm":
			http.Redirect(w, q, "/there.webm", http.StatusTemporaryRedirect)
			return
		}
		heard = append(heard, q.Method+" "+q.URL.Path+" "+q.Header.Get("Content-Type")+" "+string(b)+" "+q.Header.Get("Authorization")[:min(16, len(q.Header.Get("Authorization")))])
	})
	o, root := place(t, Config{Private: loopback(), Schemes: []string{"file", "http", "s3"}, Stall: time.Second, S3: S3{Endpoint: s.URL, Key: "k", Secret: "s"}})
	if err := record(t, o, "new/folder/b.webm"); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "new/folder/b.webm")); string(b) != "whole: HEAD tail" || err != nil {
		t.Errorf("file is %q, %v", b, err)
	}
	for _, raw := range []string{s.URL + "/put.webm", s.URL + "/post.webm", s.URL + "/later.webm", s.URL + "/moved.webm", "s3://bucket/a b.webm"} {
		heard = nil
		if err := record(t, o, raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if len(heard) != 1 || !strings.Contains(heard[0], "video/webm whole: HEAD tail") {
			t.Errorf("%s: server heard %q", raw, heard)
		}
	}
	if !strings.HasPrefix(heard[0], "PUT /bucket/a b.webm") || !strings.HasSuffix(heard[0], "AWS4-HMAC-SHA256") {
		t.Errorf("the object store heard %q", heard)
	}
	if left, _ := os.ReadDir(o.cfg.Spool); len(left) != 0 || o.used.Load() != 0 {
		t.Errorf("left in the spool: %v, %d bytes", left, o.used.Load())
	}
	err := record(t, o, s.URL+"/never.webm")
	left := kept(t, o.cfg.Spool)
	if !errors.Is(err, ErrServer) || len(left) != 1 || !strings.Contains(err.Error(), left[0]) {
		t.Fatalf("refused: %v, left %v", err, left)
	}
	if b, err := os.ReadFile(filepath.Join(o.cfg.Spool, left[0])); string(b) != "whole: HEAD tail" || err != nil {
		t.Errorf("kept %q, %v", b, err)
	}
}

// A recording may not be larger than a file may be, nor the spool's share.
func TestRecordingIsBounded(t *testing.T) {
	o, _ := place(t, Config{Private: loopback(), MaxSize: 1000, MaxAll: 1500})
	for _, raw := range []string{"big.wav", "http://127.0.0.1:1/big.wav"} {
		p, err := o.Parse(raw, "")
		if err != nil {
			t.Fatal(err)
		}
		f, err := o.Create(p)
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := f.Write(make([]byte, 1000))
		_, err2 := f.Write(make([]byte, 1))
		if err1 != nil || !errors.Is(err2, ErrSize) {
			t.Errorf("%s: %v, %v", raw, err1, err2)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := o.used.Load(); n != 0 {
		t.Errorf("%d bytes are left in the spool's count", n)
	}
}

// Recordings that no server takes stay in the spool while there is room: then they are lost, which is told, and the disk isn't filled.
// Once somebody has cleared it they stay again.
func TestSpoolIsBounded(t *testing.T) {
	s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	o, _ := place(t, Config{Private: loopback(), MaxSize: 1000, MaxAll: 50})
	stays := func() []string { return kept(t, o.cfg.Spool) }
	fail := func(says string) {
		t.Helper()
		if err := record(t, o, s.URL+"/a.wav"); !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), says) {
			t.Errorf("refused: %v, want %q", err, says)
		}
	}
	for range 3 { // of 16 bytes each
		fail("it is kept as out-")
	}
	for range 2 {
		fail("no room to keep it")
	}
	if n := stays(); len(n) != 3 || o.used.Load() != 0 {
		t.Fatalf("in the spool are %v, %d bytes are on their way", n, o.used.Load())
	}
	if err := os.Remove(filepath.Join(o.cfg.Spool, stays()[0])); err != nil {
		t.Fatal(err)
	}
	fail("it is kept as out-")
}

// The signature is that of the example in the store's own documentation (Signature Calculations for the Authorization Header, PUT
// Object).
func TestSignature(t *testing.T) {
	q, err := http.NewRequest(http.MethodPut, "https://examplebucket.s3.amazonaws.com/test$file.text", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Date", "Fri, 24 May 2013 00:00:00 GMT")
	q.Header.Set("X-Amz-Storage-Class", "REDUCED_REDUNDANCY")
	s := S3{Key: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Region: "us-east-1"}
	if err := s.sign(q, strings.NewReader("Welcome to Amazon S3."), time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	const want = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
	_, got, _ := strings.Cut(q.Header.Get("Authorization"), "Signature=")
	if _, err := hex.DecodeString(got); got != want || err != nil {
		t.Errorf("signature %s, want %s", got, want)
	}
}
