package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/gateway/call"
)

const (
	insertEvents = `INSERT INTO patchbay.call_event (call_id, seq, started_at, at, mono_ns, leg_no, kind, data)
SELECT a, b, c, d, e, f, g, h::jsonb FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[], $8::text[])
AS t(a, b, c, d, e, f, g, h) ON CONFLICT DO NOTHING`
	insertDead = `INSERT INTO patchbay.dead_letter (node_id, journal, lsn, part, call_id, seq, raw, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	upsertIngest = `INSERT INTO patchbay.ingest AS i (node_id, journal, epoch, last_lsn) VALUES ($1, $2, $3, $4)
ON CONFLICT (node_id, journal) DO UPDATE SET epoch = excluded.epoch, last_lsn = excluded.last_lsn, at = now()`
)

// statement writes one row, or a batch's rows of one table.
type statement struct {
	lsn  uint64 // these three are of the first row
	part string
	id   uuid.UUID
	sql  string
	args []any
	row  any // what it is made of
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
	list, err := p.statements(w, false)
	if err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	var b pgx.Batch
	for _, s := range list {
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
	list, err := p.statements(w, true)
	if err != nil {
		return err
	}
	dead := uint64(0)
	for _, s := range list {
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
		_, err = tx.Exec(ctx, insertDead, p.cfg.Node, p.journal.id, s.lsn, s.part, s.id, nil, s.raw(), clean(err.Error()))
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

// raw is what a dead letter keeps of a row.
func (s *statement) raw() []byte {
	if b, ok := s.row.([]byte); ok {
		return b
	}
	b, err := json.Marshal(s.row)
	if err != nil {
		return fmt.Append(nil, s.row)
	}
	return b
}

// statements write the batch: one for each table, or if alone is set one for each row. Rows of calls come in the order of their ids,
// so that two writers can't wait for each other.
func (p *projector) statements(w *work, alone bool) ([]statement, error) {
	var out []statement
	for rows := range together(w.events, alone) {
		e := rows[0].e
		out = append(out, statement{rows[0].lsn, fmt.Sprintf("event %d", e.Seq), uuid.UUID(e.Call), insertEvents, eventArgs(rows), e})
	}
	for rows := range together(measured(w.events), alone) {
		e := rows[0].e
		out = append(out, statement{rows[0].lsn, fmt.Sprintf("quality %d", e.Seq), uuid.UUID(e.Call), insertQuality(), qualityArgs(rows), e})
	}
	slices.SortFunc(w.calls, func(a, b *touched) int { return slices.Compare(a.call.ID[:], b.call.ID[:]) })
	columns := callColumns()
	for rows := range together(w.calls, alone) {
		of := make([]*call.Call, len(rows))
		for i, t := range rows {
			of[i] = t.call
		}
		args, err := arrays(columns, of)
		if err != nil {
			return nil, err
		}
		out = append(out, statement{rows[0].lsn, "call", uuid.UUID(rows[0].call.ID), upsert("call", columns, "call_id", "started_at"), args, rows[0].call})
	}
	var legs []legOf
	for _, t := range w.calls {
		for _, l := range t.call.Legs {
			if t.all || t.legs[l.No] {
				legs = append(legs, legOf{t.call, l, t.lsn})
			}
		}
	}
	ofLeg := legColumns()
	for rows := range together(legs, alone) {
		args, err := arrays(ofLeg, rows)
		if err != nil {
			return nil, err
		}
		r := rows[0]
		out = append(out, statement{r.lsn, fmt.Sprintf("leg %d", r.l.No), uuid.UUID(r.c.ID), upsert("leg", ofLeg, "call_id", "leg_no", "started_at"), args, r.l})
	}
	for _, t := range w.calls {
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
	return append(out, statement{sql: upsertIngest, args: []any{p.cfg.Node, p.journal.id, p.epoch, max(p.done, w.last)}}), nil
}

// together are all rows at once, or if alone is set each one; nothing of none.
func together[T any](rows []T, alone bool) iter.Seq[[]T] {
	n := max(1, len(rows))
	if alone {
		n = 1
	}
	return slices.Chunk(rows, n)
}

func eventArgs(rows []eventRow) []any {
	ids, seqs, started := newArray("uuid"), newArray("bigint"), newArray("timestamptz")
	ats, monos, legs := newArray("timestamptz"), newArray("bigint"), newArray("bigint")
	kinds, data := newArray("text"), newArray("text")
	for i := range rows {
		e := &rows[i].e
		ids.uuid(e.Call)
		seqs.int(int64(e.Seq))
		started.time(e.Call.Started())
		ats.time(e.At)
		monos.int(e.Mono)
		legs.int(int64(e.Leg))
		kinds.text(string(e.Data.Kind()))
		data.bytes(rows[i].data)
	}
	return []any{ids.param(), seqs.param(), started.param(), ats.param(), monos.param(), legs.param(), kinds.param(), data.param()}
}
