package main

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
)

// me is what a user's page asks beside SIP: POST login gives a token for POST logout and GET calls.
type me struct {
	cfg     Config
	log     *slog.Logger
	past    *past
	tokens  *tokens
	guesses *guesses
	users   map[string]account // by login
	nobody  account            // whom unknown logins are tested against

	logins struct{ good, wrong, limited atomic.Uint64 }
}

type account struct {
	id, login string
	algorithm auth.Algorithm
	ha1       string // RFC 7616 3.4.2; digest authentication of SIP proves no more
}

// Bounds of a login's body, in bytes.
const (
	maxLogin    = 4096
	maxUser     = 256
	maxPassword = 1024
)

func newMe(cfg Config, p *past, log *slog.Logger) (*me, error) {
	m := &me{cfg: cfg, log: log, past: p, tokens: newTokens(), guesses: newGuesses(), users: map[string]account{}}
	m.nobody = account{algorithm: auth.SHA256, ha1: m.hash(auth.SHA256, "", rand.Text())}
	for _, u := range cfg.Users {
		a := account{id: u.ID, login: u.Login, algorithm: auth.SHA256, ha1: m.hash(auth.SHA256, u.Login, string(u.Password))}
		for _, alg := range auth.Algorithms() {
			if v := string(u.HA1.of(alg)); v != "" {
				a.algorithm, a.ha1 = alg, strings.ToLower(v)
				break
			}
		}
		m.users[u.Login] = a
	}
	return m, nil
}

func (m *me) hash(a auth.Algorithm, login, password string) string {
	return auth.HA1(a, login, m.cfg.SIP.Realm, password)
}

// mount adds the handlers to a mux and returns their patterns, for the guard.
func (m *me) mount(mux *http.ServeMux) []string {
	const at = "/api/v1/me/"
	table := []struct {
		pattern string
		handler http.HandlerFunc
	}{{"POST " + at + "login", m.login}, {"POST " + at + "logout", m.logout}, {"GET " + at + "calls", m.calls}, {at, m.other}}
	patterns := make([]string, len(table))
	for i, x := range table {
		mux.HandleFunc(x.pattern, x.handler)
		patterns[i] = x.pattern
	}
	return patterns
}

// other answers what is asked of a path, or with a method, that isn't there.
func (m *me) other(w http.ResponseWriter, r *http.Request) {
	for path, method := range map[string]string{"login": "POST", "logout": "POST", "calls": "GET"} {
		if strings.HasSuffix(r.URL.Path, "/me/"+path) {
			w.Header().Set("Allow", method)
			problem(w, http.StatusMethodNotAllowed, "expected "+method)
			return
		}
	}
	problem(w, http.StatusNotFound, "there is nothing at this address")
}

// sipAccount is what a page needs to register.
type sipAccount struct {
	URI    string `json:"uri"`
	Realm  string `json:"realm"`
	Domain string `json:"domain"`
}

type loggedIn struct {
	Token   string      `json:"token"`
	Expires time.Time   `json:"expires"`
	SIP     sipAccount  `json:"sip"`
	ICE     []iceServer `json:"ice"`
}

func (m *me) login(w http.ResponseWriter, r *http.Request) {
	user, password, status, err := readLogin(w, r)
	if err != nil {
		problem(w, status, err.Error())
		return
	}
	user = m.bare(user)
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		problem(w, http.StatusBadRequest, "the peer has no address")
		return
	}
	a, known := m.users[user]
	if !known {
		a = m.nobody
	}
	ok, wait := m.guesses.try(from.Addr(), user, func() bool {
		got := m.hash(a.algorithm, user, password)
		return subtle.ConstantTimeCompare([]byte(got), []byte(a.ha1)) == 1 && known
	})
	switch {
	case wait > 0:
		m.logins.limited.Add(1)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		problem(w, http.StatusTooManyRequests, "too many wrong passwords; try again later")
		return
	case !ok:
		m.logins.wrong.Add(1)
		m.log.Warn("wrong login", "user", a.id, "source", from.Addr()) // what isn't a user's name may be a password
		unauthorized(w, "wrong user or password")
		return
	}
	m.logins.good.Add(1)
	out := loggedIn{SIP: sipAccount{"sip:" + a.login + "@" + uriHost(m.cfg.domain()), m.cfg.SIP.Realm, m.cfg.domain()}, ICE: m.cfg.iceServers(a.id, time.Now())}
	var ends time.Time
	out.Token, ends = m.tokens.issue(a.id)
	out.Expires = ends.UTC().Truncate(time.Second)
	m.log.Info("login", "user", a.id, "source", from.Addr())
	reply(w, http.StatusOK, out)
}

