package billing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/rating"
)

// Deck is a version of prices as it is kept.
type Deck struct {
	Name          string     `json:"name"`
	Version       int        `json:"version"`
	Currency      string     `json:"currency"`
	File          string     `json:"file"`
	Rates         int        `json:"rates"`
	ImportedAt    time.Time  `json:"importedAt"`
	EffectiveFrom *time.Time `json:"effectiveFrom,omitempty"` // until the next version's; nil: staged
	ActivatedAt   *time.Time `json:"activatedAt,omitempty"`

	id int64
}

const (
	deckColumns = `deck_id, name, version, currency, file, rates, imported_at, effective_from, activated_at`
	deckLock    = 0x7061746368646b // of versions' numbers
)

// Errors of decks.
var (
	ErrNoDeck    = errors.New("no such deck")
	ErrActivated = errors.New("the version is active already")
)

func scanDeck(row pgx.CollectableRow) (d Deck, err error) {
	err = row.Scan(&d.id, &d.Name, &d.Version, &d.Currency, &d.File, &d.Rates, &d.ImportedAt, &d.EffectiveFrom, &d.ActivatedAt)
	d.ImportedAt = d.ImportedAt.UTC()
	utc(d.EffectiveFrom, d.ActivatedAt)
	return d, err
}

// Decks are all versions, by name and version.
func (r *Reader) Decks(ctx context.Context) ([]Deck, error) {
	if r.conn == nil {
		return nil, fmt.Errorf("decks are in the database: %w", r.why)
	}
	rows, err := r.conn.Query(ctx, `SELECT `+deckColumns+` FROM patchbay.deck ORDER BY name, version`)
	if err != nil {
		return nil, missingIsEmpty(err)
	}
	list, err := pgx.CollectRows(rows, scanDeck)
	return list, missingIsEmpty(err)
}

// Deck is a version of a deck; 0 is the one that holds now, -1 the last that was imported. It gives ErrNoDeck.
func (r *Reader) Deck(ctx context.Context, name string, version int) (Deck, error) {
	list, err := r.Decks(ctx)
	if err != nil {
		return Deck{}, err
	}
	var found *Deck
	for i, d := range list {
		if d.Name != name {
			continue
		}
		holds := d.EffectiveFrom != nil && !d.EffectiveFrom.After(time.Now())
		switch {
		case version > 0 && d.Version == version, version < 0,
			version == 0 && holds && (found == nil || d.EffectiveFrom.After(*found.EffectiveFrom)):
			found = &list[i]
		}
	}
	switch {
	case found != nil:
		return *found, nil
	case version == 0:
		return Deck{}, fmt.Errorf("%w: no version of %s is active", ErrNoDeck, name)
	case version < 0:
		return Deck{}, fmt.Errorf("%w: %s", ErrNoDeck, name)
	}
	return Deck{}, fmt.Errorf("%w: %s has no version %d", ErrNoDeck, name, version)
}

// Rates are the rows of a version, by prefix, window and step.
func (r *Reader) Rates(ctx context.Context, d Deck) ([]rating.Rate, error) {
	return loadRates(ctx, r.conn, d.id)
}

// Prices is the version for rating.
func (r *Reader) Prices(ctx context.Context, d Deck) (*rating.Deck, error) {
	return loadDeck(ctx, r.conn, d)
}

func loadDeck(ctx context.Context, conn *pgx.Conn, d Deck) (*rating.Deck, error) {
	rows, err := loadRates(ctx, conn, d.id)
	if err != nil {
		return nil, err
	}
	return rating.NewDeck(d.Name, d.Version, d.Currency, rows)
}

func loadRates(ctx context.Context, conn *pgx.Conn, id int64) ([]rating.Rate, error) {
	rows, err := conn.Query(ctx, `SELECT prefix, time_window, from_sec, destination, price::text, inc_first, inc_next, min_sec, free_sec, connect_fee::text,
min_charge::text, max_cost::text, blocked FROM patchbay.rate WHERE deck_id = $1 ORDER BY prefix, time_window, from_sec`, id)
	if err != nil {
		return nil, fmt.Errorf("read rates: %w", err)
	}
	names := map[string]string{} // one copy of each destination
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v rating.Rate, err error) {
		var price, fee, least, most string
		if err := row.Scan(&v.Prefix, &v.Window, &v.From, &v.Destination, &price, &v.First, &v.Next, &v.MinSeconds, &v.Free, &fee, &least, &most, &v.Blocked); err != nil {
			return v, err
		}
		if known, ok := names[v.Destination]; ok {
			v.Destination = known
		} else {
			names[v.Destination] = v.Destination
		}
		for _, x := range [...]struct {
			to *decimal.Decimal
			s  string
		}{{&v.Price, price}, {&v.Fee, fee}, {&v.MinCharge, least}, {&v.MaxCost, most}} {
			d, err := decimal.NewFromString(x.s)
			if err != nil {
				return v, err
			}
			if !d.IsZero() {
				*x.to = trim(d)
			}
		}
		return v, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read rates: %w", err)
	}
	return out, nil
}

