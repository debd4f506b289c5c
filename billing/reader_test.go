package billing

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

func reader(t testing.TB, c Config) *Reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := OpenReader(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func list(t testing.TB, r *Reader, f Filter) []*call.Call {
	t.Helper()
	calls, err := r.List(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

// The same questions with the records in the journal alone, in the database beside a running store, and with nobody
// running.
func TestReader(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	var all [][]call.Event
	for i := range 20 {
		all = append(all, storyOf(idAt(at.Add(time.Duration(i)*time.Minute)), at.Add(time.Duration(i)*time.Minute), 1))
	}
	running := all[19][:8]
	fill := func(s *Store) {
		for _, e := range all[:19] {
			commit(t, s, e...)
		}
		commit(t, s, running...)
	}
	s := open(t, config(dir, None))
	fill(s)
	askAll(t, reader(t, config(dir, None)), all, running)
	shut(t, s)

	s = open(t, config(dir, Auto))
	up(t, s)
	eventually(t, "projected", func() bool { return s.Stats().Outbox == 0 })
	r := reader(t, config(dir, Auto))
	if r.Database() != nil {
		t.Error("no database beside a running store: ", r.Database())
	}
	askAll(t, r, all, running)
	shut(t, s)

	r = reader(t, config(dir, Auto))
	if r.Database() != nil {
		t.Error("postgres wasn't started for the reader: ", r.Database())
	}
	askAll(t, r, all, running)
	if _, err := r.conn.Exec(context.Background(), `DELETE FROM patchbay.call`); sqlState(err) != "25006" {
		t.Errorf("a reader may write: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, config(dir, Auto)); err == nil {
		t.Error("a store took the folder from a reader that runs postgres")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, config(dir, Auto)) // and gets it when the reader is done
	up(t, s)
}

func askAll(t *testing.T, r *Reader, all [][]call.Event, running []call.Event) {
	t.Helper()
	start := func(i int) time.Time { return all[i][0].Call.Started() }
	for name, x := range map[string]struct {
		f    Filter
		n    int
		last int // index of the newest, to see the order
	}{
		"all":         {Filter{}, 20, 19},
		"limit":       {Filter{Limit: 3}, 3, 19},
		"time":        {Filter{From: start(2), To: start(5)}, 3, 4},
		"state":       {Filter{State: call.Open}, 1, 19},
		"closed":      {Filter{State: call.Closed}, 19, 18},
		"user":        {Filter{User: "alice", Limit: 1}, 1, 19},
		"trunk":       {Filter{Trunk: "carrier"}, 20, 19},
		"other trunk": {Filter{Trunk: "none"}, 0, 0},
		"number":      {Filter{Number: "1234567"}, 20, 19},
		"no number":   {Filter{Number: "999"}, 0, 0},
		"cause":       {Filter{Cause: 16}, 19, 18},
		"status":      {Filter{SIP: 486}, 0, 0},
		"tenant":      {Filter{Tenant: "default"}, 20, 19},
	} {
		got := list(t, r, x.f)
		if len(got) != x.n {
			t.Errorf("%s: %d calls, expected %d", name, len(got), x.n)
			continue
		}
		if x.n > 0 && got[0].ID != all[x.last][0].Call {
			t.Errorf("%s: the newest is %s, expected %s", name, got[0].ID, all[x.last][0].Call)
		}
	}
	for _, c := range list(t, r, Filter{}) {
		for _, e := range all {
			if e[0].Call == c.ID && c.ID != running[0].Call {
				equal(t, c, build(e))
			}
		}
	}
	ctx := context.Background()
	id := all[7][0].Call.String()
	for _, prefix := range []string{id, id[:14]} {
		c, events, err := r.Show(ctx, prefix)
		if err != nil || c.ID != all[7][0].Call || c.Version != 12 || !reflect.DeepEqual(plain(events), plain(all[7])) {
			t.Errorf("show %s: %v with %d events (%v)", prefix, c, len(events), err)
		}
	}
	if _, events, err := r.Show(ctx, running[0].Call.String()); err != nil || len(events) != 8 {
		t.Errorf("show a running call: %d events, %v; expected 8", len(events), err)
	}
	if _, _, err := r.Show(ctx, id[:2]); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("show %s: %v, expected ErrAmbiguous", id[:2], err)
	}
	if _, _, err := r.Show(ctx, "ffff"); !errors.Is(err, ErrNotFound) {
		t.Errorf("show ffff: %v, expected ErrNotFound", err)
	}
	if _, _, err := r.Show(ctx, "x'; --"); err == nil {
		t.Error("that is no id")
	}
}

// plain is events without the JSON's spelling of dialogs, which the database changes.
func plain(events []call.Event) []call.Event {
	out := make([]call.Event, len(events))
	for i, e := range events {
		switch d := e.Data.(type) {
		case call.LegNew:
			d.Dialog = nil
			e.Data = d
		case call.Answer:
			d.Dialog = nil
			e.Data = d
		}
		out[i] = e
	}
	return out
}

func TestReaderWithoutAnything(t *testing.T) {
	r := reader(t, config(folder(t), Auto))
	if r.Database() == nil {
		t.Error("there is a database where none was made")
	}
	if n := len(list(t, r, Filter{})); n != 0 {
		t.Errorf("%d calls in an empty folder", n)
	}
	r = reader(t, config(folder(t), database(t)))
	if n := len(list(t, r, Filter{})); n != 0 {
		t.Errorf("%d calls in an empty database", n)
	}
	if _, _, err := r.Show(context.Background(), "01"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, expected ErrNotFound", err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []Config{{}, {Dir: "/tmp", Database: "mysql://x"}, {Dir: "/tmp", SegmentBytes: 1}, {Dir: "/tmp", Reserve: -1}, {Dir: "/tmp", Buffer: 1}} {
		if _, err := c.defaults(); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	_, err := Config{Dir: "/tmp", Database: "postgres://u:secret@h:notaport/d"}.defaults()
	if err == nil {
		t.Error("a port that is none was taken")
	} else if contains(err.Error(), "secret") {
		t.Errorf("%v shows the password", err)
	}
}
