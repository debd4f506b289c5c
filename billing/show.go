package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

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
		return r.withoutEvents(ctx, low, high, prefix)
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

// withoutEvents is a call whose events are too old to be kept: its rows say what they came to.
func (r *Reader) withoutEvents(ctx context.Context, low, high call.ID, prefix string) (*call.Call, []call.Event, error) {
	calls, err := r.query(ctx, Filter{From: low.Started(), To: latest(high).Add(time.Millisecond), Limit: 2, low: &low, high: &high})
	switch {
	case err != nil:
		return nil, nil, err
	case len(calls) == 0:
		return nil, nil, fmt.Errorf("%w: %s", ErrNotFound, prefix)
	case len(calls) > 1:
		return nil, nil, fmt.Errorf("%w with %q: %s, %s", ErrAmbiguous, prefix, calls[0].ID, calls[1].ID)
	}
	return calls[0], nil, nil
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
