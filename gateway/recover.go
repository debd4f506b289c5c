package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/sip"
)

const (
	// recoverTime is how long a peer of a lost call has to confirm that it is over.
	recoverTime = 10 * time.Second
	// confirmTime is how long the record waits for that: what it says is known already. By then BYE has left twice over UDP, and if
	// this process dies too its word isn't lost with it.
	confirmTime = time.Second
)

// Recover ends the calls that an earlier process of this node left open when it died: every peer whose leg was up gets
// its BYE, CANCEL or final response, so that no carrier goes on counting, and the record is closed at the last sign of
// life. A peer that doesn't answer keeps no record open: it is sent BYE again while others are ended. Recover returns when all records are
// closed, and all peers have confirmed or had the time to. New calls may run meanwhile.
func (g *Gateway) Recover(ctx context.Context, open []*call.Call, sign func(call.ID) (time.Time, int64)) error {
	var wg, byes sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	slots := make(chan struct{}, 64)
	for _, rec := range open {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := g.recoverCall(ctx, rec, sign, time.After(confirmTime), &byes); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("call %s: %w", rec.ID, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	byes.Wait()
	return errors.Join(errs...)
}

// recoverCall ends one call. Its record is closed once all peers have confirmed, or when enough says that they had the time to; what goes on
// then is in byes.
func (g *Gateway) recoverCall(ctx context.Context, rec *call.Call, sign func(call.ID) (time.Time, int64), enough <-chan time.Time, byes *sync.WaitGroup) error {
	type word struct {
		leg  int
		text string
	}
	r := record{g: g, call: *rec, seq: rec.Version}
	endAt, endMono := sign(rec.ID)
	said := make(chan word, len(rec.Legs))
	var awaited []int
	for _, l := range rec.Legs {
		if l.EndedAt != nil || len(l.Dialog) == 0 {
			continue
		}
		awaited = append(awaited, l.No)
		no, trunk, dialog := l.No, l.Trunk, l.Dialog
		byes.Go(func() {
			text := g.hangUpLost(ctx, trunk, dialog)
			g.log.Info(text, "call", rec.ID, "leg", no)
			said <- word{no, text}
		})
	}
	for waiting := true; waiting && len(awaited) > 0; {
		select {
		case w := <-said:
			awaited = slices.DeleteFunc(awaited, func(no int) bool { return no == w.leg })
			r.note(w.leg, time.Now(), call.Note{Text: w.text})
		case <-enough:
			waiting = false
		}
	}
	now := time.Now()
	for _, no := range awaited {
		r.note(no, now, call.Note{Text: "leg hung up after the restart, not confirmed so far"})
	}
	g.log.Warn("call recovered", "call", rec.ID, "from", rec.From, "to", rec.To, "end", endAt)
	return r.commit(r.event(0, now, call.RecoveredEnd{EndAt: endAt, EndMono: endMono, Epoch: g.cfg.Journal.Epoch(),
		Text: "the gateway's process ended during this call"}))
}

// hangUpLost ends one leg of a dead process's call, and tells in words what came of it.
func (g *Gateway) hangUpLost(ctx context.Context, trunk string, dialog json.RawMessage) string {
	ua := g.users
	if trunk != "" {
		t := g.trunks[trunk]
		if t == nil {
			return "leg left as it was: trunk " + trunk + " is not configured any more"
		}
		ua = t.ua
	}
	if ua == nil {
		return "leg left as it was: no user agent"
	}
	var s sip.State
	if err := json.Unmarshal(dialog, &s); err != nil {
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
