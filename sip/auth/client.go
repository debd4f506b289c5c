package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/patchbay/patchbay/sip/wire"
)

// Errors of a client.
var (
	ErrNoCredentials = errors.New("auth: no credentials for the realm")
	ErrNoChallenge   = errors.New("auth: no challenge that we can answer")
	ErrRefused       = errors.New("auth: the credentials were refused")
	ErrImpostor      = errors.New("auth: the peer doesn't know our password")
)

// maxRealms bounds the challenges a client remembers.
const maxRealms = 16

// Client answers challenges. It remembers the last challenge of each realm, so that later requests carry
// credentials at once, with a rising nonce count. It may be shared.
type Client struct {
	creds Credentials

	mu     sync.Mutex
	realms map[string]*session // by header field and realm
}

// NewClient makes a client for these credentials.
func NewClient(c Credentials) *Client { return &Client{creds: c, realms: map[string]*session{}} }

// Attempt follows one request through its challenges and keeps it from going round in circles. The zero value is
// a request not yet sent.
type Attempt struct {
	answered map[string]bool // realms whose challenge this request has answered
	stale    int
}

// Headers returns the credentials to send with a request, one per realm known so far: none at first. A peer may ask that they cover
// the body too (qop auth-int).
func (c *Client) Headers(method, uri string, body []byte) []wire.Header {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []wire.Header
	for _, s := range c.realms {
		out = append(out, s.header(c.creds, method, uri, body))
	}
	return out
}

// Challenge takes the header fields of a 401 or 407. A nil error means that the request may be sent again, with what
// Headers then gives. Of several challenges for a realm the strongest that is supported is answered (RFC 8760 2.4).
func (c *Client) Challenge(a *Attempt, h wire.Headers) error {
	if c == nil || c.creds.IsZero() {
		return ErrNoCredentials
	}
	best, err := c.creds.strongest(h)
	if err != nil {
		return err
	}
	if a.answered == nil {
		a.answered = map[string]bool{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	usable := 0
	for key, ch := range best {
		if c.creds.Realm != "" && c.creds.Realm != ch.realm {
			continue
		}
		if a.answered[key] {
			if !ch.stale || a.stale >= 2 {
				delete(c.realms, key)
				return fmt.Errorf("realm %q, user %q: %w", ch.realm, c.creds.Username, ErrRefused)
			}
			a.stale++
		}
		if c.realms[key] == nil && len(c.realms) >= maxRealms {
			clear(c.realms)
		}
		a.answered[key] = true
		s := ch.session
		c.realms[key] = &s
		usable++
	}
	if usable == 0 {
		return fmt.Errorf("realm of the challenge is not %q: %w", c.creds.Realm, ErrNoCredentials)
	}
	return nil
}

// Learn takes the header fields and the body of a success; sent are the credentials that its request had. rspauth, if there is one, must
// show that the peer knows the password too, or else the error is ErrImpostor and the nonce is forgotten; nextnonce is used from
// now on (RFC 7616 3.5).
func (c *Client) Learn(sent []wire.Header, h wire.Headers, body []byte) error {
	if c == nil {
		return nil
	}
	var err error
	for _, proxy := range []bool{false, true} {
		for _, v := range h.Lines(infoField(proxy)) {
			f, perr := parse("Digest " + v)
			if perr != nil || f["nextnonce"] == "" && f["rspauth"] == "" {
				continue
			}
			if !c.learn(mine(sent, proxy), f, body, proxy) {
				err = fmt.Errorf("rspauth of user %q: %w", c.creds.Username, ErrImpostor)
			}
		}
	}
	return err
}

func infoField(proxy bool) string {
	if proxy {
		return "Proxy-Authentication-Info"
	}
	return "Authentication-Info"
}

// mine are the credentials of one kind that were sent, taken apart.
func mine(sent []wire.Header, proxy bool) []fields {
	var out []fields
	for _, h := range sent {
		if h.Name != credentialsField(proxy) {
			continue
		}
		if f, err := parse(h.Value); err == nil {
			out = append(out, f)
		}
	}
	return out
}

// learn takes one Authentication-Info. It names no realm: that of the credentials which rspauth fits, or of the only ones.
func (c *Client) learn(sent []fields, info fields, body []byte, proxy bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var fits []fields
	for _, f := range sent {
		if info["rspauth"] == "" || c.answers(f, info["rspauth"], body, c.realms[challengeField(proxy)+" "+f["realm"]]) {
			fits = append(fits, f)
		}
	}
	if len(fits) == 0 {
		for _, f := range sent {
			delete(c.realms, challengeField(proxy)+" "+f["realm"])
		}
		return len(sent) == 0
	}
	if next := info["nextnonce"]; next != "" && len(fits) == 1 && wire.Safe("nextnonce", next) == nil {
		if s := c.realms[challengeField(proxy)+" "+fits[0]["realm"]]; s != nil && s.nonce == fits[0]["nonce"] {
			s.nonce, s.count = next, 0
		}
	}
	return true
}

// answers tells whether rspauth is the answer to credentials of ours: the digest of the same, for no method, and of the answer's body
// if bodies are covered. s is the session of the credentials, nil if it is over; c.mu is held.
func (c *Client) answers(sent fields, rspauth string, body []byte, s *session) bool {
	a, sess := parseVariant(sent["algorithm"])
	ha1 := c.creds.ha1(a, sent["realm"])
	switch {
	case sess && s != nil && s.cnonce == sent["cnonce"]:
		ha1 = s.key
	case sess: // challenged anew meanwhile
		ha1 = a.sessionKey(ha1, sent["nonce"], sent["cnonce"])
	}
	want := a.response(ha1, sent["nonce"], sent["nc"], sent["cnonce"], sent["qop"], a.ha2(sent["qop"], "", sent["uri"], body))
	return subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(rspauth))) == 1
}

func challengeField(proxy bool) string {
	if proxy {
		return "Proxy-Authenticate"
	}
	return "WWW-Authenticate"
}

func credentialsField(proxy bool) string {
	if proxy {
		return "Proxy-Authorization"
	}
	return "Authorization"
}

// strongest is, by header field and realm, the best challenge that the credentials can answer.
func (c Credentials) strongest(h wire.Headers) (map[string]challenge, error) {
	best := map[string]challenge{}
	err := ErrNoChallenge
	for _, proxy := range []bool{false, true} {
		name := challengeField(proxy)
		lines := h.Lines(name)
		if len(lines) > maxRealms {
			lines = lines[:maxRealms]
		}
		for _, line := range lines {
			ch, cerr := parseChallenge(line)
			if cerr != nil {
				err = fmt.Errorf("%w: %w", ErrNoChallenge, cerr)
				continue
			}
			if !c.Can(ch.algorithm) {
				err = fmt.Errorf("%w: realm %q asks by %s, of which user %q has no HA1", ErrNoChallenge, ch.realm, ch.algorithm, c.Username)
				continue
			}
			ch.proxy = proxy
			key := name + " " + ch.realm
			if old, ok := best[key]; !ok || ch.algorithm.strength() > old.algorithm.strength() {
				best[key] = ch
			}
		}
	}
	if len(best) == 0 {
		return nil, err
	}
	return best, nil
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
