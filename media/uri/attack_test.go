package uri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

func TestAttack(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"dot_dot": dotDot, "encoded_dots": encodedDots, "symlink": symlink, "file_scheme": fileScheme, "dev_zero": devZero, "pipe": pipe,
		"metadata_address": metadataAddress, "zero_address": zeroAddress, "ipv6_unspecified": ipv6Unspecified, "private_addresses": privateAddresses,
		"odd_spellings": oddSpellings, "dns_rebinding": dnsRebinding, "redirect_to_loopback": redirectToLoopback, "redirect_to_file": redirectToFile,
		"endless_redirects": endlessRedirects, "endless_body": endlessBody, "full_spool": fullSpool, "password_in_errors": passwordInErrors,
		"others_objects": othersObjects,
	} {
		t.Run("attack_"+name, run)
	}
}

// secret is what no attack may read.
const secret = "top secret"

// place is an opener over a folder that has a secret beside it.
func place(t *testing.T, cfg Config) (o *Opener, root string) {
	t.Helper()
	dir := t.TempDir()
	root = filepath.Join(dir, "media")
	for name, text := range map[string]string{"media/a.wav": "music", "secret": secret, "media2/secret": secret} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Root, cfg.Spool = root, filepath.Join(dir, "spool")
	o = New(cfg)
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o, root
}

