package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/gateway/call"
)

const (
	batchEvents  = 2000
	batchDelay   = 200 * time.Millisecond // an event waits this long for company
	batchTimeout = 30 * time.Second
	backoffMin   = 50 * time.Millisecond
	backoffMax   = 5 * time.Second

	activationPoll = time.Second // how often new prices are looked for while no call ends
)

// projector carries events from the journal to Postgres: one goroutine, one connection, one transaction per batch.
type projector struct {
	cfg     Config
	log     *slog.Logger
	epoch   uint64
	journal *journal
	source  databaseSource
	prices  *prices // nil: calls aren't rated
	batch   int     // events that one transaction is for at most

	conn    *pgx.Conn
	months  map[month]bool // whose partitions are there
	cur     cursor
	calls   map[call.ID]*builder // open as far as the cursor has come
	work    *work                // read, but not known to be in the database
	done    uint64               // lsn that the database is known to hold
	began   bool                 // connected once
	moved   bool                 // a batch was written since the last failure
	told    bool                 // the batch has something for the courier
	courier chan struct{}        // that wakes it
	after   func(stage string)   // called behind each step of a batch; tests interrupt there

	draining chan struct{}
	finished chan struct{}
}

func newProjector(cfg Config, epoch uint64, j *journal, source databaseSource) *projector {
	j.follow(true)
	return &projector{cfg: cfg, log: cfg.Log, epoch: epoch, journal: j, source: source, batch: batchEvents, after: func(string) {}, courier: make(chan struct{}, 1),
		calls: make(map[call.ID]*builder), draining: make(chan struct{}), finished: make(chan struct{})}
}

// drain waits until the database holds everything, or ctx ends.
func (p *projector) drain(ctx context.Context) {
	close(p.draining)
	select {
	case <-p.finished:
	case <-ctx.Done():
		p.log.Warn("the database doesn't hold every record yet; the journal keeps the rest")
	}
}

// run projects until ctx ends, or all is drained.
func (p *projector) run(ctx context.Context) {
	defer close(p.finished)
	defer p.journal.follow(false)
	defer p.disconnect()
	var wait time.Duration
	for ctx.Err() == nil {
		err := p.follow(ctx)
		switch {
		case err == nil:
			return // drained
		case errors.Is(err, errNoDatabase):
			p.log.Warn("records stay in the journal until a database can be used", "err", err)
			return
		case ctx.Err() != nil:
			return
		}
		was := p.conn != nil
		p.disconnect()
		p.journal.stats.retries.Add(1)
		if p.moved {
			p.moved, wait = false, 0
		}
		switch {
		case was:
			p.log.Warn("the database failed; records wait in the journal", "err", err)
		case wait >= backoffMax:
			p.log.Warn("the database is still away; records wait in the journal", "err", err)
		default:
			p.log.Debug("the database is away", "err", err)
		}
		wait = min(backoffMax, max(backoffMin, 2*wait))
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// follow connects and projects until something fails; nil means that all was drained.
func (p *projector) follow(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	months := time.NewTicker(time.Hour)
	defer months.Stop()
	var activations <-chan time.Time
	if p.prices != nil {
		t := time.NewTicker(activationPoll)
		defer t.Stop()
		activations = t.C
	}
	for {
		if p.work == nil {
			if err := p.next(); err != nil {
				return err
			}
		}
		if p.work != nil {
			if err := p.write(ctx); err != nil {
				return err
			}
			continue
		}
		p.journal.stats.oldest.Store(0)
		draining := p.draining
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.draining:
			if p.journal.behind(p.cur.want) == 0 {
				return nil
			}
			continue
		case <-p.journal.grown:
		case <-activations:
			if err := p.reprice(ctx, time.Now()); err != nil {
				return err
			}
			continue
		case <-months.C: // partitions for the month to come
			if err := p.ensure(ctx, nil); err != nil {
				return err
			}
		}
		p.gather(ctx, draining)
	}
}

// gather waits until a batch is full or its first event has waited long enough.
func (p *projector) gather(ctx context.Context, draining <-chan struct{}) {
	t := time.NewTimer(batchDelay)
	defer t.Stop()
	p.journal.enough.Store(p.cur.want + uint64(p.batch) - 1)
	defer p.journal.enough.Store(0)
	for p.journal.behind(p.cur.want) < uint64(p.batch) {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case <-draining:
			return
		case <-p.journal.grown:
		}
	}
}

