package main

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// taken: ports that another program has now. While a gateway runs here they are its own.
func (h *machine) taken(c *Config) {
	if h.running() {
		return
	}
	has := map[string][]netip.AddrPort{"udp": h.sockets("udp"), "tcp": h.sockets("tcp")}
	told := map[string]bool{}
	for _, s := range bound(c) {
		if s.addr.Port() == 0 {
			continue
		}
		for _, o := range has[s.network] {
			key := s.network + s.addr.String()
			if o.Port() == s.addr.Port() && overlap(o.Addr(), s.addr.Addr().Unmap()) && !told[key] {
				told[key] = true
				flag := map[string]string{"udp": "u", "tcp": "t"}[s.network]
				h.doubt(s.field, fmt.Sprintf("ss -l%snp 'sport = :%d' tells which", flag, o.Port()), "%s %s is taken by another program", s.network, o)
			}
		}
	}
	h.takenMedia(c, has["udp"])
}

func (h *machine) takenMedia(c *Config, has []netip.AddrPort) {
	p := c.Media.Ports
	var in []netip.AddrPort
	for _, o := range has {
		if o.Port() < p.Min || o.Port() > p.Max {
			continue
		}
		if slices.ContainsFunc(c.Media.Addresses, func(a MediaInterface) bool { return overlap(o.Addr(), a.Bind) }) {
			in = append(in, o)
		}
	}
	if len(in) == 0 {
		return
	}
	h.doubt("media.ports", fmt.Sprintf("ss -lunp 'sport >= :%d and sport <= :%d' tells which; or other media.ports", p.Min, p.Max),
		"other programs have %s of %d to %d, such as %s: calls pass them by", plural(len(in), "port"), p.Min, p.Max, in[0])
}

// running tells whether another process of this program runs here.
func (h *machine) running() bool {
	list, _ := filepath.Glob(filepath.Join(h.root, "proc/[0-9]*/comm"))
	for _, path := range list {
		if filepath.Base(filepath.Dir(path)) == strconv.Itoa(os.Getpid()) {
			continue
		}
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == "patchbay" {
			return true
		}
	}
	return false
}

// sockets are the local addresses that are bound: of TCP those that listen.
func (h *machine) sockets(network string) []netip.AddrPort {
	const listens = "0A" // TCP_LISTEN
	var out []netip.AddrPort
	for _, name := range []string{network, network + "6"} {
		text, _ := h.read("proc/net/" + name)
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if len(f) < 4 || network == "tcp" && f[3] != listens {
				continue
			}
			if a, ok := procAddr(f[1]); ok {
				out = append(out, a)
			}
		}
	}
	return out
}

// procAddr reads an address of /proc/net: hexadecimal words in the order of the host's bytes, and the port.
func procAddr(s string) (netip.AddrPort, bool) {
	ip, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(ip)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}

// certificateSoon is how long before a certificate's end there is a warning.
const certificateSoon = 21 * 24 * time.Hour

// certificates: those that have ended, or soon will.
func (h *machine) certificates(c *Config) {
	h.certificate("https.certificate", c.HTTPS.Certificate)
	for i, t := range c.Trunks {
		h.certificate(fmt.Sprintf("trunks[%d].tls.certificate", i), t.TLS.Certificate)
		h.certificate(fmt.Sprintf("trunks[%d].tls.ca", i), t.TLS.CA)
	}
	for i, w := range c.Webhooks {
		h.certificate(fmt.Sprintf("webhooks[%d].ca", i), w.CA)
	}
}

func (h *machine) certificate(field, path string) {
	if path == "" {
		return
	}
	b, err := readPEM(path)
	if err != nil {
		h.doubt(field, "is it there, and may the gateway's user read it?", "%v", err)
		return
	}
	block, _ := pem.Decode(b)
	if block == nil {
		h.doubt(field, "expected -----BEGIN CERTIFICATE-----", "%s holds no PEM", path)
		return
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		h.doubt(field, "expected a certificate in PEM", "%s: %v", path, err)
		return
	}
	switch left := cert.NotAfter.Sub(h.now()); {
	case left <= 0:
		h.doubt(field, "renew it", "%s ended %s", path, cert.NotAfter.UTC().Format(time.RFC3339))
	case left < certificateSoon:
		h.doubt(field, "renew it", "%s ends in %d days, %s", path, int(left.Hours()/24), cert.NotAfter.UTC().Format(time.RFC3339))
	}
}

// disk: room for records.
func (h *machine) disk(c *Config) {
	dir := c.Billing.Dir
	for dir != "" && dir != "/" { // what isn't made yet will be on its parent's disk
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	if dir == "" {
		return
	}
	if n, err := h.free(dir); err == nil && n < uint64(c.Billing.MinFree) {
		h.doubt("billing.dir", "df -h "+dir, "%s has %s free, less than billing.min_free, which is %s: an alarm from the start", dir, Size(n).rounded(), c.Billing.MinFree)
	}
}

// rounded is a size in its largest whole unit.
func (s Size) rounded() string {
	for _, u := range units {
		if int64(s) >= u.n {
			return fmt.Sprintf("%d %s", int64(s)/u.n, u.name)
		}
	}
	return "nothing"
}

func freeBytes(path string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
