package billing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchbay/patchbay/gateway/call"
)

// childCommits commits calls from several goroutines until it's killed, and says on its output what was acknowledged.
func childCommits() {
	s, err := Open(context.Background(), config(os.Getenv("DIR"), None))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 8 {
		go func() {
			for {
				for _, e := range story(time.Now(), s.Epoch()) {
					if e.Seq%3 == 2 && e.Seq != 11 {
						s.Note(e)
						continue
					}
					if err := s.Commit(context.Background(), e); err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
					// One write call per line: a kill never leaves half of one.
					if _, err := fmt.Printf("%s %d\n", e.Call, e.Seq); err != nil {
						os.Exit(1)
					}
				}
			}
		}()
	}
	select {}
}

func TestKilledTwentyTimes(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	acked := make(map[call.ID]uint64)
	for range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"=commit", "DIR="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		first := lines.Scan()
		stop := time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		for ok := first; ok; ok = lines.Scan() {
			var id string
			var seq uint64
			if _, err := fmt.Sscan(lines.Text(), &id, &seq); err != nil {
				t.Fatal(lines.Text(), err)
			}
			c, err := call.ParseID(id)
			if err != nil {
				t.Fatal(err)
			}
			acked[c] = max(acked[c], seq)
		}
		stop.Stop()
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("child: %v, expected to be killed", err)
		}
	}
	found, w := stored(t, dir)
	if len(w.damage) != 0 {
		t.Errorf("damage after kills: %v", w.damage)
	}
	if len(acked) < 20 {
		t.Fatalf("only %d calls were acknowledged", len(acked))
	}
	for id, seq := range acked {
		for n := uint64(1); n <= seq; n++ {
			if _, ok := found[id][n]; !ok {
				t.Fatalf("event %s/%d was acknowledged (up to %d) but is not there", id, n, seq)
			}
		}
	}
	// In the database each of them stands once, and the calls that the kills left open are found.
	url := database(t)
	s := open(t, config(dir, url))
	if s.Epoch() != 21 {
		t.Errorf("epoch %d, expected 21", s.Epoch())
	}
	openCalls, closed := 0, 0
	for _, events := range found {
		if _, ok := events[12]; ok {
			closed++
		} else {
			openCalls++
		}
	}
	if n := len(s.Unfinished()); n != openCalls {
		t.Errorf("%d calls unfinished, expected %d", n, openCalls)
	}
	for _, c := range s.Unfinished() {
		at, mono := s.LastSign(c.ID)
		commit(t, s, call.Event{Call: c.ID, Seq: c.Version + 1, At: time.Now(), Data: call.RecoveredEnd{EndAt: at, EndMono: mono, Epoch: s.Epoch()}})
	}
	shut(t, s)
	var nClosed, nRecovered, nOther int
	err := dial(t, url).QueryRow(context.Background(), `SELECT count(*) FILTER (WHERE state = 'closed' AND NOT incomplete), count(*) FILTER (WHERE state = 'recovered'),
count(*) FILTER (WHERE state NOT IN ('closed', 'recovered')) FROM patchbay.call`).Scan(&nClosed, &nRecovered, &nOther)
	if err != nil || nClosed != closed || nRecovered != openCalls || nOther != 0 {
		t.Errorf("%d closed, %d recovered, %d others (%v); expected %d, %d, 0", nClosed, nRecovered, nOther, err, closed, openCalls)
	}
}

