package siptest

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	mdns "github.com/miekg/dns"
)

// DNS is a name server for tests, on loopback, over UDP and TCP.
type DNS struct {
	Addr netip.AddrPort

	mu    sync.Mutex
	rr    map[mdns.Question][]mdns.RR
	asked map[mdns.Question]int
	rcode int
	cut   bool
}

// NewDNS starts a name server that knows the records, in zone file form: "host.test. 60 IN A 127.0.0.1". It ends with the test.
func NewDNS(t testing.TB, records ...string) *DNS {
	t.Helper()
	d := &DNS{asked: map[mdns.Question]int{}}
	d.Set(t, records...)
	udp, tcp := bothAt(t)
	d.Addr = udp.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, s := range []*mdns.Server{{PacketConn: udp, Handler: d}, {Listener: tcp, Handler: d}} {
		up, down := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() {
			defer close(down)
			_ = s.ActivateAndServe()
		}()
		<-up
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-down
		})
	}
	return d
}

// Set replaces the records.
func (d *DNS) Set(t testing.TB, records ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rr = map[mdns.Question][]mdns.RR{}
	for _, text := range records {
		rr, err := mdns.NewRR(text)
		if err != nil {
			t.Fatalf("record %q: %v", text, err)
		}
		h := rr.Header()
		q := mdns.Question{Name: h.Name, Qtype: h.Rrtype, Qclass: h.Class}
		d.rr[q] = append(d.rr[q], rr)
	}
}

// Break answers everything with a code, such as 2 for SERVFAIL; 0 mends it.
func (d *DNS) Break(rcode int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rcode = rcode
}

// Cut makes each answer over UDP a truncated one without records.
func (d *DNS) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
}

// Asked is how often a name was asked for with a type, such as "SRV".
func (d *DNS) Asked(name, typ string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[mdns.Question{Name: mdns.Fqdn(name), Qtype: mdns.StringToType[typ], Qclass: mdns.ClassINET}]
}

// ServeDNS answers one question.
func (d *DNS) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := new(mdns.Msg).SetReply(q)
	d.asked[q.Question[0]]++
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	switch m.Rcode = d.rcode; {
	case m.Rcode != 0:
	case udp && d.cut:
		m.Truncated = true
	default:
		m.Answer = d.find(q.Question[0])
	}
	_ = w.WriteMsg(m)
}

// find follows aliases.
func (d *DNS) find(q mdns.Question) []mdns.RR {
	out := d.rr[q]
	for _, rr := range d.rr[mdns.Question{Name: q.Name, Qtype: mdns.TypeCNAME, Qclass: q.Qclass}] {
		out = append(out[:len(out):len(out)], rr)
		out = append(out, d.find(mdns.Question{Name: rr.(*mdns.CNAME).Target, Qtype: q.Qtype, Qclass: q.Qclass})...)
	}
	return out
}

// bothAt binds one port for UDP and TCP. The port that the kernel gives for the one may be taken for the other.
func bothAt(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for try := 1; ; try++ {
		udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp4", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		_ = udp.Close()
		if try == 50 {
			t.Fatal(err)
		}
	}
}
