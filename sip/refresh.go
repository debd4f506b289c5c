package sip

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/patchbay/patchbay/sip/flow"
)

// emptyLines are what keeps a NAT's way to us open; nobody answers them over UDP (RFC 5626 3.5.1 has STUN for that, which carriers
// don't).
var emptyLines = []byte("\r\n\r\n")

// rest waits for the time of the next REGISTER, and keeps the way of the binding open meanwhile; f is that way, nil if there is none. An
// error tells that it has ended.
func (r *Registration) rest(wait time.Duration, f *flow.Flow) error {
	until := time.NewTimer(wait)
	defer until.Stop()
	var ended <-chan struct{}
	var again <-chan time.Time
	if f != nil {
		ended = f.Done()
	}
	if every := r.ua.front.cfg.Refresh; f != nil && !f.Reliable() && every > 0 {
		t := time.NewTicker(max(every-rand.N(every/5+1), time.Millisecond)) // not all at once
		defer t.Stop()
		again = t.C
	}
	for {
		select {
		case <-until.C:
			return nil
		case <-ended:
			return fmt.Errorf("sip: the connection to %s: %w", f.Remote(), ErrClosed)
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-again:
			if err := f.Send(emptyLines); err != nil {
				r.ua.log.Debug("registration's way isn't kept open", "peer", f.Remote(), "err", err)
			}
		}
	}
}
