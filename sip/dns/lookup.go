package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

var (
	errNoRecords = errors.New("no records")
	errNowhere   = fmt.Errorf("%w: the service is not offered", errNoRecords)
)

// naptr are the services of a domain that lead to SRV records, in the order of trying (RFC 3263 4.1, RFC 3403).
func (r *Resolver) naptr(ctx context.Context, host string) ([]service, error) {
	a, err := r.ask(ctx, host, mdns.TypeNAPTR)
	if err != nil {
		return nil, err
	}
	list := only[*mdns.NAPTR](a)
	slices.SortStableFunc(list, func(a, b *mdns.NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var out []service
	for _, n := range list {
		network := map[string]string{"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}[strings.ToUpper(n.Service)]
		if network == "" || !strings.EqualFold(n.Flags, "s") || n.Regexp != "" {
			continue
		}
		out = append(out, service{name(n.Replacement), network})
	}
	if len(out) == 0 {
		return nil, errNoRecords
	}
	return out, nil
}

func (r *Resolver) srv(ctx context.Context, service string) ([]record, error) {
	a, err := r.ask(ctx, service, mdns.TypeSRV)
	if err != nil {
		return nil, err
	}
	var out []record
	for _, s := range only[*mdns.SRV](a) {
		out = append(out, record{name(s.Target), s.Port, s.Priority, s.Weight})
	}
	return out, nil
}

// addresses asks for both families at once. One that has none, or fails, doesn't matter while the other has some.
func (r *Resolver) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	lookup := r.cfg.Lookup
	if lookup == nil && single(host) {
		lookup = systemLookup
	}
	if lookup != nil {
		return r.outside(ctx, host, lookup)
	}
	type answer struct {
		list []mdns.RR
		err  error
	}
	six := make(chan answer, 1)
	go func() {
		list, err := r.ask(ctx, host, mdns.TypeAAAA)
		six <- answer{list, err}
	}()
	four, err := r.ask(ctx, host, mdns.TypeA)
	other := <-six
	var out []netip.Addr
	for _, a := range only[*mdns.A](four) {
		if ip, ok := netip.AddrFromSlice(a.A); ok {
			out = append(out, ip)
		}
	}
	for _, a := range only[*mdns.AAAA](other.list) {
		if ip, ok := netip.AddrFromSlice(a.AAAA); ok {
			out = append(out, ip)
		}
	}
	switch {
	case len(out) > 0:
		return sorted(out), nil
	case err != nil && !errors.Is(err, errNoRecords):
		return nil, err
	case other.err != nil && !errors.Is(other.err, errNoRecords):
		return nil, other.err
	}
	return nil, fmt.Errorf("%w: it has no address", ErrNone)
}

// outside finds addresses by a function that tells no time to live.
func (r *Resolver) outside(ctx context.Context, host string, lookup func(context.Context, string) ([]netip.Addr, error)) ([]netip.Addr, error) {
	const life = 30 * time.Second
	if list, ok := r.cache.addrs(host, r.now()); ok {
		return list, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*r.cfg.Timeout)
	defer cancel()
	list, err := lookup(ctx, host)
	r.trace.note(Step{Name: host, Type: "addresses", Records: words(sorted(list)), Err: err})
	if err != nil {
		return nil, err
	}
	if list = sorted(list); len(list) == 0 {
		return nil, fmt.Errorf("%w: it has no address", ErrNone)
	}
	r.cache.keepAddrs(host, list, r.now().Add(life))
	return list, nil
}

// only are the records of one type.
func only[T mdns.RR](list []mdns.RR) []T {
	var out []T
	for _, rr := range list {
		if v, ok := rr.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

// name is a domain name without its last dot, in lower case; "" for the root.
func name(fqdn string) string { return strings.ToLower(strings.TrimSuffix(fqdn, ".")) }
