package billing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/gateway/call"
)

// audit compares the database with the stories that were committed: every event, call and leg once, and equal.
func audit(t testing.TB, url string, stories [][]call.Event) {
	t.Helper()
	c := dial(t, url)
	var events, calls, legs, dead, distinct int
	err := c.QueryRow(context.Background(), `SELECT (SELECT count(*) FROM patchbay.call_event), (SELECT count(DISTINCT (call_id, seq)) FROM patchbay.call_event),
(SELECT count(*) FROM patchbay.call), (SELECT count(*) FROM patchbay.leg), (SELECT count(*) FROM patchbay.dead_letter)`).Scan(&events, &distinct, &calls, &legs, &dead)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, s := range stories {
		want += len(s)
	}
	if events != want || distinct != want || calls != len(stories) || legs != 2*len(stories) || dead != 0 {
		t.Fatalf("%d events (%d distinct), %d calls, %d legs, %d dead letters; expected %d, %d, %d, none", events, distinct, calls, legs, dead, want, len(stories), 2*len(stories))
	}
	r, err := OpenReader(context.Background(), Config{Dir: t.TempDir(), Database: url, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	got, err := r.List(context.Background(), Filter{Limit: maxLimit})
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[call.ID]*call.Call)
	for _, c := range got {
		by[c.ID] = c
	}
	for _, s := range stories {
		equal(t, by[s[0].Call], build(s))
	}
}

// equal compares a record read from rows with the one its events make.
func equal(t testing.TB, got, want *call.Call) {
	t.Helper()
	if got == nil {
		t.Fatalf("call %s is missing", want.ID)
	}
	strip := func(c *call.Call) call.Call { // what no column holds
		v := reflect.ValueOf(*c)
		n := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				n.Field(i).Set(v.Field(i))
			}
		}
		o := n.Interface().(call.Call)
		o.Legs = nil
		return o
	}
	if g, w := strip(got), strip(want); !reflect.DeepEqual(g, w) {
		t.Fatalf("call differs:\n got %+v\nwant %+v", g, w)
	}
	if len(got.Legs) != len(want.Legs) {
		t.Fatalf("%d legs, expected %d", len(got.Legs), len(want.Legs))
	}
	for i := range got.Legs {
		g, w := reflect.ValueOf(*got.Legs[i]), reflect.ValueOf(*want.Legs[i])
		for f := range g.NumField() {
			if field := g.Type().Field(f); field.IsExported() && field.Name != "Dialog" && !reflect.DeepEqual(g.Field(f).Interface(), w.Field(f).Interface()) {
				t.Errorf("leg %d, %s: got %v, want %v", i+1, field.Name, g.Field(f).Interface(), w.Field(f).Interface())
			}
		}
	}
}

func stories(n int) [][]call.Event {
	out := make([][]call.Event, n)
	for i := range out {
		out[i] = story(time.Now(), 1)
	}
	return out
}

func commitAll(t testing.TB, s *Store, all [][]call.Event) {
	t.Helper()
	var wg sync.WaitGroup
	for _, e := range all {
		wg.Go(func() {
			for len(e) > 0 {
				n := 1 + rand.IntN(len(e))
				if err := s.Commit(context.Background(), e[:n]...); err != nil {
					t.Error(err)
					return
				}
				e = e[n:]
			}
		})
	}
	wg.Wait()
}

func TestProjection(t *testing.T) {
	url := database(t)
	s := open(t, config(folder(t), url))
	all := stories(100)
	commitAll(t, s, all)
	shut(t, s)
	if st := s.Stats(); st.Outbox != 0 || st.Projected != 1200 || st.Oldest != 0 {
		t.Errorf("outbox %d, projected %d, oldest %v; expected 0, 1200, 0", st.Outbox, st.Projected, st.Oldest)
	}
	audit(t, url, all)
}

// Calls of applications: a leg without a dialog, and a family that is joined later.
func TestProjectionOfApplications(t *testing.T) {
	url := database(t)
	s := open(t, config(folder(t), url))
	all := stories(3)
	for _, e := range all {
		start := e[0].Data.(call.Start)
		start.Origin, start.SessionID, start.App = "jsonrpc", "session", "ivr"
		e[0].Data = start
		e[1].Data = call.LegNew{Role: call.CallerLeg, Medium: "app", Direction: call.In, FromURI: "app:ivr", ToURI: "0301234567"}
		e[2].Data = call.Link{LinkedID: all[0][0].Call, SessionID: "other"}
	}
	commitAll(t, s, all)
	shut(t, s)
	audit(t, url, all)
}

