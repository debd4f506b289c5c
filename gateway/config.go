package gateway

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/webrtc"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/auth"
)

// Config of a Gateway. Users, trunks and routes are complete: every default is filled in.
type Config struct {
	Node    string
	Journal Journal
	Router  Router  // nil: Routes, behind the users' own numbers
	Charger Charger // nil: every call is allowed, none is charged
	Margins Margins // nil: calls may be at a loss
	Front   *sip.Front
	Media   Media
	Domain  string // of our users
	Country string // whose national numbers users dial (ISO 3166-1); "" = numbers stay as they are dialled
	Realm   string
	// Digest are the algorithms that users are challenged with, best first; nil = MD5. DigestSimple are beginnings of the
	// User-Agent of phones that make nothing of several: they are challenged with the simplest.
	Digest       []auth.Algorithm
	DigestSimple []string
	Agent        string           // User-Agent and Server
	Session      sip.SessionTimer // of users' calls
	Users        []User
	Trunks       []Trunk
	Apps         []App
	Routes       []Route
	Limits       Limits
	Digits       bool // DTMF digits stand in records as they are; false masks them
	Register     Register
	Bindings     string // file that keeps users' registrations across restarts; "": they are in memory only
	Log          *slog.Logger

	Groups    []Group
	Tenants   []Tenant
	Emergency Emergency
	Locks     string // file that keeps locked accounts across restarts; "": they are in memory only
	Countries string // likewise the countries that accounts have called
	Longest   bool   // of the routes that take a number the one that says most of it is taken, not the first
	Rates     Rates  // nil: a hop costs what the settings say
	Records   Records
}

// Records says how often a call that goes on is put on record.
type Records struct {
	Interim      time.Duration // how often its media is measured, and it says that it lives; 0 = 10 s
	PartialAfter time.Duration // from its answer to the first partial record; 0 = there are none
	PartialEvery time.Duration // and from one to the next; 0 = there is one alone
}

// Register bounds the registrations of users.
type Register struct{ Min, Max time.Duration }

// Limits of a node.
type Limits struct {
	Calls      int           // at a time; the next gets 503
	Duration   time.Duration // from the answer; 0 = as long as they like
	Response   time.Duration // a hop that gives no response at all
	Hops       int           // most Max-Forwards of what is sent; 0 = 70
	Diversions int           // a call that was diverted more often is refused; 0 = 5
	Full       int           // what a call gets that is beyond a bound of its user or application: 503 or 486; 0 = 503
}

// Media is what all endpoints of the gateway share.
type Media struct {
	Net      *udp.Net
	Registry *media.Registry
	Clock    *media.Clock
	Addrs    []MediaAddr // the first is the default
	MinPort  uint16
	MaxPort  uint16
	Timeout  time.Duration // of silence; 0 = never
	WebRTC   *webrtc.Port  // shared by all browsers' legs; nil: there are none
	Metrics  bool          // parties are asked for what they measure themselves, and told what we do if they ask (RFC 3611)
}

// MediaAddr is a local address for RTP and what SDP says instead.
type MediaAddr struct{ Bind, Advertise netip.Addr }

// Journal keeps events; billing's is on disk.
type Journal interface {
	// Commit returns once the events, and all noted before, are durable. It is called before the first INVITE leaves,
	// before a 200 is relayed and before an end is confirmed.
	Commit(ctx context.Context, e ...call.Event) error
	// Note takes an event in order; it is durable with the next Commit or 50 ms later. It never blocks on the disk.
	Note(e call.Event)
	// Stalled tells whether commits are too slow, or impossible, to take on calls, and why.
	Stalled() (stalled bool, why string)
	// Epoch counts the starts of this node.
	Epoch() uint64
}

// Rates knows what a minute costs at a trunk, for routes that are by cost. It must return soon: a call waits for it.
type Rates interface {
	// Cost is the price of a minute to a number, as the trunk is given it; known is false where the settings' holds.
	Cost(ctx context.Context, trunk, number string) (perMinute Price, known bool)
}

// Margins keeps calls from being sold below what they cost. It must return soon: a call waits for it.
type Margins interface {
	// Loss is why a call isn't made over a hop, which has a trunk and a number: a minute costs more there than who pays for
	// the call is charged with; "" = it doesn't, or a price isn't known.
	Loss(ctx context.Context, c *call.Call, h Hop) string
}

// Router says where a call goes: hops in the order of trying. Errors that hold a *Refusal tell the caller why not.
type Router interface {
	Route(ctx context.Context, c *call.Call) (Plan, error)
}

// Plan is a router's answer.
type Plan struct {
	Route  string // id of the route taken
	Number string // the number to dial, rewritten
	Hops   []Hop
	Why    string // for the record
}

// Hop is one way to a callee: a trunk, a user, an application or a group.
type Hop struct {
	Trunk    string
	User     string
	App      string
	Group    string
	Number   string        // that is called at the trunk instead of the plan's; "" = the plan's
	Ring     time.Duration // how long it may ring; of an application, how long it has to accept
	Failover Failover
	Cost     Price // per minute at a trunk, unless Config.Rates knows better; compared where the route is by cost
	Priced   bool  // Cost is known
	Weight   int   // among neighbours that have one, the odds to come first; 0 = its place is fixed

	uri sip.URI // what is dialled at the trunk instead of the number; zero = the number
}

// Refusal is an error that ends a call with a cause of its own.
type Refusal struct{ Cause call.Cause }

func (r *Refusal) Error() string { return r.Cause.String() }

// Charger is asked for leave and told of use.
type Charger interface {
	Authorize(ctx context.Context, c *call.Call) (Grant, error)
	Extend(ctx context.Context, g Grant) (Grant, error)
	Settle(g Grant, u Used)
}

// Grant is leave to talk.
type Grant struct {
	Price Price // of a minute, to whoever pays for the call; what accounts may spend is counted by it
	ID    string
	For   time.Duration // 0 = without end
	Final bool          // nothing comes after it
}

// Used is what a call took of its grants.
type Used struct {
	Talk  time.Duration
	Cause call.Cause
}
