package billing

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/billing/ndjson"
	"github.com/patchbay/patchbay/billing/webhook"
	"github.com/patchbay/patchbay/gateway/call"
)

const (
	courierAgent  = "Patchbay webhook"
	courierPoll   = time.Second // how often it's looked whether a message is due again
	courierGrace  = 3 * time.Second
	courierBatch  = 500 // lines of the file at a time
	courierBound  = 10 * time.Second
	defaultGiveUp = 24 * time.Hour

	inTrouble  = 3                      // attempts in a row that failed: one message at a time, with pauses
	pauseMin   = 200 * time.Millisecond // of a target that is in trouble
	pauseMost  = 150                    // times as long at most
	deadFor    = 30 * 24 * time.Hour    // dead letters are kept
	orphansFor = 7 * 24 * time.Hour     // messages wait for a hook that nobody has any more
)

// CallsFile is where finished calls are written, a line of JSON each; none if Path is empty.
type CallsFile struct {
	Path    string
	MaxSize int64 // bytes
	MaxAge  time.Duration
	Keep    int
}

// courier delivers what the projector has left in patchbay.webhook_delivery: one goroutine that speaks to the database, and one for each
// message on its way. A message goes from the table once it's known to be delivered: whatever dies in between, it is
// told again. Of a call only the oldest is on its way.
type courier struct {
	cfg    Config
	log    *slog.Logger
	source databaseSource
	ready  func() bool
	wake   chan struct{} // the projector has left something
	poll   time.Duration
	pause  time.Duration // of a target in trouble, the first
	backOf func(attempt int) time.Duration
	stats  courierStats

	conn    *pgx.Conn
	targets []*target
	file    *callsFile // nil: none
	done    []delivered
	results chan delivered
	posts   sync.WaitGroup
	cared   time.Time
}

type courierStats struct{ delivered, failed, dead, lines atomic.Uint64 }

// target is a hook as the courier sees it.
type target struct {
	Hook
	client *webhook.Client
	owned  bool // this process delivers to it, none of the others on the same database
	busy   map[int64]uuid.UUID
	fails  int // attempts in a row that found it in trouble
	until  time.Time
}

type delivery struct {
	ID       int64     `db:"delivery_id"`
	Call     uuid.UUID `db:"call_id"`
	Seq      int64     `db:"seq"`
	Body     string    `db:"body"`
	Attempts int       `db:"attempts"`
	Since    time.Time `db:"since"`
}

// delivered is what became of an attempt.
type delivered struct {
	to  *target
	d   delivery
	err error
}

func newCourier(cfg Config) (*courier, error) {
	c := &courier{cfg: cfg, log: cfg.Log, poll: cfg.courierPoll, pause: cfg.courierPause, backOf: cfg.courierBackOff}
	if c.poll == 0 {
		c.poll = courierPoll
	}
	if c.pause == 0 {
		c.pause = pauseMin
	}
	if c.backOf == nil {
		c.backOf = backOff
	}
	total := 0
	for _, h := range cfg.Hooks {
		if h.Parallel <= 0 {
			h.Parallel = 4
		}
		if h.GiveUp <= 0 {
			h.GiveUp = defaultGiveUp
		}
		total += h.Parallel
		client, err := webhook.New(h.Target, courierAgent)
		if err != nil {
			return nil, fmt.Errorf("webhook %s: %w", h.ID, err)
		}
		c.targets = append(c.targets, &target{Hook: h, client: client, busy: make(map[int64]uuid.UUID)})
	}
	c.results = make(chan delivered, total)
	if f := cfg.CallsFile; f.Path != "" {
		c.file = &callsFile{cfg: ndjson.Config{Path: f.Path, MaxSize: f.MaxSize, MaxAge: f.MaxAge, Keep: f.Keep, Born: bornOf}}
	}
	return c, nil
}

// backOff is how long a message waits after so many attempts that failed: from about 2 s to an hour.
func backOff(attempts int) time.Duration {
	d := min(time.Hour, 2*time.Second<<min(attempts-1, 11))
	return d/2 + rand.N(d)
}

