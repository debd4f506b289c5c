// Package billing keeps the records of calls: a journal on disk that is durable before an action is confirmed, and
// its projection into Postgres, where the record of every call stands exactly once.
package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// Values of Config.Database beside a URL.
const (
	Auto = "auto" // a private Postgres below Dir
	None = "none" // records stay in the journal
)

// Config of a Store. Dir is required; every other zero value means the default named here.
type Config struct {
	Dir      string // holds the journal and the private Postgres
	Database string // "auto" (default), "postgres://…" or "none"
	Node     string // name of this gateway in records; default: the host's name
	Log      *slog.Logger

	CommitWarn   time.Duration // a commit slower than this is a stalled disk: Stalled says so. Default 500 ms
	Reserve      int64         // bytes kept allocated for the calls that run when the disk fills. Default 64 MiB
	MinFree      int64         // less free space than this is an alarm. Default 512 MiB
	SegmentBytes int64         // size of a file of the journal, 256 KiB to 1 GiB. Default a quarter of Reserve, 16 MiB at most
	Buffer       int64         // bytes of events that wait for the disk at most. Default 16 MiB
	Rating       Rating        // without tariffs calls aren't rated

	Retention Retention
	Export    string // folder of what Retention drops; default: export in Dir; None: it isn't kept

	Hooks     []Hook    // who is told of calls; they need a database
	CallsFile CallsFile // likewise

	courierPoll    time.Duration // a test's; 0: one second
	courierPause   time.Duration // likewise
	courierBackOff func(attempts int) time.Duration

	mute bool // what is to be told is left to another time

	now func() time.Time // a test's clock; nil: the wall's
}

// Retention says how long the database keeps records, by what they are; 0 = for ever. Whole months are dropped, once all of them
// is older.
type Retention struct {
	Events  time.Duration // call_event
	Quality time.Duration // leg_quality
	Calls   time.Duration // call, leg
}

func (c Config) defaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("billing: dir is empty, expected a folder")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("billing: dir %q: %w", c.Dir, err)
	}
	c.Dir = dir
	if c.Database == "" {
		c.Database = Auto
	}
	if c.Node == "" {
		if c.Node, err = os.Hostname(); err != nil {
			return c, fmt.Errorf("billing: node is empty and the host has no name: %w", err)
		}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	or := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	or(&c.Reserve, 64<<20)
	or(&c.MinFree, 512<<20)
	or(&c.SegmentBytes, min(16<<20, max(256<<10, c.Reserve/4))) // a full disk has room for one more, or the reserve is none
	or(&c.Buffer, 16<<20)
	if c.CommitWarn == 0 {
		c.CommitWarn = 500 * time.Millisecond
	}
	switch {
	case c.SegmentBytes < 256<<10 || c.SegmentBytes > 1<<30:
		return c, fmt.Errorf("billing: segment size %d bytes, expected %d to %d", c.SegmentBytes, 256<<10, 1<<30)
	case c.Reserve < 0 || c.MinFree < 0 || c.CommitWarn < 0:
		return c, fmt.Errorf("billing: reserve %d, free space %d, commit warning %v: expected none below 0", c.Reserve, c.MinFree, c.CommitWarn)
	case c.Buffer < 64<<10:
		return c, fmt.Errorf("billing: buffer %d bytes, expected at least %d", c.Buffer, 64<<10)
	}
	if c.Database != Auto && c.Database != None {
		if _, err := parseURL(c.Database); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c Config) journalDir() string { return filepath.Join(c.Dir, "journal") }

// exportDir is the folder of what Retention drops; "" if nothing is kept of that.
func (c Config) exportDir() string {
	switch c.Export {
	case None:
		return ""
	case "":
		return filepath.Join(c.Dir, "export")
	}
	return c.Export
}

// Errors of Commit.
var (
	ErrClosed  = errors.New("journal is closed")
	ErrFull    = errors.New("journal has no room")                      // the disk or the buffer is full
	ErrUnknown = errors.New("call is not open in the journal")          // never begun, refused at its begin, or ended
	ErrStart   = errors.New("call must begin with its start, number 1") // of an event
)

// Store is the keeper of records. Its methods are safe for use by many goroutines.
type Store struct {
	cfg       Config
	lock      *os.File
	epoch     uint64
	journal   *journal
	projector *projector // nil if spool only
	prices    *prices    // nil: calls aren't rated
	courier   *courier
	keeper    *keeper  // nil if spool only
	private   *private // nil unless Database is auto and Postgres can be run

	open []*call.Call
	last map[call.ID]lastSign

	cancel context.CancelFunc
	quiet  context.CancelFunc // ends the courier
	told   chan struct{}      // closed when it has ended
	wg     sync.WaitGroup
	once   sync.Once
	err    error // of Close
}

type lastSign struct {
	at   time.Time
	mono int64
}

// Open locks the folder, reads the journal and starts the projection. It never waits for Postgres: that is connected in
// the background. It fails if another process holds the folder, or if the journal can't be read or written at all.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	delivers := cfg
	if cfg.mute {
		delivers.Hooks = nil // nor need their secrets be known
	}
	told, err := newCourier(delivers)
	if err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	lock, err := lockDir(ctx, cfg.Dir, roleServer, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	s := &Store{cfg: cfg, lock: lock, courier: told}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("billing: %w", err), lock.Close())
	}
	return s, nil
}

