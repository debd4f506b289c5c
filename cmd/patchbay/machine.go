package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/doctor"
)

// HostDoubt is something about this host that keeps settings from doing what they say.
type HostDoubt struct {
	Subject string `json:"subject"` // net.core.rmem_max
	Problem string `json:"problem"`
	Mend    string `json:"mend,omitempty"` // a command, or what to set
}

func (h HostDoubt) String() string {
	s := "this host: " + h.Subject + ": " + h.Problem
	if h.Mend != "" {
		s += " → " + h.Mend
	}
	return s
}

// machine is what `check` looks at of the machine.
type machine struct {
	root  string // in front of /proc
	addrs func() []netip.Addr
	clock func() (synced, known bool)
	free  func(path string) (uint64, error) // bytes of the file system that path is on
	now   func() time.Time

	doubts []HostDoubt
}

// lookAtHost looks at this machine with the eyes of some settings.
func lookAtHost(c *Config) []HostDoubt {
	h := machine{root: "/", addrs: hostAddrs, clock: doctor.Synchronised, free: freeBytes, now: time.Now}
	return h.look(c)
}

func hostAddrs() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// look finds everything at once. c is complete.
func (h *machine) look(c *Config) []HostDoubt {
	h.doubts = []HostDoubt{}
	h.buffers(c)
	h.files(c)
	h.ephemeral(c)
	h.addresses(c)
	h.taken(c)
	h.certificates(c)
	h.disk(c)
	if synced, known := h.clock(); known && !synced {
		h.doubt("clock", "timedatectl set-ntp true, or install chrony", "isn't synchronised: records, certificates and TURN credentials go by it")
	}
	return h.doubts
}

func (h *machine) doubt(subject, mend, format string, args ...any) {
	h.doubts = append(h.doubts, HostDoubt{subject, fmt.Sprintf(format, args...), mend})
}

func (h *machine) read(path string) (string, bool) {
	b, err := os.ReadFile(filepath.Join(h.root, path))
	return strings.TrimSpace(string(b)), err == nil
}

func (h *machine) exists(path string) bool {
	_, err := os.Stat(filepath.Join(h.root, path))
	return err == nil
}

func (h *machine) number(path string) (int, bool) {
	s, ok := h.read(path)
	n, err := strconv.Atoi(s)
	return n, ok && err == nil
}

// sipBuffer is what a SIP socket asks of the kernel: a burst of about a thousand calls.
const sipBuffer = 4 << 20

func (h *machine) buffers(c *Config) {
	if n, ok := h.number("proc/sys/net/core/rmem_max"); ok && n < sipBuffer {
		h.doubt("net.core.rmem_max", fmt.Sprintf("sysctl -w net.core.rmem_max=%d, and the same in /etc/sysctl.d/patchbay.conf", sipBuffer),
			"is %d bytes: bursts of SIP over UDP are lost, and sent again half a second later", n)
	}
}

// spareFiles is what there is beside media: connections, the journal, Postgres.
const spareFiles = 2048

// files compares the bound of open files with what calls take: two pairs of ports each.
func (h *machine) files(c *Config) {
	text, _ := h.read("proc/self/limits")
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) < 2 || f[1] == "unlimited" {
			return
		}
		hard, err := strconv.Atoi(f[1]) // the soft one is raised to it at the start
		if need := 4*c.Limits.Calls + spareFiles; err == nil && hard < need {
			h.doubt("RLIMIT_NOFILE", fmt.Sprintf("LimitNOFILE=%d in the systemd unit, or ulimit -n %d as root; or a smaller limits.calls", need, need),
				"is %d for this command's user: limits.calls of %d needs up to %d files, four for a call's media and %d for the rest", hard, c.Limits.Calls, need, spareFiles)
		}
	}
}

// ephemeral: media ports that the system gives to whoever asks for any.
func (h *machine) ephemeral(c *Config) {
	text, _ := h.read("proc/sys/net/ipv4/ip_local_port_range")
	var lo, hi uint16
	if _, err := fmt.Sscan(text, &lo, &hi); err != nil {
		return
	}
	p := c.Media.Ports
	if p.Min > hi || p.Max < lo || h.reserved(max(p.Min, lo), min(p.Max, hi)) {
		return
	}
	h.doubt("net.ipv4.ip_local_port_range", fmt.Sprintf("sysctl -w net.ipv4.ip_local_reserved_ports=%d-%d, or other media.ports", p.Min, p.Max),
		"%d to %d overlaps media.ports, %d to %d: some will be taken by other programs", lo, hi, p.Min, p.Max)
}