// trim takes off the zeros that the column's scale puts behind a number.
func trim(d decimal.Decimal) decimal.Decimal {
	for d.Exponent() < 0 {
		q, rest := d.QuoRem(decimal.New(1, d.Exponent()+1), 0)
		if !rest.IsZero() {
			return d
		}
		d = decimal.NewFromBigInt(q.BigInt(), d.Exponent()+1)
	}
	return d
}

// Import keeps a file of prices as the next version of a deck. It isn't used before it is activated.
func (r *Reader) Import(ctx context.Context, name, currency, file string, content []byte) (Deck, error) {
	rows, err := rating.ReadCSV(bytes.NewReader(content))
	if err != nil {
		return Deck{}, fmt.Errorf("%s:\n%w", file, err)
	}
	if _, err := rating.NewDeck(name, 1, currency, rows); err != nil {
		return Deck{}, err
	}
	sum := sha256.Sum256(content)
	d := Deck{Name: name, Currency: currency, File: file, Rates: len(rows)}
	err = pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(deckLock)); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `INSERT INTO patchbay.deck (name, version, currency, file, sha256, rates)
SELECT $1, COALESCE(max(version), 0) + 1, $2, $3, $4, $5 FROM patchbay.deck WHERE name = $1 RETURNING deck_id, version, imported_at`,
			name, currency, file, sum[:], len(rows)).Scan(&d.id, &d.Version, &d.ImportedAt)
		if err != nil {
			return err
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"patchbay", "rate"}, []string{"deck_id", "prefix", "time_window", "from_sec", "destination", "price",
			"inc_first", "inc_next", "min_sec", "free_sec", "connect_fee", "min_charge", "max_cost", "blocked"},
			pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
				v := &rows[i]
				return []any{d.id, v.Prefix, v.Window, v.From, v.Destination, v.Price.String(), v.First, v.Next, v.MinSeconds, v.Free, v.Fee.String(),
					v.MinCharge.String(), v.MaxCost.String(), v.Blocked}, nil
			}))
		return err
	})
	if err != nil {
		return Deck{}, fmt.Errorf("import deck %s: %w", name, err)
	}
	d.ImportedAt = d.ImportedAt.UTC()
	return d, nil
}

// Activate lets a version hold from an instant on, until that of the next. It gives ErrActivated.
func (r *Reader) Activate(ctx context.Context, d Deck, from time.Time) (Deck, error) {
	if d.EffectiveFrom != nil {
		return d, fmt.Errorf("deck %s version %d: %w, from %s", d.Name, d.Version, ErrActivated, d.EffectiveFrom.Format(time.RFC3339))
	}
	from = from.UTC().Truncate(time.Microsecond)
	rows, err := r.conn.Query(ctx, `UPDATE patchbay.deck SET effective_from = $2, activated_at = now() WHERE deck_id = $1 RETURNING `+deckColumns, d.id, from)
	if err == nil {
		var out Deck
		if out, err = pgx.CollectExactlyOneRow(rows, scanDeck); err == nil {
			return out, nil
		}
	}
	if sqlState(err) == "23505" {
		return d, fmt.Errorf("another version of deck %s holds from %s on, expected another instant", d.Name, from.Format(time.RFC3339Nano))
	}
	return d, fmt.Errorf("activate deck %s version %d: %w", d.Name, d.Version, err)
}

// DeckAt is the version of a deck that holds at an instant. It gives ErrNoDeck.
func (r *Reader) DeckAt(ctx context.Context, name string, at time.Time) (Deck, error) {
	list, err := r.Decks(ctx)
	if err != nil {
		return Deck{}, err
	}
	var found *Deck
	for i, d := range list {
		if d.Name == name && d.EffectiveFrom != nil && !d.EffectiveFrom.After(at) && (found == nil || d.EffectiveFrom.After(*found.EffectiveFrom)) {
			found = &list[i]
		}
	}
	if found == nil {
		return Deck{}, fmt.Errorf("%w: no version of %s holds at %s", ErrNoDeck, name, at.Format(time.RFC3339))
	}
	return *found, nil
}
