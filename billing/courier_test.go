package billing

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/billing/webhook"
	"github.com/patchbay/patchbay/gateway/call"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// listener is a program that is told of calls, and not always in the mood.
type listener struct {
	t    testing.TB
	key  []byte
	mood func(message) int // status; 0: says nothing

	mu    sync.Mutex
	taken map[string][]string // by call: kinds in the order in which they were taken first
	times map[string]int      // by message
	other int                 // requests to where redirections lead
}

func listen(t testing.TB, mood func(message) int) (*listener, string) {
	t.Helper()
	key, err := webhook.Key(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, key: key, mood: mood, taken: map[string][]string{}, times: map[string]int{}}
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	return l, s.URL
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m message
	err := webhook.Verify(l.key, r.Header, body, time.Now(), time.Minute)
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil || r.Header.Get("Webhook-Id") != m.ID {
		l.t.Errorf("%s: %v", body, err)
	}
	if r.URL.Path != "/" {
		l.mu.Lock()
		l.other++
		l.mu.Unlock()
		return
	}
	switch status := l.mood(m); status {
	case 0:
		<-r.Context().Done()
		return
	case http.StatusFound:
		http.Redirect(w, r, "/elsewhere", status)
		return
	case http.StatusOK:
	default:
		w.WriteHeader(status)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times[m.ID]++; l.times[m.ID] == 1 {
		id := m.Call.ID.String()
		l.taken[id] = append(l.taken[id], m.Type)
	}
}

func (l *listener) of(id call.ID) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.taken[id.String()], " ")
}

func well(message) int { return http.StatusOK }

// telling are settings with a hook that tries again soon.
func telling(t testing.TB, url string, hooks ...Hook) Config {
	c := config(folder(t), url)
	c.Hooks = hooks
	c.courierPoll, c.courierPause = 20*time.Millisecond, time.Millisecond
	c.courierBackOff = func(int) time.Duration { return rand.N(50 * time.Millisecond) }
	return c
}

func hook(id, url string) Hook {
	return Hook{ID: id, Target: webhook.Target{URL: url, Secret: hookSecret, Private: true, Timeout: 250 * time.Millisecond}}
}

// long waits for what many attempts lead to, on a machine that does other things too.
func long(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never came true: ", what)
}

func untold(t testing.TB, url string) int {
	t.Helper()
	var n int
	conn := dial(t, url)
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), `SELECT count(*) FROM patchbay.webhook_delivery`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A target fails, stalls, sends elsewhere and hangs up: all the same it gets every message of every call, in its order.
func TestWebhooksThroughTrouble(t *testing.T) {
	t.Parallel()
	url, began := database(t), time.Now().Add(-time.Hour)
	bad, badURL := listen(t, func(message) int {
		return []int{200, 200, 200, 503, 302, 429, 422, 500, 0}[rand.IntN(9)]
	})
	good, goodURL := listen(t, well)
	quick := hook("quick", goodURL)
	quick.Kinds, quick.Target.Timeout = []string{TellAnswer, TellRated}, time.Minute
	foreign := hook("foreign", goodURL)
	foreign.Tenant = "other"
	c := telling(t, url, hook("crm", badURL), quick, foreign)
	c.Rating = tariffs(t)
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, began.Add(-time.Hour))
	s := open(t, c)
	up(t, s)
	all := make([][]call.Event, 10)
	for i := range all {
		all[i] = story(began, 1)
	}
	commitAll(t, s, all)
	long(t, "all is told", func() bool { return s.Stats().Told == 10*(4+2) })
	for _, e := range all {
		if got := bad.of(e[0].Call); got != "call.start call.answer call.end call.rated" {
			t.Errorf("the troubled hook was told %s", got)
		}
		if got := good.of(e[0].Call); got != "call.answer call.rated" {
			t.Errorf("the quick hook was told %s", got)
		}
	}
	if bad.other > 0 {
		t.Errorf("%d redirections were followed", bad.other)
	}
	if s.Stats().Untold == 0 {
		t.Error("nothing failed: the test tries nothing")
	}
	if n := untold(t, url); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestDeadLettersOfWebhooks(t *testing.T) {
	t.Parallel()
	url := database(t)
	var mu sync.Mutex
	dislikes := true
	l, at := listen(t, func(m message) int {
		mu.Lock()
		defer mu.Unlock()
		if dislikes && m.Type == TellStart {
			return http.StatusBadRequest
		}
		return http.StatusOK
	})
	h := hook("crm", at)
	h.GiveUp = 100 * time.Millisecond
	s := open(t, telling(t, url, h))
	e := story(time.Now(), 1)
	commit(t, s, e...)
	// What follows waits for what is before it until that is given up.
	long(t, "the rest is told", func() bool { return l.of(e[0].Call) == "call.answer call.end" })
	r := reader(t, Config{Dir: t.TempDir(), Database: url, Log: quiet()})
	list, err := r.Deliveries(context.Background(), DeliveryFilter{State: "dead"})
	if err != nil || len(list) != 1 || list[0].Kind != TellStart || list[0].Status == nil || *list[0].Status != 400 || !strings.Contains(*list[0].Error, "400") {
		t.Fatalf("%+v %v", list, err)
	}
	mu.Lock()
	dislikes = false
	mu.Unlock()
	if n, err := r.Redeliver(context.Background(), DeliveryFilter{Hook: "nobody"}); n != 0 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if n, err := r.Redeliver(context.Background(), DeliveryFilter{IDs: []int64{list[0].ID}}); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	long(t, "the dead letter is told", func() bool { return l.of(e[0].Call) == "call.answer call.end call.start" })
	long(t, "nothing is left", func() bool { return untold(t, url) == 0 })
}

