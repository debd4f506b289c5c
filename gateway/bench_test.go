package gateway

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue { // those that are parallel wait for parties who say nothing
		if err := f.Value.Set("4"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

var loopback = netip.MustParseAddr("127.0.0.1")

// fast are timers that let a test see 64*T1 pass.
var fast = sip.Timers{T1: 60 * time.Millisecond, T2: 240 * time.Millisecond}

// ledger is a journal that remembers, and does what a test says.
type ledger struct {
	mu      sync.Mutex
	log     []string // commits, and messages that the gateway sent, in order
	events  map[call.ID][]call.Event
	ids     []call.ID
	stalled string
	before  func([]call.Event) error // with all events that the commit makes durable; called without the lock
	loose   []call.Event             // noted, not committed
	labels  []string                 // events whose time is the wall clock's alone
}

func newLedger() *ledger { return &ledger{events: map[call.ID][]call.Event{}} }

func (j *ledger) Note(e call.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keep(e)
}

func (j *ledger) keep(e call.Event) {
	if j.events[e.Call] == nil {
		j.ids = append(j.ids, e.Call)
	}
	// Go writes a time's monotonic reading behind it: from there Mono comes, so that no step of the wall clock changes a duration.
	if !strings.Contains(e.At.String(), " m=") {
		j.labels = append(j.labels, fmt.Sprintf("%d %s", e.Seq, e.Data.Kind()))
	}
	j.events[e.Call] = append(j.events[e.Call], e)
	j.loose = append(j.loose, e)
}

func (j *ledger) Commit(ctx context.Context, es ...call.Event) error {
	j.mu.Lock()
	for _, e := range es {
		j.keep(e)
	}
	all, before := j.loose, j.before
	j.loose = nil
	j.mu.Unlock()
	if before != nil {
		if err := before(all); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range all {
		j.log = append(j.log, fmt.Sprintf("durable %s %d", e.Data.Kind(), e.Leg))
	}
	return ctx.Err()
}

func (j *ledger) Stalled() (bool, string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stalled != "", j.stalled
}

func (j *ledger) Epoch() uint64 { return 7 }

func (j *ledger) stall(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stalled = why
}

// do has each commit do something first.
func (j *ledger) do(before func([]call.Event) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.before = before
}

func (j *ledger) trace(in bool, ua, _ string, _, _ netip.AddrPort, data []byte) {
	if in {
		return
	}
	line, rest, _ := bytes.Cut(data, []byte("\r\n"))
	method := ""
	for _, l := range strings.Split(string(rest), "\r\n") {
		if v, ok := strings.CutPrefix(l, "CSeq: "); ok {
			_, method, _ = strings.Cut(v, " ")
		}
	}
	what := method
	if s, ok := bytes.CutPrefix(line, []byte("SIP/2.0 ")); ok {
		what = string(s[:3]) + " " + method
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log = append(j.log, "sent "+what+" "+ua)
}

// order is the log so far.
func (j *ledger) order() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.log)
}

func (j *ledger) of(id call.ID) []call.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events[id])
}

// records are all calls so far, as their events tell them.
func (j *ledger) records(tb testing.TB) []*call.Call {
	tb.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []*call.Call
	for _, id := range j.ids {
		c := &call.Call{ID: id}
		for _, e := range j.events[id] {
			if err := c.Apply(e); err != nil {
				tb.Fatal(err)
			}
		}
		out = append(out, c)
	}
	return out
}

// bench is a gateway on loopback with a carrier.
type bench struct {
	testing.TB
	*Gateway
	front   *sip.Front
	ledger  *ledger
	net     *udp.Net
	addr    netip.AddrPort
	carrier *siptest.Phone
	second  *siptest.Phone
}

// settings may be changed by a test before the gateway is made.
type settings struct {
	Config
	front sip.FrontConfig
}

func newBench(t testing.TB, change func(*settings)) *bench {
	t.Helper()
	b := &bench{TB: t, ledger: newLedger()}
	b.open(t, change)
	return b
}

