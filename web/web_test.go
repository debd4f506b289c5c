package web_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/web"
)

// What the pages may weigh in bytes. JsSIP is more than half of what a browser unpacks of the softphone; its own grammar, for which the
// page has a shorter one, would add 84,000. Of the page of reports half is uPlot, and none is loaded by the softphone.
const (
	most               = 80_000 // all that is embedded and sent, compressed, but for what is of reports alone
	mostUnpacked       = 235_000
	mostReport         = 45_000
	mostReportUnpacked = 125_000
)

func get(t *testing.T, h http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		from = z
	}
	b, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// assets are what the softphone names.
func assets(t *testing.T, h http.Handler) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, path := range named(t, h, "/") {
		found[filepath.Ext(path)] = path
	}
	if len(found) != 3 {
		t.Fatalf("the page names %v, expected a script, a style and an icon", found)
	}
	return found
}

// named are the files that a page loads.
func named(t *testing.T, h http.Handler, page string) (paths []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`<(?:link|script)[^>]* (?:src|href)="([^"]+)"`).FindAllStringSubmatch(body(t, get(t, h, page, "Accept", "text/html")), -1) {
		paths = append(paths, m[1])
	}
	return paths
}

func TestPage(t *testing.T) {
	h := web.Handler()
	r := get(t, h, "/")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("status %d, type %q", r.StatusCode, r.Header.Get("Content-Type"))
	}
	if c := r.Header.Get("Cache-Control"); c != "no-cache" {
		t.Errorf("Cache-Control of the page is %q: an old page would name assets that are gone", c)
	}
	page := body(t, r)
	for _, bad := range []string{"<style", "style=", "onclick", "onload", "<script>", "http:", "https:", "//"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	if !strings.Contains(page, `lang="en"`) || !strings.Contains(page, "width=device-width") {
		t.Errorf("the page has no language or viewport:\n%s", page)
	}
}

func TestAssets(t *testing.T) {
	h := web.Handler()
	kinds := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	for ext, path := range assets(t, h) {
		if !regexp.MustCompile(`^/assets/\w+-[A-Z0-9]{8}\.\w+$`).MatchString(path) {
			t.Errorf("%s has no hash in its name", path)
		}
		plain, packed := get(t, h, path), get(t, h, path, "Accept-Encoding", "br, gzip;q=0.5")
		for _, r := range []*http.Response{plain, packed} {
			if r.StatusCode != 200 || r.Header.Get("Content-Type") != kinds[ext] {
				t.Errorf("%s: status %d, type %q", path, r.StatusCode, r.Header.Get("Content-Type"))
			}
			if c := r.Header.Get("Cache-Control"); !strings.Contains(c, "immutable") {
				t.Errorf("%s: Cache-Control %q", path, c)
			}
			if v := r.Header.Get("Vary"); v != "Accept-Encoding" {
				t.Errorf("%s: Vary %q", path, v)
			}
		}
		if packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: encodings %q and %q", path, packed.Header.Get("Content-Encoding"), plain.Header.Get("Content-Encoding"))
		}
		if packed.Header.Get("ETag") == plain.Header.Get("ETag") {
			t.Errorf("%s: one ETag %s for two representations", path, plain.Header.Get("ETag"))
		}
		one, two := body(t, plain), body(t, packed)
		if one != two || one == "" {
			t.Errorf("%s: %d bytes plain, %d unpacked", path, len(one), len(two))
		}
	}
	if r := get(t, h, assets(t, h)[".js"], "Accept-Encoding", "gzip;q=0"); r.Header.Get("Content-Encoding") != "" {
		t.Error("gzip was refused and sent")
	}
}

func TestRevalidation(t *testing.T) {
	h := web.Handler()
	for _, path := range []string{"/", assets(t, h)[".js"]} {
		tag := get(t, h, path, "Accept-Encoding", "gzip").Header.Get("ETag")
		if tag == "" {
			t.Fatalf("%s has no ETag", path)
		}
		for _, c := range []struct {
			value  string
			status int
		}{{tag, 304}, {`"other", W/` + tag, 304}, {"*", 304}, {`"other"`, 200}} {
			r := get(t, h, path, "Accept-Encoding", "gzip", "If-None-Match", c.value)
			if r.StatusCode != c.status {
				t.Errorf("%s with If-None-Match %s: %d, expected %d", path, c.value, r.StatusCode, c.status)
			}
			if r.StatusCode == 304 && body(t, &http.Response{Body: r.Body}) != "" {
				t.Errorf("%s: a 304 has a body", path)
			}
		}
	}
}

func TestNavigation(t *testing.T) {
	h := web.Handler()
	const navigation = "text/html,application/xhtml+xml,*/*;q=0.8"
	page := body(t, get(t, h, "/"))
	for _, c := range []struct {
		path, accept string
		status       int
	}{
		{"/calls", navigation, 200},
		{"/calls/42", navigation, 200},
		{"/calls", "application/json", 404},
		{"/favicon.ico", navigation, 404},
		{"/assets/main-OLDHASH0.js", "*/*", 404},
		{"/assets/", navigation, 404},
		{"/api/v1/nothing", navigation, 404},
		{"/sip", navigation, 404},
		{"/kurento", navigation, 404},
		{"/metrics", navigation, 404},
		{"/licenses.txt", "*/*", 200},
		{"/../web.go", navigation, 404},
	} {
		r := get(t, h, c.path, "Accept", c.accept)
		if r.StatusCode != c.status {
			t.Errorf("%s: %d, expected %d", c.path, r.StatusCode, c.status)
		}
		if got := body(t, r); c.status == 200 && c.accept == navigation && got != page {
			t.Errorf("%s isn't the page", c.path)
		}
	}
}

