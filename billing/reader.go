package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/gateway/call"
)

// Errors of a Reader.
var (
	ErrNotFound  = errors.New("no such call")
	ErrAmbiguous = errors.New("more than one call begins so")
)

// Filter chooses calls; a zero field chooses all.
type Filter struct {
	From, To time.Time // call began in [From, To)
	Tenant   string
	User     string // id of the calling user, or of a leg's
	Trunk    string // id of the trunk the call came from, or of a leg's
	Number   string // caller or callee ends with it, as it came or normalised
	State    call.State
	Cause    int // Q.850; 0 = any
	SIP      int // final status; 0 = any
	Limit    int // newest so many; default 100, at most 100,000
}

const (
	defaultLimit = 100
	maxLimit     = 100_000
)

// Reader reads records, also while another process writes them: from the database, and from the journal what the
// database doesn't hold yet.
type Reader struct {
	cfg    Config
	mu     sync.Mutex // one query at a time
	conn   *pgx.Conn  // nil without a database
	why    error      // there is none
	lock   *os.File   // held while a Postgres of our own runs
	server *server
}

// OpenReader connects to the database. If it's the private one and nobody runs it, it's started for the reader's time.
// Without a database the Reader reads the journal alone; Database tells why.
func OpenReader(ctx context.Context, cfg Config) (*Reader, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	r := &Reader{cfg: cfg}
	switch cfg.Database {
	case None:
		r.why = errNoDatabase
	case Auto:
		r.why = r.openPrivate(ctx)
	default:
		c, err := parseURL(cfg.Database)
		if err != nil {
			return nil, err
		}
		if r.conn, err = pgx.ConnectConfig(ctx, c); err != nil {
			r.why = err
		}
	}
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), r.Close())
	}
	return r, nil
}

func (r *Reader) openPrivate(ctx context.Context) error {
	p, err := newPrivate(r.cfg.Dir, r.cfg.Log)
	if err != nil {
		return err
	}
	if _, err := dataMajorThere(p.data); err != nil {
		return err
	}
	c, err := p.address(privateDatabase)
	if err != nil {
		return err
	}
	if r.conn, err = pgx.ConnectConfig(ctx, c); err == nil {
		return nil
	}
	// Nobody answers: if no server holds the folder, run Postgres ourselves.
	lock, lerr := lockDir(ctx, r.cfg.Dir, roleReader, 10*time.Second)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	r.lock = lock
	if r.server, err = p.start(ctx, "default_transaction_read_only=on"); err != nil {
		return err
	}
	r.conn, err = pgx.ConnectConfig(ctx, c)
	return err
}

func dataMajorThere(data string) (int, error) {
	n, err := dataMajor(data)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: nothing was written to %s yet", errNoDatabase, data)
	}
	return n, err
}

// Database tells why there is no database to read, or nil.
func (r *Reader) Database() error { return r.why }

// Close ends the connection and the Postgres that was started for it.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = r.conn.Close(ctx)
		r.conn = nil
	}
	if r.server != nil {
		r.server.stop(stopTime)
		r.server = nil
	}
	if r.lock != nil {
		err = errors.Join(err, r.lock.Close())
		r.lock = nil
	}
	return err
}

