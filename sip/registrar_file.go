package sip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	keepDelay = time.Second / 2 // from a change to the file
	keepShare = 20              // a write that takes long isn't repeated before that many times as long
	keepAgain = 5 * time.Second // after a failure
	keptBytes = 128 << 20       // of a file that is read at most
	keptForm  = 1               // version of the file's form
)

// keeper writes a registrar's bindings to its file a moment after they changed: a storm of registrations is one write.
type keeper struct {
	timer *time.Timer   // armed; nil: nothing waits. Guarded by Registrar.mu
	delay time.Duration // guarded by Registrar.mu
	work  sync.WaitGroup

	mu sync.Mutex // one write at a time
}

// kept is the file.
type kept struct {
	Form  int                      `json:"form"`
	Users map[string][]keptContact `json:"users"`
}

type keptContact struct {
	URI       string         `json:"uri"`
	Expires   time.Time      `json:"expires"`
	Q         float64        `json:"q"`
	Source    netip.AddrPort `json:"source"`
	UserAgent string         `json:"userAgent,omitempty"`
	Instance  string         `json:"instance,omitempty"`
	CallID    string         `json:"callId"`
	CSeq      uint32         `json:"cseq"`
	At        time.Time      `json:"at"`
}

// changed has the file written soon; r.mu is held.
func (r *Registrar) changed() { r.writeIn(max(keepDelay, r.file.delay)) }

func (r *Registrar) writeIn(d time.Duration) {
	if r.cfg.File == "" || r.closed || r.file.timer != nil {
		return
	}
	r.file.work.Add(1)
	r.file.timer = time.AfterFunc(d, func() {
		defer r.file.work.Done()
		r.write()
	})
}

func (r *Registrar) write() {
	r.mu.Lock()
	r.file.timer = nil
	if r.closed { // Close writes what is last
		r.mu.Unlock()
		return
	}
	now := r.snapshot()
	r.mu.Unlock()
	began := time.Now()
	err := r.store(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file.delay = min(keepShare*time.Since(began), time.Minute)
	if err != nil {
		r.cfg.Log.Error("registrations not kept", "file", r.cfg.File, "err", err)
		r.writeIn(keepAgain)
	}
}

// finish writes the last state; the registrar is closed, and waits was the timer of its next write.
func (r *Registrar) finish(last map[string][]Contact, waits *time.Timer) error {
	if r.cfg.File == "" {
		return nil
	}
	if waits != nil && waits.Stop() {
		r.file.work.Done()
	}
	r.file.work.Wait()
	return r.store(last)
}

// snapshot is all contacts now; r.mu is held. A user's list is never changed, only replaced.
func (r *Registrar) snapshot() map[string][]Contact {
	out := make(map[string][]Contact, len(r.users))
	for user, b := range r.users {
		out[user] = b.contacts
	}
	return out
}

// store replaces the file as a whole: after a crash it is the old one or the new one.
func (r *Registrar) store(users map[string][]Contact) error {
	r.file.mu.Lock()
	defer r.file.mu.Unlock()
	k := kept{Form: keptForm, Users: map[string][]keptContact{}}
	for user, list := range users {
		for _, c := range list {
			if c.Network == "udp" {
				k.Users[user] = append(k.Users[user], keptContact{c.URI.String(), c.Expires, c.Q, c.Source, c.UserAgent, c.Instance, c.CallID, c.CSeq, c.at})
			}
		}
	}
	b, err := json.Marshal(k)
	if err == nil {
		err = replace(r.cfg.File, b)
	}
	if err != nil {
		return fmt.Errorf("sip: registrations: %w", err)
	}
	return nil
}

// replace writes a file beside path, readable by its owner alone, and puts it in path's place.
func replace(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	next := path + ".tmp"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil // it is in place; its name is durable a little later
	}
	_ = d.Sync() // not every file system can
	return d.Close()
}

// load takes the bindings of the file that still hold. A file that can't be read is no reason not to start: phones
// register again.
func (r *Registrar) load() {
	if r.cfg.File == "" {
		return
	}
	k, err := readKept(r.cfg.File)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		r.cfg.Log.Warn("kept registrations can't be read, phones have to register anew", "file", r.cfg.File, "err", err)
		return
	}
	users, bad := r.adopt(k, time.Now())
	for _, user := range users {
		r.notify(user)
	}
	r.cfg.Log.Info("registrations kept", "file", r.cfg.File, "users", len(users), "unusable", bad)
}

// readKept reads a file of bindings.
func readKept(path string) (k kept, err error) {
	f, err := os.Open(path)
	if err != nil {
		return k, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, keptBytes+1))
	if err != nil {
		return k, err
	}
	if len(b) > keptBytes {
		return k, fmt.Errorf("more than %d bytes", keptBytes)
	}
	return k, k.parse(b)
}

func (k *kept) parse(b []byte) error {
	if err := json.Unmarshal(b, k); err != nil {
		return err
	}
	if k.Form != keptForm {
		return fmt.Errorf("form %d: expected %d", k.Form, keptForm)
	}
	return nil
}

// adopt makes kept bindings the registrar's, as far as they are whole, hold still and are within its bounds. It returns
// whose they are, and how many contacts were unusable.
func (r *Registrar) adopt(k kept, now time.Time) (users []string, bad int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for user, list := range k.Users {
		if user == "" || r.cfg.Known != nil && !r.cfg.Known(user) || len(r.users) >= r.cfg.MaxUsers {
			bad += len(list)
			continue
		}
		var next []Contact
		for _, c := range list {
			if !now.Before(c.Expires) {
				continue
			}
			contact, err := c.contact()
			if err != nil || len(next) >= r.cfg.MaxContacts {
				bad++
				continue
			}
			// A clock that was wrong mustn't keep a phone for ever.
			contact.Expires = earlier(contact.Expires, now.Add(r.cfg.MaxExpires))
			next = append(next, contact)
		}
		if len(next) == 0 {
			continue
		}
		b := &bindings{}
		r.users[user] = b
		r.swap(b, next)
		r.arm(user, b)
		users = append(users, user)
	}
	return users, bad
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// contact is the contact as it was, without a connection.
func (k keptContact) contact() (Contact, error) {
	uri, err := ParseURI(k.URI)
	if err == nil {
		err = uri.Check()
	}
	switch {
	case err != nil:
		return Contact{}, err
	case uri.Scheme != "sip" && uri.Scheme != "sips":
		return Contact{}, fmt.Errorf("contact %s: expected a sip URI", uri)
	case !k.Source.IsValid() || k.Source.Port() == 0 || k.Source.Addr().IsUnspecified():
		return Contact{}, fmt.Errorf("contact %s: source %s: expected an address and port", uri, k.Source)
	case !(k.Q >= 0 && k.Q <= 1):
		return Contact{}, fmt.Errorf("contact %s: q %v: expected 0 to 1", uri, k.Q)
	}
	uri.Headers = ""
	return Contact{URI: uri, Expires: k.Expires, Q: k.Q, Source: k.Source, Network: "udp", UserAgent: k.UserAgent,
		Instance: k.Instance, CallID: k.CallID, CSeq: k.CSeq, at: k.At}, nil
}