func TestMethods(t *testing.T) {
	h := web.Handler()
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d, %d bytes, Content-Length %q", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestPolicy(t *testing.T) {
	h := web.Handler()
	for _, path := range []string{"/", "/api/nothing", assets(t, h)[".js"]} {
		r := get(t, h, path)
		policy := r.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'",
			"base-uri 'none'", "connect-src 'self' ws://example.com wss://example.com;"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %q: %s", path, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy lets unsafe things in: %s", path, policy)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, r.Header)
		}
		if p := r.Header.Get("Permissions-Policy"); !strings.Contains(p, "microphone=(self)") {
			t.Errorf("%s: Permissions-Policy %q", path, p)
		}
	}
	// What a client writes into Host doesn't get to write the policy.
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "a; script-src *"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if p := w.Header().Get("Content-Security-Policy"); strings.Contains(p, "*") || !strings.Contains(p, "connect-src 'self';") {
		t.Errorf("policy for a forged Host: %s", p)
	}
}

func TestWeight(t *testing.T) {
	var phone, report int
	err := filepath.WalkDir("dist", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), "report") {
			report += int(info.Size())
		} else {
			phone += int(info.Size())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h := web.Handler()
	for _, x := range []struct {
		page               string
		packed             int
		most, mostUnpacked int
	}{{"/", phone, most, mostUnpacked}, {"/reports", report, mostReport, mostReportUnpacked}} {
		if x.packed >= x.most || x.packed < 20_000 {
			t.Errorf("dist has %d bytes for %s, expected 20,000 to %d", x.packed, x.page, x.most)
		}
		loaded := len(body(t, get(t, h, x.page, "Accept", "text/html")))
		for _, path := range named(t, h, x.page) {
			loaded += len(body(t, get(t, h, path)))
			if x.page == "/" && strings.Contains(path, "report") {
				t.Errorf("the softphone loads %s", path)
			}
		}
		if loaded > x.mostUnpacked || loaded < x.packed {
			t.Errorf("a browser unpacks %d bytes for %s, expected %d to %d", loaded, x.page, x.packed, x.mostUnpacked)
		}
		t.Logf("%s: %d bytes in the binary and over the wire, %d unpacked", x.page, x.packed, loaded)
	}
}

// The page of reports has its own script, at an address of its own and those below it.
func TestReportsPage(t *testing.T) {
	h := web.Handler()
	const navigation = "text/html,*/*;q=0.8"
	page := body(t, get(t, h, "/reports", "Accept", navigation))
	for _, path := range []string{"/reports/", "/reports/quality?range=7d"} {
		if body(t, get(t, h, path, "Accept", navigation)) != page {
			t.Errorf("%s isn't the page of reports", path)
		}
	}
	if r := get(t, h, "/reports", "Accept", "application/json"); r.StatusCode != 404 {
		t.Errorf("a program that asks for /reports gets %d", r.StatusCode)
	}
	if body(t, get(t, h, "/reportsandmore", "Accept", navigation)) == page {
		t.Error("/reportsandmore is the page of reports")
	}
	kinds := map[string]int{}
	for _, path := range named(t, h, "/reports") {
		kinds[filepath.Ext(path)]++
		if r := get(t, h, path); r.StatusCode != 200 || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %v", path, r.StatusCode, r.Header)
		}
	}
	if kinds[".js"] != 1 || kinds[".css"] != 2 || kinds[".svg"] != 1 {
		t.Errorf("the page of reports loads %v", kinds)
	}
	for _, bad := range []string{"<style", "style=", "onclick", "<script>", "http:", "https:"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
}

// The lock file pins what is installed by checksum, wherever it is fetched from.
func TestLockNamesNoRegistry(t *testing.T) {
	b, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), `"resolved"`) {
		t.Error(`package-lock.json has "resolved" addresses: web/.npmrc keeps them out, was it read?`)
	}
	if n, m := strings.Count(string(b), `"node_modules/`), strings.Count(string(b), `"integrity"`); n != m || n == 0 {
		t.Errorf("package-lock.json: %d packages, %d checksums", n, m)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("/", "gzip", `"a"`, "localhost:8433")
	f.Add("/assets/x", "*;q=0.000, gzip ; q = 1", `W/"*", *`, "[::1]:8433")
	f.Add("/a/../b", ";q=", ",", "a;b")
	h := web.Handler()
	f.Fuzz(func(t *testing.T, path, encoding, match, host string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.Host = path, host
		r.Header.Set("Accept-Encoding", encoding)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 304 && w.Code != 404 {
			t.Errorf("status %d", w.Code)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if n := strings.Count(policy, ";"); n != 10 || strings.ContainsAny(policy, "*\r\n") {
			t.Errorf("policy %q", policy)
		}
	})
}
