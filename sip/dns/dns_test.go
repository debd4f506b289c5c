package dns_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/sip/dns"
	"github.com/patchbay/patchbay/sip/siptest"
)

var carrier = []string{
	`carrier.test. 60 IN NAPTR 20 50 "s" "SIP+D2U" "" _sip._udp.carrier.test.`,
	`carrier.test. 60 IN NAPTR 10 50 "s" "SIP+D2T" "" _sip._tcp.carrier.test.`,
	`carrier.test. 60 IN NAPTR 5 50 "s" "SIPS+D2T" "" _sips._tcp.carrier.test.`,
	`carrier.test. 60 IN NAPTR 1 50 "u" "E2U+sip" "!^.*$!sip:x@y!" .`,
	`_sip._udp.carrier.test. 60 IN SRV 20 0 5062 b.carrier.test.`,
	`_sip._udp.carrier.test. 60 IN SRV 10 0 5060 a.carrier.test.`,
	`_sip._tcp.carrier.test. 60 IN SRV 10 0 5070 a.carrier.test.`,
	`_sips._tcp.carrier.test. 60 IN SRV 10 0 5071 a.carrier.test.`,
	`a.carrier.test. 60 IN A 127.0.0.1`,
	`a.carrier.test. 60 IN AAAA ::1`,
	`b.carrier.test. 60 IN CNAME c.carrier.test.`,
	`c.carrier.test. 60 IN A 127.0.0.3`,
	`plain.test. 60 IN A 127.0.0.4`,
	`_sip._udp.none.test. 60 IN SRV 0 0 0 .`,
	`none.test. 60 IN A 127.0.0.5`,
}

func newResolver(t *testing.T, cfg dns.Config) *dns.Resolver {
	t.Helper()
	if cfg.Hosts == "" {
		cfg.Hosts = filepath.Join(t.TempDir(), "hosts")
	}
	r, err := dns.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func told(list []dns.Target) string {
	var out []string
	for _, t := range list {
		out = append(out, fmt.Sprintf("%s %s %s", t.Network, t.Addr, t.Name))
	}
	return strings.Join(out, "; ")
}

func TestTargets(t *testing.T) {
	server := siptest.NewDNS(t, carrier...)
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{server.Addr}})
	for _, c := range []struct {
		name string
		q    dns.Query
		want string
	}{
		{"NAPTR orders the transports", dns.Query{Host: "carrier.test"},
			"tls 127.0.0.1:5071 carrier.test; tls [::1]:5071 carrier.test; tcp 127.0.0.1:5070 carrier.test; tcp [::1]:5070 carrier.test; " +
				"udp 127.0.0.1:5060 carrier.test; udp [::1]:5060 carrier.test; udp 127.0.0.3:5062 carrier.test"},
		{"what we don't have is left out", dns.Query{Host: "Carrier.Test.", Networks: []string{"udp"}},
			"udp 127.0.0.1:5060 carrier.test; udp [::1]:5060 carrier.test; udp 127.0.0.3:5062 carrier.test"},
		{"a given transport asks no NAPTR", dns.Query{Host: "carrier.test", Network: "tcp"}, "tcp 127.0.0.1:5070 carrier.test; tcp [::1]:5070 carrier.test"},
		{"sips is TLS alone", dns.Query{Host: "carrier.test", Secure: true}, "tls 127.0.0.1:5071 carrier.test; tls [::1]:5071 carrier.test"},
		{"a given port asks no SRV", dns.Query{Host: "a.carrier.test", Port: 5999}, "udp 127.0.0.1:5999 a.carrier.test; udp [::1]:5999 a.carrier.test"},
		{"an alias", dns.Query{Host: "b.carrier.test", Port: 1}, "udp 127.0.0.3:1 b.carrier.test"},
		{"no SRV: the host itself", dns.Query{Host: "plain.test"}, "udp 127.0.0.4:5060 plain.test"},
		{"no SRV, TLS", dns.Query{Host: "plain.test", Network: "tls"}, "tls 127.0.0.4:5061 plain.test"},
		{"an address", dns.Query{Host: "::1", Network: "tcp"}, "tcp [::1]:5060 ::1"},
		{"an address and a port", dns.Query{Host: "127.0.0.9", Port: 7}, "udp 127.0.0.9:7 127.0.0.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := r.Targets(t.Context(), c.q)
			if err != nil || told(list) != c.want {
				t.Errorf("got  %s, %v\nwant %s", told(list), err, c.want)
			}
		})
	}
	if n := server.Asked("carrier.test", "NAPTR"); n != 1 {
		t.Errorf("NAPTR was asked for %d times within its time to live, want once", n)
	}
}

