package billing

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// exportedRows reads a file of a month's rows.
func exportedRows(t *testing.T, path string) (out []map[string]any) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		var row map[string]any
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatalf("%s: %s: %v", path, lines.Bytes(), err)
		}
		out = append(out, row)
	}
	return out
}

// What retention drops is in files before it goes, whole; a month that can't be exported stays in its place, and alarms, until it can.
func TestExportBeforeDrop(t *testing.T) {
	t.Parallel()
	ctx, url, dir := context.Background(), database(t), folder(t)
	c := config(folder(t), url)
	c.Rating = tariffs(t)
	c.Retention = Retention{Events: 90 * 24 * time.Hour, Calls: 365 * 24 * time.Hour}
	began := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	c.now = func() time.Time { return began }
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, began.Add(-time.Hour))
	imports(t, d, "carrier", "USD", carrierCSV, began.Add(-time.Hour))
	s := openStopped(t, c) // it has no keeper of its own
	s.projector.prices = newPrices(s.cfg.Rating)
	s.startProjector()
	up(t, s)
	var ids []string
	for n := range 20 {
		e := storyOf(idAt(began.Add(time.Duration(n)*time.Second)), began, 1)
		e[0].Data = func() call.Start {
			x := e[0].Data.(call.Start)
			x.From = "tab\t \"quoted\" back\\slash\nline é"
			return x
		}()
		commit(t, s, e...)
		ids = append(ids, e[0].Call.String())
	}
	eventually(t, "projected", func() bool { return s.Stats().Outbox == 0 })

	k := &keeper{cfg: s.cfg, log: quiet(), source: urlSource(url), ready: func() bool { return true }}
	conn := dial(t, url)
	after := func(days int) { k.cfg.now = func() time.Time { return began.AddDate(0, 0, days) } }
	stays := func(what string) {
		t.Helper()
		if err := k.care(ctx); !errors.Is(err, errExport) || k.overdue.Load() != 1 {
			t.Errorf("%s: %v, %d overdue, expected one", what, err, k.overdue.Load())
		}
		var n int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM patchbay.call_event WHERE started_at < '2026-04-01'`).Scan(&n); err != nil || n != 20*13 {
			t.Errorf("%s: %d events, %v", what, n, err)
		}
	}
	after(130)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k.cfg.Export = filepath.Join(file, "export")
	stays("the folder can't be made")
	k.cfg.Export, k.cfg.MinFree = filepath.Join(dir, "export"), 1<<60
	stays("there is no room")
	if left, err := filepath.Glob(filepath.Join(k.cfg.Export, "*")); err != nil || len(left) > 0 {
		t.Errorf("what can't be exported leaves %v %v", left, err)
	}
	k.cfg.MinFree = 1
	if err := k.care(ctx); err != nil || k.overdue.Load() != 0 {
		t.Fatalf("%v, %d overdue", err, k.overdue.Load())
	}
	if got := monthTables(t, conn, "call_event"); slices.Contains(got, "2026_03") {
		t.Errorf("call_event has %v", got)
	}
	events := exportedRows(t, filepath.Join(k.cfg.Export, "call_event_p2026_03.ndjson.gz"))
	for _, id := range ids {
		var kinds []string
		for _, e := range events {
			if e["call_id"] == id {
				kinds = append(kinds, fmt.Sprint(e["seq"], " ", e["kind"]))
			}
		}
		if slices.Sort(kinds); len(kinds) != 13 || !slices.Contains(kinds, "1 call.start") || !slices.Contains(kinds, "13 rated") {
			t.Errorf("call %s: %v", id, kinds)
		}
	}

	// Events that come late make the month anew: they have a file of their own.
	late := storyOf(idAt(began.Add(time.Hour)), began.Add(time.Hour), 1)
	commit(t, s, late...)
	eventually(t, "projected", func() bool { return s.Stats().Outbox == 0 })
	if err := k.care(ctx); err != nil {
		t.Fatal(err)
	}
	if again := exportedRows(t, filepath.Join(k.cfg.Export, "call_event_p2026_03_2.ndjson.gz")); len(again) != 13 || again[0]["call_id"] != late[0].Call.String() {
		t.Errorf("late events: %v", again)
	}
	after(400)
	if err := k.care(ctx); err != nil {
		t.Fatal(err)
	}
	calls := exportedRows(t, filepath.Join(k.cfg.Export, "call_p2026_03.ndjson.gz"))
	if len(calls) != 21 || calls[0]["a_raw"] != "tab\t \"quoted\" back\\slash\nline é" {
		t.Errorf("%d calls, the first %v", len(calls), calls[0])
	}
	sold := 0
	for _, r := range exportedRows(t, filepath.Join(k.cfg.Export, "rating_p2026_03.ndjson.gz")) {
		if r["side"] == "sell" && r["amount_rounded"] == "0.110000" {
			sold++
		}
	}
	if sold != 21 {
		t.Errorf("%d ratings of 0.11, expected 21", sold)
	}
	for _, table := range []string{"call", "leg", "rating", "counted"} {
		if got := monthTables(t, conn, table); slices.Contains(got, "2026_03") {
			t.Errorf("%s has %v", table, got)
		}
	}
	if left, err := filepath.Glob(filepath.Join(k.cfg.Export, "*.tmp")); err != nil || len(left) > 0 || !strings.HasSuffix(k.cfg.Export, "export") {
		t.Errorf("%v %v", left, err)
	}
}

// A partition that gets more rows behind its export, before it is detached, is exported again, to the same file; without a folder nothing is.
func TestExportAgain(t *testing.T) {
	t.Parallel()
	ctx, url, began := context.Background(), database(t), time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	c := config(folder(t), url)
	c.now = func() time.Time { return began }
	s := openStopped(t, c)
	s.startProjector()
	up(t, s)
	k := &keeper{cfg: s.cfg, log: quiet()}
	conn := dial(t, url)
	path := filepath.Join(k.cfg.exportDir(), "call_p2026_03.ndjson.gz")
	for n := 1; n <= 2; n++ {
		commit(t, s, storyOf(idAt(began.Add(time.Duration(n)*time.Minute)), began, 1)...)
		eventually(t, "projected", func() bool { return s.Stats().Outbox == 0 })
		for range 2 { // the second time there is nothing to do
			if err := k.export(ctx, conn, "call_p2026_03"); err != nil {
				t.Fatal(err)
			}
		}
		if got := exportedRows(t, path); len(got) != n {
			t.Errorf("%d calls, expected %d", len(got), n)
		}
	}
	k.cfg.Export = None
	if err := k.export(ctx, conn, "leg_p2026_03"); err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(files) != 1 {
		t.Errorf("%v %v, expected one file", files, err)
	}
}