// read is all that a URI gives.
func read(t *testing.T, o *Opener, raw string) (string, error) {
	t.Helper()
	p, err := o.Parse(raw, "")
	if err != nil {
		return "", err
	}
	f, err := o.Open(t.Context(), p)
	if err != nil {
		return "", err
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	return string(b), err
}

// refused asserts that a URI is refused with an error of this kind, for reading and for writing.
func refused(t *testing.T, o *Opener, want error, uris ...string) {
	t.Helper()
	for _, raw := range uris {
		if b, err := read(t, o, raw); !errors.Is(err, want) {
			t.Errorf("%s: reads %q, error %v, want %v", raw, b, err, want)
		}
		if p, err := o.Parse(raw, ""); err == nil && p.scheme == "file" && want != ErrNoFile {
			if f, err := o.create(p); err == nil {
				t.Errorf("%s is created", raw)
				_ = f.Close()
			}
		}
	}
}

func dotDot(t *testing.T) {
	o, root := place(t, Config{})
	refused(t, o, ErrURI, "../secret", "file:///../secret", "file:///x/../../secret", "a/..", "file://"+root+"/../secret", "file://"+root+"2/../secret", `file:///..\secret`)
	refused(t, o, ErrNoFile, "file://"+root+"2/secret", filepath.Join(filepath.Dir(root), "secret"))
	if b, err := os.ReadFile(filepath.Join(filepath.Dir(root), "secret")); string(b) != secret || err != nil {
		t.Errorf("the secret is %q, %v", b, err)
	}
}

func encodedDots(t *testing.T) {
	o, _ := place(t, Config{})
	refused(t, o, ErrURI, "%2e%2e/secret", "file:///%2e%2e/secret", "file:///%2E%2E%2Fsecret", "x/%2e./secret", "..%2fsecret", "file:///a%00.wav", "file:///%2e%2e%5csecret")
	if _, err := read(t, o, "%252e%252e/secret"); !errors.Is(err, ErrNoFile) { // decoded once: a name of a folder like another
		t.Errorf("twice encoded dots: %v", err)
	}
}

func symlink(t *testing.T) {
	o, root := place(t, Config{})
	links := map[string]string{"out": "../secret", "far": "/etc", "up": "..", "in": "a.wav"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range []string{"out", "far/passwd", "up/secret", "up/media2/secret"} {
		if b, err := read(t, o, raw); err == nil {
			t.Errorf("%s: reads %q", raw, b)
		}
		p, err := o.Parse(raw, "")
		if err != nil {
			t.Fatal(err)
		}
		if f, err := o.create(p); err == nil {
			t.Errorf("%s is created", raw)
			_ = f.Close()
		}
	}
	if b, err := read(t, o, "in"); b != "music" || err != nil {
		t.Errorf("a link that stays inside: %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "..", "secret")); string(b) != secret || err != nil {
		t.Errorf("the secret is %q, %v", b, err)
	}
}

func fileScheme(t *testing.T) {
	o, _ := place(t, Config{})
	refused(t, o, ErrNoFile, "file:///etc/passwd", "FILE:///etc/passwd", "/etc/passwd", "file://localhost/etc/passwd", "//localhost/etc/passwd")
	refused(t, o, ErrURI, "file:etc/passwd", "file:../secret", "file://evil.example/etc/passwd", "file:///a.wav?x", "file:///", "file:///a.wav/", "",
		"gopher://x/", "ftp://x/a", "data:,x", "unix:///run/docker.sock", "javascript:1", "http:a", "http://", "http:///a", strings.Repeat("a", maxURI+1))
	none := New(Config{})
	if _, err := none.Parse("a.wav", ""); !errors.Is(err, ErrURI) {
		t.Errorf("without a folder: %v", err)
	}
	web := New(Config{Root: t.TempDir(), Schemes: []string{"https"}})
	for _, raw := range []string{"a.wav", "http://x/a"} {
		if _, err := web.Parse(raw, ""); !errors.Is(err, ErrURI) {
			t.Errorf("%s although https alone is allowed: %v", raw, err)
		}
	}
}

func devZero(t *testing.T) {
	o := New(Config{Root: "/dev"})
	defer func() { _ = o.Close() }()
	refused(t, o, ErrKind, "zero", "file:///dev/zero", "null", "pts")
}

func pipe(t *testing.T) {
	o, root := place(t, Config{})
	if err := syscall.Mkfifo(filepath.Join(root, "p"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, o, ErrKind, "p") // and doesn't wait for whoever might write to it
}

func metadataAddress(t *testing.T) {
	o, _ := place(t, Config{})
	refused(t, o, ErrRefused, "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/", "http://168.63.129.16/",
		"http://100.100.100.200/", "http://[64:ff9b::a9fe:a9fe]/")
}

func zeroAddress(t *testing.T) {
	o, _ := place(t, Config{})
	refused(t, o, ErrRefused, "http://0.0.0.0/", "http://0.0.0.1:8888/", "https://0.0.0.0:8433/")
}

func ipv6Unspecified(t *testing.T) {
	o, _ := place(t, Config{})
	refused(t, o, ErrRefused, "http://[::]/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::127.0.0.1]/", "http://[fe80::1]/", "http://[2002:7f00:1::]/")
}

func privateAddresses(t *testing.T) {
	o, _ := place(t, Config{Private: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}})
	for _, a := range []string{"127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1",
		"255.255.255.255", "240.0.0.1", "fc00::1", "fe80::1%lo", "ff02::1", "fec0::1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::"} {
		if err := o.Allows(netip.MustParseAddr(a)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"8.8.8.8", "2606:4700::1111", "10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::808:808"} {
		if err := o.Allows(netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// oddSpellings are addresses that some resolvers read.
func oddSpellings(t *testing.T) {
	heard := atomic.Int32{}
	s := serve(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) { heard.Add(1) })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	o, _ := place(t, Config{Stall: 2 * time.Second})
	for _, host := range []string{"2130706433", "0x7f000001", "127.1", "017700000001", "localhost", "LOCALHOST.", "[::ffff:7f00:1]"} {
		if b, err := read(t, o, "http://"+host+":"+port+"/"); err == nil || heard.Load() != 0 {
			t.Errorf("%s: reads %q, server heard %d requests", host, b, heard.Load())
		}
	}
	refused(t, o, ErrURI, "http://[fe80::1%25lo]/")
}

// serve starts an HTTP server at an address.
func serve(t *testing.T, address string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// names is a resolver that answers by do.
func names(t *testing.T, do func(name string) netip.Addr) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &mdns.Server{PacketConn: socket, Handler: mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		r := new(mdns.Msg)
		r.SetReply(q)
		if q.Question[0].Qtype == mdns.TypeA {
			a := do(strings.TrimSuffix(q.Question[0].Name, "."))
			r.Answer = []mdns.RR{&mdns.A{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET}, A: a.AsSlice()}}
		}
		_ = w.WriteMsg(r)
	})}
	done := make(chan struct{})
	up := make(chan struct{})
	server.NotifyStartedFunc = func() { close(up) }
	go func() {
		defer close(done)
		_ = server.ActivateAndServe()
	}()
	<-up
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

// dnsRebinding is a name that leads to an allowed server when it is looked up first, and to this machine afterwards. Here
// 127.0.0.2 stands for a server that may be reached.
func dnsRebinding(t *testing.T) {
	var inside, lookups atomic.Int32
	in := serve(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
		inside.Add(1)
		_, _ = io.WriteString(w, secret)
	})
	_, port, _ := net.SplitHostPort(in.Listener.Addr().String())
	serve(t, "127.0.0.2:"+port, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Connection", "close")
		http.Redirect(w, q, "/again", http.StatusFound)
	})
	r := names(t, func(string) netip.Addr {
		if lookups.Add(1) == 1 {
			return netip.MustParseAddr("127.0.0.2")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	o, _ := place(t, Config{Resolver: r, Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	refused(t, o, ErrRefused, "http://rebind.test:"+port+"/a.wav")
	if lookups.Load() < 2 || inside.Load() != 0 {
		t.Errorf("%d lookups, the inner server heard %d requests; want 2 and 0", lookups.Load(), inside.Load())
	}
}

// outside is a server that may be reached; inside one that may not.
func outside(t *testing.T, h http.HandlerFunc) (o *Opener, url string, inside *httptest.Server, heard *atomic.Int32) {
	heard = new(atomic.Int32)
	inside = serve(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
		heard.Add(1)
		_, _ = io.WriteString(w, secret)
	})
	s := serve(t, "127.0.0.2:0", h)
	o, _ = place(t, Config{MaxSize: 1 << 20, Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	return o, s.URL, inside, heard
}

func redirectToLoopback(t *testing.T) {
	var to string
	o, url, inside, heard := outside(t, func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, to, http.StatusFound) })
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	for _, to = range []string{inside.URL, "http://localhost:" + port, "http://0.0.0.0:" + port, "//[::ffff:127.0.0.1]:" + port} {
		if b, err := read(t, o, url+"/a.wav"); err == nil || heard.Load() != 0 {
			t.Errorf("to %s: reads %q, the inner server heard %d requests", to, b, heard.Load())
		}
	}
}

func redirectToFile(t *testing.T) {
	var to string
	o, url, _, _ := outside(t, func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, to, http.StatusFound) })
	for _, to = range []string{"file:///etc/passwd", "ftp://127.0.0.2/x", "gopher://127.0.0.1:25/x"} {
		refused(t, o, ErrHop, url+"/a.wav")
	}
}

func endlessRedirects(t *testing.T) {
	var n atomic.Int32
	o, url, _, _ := outside(t, func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, fmt.Sprint("/", n.Add(1)), http.StatusMovedPermanently)
	})
	refused(t, o, ErrHop, url+"/a.wav")
	if n.Load() > maxHops+1 {
		t.Errorf("%d redirects were followed", n.Load())
	}
}

func endlessBody(t *testing.T) {
	o, url, _, _ := outside(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/said" {
			w.Header().Set("Content-Length", "99999999999")
		}
		for b := make([]byte, 64<<10); ; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	})
	refused(t, o, ErrSize, url+"/endless", url+"/said")
	if n := o.used.Load(); n != 0 {
		t.Errorf("%d bytes are left in the spool", n)
	}
}

