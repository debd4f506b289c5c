package carrier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/cmd/patchbay/leg"
	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/wav"
	"github.com/patchbay/patchbay/sip"
)

// wait handles events until done gives something or the time is up (0 = never). It is false when the call is over.
func (k *call) wait(done <-chan struct{}, most time.Duration) bool {
	var late <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		late = t.C
	}
	for !k.over {
		if k.step(done, late) {
			return true
		}
	}
	return false
}

// step handles one thing that happens. It is true if that was done or late.
func (k *call) step(done <-chan struct{}, late <-chan time.Time) bool {
	select {
	case <-done:
		return true
	case <-late:
		return true
	case e, ok := <-k.leg.Events():
		k.event(e, ok)
	case <-k.limit.C:
		k.expire()
	case <-k.ordered:
		k.hangup(16, "Normal call clearing")
	case <-k.c.ctx.Done():
		k.leave()
	}
	return false
}

// check ends a call in which something of the carrier's own failed.
func (k *call) check(err error) bool {
	switch {
	case k.over:
		return false
	case err == nil:
		return true
	case errors.Is(err, sip.ErrEnded) || errors.Is(err, sip.ErrState): // the caller was faster
		k.drain()
		return false
	}
	k.log.Warn("call fails", "err", err)
	k.set(func(i *Call) { i.Error = err.Error() })
	if k.leg.Dialog().Inbound() && k.leg.Report().Answered == nil {
		if err := k.leg.RejectFor(err); err != nil {
			k.log.Info("refusal not sent", "err", err)
		}
		k.drain()
		return false
	}
	k.hangup(41, "Temporary failure")
	return false
}

func (k *call) early() bool {
	return k.check(k.leg.Progress(183, true))
}

// answer answers, or does nothing if it was.
func (k *call) answer() bool {
	if !k.check(k.leg.Answer()) {
		return false
	}
	k.talking()
	return true
}

// talking starts the time that a call may last.
func (k *call) talking() {
	k.set(func(i *Call) { i.State = "talking" })
	k.limit.Reset(k.longest)
}

// say plays a clip to its end.
func (k *call) say(c *wav.Clip) bool {
	done := make(chan struct{}, 1)
	return k.check(k.leg.Clip(c, false, func(media.Notice) { done <- struct{}{} })) && k.wait(done, 0)
}

func (k *call) echo() bool { return k.check(k.leg.Echo()) }

func (k *call) sleep(d time.Duration) bool { return k.wait(nil, d) }

// rest waits for the end.
func (k *call) rest() { k.wait(nil, 0) }

// press sends one digit, as INFO where the peer takes no telephone-events.
func (k *call) press(d byte) bool {
	done, err := k.leg.Press(string(d), 0)
	if errors.Is(err, leg.ErrNoEvents) {
		ctx, cancel := context.WithTimeout(k.c.ctx, byeTime)
		defer cancel()
		body := fmt.Appendf(nil, "Signal=%c\r\nDuration=100\r\n", d)
		return k.check(k.leg.Dialog().Info(ctx, "application/dtmf-relay", body))
	}
	return k.check(err) && k.wait(done, 0)
}

// collect takes digits until #, or until a pause after the first.
func (k *call) collect() (string, bool) {
	var b strings.Builder
	for {
		most := time.Duration(0)
		if b.Len() > 0 {
			most = pause
		}
		d, ok := k.digit(most)
		switch {
		case !ok:
			return "", false
		case d == 0:
			return b.String(), true
		}
		b.WriteByte(d)
		if d == '#' || b.Len() == 32 {
			return b.String(), true
		}
	}
}

// digit waits for one digit; 0 if none came in time (0 = any).
func (k *call) digit(most time.Duration) (byte, bool) {
	var late <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		late = t.C
	}
	for !k.over {
		select {
		case d := <-k.heard:
			return d, true
		default:
		}
		if k.step(nil, late) {
			return 0, true
		}
	}
	return 0, false
}
