package dns

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// hosts is the file of fixed addresses, read again when it changed.
type hosts struct {
	path string

	mu      sync.Mutex
	checked time.Time
	changed time.Time
	names   map[string][]netip.Addr
}

// hostsLife is how long the file isn't looked at again.
const hostsLife = 5 * time.Second

func (h *hosts) has(name string) bool { return len(h.lookup(name)) > 0 }

func (h *hosts) lookup(name string) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); now.Sub(h.checked) > hostsLife {
		h.checked = now
		if st, err := os.Stat(h.path); err != nil {
			h.names = nil
		} else if !st.ModTime().Equal(h.changed) {
			h.changed, h.names = st.ModTime(), readHosts(h.path)
		}
	}
	return h.names[name]
}

func readHosts(path string) map[string][]netip.Addr {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseHosts(f)
}

func parseHosts(r io.Reader) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		a, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, n := range fields[1:] {
			n = strings.ToLower(n)
			names[n] = append(names[n], a)
		}
	}
	return names
}

// systemServers reads /etc/resolv.conf. Without the file it is the server of this host (resolv.conf(5)).
func systemServers(path string) ([]netip.AddrPort, error) {
	local := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	c, err := mdns.ClientConfigFromFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return local, nil
	}
	if err != nil {
		return nil, err
	}
	var out []netip.AddrPort
	for _, s := range c.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.AddrPortFrom(a, 53))
		}
	}
	if len(out) == 0 {
		return local, nil
	}
	return out, nil
}
