package main

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/siptest"
)

// fakeMachine is a machine with nothing wrong: its files are in a folder of the test.
func fakeMachine(t *testing.T) *machine {
	t.Helper()
	h := &machine{root: t.TempDir(), now: time.Now,
		addrs: func() []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("::1")}
		},
		clock: func() (bool, bool) { return true, true },
		free:  func(string) (uint64, error) { return 100 << 30, nil }}
	for path, text := range map[string]string{
		"proc/sys/net/core/rmem_max":                    "4194304\n",
		"proc/sys/net/ipv4/ip_local_port_range":         "32768\t60999\n",
		"proc/sys/net/ipv4/ip_local_reserved_ports":     "\n",
		"proc/sys/net/ipv4/ip_nonlocal_bind":            "0\n",
		"proc/sys/net/ipv6/conf/all/disable_ipv6":       "0\n",
		"proc/net/if_inet6":                             "20010db8000000000000000000000005 02 40 00 80     eth0\n",
		"proc/self/limits":                              "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 65536                files\n",
		"proc/" + strconv.Itoa(os.Getpid()) + "/comm":   "patchbay\n", // that is us
		"proc/" + strconv.Itoa(math.MaxInt32) + "/comm": "nginx\n",
		"proc/net/udp":                                  socketLines(), "proc/net/udp6": socketLines(), "proc/net/tcp": socketLines(), "proc/net/tcp6": socketLines(),
	} {
		h.put(t, path, text)
	}
	return h
}

func (h *machine) put(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// socketLines is a table of /proc/net with local addresses (little-endian, as x86 and ARM have it) and states.
func socketLines(entries ...string) string {
	s := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for i, e := range entries {
		addr, state, _ := strings.Cut(e, " ")
		s += fmt.Sprintf("%4d: %s 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 1234\n", i, addr, state)
	}
	return s
}

func TestHostDoubts(t *testing.T) {
	base := "sip: {listen: [{transport: udp, address: \"10.0.0.5:5060\"}]}\nmedia: {addresses: [{bind: 10.0.0.5}, {bind: \"2001:db8::5\"}]}\n"
	for _, x := range []struct {
		name, file string
		change     func(t *testing.T, h *machine)
		want       []string // each a whole line; none: nothing is wrong
	}{
		{"nothing", base, func(*testing.T, *machine) {}, nil},
		{"buffers", base, func(t *testing.T, h *machine) { h.put(t, "proc/sys/net/core/rmem_max", "212992\n") },
			[]string{"net.core.rmem_max: is 212992 bytes: bursts of SIP over UDP are lost, and sent again half a second later → sysctl -w net.core.rmem_max=4194304, and the same in /etc/sysctl.d/patchbay.conf"}},
		{"files", base, func(t *testing.T, h *machine) {
			h.put(t, "proc/self/limits", "Max open files            1024                 4096                 files\n")
		},
			[]string{"RLIMIT_NOFILE: is 4096 for this command's user: limits.calls of 1000 needs up to 6048 files, four for a call's media and 2048 for the rest → LimitNOFILE=6048 in the systemd unit, or ulimit -n 6048 as root; or a smaller limits.calls"}},
		{"few calls", base + "limits: {calls: 100}\n", func(t *testing.T, h *machine) { h.put(t, "proc/self/limits", "Max open files 1024 4096 files\n") }, nil},
		{"any number of files", base, func(t *testing.T, h *machine) { h.put(t, "proc/self/limits", "Max open files 1024 unlimited files\n") }, nil},
		{"system's ports", base, func(t *testing.T, h *machine) { h.put(t, "proc/sys/net/ipv4/ip_local_port_range", "25000\t60999\n") },
			[]string{"net.ipv4.ip_local_port_range: 25000 to 60999 overlaps media.ports, 20000 to 29999: some will be taken by other programs → sysctl -w net.ipv4.ip_local_reserved_ports=20000-29999, or other media.ports"}},
		{"system's ports, reserved", base, func(t *testing.T, h *machine) {
			h.put(t, "proc/sys/net/ipv4/ip_local_port_range", "25000\t60999\n")
			h.put(t, "proc/sys/net/ipv4/ip_local_reserved_ports", "8080,20000-29999\n")
		}, nil},
		{"clock", base, func(_ *testing.T, h *machine) { h.clock = func() (bool, bool) { return false, true } },
			[]string{"clock: isn't synchronised: records, certificates and TURN credentials go by it → timedatectl set-ntp true, or install chrony"}},
		{"clock unknown", base, func(_ *testing.T, h *machine) { h.clock = func() (bool, bool) { return false, false } }, nil},
		{"not our address", base + "trunks: [{id: a, mode: address, proxy: h, addresses: 10.9.9.9, bind: \"10.0.0.6:5070\"}]\n", func(*testing.T, *machine) {},
			[]string{"trunks[0].bind: 10.0.0.6 isn't an address of this host: it can't be bound → ip addr shows the addresses; behind NAT bind the own one and advertise the public one"}},
		{"not our address, on purpose", strings.ReplaceAll(base, "10.0.0.5", "10.0.0.6"), func(t *testing.T, h *machine) { h.put(t, "proc/sys/net/ipv4/ip_nonlocal_bind", "1\n") }, nil},
		{"no IPv6", base, func(t *testing.T, h *machine) { h.put(t, "proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n") },
			[]string{"media.addresses[1].bind: 2001:db8::5 is of IPv6, which is switched off → sysctl -w net.ipv6.conf.all.disable_ipv6=0, or an IPv4 address"}},
		{"IPv6 that another has too", base, func(t *testing.T, h *machine) {
			h.put(t, "proc/net/if_inet6", "20010db8000000000000000000000005 02 40 00 c8     eth0\n")
		},
			[]string{"media.addresses[1].bind: 2001:db8::5 can't be bound: it is tentative, or another host has it too → ip -6 addr show tentative dadfailed"}},
		{"SIP's port taken", base, func(t *testing.T, h *machine) {
			h.put(t, "proc/net/udp6", socketLines("00000000000000000000000000000000:13C4 07"))
		},
			[]string{"sip.listen[0].address: udp [::]:5060 is taken by another program → ss -lunp 'sport = :5060' tells which"}},
		{"HTTP's port taken", base, func(t *testing.T, h *machine) {
			h.put(t, "proc/net/tcp", socketLines("0100007F:22B8 0A", "0100007F:20F1 01"))
		},
			[]string{"http.listen: tcp 127.0.0.1:8888 is taken by another program → ss -ltnp 'sport = :8888' tells which"}},
		{"media ports taken", base, func(t *testing.T, h *machine) {
			h.put(t, "proc/net/udp", socketLines("0500000A:4E20 07", "00000000:4E22 07", "0100007F:4E24 07", "0500000A:752F 07", "0500000A:7530 07"))
		}, []string{"media.ports: other programs have 3 ports of 20000 to 29999, such as 10.0.0.5:20000: calls pass them by → ss -lunp 'sport >= :20000 and sport <= :29999' tells which; or other media.ports"}},
		{"the gateway runs", base, func(t *testing.T, h *machine) {
			h.put(t, "proc/net/udp", socketLines("0500000A:13C4 07", "0500000A:4E20 07"))
			h.put(t, "proc/"+strconv.Itoa(math.MaxInt32-1)+"/comm", "patchbay\n")
		}, nil},
		{"disk of a folder that isn't there yet", base + "billing: {dir: /not/there/yet}\n", func(t *testing.T, h *machine) {
			h.free = func(path string) (uint64, error) {
				if path != "/" {
					t.Errorf("asked for %s", path)
				}
				return 100 << 20, nil
			}
		}, []string{"billing.dir: / has 100 MiB free, less than billing.min_free, which is 512MiB: an alarm from the start → df -h /"}},
		{"full disk", base + "billing: {dir: /tmp}\n", func(_ *testing.T, h *machine) { h.free = func(string) (uint64, error) { return 100<<20 + 5, nil } },
			[]string{"billing.dir: /tmp has 100 MiB free, less than billing.min_free, which is 512MiB: an alarm from the start → df -h /tmp"}},
		{"nothing can be read", base, func(_ *testing.T, h *machine) { h.root = "/nowhere"; h.addrs = func() []netip.Addr { return nil } }, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := fakeMachine(t)
			x.change(t, h)
			checkHostDoubts(t, h, x.file, x.want)
		})
	}
}

