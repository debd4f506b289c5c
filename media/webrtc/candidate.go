package webrtc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/ice/v4"

	"github.com/patchbay/patchbay/media/sdp"
)

// ErrCandidate is what AddCandidate says of what can't be read.
var ErrCandidate = errors.New("webrtc: candidate is malformed")

const (
	maxEarly  = 64              // candidates that wait for the peer's description
	gatherMax = 5 * time.Second // in which SDP waits for all candidates
)

// told is a description of ours and what its candidates are found by.
type told struct {
	local, others *sdp.Description
	creds         *credentials
	lines         extra
}

// SetICE changes where to look for the peer: for the candidates that are gathered next. Whether there is a PeerConnection is
// decided by the first offer. The error names what is wrong, and changes nothing.
func (e *Endpoint) SetICE(c ICE) error {
	c.Interfaces, c.Foreign = slices.Clone(c.Interfaces), slices.Clone(c.Foreign)
	if err := c.check(e.cfg.Port); err != nil {
		return err
	}
	e.ice.Store(&c)
	return nil
}

// Gather looks for candidates, which Config.Watch is told one by one; before there is an offer, as soon as there is one. It
// is for endpoints that trickle; others have done so.
func (e *Endpoint) Gather() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.gathers = true
	if e.told == nil {
		return nil
	}
	return e.gather(e.told.creds)
}

func (e *Endpoint) gather(c *credentials) error {
	e.watch.gather()
	return e.transport.Gather(c)
}

// enroll makes fresh credentials, and their candidates if they belong into SDP.
func (e *Endpoint) enroll(ctx context.Context, t transport) (*credentials, error) {
	c, err := t.Enroll()
	if err != nil {
		return nil, err
	}
	if !e.cfg.Trickle || e.gathers {
		err = e.gather(c)
	}
	if err == nil && (!e.cfg.Trickle || e.gathers) { // after a restart the peer needs them as soon as it knows of it
		_, over := t.Candidates(c)
		timer := time.NewTimer(gatherMax)
		defer timer.Stop()
		select {
		case <-over:
		case <-timer.C: // what is there will have to do
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		t.Withdraw(c)
		return nil, err
	}
	return c, nil
}

// Local is our latest description, with the candidates found so far; nil before there is one.
func (e *Endpoint) Local() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.told == nil {
		return nil
	}
	body, err := e.write(e.told.local, e.told.others, e.told.creds, e.told.lines)
	if err != nil {
		return nil // it was written before
	}
	return body
}

// AddCandidate takes a candidate that the peer has found since (RFC 8838): candidate:… or the value of a=candidate. "" is the
// end of them. mid names its media line, or line counts it from 0 if mid is ""; -1 = ours. What is another line's is passed over, as
// are names that the peer has hidden its addresses behind (mDNS): its checks tell. What comes before the peer's description
// waits for it. The error satisfies errors.Is(err, ErrCandidate) if it can't be read.
func (e *Endpoint) AddCandidate(value, mid string, line int) error {
	value = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(value), "a="), "candidate:")
	if value == "" || value == "end-of-candidates" {
		return nil
	}
	c, err := ice.UnmarshalCandidate(value)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCandidate, err)
	}
	ufrag := ""
	if x, ok := c.GetExtension("ufrag"); ok {
		ufrag = x.Value
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	a := e.agreed.Load()
	if e.offer != nil {
		for _, n := range e.offer.answers {
			a = n.agreed
		}
	}
	if a == nil || ufrag != "" && ufrag != a.deal.theirs.ufrag {
		if len(e.early) < maxEarly {
			e.early = append(e.early, theirCandidate{value, place{mid, line}})
		}
		return nil
	}
	if !e.isOurs(place{mid, line}) {
		return nil
	}
	if err := a.line.AddCandidate(value); err != nil {
		return fmt.Errorf("%w: %w", ErrCandidate, err)
	}
	return nil
}

// theirCandidate is one of the peer's that came before its description.
type theirCandidate struct {
	value string
	at    place
}

// isOurs reports whether a candidate is for our media line.
func (e *Endpoint) isOurs(at place) bool {
	now := e.place.Load()
	if at.mid != "" {
		return at.mid == now.mid
	}
	return at.line < 0 || at.line == now.line
}

// introduce hands a line the candidates that came before it.
func (e *Endpoint) introduce(l line) {
	for _, c := range e.early {
		if !e.isOurs(c.at) {
			continue
		}
		if err := l.AddCandidate(c.value); err != nil {
			e.cfg.Log.Debug("candidate", "endpoint", e.cfg.Name, "err", err)
		}
	}
	e.early = nil
}

// index is the place of our media line in the description that is agreed.
func (e *Endpoint) index() int {
	if last := e.session.Local(); last != nil {
		return max(0, slices.IndexFunc(last.Media, func(m sdp.Media) bool { return m.Kind == "audio" && m.Port != 0 }))
	}
	return 0
}

// placeOf is where a line of an offer stands. It keeps our name if it has none.
func placeOf(d *sdp.Description, m *sdp.Media, mid string) place {
	p := place{mid: mid}
	for i := range d.Media {
		if &d.Media[i] == m {
			p.line = i
		}
	}
	if v, ok := m.Attribute("mid"); ok {
		p.mid = v
	}
	return p
}
