//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/patchbay/patchbay/test/peers"
)

// Four seconds of 20,000 datagrams a second from a thousand addresses, ten thousand connections that say nothing and WebSockets
// that stall in their handshake: a carrier's calls all succeed and soon, two phones talk on, and what it cost is given back.
func TestSipAttackFlood(t *testing.T) {
	a := &besieged{}
	addr, caller := address(t), at(peers.Address(t))
	// What is judged is what Patchbay does of it, not whether a machine that others use lets it run.
	cores := fmt.Sprintf("0-%d", runtime.NumCPU()-1)
	callee := peers.StartSIPp(t, peers.SIPpConfig{Name: "callee", Scenario: "sipp/answer.xml", Calls: 60, Cores: cores})
	a.gateway = startGateway(t, addr, settings{
		level: "info", cores: cores, others: cores,
		users: "  - {id: alice, password: wonder-land-1}\n",
		trunks: fmt.Sprintf("  - {id: in, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n  - {id: out, mode: address, proxy: \"%s:5060\", addresses: [%s]}\n",
			caller.Addr(), caller.Addr(), callee.SIP.Addr(), callee.SIP.Addr()),
		routes: "  - {id: through, source: \"trunk:in\", to: [{trunk: out}]}\n",
	})
	before := a.Metric(t, "process_resident_memory_bytes")
	var idle connections
	defer idle.close()
	t.Run("attack_stalled_websockets", func(t *testing.T) {
		for range 100 {
			idle.open(t, "127.60.1.1", netip.AddrPortFrom(a.addr, 8888), "GET /sip HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
		}
	})
	t.Run("attack_idle_connections", func(t *testing.T) {
		for i := range 10000 {
			idle.open(t, fmt.Sprintf("127.61.%d.%d", i/50/250, i/50%250+1), a.sip, "")
		}
	})
	calls := peers.StartSIPp(t, peers.SIPpConfig{Name: "caller", Scenario: "sipp/phone.xml", Remote: a.sip, Bind: caller, Calls: 60, Rate: 12, Users: [][]string{{"4930555", "bye"}},
		Username: "4940999", Keys: []string{"domain", "test.local"}, Length: 300 * time.Millisecond, Timeout: 30 * time.Second, Cores: cores})
	t.Run("attack_udp_flood", func(t *testing.T) { flood(t, a.sip, 4*time.Second) })
	calls.Done(t, 30*time.Second)
	callee.Done(t, 10*time.Second)
	for _, r := range a.records(t, 60) {
		if got, want := recordOf(r), (record{"closed", "caller", 200, 16}); got != want {
			t.Errorf("the record says %+v, expected %+v", got, want)
			continue
		}
		if took := r["answered_at"].(time.Time).Sub(r["started_at"].(time.Time)); took > 2*time.Second {
			t.Errorf("a call was answered after %v", took)
		}
	}
	if n := a.Metric(t, `patchbay_sip_dropped_total{reason="flood"}`); n == 0 {
		t.Error("no datagram of the flood was dropped unread")
	}
	idle.close()
	if after := a.Metric(t, "process_resident_memory_bytes"); after-before > 192<<20 { // 4096 connections were held at once
		t.Errorf("%.0f MB of memory after the attack, %.0f before", after/(1<<20), before/(1<<20))
	} else {
		t.Logf("%.0f MB of memory after the attack, %.0f before", after/(1<<20), before/(1<<20))
	}
	// A phone that comes now is served.
	peers.StartBaresip(t, peers.BaresipConfig{User: "alice", Password: "wonder-land-1", Domain: "test.local", Proxy: a.sip.String(), Codecs: "PCMU/8000/1"})
}

// connections are open until they are closed, whatever the other side does.
type connections struct{ list []net.Conn }

// open connects from an address of this host and says something, or nothing.
func (c *connections) open(t *testing.T, from string, to netip.AddrPort, says string) {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp4", to.String())
	if err != nil {
		t.Fatalf("connection %d: %v", len(c.list), err)
	}
	c.list = append(c.list, conn)
	_, _ = conn.Write([]byte(says)) // it may be closed already, which is right
}

func (c *connections) close() {
	for _, conn := range c.list {
		conn.Close()
	}
	c.list = nil
}

// flood sends what scanners, guessers and fools send, from a thousand addresses, 20,000 datagrams a second.
func flood(t *testing.T, to netip.AddrPort, length time.Duration) {
	const sources, rate = 1000, 20000
	var conns []*net.UDPConn
	for i := range sources {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 62, byte(i/250), byte(i%250+1))}, net.UDPAddrFromAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	kinds := []string{
		"REGISTER sip:test.local SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:alice@test.local>\r\nCall-ID: %d\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		"INVITE sip:0900@test.local SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:0900@test.local>\r\nCall-ID: %d\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:a@b>\r\nContent-Length: 0\r\n\r\n",
		"OPTIONS sip:test.local SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:test.local>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		"%d rubbish of no kind that anybody knows %d",
	}
	begun, sent := time.Now(), 0
	for time.Since(begun) < length {
		for due := int(time.Since(begun).Seconds() * rate); sent < due; sent++ {
			_, _ = fmt.Fprintf(conns[sent%sources], kinds[sent/sources%len(kinds)], sent, sent)
		}
		time.Sleep(time.Millisecond)
	}
	if t.Logf("%d datagrams in %v", sent, time.Since(begun)); sent < rate/2*int(length.Seconds()) {
		t.Errorf("%d datagrams were sent in %v, too few to say anything", sent, length)
	}
}
