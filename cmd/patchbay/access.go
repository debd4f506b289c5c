package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/rpc"
)

// access knows the tokens of programs, as the settings list them.
type access struct {
	log     *slog.Logger
	now     func() time.Time
	guesses *guesses
	tokens  []accessToken

	used struct{ good, wrong, limited atomic.Uint64 }
}

type accessToken struct {
	hash [sha256.Size]byte
	who  rpc.Principal
}

func newAccess(cfg Config, log *slog.Logger) (*access, error) {
	a := &access{log: log, now: time.Now, guesses: newGuesses()}
	for _, t := range cfg.Tokens {
		x := accessToken{hash: sha256.Sum256([]byte(t.Secret)), who: rpc.Principal{Name: t.ID, Tenant: t.Tenant, Expires: t.Expires, Foreign: true,
			Quota: rpc.Quota{Objects: t.Objects, Sessions: t.Sessions, Connections: t.Connections, Rate: float64(t.Requests)}}}
		if t.SHA256 != "" {
			b, err := hex.DecodeString(string(t.SHA256))
			if err != nil || len(b) != sha256.Size {
				return nil, fmt.Errorf("token %s: sha256: expected %d hexadecimal digits", t.ID, 2*sha256.Size)
			}
			copy(x.hash[:], b)
		}
		for _, name := range t.Roles {
			role, err := rpc.ParseRole(name)
			if err != nil {
				return nil, fmt.Errorf("token %s: %w", t.ID, err)
			}
			x.who.Roles |= role
		}
		a.tokens = append(a.tokens, x)
	}
	return a, nil
}

// bearerProtocol is how a browser, which can set no header, says a token: as a subprotocol, beside rpc.Subprotocol, which
// is the one that is selected, so that the token isn't sent back.
const bearerProtocol = "bearer."

// presented is the token that a request comes with, "" if none: as a header (RFC 6750 2.1), as a subprotocol, or in the
// address, where Kurento's client puts it (2.3).
func presented(r *http.Request) (string, error) {
	var found []string
	for _, h := range r.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(h, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", errors.New("header Authorization: expected Bearer and a token")
		}
		found = append(found, strings.TrimSpace(token))
	}
	var protocols []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			protocols = append(protocols, strings.TrimSpace(p))
		}
	}
	for _, p := range protocols {
		if token, ok := strings.CutPrefix(p, bearerProtocol); ok {
			found = append(found, token)
			if !slices.Contains(protocols, rpc.Subprotocol) {
				return "", fmt.Errorf("a token as subprotocol is offered beside the subprotocol %s", rpc.Subprotocol)
			}
		}
	}
	found = append(found, r.URL.Query()["access_token"]...)
	switch {
	case len(found) == 0:
		return "", nil
	case len(found) > 1:
		return "", errors.New("more than one token was given")
	case len(found[0]) > maxToken || !tokenText(found[0]):
		return "", fmt.Errorf("a token is at most %d letters, digits and -._~", maxToken)
	}
	return found[0], nil
}

// check finds out whose a token is. The error says why it is nobody's; wait is how long until another wrong one is heard. A
// right one always is, whoever guesses from the same address: a secret of this length isn't found by trying, and behind one
// address there may be many.
func (a *access) check(from netip.Addr, token string) (who rpc.Principal, wait time.Duration, err error) {
	hash := sha256.Sum256([]byte(token))
	known := false
	for i := range a.tokens { // all of them: time tells nothing
		if subtle.ConstantTimeCompare(hash[:], a.tokens[i].hash[:]) == 1 {
			known, who = true, a.tokens[i].who
		}
	}
	switch {
	case !known:
		if _, wait = a.guesses.try(from, "a token from "+from.String(), func() bool { return false }); wait > 0 {
			a.used.limited.Add(1)
			return rpc.Principal{}, wait, errors.New("too many wrong tokens; try again later")
		}
		a.used.wrong.Add(1)
		a.log.Warn("wrong token", "source", from)
		return rpc.Principal{}, 0, errors.New("the token is wrong")
	case !who.Expires.IsZero() && !a.now().Before(who.Expires):
		a.used.wrong.Add(1)
		a.log.Warn("expired token", "token", who.Name, "source", from)
		return rpc.Principal{}, 0, errors.New("the token has expired")
	}
	a.used.good.Add(1)
	return who, 0, nil
}

// refused answers a request whose token is no good.
func refused(w http.ResponseWriter, wait time.Duration, err error) {
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		problem(w, http.StatusTooManyRequests, err.Error())
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="patchbay", error="invalid_token"`)
	problem(w, http.StatusUnauthorized, err.Error())
}

type principalKey struct{}

func withPrincipal(r *http.Request, who rpc.Principal) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), principalKey{}, who))
}

// principal is who makes a request that the guard let in.
func principal(r *http.Request) (rpc.Principal, error) {
	who, ok := r.Context().Value(principalKey{}).(rpc.Principal)
	if !ok {
		return who, errors.New("nobody is known to make this request")
	}
	return who, nil
}

// ownHost is a program on this host that shows no token: whoever can start one there may do everything.
func ownHost() rpc.Principal {
	return rpc.Principal{Name: "(this host)", Tenant: "default", Roles: rpc.AllRoles}
}
