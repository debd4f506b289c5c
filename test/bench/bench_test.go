//go:build linux

package main

import (
	"bytes"
	"context"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/udp"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"-rounds", "2", "-calls", "7,300", "-designs", "c-epoll,udp", "-before", "old"})
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 2 || o.seconds != 3 || len(o.calls) != 2 || o.calls[1] != 300 || len(o.designs) != 3 ||
		o.designs[1].program != "old" || o.designs[2].name != "udp" || !o.goal || len(o.designsAt(7)) != 3 {
		t.Errorf("got %+v", o)
	}
	for args, want := range map[string]string{
		"-rounds 0": "-rounds is 0", "-seconds 61": "-seconds is 61", "-calls 9999": `-calls has "9999"`,
		"-designs x": `-designs has "x"`, "more": `got "more"`,
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", args, err, want)
		}
	}
}

func TestParseRun(t *testing.T) {
	const line = "sent=1500 rcvd=1499 loss=0.067% pps=500 lat_us p50=52 p99=252 p99.9=300 max=400 cpu_us_per_pkt=5.540 cpu_core=20.0% gen_core=31.5% bad=0 err=0\n"
	m, err := parseRun(line, "serve: packets=99 allocs/pkt=0.0020\n")
	if want := (measurement{cpu: 5.54, p50: 52, p99: 252, loss: 0.067, allocs: 0.002, sent: 1500, busy: 31.5}); err != nil || m != want {
		t.Errorf("got %+v, %v, expected %+v", m, err, want)
	}
	if m, err := parseRun(line, "relay: packets=99"); err != nil || m.allocs != -1 {
		t.Errorf("got %+v, %v, expected unknown allocations", m, err)
	}
	if _, err := parseRun(strings.Replace(line, "rcvd=1499", "rcvd=0", 1), ""); err == nil {
		t.Error("a run that relayed nothing was taken")
	}
	if _, err := parseRun("bind: Address already in use", ""); err == nil {
		t.Error("a failed run was taken")
	}
}

func TestTable(t *testing.T) {
	table := newTable([]design{{name: "floor"}, {name: "product"}})
	for i, cpu := range []float64{4, 10, 5} { // the second round was a slow one for both
		table.rows[0].add(measurement{cpu: cpu, allocs: -1})
		table.rows[1].add(measurement{cpu: cpu * (1.1 + float64(i)/100), p99: 100, loss: float64(i)})
	}
	if r := table.ratios(table.rows[1]).median; math.Abs(r-1.11) > 1e-9 {
		t.Errorf("ratio %v, expected 1.11", r)
	}
	var b bytes.Buffer
	table.print(&b)
	for _, want := range []string{"5.00 [4.00..10.00]", "1.11 [1.10..1.12]", "2.000", "to floor"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

// By default set-ups are measured at one load, and all that has a goal is judged.
func TestGoals(t *testing.T) {
	o, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []goal
	for _, calls := range o.calls {
		table := newTable(o.designsAt(calls))
		for _, r := range table.rows {
			m := measurement{cpu: 10, allocs: 0.0004, p50: 60, p99: 2500}
			if r.design.name == product && calls == 1200 {
				m.cpu = 12.5
			}
			r.add(m)
		}
		all = append(all, table.goals(calls)...)
	}
	var b bytes.Buffer
	if missed := judge(&b, all); len(all) != 8 || missed != 2 {
		t.Errorf("%d goals, %d missed, expected 8 and 2", len(all), missed)
	}
	said := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"CPU per packet, 100 calls 1.00 times c-epoll goal 1.20 at most met",
		"CPU per packet, 1200 calls 1.25 times c-epoll goal 1.20 at most MISSED",
		"latency p99, 500 calls, 20 set up a second beside 2500 us goal 2000 at most MISSED",
		"allocations per packet, 500 calls 0.000 goal 0.001 at most met",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the verdicts lack %q:\n%s", want, b.String())
		}
	}
}

// A relay under measurement relays: what one side sends arrives at the other.
func TestPlain(t *testing.T) {
	network, err := udp.New(udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 60000, Max: 60999})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRelayer("udp", network, ports, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Call()
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Ports()
	conns := make([]*net.UDPConn, 2)
	for i, port := range []uint16{a, b} {
		conns[i], err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)))
		if err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	buf := make([]byte, 100)
	for end := time.Now().Add(5 * time.Second); ; { // until the far side is known
		if time.Now().After(end) {
			t.Fatal("nothing relayed")
		}
		for _, c := range conns {
			if _, err := c.Write([]byte("media")); err != nil {
				t.Fatal(err)
			}
		}
		if err := conns[1].SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := conns[1].Read(buf); err == nil {
			if string(buf[:n]) != "media" {
				t.Errorf("got %q", buf[:n])
			}
			break
		}
	}
	if r.Packets() == 0 {
		t.Error("no packet counted")
	}
	if err := c.Close(); err != nil || network.Sockets() != 0 {
		t.Errorf("Close: %v, %d sockets left", err, network.Sockets())
	}
	if _, err := newRelayer("x", network, ports, netip.Addr{}); err == nil {
		t.Error("an unknown relay was made")
	}
}

func TestChurn(t *testing.T) {
	network, err := udp.New(udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 61000, Max: 61999, Hold: -1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRelayer("udp", network, ports, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	// Nobody is late here: 50 a second for 0.3 s are about 15, and none has had its second.
	if err := churn(ctx, r, 50); err != nil {
		t.Fatal(err)
	}
	if n := network.Sockets(); n < 4*5 || n > 4*16 {
		t.Errorf("%d sockets, expected about %d", n, 4*15)
	}
}
