package auth

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// Lookup returns the credentials of a user of a realm; ok is false for unknown users. It may be called from several
// goroutines and must not block for long.
type Lookup func(username, realm string) (c Credentials, ok bool)

// ServerConfig are a server's settings.
type ServerConfig struct {
	Realm  string
	Lookup Lookup
	// Algorithms are offered in this order, best first (RFC 8760 2.3); default MD5 alone. A user with HA1 instead of a
	// password needs one of each, or can't answer the others.
	Algorithms []Algorithm
	// Simple are beginnings of the User-Agent of clients that give up at a challenge whose algorithm they don't know, though
	// another follows: they are asked by the simplest of Algorithms alone. "none" are those that don't say what they are.
	Simple []string
	// NonceLife is how long a nonce is good for; default 60 s, range 1 s to 1 h. After it, stale=true.
	NonceLife time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Server challenges and verifies. It may be shared.
type Server struct {
	cfg   ServerConfig
	key   [32]byte
	dummy string // stands in for the password of unknown users

	mu   sync.Mutex
	used map[string]*window // nonces that were used, by nonce
	last time.Time          // when used was last swept
}

// window remembers which nonce counts were used: all below base, and those marked in bits (RFC 7616 3.4).
type window struct {
	base    uint32
	bits    uint64
	expires time.Time
}

// maxUsed bounds the nonces in use: beyond it requests are answered as stale, which only costs a round.
const maxUsed = 65536

// Result is the outcome of a verification.
type Result int

// Outcomes. Anything but OK is answered with a challenge, which looks the same for known and unknown users.
const (
	Missing Result = iota // no credentials for our realm
	OK
	Stale // right form, old or foreign nonce: challenge with stale=true, whatever the password
	Wrong // unknown user or wrong password, with a nonce that we gave this very source: nobody forged the address
	Replay
)

// String names the outcome.
func (r Result) String() string {
	return [...]string{"missing", "ok", "stale", "wrong", "replay"}[r]
}

// NewServer makes a server with a key of its own: nonces don't survive a restart.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Realm == "" || strings.ContainsAny(cfg.Realm, "\"\\") || wire.Safe("realm", cfg.Realm) != nil {
		return nil, fmt.Errorf("auth: Realm %q: expected a name without quotes and control characters", cfg.Realm)
	}
	if cfg.Lookup == nil {
		return nil, fmt.Errorf("auth: Lookup is nil: expected a function")
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []Algorithm{MD5}
	}
	for i, a := range cfg.Algorithms {
		if a.strength() == 0 || slices.Contains(cfg.Algorithms[:i], a) {
			return nil, fmt.Errorf("auth: Algorithms holds %q: expected MD5, SHA-256 or SHA-512-256, each once", a)
		}
	}
	if cfg.NonceLife == 0 {
		cfg.NonceLife = time.Minute
	}
	if cfg.NonceLife < time.Second || cfg.NonceLife > time.Hour {
		return nil, fmt.Errorf("auth: NonceLife %v: expected 1s to 1h", cfg.NonceLife)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, used: map[string]*window{}, dummy: random(16)}
	rand.Read(s.key[:])
	return s, nil
}

// Realm is the configured realm.
func (s *Server) Realm() string { return s.cfg.Realm }

// Challenge returns the header fields of a 401, or of a 407 if proxy is set: one for each algorithm. source is the peer's
// address: a nonce is good for it alone.
func (s *Server) Challenge(source netip.Addr, proxy, stale bool) []wire.Header {
	return s.challenge(s.cfg.Algorithms, source, proxy, stale)
}

// ChallengeSimply is Challenge by the simplest of Algorithms alone, for clients that make nothing of several.
func (s *Server) ChallengeSimply(source netip.Addr, proxy, stale bool) []wire.Header {
	simplest := slices.MinFunc(s.cfg.Algorithms, func(a, b Algorithm) int { return a.strength() - b.strength() })
	return s.challenge([]Algorithm{simplest}, source, proxy, stale)
}

// Simple tells whether a client of that User-Agent is one of those.
func (s *Server) Simple(agent string) bool {
	return slices.ContainsFunc(s.cfg.Simple, func(p string) bool { return strings.HasPrefix(cmp.Or(agent, "none"), p) })
}

// Several tells whether Challenge asks by more than one algorithm.
func (s *Server) Several() bool { return len(s.cfg.Algorithms) > 1 }

