package billing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	insertEvents = `INSERT INTO patchbay.call_event (call_id, seq, started_at, at, mono_ns, leg_no, kind, data)
SELECT a, b, c, d, e, f, g, h::jsonb FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::int[], $7::text[], $8::text[])
AS t(a, b, c, d, e, f, g, h) ON CONFLICT DO NOTHING`
	insertDead = `INSERT INTO patchbay.dead_letter (node_id, journal, lsn, part, call_id, seq, raw, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	upsertIngest = `INSERT INTO patchbay.ingest AS i (node_id, journal, epoch, last_lsn) VALUES ($1, $2, $3, $4)
ON CONFLICT (node_id, journal) DO UPDATE SET epoch = excluded.epoch, last_lsn = excluded.last_lsn, at = now()`
)

// statement is one row to write, or for the events of a batch all of them.
type statement struct {
	lsn  uint64
	part string
	id   uuid.UUID
	sql  string
	args []any
}

// write commits the batch at hand.
func (p *projector) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	w := p.work
	if err := p.ensure(ctx, w.months); err != nil {
		return err
	}
	p.after("partitions")
	var err error
	if oldest, needed := w.priced(); needed && p.prices != nil {
		if err := p.reprice(ctx, oldest); err != nil {
			return err
		}
	}
	if w.failures < 2 {
		err = p.commit(ctx, w)
	}
	if err != nil && strings.Contains(err.Error(), "no partition of relation") { // somebody dropped one
		p.months = make(map[month]bool)
		return fmt.Errorf("write records: %w", err)
	}
	// An error of one row that ends the whole connection shows only by coming again.
	if w.failures >= 2 || err != nil && poisonous(p.conn, err) {
		p.log.Warn("a batch is written row by row", "failures", w.failures, "err", err)
		err = p.commitCarefully(ctx, w)
	}
	if err != nil {
		w.failures++
		return fmt.Errorf("write records: %w", err)
	}
	p.after("committed")
	p.settle(w)
	if p.told {
		p.told = false
		wake(p.courier)
	}
	return nil
}

func (p *projector) settle(w *work) {
	s := &p.journal.stats
	s.projected.Add(uint64(len(w.events)))
	s.dead.Add(uint64(len(w.dead)))
	if !w.newest.IsZero() {
		s.lag.Store(int64(max(0, time.Since(w.newest))))
	}
	p.work, p.done, p.moved = nil, max(p.done, w.last), true
	p.journal.projectedTo(p.done)
}

// commit writes the batch in one transaction and one round trip.
func (p *projector) commit(ctx context.Context, w *work) error {
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return err
	}
	p.after("begun")
	var b pgx.Batch
	if len(w.events) > 0 {
		b.Queue(insertEvents, eventArgs(w.events)...)
	}
	if rows := measured(w.events); len(rows) > 0 {
		b.Queue(insertQuality(), qualityArgs(rows)...)
	}
	for _, s := range p.statements(w) {
		b.Queue(s.sql, s.args...)
	}
	err = tx.SendBatch(ctx, &b).Close()
	p.after("written")
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		_ = tx.Rollback(ctx) // the error that counts is the first
	}
	return err
}

// commitCarefully writes the batch row by row, and what can't be written to the dead letters.
func (p *projector) commitCarefully(ctx context.Context, w *work) error {
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing behind Commit
	var rows []statement
	for i := range w.events {
		e := w.events[i : i+1]
		rows = append(rows, statement{e[0].lsn, fmt.Sprintf("event %d", e[0].e.Seq), uuid.UUID(e[0].e.Call), insertEvents, eventArgs(e)})
	}
	for _, r := range measured(w.events) {
		rows = append(rows, statement{r.lsn, fmt.Sprintf("quality %d", r.e.Seq), uuid.UUID(r.e.Call), insertQuality(), qualityArgs([]eventRow{r})})
	}
	dead := uint64(0)
	for _, s := range append(rows, p.statements(w)...) {
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, s.sql, s.args...)
			return err
		})
		if err == nil {
			continue
		}
		if s.part == "" || !poisonous(p.conn, err) {
			return err
		}
		p.log.Error("row can't be written: it goes to the dead letters", "call", s.id, "part", s.part, "err", err)
		_, err = tx.Exec(ctx, insertDead, p.cfg.Node, p.journal.id, s.lsn, s.part, s.id, nil, []byte(fmt.Sprint(s.args...)), clean(err.Error()))
		if err != nil {
			return err
		}
		dead++
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	p.journal.stats.dead.Add(dead)
	return nil
}

// statements of the batch, without its events. Rows of calls come in the order of their ids, so that two writers can't
// wait for each other.
func (p *projector) statements(w *work) []statement {
	var out []statement
	calls := callColumns()
	legs := legColumns()
	intoCall := upsert("call", calls, "call_id", "started_at")
	intoLeg := upsert("leg", legs, "call_id", "leg_no", "started_at")
	slices.SortFunc(w.calls, func(a, b *touched) int { return slices.Compare(a.call.ID[:], b.call.ID[:]) })
	for _, t := range w.calls {
		id := uuid.UUID(t.call.ID)
		out = append(out, statement{t.lsn, "call", id, intoCall, values(calls, t.call)})
		for _, l := range t.call.Legs {
			if t.all || t.legs[l.No] {
				out = append(out, statement{t.lsn, fmt.Sprintf("leg %d", l.No), id, intoLeg, values(legs, legOf{t.call, l})})
			}
		}
		ratings, rated := p.ratings(t)
		out = append(append(out, ratings...), p.deliveries(t, rated)...)
	}
	out = append(out, p.counts(w)...)
	for _, d := range w.dead {
		var id *uuid.UUID
		if d.id != nil {
			id = (*uuid.UUID)(d.id)
		}
		out = append(out, statement{sql: insertDead, args: []any{p.cfg.Node, p.journal.id, d.lsn, d.part, id, d.seq, d.raw, clean(d.err)}})
	}
	return append(out, statement{sql: upsertIngest, args: []any{p.cfg.Node, p.journal.id, p.epoch, max(p.done, w.last)}})
}

func eventArgs(rows []eventRow) []any {
	n := len(rows)
	ids, seqs, started := make([]uuid.UUID, n), make([]uint64, n), make([]time.Time, n)
	ats, monos, legs := make([]time.Time, n), make([]int64, n), make([]int64, n)
	kinds, data := make([]string, n), make([]string, n)
	for i, r := range rows {
		ids[i], seqs[i], started[i] = uuid.UUID(r.e.Call), r.e.Seq, r.e.Call.Started()
		ats[i], monos[i], legs[i] = r.e.At, r.e.Mono, int64(r.e.Leg)
		kinds[i], data[i] = string(r.e.Data.Kind()), r.data
	}
	return []any{ids, seqs, started, ats, monos, legs, kinds, data}
}