func TestMigrateTwiceAndAtOnce(t *testing.T) {
	t.Parallel()
	url := database(t)
	ctx := context.Background()
	cfg, err := parseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			conn, err := connect(ctx, cfg)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close(ctx) }()
			for range 2 {
				if err := migrate(ctx, cfg, conn); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c := dial(t, url)
	var n int
	if err := c.QueryRow(ctx, `SELECT count(*) FROM patchbay.schema_version WHERE version_id = 1`).Scan(&n); err != nil || n != 1 {
		t.Errorf("migration 1 is noted %d times (%v)", n, err)
	}
	if _, err := c.Exec(ctx, `INSERT INTO patchbay.schema_version (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	if err := migrate(ctx, cfg, c); err == nil {
		t.Error("a schema from the future was taken")
	}
}

// The connection is killed behind every step of a batch, again and again; also between COMMIT and what follows it.
func TestConnectionKilledEverywhere(t *testing.T) {
	for _, stage := range []string{"partitions", "begun", "written", "committed"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			s := openStopped(t, config(folder(t), url))
			killer := dial(t, url)
			kills, visits := 0, 0
			s.projector.batch = 200
			s.projector.after = func(at string) {
				if at != stage || kills >= 5 {
					return
				}
				if visits++; visits%2 == 0 {
					return
				}
				kills++
				if _, err := killer.Exec(context.Background(), `SELECT pg_terminate_backend($1, 2000)`, s.projector.conn.PgConn().PID()); err != nil {
					t.Error(err)
				}
			}
			s.startProjector()
			all := stories(60)
			for i := 0; i < len(all); i += 5 {
				commitAll(t, s, all[i:i+5])
				if i%15 == 0 {
					time.Sleep(batchDelay)
				}
			}
			shut(t, s)
			if kills == 0 {
				t.Error("nothing was killed")
			}
			audit(t, url, all)
		})
	}
}

// openStopped opens a store whose projector doesn't run yet.
func openStopped(t testing.TB, c Config) *Store {
	t.Helper()
	url := c.Database
	c.Database = None
	s := open(t, c)
	s.projector = newProjector(s.cfg, s.epoch, s.journal, urlSource(url))
	return s
}

func (s *Store) startProjector() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel()
	s.cancel = cancel
	s.wg.Go(func() { s.projector.run(ctx) })
}

// A crash between COMMIT and the journal's taking notice: all is projected again.
func TestReplayChangesNothing(t *testing.T) {
	t.Parallel()
	url := database(t)
	dir := folder(t)
	all := stories(40)
	s := open(t, config(dir, url))
	commitAll(t, s, all[:39])
	commit(t, s, all[39][:8]...)
	eventually(t, "projected", func() bool { return s.Stats().Outbox == 0 })
	crash(t, s)
	conn := dial(t, url)
	var before, after string
	const sum = `SELECT md5(string_agg(r, '' ORDER BY r)) FROM (SELECT c::text FROM patchbay.call c UNION ALL SELECT l::text FROM patchbay.leg l UNION ALL SELECT e::text FROM patchbay.call_event e) AS x(r)`
	if err := conn.QueryRow(context.Background(), sum).Scan(&before); err != nil {
		t.Fatal(err)
	}
	// The database forgets how far it was: that's what an older backup or a lost acknowledgement looks like.
	if _, err := conn.Exec(context.Background(), `DELETE FROM patchbay.ingest`); err != nil {
		t.Fatal(err)
	}
	s = open(t, config(dir, url))
	eventually(t, "projected again", func() bool { st := s.Stats(); return st.Outbox == 0 && st.Connected })
	if err := conn.QueryRow(context.Background(), sum).Scan(&after); err != nil || before != after {
		t.Errorf("replay changed rows (%v)", err)
	}
	commit(t, s, all[39][8:]...)
	shut(t, s)
	audit(t, url, all)
}

// Batches that arrive twice and in the wrong order: a row never goes back.
func TestOutOfOrderRedelivery(t *testing.T) {
	url := database(t)
	s := openStopped(t, config(folder(t), url))
	p := s.projector
	ctx := context.Background()
	if err := p.connect(ctx); err != nil {
		t.Fatal(err)
	}
	defer p.disconnect()
	all := stories(10)
	var batches []*work
	for _, e := range all {
		for i := 0; i < 12; i += 4 {
			commit(t, s, e[i:i+4]...)
			if err := p.next(); err != nil {
				t.Fatal(err)
			}
			w := p.work
			for _, c := range w.calls { // as it is now: the batch is sent later
				c.call = build(e[:i+4])
			}
			batches = append(batches, w)
		}
	}
	batches = append(batches, batches...)
	rand.Shuffle(len(batches), func(i, k int) { batches[i], batches[k] = batches[k], batches[i] })
	for _, w := range batches {
		p.work = w
		if err := p.write(ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(p.finished)
	audit(t, url, all)
}

func TestPoisonDoesNotBlock(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := open(t, config(folder(t), url))
	good, nul, badLeg, unknownLeg := story(time.Now(), 1), story(time.Now(), 1), story(time.Now(), 1), story(time.Now(), 1)
	d := nul[2].Data.(call.Decision)
	d.Text, d.Route = "zero \x00 and \\u0000", "r\x00"
	nul[2].Data = d
	l := badLeg[3].Data.(call.LegNew)
	l.Attempt = 1 << 40 // no smallint
	badLeg[3].Data = l
	unknownLeg[4].Leg = 7
	far := storyOf(idAt(time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)), time.Now(), 1)
	for _, e := range [][]call.Event{good, nul, badLeg, unknownLeg, far} {
		commit(t, s, e...)
	}
	shut(t, s)
	c := dial(t, url)
	ctx := context.Background()
	for _, x := range []struct {
		name string
		id   call.ID
		want [4]int // calls, legs, events, dead letters
	}{{"good", good[0].Call, [4]int{1, 2, 12, 0}}, {"nul", nul[0].Call, [4]int{1, 2, 12, 0}}, {"bad leg", badLeg[0].Call, [4]int{1, 1, 12, 1}},
		{"unknown leg", unknownLeg[0].Call, [4]int{1, 2, 12, 1}}, {"far future", far[0].Call, [4]int{0, 0, 0, 12}}} {
		var got [4]int
		err := c.QueryRow(ctx, `SELECT (SELECT count(*) FROM patchbay.call WHERE call_id = $1), (SELECT count(*) FROM patchbay.leg WHERE call_id = $1),
(SELECT count(*) FROM patchbay.call_event WHERE call_id = $1), (SELECT count(*) FROM patchbay.dead_letter WHERE call_id = $1)`, uuid.UUID(x.id)).Scan(&got[0], &got[1], &got[2], &got[3])
		if err != nil || got != x.want {
			t.Errorf("%s: calls, legs, events, dead letters %v (%v), expected %v", x.name, got, err, x.want)
		}
	}
	if s.Stats().Dead == 0 {
		t.Error("no alarm")
	}
}

func TestLostEventIsFilled(t *testing.T) {
	url := database(t)
	s := open(t, config(folder(t), url))
	e := story(time.Now(), 1)
	commit(t, s, e[:4]...)
	commit(t, s, e[6:]...) // 5 and 6 never came
	shut(t, s)
	var state string
	var incomplete bool
	var events, fillers int
	err := dial(t, url).QueryRow(context.Background(), `SELECT state, incomplete, (SELECT count(*) FROM patchbay.call_event),
(SELECT count(*) FROM patchbay.call_event WHERE data->>'lost' = 'true') FROM patchbay.call`).Scan(&state, &incomplete, &events, &fillers)
	if err != nil || state != "closed" || !incomplete || events != 12 || fillers != 2 {
		t.Errorf("state %s, incomplete %v, %d events, %d of them fillers (%v); expected closed, true, 12, 2", state, incomplete, events, fillers, err)
	}
}

func TestPartitionsFollowTheCall(t *testing.T) {
	url := database(t)
	s := open(t, config(folder(t), url))
	edge := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	var all [][]call.Event
	for _, at := range []time.Time{edge.Add(-time.Millisecond), edge, time.Date(1971, 6, 1, 0, 0, 0, 0, time.UTC)} {
		all = append(all, storyOf(idAt(at), at, 1)) // its later events are on the other side of the month
	}
	commitAll(t, s, all)
	shut(t, s)
	audit(t, url, all)
	c := dial(t, url)
	for i, table := range []string{"call_p2026_12", "call_p2027_01", "call_p1971_06"} {
		var n int
		if err := c.QueryRow(context.Background(), fmt.Sprintf(`SELECT count(*) FROM patchbay.%s WHERE call_id = $1`, table), uuid.UUID(all[i][0].Call)).Scan(&n); err != nil || n != 1 {
			t.Errorf("%s holds %d calls (%v), expected 1", table, n, err)
		}
	}
	next := monthOf(time.Now()).next()
	var there bool
	if err := c.QueryRow(context.Background(), `SELECT to_regclass($1) IS NOT NULL`, fmt.Sprintf("patchbay.call_event_p%04d_%02d", next.year, next.mon)).Scan(&there); err != nil || !there {
		t.Errorf("no partition for next month (%v)", err)
	}
}

func TestPostgresStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := open(t, config(dir, Auto))
	up(t, s)
	var mu sync.Mutex
	var all [][]call.Event
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				e := story(time.Now(), 1)
				for _, e := range e {
					if err := s.Commit(context.Background(), e); err != nil {
						t.Error(err)
						return
					}
				}
				mu.Lock()
				all = append(all, e)
				mu.Unlock()
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	// Renamed away for a second, so that it can't be started again at once.
	old := s.private.bin
	s.private.mu.Lock()
	s.private.bin = "/nonexistent"
	s.private.mu.Unlock()
	if err := kill(pid(t, dir)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if s.Stats().Outbox == 0 {
		t.Error("nothing waits while postgres is down")
	}
	s.private.mu.Lock()
	s.private.bin = old
	s.private.mu.Unlock()
	close(stop)
	wg.Wait()
	eventually(t, "all is projected", func() bool { return s.Stats().Outbox == 0 })
	cfg, err := s.private.config(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	audit(t, cfg.ConnString(), all)
}

func TestSegmentsAreRemovedAndCallsCarried(t *testing.T) {
	t.Parallel()
	url := database(t)
	dir := folder(t)
	s := open(t, config(dir, url))
	long := story(time.Now(), 1)
	commit(t, s, long[:8]...)
	n := 0
	for first := segmentFiles(t, dir)[0]; ; n++ {
		commitAll(t, s, stories(20))
		if files := segmentFiles(t, dir); files[0] != first {
			break
		}
		if n > 500 {
			t.Fatal("the first segment is never removed: its open call isn't carried over")
		}
	}
	eventually(t, "the journal is small again", func() bool { return s.Stats().JournalB < 8*256<<10 })
	crash(t, s)
	found, w := stored(t, dir)
	if len(found[long[0].Call]) != 8 || len(w.damage) != 0 {
		t.Fatalf("the long call has %d events in the journal, damage %v; expected 8, none", len(found[long[0].Call]), w.damage)
	}
	s = open(t, config(dir, url))
	if c := s.Unfinished(); len(c) != 1 || c[0].ID != long[0].Call || c[0].Version != 8 {
		t.Fatalf("unfinished %v, expected the long call", c)
	}
	commit(t, s, long[8:]...)
	shut(t, s)
	if st := s.Stats(); st.Damaged != 0 || st.Dead != 0 {
		t.Errorf("damaged %d, dead %d; expected none", st.Damaged, st.Dead)
	}
	var version, events, dead int
	err := dial(t, url).QueryRow(context.Background(), `SELECT version, (SELECT count(*) FROM patchbay.call_event e WHERE e.call_id = c.call_id), (SELECT count(*) FROM patchbay.dead_letter)
FROM patchbay.call c WHERE call_id = $1`, uuid.UUID(long[0].Call)).Scan(&version, &events, &dead)
	if err != nil || version != 12 || events != 12 || dead != 0 {
		t.Errorf("the long call: version %d, %d events, %d dead letters (%v); expected 12, 12, 0", version, events, dead, err)
	}
	s = open(t, config(dir, url))
	if len(segmentFiles(t, dir)) > 3 {
		t.Errorf("%d segments for a journal without open calls", len(segmentFiles(t, dir)))
	}
}

// The wall clock steps by an hour and by a day, both ways, inside a hundred calls, of which some last through the nights in which
// Berlin's clocks change: durations don't care.
func TestWallClockSteps(t *testing.T) {
	url := database(t)
	s := open(t, config(folder(t), url))
	begins := []time.Time{time.Now(), time.Date(2026, 3, 29, 0, 59, 55, 0, time.UTC), time.Date(2026, 10, 25, 0, 59, 55, 0, time.UTC)}
	steps := []time.Duration{-time.Hour, time.Hour, -24 * time.Hour, 24 * time.Hour, 0}
	for n := range 100 {
		at := begins[n%len(begins)]
		e := storyOf(idAt(at), at, 1)
		for i := 6; i < 12; i++ {
			e[i].At = e[i].At.Add(steps[n%len(steps)])
		}
		commit(t, s, e...)
	}
	shut(t, s)
	var calls, wrong int64
	if err := dial(t, url).QueryRow(context.Background(), `SELECT count(*), count(*) FILTER (WHERE duration_ms <> 11000 OR bill_ms <> 4000) FROM patchbay.call`).Scan(&calls, &wrong); err != nil || calls != 100 || wrong != 0 {
		t.Errorf("of %d calls %d have other durations than 11 s and 4 s (%v), expected none of 100", calls, wrong, err)
	}
}
