package billing

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

func TestCommitSurvivesCrash(t *testing.T) {
	dir := folder(t)
	s := open(t, config(dir, None))
	if s.Epoch() != 1 || s.Node() != "n1" {
		t.Fatalf("epoch %d of node %q, expected 1 of n1", s.Epoch(), s.Node())
	}
	done, half := story(time.Now(), 1), story(time.Now(), 1)
	commit(t, s, done...)
	commit(t, s, half[:8]...)
	s.Note(half[8])
	eventually(t, "the note is on disk", func() bool { return s.Stats().Events == 21 })
	crashHard(t, s)

	s = open(t, config(dir, None))
	if s.Epoch() != 2 {
		t.Errorf("epoch %d, expected 2", s.Epoch())
	}
	calls := s.Unfinished()
	if len(calls) != 1 || calls[0].ID != half[0].Call || calls[0].Version != 9 || calls[0].AnsweredAt == nil {
		t.Fatalf("unfinished: %+v, expected call %s at version 9, answered", calls, half[0].Call)
	}
	if string(calls[0].Leg(2).Dialog) == "" {
		t.Error("the callee's dialog is lost")
	}
	at, mono := s.LastSign(half[0].Call)
	if !at.Equal(half[8].At) || mono != half[8].Mono {
		t.Errorf("last sign at %v (%d), expected %v (%d)", at, mono, half[8].At, half[8].Mono)
	}
	commit(t, s, call.Event{Call: half[0].Call, Seq: 10, At: time.Now(), Data: call.RecoveredEnd{EndAt: at, EndMono: mono, Epoch: 2}})
	shut(t, s)
	s = open(t, config(dir, None))
	if n := len(s.Unfinished()); n != 0 {
		t.Errorf("%d calls unfinished after recovery, expected none", n)
	}
}

// crashHard is crash for a store without a projector.
func crashHard(t testing.TB, s *Store) { t.Helper(); crash(t, s) }