func (s *Store) start() error {
	var err error
	if s.epoch, err = nextEpoch(s.cfg.Dir); err != nil {
		return err
	}
	if s.journal, err = openJournal(s.cfg); err != nil {
		return err
	}
	s.open, s.last = s.journal.unfinished()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	var source databaseSource
	switch s.cfg.Database {
	case None:
		s.cfg.Log.Info("records stay in the journal: no database is set")
		return nil
	case Auto:
		s.private, err = newPrivate(s.cfg.Dir, s.cfg.Log)
		if err != nil {
			s.cfg.Log.Warn("records stay in the journal until a database can be used", "err", err)
			return nil
		}
		source = s.private.config
		s.wg.Go(func() { s.private.run(ctx) })
	default:
		source = urlSource(s.cfg.Database)
	}
	s.prices = newPrices(s.cfg.Rating)
	s.projector = newProjector(s.cfg, s.epoch, s.journal, source)
	s.projector.prices = s.prices
	s.wg.Go(func() { s.projector.run(ctx) })
	s.keeper = &keeper{cfg: s.cfg, log: s.cfg.Log, source: source, ready: s.journal.stats.connected.Load}
	s.wg.Go(func() { s.keeper.run(ctx) })
	s.startCourier(source)
	return nil
}

// startCourier lets webhooks and the file of finished calls be written. It speaks to the database until Close has ended it.
func (s *Store) startCourier(source databaseSource) {
	if s.cfg.mute || len(s.cfg.Hooks) == 0 && s.cfg.CallsFile.Path == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.quiet, s.told = cancel, make(chan struct{})
	s.courier.wake = s.projector.courier
	s.courier.source, s.courier.ready = source, s.journal.stats.connected.Load
	go func() {
		defer close(s.told)
		s.courier.run(ctx)
	}()
}

// Commit writes the events and returns when they are durable (fdatasync has returned). Events of one call must come in the order
// of their numbers, without gaps; one that came before is not written twice. What an event's data point to is never changed
// again: the projection reads it later.
//
// An error means that the events are not known to be durable. The start of a new call is then forgotten: the call must
// be refused. An event of a call that runs is kept and written as soon as the disk takes it, so that its record still ends.
func (s *Store) Commit(ctx context.Context, events ...call.Event) error {
	return s.journal.commit(ctx, events)
}

// Note writes the event with the next commit, within 50 ms. It never waits. An event that finds the buffer full is
// dropped and counted, and its call's record is marked incomplete. As with Commit, what the event points to stays as it is.
func (s *Store) Note(e call.Event) { s.journal.note(e) }

// Epoch counts the starts on this folder, from 1.
func (s *Store) Epoch() uint64 { return s.epoch }

// Node is the name of this gateway in records.
func (s *Store) Node() string { return s.cfg.Node }

// Stalled reports whether new calls should be refused, and why. Running calls go on.
func (s *Store) Stalled() (bool, string) { return s.journal.stalled() }

// Making reports whether the private Postgres of a folder that had none is being made: until it has been there, or something has gone
// wrong with it. Records are whole all the while, in the journal, but nothing else knows of them.
func (s *Store) Making() bool {
	c := &s.journal.stats
	return s.projector != nil && s.private != nil && s.private.fresh && !s.private.failed.Load() && !c.reached.Load() && c.retries.Load() == 0
}

// Unfinished returns the calls that an earlier epoch left open, oldest first. Whoever ends them commits a RecoveredEnd
// with the number that follows the call's Version.
func (s *Store) Unfinished() []*call.Call { return s.open }

// LastSign is when an unfinished call was last seen alive: the time of its last event, on the wall clock and on the
// monotonic clock of the epoch that wrote it. It's never later than the call's true end.
func (s *Store) LastSign(id call.ID) (at time.Time, mono int64) {
	l := s.last[id]
	return l.at, l.mono
}

// Close writes what is buffered, gives the projection until ctx ends to come up with the journal, and stops the
// private Postgres. What wasn't projected stays in the journal.
func (s *Store) Close(ctx context.Context) error {
	s.once.Do(func() {
		err := s.journal.stopWriting()
		if s.projector != nil {
			s.projector.drain(ctx)
		}
		if s.quiet != nil {
			s.quiet()
			<-s.told
		}
		if s.cancel != nil {
			s.cancel()
		}
		s.wg.Wait()
		s.err = errors.Join(err, s.journal.close(), s.lock.Close())
	})
	return s.err
}
