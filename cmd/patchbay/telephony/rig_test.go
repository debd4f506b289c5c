package telephony

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/meter"
	"github.com/patchbay/patchbay/media/rtp"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/rpc/kurento"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/siptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // for what should take milliseconds

var loopback = netip.MustParseAddr("127.0.0.1")

// ledger is a journal in memory.
type ledger struct {
	mu    sync.Mutex
	calls map[call.ID]*call.Call
	order []call.ID
}

func (l *ledger) Note(e call.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.calls[e.Call]
	if c == nil {
		c = &call.Call{ID: e.Call}
		l.calls[e.Call] = c
		l.order = append(l.order, e.Call)
	}
	if err := c.Apply(e); err != nil {
		panic(err)
	}
}

func (l *ledger) Commit(ctx context.Context, es ...call.Event) error {
	for _, e := range es {
		l.Note(e)
	}
	return ctx.Err()
}

func (l *ledger) Stalled() (bool, string) { return false, "" }
func (l *ledger) Epoch() uint64           { return 1 }

// find answers as the keeper of records does, as far as the tests ask.
func (l *ledger) find(_ context.Context, f billing.Filter) ([]*call.Call, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*call.Call
	for i := len(l.order) - 1; i >= 0; i-- {
		if c := l.calls[l.order[i]]; c.Tenant == f.Tenant && (f.SIP == 0 || c.Cause.SIP == f.SIP) && len(out) < f.Limit {
			one := *c
			out = append(out, &one)
		}
	}
	return out, nil
}

// rig is a gateway with a carrier, the user bob and the application ivr, behind an RPC server.
type rig struct {
	testing.TB
	gateway *gateway.Gateway
	ledger  *ledger
	addr    netip.AddrPort
	carrier *siptest.Phone
	http    *httptest.Server
	server  *rpc.Server
}

func newRig(t testing.TB) *rig {
	t.Helper()
	fast := sip.Timers{T1: 20 * time.Millisecond, T2: 80 * time.Millisecond}
	r := &rig{TB: t, ledger: &ledger{calls: map[call.ID]*call.Call{}}}
	r.carrier = siptest.NewPhone(t, siptest.PhoneConfig{User: "carrier", Server: netip.AddrPortFrom(loopback, 9), Domain: "carrier.test", Timers: fast})
	registry := media.NewRegistry()
	registry.Register(g711.Conversions()...)
	clock := media.NewClock()
	net, err := udp.New(udp.Config{Loops: 1, Tick: 20 * time.Millisecond})
	must(t, err)
	front, err := sip.NewFront(sip.FrontConfig{Timers: fast, Listen: []sip.Listen{{Network: "udp", Addr: netip.AddrPortFrom(loopback, 0)}}})
	must(t, err)
	r.addr = front.Addrs()[0].Addr
	both := []string{"PCMU", "PCMA"}
	hops := func(h ...gateway.Hop) []gateway.Hop { return h }
	r.gateway, err = gateway.New(gateway.Config{Node: "node", Journal: r.ledger, Front: front, Domain: "home.test", Realm: "home.test", Agent: "Patchbay",
		Users: []gateway.User{{ID: "bob", Tenant: "default", Login: "bob", Password: "bob-pass", Numbers: []string{"101"}, CallerID: "101", Codecs: both, DTMF: "rfc4733", MaxCalls: 8, Ring: 5 * time.Second}},
		Trunks: []gateway.Trunk{{ID: "carrier", Tenant: "default", Proxy: sip.HostPort{Host: "127.0.0.1", Port: r.carrier.Addr("udp").Port()}, Network: "udp",
			Domain: "carrier.test", Codecs: both, DTMF: "rfc4733", From: "caller", MaxCalls: 8}},
		Apps: []gateway.App{{ID: "ivr", Tenant: "default", CallerID: "4930500"}, {ID: "theirs", Tenant: "other"}},
		Routes: []gateway.Route{
			{ID: "out", Tenant: "default", Source: []string{"app"}, Number: []string{"9*"}, Hops: hops(gateway.Hop{Trunk: "carrier", Ring: 5 * time.Second})},
			{ID: "in", Tenant: "default", Source: []string{"any"}, Number: []string{"7*"}, Hops: hops(
				gateway.Hop{App: "ivr", Ring: 2 * time.Second, Failover: gateway.Failover{Status: []int{480}}}, gateway.Hop{User: "bob", Ring: 5 * time.Second})},
		},
		Limits: gateway.Limits{Calls: 50, Duration: time.Hour, Response: 2 * time.Second}, Digits: true,
		Register: gateway.Register{Min: time.Second, Max: time.Hour},
		Media:    gateway.Media{Net: net, Registry: registry, Clock: clock, Addrs: []gateway.MediaAddr{{Bind: loopback, Advertise: loopback}}, MinPort: 22000, MaxPort: 60000}})
	must(t, err)
	classes := rpc.NewClasses(append(kurento.Modules(), Module())...)
	core := kurento.Register(classes, kurento.Config{Pipeline: media.Config{Registry: registry, Clock: clock}})
	phone := Register(classes, core, Config{Gateway: r.gateway, Records: r.ledger.find, Reports: reported})
	space, err := core.Open(classes, rpc.Config{})
	must(t, err)
	must(t, phone.Open(space))
	r.server = space.Serve(rpc.ServerConfig{Keep: time.Second, Authenticate: authenticate})
	r.http = httptest.NewServer(r.server)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := errors.Join(r.server.Close(ctx), space.Close(ctx))
		phone.Close()
		r.http.Close()
		if err := errors.Join(err, r.gateway.Close(), front.Close()); err != nil {
			t.Error(err)
		}
		clock.Close()
		must(t, net.Close())
	})
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// authenticate lets clients say who they are: /NAME of the tenant default, /other of another.
func authenticate(r *http.Request) (rpc.Principal, error) {
	p := rpc.Principal{Name: strings.Trim(r.URL.Path, "/"), Tenant: "default", Roles: rpc.Control}
	switch p.Name {
	case "other":
		p.Tenant = "other"
	case "clerk":
		p.Roles = rpc.Billing
	}
	return p, nil
}

