// Package web is the softphone page, built from src into dist and embedded: a telephone in the browser that registers by SIP
// over WebSocket (RFC 7118) at /sip of the host that served it, and reads its calls from /api/v1. Beside it, at /reports, is the page
// of reports: it plots what /api/v1/reports tells, to whom that tells it, and has a script of its own.
//
// go generate rebuilds dist: it needs node and npm. Nothing else does.
package web

//go:generate npm ci --ignore-scripts
//go:generate npm run --silent check
//go:generate go run ./build -test
//go:generate go run ./build

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed dist
var dist embed.FS

// A year: an asset's name holds its hash.
const forever = "public, max-age=31536000, immutable"

// reserved are first segments of paths that belong to others: a page there would only hide that nobody answers.
var reserved = [...]string{"api", "assets", "kurento", "sip", "metrics", "livez", "readyz"}

// reportsPath and what is below it is the page of reports; all else that is navigated to is the softphone.
const reportsPath = "/reports"

// file is one file as it is served.
type file struct {
	kind   string // Content-Type
	cache  string // Cache-Control
	plain  []byte
	packed []byte // gzip, or nil
	tag    string // without quotes
}

type handler struct {
	files map[string]*file // by URL path
}

// Handler serves the pages: /reports and what is below it is that of reports; / and every other path that a browser navigates to and
// nobody else owns give the softphone, /assets/ their parts. It is to be mounted at the root of the host. It answers GET and HEAD.
//
// All responses carry a Content-Security-Policy that lets the page talk to its own host alone.
func Handler() http.Handler {
	h := &handler{files: map[string]*file{}}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		return h.add("/"+strings.TrimPrefix(name, "dist/"), b)
	})
	if err == nil && (h.files["/index.html"] == nil || h.files["/report.html"] == nil) {
		err = fmt.Errorf("dist lacks index.html or report.html")
	}
	if err != nil {
		panic("web: " + err.Error()) // the binary was built wrong
	}
	return h
}

// add takes one file of dist. Those that end with .gz are served under their name without it.
func (h *handler) add(name string, b []byte) error {
	f := &file{cache: "no-cache"}
	if strings.HasPrefix(name, "/assets/") {
		f.cache = forever
	}
	if bare, ok := strings.CutSuffix(name, ".gz"); ok {
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if f.plain, err = io.ReadAll(r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.packed, name = b, bare
	} else {
		f.plain = b
	}
	f.kind = kind(name)
	sum := sha256.Sum256(f.plain)
	f.tag = hex.EncodeToString(sum[:8])
	h.files[name] = f
	return nil
}

// kind is the type of a name, without asking the system's tables, which differ.
func kind(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header(), r.Host)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
		return
	}
	f := h.find(r)
	if f == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "there is nothing at this address", http.StatusNotFound)
		return
	}
	f.serve(w, r)
}

// find gives the file for a request, the page for a navigation, or nil.
func (h *handler) find(r *http.Request) *file {
	page := h.files["/index.html"]
	if r.URL.Path == "/" {
		return page
	}
	if f := h.files[r.URL.Path]; f != nil {
		return f
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	for _, owner := range reserved {
		if first == owner {
			return nil
		}
	}
	if path.Ext(r.URL.Path) != "" || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return nil
	}
	if r.URL.Path == reportsPath || strings.HasPrefix(r.URL.Path, reportsPath+"/") {
		return h.files["/report.html"]
	}
	return page
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Type", f.kind)
	head.Set("Cache-Control", f.cache)
	body, tag := f.plain, f.tag
	if f.packed != nil {
		head.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Values("Accept-Encoding")) {
			head.Set("Content-Encoding", "gzip")
			body, tag = f.packed, f.tag+"-gzip"
		}
	}
	tag = `"` + tag + `"`
	head.Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		head.Del("Content-Type")
		head.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // a client that left needs no answer
	}
}

// takesGzip reads Accept-Encoding (RFC 9110 12.5.3).
func takesGzip(values []string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(strings.TrimSpace(item), ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "gzip" && name != "*" {
				continue
			}
			weight, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q=")
			if q, err := strconv.ParseFloat(weight, 64); ok && (err != nil || q <= 0) {
				return false
			}
			return true
		}
	}
	return false
}

// matches reads If-None-Match (RFC 9110 13.1.2): the comparison is the weak one.
func matches(values []string, tag string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
			if item == tag || item == "*" {
				return true
			}
		}
	}
	return false
}

// protect sets what keeps others out of the page, and the page to its host.
func protect(head http.Header, host string) {
	connect := "'self'"
	if plainHost(host) {
		// Not every browser takes 'self' to mean WebSockets too.
		connect += " ws://" + host + " wss://" + host
	}
	head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"media-src 'self' blob: mediastream:; connect-src "+connect+"; base-uri 'none'; form-action 'none'; "+
		"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	head.Set("Permissions-Policy", "microphone=(self), speaker-selection=(self), camera=(), geolocation=(), display-capture=()")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// plainHost tells whether a Host may stand in a policy as it is: letters, digits, and what ports and IPv6 need.
func plainHost(host string) bool {
	if host == "" || len(host) > 255 {
		return false
	}
	for _, c := range []byte(host) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(".-_:[]", c) >= 0:
		default:
			return false
		}
	}
	return true
}
