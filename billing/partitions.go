package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// month is the first instant of a month in UTC: the name of a partition.
type month struct {
	year int
	mon  time.Month
}

func monthOf(t time.Time) month { t = t.UTC(); return month{t.Year(), t.Month()} }
func (m month) next() month {
	t := time.Date(m.year, m.mon+1, 1, 0, 0, 0, 0, time.UTC)
	return month{t.Year(), t.Month()}
}
func (m month) String() string { return fmt.Sprintf("%04d-%02d", m.year, m.mon) }

// usable reports whether calls of that month may have a partition. A time outside is no time of a call but a broken id.
func (m month) usable() bool { return m.year >= 1970 && m.year < 2200 }

// end is the first instant behind the month.
func (m month) end() time.Time { return time.Date(m.year, m.mon+1, 1, 0, 0, 0, 0, time.UTC) }

// partitioned are the tables that have a partition for each month, and how long that is kept; 0 = for ever.
func partitioned(r Retention) []struct {
	table string
	keep  time.Duration
} {
	return []struct {
		table string
		keep  time.Duration
	}{{"call", r.Calls}, {"leg", r.Calls}, {"call_event", r.Events}, {"leg_quality", r.Quality}, {"rating", r.Calls}, {"counted", r.Calls}}
}

func partitionOf(table string, m month) string {
	return fmt.Sprintf("%s_p%04d_%02d", table, m.year, m.mon)
}

// makePartitions makes what the months need. A table is made apart and then attached, which waits for no reader of the others.
func makePartitions(ctx context.Context, conn *pgx.Conn, months []month) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(partitionLock)); err != nil {
			return err
		}
		for _, m := range months {
			for _, p := range partitioned(Retention{}) {
				if err := makePartition(ctx, tx, p.table, m); err != nil {
					return fmt.Errorf("partition %s of %s: %w", m, p.table, err)
				}
			}
		}
		return nil
	})
}

func makePartition(ctx context.Context, tx pgx.Tx, table string, m month) error {
	name, attached := partitionOf(table, m), false
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND NOT inhdetachpending)`, "patchbay."+name).Scan(&attached)
	if err != nil || attached {
		return err
	}
	// What the keeper has begun to drop, and is wanted after all, is in its way until it's gone.
	_, err = tx.Exec(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS patchbay.%s (LIKE patchbay.%s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`, name, table))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE patchbay.%s ATTACH PARTITION patchbay.%s FOR VALUES FROM ('%s-01 00:00:00+00') TO ('%s-01 00:00:00+00')`,
		table, name, m, m.next()))
	return err
}

const (
	careInterval = time.Hour
	careSoon     = 10 * time.Second // while there is no database, or something was in the way
	careLater    = 10 * time.Minute // a month couldn't be exported
	careTimeout  = 5 * time.Minute  // for each step; an export has more, by its rows
	careLock     = time.Second      // how long it waits for others, at most
)

// keeper makes the partitions of the months to come, and exports and drops those that are too old. It has a connection and a goroutine of
// its own: what it waits for, the projector doesn't.
type keeper struct {
	cfg     Config
	log     *slog.Logger
	source  databaseSource
	ready   func() bool  // the schema is there
	overdue atomic.Int64 // partitions that can't be exported, and stay
}

func (k *keeper) run(ctx context.Context) {
	wait := careSoon / 10
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = careSoon
		if !k.ready() {
			continue
		}
		switch err := k.care(ctx); {
		case err == nil:
			wait = careInterval
		case errors.Is(err, errExport) && ctx.Err() == nil:
			wait = careLater
			k.log.Error("records that are too old stay in the database", "err", err)
		case ctx.Err() == nil:
			k.log.Warn("partitions of the database aren't in order yet", "err", err)
		}
	}
}

// care does what is due.
func (k *keeper) care(ctx context.Context) error {
	first, cancel := context.WithTimeout(ctx, careTimeout)
	defer cancel()
	cfg, err := k.source(first)
	if err != nil {
		return err
	}
	conn, err := connect(first, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(first, `SELECT set_config('lock_timeout', $1, false)`, fmt.Sprintf("%dms", careLock.Milliseconds())); err != nil {
		return err
	}
	now := monthOf(k.cfg.now())
	if err := makePartitions(first, conn, []month{now, now.next()}); err != nil {
		return err
	}
	mine := false // another node may be at it, for as long as an export takes
	if err := conn.QueryRow(first, `SELECT pg_try_advisory_lock($1)`, int64(partitionLock+1)).Scan(&mine); err != nil || !mine {
		return err
	}
	defer func() { // not only as the connection ends, which the server notices later
		_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(partitionLock+1))
	}()
	var errs []error
	overdue := int64(0)
	for _, p := range partitioned(k.cfg.Retention) {
		if p.keep > 0 {
			list, err := k.old(ctx, conn, p.table, k.cfg.now().Add(-p.keep))
			errs = append(errs, err)
			for _, x := range list {
				if err := k.retire(ctx, conn, p.table, x); err != nil {
					errs = append(errs, fmt.Errorf("drop %s: %w", x.Name, err))
					if errors.Is(err, errExport) {
						overdue++
					}
				}
			}
		}
	}
	k.overdue.Store(overdue)
	return errors.Join(errs...)
}

// partition is a month's table, attached, on its way out (pending), or out already.
type partition struct {
	Name              string
	Attached, Pending bool
}

// old are the partitions of a table that end before a time.
func (k *keeper) old(ctx context.Context, conn *pgx.Conn, table string, before time.Time) ([]partition, error) {
	ctx, cancel := context.WithTimeout(ctx, careTimeout)
	defer cancel()
	rows, err := conn.Query(ctx, `SELECT c.relname AS name, i.inhrelid IS NOT NULL AS attached, COALESCE(i.inhdetachpending, false) AS pending
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relnamespace = 'patchbay'::regnamespace AND c.relkind = 'r' AND c.relname ~ $1 ORDER BY 1`, "^"+table+"_p[0-9]{4}_[0-9]{2}$")
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[partition])
	return slices.DeleteFunc(list, func(p partition) bool {
		var m month
		_, err := fmt.Sscanf(p.Name[len(table):], "_p%04d_%02d", &m.year, &m.mon)
		return err != nil || m.end().After(before)
	}), err
}

// retire exports a partition and drops it. It is exported while it is in its place, so that one which can't be stays there; what
// was written to it until it was detached makes the file anew.
func (k *keeper) retire(ctx context.Context, conn *pgx.Conn, table string, p partition) error {
	if err := k.export(ctx, conn, p.Name); err != nil {
		return err
	}
	if err := detach(ctx, conn, table, p); err != nil {
		return err
	}
	if err := k.export(ctx, conn, p.Name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, careTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS patchbay."+p.Name); err != nil {
		return err
	}
	k.log.Info("records that are too old are dropped", "partition", p.Name)
	return nil
}

// detach takes a partition from its table: neither those who write nor those who read that wait. What was interrupted is done with the
// next time.
func detach(ctx context.Context, conn *pgx.Conn, table string, p partition) error {
	if !p.Attached {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, careTimeout)
	defer cancel()
	how := "CONCURRENTLY"
	if p.Pending {
		how = "FINALIZE"
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("ALTER TABLE patchbay.%s DETACH PARTITION patchbay.%s %s", table, p.Name, how))
	return err
}
