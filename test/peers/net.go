package peers

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Address adds an unused address of 127.44.0.0/24 to the loopback interface
// until the test ends. Programs that refuse 127.0.0.1 for media take it.
func Address(t testing.TB) netip.Addr {
	t.Helper()
	for n := byte(2); n < 250; n++ {
		a := netip.AddrFrom4([4]byte{127, 44, 0, n})
		out, err := exec.Command("ip", "addr", "add", a.String()+"/32", "dev", "lo").CombinedOutput()
		if err == nil {
			t.Cleanup(func() { _ = exec.Command("ip", "addr", "del", a.String()+"/32", "dev", "lo").Run() })
			return a
		}
		if !strings.Contains(string(out), "File exists") && !strings.Contains(string(out), "already assigned") {
			t.Fatalf("peers: add %s to lo: %v: %s", a, err, out)
		}
	}
	t.Fatal("peers: all of 127.44.0.2 to 127.44.0.249 are in use")
	return netip.Addr{}
}

// Wait polls until done says yes, and fails the test when it hasn't in time.
func Wait(t testing.TB, timeout time.Duration, what string, done func() bool) {
	t.Helper()
	if !poll(timeout, done) {
		t.Fatalf("peers: after %v still waiting for %s", timeout, what)
	}
}

func poll(timeout time.Duration, done func() bool) bool {
	end := time.Now().Add(timeout)
	for {
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// bound tells whether some process of this namespace has a UDP socket at a.
func bound(a netip.AddrPort) bool {
	file := "/proc/self/net/udp"
	if a.Addr().Is6() {
		file += "6"
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	want := ""
	for word := range slices.Chunk(a.Addr().AsSlice(), 4) {
		want += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(word))
	}
	want += fmt.Sprintf(":%04X", a.Port())
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 1 && fields[1] == want {
			return true
		}
	}
	return false
}