// open makes a gateway with alice and bob, trunks "carrier" and "second", and routes: 9* to the carrier, 8* to both.
func (b *bench) open(t testing.TB, change func(*settings)) {
	var err error
	if b.carrier == nil {
		b.carrier = siptest.NewPhone(t, siptest.PhoneConfig{User: "carrier", Server: netip.AddrPortFrom(loopback, 9), Domain: "carrier.test", Timers: fast})
		b.second = siptest.NewPhone(t, siptest.PhoneConfig{User: "second", Server: netip.AddrPortFrom(loopback, 9), Domain: "second.test", Timers: fast})
	}
	registry := media.NewRegistry()
	registry.Register(g711.Conversions()...)
	clock := media.NewClock()
	user := func(id, number string) User {
		return User{ID: id, Tenant: "default", Login: id, Password: id + "-pass", Numbers: []string{number}, CallerID: number,
			CallerName: strings.ToUpper(id), Codecs: []string{"PCMU", "PCMA"}, DTMF: "rfc4733", MaxCalls: 8, Ring: 5 * time.Second}
	}
	trunk := func(id string, p *siptest.Phone) Trunk {
		return Trunk{ID: id, Tenant: "default", Proxy: sip.HostPort{Host: "127.0.0.1", Port: p.Addr("udp").Port()}, Network: "udp",
			Domain: id + ".test", Codecs: []string{"PCMU", "PCMA"}, DTMF: "rfc4733", From: "caller", Trusted: true, MaxCalls: 8}
	}
	if b.net, err = udp.New(udp.Config{Loops: 1, Tick: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	s := settings{Config: Config{Node: "node", Journal: b.ledger, Domain: "home.test", Realm: "home.test", Agent: "Patchbay",
		Users: []User{user("alice", "100"), user("bob", "101")}, Trunks: []Trunk{trunk("carrier", b.carrier), trunk("second", b.second)},
		Routes: []Route{
			{ID: "out", Tenant: "default", Source: []string{"user"}, Number: []string{"9*"}, Strip: 1, Prefix: "49",
				Hops: []Hop{{Trunk: "carrier", Ring: 5 * time.Second}}},
			{ID: "over", Tenant: "default", Source: []string{"user"}, Number: []string{"8*"}, Hops: []Hop{
				{Trunk: "carrier", Ring: 5 * time.Second, Failover: Failover{Retry: true, Status: []int{480}}}, {Trunk: "second", Ring: 5 * time.Second}}},
			{ID: "in", Tenant: "default", Source: []string{"trunk"}, Number: []string{"4930*"}, Hops: []Hop{{User: "bob", Ring: 5 * time.Second}}},
		},
		Limits:   Limits{Calls: 50, Duration: time.Hour, Response: 10 * time.Second},
		Register: Register{Min: time.Second, Max: time.Hour},
		Media: Media{Net: b.net, Registry: registry, Clock: clock, Addrs: []MediaAddr{{Bind: loopback, Advertise: loopback}},
			MinPort: 22000, MaxPort: 60000},
	}, front: sip.FrontConfig{Timers: fast, Trace: b.ledger.trace, Listen: []sip.Listen{
		{Network: "udp", Addr: netip.AddrPortFrom(loopback, 0)}, {Network: "tcp", Addr: netip.AddrPortFrom(loopback, 0)}}}}
	if change != nil {
		change(&s)
	}
	if b.front, err = sip.NewFront(s.front); err != nil {
		t.Fatal(err)
	}
	s.Front = b.front
	b.addr = b.front.Addrs()[0].Addr
	if b.Gateway, err = New(s.Config); err != nil {
		t.Fatal(err)
	}
	g, front, net := b.Gateway, b.front, b.net
	t.Cleanup(func() {
		b.ledger.mu.Lock()
		if len(b.ledger.labels) > 0 {
			t.Errorf("events %q have no time of the monotonic clock", b.ledger.labels)
		}
		b.ledger.mu.Unlock()
		if err := errors.Join(g.Close(), front.Close()); err != nil {
			t.Error(err)
		}
		clock.Close()
		if err := net.Close(); err != nil {
			t.Error(err)
		}
	})
}

// phone registers a phone.
func (b *bench) phone(user string) *siptest.Phone {
	b.Helper()
	p := siptest.NewPhone(b, siptest.PhoneConfig{User: user, Password: user + "-pass", Domain: "home.test", Server: b.addr, Timers: fast})
	reg := sip.RegisterConfig{Registrar: sip.URI{Scheme: "sip", Host: "home.test"}, AOR: sip.NameAddr{URI: p.AOR(user)}, Destination: p.Destination()}
	r, err := p.UA.Register(reg)
	if err != nil {
		b.Fatal(err)
	}
	eventually(b, user+" registered", func() bool { return r.Status().State == sip.Registered })
	return p
}

// from dials a number from a phone, or as a carrier, with an offer.
func (b *bench) from(p *siptest.Phone, number string, offer []byte, headers ...sip.Header) *siptest.Call {
	b.Helper()
	if offer == nil {
		offer = []byte(siptest.SDP)
	}
	self := p.AOR("4930777")
	return p.DialInvite(sip.Invite{Target: p.AOR(number), From: sip.NameAddr{URI: self}, Contact: p.UA.Name(),
		Destination: sip.Destination{Network: "udp", Addr: b.addr}, Headers: headers, Body: offer})
}

// record waits for the last call's record to be closed.
func (b *bench) record() *call.Call {
	b.Helper()
	var c *call.Call
	eventually(b, "the record is closed", func() bool {
		list := b.ledger.records(b)
		if len(list) == 0 {
			return false
		}
		c = list[len(list)-1]
		return c.State == call.Closed
	})
	for i, e := range b.ledger.of(c.ID) {
		if e.Seq != uint64(i+1) {
			b.Fatalf("event %d has number %d", i+1, e.Seq)
		}
	}
	for _, l := range c.Legs {
		if l.EndedAt == nil {
			b.Errorf("leg %d never ended", l.No)
		}
	}
	return c
}

// idle waits until nothing is left of any call.
func (b *bench) idle() {
	b.Helper()
	eventually(b, "nothing is left", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		used := 0
		for _, p := range b.ports {
			used += p.ports.Stats().Used
		}
		return len(b.calls) == 0 && len(b.legs) == 0 && len(b.busy) == 0 && b.admitted == 0 && used == 0
	})
}

// ends expects how the last call ended.
func (b *bench) ends(by call.Party, q850, status int) *call.Call {
	b.Helper()
	c := b.record()
	if c.EndedBy != by || c.Cause.Q850 != q850 || c.Cause.SIP != status {
		b.Errorf("ended by %s with %s, expected %s, Q.850 %d, SIP %d", c.EndedBy, c.Cause, by, q850, status)
	}
	return c
}

func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(siptest.Patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not in time: %s", what)
		}
	}
}