// run delivers until ctx ends; messages that are on their way then have a moment to arrive.
func (c *courier) run(ctx context.Context) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer c.stop(out, cancel)
	wait := c.poll
	for {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case d := <-c.results:
			c.done = append(c.done, d)
		case <-c.wake:
		case <-t.C:
		}
		t.Stop()
		if !c.ready() {
			wait = c.poll
			continue
		}
		err := c.round(ctx, out)
		if err == nil {
			wait = c.poll
			continue
		}
		if ctx.Err() == nil {
			c.log.Warn("webhooks and the file of calls wait", "err", err)
		}
		c.disconnect()
		wait = min(30*time.Second, 2*wait)
	}
}

func (c *courier) stop(out context.Context, cancel func()) {
	still := make(chan struct{})
	go func() { c.posts.Wait(); close(still) }()
	select {
	case <-still:
	case <-time.After(courierGrace):
	}
	cancel()
	<-still
	if ctx, end := context.WithTimeout(context.WithoutCancel(out), courierGrace); c.conn != nil {
		c.collect()
		_ = errors.Join(c.settle(ctx), c.writeLines(ctx)) // what isn't noted is delivered again
		end()
	} else {
		end()
	}
	c.disconnect()
	for _, t := range c.targets {
		t.client.Close()
	}
	c.file.close()
}

// round notes what was delivered and sends what is due.
func (c *courier) round(ctx, out context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, courierBound)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return err
	}
	c.collect()
	if err := c.settle(ctx); err != nil {
		return err
	}
	for _, t := range c.targets {
		if err := c.send(ctx, out, t); err != nil {
			return err
		}
	}
	if err := c.writeLines(ctx); err != nil {
		return err
	}
	return c.care(ctx)
}

func (c *courier) collect() {
	for {
		select {
		case d := <-c.results:
			c.done = append(c.done, d)
		default:
			return
		}
	}
}

func (c *courier) connect(ctx context.Context) error {
	if c.conn == nil {
		cfg, err := c.source(ctx)
		if err != nil {
			return err
		}
		if c.conn, err = connect(ctx, cfg); err != nil {
			c.conn = nil
			return err
		}
	}
	for _, t := range c.targets {
		if t.owned {
			continue
		}
		if err := c.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, hookLock(t.ID)).Scan(&t.owned); err != nil {
			return err
		}
	}
	if c.file != nil && !c.file.owned {
		if err := c.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, hookLock(fileHook(c.cfg.Node))).Scan(&c.file.owned); err != nil {
			return err
		}
	}
	return nil
}

// hookLock is the advisory lock of who delivers to a hook: it ends with its connection.
func hookLock(id string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("patchbay webhook " + id))
	return int64(h.Sum64())
}

func (c *courier) disconnect() {
	if c.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.conn.Close(ctx)
		c.conn = nil
	}
	for _, t := range c.targets {
		t.owned = false
	}
	if c.file != nil {
		c.file.owned = false
	}
}

const selectDue = `SELECT d.delivery_id, d.call_id, d.seq, d.body, d.attempts, d.since FROM patchbay.webhook_delivery d
WHERE d.hook = $1 AND d.state = 'pending' AND d.due_at <= now() AND d.call_id <> ALL ($2::uuid[])
AND NOT EXISTS (SELECT FROM patchbay.webhook_delivery e WHERE e.hook = d.hook AND e.call_id = d.call_id AND e.seq < d.seq AND e.state = 'pending')
ORDER BY d.due_at, d.delivery_id LIMIT $3`

