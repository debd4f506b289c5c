//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// The journal's disk of 12 MiB fills up while the database is away: less than min_free is an alarm, then new calls get 503 with
// Retry-After, and the calls that run go on and get their records from the reserve. With room, calls are taken again.
func TestBillingFullDisk(t *testing.T) {
	addr, phone, other := address(t), at(peers.Address(t)), at(peers.Address(t))
	carrier := startCarrier(t, "carrier")
	g := startGateway(t, addr, settings{
		users:  "  - {id: desk, password: desk-secret-3}\n",
		trunks: fmt.Sprintf("  - {id: first, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n", carrier.SIP.Addr(), carrier.SIP.Addr()),
		routes: "  - {id: out, source: user, number: \"4930*\", to: [{trunk: first}]}\n",
		disk:   "12m", billing: ", min_free: 4MiB, reserve: 1MiB", level: "info",
	})
	registerDesk(t, g, phone)
	registerDesk(t, g, other)
	call := func(name string, users [][]string, rate float64, length time.Duration) *peers.SIPp {
		from := other
		if name == "running" {
			from = phone
		}
		return peers.StartSIPp(t, peers.SIPpConfig{Name: name, Scenario: "sipp/phone.xml", Remote: g.sip, Bind: from, Calls: len(users), Rate: rate, Limit: 1000, Users: users,
			Username: "desk", Password: "desk-secret-3", Keys: []string{"domain", "test.local"}, Length: length, Timeout: time.Minute})
	}
	many := func(n int, number, how string) (users [][]string) {
		for range n {
			users = append(users, []string{number, how})
		}
		return users
	}
	running := call("running", many(20, "4930555200", "bye"), 40, 5*time.Second)
	peers.Wait(t, 20*time.Second, "calls to run", func() bool { return g.Metric(t, "patchbay_calls_active") == 20 })
	g.db.StopImmediate()
	ballast := g.Data("ballast")
	fillTo(t, ballast, 2<<20)
	peers.Wait(t, 20*time.Second, "the alarm", func() bool { return g.Metric(t, "patchbay_journal_disk_low") == 1 })
	before := call("before", many(3, "4930555486", "refused"), 10, 0)
	before.Done(t, 30*time.Second)
	fillTo(t, ballast, 0)
	storm := call("storm", many(100, "4930555486", "refused"), 60, 0)
	storm.Done(t, 40*time.Second)
	if code, why := g.Get(t, "/readyz"); code != 503 || !strings.Contains(why, "full") {
		t.Errorf("/readyz says %d %s, expected 503 and that the disk is full", code, why)
	}
	running.Done(t, 40*time.Second)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	peers.Wait(t, 20*time.Second, "calls to be taken again", g.Ready)
	after := call("after", many(3, "4930555200", "bye"), 10, 100*time.Millisecond)
	after.Done(t, 30*time.Second)
	carrier.Finish(t, 10*time.Second)
	g.db.Start(t)
	peers.Wait(t, allStored, "all records to be in Postgres", func() bool { return g.Metric(t, "patchbay_outbox_events") == 0 })
	refused := refusedFor(t, storm)
	if refused == 0 || refused == len(storm.Calls(t)) {
		t.Errorf("%d of %d calls were refused while the disk filled up, expected the last of them", refused, len(storm.Calls(t)))
	}
	if n := len(g.LogsWith(t, "msg", "little room is left on the journal's disk")); n == 0 {
		t.Error("the log has no alarm")
	}
	for _, s := range []*peers.SIPp{running, before, after} {
		if n := refusedFor(t, s); n != 0 {
			t.Errorf("%d calls were refused that were begun while there was room", n)
		}
	}
	var phoned []peers.Call
	for _, s := range []*peers.SIPp{running, before, storm, after} {
		for _, c := range s.Calls(t) {
			if c.Status != 503 {
				phoned = append(phoned, c)
			}
		}
	}
	onRecordOnce(t, g, phoned, carrier.Calls(t))
	gapless(t, g, "closed")
}

// refusedFor is how many calls were refused with 503, each of which must say when to come again.
func refusedFor(t *testing.T, s *peers.SIPp) (n int) {
	t.Helper()
	for _, c := range s.Calls(t) {
		if c.Status != 503 {
			continue
		}
		n++
		for _, m := range c.Messages {
			if m.Status == 503 && m.Header("Retry-After") == "" {
				t.Errorf("call %s: 503 without Retry-After", c.ID)
			}
		}
	}
	return n
}

// fillTo makes a file so long that the disk has about so many bytes left; 0: none.
func fillTo(t *testing.T, file string, left int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range 1 << 16 {
		var st syscall.Statfs_t
		if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		if left > 0 && int64(st.Bavail)*st.Bsize <= left {
			return
		}
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) || errors.Is(err, io.ErrShortWrite) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the disk isn't small")
}