func fullSpool(t *testing.T) {
	o, url, _, _ := outside(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 512<<10)) })
	var open []*File
	var last error
	for range 20 {
		p, err := o.Parse(url+"/a", "")
		if err != nil {
			t.Fatal(err)
		}
		f, err := o.Open(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
		if _, last = f.ReadAt(make([]byte, 1), 512<<10-1); last != nil {
			break
		}
	}
	if !errors.Is(last, ErrSize) || o.used.Load() > 8<<20 {
		t.Errorf("%d files are in the spool, %d bytes, then %v", len(open), o.used.Load(), last)
	}
	for _, f := range open {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := o.used.Load(); n != 0 {
		t.Errorf("%d bytes are left in the spool", n)
	}
}

func passwordInErrors(t *testing.T) {
	o, url, _, _ := outside(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	host := strings.TrimPrefix(url, "http://")
	for _, raw := range []string{"http://u:hunter2@" + host + "/", "http://u:hunter2@127.0.0.1:1/", "http://u:hunter2@127.0.0.2:1/", "ftp://u:hunter2@x/", "http://u:hunter2@[::1]x/",
		"http://u:hunter2@127.0.0.2:99999/", "http://u:hunter2@x y/", "file://u:hunter2@localhost/x"} {
		if _, err := read(t, o, raw); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

// Whose files are in a folder of theirs has objects in one too, and gets out of it as little.
func othersObjects(t *testing.T) {
	var heard atomic.Value
	s := serve(t, "127.0.0.1:0", func(_ http.ResponseWriter, q *http.Request) { heard.Store(q.URL.Path) })
	o, _ := place(t, Config{Schemes: []string{"s3"}, S3: S3{Endpoint: s.URL, Key: "k", Secret: "s"}})
	for _, raw := range []string{"s3://bucket/../other/a.wav", "s3://bucket/a/%2e%2e/%2e%2e/b/a.wav", "s3://../bucket/a.wav", "s3://bucket//a.wav", "s3://bucket/./a.wav",
		"s3://bucket/a/", "s3://bucket", "s3://bucket:80/a.wav", "s3://user@bucket/a.wav", "s3://bucket/a.wav?acl", "s3://bucket/a%00.wav"} {
		if p, err := o.Parse(raw, "mine"); !errors.Is(err, ErrURI) {
			t.Errorf("%s is %s, %v", raw, p, err)
		}
	}
	for folder, want := range map[string]string{"mine": "/bucket/mine/x/a b.wav", "": "/bucket/x/a b.wav"} {
		p, err := o.Parse("s3://bucket/x/a%20b.wav", folder)
		if err != nil {
			t.Fatal(err)
		}
		f, err := o.Create(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Finish(t.Context()); err != nil {
			t.Error(err)
		}
		if got := heard.Load(); got != want {
			t.Errorf("the object of %q is put at %v, want %s", folder, got, want)
		}
	}
}
