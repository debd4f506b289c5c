package uri

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// store is an object store that takes uploads in parts, and has its whims.
type store struct {
	secret S3

	mu      sync.Mutex
	whims   []string // what it answers instead, and to which request, once each: "PUT 2: 503"
	heard   []string
	parts   map[string][]byte // by number, of the upload that runs
	objects map[string]string
}

func (s *store) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	query := q.URL.Query()
	what := strings.TrimSpace(q.Method + " " + query.Get("partNumber"))
	if query.Has("uploads") {
		what += " new"
	}
	s.heard = append(s.heard, what)
	for i, whim := range s.whims {
		if to, answer, _ := strings.Cut(whim, ": "); to == what {
			s.whims = slices.Delete(s.whims, i, i+1)
			status, text, _ := strings.Cut(answer, " ")
			code, _ := strconv.Atoi(status)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
			return
		}
	}
	if !s.signed(q, body) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
		return
	}
	switch {
	case q.Method == http.MethodPost && query.Has("uploads"):
		s.parts = map[string][]byte{}
		_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>a/b+c</UploadId></InitiateMultipartUploadResult>")
	case query.Get("uploadId") != "a/b+c":
		w.WriteHeader(http.StatusNotFound)
	case q.Method == http.MethodPut:
		s.parts[query.Get("partNumber")] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, len(body)))
	case q.Method == http.MethodDelete:
		s.parts = nil
		w.WriteHeader(http.StatusNoContent)
	default:
		var list parts
		if xml.Unmarshal(body, &list) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		whole := ""
		for _, p := range list.Parts {
			b := s.parts[strconv.Itoa(p.Number)]
			if p.ETag != fmt.Sprintf(`"%x"`, len(b)) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			whole += string(b)
		}
		s.objects[q.URL.Path] = whole
		_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><Key>x</Key></CompleteMultipartUploadResult>")
	}
}

// signed reports whether a request has the signature that is due.
func (s *store) signed(q *http.Request, body []byte) bool {
	at, err := time.Parse("20060102T150405Z", q.Header.Get("X-Amz-Date"))
	due := &http.Request{Method: q.Method, URL: q.URL, Header: http.Header{}}
	due.URL.Host = q.Host
	if kind := q.Header.Get("Content-Type"); kind != "" {
		due.Header.Set("Content-Type", kind)
	}
	return err == nil && s.secret.sign(due, bytes.NewReader(body), at) == nil && due.Header.Get("Authorization") == q.Header.Get("Authorization")
}

// A large recording is put in parts, of which those that fail are sent again; what the store says too late for a status is heeded; when
// it has failed for good the store is asked to forget the parts, and the error says what the store says.
func TestStoreParts(t *testing.T) {
	const whole = "what was said, and what was answered"
	for _, test := range []struct {
		name, heard string
		whims       []string
		says        string // of the error; "" = none
	}{
		{"whole", "POST new, PUT 1, PUT 2, PUT 3, PUT 4, POST", nil, ""},
		{"again", "POST new, PUT 1, PUT 2, PUT 2, PUT 3, PUT 4, POST, POST", []string{"PUT 2: 503", "POST: 200 <Error><Code>InternalError</Code></Error>"}, ""},
		{"denied", "POST new, PUT 1, PUT 2, PUT 3, DELETE", []string{"PUT 3: 403 <Error><Code>AccessDenied</Code></Error>"}, "part 3: server refused: 403 AccessDenied"},
		{"no upload", "POST new", []string{"POST new: 200 <x/>"}, "it names no upload"},
		{"odd words", "POST new", []string{"POST new: 400 <Error><Code>a\nb</Code></Error>"}, "server refused: 400 Error"},
	} {
		s := &store{secret: S3{Key: "key", Secret: "secret"}, objects: map[string]string{}, whims: test.whims}
		s.secret.Endpoint = serve(t, "127.0.0.1:0", s.ServeHTTP).URL
		o, _ := place(t, Config{Schemes: []string{"s3"}, S3: s.secret, Stall: 4 * time.Second})
		p, err := o.Parse("s3://calls/a b.webm", "")
		if err != nil {
			t.Fatal(err)
		}
		err = o.storeParts(t.Context(), p, io.NewSectionReader(strings.NewReader(whole), 0, int64(len(whole))), 10, "video/webm")
		s.mu.Lock()
		switch {
		case test.says == "" && (err != nil || s.objects["/calls/a b.webm"] != whole):
			t.Errorf("%s: %v, the store has %q", test.name, err, s.objects)
		case test.says != "" && (!errors.Is(err, ErrServer) || !strings.Contains(err.Error(), test.says) || len(s.objects) != 0 || test.name == "denied" && s.parts != nil):
			t.Errorf("%s: %v, expected %q; the store has %q and %q", test.name, err, test.says, s.objects, s.parts)
		}
		if got := strings.Join(s.heard, ", "); got != test.heard {
			t.Errorf("%s: the store heard %s, expected %s", test.name, got, test.heard)
		}
		s.mu.Unlock()
	}
}

// A wrong secret is told in the store's words.
func TestStoreRefuses(t *testing.T) {
	s := &store{secret: S3{Key: "key", Secret: "secret"}, objects: map[string]string{}}
	h := serve(t, "127.0.0.1:0", s.ServeHTTP)
	o, _ := place(t, Config{Schemes: []string{"s3"}, S3: S3{Endpoint: h.URL, Key: "key", Secret: "another"}})
	err := record(t, o, "s3://calls/a.webm")
	if !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), "403 SignatureDoesNotMatch") || !strings.Contains(err.Error(), "it is kept as out-") {
		t.Errorf("a wrong secret: %v", err)
	}
	if n := kept(t, o.cfg.Spool); len(n) != 1 {
		t.Errorf("in the spool are %q", n)
	}
}

// A recording isn't taken for sent because a server shows a page instead: a redirect that makes a GET of a PUT is an error.
func TestRedirectToPage(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther} {
		var mu sync.Mutex
		var heard []string
		s := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, q *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, q.Method+" "+q.URL.Path)
			if q.URL.Path != "/login" {
				http.Redirect(w, q, "/login", status)
			}
		})
		o, _ := place(t, Config{Private: loopback()})
		err := record(t, o, s.URL+"/a.webm")
		if !errors.Is(err, ErrHop) || !strings.Contains(err.Error(), "it is kept as out-") {
			t.Errorf("%d: %v", status, err)
		}
		if n := kept(t, o.cfg.Spool); len(n) != 1 || len(heard) != 1 {
			t.Errorf("%d: in the spool are %q; the server heard %q", status, n, heard)
		}
	}
}
