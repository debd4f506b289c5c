package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

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

	low, high *call.ID // of ids; nil = any
}

const (
	defaultLimit = 100
	maxLimit     = 100_000
)

// Reader reads records, also while another process writes them: from the database, and from the journal what the
// database doesn't hold yet.
type Reader struct {
	cfg    Config
	writes bool       // the database may be made, and written to
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
	return r.open(ctx)
}

// OpenDecks is OpenReader for who writes decks and ratings: the database is made, and brought to this version, if it isn't yet.
func OpenDecks(ctx context.Context, cfg Config) (*Reader, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	r, err := (&Reader{cfg: cfg, writes: true}).open(ctx)
	if err != nil {
		return nil, err
	}
	if r.conn == nil {
		return nil, errors.Join(fmt.Errorf("decks are in the database: %w", r.why), r.Close())
	}
	if err := migrate(ctx, r.conn.Config(), r.conn); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) open(ctx context.Context) (_ *Reader, err error) {
	cfg := r.cfg
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
	if _, err := dataMajorThere(p.data); err != nil && !r.writes {
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
	settings := []string{"default_transaction_read_only=on"}
	if r.writes {
		settings = nil
		if err := p.prepare(ctx); err != nil {
			return err
		}
	}
	if r.server, err = p.start(ctx, settings...); err != nil {
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
	fresh, stale, err := r.waiting(ctx, f)
	if err != nil {
		return nil, err
	}
	more := f
	more.Limit += min(len(stale), maxLimit) // for those that fall out below
	calls, err := r.query(ctx, more)
	if err != nil {
		return nil, err
	}
	for i, c := range calls {
		if n := fresh[c.ID]; n != nil && n.Version > c.Version {
			calls[i] = n
		} else if stale[c.ID] > c.Version {
			calls[i] = nil // what it became doesn't match
		}
		delete(fresh, c.ID)
	}
	calls = slices.DeleteFunc(calls, func(c *call.Call) bool { return c == nil })
	for _, c := range fresh {
		calls = append(calls, c)
	}
	calls = slices.DeleteFunc(calls, func(c *call.Call) bool { return !f.match(c) })
	slices.SortFunc(calls, func(a, b *call.Call) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return calls[:min(len(calls), f.Limit)], nil
}

// readChunk bounds how many calls are rebuilt from the journal at a time.
const readChunk = 2000

// waiting rebuilds the calls of the journal that match, newest first and no more than asked for, and notes the versions of those that don't.
func (r *Reader) waiting(ctx context.Context, f Filter) (map[call.ID]*call.Call, map[call.ID]uint64, error) {
	var ids []call.ID // of calls whose beginning is there
	if err := r.walk(func(rec record) error {
		if id, seq := rec.key(); seq == 1 && f.inTime(id) {
			ids = append(ids, id)
		}
		return ctx.Err()
	}); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(ids, func(a, b call.ID) int { return slices.Compare(b[:], a[:]) })
	ids = slices.Compact(ids)
	fresh, stale := make(map[call.ID]*call.Call), make(map[call.ID]uint64)
	for chunk := range slices.Chunk(ids, readChunk) {
		chosen := make(map[call.ID]bool, len(chunk))
		for _, id := range chunk {
			chosen[id] = true
		}
		found, err := r.journal(func(id call.ID) bool { return chosen[id] })
		if err != nil {
			return nil, nil, err
		}
		for id, events := range found {
			switch c := build(events); {
			case c == nil:
			case f.match(c):
				fresh[id] = c
			default:
				stale[id] = c.Version
			}
		}
		if len(fresh) >= f.Limit || ctx.Err() != nil {
			break
		}
	}
	return fresh, stale, ctx.Err()
}

// journal reads the events of the chosen calls that are in the journal.
func (r *Reader) journal(want func(call.ID) bool) (map[call.ID][]call.Event, error) {
	found := make(map[call.ID][]call.Event)
	err := r.walk(func(rec record) error {
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
	return found, err
}

// walk hands the journal's events to each.
func (r *Reader) walk(each func(record) error) error {
	w, err := walkDir(r.cfg.journalDir(), func(rec record) error {
		if !rec.isEvent() {
			return nil
		}
		return each(rec)
	})
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	for _, d := range w.damage {
		r.cfg.Log.Warn("the journal is damaged", "err", d)
	}
	return nil
}

// inOrder sorts events and drops what stands twice.
func inOrder(events []call.Event) []call.Event {
	slices.SortStableFunc(events, func(a, b call.Event) int { return cmp.Compare(a.Seq, b.Seq) })
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
