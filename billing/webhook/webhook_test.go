package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// The example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	key, err := Key(secret)
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
}

func TestTargetsThatAreRefused(t *testing.T) {
	for url, why := range map[string]string{
		"ftp://crm.example.com/":           "expected https",
		"http://crm.example.com/":          "expected https",
		"https:///path":                    "host",
		"https:crm.example.com":            "host",
		"https://u:p@crm.example.com/":     "no user",
		"https://crm.example.com/#top":     "#",
		"https://127.0.0.1/":               "public Internet",
		"https://[::1]/":                   "public Internet",
		"https://[::ffff:10.0.0.1]/":       "public Internet",
		"https://169.254.169.254/latest":   "public Internet",
		"https://0.0.0.0/":                 "public Internet",
		"https://[64:ff9b::a9fe:a9fe]/":    "public Internet",
		"https://[fe80::1%25eth0]/":        "public Internet",
		"https://100.64.0.1:8443/calls":    "public Internet",
		"https://crm.example.com\x00/path": "URL",
	} {
		if err := (Target{URL: url}).Check(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, expected a refusal that says %q", url, err, why)
		}
	}
	for _, good := range []Target{{URL: "https://crm.example.com/calls?x=1"}, {URL: "https://93.184.216.34/"}, {URL: "http://127.0.0.1:8080/", Private: true}} {
		if err := good.Check(); err != nil {
			t.Errorf("%s: %v", good.URL, err)
		}
	}
	for _, s := range []string{"", "short", "whsec_c2hvcnQ=", "whsec_%%%"} {
		if _, err := Key(s); err == nil {
			t.Errorf("secret %q is taken", s)
		}
	}
}

func client(t *testing.T, x Target) *Client {
	t.Helper()
	x.Secret = secret
	c, err := New(x, "Patchbay/test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A name that leads to this host, whatever it said when it was looked at first, is not connected to.
func TestNamesOfPrivateAddresses(t *testing.T) {
	var came atomic.Bool
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came.Store(true) }))
	defer s.Close()
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	err := client(t, Target{URL: "https://localhost" + port}).Post(context.Background(), "x", nil)
	if !errors.Is(err, errPrivate) || came.Load() {
		t.Errorf("%v; came: %v", err, came.Load())
	}
}

func TestPost(t *testing.T) {
	key, err := Key(secret)
	if err != nil {
		t.Fatal(err)
	}
	var elsewhere atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := Verify(key, r.Header, body, time.Now(), time.Minute); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		// What somebody keeps can't be played again later, nor changed.
		if Verify(key, r.Header, body, time.Now().Add(2*time.Minute), time.Minute) == nil || Verify(key, r.Header, append(body, ' '), time.Now(), time.Minute) == nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		switch r.URL.Path {
		case "/busy":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/stall":
			<-r.Context().Done()
		case "/dislike":
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}))
	defer s.Close()
	post := func(path string, timeout time.Duration) error {
		return client(t, Target{URL: s.URL + path, Private: true, Timeout: timeout}).Post(context.Background(), "call:1", []byte(`{"a":1}`))
	}
	if err := post("/", time.Minute); err != nil {
		t.Error(err)
	}
	var r *Refused
	if err := post("/busy", time.Minute); !errors.As(err, &r) || r.Status != 503 || r.After != 7*time.Second || !r.Busy() {
		t.Errorf("busy: %v", err)
	}
	if err := post("/away", time.Minute); !errors.As(err, &r) || r.Status != 307 || !strings.Contains(err.Error(), "aren't followed") || elsewhere.Load() {
		t.Errorf("redirection: %v", err)
	}
	if err := post("/dislike", time.Minute); !errors.As(err, &r) || r.Busy() {
		t.Errorf("dislike: %v", err)
	}
	if err := post("/stall", 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), s.URL) {
		t.Errorf("stall: %v", err)
	}
}

func TestPublic(t *testing.T) {
	for _, s := range []string{"8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"} {
		if !Public(netip.MustParseAddr(s)) {
			t.Errorf("%s isn't public", s)
		}
	}
	for _, s := range []string{"10.1.2.3", "172.16.0.1", "192.168.1.1", "127.8.8.8", "169.254.169.254", "100.100.100.200", "224.0.0.1", "255.255.255.255", "::", "::1", "fd00::1",
		"fe80::1", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1"} {
		if Public(netip.MustParseAddr(s)) {
			t.Errorf("%s is public", s)
		}
	}
}