func TestTargetsRefused(t *testing.T) {
	server := siptest.NewDNS(t, carrier...)
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{server.Addr}})
	for _, c := range []struct {
		q    dns.Query
		none bool
		want string
	}{
		{dns.Query{Host: "absent.test"}, true, "absent.test"},
		{dns.Query{Host: "none.test", Network: "udp"}, true, "no such service"},
		{dns.Query{Host: "", Port: 5060}, false, "expected a name or an address"},
		{dns.Query{Host: "a b.test"}, false, "expected a name or an address"},
		{dns.Query{Host: "plain.test", Network: "sctp"}, false, `network "sctp": expected udp, tcp or tls`},
		{dns.Query{Host: "plain.test", Network: "tls", Networks: []string{"udp"}}, false, "transport tls isn't available"},
	} {
		_, err := r.Targets(t.Context(), c.q)
		if err == nil || errors.Is(err, dns.ErrNone) != c.none || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q (no such server: %v)", c.q, err, c.want, c.none)
		}
	}
}

// TestWeights: of two servers of one priority, the one of three times the weight comes first in about three of four draws.
func TestWeights(t *testing.T) {
	server := siptest.NewDNS(t, "_sip._udp.w.test. 60 IN SRV 1 75 5060 a.test.", "_sip._udp.w.test. 60 IN SRV 1 25 5060 b.test.",
		"_sip._udp.w.test. 60 IN SRV 2 100 5060 c.test.", "a.test. 60 IN A 127.0.0.1", "b.test. 60 IN A 127.0.0.2", "c.test. 60 IN A 127.0.0.3")
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{server.Addr}})
	const draws = 4000
	first := map[string]int{}
	for range draws {
		list, err := r.Targets(t.Context(), dns.Query{Host: "w.test", Network: "udp"})
		if err != nil || len(list) != 3 || list[2].Addr.Addr().String() != "127.0.0.3" {
			t.Fatalf("%s, %v: want three targets, the one of priority 2 last", told(list), err)
		}
		first[list[0].Addr.Addr().String()]++
	}
	// The deviation of such a count is 27 draws: six of them never happen.
	if n := first["127.0.0.1"]; n < draws*3/4-170 || n > draws*3/4+170 {
		t.Errorf("of %d draws %v came first, want about 3 of 4 for 127.0.0.1", draws, first)
	}
}

func TestQuarantine(t *testing.T) {
	server := siptest.NewDNS(t, carrier...)
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{server.Addr}, Quarantine: 300 * time.Millisecond})
	ask := func() string {
		list, err := r.Targets(t.Context(), dns.Query{Host: "carrier.test", Network: "udp", Networks: []string{"udp"}})
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Addr.String()
	}
	down := dns.Target{Network: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:5060")}
	r.Failed(down)
	if first := ask(); first != "[::1]:5060" {
		t.Errorf("after a failure %s is first, want the next one", first)
	}
	r.Works(down)
	if first := ask(); first != "127.0.0.1:5060" {
		t.Errorf("after it worked %s is first", first)
	}
	r.Failed(down)
	time.Sleep(350 * time.Millisecond)
	if first := ask(); first != "127.0.0.1:5060" {
		t.Errorf("after the quarantine %s is first", first)
	}
}

