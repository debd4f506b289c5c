package billing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing/rating"
)

// Rating says which tariffs calls are rated by. Tariffs are named by their ids.
type Rating struct {
	Tariffs  []*rating.Tariff
	Users    map[string]string // what a user pays for calls through trunks; where there is none, the tenant's
	Tenants  map[string]string
	Trunks   map[string]string // what we pay for calls through a trunk
	Sources  map[string]string // what a trunk pays for calls that it brings and that go out through another
	In       Parties           // of calls that come in: what is paid by who takes them, and by us to the trunks
	Internal Parties           // of calls between parties of the house; no trunk has a part in them
	Runs     []Run
	Currency string                     // the house's
	FX       map[string]decimal.Decimal // units of the house's currency for one of another
}

// Parties have tariffs, by their ids. Where a user has none, it is the tenant's.
type Parties struct{ Users, Tenants, Trunks map[string]string }

// Run is another rating of calls, beside what is sold and bought: a reseller's.
type Run struct {
	Name, Tariff  string
	Tenant, Trunk string // whose calls; "" = all
}

func (r *Rating) tariff(id string) *rating.Tariff {
	for _, t := range r.Tariffs {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// prices are the decks in memory.
type prices struct {
	cfg  Rating
	mu   sync.Mutex // one refresh at a time
	book atomic.Pointer[book]
}

// book is the decks as they were at one moment.
type book struct {
	generation int64
	since      time.Time // versions that have held since then are there
	decks      map[string][]validity
}

// validity is from when a version holds: until the next does.
type validity struct {
	id   int64
	from time.Time
	deck *rating.Deck
}

// pricesBack is how far back the versions reach that are kept in memory.
const pricesBack = 48 * time.Hour

func newPrices(cfg Rating) *prices {
	if len(cfg.Tariffs) == 0 {
		return nil
	}
	return &prices{cfg: cfg}
}

// at is the version of a deck that holds at an instant; nil: none does.
func (b *book) at(name string, t time.Time) *rating.Deck {
	var d *rating.Deck
	for _, v := range b.decks[name] {
		if !v.from.After(t) {
			d = v.deck
		}
	}
	return d
}

// refresh reads what was activated since, so that calls that were answered at the given time, or later, can be rated.
func (p *prices) refresh(ctx context.Context, conn *pgx.Conn, oldest time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Activations are never taken back: their number tells whether there are others.
	var generation int64
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM patchbay.deck WHERE effective_from IS NOT NULL`).Scan(&generation); err != nil {
		return fmt.Errorf("read decks: %w", err)
	}
	old := p.book.Load()
	since := time.Now().Add(-pricesBack)
	if oldest.Before(since) {
		since = oldest
	}
	if old != nil && old.generation == generation && !oldest.Before(old.since) {
		return nil
	}
	fresh := &book{generation: generation, since: since, decks: map[string][]validity{}}
	var names []string
	for _, t := range p.cfg.Tariffs {
		names = append(names, t.Deck)
	}
	known := map[int64]*rating.Deck{}
	if old != nil {
		for _, list := range old.decks {
			for _, v := range list {
				known[v.id] = v.deck
			}
		}
	}
	list, err := activated(ctx, conn, names, since)
	if err != nil {
		return err
	}
	for _, d := range list {
		v := validity{id: d.id, from: *d.EffectiveFrom, deck: known[d.id]}
		if v.deck == nil {
			if v.deck, err = loadDeck(ctx, conn, d); err != nil {
				return err
			}
		}
		fresh.decks[d.Name] = append(fresh.decks[d.Name], v)
	}
	p.book.Store(fresh)
	return nil
}

// activated are the versions of decks that hold, or held since then, or will, by the time from which they do.
func activated(ctx context.Context, conn *pgx.Conn, names []string, since time.Time) ([]Deck, error) {
	rows, err := conn.Query(ctx, `SELECT `+deckColumns+` FROM (SELECT *, lead(effective_from) OVER (PARTITION BY name ORDER BY effective_from) AS until
FROM patchbay.deck WHERE effective_from IS NOT NULL AND name = ANY($1)) d WHERE until IS NULL OR until > $2 ORDER BY name, effective_from`, names, since)
	if err != nil {
		return nil, fmt.Errorf("read decks: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanDeck)
	if err != nil {
		return nil, fmt.Errorf("read decks: %w", err)
	}
	return list, nil
}

// Quote is what a call to a number costs by a tariff at this moment.
type Quote struct {
	Tariff, Prefix, Destination, Currency string
	PerMinute                             decimal.Decimal
	Minute                                decimal.Decimal // what a call of a minute costs, with its fee and whole units
	Blocked                               bool
	Talk                                  time.Duration // the tariff ends the call after; 0 = it doesn't
}

// Payer is who would pay for a call.
type Payer struct {
	User   string // id; "" = none
	Trunk  string // that brought a call for which no user pays
	Tenant string
}

// Sell is what a call through a trunk would be charged with. Without a tariff, a price or a database known is false.
func (s *Store) Sell(p Payer, number string) (q Quote, known bool) {
	if s.prices == nil {
		return q, false
	}
	cfg, id := &s.prices.cfg, ""
	if p.User != "" {
		id = cfg.Users[p.User]
	} else if p.Trunk != "" {
		id = cfg.Sources[p.Trunk]
	}
	return s.prices.quote(cmp.Or(id, cfg.Tenants[p.Tenant]), number, time.Now())
}

// InHouse is an amount in the house's currency; false if what the other is worth isn't known.
func (s *Store) InHouse(amount decimal.Decimal, currency string) (decimal.Decimal, bool) {
	if s.prices == nil {
		return amount, false
	}
	return s.prices.cfg.house(amount, currency)
}

func (r *Rating) house(amount decimal.Decimal, currency string) (decimal.Decimal, bool) {
	if currency == r.Currency {
		return amount, true
	}
	f, known := r.FX[currency]
	return amount.Mul(f), known
}

// Buy is what a call through a trunk would cost us.
func (s *Store) Buy(trunk, number string) (q Quote, known bool) {
	if s.prices == nil {
		return q, false
	}
	return s.prices.quote(s.prices.cfg.Trunks[trunk], number, time.Now())
}

func (p *prices) quote(id, number string, at time.Time) (q Quote, known bool) {
	t, b := p.cfg.tariff(id), p.book.Load()
	if t == nil || b == nil {
		return q, false
	}
	d := b.at(t.Deck, at)
	if d == nil {
		return q, false
	}
	r, err := t.Rate(d, rating.Call{Number: number, At: at, Answered: true, Talk: time.Minute})
	if err != nil {
		return q, false
	}
	q = Quote{Tariff: id, Prefix: r.Prefix, Destination: r.Destination, Currency: d.Currency, PerMinute: r.Price, Minute: r.Amount, Blocked: r.Blocked}
	if talk, bounded := t.Limit(d, number, at); bounded {
		q.Talk = max(talk, time.Second)
	}
	return q, true
}

// missing are the names of decks that tariffs need and of which no version holds.
func (p *prices) missing(at time.Time) []string {
	b := p.book.Load()
	if b == nil {
		b = &book{}
	}
	var out []string
	for _, t := range p.cfg.Tariffs {
		if b.at(t.Deck, at) == nil && !slices.Contains(out, t.Deck) {
			out = append(out, t.Deck)
		}
	}
	return out
}