func checkHostDoubts(t *testing.T, h *machine, file string, want []string) {
	t.Helper()
	c, d := parseConfig("f.yaml", []byte(file), testEnv)
	if m := d.wrong(); len(m) > 0 {
		t.Fatal(m)
	}
	c.complete()
	got := h.look(&c)
	if len(got) != len(want) {
		t.Fatalf("got %v, want %q", got, want)
	}
	for i := range got {
		if got[i].String() != "this host: "+want[i] {
			t.Errorf("got\n%s\nwant\nthis host: %s", got[i], want[i])
		}
	}
}

// Certificates that have ended, will soon, or can't be used.
func TestHostCertificates(t *testing.T) {
	ca := siptest.NewAuthority(t)
	issued := ca.Issue("sip.example.com")
	cert, key := ca.Pair(issued)
	dir := t.TempDir()
	for name, b := range map[string][]byte{"cert.pem": cert, "key.pem": key, "ca.pem": ca.PEM(), "none.pem": []byte("hello")} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	end := issued.Leaf.NotAfter
	file := func(ca string) string {
		return fmt.Sprintf("https: {certificate: %s/cert.pem, key: %s/key.pem}\ntrunks: [{id: a, mode: address, proxy: h, addresses: 10.9.9.9, transport: tls, tls: {ca: %s/%s}}]\n", dir, dir, dir, ca)
	}
	h := fakeMachine(t)
	h.now = func() time.Time { return end.Add(-22 * 24 * time.Hour) }
	checkHostDoubts(t, h, file("ca.pem"), nil)
	checkHostDoubts(t, h, file("none.pem"), []string{fmt.Sprintf("trunks[0].tls.ca: %s/none.pem holds no PEM → expected -----BEGIN CERTIFICATE-----", dir)})
	checkHostDoubts(t, h, file("gone.pem"), []string{fmt.Sprintf("trunks[0].tls.ca: open %s/gone.pem: no such file or directory → is it there, and may the gateway's user read it?", dir)})
	h.now = func() time.Time { return end.Add(-50 * time.Hour) }
	stamp := end.UTC().Format(time.RFC3339)
	checkHostDoubts(t, h, file("ca.pem")[:strings.Index(file("ca.pem"), "trunks")], []string{fmt.Sprintf("https.certificate: %s/cert.pem ends in 2 days, %s → renew it", dir, stamp)})
	h.now = func() time.Time { return end.Add(time.Minute) }
	checkHostDoubts(t, h, file("ca.pem")[:strings.Index(file("ca.pem"), "trunks")], []string{fmt.Sprintf("https.certificate: %s/cert.pem ended %s → renew it", dir, stamp)})
}
