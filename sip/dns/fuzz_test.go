package dns

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// FuzzAnswers: whatever a name server says, targets are addresses with ports, and come to an end.
func FuzzAnswers(f *testing.F) {
	for _, lines := range [][]string{
		{"carrier.test. 60 IN A 192.0.2.1"}, {"carrier.test. 60 IN CNAME carrier.test."}, {"carrier.test. 60 IN AAAA 2001:db8::1", "carrier.test. 60 IN A 192.0.2.1"},
		{`carrier.test. 60 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.carrier.test.`}, {"_sip._udp.carrier.test. 60 IN SRV 10 100 5060 carrier.test."},
		{"_sip._udp.carrier.test. 0 IN SRV 0 0 0 ."},
	} {
		m := new(mdns.Msg).SetQuestion("carrier.test.", mdns.TypeA)
		for _, l := range lines {
			rr, err := mdns.NewRR(l)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var said mdns.Msg
		if said.Unpack(b) != nil {
			return
		}
		r, err := New(Config{Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, Hosts: "none", Timeout: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		// It is the answer to every question that may follow.
		names := map[string]bool{"carrier.test": true, "_sip._udp.carrier.test": true, "_sip._tcp.carrier.test": true, "_sips._tcp.carrier.test": true}
		for _, rr := range said.Answer {
			switch v := rr.(type) {
			case *mdns.SRV:
				names[name(v.Target)] = true
			case *mdns.NAPTR:
				names[name(v.Replacement)] = true
			}
		}
		for n := range names {
			for _, typ := range []uint16{mdns.TypeNAPTR, mdns.TypeSRV, mdns.TypeA, mdns.TypeAAAA} {
				r.cache.claim(question{n, typ}, r.now())
				if _, err := r.cache.settle(question{n, typ}, &said, nil, r.now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		targets, err := r.Targets(ctx, Query{Host: "carrier.test"})
		if err == nil && len(targets) == 0 {
			t.Error("neither a target nor an error")
		}
		for _, x := range targets {
			if !x.Addr.IsValid() || x.Addr.Port() == 0 || x.Network != "udp" && x.Network != "tcp" && x.Network != "tls" {
				t.Errorf("target %+v", x)
			}
		}
	})
}

func FuzzHosts(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost # x\n::1 localhost ip6\n\n192.0.2.1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, list := range parseHosts(bytes.NewReader(b)) {
			if name == "" || len(list) == 0 {
				t.Errorf("%q has %v", name, list)
			}
		}
	})
}