// bare is the login of what people type: it itself, or the user's SIP address.
func (m *me) bare(user string) string {
	s := strings.TrimSpace(user)
	if len(s) >= 4 && strings.EqualFold(s[:4], "sip:") {
		s = s[4:]
	}
	if login, domain, ok := strings.Cut(s, "@"); ok && strings.EqualFold(strings.Trim(domain, "[]"), m.cfg.domain()) {
		s = login
	}
	return s
}

// readLogin reads {"user", "password"}; the status goes with the error.
func readLogin(w http.ResponseWriter, r *http.Request) (user, password string, status int, err error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return "", "", http.StatusUnsupportedMediaType, errors.New("Content-Type: expected application/json")
	}
	var in struct {
		User     *string `json:"user"`
		Password *string `json:"password"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLogin))
	dec.DisallowUnknownFields()
	err = dec.Decode(&in)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("more than one value")
			if tooLarge(more) {
				err = more
			}
		}
	}
	switch {
	case tooLarge(err):
		return "", "", http.StatusRequestEntityTooLarge, fmt.Errorf("body: expected at most %d bytes", maxLogin)
	case err != nil, in.User == nil, in.Password == nil: // the decoder's words may hold a piece of the password
		return "", "", http.StatusBadRequest, errors.New(`body: expected {"user": "…", "password": "…"}`)
	case len(*in.User) > maxUser || len(*in.Password) > maxPassword:
		return "", "", http.StatusBadRequest, fmt.Errorf("expected a user of at most %d bytes and a password of at most %d", maxUser, maxPassword)
	}
	return *in.User, *in.Password, 0, nil
}

func tooLarge(err error) bool {
	var too *http.MaxBytesError
	return errors.As(err, &too)
}

// bearer is the request's token and the id of its user (RFC 6750 2.1); "" if there is none.
func (m *me) bearer(r *http.Request) (token, user string) {
	h := r.Header.Values("Authorization")
	if len(h) != 1 {
		return "", ""
	}
	scheme, token, _ := strings.Cut(h[0], " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > 128 {
		return "", ""
	}
	return token, m.tokens.owner(token)
}

func (m *me) logout(w http.ResponseWriter, r *http.Request) {
	token, user := m.bearer(r)
	if user == "" {
		unauthorized(w, "expected a token that login gave")
		return
	}
	m.tokens.end(token)
	w.WriteHeader(http.StatusNoContent)
}

func (m *me) calls(w http.ResponseWriter, r *http.Request) {
	_, user := m.bearer(r)
	if user == "" {
		unauthorized(w, "expected a token that login gave")
		return
	}
	limit := pastNormal
	if q := r.URL.Query(); q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > pastLimit {
			problem(w, http.StatusBadRequest, fmt.Sprintf("limit %q: expected 1 to %d", clean(q.Get("limit")), pastLimit))
			return
		}
		limit = n
	}
	list, err := m.past.calls(r.Context(), user, limit)
	switch {
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, errBusy.Error())
	case err != nil:
		m.log.Warn("a user's records can't be read", "user", user, "err", err)
		problem(w, http.StatusServiceUnavailable, "records can't be read now")
	default:
		reply(w, http.StatusOK, list)
	}
}

// unauthorized names a scheme that browsers ask nobody a password for (RFC 6750 3).
func unauthorized(w http.ResponseWriter, why string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="patchbay"`)
	problem(w, http.StatusUnauthorized, why)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody is left to tell
}

func problem(w http.ResponseWriter, status int, why string) {
	reply(w, status, map[string]string{"error": why})
}

// uriHost is a host as URIs have it: IPv6 in brackets.
func uriHost(h string) string {
	if a, err := netip.ParseAddr(h); err == nil && a.Is6() {
		return "[" + h + "]"
	}
	return h
}
