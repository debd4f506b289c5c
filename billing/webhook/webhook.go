// Package webhook tells things to other programs over HTTP, signed, and nobody but those who are meant.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Target is who is told. URL and Secret are required.
type Target struct {
	URL     string         // https://…, or with Private also http://…
	Secret  string         // at least MinSecret bytes; one that begins with whsec_ is base64 behind it
	Private bool           // loopback, private and link-local addresses may be told
	Timeout time.Duration  // of one attempt, from the connection to the end of the response. Default 10 s
	Roots   *x509.CertPool // who may vouch for the server; nil: the system's
}

const (
	// MinSecret is the least number of bytes that a secret has.
	MinSecret = 24

	maxBody    = 4 << 10 // of a response that is read, so that the connection can be used again
	maxHeaders = 32 << 10
	secretMark = "whsec_"
)

// Check tells what is wrong with a target, in words for people; it never repeats the secret.
func (t Target) Check() error {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil:
		return errors.New("expected a URL such as https://crm.example.com/calls")
	case u.Scheme != "https" && (u.Scheme != "http" || !t.Private):
		return errors.New("expected https://…, or http://… to an address of ours with private: true")
	case u.Hostname() == "" || u.Opaque != "":
		return errors.New("expected a host in it, such as https://crm.example.com/calls")
	case u.User != nil:
		return errors.New("expected no user and password in it: what is sent is signed")
	case u.Fragment != "":
		return errors.New("expected nothing behind a #")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !t.Private && !Public(a) {
		return fmt.Errorf("%s isn't an address of the public Internet: set private: true if it is meant", a)
	}
	return nil
}

// Key is the secret's bytes.
func Key(secret string) ([]byte, error) {
	key := []byte(secret)
	if rest, ok := strings.CutPrefix(secret, secretMark); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(rest); err != nil {
			return nil, errors.New("expected base64 behind whsec_")
		}
	}
	if len(key) < MinSecret {
		return nil, fmt.Errorf("has %d bytes, expected at least %d: openssl rand -base64 32 makes one", len(key), MinSecret)
	}
	return key, nil
}

// Sign is the value of webhook-signature for a message: a keyed hash (HMAC-SHA256, RFC 2104) of its id, the time of the
// attempt in seconds since 1970, and its body, as the Standard Webhooks specification has it.
func Sign(key []byte, id string, at time.Time, body []byte) string {
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s.%d.", id, at.Unix())
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Verify is what a receiver does: the signature must be that of the message, and its time no farther than tolerance from now, which
// bounds for how long a message that somebody has copied can be played again.
func Verify(key []byte, h http.Header, body []byte, now time.Time, tolerance time.Duration) error {
	sec, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil {
		return fmt.Errorf("webhook-timestamp %q, expected seconds since 1970", h.Get("webhook-timestamp"))
	}
	at := time.Unix(sec, 0)
	if d := now.Sub(at); d > tolerance || d < -tolerance {
		return fmt.Errorf("webhook-timestamp is %v away", d)
	}
	want := Sign(key, h.Get("webhook-id"), at, body)
	for got := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(got), []byte(want)) {
			return nil
		}
	}
	return errors.New("webhook-signature isn't that of the message")
}

// Client tells a target. Its methods are safe for use by many goroutines.
type Client struct {
	url       string
	key       []byte
	timeout   time.Duration
	agent     string
	transport *http.Transport
	http      *http.Client
	now       func() time.Time
}

// New makes a client; agent is its User-Agent.
func New(t Target, agent string) (*Client, error) {
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	key, err := Key(t.Secret)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if t.Timeout == 0 {
		t.Timeout = 10 * time.Second
	}
	d := &net.Dialer{Timeout: t.Timeout}
	if !t.Private {
		d.Control = onlyPublic // of the address that is connected to: a name that changes its mind changes nothing
	}
	tr := &http.Transport{DialContext: d.DialContext, TLSClientConfig: &tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: t.Timeout, MaxResponseHeaderBytes: maxHeaders, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	return &Client{url: t.URL, key: key, timeout: t.Timeout, agent: agent, transport: tr, now: time.Now,
		http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Refused is a response that doesn't say 2xx.
type Refused struct {
	Status int
	After  time.Duration // Retry-After (RFC 9110 10.2.3), if it says so in seconds
	To     string        // where a redirection leads, which nobody follows
}

func (r *Refused) Error() string {
	s := fmt.Sprintf("HTTP status %d %s, expected 2xx", r.Status, http.StatusText(r.Status))
	if r.To != "" {
		s += fmt.Sprintf(": redirections aren't followed (to %q)", r.To)
	}
	return s
}

// Busy tells a target that is in trouble from one that dislikes the message.
func (r *Refused) Busy() bool {
	return r.Status < 400 || r.Status >= 500 || r.Status == http.StatusTooManyRequests || r.Status == http.StatusRequestTimeout
}

// Post tells a message once; nil means that the target has said 2xx.
func (c *Client) Post(ctx context.Context, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	at := c.now()
	req.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {c.agent}, "Webhook-Id": {id},
		"Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {Sign(c.key, id, at, body)}}
	res, err := c.http.Do(req)
	if err != nil {
		var u *url.Error // it repeats the URL, which may have a token in it
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxBody)
	_ = res.Body.Close()
	if res.StatusCode/100 == 2 {
		return nil
	}
	r := &Refused{Status: res.StatusCode, To: res.Header.Get("Location")}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		r.After = time.Duration(min(n, 86400)) * time.Second
	}
	return r
}

// Close ends idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// errPrivate is what a name with a forbidden address gets.
var errPrivate = errors.New("the address isn't one of the public Internet: private: true allows it")

func onlyPublic(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if !Public(a.Addr()) {
		return fmt.Errorf("%s: %w", a.Addr(), errPrivate)
	}
	return nil
}
