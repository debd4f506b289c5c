package billing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Delivery is a message that a webhook, or the file of finished calls, hasn't got yet.
type Delivery struct {
	ID       int64     `json:"id" db:"delivery_id"`
	Hook     string    `json:"hook" db:"hook"`
	Call     uuid.UUID `json:"call" db:"call_id"`
	Seq      int64     `json:"seq" db:"seq"`
	Kind     string    `json:"kind" db:"kind"`
	State    string    `json:"state" db:"state"` // pending, dead
	Since    time.Time `json:"since" db:"since"`
	Due      time.Time `json:"due" db:"due_at"`
	Attempts int       `json:"attempts" db:"attempts"`
	Status   *int      `json:"status,omitempty" db:"status"` // HTTP, of the last attempt
	Error    *string   `json:"error,omitempty" db:"error"`
}

// DeliveryFilter chooses messages; a zero field chooses all.
type DeliveryFilter struct {
	Hook  string
	State string
	IDs   []int64
	Limit int // at most so many; 0 = all
}

const whereDelivery = ` WHERE ($1 = '' OR hook = $1) AND ($2 = '' OR state = $2) AND (cardinality($3::bigint[]) = 0 OR delivery_id = ANY($3))`

// ErrNoDatabase says that what was asked for is kept in the database alone, and there is none.
var ErrNoDatabase = errors.New("there is no database")

func (f DeliveryFilter) args() []any { return []any{f.Hook, f.State, append([]int64{}, f.IDs...)} }

// needs returns why there is no database to work on, or nil.
func (r *Reader) needs() error {
	if r.conn == nil {
		return fmt.Errorf("%w: %w", ErrNoDatabase, r.why)
	}
	return nil
}

// Deliveries lists messages, the one that waits longest first.
func (r *Reader) Deliveries(ctx context.Context, f DeliveryFilter) ([]Delivery, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.needs(); err != nil {
		return nil, err
	}
	limit := any(nil)
	if f.Limit > 0 {
		limit = f.Limit
	}
	rows, err := r.conn.Query(ctx, `SELECT delivery_id, hook, call_id, seq, kind, state, since, due_at, attempts, status, error FROM patchbay.webhook_delivery`+
		whereDelivery+` ORDER BY since, delivery_id LIMIT $4`, append(f.args(), limit)...)
	if err == nil {
		var list []Delivery
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByName[Delivery]); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("read webhooks: %w", err)
}

// Redeliver has messages tried again, at once and for as long as new ones, dead letters too. It returns how many there are.
func (r *Reader) Redeliver(ctx context.Context, f DeliveryFilter) (int64, error) {
	return r.change(ctx, `UPDATE patchbay.webhook_delivery SET state = 'pending', since = now(), due_at = now(), attempts = 0`, f)
}

// Forget removes messages: nobody is told them any more. It returns how many there were.
func (r *Reader) Forget(ctx context.Context, f DeliveryFilter) (int64, error) {
	return r.change(ctx, `DELETE FROM patchbay.webhook_delivery`, f)
}

func (r *Reader) change(ctx context.Context, what string, f DeliveryFilter) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.needs(); err != nil {
		return 0, err
	}
	tag, err := r.conn.Exec(ctx, what+whereDelivery, f.args()...)
	if err != nil {
		return 0, fmt.Errorf("change webhooks: %w", err)
	}
	return tag.RowsAffected(), nil
}
