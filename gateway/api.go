package gateway

import (
	"context"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// Status is the gateway at one moment, for metrics, health and people.
type Status struct {
	Calls    int
	Draining bool
	Begun    uint64
	Answered uint64
	Failed   uint64
	Refused  uint64            // without a record: the journal was stalled
	Results  map[string]uint64 // ended calls by final SIP status, "200" for answered ones
	Trunks   []TrunkStatus
	Online   []string // users with a registered contact
}

// TrunkStatus is one trunk now.
type TrunkStatus struct {
	ID       string    `json:"id"`
	Tenant   string    `json:"tenant"`
	Up       bool      `json:"up"`
	State    string    `json:"state"` // registered, registering, failing, unregistered; static without registration; unreachable if OPTIONS says so
	Expires  time.Time `json:"expires,omitzero"`
	Error    string    `json:"error,omitempty"`
	Calls    int       `json:"calls"`
	Messages sip.Stats `json:"-"`
}

// Status reads all counters.
func (g *Gateway) Status() Status {
	s := Status{Begun: g.stats.begun.Load(), Answered: g.stats.answered.Load(), Failed: g.stats.failed.Load(),
		Refused: g.stats.refused.Load(), Results: map[string]uint64{}}
	g.stats.results.Range(func(k, v any) bool {
		s.Results[k.(string)] = v.(*atomic.Uint64).Load()
		return true
	})
	g.mu.Lock()
	s.Calls, s.Draining = len(g.calls), g.draining
	g.mu.Unlock()
	for _, t := range g.order {
		s.Trunks = append(s.Trunks, t.status())
	}
	if g.registrar != nil {
		s.Online = g.registrar.Users()
		slices.Sort(s.Online)
	}
	return s
}

// count tallies an ended call, once, by the final status of its caller's INVITE.
func (g *Gateway) count(c *call.Call) {
	g.tally.count(c)
	key := "200"
	if c.AnsweredAt == nil {
		key = itoa(c.Cause.Status())
		g.stats.failed.Add(1)
	}
	v, ok := g.stats.results.Load(key)
	if !ok {
		v, _ = g.stats.results.LoadOrStore(key, new(atomic.Uint64))
	}
	v.(*atomic.Uint64).Add(1)
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)})
}

// Live is a running call, for a list.
type Live struct {
	ID     call.ID   `json:"id"`
	From   string    `json:"source"` // user:ID, trunk:ID or app:ID
	Since  time.Time `json:"since"`
	Tenant string    `json:"tenant"`
	Number string    `json:"number"` // that was called
	App    string    `json:"app,omitempty"`
}

// Live lists the running calls, oldest first.
func (g *Gateway) Live() []Live {
	var out []Live
	g.each(func(c *Call) {
		if l := c.alive.Load(); l != nil {
			out = append(out, *l)
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Since.Before(out[j].Since) })
	return out
}

func (g *Gateway) find(id call.ID) (*Call, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.calls[id]; c != nil {
		return c, nil
	}
	return nil, ErrNoCall
}

// Hangup ends a call on an operator's order; ErrNoCall if there is none.
func (g *Gateway) Hangup(ctx context.Context, id call.ID) error {
	c, err := g.find(id)
	if err != nil {
		return err
	}
	cause := call.Normal
	cause.Text = "hung up by the operator"
	return c.do(ctx, command{kind: cmdHangup, cause: cause, by: call.Admin})
}

// maxDigits is how many digits one order may have.
const maxDigits = 64

// Digits sends DTMF to one leg of an answered call: 1 is the caller. It returns when they are queued, or, where digits
// travel in signalling, when the peer has confirmed the last.
func (g *Gateway) Digits(ctx context.Context, id call.ID, leg int, digits string) error {
	if err := checkDigits(digits); err != nil {
		return err
	}
	c, err := g.find(id)
	if err != nil {
		return err
	}
	return c.do(ctx, command{kind: cmdDigits, no: leg, text: digits})
}