// client is an application.
type client struct {
	*rig
	ws   *websocket.Conn
	next int
	read chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	replies map[int]reply
	events  []event
}

type reply struct {
	Result struct{ Value json.RawMessage }
	Error  *struct {
		Code    int
		Message string
	}
}

type event struct {
	Object, Type string
	Data         map[string]any
}

func (r *rig) dial(name string, firstID int) *client {
	r.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.http.URL, "http")+"/"+name, nil)
	must(r, err)
	c := &client{rig: r, ws: ws, next: firstID, replies: map[int]reply{}, read: make(chan struct{})}
	go c.listen()
	r.Cleanup(c.hangUp)
	return c
}

// hangUp ends the connection, as a program that dies does.
func (c *client) hangUp() {
	_ = c.ws.Close()
	<-c.read
}

func (c *client) listen() {
	defer close(c.read)
	for {
		var m struct {
			reply
			ID     int
			Method string
			Params struct{ Value event }
		}
		if c.ws.ReadJSON(&m) != nil {
			return
		}
		c.mu.Lock()
		if m.Method == "onEvent" {
			c.events = append(c.events, m.Params.Value)
		} else {
			c.replies[m.ID] = m.reply
		}
		c.mu.Unlock()
	}
}

func (c *client) ask(method, params string) reply {
	c.Helper()
	c.next++
	id := c.next
	must(c, c.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params)))
	var r reply
	eventually(c, "a reply to "+method+params, func() (ok bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		r, ok = c.replies[id]
		return ok
	})
	return r
}

func value(t testing.TB, r reply, what string) string {
	t.Helper()
	if r.Error != nil {
		t.Fatalf("%s: %d %s", what, r.Error.Code, r.Error.Message)
	}
	var s string
	if json.Unmarshal(r.Result.Value, &s) == nil {
		return s
	}
	return string(r.Result.Value)
}

func (c *client) create(class, params string) string {
	c.Helper()
	return value(c, c.ask("create", `{"type":"`+class+`","constructorParams":`+params+`}`), "create "+class)
}

func (c *client) request(object, op, params string) reply {
	c.Helper()
	return c.ask("invoke", `{"object":"`+object+`","operation":"`+op+`","operationParams":`+params+`}`)
}

func (c *client) invoke(object, op, params string) string {
	c.Helper()
	return value(c, c.request(object, op, params), op+params)
}

// refused is an invocation that must fail, with a code and a word.
func (c *client) refused(code rpc.Code, word, object, op, params string) {
	c.Helper()
	if r := c.request(object, op, params); r.Error == nil || r.Error.Code != int(code) || !strings.Contains(r.Error.Message, word) || strings.ContainsAny(r.Error.Message, "\r\n") {
		c.Errorf("%s%s: %+v, expected %d with %q", op, params, r.Error, code, word)
	}
}

func (c *client) subscribe(object string, types ...string) {
	c.Helper()
	for _, t := range types {
		value(c, c.ask("subscribe", `{"object":"`+object+`","type":"`+t+`"}`), "subscribe "+t)
	}
}

// told waits for the next event of an object and wants it to be of that type.
func (c *client) told(object, name string) map[string]any {
	c.Helper()
	var got *event
	eventually(c, "event "+name, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, e := range c.events {
			if e.Object == object {
				got = &e
				c.events = append(c.events[:i:i], c.events[i+1:]...)
				return true
			}
		}
		return false
	})
	if got.Type != name {
		c.Fatalf("event %s %v, expected %s", got.Type, got.Data, name)
	}
	return got.Data
}

var endpointEvents = []string{"Ringing", "EarlyMedia", "Answered", "DtmfReceived", "Held", "Resumed", "Transferred", "MediaLost", "Ended"}

// endpoint makes a SipEndpoint in a pipeline, whose events are told.
func (c *client) endpoint(pipe, more string) string {
	c.Helper()
	ep := c.create("telephony.SipEndpoint", `{"mediaPipeline":"`+pipe+`"`+more+`}`)
	c.subscribe(ep, endpointEvents...)
	return ep
}

func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not in time: %s", what)
		}
	}
}