func TestNoteReachesDiskWithin50ms(t *testing.T) {
	s := open(t, config(folder(t), None))
	e := story(time.Now(), 1)
	commit(t, s, e[0])
	var took []time.Duration
	for _, n := range e[1:11] {
		began := time.Now()
		before := s.Stats().Events
		s.Note(n)
		eventually(t, "note durable", func() bool { return s.Stats().Events == before+1 })
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	if m := took[len(took)/2]; m > 100*time.Millisecond { // 50 ms, and what a loaded machine takes to run us
		t.Errorf("half of the notes took more than %v to the disk", m)
	}
}

func TestGroupCommit(t *testing.T) {
	dir := folder(t)
	s := open(t, config(dir, None))
	const workers, each = 50, 20
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				for _, e := range story(time.Now(), 1) {
					if err := s.Commit(context.Background(), e); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	st := s.Stats()
	if want := uint64(workers * each * 12); st.Events != want {
		t.Errorf("%d events, expected %d", st.Events, want)
	}
	if st.Syncs*2 > st.Events {
		t.Errorf("%d fdatasyncs for %d events of 50 committers: no groups", st.Syncs, st.Events)
	}
	var n uint64
	for _, b := range st.Commits {
		n += b.Count
	}
	if n != st.Events {
		t.Errorf("the histogram counts %d commits, expected %d", n, st.Events)
	}
	shut(t, s)
	found, w := stored(t, dir)
	if len(found) != workers*each || len(w.damage) != 0 || w.torn != 0 || !w.shut {
		t.Fatalf("%d calls, damage %v, torn %d, shut %v", len(found), w.damage, w.torn, w.shut)
	}
	for id, events := range found {
		if len(events) != 12 {
			t.Errorf("call %s has %d events, expected 12", id, len(events))
		}
	}
}

func TestCommitRefuses(t *testing.T) {
	s := open(t, config(folder(t), None))
	e := story(time.Now(), 1)
	other := story(time.Now(), 1)
	v4 := e[0]
	v4.Call[6] = 0x40 | v4.Call[6]&0x0f
	ctx := context.Background()
	if err := s.Commit(ctx, v4); err == nil {
		t.Error("an id that isn't version 7 was taken")
	}
	if err := s.Commit(ctx, other[1]); !errors.Is(err, ErrUnknown) {
		t.Errorf("event of a call that never began: %v, expected ErrUnknown", err)
	}
	bad := other[1]
	bad.Seq = 1
	if err := s.Commit(ctx, bad); !errors.Is(err, ErrStart) {
		t.Errorf("a call that begins with a leg: %v, expected ErrStart", err)
	}
	commit(t, s, e...)
}

func TestEventsTwiceAreWrittenOnce(t *testing.T) {
	dir := folder(t)
	s := open(t, config(dir, None))
	e := story(time.Now(), 1)
	commit(t, s, e[:5]...)
	commit(t, s, e[3], e[4], e[5])
	if n := s.Stats().Events; n != 6 {
		t.Errorf("%d events written, expected 6", n)
	}
	if err := s.Commit(context.Background(), e[6:]...); err != nil {
		t.Error(err)
	}
	late := e[11]
	late.Seq = 13
	if err := s.Commit(context.Background(), late); !errors.Is(err, ErrUnknown) {
		t.Errorf("an event behind the end: %v, expected ErrUnknown", err)
	}
	s.Note(late)
	if n := s.Stats().Dropped; n != 1 {
		t.Errorf("%d notes dropped, expected 1", n)
	}
}

func TestCloseTwiceAndAfter(t *testing.T) {
	s := open(t, config(folder(t), None))
	shut(t, s)
	shut(t, s)
	if err := s.Commit(context.Background(), story(time.Now(), 1)[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("commit after close: %v, expected ErrClosed", err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := folder(t)
	open(t, config(dir, None))
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, config(dir, None)); err == nil {
		t.Fatal("the folder was opened twice")
	}
}

// tear cuts or spoils the journal's last file and returns its size before.
func lastSegment(t testing.TB, dir string) (string, []byte) {
	t.Helper()
	files := segmentFiles(t, dir)
	path := files[len(files)-1]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b
}

func TestTornTailIsCut(t *testing.T) {
	dir := folder(t)
	s := open(t, config(dir, None))
	e := story(time.Now(), 1)
	for _, e := range e[:6] {
		commit(t, s, e)
	}
	crashHard(t, s)
	path, whole := lastSegment(t, dir)
	var ends []int
	_, _ = walkDir(dir+"/journal", func(r record) error { ends = append(ends, int(r.pos.off)+int(r.pos.size)); return nil })
	for cut := ends[4] + 1; cut < ends[5]; cut += 7 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		found, w := stored(t, dir)
		if len(found[e[0].Call]) != 5 || len(w.damage) != 0 || w.torn != int64(cut-ends[4]) {
			t.Fatalf("cut at %d: %d events, damage %v, torn %d", cut, len(found[e[0].Call]), w.damage, w.torn)
		}
	}
	// Opened, it's cut, and goes on.
	s = open(t, config(dir, None))
	if st, err := os.Stat(path); err != nil || st.Size() != int64(ends[4]) {
		t.Errorf("the torn segment has %d bytes (%v), expected %d", st.Size(), err, ends[4])
	}
	if c := s.Unfinished(); len(c) != 1 || c[0].Version != 5 {
		t.Fatalf("unfinished %v, expected one call at version 5", c)
	}
	commit(t, s, e[5:]...)
	shut(t, s)
	found, w := stored(t, dir)
	if len(found[e[0].Call]) != 12 || len(w.damage) != 0 {
		t.Errorf("%d events, damage %v; expected 12 and none", len(found[e[0].Call]), w.damage)
	}
}

// A batch of several records of which a later page reached the disk and an earlier one did not.
func TestTornBatchWithGoodTail(t *testing.T) {
	dir := folder(t)
	s := open(t, config(dir, None))
	e := story(time.Now(), 1)
	commit(t, s, e[0])
	commit(t, s, e[1:8]...)
	crashHard(t, s)
	path, whole := lastSegment(t, dir)
	var second position
	_, _ = walkDir(dir+"/journal", func(r record) error {
		if r.lsn == 3 {
			second = r.pos
		}
		return nil
	})
	for i := range second.size {
		whole[second.off+i] = 0
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	found, w := stored(t, dir)
	if len(found[e[0].Call]) != 2 || len(w.damage) != 0 || w.torn == 0 {
		t.Errorf("%d events, damage %v, torn %d; expected 2, none, some", len(found[e[0].Call]), w.damage, w.torn)
	}
}

func TestBitFlipIsReported(t *testing.T) {
	dir := folder(t)
	s := open(t, config(dir, None))
	e := story(time.Now(), 1)
	for _, e := range e {
		commit(t, s, e)
	}
	crashHard(t, s)
	path, whole := lastSegment(t, dir)
	var hit position
	_, _ = walkDir(dir+"/journal", func(r record) error {
		if r.lsn == 6 {
			hit = r.pos
		}
		return nil
	})
	for off := hit.off; off < hit.off+hit.size; off += 11 {
		whole[off] ^= 0x10
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		found, w := stored(t, dir)
		if len(found[e[0].Call]) != 11 || len(w.damage) != 1 || w.damage[0].First != 6 || w.damage[0].Last != 6 {
			t.Fatalf("bit at %d: %d events, damage %v; expected 11 and record 6", off, len(found[e[0].Call]), w.damage)
		}
		whole[off] ^= 0x10
	}
	whole[hit.off+60] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	// The database gets the call, marked incomplete, and a dead letter that tells of the damage.
	url := database(t)
	s = open(t, config(dir, url))
	if s.Stats().Damaged == 0 {
		t.Error("no alarm")
	}
	shut(t, s)
	c := dial(t, url)
	var state string
	var incomplete bool
	var dead int
	err := c.QueryRow(context.Background(), `SELECT state, incomplete, (SELECT count(*) FROM patchbay.dead_letter WHERE part = 'journal' AND lsn = 6) FROM patchbay.call`).
		Scan(&state, &incomplete, &dead)
	if err != nil || state != "closed" || !incomplete || dead != 1 {
		t.Errorf("state %s, incomplete %v, dead letters %d, %v; expected closed, true, 1", state, incomplete, dead, err)
	}
}

func TestMissingSegmentIsReported(t *testing.T) {
	dir := folder(t)
	s := open(t, config(dir, None))
	for range 200 {
		commit(t, s, story(time.Now(), 1)...)
	}
	shut(t, s)
	files := segmentFiles(t, dir)
	if len(files) < 4 {
		t.Fatalf("%d segments, expected at least 4", len(files))
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	s = open(t, config(dir, None))
	if n := s.Stats().Damaged; n == 0 {
		t.Error("a missing segment went unnoticed")
	}
}

// However often is committed, writes don't begin oftener than they may.
func TestWritesBeginApart(t *testing.T) {
	t.Parallel()
	s := open(t, config(folder(t), None))
	e := story(time.Now(), 1)
	began := time.Now()
	for _, e := range e {
		commit(t, s, e)
	}
	if took, least := time.Since(began), syncEvery*time.Duration(len(e)-1); took < least {
		t.Errorf("%d commits, one after the other, took %v, expected at least %v", len(e), took, least)
	}
}
