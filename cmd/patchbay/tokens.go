package main

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

// A token is what a page has instead of the password. It is in memory alone: after a restart pages log in anew.
const (
	tokenLife     = 12 * time.Hour
	maxTokens     = 10_000
	maxUserTokens = 32 // of one user; a new one ends the oldest
)

type tokens struct {
	now              func() time.Time
	most, mostOfUser int

	mu    sync.Mutex
	by    map[[sha256.Size]byte]*list.Element // by the token's hash: neither time nor memory tells tokens
	order *list.List                          // of *token, the one that ends first at the front
	count map[string]int                      // by user
}

type token struct {
	hash [sha256.Size]byte
	user string // id
	ends time.Time
}

func newTokens() *tokens {
	return &tokens{now: time.Now, most: maxTokens, mostOfUser: maxUserTokens,
		by: map[[sha256.Size]byte]*list.Element{}, order: list.New(), count: map[string]int{}}
}

// issue makes a token of 256 random bits for a user.
func (t *tokens) issue(user string) (text string, ends time.Time) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails: without randomness the program ends
	text = base64.RawURLEncoding.EncodeToString(b[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.expire(now)
	if t.count[user] >= t.mostOfUser {
		t.dropOldest(func(x *token) bool { return x.user == user })
	}
	if len(t.by) >= t.most {
		t.dropOldest(func(*token) bool { return true })
	}
	x := &token{hash: sha256.Sum256([]byte(text)), user: user, ends: now.Add(tokenLife)}
	t.by[x.hash] = t.order.PushBack(x)
	t.count[user]++
	return text, x.ends
}

// owner is the id of the user whom a token belongs to; "" if it is nobody's.
func (t *tokens) owner(text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(t.now())
	if e := t.by[sha256.Sum256([]byte(text))]; e != nil {
		return e.Value.(*token).user
	}
	return ""
}

// end forgets a token.
func (t *tokens) end(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.by[sha256.Sum256([]byte(text))]; e != nil {
		t.drop(e)
	}
}

// live is how many there are.
func (t *tokens) live() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(t.now())
	return len(t.by)
}

// The caller of these holds t.mu.

func (t *tokens) expire(now time.Time) {
	for e := t.order.Front(); e != nil && !now.Before(e.Value.(*token).ends); e = t.order.Front() {
		t.drop(e)
	}
}

func (t *tokens) dropOldest(which func(*token) bool) {
	for e := t.order.Front(); e != nil; e = e.Next() {
		if which(e.Value.(*token)) {
			t.drop(e)
			return
		}
	}
}

func (t *tokens) drop(e *list.Element) {
	x := t.order.Remove(e).(*token)
	delete(t.by, x.hash)
	if t.count[x.user]--; t.count[x.user] == 0 {
		delete(t.count, x.user)
	}
}