// handset is a peer's media: it says 880 Hz, and measures that.
type handset struct {
	testing.TB
	*rtp.Endpoint
	says  *tone.Tone
	clock *media.Clock

	mu     sync.Mutex
	digits string
}

const level = -10 // dBm0

func newHandset(t testing.TB) *handset {
	t.Helper()
	h := &handset{TB: t, clock: media.NewClock()}
	n, err := udp.New(udp.Config{Loops: 1, Tick: 20 * time.Millisecond})
	must(t, err)
	ports, err := udp.NewPorts(udp.PortsConfig{Min: 22000, Max: 60000, Hold: -1})
	must(t, err)
	h.Endpoint, err = rtp.New(rtp.Config{Net: n, Ports: ports, Bind: loopback, Formats: []*media.Format{media.PCMU(), media.TelephoneEvent(8000)}, Timeout: -1,
		Notify: func(n media.Notice) {
			if d, ok := n.(media.Digit); ok {
				h.mu.Lock()
				h.digits += string(d.Digit)
				h.mu.Unlock()
			}
		}})
	must(t, err)
	registry := media.NewRegistry()
	registry.Register(g711.Conversions()...)
	h.says, err = tone.New(tone.Config{Sound: tone.Sound{Sines: []tone.Sine{{Hz: 880, Level: level}}}, Clock: h.clock, Registry: registry})
	must(t, err)
	h.says.Source(media.Pad{}).Link(h.Endpoint.Sink(media.Pad{}))
	h.says.Start()
	t.Cleanup(func() {
		h.says.Close()
		h.clock.Close()
		h.Endpoint.Close()
		_ = n.Close()
	})
	return h
}

func (h *handset) answers(offer []byte) []byte {
	h.Helper()
	p, err := h.Endpoint.Answer(context.Background(), offer, media.Want{})
	must(h, err)
	must(h, p.Commit())
	return p.SDP()
}

// hears asserts that the tone comes back.
func (h *handset) hears() {
	h.Helper()
	m, err := meter.New(meter.Config{Frequencies: []float64{880}})
	must(h, err)
	defer m.Close()
	h.Endpoint.Source(media.Pad{}).Link(m)
	var r meter.Reading
	eventually(h, "the tone", func() bool {
		r = m.Read()
		return r.Time >= 200*time.Millisecond && math.Abs(r.Tones[0].Level-level) <= 1
	})
}

func (h *handset) heard() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.digits
}

func (h *handset) press(digits string) {
	h.Helper()
	s, err := dtmf.NewSender(dtmf.Config{Clock: h.clock})
	must(h, err)
	defer s.Close()
	defer h.says.Source(media.Pad{}).Override(s.Source(media.Pad{}))()
	must(h, s.Dial(digits, 80*time.Millisecond))
	eventually(h, "digits are sent", func() bool {
		var n media.Snapshot
		s.Stats(&n)
		return int(n.Notes["dtmf.sent"]) == len(digits)
	})
}

// calls has the carrier call a number.
func (r *rig) calls(number string, offer []byte, headers ...sip.Header) *siptest.Call {
	r.Helper()
	if offer == nil {
		offer = []byte(siptest.SDP)
	}
	return r.carrier.DialInvite(sip.Invite{Target: r.carrier.AOR(number), From: sip.NameAddr{URI: r.carrier.AOR("4930777"), Display: "Shop"}, Contact: "carrier",
		Destination: sip.Destination{Network: "udp", Addr: r.addr}, Headers: headers, Body: offer})
}

// record waits for a call's record to be closed.
func (r *rig) record(id string) call.Call {
	r.Helper()
	var out call.Call
	eventually(r, "the record", func() bool {
		r.ledger.mu.Lock()
		defer r.ledger.mu.Unlock()
		n, err := call.ParseID(id)
		must(r, err)
		c := r.ledger.calls[n]
		if c == nil || c.State != call.Closed {
			return false
		}
		out = *c
		return true
	})
	return out
}

// send makes a request whose reply is waited for later, by reply or done.
func (c *client) send(object, op, params string) {
	c.Helper()
	c.next++
	must(c, c.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"invoke","params":{"object":%q,"operation":%q,"operationParams":%s}}`, c.next, object, op, params)))
}

// reply waits for the reply to the last request.
func (c *client) reply() (r reply) {
	c.Helper()
	eventually(c, "a reply", func() (ok bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		r, ok = c.replies[c.next]
		return ok
	})
	return r
}

func (c *client) done() {
	c.Helper()
	if e := c.reply().Error; e != nil {
		c.Fatalf("%d %s", e.Code, e.Message)
	}
}

var wantAll = media.Want{}

// text1 is a value of an event as JSON.
func text1(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// reported answers any query with what it asks: its filters, money, a flag, its limit.
func reported(_ context.Context, q report.Query) (*report.Report, error) {
	return &report.Report{Query: q, Source: report.FromCalls, Columns: []report.Column{{Name: "trunk", Kind: "text"}},
		Rows: [][]any{{*q.Trunk, *q.Tenant, decimal.RequireFromString("0.10"), true, int64(q.Limit)}}}, nil
}