// reserved tells whether the system keeps a range of ports for those who name them.
func (h *machine) reserved(lo, hi uint16) bool {
	text, _ := h.read("proc/sys/net/ipv4/ip_local_reserved_ports")
	for part := range strings.SplitSeq(text, ",") {
		from, to, two := strings.Cut(part, "-")
		a, err := strconv.ParseUint(from, 10, 16)
		b := a
		if two && err == nil {
			b, err = strconv.ParseUint(to, 10, 16)
		}
		if err == nil && uint16(a) <= lo && uint16(b) >= hi {
			return true
		}
	}
	return false
}

// bound are the local addresses that the settings bind, each once, with the setting that names it.
func bound(c *Config) []socket {
	var out []socket
	add := func(field string, a netip.AddrPort, network string) {
		if a.Addr().IsValid() {
			out = append(out, socket{network, a, field, ""})
		}
	}
	add("http.listen", c.HTTP.Listen, "tcp")
	add("https.listen", c.https(), "tcp")
	for i, l := range c.SIP.Listen {
		network := l.Transport
		if network == "tls" {
			network = "tcp"
		}
		add(fmt.Sprintf("sip.listen[%d].address", i), l.Address, network)
	}
	for i, a := range c.Media.Addresses {
		add(fmt.Sprintf("media.addresses[%d].bind", i), netip.AddrPortFrom(a.Bind, 0), "udp")
	}
	for _, a := range c.Media.defaults() {
		if p := c.Media.WebRTC.Port; p != 0 {
			add("media.webrtc.port", netip.AddrPortFrom(a.Bind, p), "udp")
			if c.Media.WebRTC.TCP {
				add("media.webrtc.port", netip.AddrPortFrom(a.Bind, p), "tcp")
			}
		}
	}
	for i, t := range c.Trunks {
		add(fmt.Sprintf("trunks[%d].bind", i), t.Bind, "udp")
		add(fmt.Sprintf("trunks[%d].media.bind", i), netip.AddrPortFrom(t.Media.Bind, 0), "udp")
	}
	return out
}

// addresses: what can't be bound because this host doesn't have it.
func (h *machine) addresses(c *Config) {
	own := h.addrs()
	nonlocal, _ := h.number("proc/sys/net/ipv4/ip_nonlocal_bind")
	off, six := h.number("proc/sys/net/ipv6/conf/all/disable_ipv6")
	told := map[netip.Addr]bool{}
	for _, s := range bound(c) {
		a := s.addr.Addr().Unmap()
		if told[a] {
			continue
		}
		told[a] = true
		bare := a.WithZone("")
		switch {
		case a.Is6() && (off == 1 || !six && h.exists("proc/sys/net/ipv4")):
			h.doubt(s.field, "sysctl -w net.ipv6.conf.all.disable_ipv6=0, or an IPv4 address", "%s is of IPv6, which is switched off", a)
		case a.Is6() && h.unready(bare):
			h.doubt(s.field, "ip -6 addr show tentative dadfailed", "%s can't be bound: it is tentative, or another host has it too", a)
		case a.IsUnspecified(), bare.Is4() && a.IsLoopback(), slices.Contains(own, bare), nonlocal == 1 && a.Is4():
		case len(own) > 0:
			h.doubt(s.field, "ip addr shows the addresses; behind NAT bind the own one and advertise the public one", "%s isn't an address of this host: it can't be bound", a)
		}
	}
}

// Flags of addresses in /proc/net/if_inet6 (linux/if_addr.h).
const (
	dadFailed = 0x08
	tentative = 0x40
)

// unready tells whether an address of IPv6 can't be used yet, or at all, because another host may have it.
func (h *machine) unready(a netip.Addr) bool {
	text, _ := h.read("proc/net/if_inet6")
	want := fmt.Sprintf("%x", a.AsSlice())
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 || f[0] != want {
			continue
		}
		flags, err := strconv.ParseUint(f[4], 16, 16)
		return err == nil && flags&(dadFailed|tentative) != 0
	}
	return false
}
