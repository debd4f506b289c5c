package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Lock is an account that may not call through trunks any more, since too many of its calls were refused.
type Lock struct {
	Account string    `json:"account"` // user:ID or tenant:ID
	Since   time.Time `json:"since"`
	Why     string    `json:"why"`
}

// ErrNotLocked is returned for an account that isn't locked, or isn't there.
var ErrNotLocked = errors.New("no such account is locked")

// addAccounts makes the accounts of users and tenants.
func (g *Gateway) addAccounts() error {
	for i := range g.cfg.Users {
		u := &g.cfg.Users[i]
		a := newAccount("user:"+u.ID, u.Toll)
		a.user = true
		if err := a.resides(g.cfg.Country, append([]string{u.CallerID}, u.Numbers...)...); err != nil {
			return fmt.Errorf("user %s: %w", u.ID, err)
		}
		g.accounts[a.name] = a
	}
	for _, t := range g.cfg.Tenants {
		a := newAccount("tenant:"+t.ID, t.Toll)
		if err := a.resides(g.cfg.Country); err != nil {
			return fmt.Errorf("tenant %s: %w", t.ID, err)
		}
		g.accounts[a.name] = a
	}
	return nil
}

// openAccounts makes the accounts, and locks those that were locked before a restart.
func (g *Gateway) openAccounts() error {
	if err := errors.Join(g.addAccounts(), g.openCountries()); err != nil {
		return err
	}
	if g.cfg.Locks == "" {
		return nil
	}
	b, err := os.ReadFile(g.cfg.Locks)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("locked accounts: %w", err)
	}
	var list []Lock
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("locked accounts in %s: %w", g.cfg.Locks, err)
	}
	for _, l := range list {
		if a := g.accounts[l.Account]; a != nil {
			a.lockedAt, a.lockedFor = l.Since, l.Why
		}
	}
	return nil
}

// Locks lists the accounts that are locked, the last one first.
func (g *Gateway) Locks() []Lock {
	var out []Lock
	for _, a := range g.accounts {
		a.mu.Lock()
		if !a.lockedAt.IsZero() {
			out = append(out, Lock{a.name, a.lockedAt, a.lockedFor})
		}
		a.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Lock) int {
		if c := b.Since.Compare(a.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Account, b.Account)
	})
	return out
}

// Unlock lets an account, user:ID or tenant:ID, call through trunks again; ErrNotLocked if it could.
func (g *Gateway) Unlock(name string) error {
	a := g.accounts[name]
	if a == nil {
		return ErrNotLocked
	}
	a.mu.Lock()
	was := !a.lockedAt.IsZero()
	a.lockedAt, a.lockedFor, a.strikes = time.Time{}, "", nil
	a.mu.Unlock()
	if !was {
		return ErrNotLocked
	}
	g.log.Warn("account unlocked", "account", name)
	g.keepLocks()
	return nil
}

// keepLocks writes down which accounts are locked. A failure is told in the log: the locks hold until the next restart.
func (g *Gateway) keepLocks() {
	if g.cfg.Locks == "" {
		return
	}
	g.keeping.Lock()
	defer g.keeping.Unlock()
	if err := writeJSON(g.cfg.Locks, list(g.Locks())); err != nil {
		g.log.Error("locked accounts not kept for a restart", "err", err)
	}
}
