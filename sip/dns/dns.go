// Package dns finds where SIP requests go: RFC 3263's NAPTR, SRV and address lookups, with their times to live, an order
// by priority and weight, and a memory of which servers have failed lately.
package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Config of a Resolver. The zero value asks the servers of /etc/resolv.conf.
type Config struct {
	Servers    []netip.AddrPort // asked in this order; none = those of /etc/resolv.conf
	Hosts      string           // file of fixed addresses; "" = /etc/hosts
	Timeout    time.Duration    // of one question to one server; 0 = 1 s
	Quarantine time.Duration    // how long a target that failed stands behind the others; 0 = 30 s
	Log        *slog.Logger     // nil: nothing is logged
	// Lookup overrides how addresses of a name are found, for programs that know better; then no DNS server is asked
	// for addresses. Their time to live is 30 s. nil: hosts file and DNS.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Resolver answers and remembers. It may be used by any goroutine.
type Resolver struct {
	cfg        Config
	exchange   exchanger
	cache      cache
	hosts      hosts
	quarantine quarantine
	now        func() time.Time
	trace      *tracer // of Explain; nil otherwise
}

// New makes a resolver. It fails if the servers of /etc/resolv.conf were wanted and can't be read; without such a file
// the one on 127.0.0.1 is asked.
func New(cfg Config) (*Resolver, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	if cfg.Quarantine == 0 {
		cfg.Quarantine = 30 * time.Second
	}
	if cfg.Hosts == "" {
		cfg.Hosts = "/etc/hosts"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Servers) == 0 {
		servers, err := systemServers("/etc/resolv.conf")
		if err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
		cfg.Servers = servers
	}
	r := &Resolver{cfg: cfg, exchange: exchanger{servers: cfg.Servers, timeout: cfg.Timeout}, now: time.Now}
	r.hosts.path = cfg.Hosts
	return r, nil
}

// Query is what a request wants to reach.
type Query struct {
	Host string // name, or an address without brackets
	Port uint16 // 0 = what SRV says, else the transport's own
	// Network is "udp", "tcp" or "tls"; "" = what NAPTR says, else the first of Networks that has an SRV record, else udp.
	Network string
	Secure  bool // a sips URI: only TLS will do
	// Networks are the transports that we have, best first; nil = udp, tcp, tls.
	Networks []string
}

// Target is one server to try.
type Target struct {
	Network string
	Addr    netip.AddrPort
	// Name is whose certificate a TLS server must show (RFC 5922 4): the name that was asked for, never an SRV target's.
	Name string
}

// ErrNone says that a name has no server for SIP, or no address.
var ErrNone = errors.New("no such server")

// Targets are the servers to try, in order: by NAPTR order and preference, SRV priority and weight, IPv4 before IPv6;
// those that Failed named lately come last. There is at least one, or an error that names what was asked.
func (r *Resolver) Targets(ctx context.Context, q Query) ([]Target, error) {
	if q.Networks == nil {
		q.Networks = []string{"udp", "tcp", "tls"}
	}
	q.Host = strings.TrimSuffix(strings.ToLower(q.Host), ".")
	if err := q.check(); err != nil {
		return nil, err
	}
	list, err := r.find(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("dns: %s: %w", q.Host, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("dns: %s: %w", q.Host, ErrNone)
	}
	return r.quarantine.order(list, r.now()), nil
}

func (q *Query) check() error {
	if q.Host == "" || len(q.Host) > 253 || strings.ContainsAny(q.Host, " /\\@") {
		return fmt.Errorf("dns: host %.80q: expected a name or an address", q.Host)
	}
	if q.Secure && q.Network == "" {
		q.Network = "tls"
	}
	switch q.Network {
	case "", "udp", "tcp", "tls":
	default:
		return fmt.Errorf("dns: network %q: expected udp, tcp or tls", q.Network)
	}
	if q.Network != "" && !slices.Contains(q.Networks, q.Network) {
		return fmt.Errorf("dns: %s: transport %s isn't available here", q.Host, q.Network)
	}
	return nil
}

// find is RFC 3263 4.1 and 4.2.
func (r *Resolver) find(ctx context.Context, q Query) ([]Target, error) {
	network := q.Network
	if network == "" {
		network = q.Networks[0]
		if slices.Contains(q.Networks, "udp") {
			network = "udp"
		}
	}
	if a, err := netip.ParseAddr(q.Host); err == nil {
		return []Target{{network, netip.AddrPortFrom(a.Unmap(), portOr(q.Port, network)), q.Host}}, nil
	}
	if q.Port != 0 {
		return r.hostTargets(ctx, q.Host, network, q.Port, q.Host)
	}
	if r.cfg.Lookup != nil || r.hosts.has(q.Host) { // the name is one of a host, fixed by whoever runs it
		return r.hostTargets(ctx, q.Host, network, portOr(0, network), q.Host)
	}
	services, err := r.services(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []Target
	var failed error
	for _, s := range services {
		targets, err := r.serviceTargets(ctx, s, q.Host)
		if err != nil {
			failed = err
			continue
		}
		out = append(out, targets...)
	}
	if len(out) > 0 || failed != nil && !errors.Is(failed, errNoRecords) {
		if len(out) > 0 {
			failed = nil
		}
		return out, failed
	}
	if errors.Is(failed, errNowhere) {
		return nil, fmt.Errorf("%w: its SRV record says that there is no such service", ErrNone)
	}
	return r.hostTargets(ctx, q.Host, network, portOr(0, network), q.Host)
}

// service is a name to ask SRV for, and the transport that it is about.
type service struct{ name, network string }

// services come from NAPTR where nothing fixes the transport (RFC 3263 4.1), else from the transports themselves.
func (r *Resolver) services(ctx context.Context, q Query) ([]service, error) {
	if q.Network == "" {
		list, err := r.naptr(ctx, q.Host)
		if err != nil && !errors.Is(err, errNoRecords) {
			return nil, err
		}
		var out []service
		for _, n := range list {
			if slices.Contains(q.Networks, n.network) {
				out = append(out, n)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
		for _, n := range q.Networks {
			out = append(out, service{serviceName(n, q.Host), n})
		}
		return out, nil
	}
	return []service{{serviceName(q.Network, q.Host), q.Network}}, nil
}

func serviceName(network, host string) string {
	if network == "tls" {
		return "_sips._tcp." + host
	}
	return "_sip._" + network + "." + host
}

func (r *Resolver) serviceTargets(ctx context.Context, s service, asked string) ([]Target, error) {
	records, err := r.srv(ctx, s.name)
	if err != nil {
		return nil, err
	}
	if len(records) == 1 && records[0].host == "" { // RFC 2782: "." as target
		return nil, errNowhere
	}
	var out []Target
	var failed error
	for _, rec := range weigh(records) {
		if rec.host == "" {
			continue
		}
		targets, err := r.hostTargets(ctx, rec.host, s.network, rec.port, asked)
		if err != nil {
			failed = err // the other servers may still be there
			continue
		}
		out = append(out, targets...)
	}
	if len(out) == 0 && failed != nil {
		return nil, failed
	}
	return out, nil
}

// hostTargets are a host's addresses, IPv4 first.
func (r *Resolver) hostTargets(ctx context.Context, host, network string, port uint16, asked string) ([]Target, error) {
	addrs, err := r.Addrs(ctx, host)
	if err != nil {
		return nil, err
	}
	out := make([]Target, len(addrs))
	for i, a := range addrs {
		out[i] = Target{network, netip.AddrPortFrom(a, port), asked}
	}
	return out, nil
}

// Addrs are the addresses of a host, IPv4 first. A literal is its own.
func (r *Resolver) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if list := r.hosts.lookup(host); len(list) > 0 && r.cfg.Lookup == nil {
		r.trace.note(Step{Name: host, Type: "hosts", Records: words(sorted(list))})
		return sorted(list), nil
	}
	list, err := r.addresses(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", host, err)
	}
	return list, nil
}

func words(list []netip.Addr) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

func sorted(list []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, four := range []bool{true, false} {
		for _, a := range list {
			if a = a.Unmap(); a.IsValid() && a.Is4() == four && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// Failed tells that a target gave no answer, or 503: for a while it comes last.
func (r *Resolver) Failed(t Target) { r.quarantine.add(t, r.now().Add(r.cfg.Quarantine)) }

// Works takes back what Failed said.
func (r *Resolver) Works(t Target) { r.quarantine.remove(t) }

func portOr(port uint16, network string) uint16 {
	switch {
	case port != 0:
		return port
	case network == "tls":
		return 5061
	}
	return 5060
}

// single tells a name without dots: the system knows such from its search list and its own tables.
func single(host string) bool { return !strings.Contains(host, ".") }

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