// send starts what is due to a target, as far as it takes more. One that is in trouble is asked by one message at a time, with pauses.
func (c *courier) send(ctx, out context.Context, t *target) error {
	free := t.Parallel - len(t.busy)
	if t.fails >= inTrouble {
		free = 1 - len(t.busy)
	}
	if !t.owned || free <= 0 || time.Now().Before(t.until) {
		return nil
	}
	busy := make([]uuid.UUID, 0, len(t.busy))
	for _, id := range t.busy {
		busy = append(busy, id)
	}
	rows, err := c.conn.Query(ctx, selectDue, t.ID, busy, free)
	if err != nil {
		return fmt.Errorf("read webhooks: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[delivery])
	if err != nil {
		return fmt.Errorf("read webhooks: %w", err)
	}
	for _, d := range list {
		t.busy[d.ID] = d.Call
		c.posts.Go(func() {
			c.results <- delivered{t, d, t.client.Post(out, messageID(call.ID(d.Call), uint64(d.Seq)), []byte(d.Body))}
		})
	}
	return nil
}

const (
	deleteDelivered = `DELETE FROM patchbay.webhook_delivery WHERE delivery_id = ANY($1)`
	// The call's later messages wait with it, so that nobody looks at them in vain.
	postponeDelivery = `WITH f AS (UPDATE patchbay.webhook_delivery SET attempts = attempts + 1, due_at = $2, status = $3, error = $4, state = $5 WHERE delivery_id = $1
RETURNING hook, call_id, seq, state)
UPDATE patchbay.webhook_delivery d SET due_at = $2 FROM f WHERE f.state = 'pending' AND d.hook = f.hook AND d.call_id = f.call_id AND d.seq > f.seq AND d.state = 'pending'`
)

// settle writes down what became of messages. Until it has, they stay noted here and aren't sent again.
func (c *courier) settle(ctx context.Context) error {
	if len(c.done) == 0 {
		return nil
	}
	var b pgx.Batch
	var ids []int64
	for _, r := range c.done {
		if r.err == nil {
			ids = append(ids, r.d.ID)
			continue
		}
		due, state := time.Now().Add(c.backOf(r.d.Attempts+1)), "pending"
		status := any(nil)
		if x := new(webhook.Refused); errors.As(r.err, &x) {
			status = x.Status
			if at := time.Now().Add(x.After); at.After(due) {
				due = at
			}
		}
		switch last := r.d.Since.Add(r.to.GiveUp); {
		case !time.Now().Before(last):
			state = "dead"
		case due.After(last):
			due = last
		}
		b.Queue(postponeDelivery, r.d.ID, due, status, clip(clean(r.err.Error()), 500), state)
	}
	b.Queue(deleteDelivered, ids)
	if err := pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error { return tx.SendBatch(ctx, &b).Close() }); err != nil {
		return fmt.Errorf("note delivered webhooks: %w", err)
	}
	for _, r := range c.done {
		c.outcome(r)
	}
	c.done = nil
	return nil
}

// outcome is what a settled attempt means for its target.
func (c *courier) outcome(r delivered) {
	delete(r.to.busy, r.d.ID)
	if r.err == nil {
		c.stats.delivered.Add(1)
		if r.to.fails >= inTrouble {
			c.log.Info("a webhook is delivered to again", "hook", r.to.ID)
		}
		r.to.fails, r.to.until = 0, time.Time{}
		return
	}
	c.stats.failed.Add(1)
	if !time.Now().Before(r.d.Since.Add(r.to.GiveUp)) {
		c.stats.dead.Add(1)
		c.log.Error("a webhook is given up: it goes to the dead letters", "hook", r.to.ID, "call", r.d.Call, "seq", r.d.Seq, "err", r.err)
	}
	if x := new(webhook.Refused); errors.As(r.err, &x) && !x.Busy() {
		c.log.Warn("a webhook's target refuses a message", "hook", r.to.ID, "call", r.d.Call, "seq", r.d.Seq, "err", r.err)
		return
	}
	if r.to.fails++; r.to.fails == inTrouble {
		c.log.Warn("a webhook's target is in trouble; its messages wait", "hook", r.to.ID, "err", r.err)
	}
	if r.to.fails < inTrouble {
		return
	}
	pause := min(pauseMost*c.pause, c.pause<<min(r.to.fails-inTrouble, 10))
	r.to.until = time.Now().Add(pause/2 + rand.N(pause))
}

func clip(s string, most int) string {
	if len(s) > most {
		return clean(s[:most])
	}
	return s
}

// care keeps the table bounded.
func (c *courier) care(ctx context.Context) error {
	if time.Since(c.cared) < time.Hour {
		return nil
	}
	c.cared = time.Now()
	own := ""
	if c.file != nil {
		own = fileHook(c.cfg.Node) // nothing takes the place of a line
	}
	if _, err := c.conn.Exec(ctx, `UPDATE patchbay.webhook_delivery SET state = 'dead', error = COALESCE(error, 'nobody has delivered it') WHERE state = 'pending' AND since < $1 AND hook <> $2`,
		time.Now().Add(-orphansFor), own); err != nil {
		return err
	}
	_, err := c.conn.Exec(ctx, `DELETE FROM patchbay.webhook_delivery WHERE state = 'dead' AND since < $1`, time.Now().Add(-deadFor))
	return err
}