func (s *Server) challenge(algorithms []Algorithm, source netip.Addr, proxy, stale bool) []wire.Header {
	nonce := s.nonce(source, s.cfg.Now())
	out := make([]wire.Header, 0, len(algorithms))
	for _, a := range algorithms {
		v := fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=%s, qop="auth"`, s.cfg.Realm, nonce, a)
		if stale {
			v += ", stale=true"
		}
		out = append(out, wire.Header{Name: challengeField(proxy), Value: v})
	}
	return out
}

// Verify checks the credentials of a request. user is only set if the result is OK.
func (s *Server) Verify(source netip.Addr, proxy bool, method, requestURI string, h wire.Headers) (user string, r Result) {
	if f := s.find(proxy, h); f != nil {
		return s.verify(source, method, requestURI, f)
	}
	return "", Missing
}

// Glance tells, before a password is looked up, whether a request's credentials are worth it: OK if their nonce is one that
// we gave this source lately, else Missing or Stale as Verify would say.
func (s *Server) Glance(source netip.Addr, proxy bool, h wire.Headers) Result {
	f := s.find(proxy, h)
	if f == nil {
		return Missing
	}
	result, _, _ := s.glance(source, f)
	return result
}

// glance also gives the nonce's count and end.
func (s *Server) glance(source netip.Addr, f fields) (r Result, count uint32, expires time.Time) {
	count, ok := parseNC(f["nc"])
	if !ok || !s.offers(parseAlgorithm(f["algorithm"])) || !strings.EqualFold(f["qop"], "auth") || f["cnonce"] == "" || f["username"] == "" {
		return Missing, 0, time.Time{}
	}
	fresh, expires := s.fresh(source, f["nonce"])
	if !fresh {
		return Stale, 0, time.Time{}
	}
	return OK, count, expires
}

// Claimed is the user that a request's credentials for our realm name, right or wrong; "" without any.
func (s *Server) Claimed(proxy bool, h wire.Headers) string { return s.find(proxy, h)["username"] }

// find is the credentials for our realm; nil without.
func (s *Server) find(proxy bool, h wire.Headers) fields {
	for _, line := range h.Lines(credentialsField(proxy)) {
		if f, err := parse(line); err == nil && f["realm"] == s.cfg.Realm {
			return f
		}
	}
	return nil
}

func (s *Server) verify(source netip.Addr, method, requestURI string, f fields) (string, Result) {
	alg := parseAlgorithm(f["algorithm"])
	// Before the password: a request from a forged address can't hold a nonce of that address, so that nobody can make
	// another look like a guesser. Nor does the answer then depend on the password.
	r, count, expires := s.glance(source, f)
	if r != OK {
		return "", r
	}
	creds, known := s.cfg.Lookup(f["username"], s.cfg.Realm)
	if known = known && creds.Can(alg); !known {
		creds = Credentials{Password: s.dummy} // it takes as long
	}
	creds.Username = f["username"]
	want := Response(alg, creds.ha1(alg, s.cfg.Realm), f["nonce"], f["nc"], f["cnonce"], "auth", method, f["uri"])
	same := subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(f["response"]))) == 1
	if !same || !known || !sameURI(f["uri"], requestURI) {
		return "", Wrong
	}
	return s.count(f["username"], f["nonce"], count, expires)
}

func (s *Server) offers(a Algorithm) bool { return slices.Contains(s.cfg.Algorithms, a) }

// sameURI compares the digest's URI with the request-URI: what it calls must be the same user, or be left open. RFC
// 3261 22.4 item 5 asks for equality; proxies before us change hosts, ports and parameters, and clients are known that
// write the address they send to instead. A nonce's count is taken once, so nothing is gained by a looser URI.
func sameURI(a, b string) bool {
	if a == b {
		return true
	}
	ua, err := wire.ParseURI(a)
	if err != nil {
		return false
	}
	ub, err := wire.ParseURI(b)
	return err == nil && (ua.User == "" && ua.Opaque == "" || ua.User == ub.User && ua.Opaque == ub.Opaque)
}

// nonce is base64(time ‖ random ‖ HMAC(key, time ‖ random ‖ source)): nothing is held for who never comes back.
func (s *Server) nonce(source netip.Addr, at time.Time) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli()))
	rand.Read(b[8:])
	return base64.RawURLEncoding.EncodeToString(append(b[:], s.mac(b[:], source)...))
}

func (s *Server) mac(head []byte, source netip.Addr) []byte {
	m := hmac.New(sha256.New, s.key[:])
	m.Write(head)
	m.Write([]byte(source.Unmap().WithZone("").String()))
	return m.Sum(nil)[:16]
}

func (s *Server) fresh(source netip.Addr, nonce string) (bool, time.Time) {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 28 || !hmac.Equal(b[12:], s.mac(b[:12], source)) {
		return false, time.Time{}
	}
	expires := time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8]))).Add(s.cfg.NonceLife)
	return s.cfg.Now().Before(expires), expires
}

// count takes each nonce count once. Counts may overtake each other by up to 64.
func (s *Server) count(user, nonce string, n uint32, expires time.Time) (string, Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if now.Sub(s.last) > s.cfg.NonceLife/4 {
		for k, w := range s.used {
			if now.After(w.expires) {
				delete(s.used, k)
			}
		}
		s.last = now
	}
	w := s.used[nonce]
	if w == nil {
		if len(s.used) >= maxUsed {
			return "", Stale
		}
		w = &window{expires: expires}
		s.used[nonce] = w
	}
	if !w.take(n) {
		return "", Replay
	}
	return user, OK
}

func (w *window) take(n uint32) bool {
	if n >= w.base+64 {
		shift := n - w.base - 63
		if shift >= 64 {
			w.bits = 0
		} else {
			w.bits >>= shift
		}
		w.base += shift
	}
	if n < w.base || w.bits&(1<<(n-w.base)) != 0 {
		return false
	}
	w.bits |= 1 << (n - w.base)
	return true
}

// Suspicious tells whether someone may be guessing or replaying, at the source that the request seems to come from.
func (r Result) Suspicious() bool { return r == Wrong || r == Replay }

// Stale tells whether the challenge should say stale=true: the nonce was at fault.
func (r Result) Stale() bool { return r == Stale || r == Replay }