// Nodes of one database share its hooks: nobody is told twice.
func TestWebhooksOfTwoNodes(t *testing.T) {
	t.Parallel()
	url := database(t)
	l, at := listen(t, well)
	h := hook("crm", at)
	h.Target.Timeout = time.Minute
	var all [][]call.Event
	var stores []*Store
	for i := range 2 {
		c := telling(t, url, h)
		c.Node = fmt.Sprintf("n%d", i)
		s := open(t, c)
		up(t, s)
		stores = append(stores, s)
	}
	for _, s := range stores {
		mine := stories(10)
		commitAll(t, s, mine)
		all = append(all, mine...)
	}
	long(t, "all is told", func() bool { return stores[0].Stats().Told+stores[1].Stats().Told == 60 })
	for _, e := range all {
		if got := l.of(e[0].Call); got != "call.start call.answer call.end" {
			t.Errorf("told %s", got)
		}
	}
	for id, n := range l.times {
		if n != 1 {
			t.Errorf("%s was told %d times", id, n)
		}
	}
}

// childTells makes calls until it is killed, and says which of them are on record.
func childTells() {
	c := config(os.Getenv("DIR"), os.Getenv("DATABASE"))
	c.Hooks = []Hook{hook("crm", os.Getenv("HOOK"))}
	c.CallsFile = CallsFile{Path: os.Getenv("FILE"), MaxSize: 20 << 10}
	c.courierPoll, c.courierPause = 20*time.Millisecond, time.Millisecond
	c.courierBackOff = func(int) time.Duration { return rand.N(50 * time.Millisecond) }
	s, err := Open(context.Background(), c)
	for err == nil {
		e := story(time.Now(), s.Epoch())
		if err = s.Commit(context.Background(), e...); err == nil {
			fmt.Println(e[0].Call)
			time.Sleep(10 * time.Millisecond)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Killed again and again in the middle of everything, the gateway tells of every call that is on record, in order, and its file has each
// once.
func TestTellingOutlivesKills(t *testing.T) {
	t.Parallel()
	url, dir := database(t), folder(t)
	file := filepath.Join(dir, "calls.ndjson")
	l, at := listen(t, func(message) int { return []int{200, 200, 200, 500}[rand.IntN(4)] })
	var ids []call.ID
	for range 5 {
		ids = append(ids, killTelling(t, 150*time.Millisecond+rand.N(400*time.Millisecond), "DIR="+dir, "DATABASE="+url, "HOOK="+at, "FILE="+file)...)
	}
	if len(ids) < 20 {
		t.Fatalf("only %d calls were made", len(ids))
	}
	c := telling(t, url, hook("crm", at))
	c.Dir, c.CallsFile = dir, CallsFile{Path: file, MaxSize: 20 << 10}
	s := open(t, c)
	up(t, s)
	long(t, "all is told", func() bool { return s.Stats().Outbox == 0 && untold(t, url) == 0 })
	t.Logf("%d calls, %d attempts that failed", len(ids), s.Stats().Untold)
	lines := map[string]int{}
	files, err := filepath.Glob(filepath.Join(dir, "calls*.ndjson"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v: expected several files", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var m message
			if err := json.Unmarshal(line, &m); err != nil || m.Type != tellDone || len(m.Call.Legs) != 2 || m.Call.Bill != 4000 {
				t.Fatalf("%s: %s %v", f, line, err)
			}
			lines[m.Call.ID.String()]++
		}
	}
	for _, id := range ids {
		if got := l.of(id); got != "call.start call.answer call.end" {
			t.Errorf("call %s: told %s", id, got)
		}
		if lines[id.String()] == 0 {
			t.Errorf("call %s isn't in the file", id)
		}
	}
	for id, n := range lines {
		if n != 1 {
			t.Errorf("call %s is %d times in the file", id, n)
		}
	}
}

// killTelling lets a process make calls for a while, kills it, and returns those that it had on record.
func killTelling(t *testing.T, after time.Duration, env ...string) (ids []call.ID) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, child+"=told")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) })
	for sc := bufio.NewScanner(out); sc.Scan(); {
		kill() // from its first call on
		id, err := call.ParseID(sc.Text())
		if err != nil {
			t.Errorf("%q: %v", sc.Text(), err)
			continue
		}
		ids = append(ids, id)
	}
	_ = cmd.Wait() // it was killed
	return ids
}