// TestServers: a server that doesn't answer costs its timeout, a broken one nothing, and a cut answer is fetched over TCP.
func TestServers(t *testing.T) {
	broken, good := siptest.NewDNS(t), siptest.NewDNS(t, carrier...)
	broken.Break(2)
	good.Cut()
	silent := netip.MustParseAddrPort("127.0.0.1:9") // discard: nobody is there
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{silent, broken.Addr, good.Addr}, Timeout: 100 * time.Millisecond})
	list, err := r.Targets(t.Context(), dns.Query{Host: "plain.test"})
	if err != nil || told(list) != "udp 127.0.0.4:5060 plain.test" {
		t.Errorf("%s, %v", told(list), err)
	}
	good.Break(5)
	if _, err := r.Targets(t.Context(), dns.Query{Host: "c.carrier.test", Port: 5060}); err == nil || !strings.Contains(err.Error(), "REFUSED") {
		t.Errorf("%v: want an error that says REFUSED", err)
	}
}

// TestStale: what was known serves on while no server answers.
func TestStale(t *testing.T) {
	server := siptest.NewDNS(t, "short.test. 1 IN A 127.0.0.6")
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{server.Addr}, Timeout: 100 * time.Millisecond})
	q := dns.Query{Host: "short.test", Port: 5060}
	if _, err := r.Targets(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	server.Set(t, "short.test. 1 IN A 127.0.0.7")
	time.Sleep(1100 * time.Millisecond)
	if list, err := r.Targets(t.Context(), q); err != nil || list[0].Addr.Addr().String() != "127.0.0.7" {
		t.Errorf("after its time to live: %s, %v, want the new address", told(list), err)
	}
	server.Break(2)
	time.Sleep(1100 * time.Millisecond)
	if list, err := r.Targets(t.Context(), q); err != nil || list[0].Addr.Addr().String() != "127.0.0.7" {
		t.Errorf("while the server is broken: %s, %v, want the last known address", told(list), err)
	}
}

// TestOnce: many who ask the same at a time ask once.
func TestOnce(t *testing.T) {
	server := siptest.NewDNS(t, carrier...)
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{server.Addr}})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := r.Targets(t.Context(), dns.Query{Host: "plain.test", Port: 5060}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := server.Asked("plain.test", "A"); n != 1 {
		t.Errorf("A was asked for %d times, want once", n)
	}
}

func TestHosts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("# fixed\n127.0.0.8 Pinned.test other.test # both\n::1 pinned.test\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := siptest.NewDNS(t, "_sip._udp.pinned.test. 60 IN SRV 1 1 5999 elsewhere.test.")
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{server.Addr}, Hosts: file})
	list, err := r.Targets(t.Context(), dns.Query{Host: "pinned.test"})
	if err != nil || told(list) != "udp 127.0.0.8:5060 pinned.test; udp [::1]:5060 pinned.test" {
		t.Errorf("%s, %v", told(list), err)
	}
}

func TestLookup(t *testing.T) {
	known := map[string][]netip.Addr{"own.test": {netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.2")}}
	r := newResolver(t, dns.Config{Servers: []netip.AddrPort{}, Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		if list := known[host]; list != nil {
			return list, nil
		}
		return nil, fmt.Errorf("only %v", slices.Sorted(maps.Keys(known)))
	}})
	list, err := r.Targets(t.Context(), dns.Query{Host: "own.test", Network: "tcp"})
	if err != nil || told(list) != "tcp 127.0.0.2:5060 own.test; tcp [::1]:5060 own.test" {
		t.Errorf("%s, %v", told(list), err)
	}
	if _, err := r.Targets(t.Context(), dns.Query{Host: "other.test"}); err == nil || !strings.Contains(err.Error(), "only [own.test]") {
		t.Errorf("%v: want the lookup's own words", err)
	}
}