// noted tells whether a call's record has a word in one of its notes or decisions.
func (b *bench) noted(id call.ID, word string) bool {
	for _, e := range b.ledger.of(id) {
		switch d := e.Data.(type) {
		case call.Note:
			if strings.Contains(d.Text, word) {
				return true
			}
		case call.Decision:
			if strings.Contains(d.Text, word) {
				return true
			}
		}
	}
	return false
}

// refused expects that a call is refused.
func refused(tb testing.TB, c *siptest.Call, status int) sip.Event {
	tb.Helper()
	for {
		e := c.Next()
		if e.Kind != sip.KindEnded {
			continue
		}
		if e.Status != status {
			tb.Fatalf("ended %d %s (err %v), expected %d", e.Status, e.Phrase, e.Err, status)
		}
		return e
	}
}

// up brings a call up from a phone to whoever gets it; both sides have the SDPs that they are given.
func (b *bench) up(a *siptest.Call, to *siptest.Phone, answer []byte) *siptest.Call {
	b.Helper()
	if answer == nil {
		answer = []byte(siptest.SDP)
	}
	c := to.Incoming()
	if err := c.Progress(180, "", nil); err != nil {
		b.Fatal(err)
	}
	if err := c.Answer(answer); err != nil {
		b.Fatal(err)
	}
	c.Wait(sip.KindAcked)
	a.Wait(sip.KindAnswered)
	return c
}