// behind counts the durable records from want on.
func (j *journal) behind(want uint64) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable + 1 - min(j.durable+1, max(1, want))
}

// connect brings the projector and the database to a common place.
func (p *projector) connect(ctx context.Context) error {
	cfg, err := p.source(ctx)
	if err != nil {
		return err
	}
	begin, cancel := context.WithTimeout(ctx, 2*batchTimeout)
	p.conn, err = connect(begin, cfg)
	cancel()
	if err != nil {
		return err
	}
	if !p.began { // it takes as long as millions of calls need
		if err := migrate(ctx, cfg, p.conn); err != nil {
			return err
		}
	}
	ctx, cancel = context.WithTimeout(ctx, 2*batchTimeout)
	defer cancel()
	p.months = make(map[month]bool)
	if err := p.ensure(ctx, nil); err != nil {
		return err
	}
	if p.prices != nil {
		if err := p.reprice(ctx, time.Now()); err != nil {
			return err
		}
		if missing := p.prices.missing(time.Now()); len(missing) > 0 {
			p.log.Warn("calls have no price: decks are not active", "decks", missing)
		}
	}
	var held int64
	err = p.conn.QueryRow(ctx, `SELECT last_lsn FROM patchbay.ingest WHERE node_id = $1 AND journal = $2`, p.cfg.Node, p.journal.id).Scan(&held)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read patchbay.ingest: %w", err)
	}
	p.resume(uint64(held))
	p.began = true
	p.journal.stats.connected.Store(true)
	p.journal.stats.reached.Store(true)
	p.log.Info("records go to the database", "host", cfg.Host, "database", cfg.Database, "behind", p.journal.behind(uint64(held)+1))
	return nil
}

// resume goes on behind the record that the database holds last.
func (p *projector) resume(held uint64) {
	switch {
	case held > p.journal.end():
		// This journal was set back to an older copy. Its records are projected again, which changes no row that is there.
		p.log.Warn("the database has seen a later state of this journal", "held", held, "journal", p.journal.end())
		held = 0
		p.rewind()
	case p.work != nil && held >= p.work.last:
		p.work = nil // its COMMIT had come through
	case held < p.done:
		p.log.Warn("the database was set back to an older state: the journal is projected again from there", "held", held, "was", p.done)
		p.rewind()
	}
	p.done = held
	p.journal.projectedTo(held)
}

func (p *projector) rewind() {
	p.cur, p.work, p.calls = cursor{}, nil, make(map[call.ID]*builder)
}

func (j *journal) end() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

func (p *projector) disconnect() {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := p.conn.Close(ctx); err != nil {
		p.log.Debug("close database connection", "err", err)
	}
	p.conn = nil
	p.journal.stats.connected.Store(false)
}

// reprice reads decks that were activated. Prices that can't be read keep no record from the database.
func (p *projector) reprice(ctx context.Context, oldest time.Time) error {
	err := p.prices.refresh(ctx, p.conn, oldest)
	if err != nil && !p.conn.IsClosed() && ctx.Err() == nil {
		p.log.Error("decks can't be read: calls are rated by those that were read before", "err", err)
		return nil
	}
	return err
}

// ensure makes the partitions of this month, the next, and those given.
func (p *projector) ensure(ctx context.Context, also map[month]bool) error {
	var missing []month
	now := monthOf(p.cfg.now())
	want := map[month]bool{now: true, now.next(): true}
	for m := range also {
		want[m] = true
	}
	for m := range want {
		if !p.months[m] && m.usable() {
			missing = append(missing, m)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := makePartitions(ctx, p.conn, missing); err != nil {
		return err
	}
	for _, m := range missing {
		p.months[m] = true
	}
	return nil
}
