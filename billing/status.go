package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Status is how the keeping of records stands.
type Status struct {
	Server     string      `json:"server"`   // Postgres' version
	Database   string      `json:"database"` // host/name; never a password
	Bytes      int64       `json:"bytes"`
	Schema     int64       `json:"schema"` // version of the tables
	Known      int64       `json:"known"`  // that this program makes
	Moved      bool        `json:"moved"`  // closed for writing: records are elsewhere
	Partitions []Months    `json:"partitions"`
	Nodes      []Ingest    `json:"nodes"`
	Outbox     uint64      `json:"outbox"` // events in the journal of this folder that the database doesn't hold
	OutboxB    int64       `json:"outboxBytes"`
	Oldest     *time.Time  `json:"oldest,omitempty"` // of those events
	Dead       int64       `json:"deadLetters"`
	Webhooks   []HookState `json:"webhooks"`
}

// Months are the partitions of a table.
type Months struct {
	Table string `json:"table" db:"tab"`
	Count int    `json:"count" db:"n"`
	First string `json:"first" db:"first"`
	Last  string `json:"last" db:"last"`
	Bytes int64  `json:"bytes" db:"bytes"`
}

// Ingest is how far a node's journal is in the database.
type Ingest struct {
	Node    string    `json:"node" db:"node_id"`
	Journal string    `json:"journal" db:"journal"`
	Epoch   int64     `json:"epoch" db:"epoch"`
	LSN     int64     `json:"lastRecord" db:"last_lsn"`
	At      time.Time `json:"at" db:"at"` // when it was written last
}

// HookState counts what a webhook hasn't been told.
type HookState struct {
	Hook    string `json:"hook" db:"hook"`
	Pending int64  `json:"pending" db:"pending"`
	Dead    int64  `json:"dead" db:"dead"`
}

// Status reads how the keeping of records stands. Without a database it tells of the journal alone.
func (r *Reader) Status(ctx context.Context) (*Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Status{Partitions: []Months{}, Nodes: []Ingest{}, Webhooks: []HookState{}}
	if r.conn != nil {
		if err := r.statusOf(ctx, s); err != nil {
			return nil, fmt.Errorf("read the database's state: %w", err)
		}
	}
	return s, r.outbox(s)
}

func (r *Reader) statusOf(ctx context.Context, s *Status) error {
	cfg := r.conn.Config()
	s.Database = cfg.Host + "/" + cfg.Database
	var there bool
	if err := r.conn.QueryRow(ctx, `SELECT current_setting('server_version'), pg_database_size(current_database()), to_regclass('patchbay.webhook_delivery') IS NOT NULL, to_regprocedure('patchbay.moved()') IS NOT NULL`).
		Scan(&s.Server, &s.Bytes, &there, &s.Moved); err != nil {
		return err
	}
	if err := r.versions(ctx, s); err != nil || !there {
		return err
	}
	err := r.conn.QueryRow(ctx, `SELECT count(*) FROM patchbay.dead_letter`).Scan(&s.Dead)
	if err != nil {
		return err
	}
	if s.Partitions, err = collect[Months](ctx, r.conn, `SELECT p.relname AS tab, count(*) AS n, min(translate(right(c.relname, 7), '_', '-')) AS first, max(translate(right(c.relname, 7), '_', '-')) AS last,
sum(pg_total_relation_size(c.oid))::bigint AS bytes FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE p.relnamespace = 'patchbay'::regnamespace AND p.relkind = 'p' GROUP BY 1 ORDER BY 1`); err != nil {
		return err
	}
	if s.Nodes, err = collect[Ingest](ctx, r.conn, `SELECT node_id, journal::text, epoch, last_lsn, at FROM patchbay.ingest ORDER BY node_id, at`); err != nil {
		return err
	}
	s.Webhooks, err = collect[HookState](ctx, r.conn, `SELECT hook, count(*) FILTER (WHERE state = 'pending') AS pending, count(*) FILTER (WHERE state = 'dead') AS dead FROM patchbay.webhook_delivery GROUP BY 1 ORDER BY 1`)
	return err
}

func collect[T any](ctx context.Context, conn *pgx.Conn, sql string) ([]T, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	return append([]T{}, list...), err
}

// versions of the schema: that of the database, 0 if there is none, and that of this program.
func (r *Reader) versions(ctx context.Context, s *Status) error {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	for _, e := range entries {
		var n int64
		if _, err := fmt.Sscanf(e.Name(), "%d_", &n); err == nil {
			s.Known = max(s.Known, n)
		}
	}
	var there bool
	if err := r.conn.QueryRow(ctx, `SELECT to_regclass('patchbay.schema_version') IS NOT NULL`).Scan(&there); err != nil || !there {
		return err
	}
	return r.conn.QueryRow(ctx, `SELECT COALESCE(max(version_id), 0) FROM patchbay.schema_version WHERE is_applied`).Scan(&s.Schema)
}

// outbox counts what waits in the journal of the folder.
func (r *Reader) outbox(s *Status) error {
	held := map[string]int64{}
	for _, n := range s.Nodes {
		if n.Node == r.cfg.Node {
			held[n.Journal] = n.LSN
		}
	}
	w, err := walkDir(r.cfg.journalDir(), func(rec record) error { return nil })
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	last := uint64(held[w.journal.String()])
	return r.walk(func(rec record) error {
		if rec.lsn <= last {
			return nil
		}
		s.Outbox++
		s.OutboxB += int64(len(rec.payload))
		if s.Oldest == nil {
			if e, err := rec.event(); err == nil {
				s.Oldest = &e.At
			}
		}
		return nil
	})
}
