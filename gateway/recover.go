package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

// recoverTime is how long a peer of a lost call has to confirm that it is over.
const recoverTime = 10 * time.Second

// Recover ends the calls that an earlier process of this node left open when it died: every peer whose leg was up gets
// its BYE, CANCEL or final response, so that no carrier goes on counting, and the record is closed at the last sign of
// life. It returns when all are closed. New calls may run meanwhile.
func (g *Gateway) Recover(ctx context.Context, open []*call.Call, sign func(call.ID) (time.Time, int64)) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	slots := make(chan struct{}, 64)
	for _, rec := range open {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := g.recoverCall(ctx, rec, sign); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("call %s: %w", rec.ID, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (g *Gateway) recoverCall(ctx context.Context, rec *call.Call, sign func(call.ID) (time.Time, int64)) error {
	r := record{g: g, call: *rec, seq: rec.Version}
	endAt, endMono := sign(rec.ID)
	var wg sync.WaitGroup
	results := make([]string, len(rec.Legs))
	for i, l := range rec.Legs {
		if l.EndedAt != nil || len(l.Dialog) == 0 {
			continue
		}
		wg.Go(func() { results[i] = g.hangUpLost(ctx, l) })
	}
	wg.Wait()
	now := time.Now()
	for i, l := range rec.Legs {
		if results[i] != "" {
			r.note(l.No, now, call.Note{Text: results[i]})
		}
	}
	g.log.Warn("call recovered", "call", rec.ID, "from", rec.From, "to", rec.To, "end", endAt)
	return r.commit(r.event(0, now, call.RecoveredEnd{EndAt: endAt, EndMono: endMono, Epoch: g.cfg.Journal.Epoch(),
		Text: "the gateway's process ended during this call"}))
}

// hangUpLost ends one leg of a dead process's call, and tells in words what came of it.
func (g *Gateway) hangUpLost(ctx context.Context, l *call.Leg) string {
	ua := g.users
	if l.Trunk != "" {
		t := g.trunks[l.Trunk]
		if t == nil {
			return "leg left as it was: trunk " + l.Trunk + " is not configured any more"
		}
		ua = t.ua
	}
	if ua == nil {
		return "leg left as it was: no user agent"
	}
	var s sip.State
	if err := json.Unmarshal(l.Dialog, &s); err != nil {
		return "leg left as it was: its dialog can't be read: " + err.Error()
	}
	d, err := ua.Restore(s)
	if err != nil {
		return "leg left as it was: " + err.Error()
	}
	var read sync.WaitGroup
	read.Go(func() { // nobody else does
		for range d.Events() {
		}
	})
	defer read.Wait()
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	switch err := d.Hangup(ctx, reason(call.NodeLost), 503); {
	case err == nil || errors.Is(err, sip.ErrEnded):
		return "leg hung up after the restart"
	default:
		return "leg hung up after the restart, unconfirmed: " + err.Error()
	}
}
