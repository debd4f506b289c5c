package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
)

// Bounds of reading records for users.
const (
	pastTime   = 5 * time.Second     // for one answer
	pastQueue  = 32                  // that wait for theirs
	pastRetry  = 5 * time.Second     // between two tries to reach a database that is away
	pastReach  = 90 * 24 * time.Hour // older calls aren't looked for
	pastLimit  = 100
	pastNormal = 50
)

var (
	errBusy = errors.New("too many ask for records at once")
	errAway = errors.New("the database of records is away")
)

// past reads records for users and for RPC clients. Its reader stays open between questions, and is opened anew when the database went or came.
type past struct {
	cfg   billing.Config
	queue chan struct{} // who asks or waits to
	turn  chan struct{} // who asks

	mu     sync.Mutex // of what follows; held by who has the turn, and by Close
	reader *billing.Reader
	opened time.Time
	closed bool
}

func newPast(cfg billing.Config) *past {
	return &past{cfg: cfg, queue: make(chan struct{}, pastQueue), turn: make(chan struct{}, 1)}
}

// calls are a user's last ones, newest first: those it made, and those that rang at its phones.
func (p *past) calls(ctx context.Context, user string, limit int) ([]pastCall, error) {
	list, err := p.find(ctx, billing.Filter{User: user, From: time.Now().Add(-pastReach), Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]pastCall, len(list))
	for i, c := range list {
		out[i] = pastOf(c, user)
	}
	return out, nil
}

// find reads records, the newest first. Questions are answered one at a time.
func (p *past) find(ctx context.Context, f billing.Filter) (calls []*call.Call, err error) {
	ctx, cancel := context.WithTimeout(ctx, pastTime)
	defer cancel()
	err = p.wait(ctx, func() error {
		return p.use(ctx, func(r *billing.Reader) error {
			calls, err = r.List(ctx, f)
			return err
		})
	})
	return calls, err
}

// wait asks when it is one's turn; errBusy if that doesn't come.
func (p *past) wait(ctx context.Context, ask func() error) error {
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return errBusy
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return errBusy
	}
	return ask()
}

// use asks the reader; a connection that broke since the last question is made anew once.
func (p *past) use(ctx context.Context, ask func(*billing.Reader) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for again := false; ; again = true {
		fresh, err := p.open(ctx)
		if err != nil {
			return err
		}
		if err = ask(p.reader); err == nil {
			return nil
		}
		p.shut()
		if again || fresh || ctx.Err() != nil {
			return fmt.Errorf("read records: %w", err)
		}
	}
}

// open makes p.reader ready and tells whether it was opened just now.
func (p *past) open(ctx context.Context) (fresh bool, err error) {
	if p.closed {
		return false, billing.ErrClosed
	}
	away := p.reader != nil && p.cfg.Database != billing.None && p.reader.Database() != nil
	if away && time.Since(p.opened) > pastRetry {
		p.shut()
	}
	if p.reader == nil {
		if p.reader, err = billing.OpenReader(ctx, p.cfg); err != nil {
			p.reader = nil
			return false, fmt.Errorf("open records: %w", err)
		}
		p.opened, fresh = time.Now(), true
	}
	// With a database of somebody else's the journal alone would be a part that passes for the whole.
	if why := p.reader.Database(); why != nil && strings.HasPrefix(p.cfg.Database, "postgres") {
		return fresh, fmt.Errorf("%w: %w", errAway, why)
	}
	return fresh, nil
}

// shut closes the reader. What goes wrong then was told by the question before.
func (p *past) shut() {
	if p.reader != nil {
		_ = p.reader.Close()
		p.reader = nil
	}
}

// Close ends the reading; twice is as good as once.
func (p *past) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut()
	p.closed = true
}

// pastCall is a call as one of its users may see it.
type pastCall struct {
	ID         call.ID    `json:"id"`
	From       string     `json:"from"`
	To         string     `json:"to"`
	Direction  string     `json:"direction"` // in, out; seen from the user
	StartedAt  time.Time  `json:"startedAt"`
	AnsweredAt *time.Time `json:"answeredAt"` // by this user, if it came in
	EndedAt    *time.Time `json:"endedAt"`
	DurationMS *int64     `json:"durationMs"` // answer to end
	Cause      *int       `json:"cause"`      // Q.850
	SIP        *int       `json:"sip"`        // final status, of calls that weren't answered
	Codec      string     `json:"codec,omitempty"`
}

// pastOf is the user's side of a call: of one that came in, what its own phone's leg says. A call that others answered
// wasn't answered by this user.
func pastOf(c *call.Call, user string) pastCall {
	p := pastCall{ID: c.ID, From: shownTo(c, user), To: c.To, Direction: "out", StartedAt: c.SetupAt, AnsweredAt: c.AnsweredAt, EndedAt: c.EndedAt}
	leg, cause := c.Leg(1), c.Cause
	if c.User != user {
		p.Direction = "in"
		if leg = legOf(c, user); leg != nil {
			p.StartedAt, p.AnsweredAt, p.EndedAt = leg.InviteAt, leg.AnsweredAt, leg.EndedAt
			if leg.AnsweredAt == nil && !leg.Cause.IsZero() {
				cause = leg.Cause
			}
			if p.EndedAt == nil {
				p.EndedAt = c.EndedAt
			}
		}
	}
	if leg != nil {
		p.Codec = leg.Media.Codec
	}
	if p.EndedAt == nil {
		return p
	}
	if p.Cause = &cause.Q850; cause.Q850 == 0 {
		p.Cause = nil
	}
	switch {
	case p.AnsweredAt != nil && c.AnsweredAt != nil:
		p.DurationMS = &c.Bill
	case cause.SIP != 0:
		p.SIP = &cause.SIP
	}
	return p
}

// shownTo is who called, as the user was shown it: a caller who wanted to be private stays so.
func shownTo(c *call.Call, user string) string {
	if l := legOf(c, user); c.User != user && l != nil {
		if na, err := sip.ParseNameAddr(l.FromURI); err == nil {
			n, _ := numbering.Of(na.URI)
			return n
		}
	}
	return cmp.Or(c.FromN, c.From)
}

// legOf is the leg at a user's phone: the one that answered, else the last that rang.
func legOf(c *call.Call, user string) *call.Leg {
	var last *call.Leg
	for _, l := range c.Legs {
		if l.User != user || l.No == 1 {
			continue
		}
		if last = l; l.AnsweredAt != nil {
			break
		}
	}
	return last
}