// List returns the calls that the filter chooses, newest first.
func (r *Reader) List(ctx context.Context, f Filter) ([]*call.Call, error) {
	if f.Limit <= 0 {
		f.Limit = defaultLimit
	}
	f.Limit = min(f.Limit, maxLimit)
	r.mu.Lock()
	defer r.mu.Unlock()
	// The journal first: what leaves it in between has come to the database.
	fresh, err := r.journal(func(id call.ID) bool { return f.inTime(id) })
	if err != nil {
		return nil, err
	}
	calls, err := r.query(ctx, f)
	if err != nil {
		return nil, err
	}
	have := make(map[call.ID]int, len(calls))
	for i, c := range calls {
		have[c.ID] = i
	}
	for id, events := range fresh {
		c := build(events)
		i, known := have[id]
		switch {
		case c == nil:
		case known && c.Version > calls[i].Version:
			calls[i] = c
		case !known:
			calls = append(calls, c)
		}
	}
	calls = slices.DeleteFunc(calls, func(c *call.Call) bool { return !f.match(c) })
	slices.SortFunc(calls, func(a, b *call.Call) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return calls[:min(len(calls), f.Limit)], nil
}

// Show returns one call and its events, by its id or the beginning of it. It gives ErrNotFound and ErrAmbiguous.
func (r *Reader) Show(ctx context.Context, prefix string) (*call.Call, []call.Event, error) {
	low, high, err := idRange(prefix)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found, err := r.journal(func(id call.ID) bool {
		return slices.Compare(id[:], low[:]) >= 0 && slices.Compare(id[:], high[:]) <= 0
	})
	if err != nil {
		return nil, nil, err
	}
	stored, err := r.events(ctx, low, high)
	if err != nil {
		return nil, nil, err
	}
	for id, events := range stored {
		found[id] = append(found[id], events...)
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("%w: %s", ErrNotFound, prefix)
	}
	if len(found) > 1 {
		var ids []string
		for id := range found {
			ids = append(ids, id.String())
		}
		slices.Sort(ids)
		return nil, nil, fmt.Errorf("%w with %q: %s", ErrAmbiguous, prefix, strings.Join(ids[:min(len(ids), 5)], ", "))
	}
	for _, events := range found {
		events = inOrder(events)
		c := build(events)
		if c == nil {
			return nil, nil, fmt.Errorf("%w: %s: its beginning is missing", ErrNotFound, prefix)
		}
		return c, events, nil
	}
	return nil, nil, nil // not reached: found has one
}

// idRange is the range of ids that begin so.
func idRange(prefix string) (low, high call.ID, err error) {
	hex := strings.ToLower(strings.ReplaceAll(prefix, "-", ""))
	if hex == "" || len(hex) > 32 || strings.Trim(hex, "0123456789abcdef") != "" {
		return low, high, fmt.Errorf("call id %q: expected the beginning of a UUID, such as 0197c3a0-5b", prefix)
	}
	l, err1 := uuid.Parse(hex + strings.Repeat("0", 32-len(hex)))
	h, err2 := uuid.Parse(hex + strings.Repeat("f", 32-len(hex)))
	return call.ID(l), call.ID(h), errors.Join(err1, err2)
}

// journal reads the events of the chosen calls that are in the journal.
func (r *Reader) journal(want func(call.ID) bool) (map[call.ID][]call.Event, error) {
	found := make(map[call.ID][]call.Event)
	w, err := walkDir(r.cfg.journalDir(), func(rec record) error {
		if !rec.isEvent() {
			return nil
		}
		id, _ := rec.key()
		if !want(id) {
			return nil
		}
		e, err := rec.event()
		if err != nil {
			r.cfg.Log.Warn("event in the journal can't be read", "call", id, "err", err)
			return nil
		}
		found[id] = append(found[id], e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	for _, d := range w.damage {
		r.cfg.Log.Warn("the journal is damaged", "err", d)
	}
	return found, nil
}

// inOrder sorts events and drops what stands twice.
func inOrder(events []call.Event) []call.Event {
	slices.SortStableFunc(events, func(a, b call.Event) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return slices.CompactFunc(events, func(a, b call.Event) bool { return a.Seq == b.Seq })
}

// build makes the call of its events; nil if its beginning isn't among them.
func build(events []call.Event) *call.Call {
	var b builder
	for _, e := range inOrder(slices.Clone(events)) {
		if b.call == nil && e.Seq != 1 {
			return nil
		}
		_, _ = b.add(e) // an event that doesn't fit was reported when it was projected
	}
	return b.call
}

func (f Filter) inTime(id call.ID) bool {
	t := id.Started()
	return (f.From.IsZero() || !t.Before(f.From)) && (f.To.IsZero() || t.Before(f.To))
}

// match holds the whole filter against a call; query does the same in SQL.
func (f Filter) match(c *call.Call) bool {
	leg := func(is func(*call.Leg) bool) bool { return slices.ContainsFunc(c.Legs, is) }
	ends := func(s string) bool { return strings.HasSuffix(s, f.Number) }
	switch {
	case !f.inTime(c.ID),
		f.Tenant != "" && c.Tenant != f.Tenant,
		f.User != "" && c.User != f.User && !leg(func(l *call.Leg) bool { return l.User == f.User }),
		f.Trunk != "" && c.Trunk != f.Trunk && !leg(func(l *call.Leg) bool { return l.Trunk == f.Trunk }),
		f.Number != "" && !ends(c.From) && !ends(c.To) && !ends(c.FromN) && !ends(c.ToN),
		f.State != "" && c.State != f.State,
		f.Cause != 0 && c.Cause.Q850 != f.Cause,
		f.SIP != 0 && c.Cause.SIP != f.SIP:
		return false
	}
	return true
}

// events reads the stored events of the calls in the range; of two calls at most, which is enough to say that there are two.
func (r *Reader) events(ctx context.Context, low, high call.ID) (map[call.ID][]call.Event, error) {
	found := make(map[call.ID][]call.Event)
	if r.conn == nil {
		return found, nil
	}
	rows, err := r.conn.Query(ctx, `SELECT call_id, seq, at, mono_ns, leg_no, kind, data FROM patchbay.call_event WHERE call_id IN
(SELECT call_id FROM patchbay.call WHERE call_id BETWEEN $1 AND $2 AND started_at BETWEEN $3 AND $4 LIMIT 2) AND started_at BETWEEN $3 AND $4 ORDER BY call_id, seq`,
		uuid.UUID(low), uuid.UUID(high), low.Started(), latest(high))
	if err != nil {
		return found, missingIsEmpty(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		w := struct {
			Call call.ID         `json:"call"`
			Seq  uint64          `json:"seq"`
			At   time.Time       `json:"at"`
			Mono int64           `json:"mono"`
			Leg  int             `json:"leg"`
			Kind string          `json:"kind"`
			Data json.RawMessage `json:"data"`
		}{}
		if err := rows.Scan(&id, &w.Seq, &w.At, &w.Mono, &w.Leg, &w.Kind, &w.Data); err != nil {
			return found, err
		}
		w.Call = call.ID(id)
		w.At = w.At.UTC()
		b, err := json.Marshal(w)
		if err != nil {
			return found, err
		}
		var e call.Event
		if err := e.UnmarshalJSON(b); err != nil {
			return found, err
		}
		found[e.Call] = append(found[e.Call], e)
	}
	return found, missingIsEmpty(rows.Err())
}

// latest is the time in the id, bounded to what the database can hold.
func latest(id call.ID) time.Time {
	t, end := id.Started(), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	if t.After(end) {
		return end
	}
	return t
}

// missingIsEmpty: a database that no server has migrated yet has no calls.
func missingIsEmpty(err error) error {
	switch sqlState(err) {
	case "42P01", "3F000": // no such table, no such schema
		return nil
	}
	return err
}
