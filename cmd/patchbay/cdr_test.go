package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway/call"
)

// recorded is a data folder in which a call's record was kept by the real journal.
func recorded(t *testing.T, events []call.Event) string {
	t.Helper()
	dir := t.TempDir()
	s, err := billing.Open(t.Context(), billing.Config{Dir: filepath.Join(dir, "billing"), Database: billing.None, Node: "gw1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := s.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRecordCommands(t *testing.T) {
	c, events := play(t, append(answered[:len(answered):len(answered)],
		scene{67_201, 3, call.LegEnd{Cause: call.Normal, HungUp: true}},
		scene{67_203, 0, call.End{By: call.Callee, Cause: call.Normal}}))
	dir := recorded(t, events)
	file := filepath.Join(dir, "f.yaml")
	// The trunk's secret isn't at hand; records can be read all the same.
	write(t, file, "billing: {database: none}\nnode: {data: "+dir+"}\nusers: [{id: anna, password: \"${NOT_SET}\"}]\n")

	out, err := run("cdr", "list", "--utc", "--config", file)
	want := "2026-03-14 15:09:26  " + c.ID.String() + "  401 (user anna)  030123456  trunk backup  4.0 s  1m2s    callee    Q.850 16"
	if err != nil || !strings.Contains(out, want) || !strings.HasPrefix(out, "BEGAN") {
		t.Errorf("got %v\n%s\nwant %q in it", err, out, want)
	}
	out, err = run("cdr", "list", "--json", "--config", file)
	var list []call.Call
	if e := json.Unmarshal([]byte(out), &list); e != nil || err != nil || len(list) != 1 || list[0].ID != c.ID || list[0].Bill != c.Bill {
		t.Errorf("got %s, %v, %v", out, err, e)
	}
	out, err = run("cdr", "list", "--json", "--config", file, "--user", "nobody")
	if err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("calls of nobody: %q, %v", out, err)
	}
	out, err = run("cdr", "show", "--json", "--config", file, c.ID.String()[:13])
	var show struct {
		ID     call.ID      `json:"id"`
		Cause  call.Cause   `json:"cause"`
		Events []call.Event `json:"events"`
	}
	if e := json.Unmarshal([]byte(out), &show); e != nil || err != nil || show.ID != c.ID || show.Cause.Q850 != 16 || len(show.Events) != len(events) {
		t.Errorf("got %s, %v, %v", out, err, e)
	}
	out, err = run("why", "--utc", "--config", file, c.ID.String())
	if err != nil || out != tell(c, events, time.UTC) {
		t.Errorf("got %v\n%s", err, out)
	}
	out, err = run("why", "--json", "--config", file, c.ID.String())
	var x explanation
	if e := json.Unmarshal([]byte(out), &x); e != nil || err != nil || x.Call != c.ID || len(x.Story) < 8 {
		t.Errorf("got %s, %v, %v", out, err, e)
	}
	if _, err = run("why", "--config", file, "ffffffff"); err == nil || !strings.Contains(err.Error(), "no such call") {
		t.Errorf("a call that never was: %v", err)
	}
	if _, err = run("cdr", "list", "--data", filepath.Join(dir, "elsewhere")); err == nil || !strings.Contains(err.Error(), "no records") {
		t.Errorf("a folder that isn't there: %v", err)
	}
	for _, bad := range [][2]string{{"--since", "yesterday"}, {"--limit", "0"}, {"--state", "over"}} {
		if _, err = run("cdr", "list", "--config", file, bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), bad[0]) {
			t.Errorf("%s %s: %v", bad[0], bad[1], err)
		}
	}
}

func TestShowIsWholeAndPlain(t *testing.T) {
	scenes := append(begins[:4:4],
		scene{90, 2, call.LegEnd{Cause: call.FromStatus(486, "\x1b[2JBusy\nHere")}},
		scene{91, 0, call.End{By: call.Callee, Cause: call.FromStatus(486, "Busy\x07")}})
	c, events := play(t, scenes)
	var out bytes.Buffer
	if err := showCall(&out, c, events, time.UTC); err != nil {
		t.Fatal(err)
	}
	golden(t, "show.txt", out.String())
	out.WriteString(tell(c, events, time.UTC))
	if err := listCalls(&out, []*call.Call{c}, time.UTC); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r < ' ' && r != '\n' }); i >= 0 {
		t.Errorf("a control character of the peer's comes through: %q", out.String()[max(0, i-20):i+1])
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	for in, want := range map[string]string{
		"2h": "2026-03-14T13:09:26Z", "2026-03-01": "2026-03-01T00:00:00Z", "2026-03-01T12:30": "2026-03-01T12:30:00Z",
		"2026-03-01T12:30:05+01:00": "2026-03-01T11:30:05Z",
	} {
		if got, err := moment(in, now, time.UTC); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s is %v (%v), want %s", in, got, err, want)
		}
	}
}
