package billing

import (
	"context"
	"encoding/json"
	flags "flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/gateway/call"
)

// child names the role that a test binary plays when a test starts it again.
const child = "PATCHBAY_BILLING_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(child) {
	case "commit":
		childCommits()
	case "full":
		os.Exit(childFull())
	case "told":
		childTells()
	case "postgres":
		childPostgres()
	}
	flags.Parse()
	if f := flags.Lookup("test.parallel"); f.Value.String() == f.DefValue { // they wait for disks and for other processes
		if err := f.Value.Set("4"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if cluster.server != nil {
		if err := syscall.Kill(cluster.server.pid, syscall.SIGQUIT); err != nil { // at once: the data go too
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		<-cluster.server.exited
		if err := os.RemoveAll(cluster.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// cluster is the Postgres of all tests here: a private one. It doesn't sync its files, some hundreds for each test, whose checkpoint at
// the end took half of all tests' time: no test here takes the machine's power away. Those that end Postgres itself have one of their own,
// which does.
var cluster struct {
	once   sync.Once
	dir    string
	p      *private
	server *server
	err    error
	n      atomic.Int64
}

// database makes an empty database and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	cluster.once.Do(func() {
		if cluster.dir, cluster.err = openFolder(); cluster.err != nil {
			return
		}
		if cluster.p, cluster.err = newPrivate(cluster.dir, quiet()); cluster.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if cluster.err = cluster.p.prepare(ctx); cluster.err == nil {
			cluster.server, cluster.err = cluster.p.start(ctx, "max_connections=60", "fsync=off", "full_page_writes=off")
		}
	})
	if cluster.err != nil {
		t.Fatal("postgres for the tests: ", cluster.err)
	}
	name := fmt.Sprintf("t%d", cluster.n.Add(1))
	conn := dial(t, "postgres")
	if _, err := conn.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres:///%s?host=%s&user=%s&sslmode=disable", name, cluster.p.sock, privateUser)
}

func dial(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := parseURL(url)
	if url == "postgres" {
		c, err = cluster.p.address(url)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// openFolder makes a folder that the user of Postgres can reach, unlike t.TempDir's.
func openFolder() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "pb")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func folder(t testing.TB) string {
	t.Helper()
	dir, err := openFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func quiet() *slog.Logger {
	if os.Getenv("PATCHBAY_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func config(dir, database string) Config {
	return Config{Dir: dir, Database: database, Node: "n1", Log: quiet(), SegmentBytes: 256 << 10, Reserve: 1 << 20, MinFree: 1}
}

func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error("close: ", err)
	}
}

// crash ends the store as a kill would: nothing is flushed, nothing is said.
func crash(t testing.TB, s *Store) {
	t.Helper()
	s.once.Do(func() {
		j := s.journal
		j.mu.Lock()
		j.closed = true
		j.pending = newBatch()
		j.mu.Unlock()
		close(j.stop)
		<-j.stopped
		if s.quiet != nil {
			s.quiet()
			<-s.told
		}
		s.cancel()
		s.wg.Wait()
		if j.file != nil {
			_ = j.file.Close()
		}
		_ = j.disk.close()
		if err := s.lock.Close(); err != nil {
			t.Error(err)
		}
	})
}

// story makes the events of one call from its start to its end: 12 of them, of about the size that real ones have.
func story(at time.Time, epoch uint64) []call.Event { return storyOf(call.NewID(), at, epoch) }

// idAt makes an id whose time is t.
func idAt(t time.Time) call.ID {
	id := call.NewID()
	ms := t.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

func storyOf(id call.ID, at time.Time, epoch uint64) []call.Event {
	dialog := json.RawMessage(`{"callId":"a84b4c76e66710@pc33.example.org","local":"sip:gw@192.0.2.1","remote":"sip:bob@192.0.2.4","cseq":314159,"routes":["<sip:p1.example.org;lr>"]}`)
	sig := netip.MustParseAddrPort("192.0.2.4:5060")
	data := []struct {
		leg int
		d   call.Data
	}{
		{0, call.Start{Tenant: "default", LinkedID: id, Node: "n1", Epoch: epoch, Origin: "sip", Direction: call.Internal, User: "alice", From: "100", To: "0301234567"}},
		{1, call.LegNew{Role: call.CallerLeg, Medium: "sip", Direction: call.In, User: "alice", Transport: "udp", SIPCallID: uuid.NewString(), LocalTag: "gw1", RemoteTag: "ua1",
			FromURI: "sip:100@example.org", ToURI: "sip:0301234567@example.org", RequestURI: "sip:0301234567@example.org", UserAgent: "baresip v1.0.0", Signalling: sig, Dialog: dialog}},
		{0, call.Decision{Route: "out", ToN: "+49301234567", FromN: "+4930100", To: call.Out, Text: "route out: trunk carrier"}},
		{2, call.LegNew{Attempt: 1, Role: call.CalleeLeg, Medium: "sip", Direction: call.Out, Trunk: "carrier", Transport: "udp", SIPCallID: uuid.NewString(), LocalTag: "gw2", Signalling: sig, Dialog: dialog}},
		{2, call.Progress{Status: 180, Phrase: "Ringing", Tag: "c1"}},
		{2, call.Negotiated{Media: call.Media{Codec: "PCMA/8000", Ptime: 20, DTMF: "rfc4733", Local: sig, Remote: sig}}},
		{2, call.Answer{RemoteTag: "c1", Dialog: dialog}},
		{1, call.Answer{Dialog: dialog}},
		{0, call.Interim{Quality: map[int]*call.Quality{1: {Received: 500, LastRTPMono: 11}, 2: {Received: 499, Sent: 500}}}},
		{2, call.LegEnd{Cause: call.Normal, HungUp: true, Quality: &call.Quality{Received: 700, JitterMS: 1.25}}},
		{1, call.LegEnd{Cause: call.Normal}},
		{0, call.End{By: call.Callee, Cause: call.Normal}},
	}
	var out []call.Event
	for i, d := range data {
		out = append(out, call.Event{Call: id, Seq: uint64(i + 1), At: at.Add(time.Duration(i) * time.Second).UTC().Truncate(time.Microsecond), Mono: int64(i) * 1e9, Leg: d.leg, Data: d.d})
	}
	return out
}

func commit(t testing.TB, s *Store, events ...call.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Commit(ctx, events...); err != nil {
		t.Fatal("commit: ", err)
	}
}

// eventually waits until ok, up to a minute: several Postgres are started beside each other, on disks that are busy.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never came true: ", what)
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "journal", "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// stored reads what the journal in dir holds: sequence numbers by call, without repetitions, and how often any was repeated.
func stored(t testing.TB, dir string) (map[call.ID]map[uint64]call.Event, walk) {
	t.Helper()
	found := make(map[call.ID]map[uint64]call.Event)
	w, err := walkDir(filepath.Join(dir, "journal"), func(r record) error {
		if !r.isEvent() {
			return nil
		}
		e, err := r.event()
		if err != nil {
			return err
		}
		if found[e.Call] == nil {
			found[e.Call] = make(map[uint64]call.Event)
		}
		found[e.Call][e.Seq] = e
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, w
}
