package billing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/gateway/call"
)

// recorded makes a database with decks and rated calls, over the end of a year.
func recorded(t testing.TB, c Config, n int) [][]call.Event {
	t.Helper()
	began := time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC)
	d := decks(t, c)
	imports(t, d, "retail", "EUR", retailCSV, began.AddDate(0, -1, 0))
	imports(t, d, "carrier", "USD", carrierCSV, began.AddDate(0, -1, 0))
	s := open(t, c)
	var all [][]call.Event
	for i := range n {
		at := began.Add(time.Duration(i) * time.Minute)
		all = append(all, storyOf(idAt(at), at, 1))
	}
	commitAll(t, s, all)
	shut(t, s)
	return all
}

func surveyed(t testing.TB, conn *pgx.Conn) *Manifest {
	t.Helper()
	var m *Manifest
	err := pgx.BeginFunc(context.Background(), conn, func(tx pgx.Tx) (err error) {
		m, err = survey(context.Background(), tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m.MadeAt = time.Time{}
	return m
}

func same(t testing.TB, got, want *Manifest) {
	t.Helper()
	for _, m := range []*Manifest{got, want} {
		m.MadeAt, m.Server = time.Time{}, ""
	}
	if g, w := fmt.Sprint(*got), fmt.Sprint(*want); g != w {
		t.Errorf("copied:\n%s\nexpected:\n%s", g, w)
	}
}

// A backup that was restored has every row, and goes on: its decks can't be changed, its numbers count on, its calls are rated as before.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	all := recorded(t, c, 20)
	path := filepath.Join(t.TempDir(), "backup.zip")
	r := reader(t, c)
	made, err := r.Backup(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	want := surveyed(t, dial(t, c.Database))
	same(t, made, want)
	rows := map[string]int64{}
	for _, x := range want.Tables {
		rows[x.Name] = x.Rows
	}
	if rows["call"] != 20 || rows["leg"] != 40 || rows["call_event"] != 20*13 || rows["rating"] != 60 || rows["rate"] != 3 || rows["ingest"] != 1 || rows["counted"] == 0 || len(want.Months) < 2 {
		t.Fatalf("%v in %v: the test copies nothing", rows, want.Months)
	}
	if _, err := r.Backup(ctx, path); err == nil {
		t.Error("a backup was overwritten")
	}

	to := Config{Dir: folder(t), Database: database(t), Log: quiet()}
	fresh := decks(t, to)
	got, err := fresh.Restore(ctx, path, false)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
	conn := dial(t, to.Database)
	same(t, surveyed(t, conn), want)
	audit2 := reader(t, to)
	for _, e := range all {
		if x, _, err := audit2.Show(ctx, e[0].Call.String()); err != nil || x.Bill != 4000 {
			t.Fatalf("%+v %v", x, err)
		}
	}
	if _, err := conn.Exec(ctx, `UPDATE patchbay.rating SET amount = 0`); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("a restored rating can be changed: %v", err)
	}
	imports(t, fresh, "retail", "EUR", retailCSV+"48,Poland,0.1,60,60,,\n", time.Time{}) // the identity column counts on

	if _, err := fresh.Restore(ctx, path, false); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("restored into a database that has records: %v", err)
	}
	to.Node = "n1"
	s := open(t, to)
	up(t, s)
	if _, err := fresh.Restore(ctx, path, true); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("restored below a gateway: %v", err)
	}
	shut(t, s)
	if _, err := fresh.Restore(ctx, path, true); err != nil {
		t.Fatal(err)
	}
	same(t, surveyed(t, conn), want)
	var schemas int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'patchbay%'`).Scan(&schemas); err != nil || schemas != 1 {
		t.Errorf("%d schemas are left (%v)", schemas, err)
	}
}

// A backup that was damaged, or lies about itself, changes nothing.
func TestRestoreOfDamage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	recorded(t, c, 3)
	path := filepath.Join(t.TempDir(), "backup.zip")
	if _, err := reader(t, c).Backup(ctx, path); err != nil {
		t.Fatal(err)
	}
	d := decks(t, c)
	before := surveyed(t, dial(t, c.Database))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Restore(ctx, path, true); err == nil || !strings.Contains(err.Error(), "isn't what was backed up") {
		t.Errorf("%v", err)
	}
	m, err := ReadBackup(path + ".gone")
	if m != nil || err == nil {
		t.Errorf("%v %v", m, err)
	}
	// Rows that aren't those of the manifest are found out, and what was there comes back.
	lie := *before
	lie.Tables = append([]CopiedTable{}, before.Tables...)
	for i := range lie.Tables {
		if lie.Tables[i].Name == "rating" {
			lie.Tables[i].Sum = "1"
		}
	}
	from := dial(t, c.Database)
	to := decks(t, Config{Dir: folder(t), Database: database(t), Log: quiet()})
	imports(t, to, "mine", "EUR", retailCSV, time.Time{})
	mine := surveyed(t, to.conn)
	err = pgx.BeginFunc(ctx, from, func(tx pgx.Tx) error { return relay(ctx, tx, to.conn, &lie, true) })
	if !errors.Is(err, ErrDiffers) {
		t.Errorf("%v", err)
	}
	same(t, surveyed(t, to.conn), mine)
	same(t, surveyed(t, dial(t, c.Database)), before)
}

// While the gateway takes calls its records move; what comes meanwhile waits in the journal, and nothing is missing or double at the new place.
func TestMoveWhileCallsAreMade(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := config(folder(t), database(t))
	target := database(t)
	s := open(t, c)
	up(t, s)
	var all [][]call.Event
	more := func() {
		x := stories(20)
		commitAll(t, s, x)
		all = append(all, x...)
	}
	more()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				more()
				time.Sleep(50 * time.Millisecond) // each makes the move, and the audit behind it, longer
			}
		}
	}()
	eventually(t, "some calls are there", func() bool { return s.Stats().Projected > 0 })
	d := decks(t, c)
	if _, err := d.MoveTo(ctx, c.Database, false); err == nil || !strings.Contains(err.Error(), "is the old one") {
		t.Errorf("moved to itself: %v", err)
	}
	if _, err := d.MoveTo(ctx, target, false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.MoveTo(ctx, target, true); !errors.Is(err, ErrMoved) {
		t.Errorf("moved twice: %v", err)
	}
	eventually(t, "new events wait", func() bool { return s.Stats().Outbox > 100 })
	close(stop)
	<-stopped
	crash(t, s)
	c.Database = target
	s = open(t, c)
	up(t, s)
	x := stories(5)
	commitAll(t, s, x)
	all = append(all, x...)
	shut(t, s)
	audit(t, target, all)
}

// The data of one Postgres come into those of another. Only one version is at hand here, which stands for both: how versions differ isn't
// tried, but everything else is.
func TestUpgradeOfThePrivateCluster(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := folder(t)
	c := config(dir, Auto)
	s := open(t, c)
	up(t, s)
	all := stories(10)
	commitAll(t, s, all)
	full, err := c.defaults()
	if err != nil {
		t.Fatal(err)
	}
	major, err := dataMajor(filepath.Join(dir, "postgres", "data"))
	if err != nil {
		t.Fatal(err)
	}
	bin := binaryFolders()[major]
	both := map[int]string{major: bin, major + 1: bin}
	if _, _, _, err := upgrade(ctx, full, both); !errors.Is(err, ErrLocked) {
		t.Errorf("upgraded while the gateway runs: %v", err)
	}
	shut(t, s)
	if _, _, _, err := upgrade(ctx, full, map[int]string{major + 1: bin}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("apt-get install postgresql-%d", major)) {
		t.Errorf("without the old programs: %v", err)
	}
	if _, _, to, err := upgrade(ctx, full, map[int]string{major: bin}); to != 0 || err != nil {
		t.Errorf("of the newest: %d %v", to, err)
	}
	m, kept, to, err := upgrade(ctx, full, both)
	if err != nil || to != major+1 || !strings.HasSuffix(kept, fmt.Sprintf("data.%d", major)) {
		t.Fatalf("%+v %q %d %v", m, kept, to, err)
	}
	if _, err := os.Stat(filepath.Join(kept, "PG_VERSION")); err != nil {
		t.Error(err)
	}
	s = open(t, c)
	up(t, s)
	x := stories(2)
	commitAll(t, s, x)
	eventually(t, "new calls are there", func() bool { return s.Stats().Outbox == 0 })
	list, err := reader(t, c).List(ctx, Filter{})
	if err != nil || len(list) != 12 {
		t.Errorf("%d calls, %v, expected 12", len(list), err)
	}
}

// Status tells of the database, and of what the journal still has.
func TestStatus(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := config(folder(t), database(t))
	c.Rating = tariffs(t)
	recorded(t, c, 3)
	st, err := reader(t, c).Status(ctx)
	if err != nil || st.Schema != st.Known || st.Schema < 35 || st.Outbox != 0 || len(st.Nodes) != 1 || st.Nodes[0].Node != "n1" || st.Bytes == 0 || st.Moved || !strings.HasPrefix(st.Server, "1") {
		t.Fatalf("%+v %v", st, err)
	}
	for _, p := range st.Partitions {
		if p.Table == "call" && (p.First > "2026-12" || p.Last < "2026-12" || p.Count < 1) {
			t.Errorf("%+v", p)
		}
	}
	c.Database = None
	s := open(t, c)
	commit(t, s, story(time.Now(), 2)...)
	c.Database = st.Database
	if st, err = reader(t, Config{Dir: c.Dir, Node: "n1", Database: None, Log: quiet()}).Status(ctx); err != nil || st.Outbox < 12 || st.Oldest == nil {
		t.Errorf("%+v %v", st, err)
	}
}