// childFull runs with its journal on a small tmpfs of its own and says by its exit code whether all went as it should.
func childFull() int {
	dir := os.Getenv("DIR")
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		fmt.Fprintln(os.Stderr, "mount: ", err)
		return 1
	}
	if err := fullDisk(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func fullDisk(dir string) error {
	c := config(dir, None)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := Open(ctx, c)
	if err != nil {
		return err
	}
	// Twenty calls run, and others fill the disk until new ones are refused.
	var running [][]call.Event
	for range 20 {
		e := story(time.Now(), 1)
		running = append(running, e)
		if err := s.Commit(ctx, e[:8]...); err != nil {
			return err
		}
	}
	ballast := dir + "/ballast"
	for n := 0; ; n++ {
		err := s.Commit(ctx, story(time.Now(), 1)...)
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil || n > 5000 {
			return fmt.Errorf("after %d calls: %v, expected ErrFull", n, err)
		}
		if n == 100 { // somebody else takes the rest
			if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
				return err
			}
		}
	}
	if stalled, why := s.Stalled(); !stalled || !strings.Contains(why, "full") {
		return fmt.Errorf("stalled: %v %q, expected the disk to be full", stalled, why)
	}
	// They get their records from the reserve.
	for _, e := range running {
		for _, e := range e[8:] {
			if err := s.Commit(ctx, e); err != nil {
				return fmt.Errorf("event of a running call: %w", err)
			}
		}
	}
	if err := s.Commit(ctx, story(time.Now(), 1)...); !errors.Is(err, ErrFull) {
		return fmt.Errorf("a new call on the reserve: %v, expected ErrFull", err)
	}
	// Room comes back, and new calls with it.
	if err := os.Remove(ballast); err != nil {
		return err
	}
	for {
		err := s.Commit(ctx, story(time.Now(), 1)...)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrFull) || ctx.Err() != nil {
			return fmt.Errorf("after there is room: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := s.Close(ctx); err != nil {
		return err
	}
	s, err = Open(ctx, c)
	if err != nil {
		return err
	}
	if n := len(s.Unfinished()); n != 0 {
		return fmt.Errorf("%d calls unfinished, expected none", n)
	}
	return s.Close(ctx)
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"=full", "DIR="+dir)
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 { // root of a namespace of its own may mount, too
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A disk that fails for a while: the events of running calls that it refused are written later, in their order.
func TestFailedWritesAreRetried(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := open(t, config(dir, None))
	e, refused := story(time.Now(), 1), story(time.Now(), 1)
	commit(t, s, e[:3]...)
	broken, err := os.Open("/dev/null") // reads only: every write to it fails
	if err != nil {
		t.Fatal(err)
	}
	s.journal.mu.Lock()
	good := s.journal.file
	s.journal.file = broken
	s.journal.mu.Unlock()
	if err := s.Commit(context.Background(), append(refused[:2:2], e[3])...); err == nil {
		t.Fatal("a write that failed was confirmed")
	}
	if err := good.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the running call's event is written", func() bool { return s.Stats().Events == 4 })
	if err := s.Commit(context.Background(), refused[2]); !errors.Is(err, ErrUnknown) {
		t.Errorf("event of a call whose begin was refused: %v, expected ErrUnknown", err)
	}
	commit(t, s, e[4:]...)
	shut(t, s)
	found, w := stored(t, dir)
	if len(found) != 1 || len(found[e[0].Call]) != 12 || len(w.damage) != 0 {
		t.Errorf("%d calls, %d events, damage %v; expected 1, 12, none", len(found), len(found[e[0].Call]), w.damage)
	}
}

// A disk that doesn't answer: Stalled says so, waiting commits come through in the end.
func TestStalledDisk(t *testing.T) {
	c := config(folder(t), None)
	c.CommitWarn = 50 * time.Millisecond
	s := open(t, c)
	e := story(time.Now(), 1)
	commit(t, s, e[0])
	s.journal.mu.Lock() // the writer can't go on
	var wg sync.WaitGroup
	s.journal.disk.writing(time.Now())
	s.journal.mu.Unlock()
	time.Sleep(60 * time.Millisecond)
	if stalled, why := s.Stalled(); !stalled || !strings.Contains(why, "so far") {
		t.Errorf("stalled: %v %q, expected a write under way", stalled, why)
	}
	wg.Go(func() { commit(t, s, e[1:]...) })
	wg.Wait()
	eventually(t, "it's well again", func() bool { stalled, _ := s.Stalled(); return !stalled })
	s.journal.disk.wrote(time.Second, nil)
	if stalled, _ := s.Stalled(); !stalled {
		t.Error("a write that took a second isn't a stall")
	}
	eventually(t, "a try shows that the disk is well again", func() bool { stalled, _ := s.Stalled(); return !stalled })
}
