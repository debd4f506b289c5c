package flow

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// pingTime is how long a peer that answers pings has for it (RFC 5626 4.4.1).
const pingTime = 10 * time.Second

var ping = []byte("\r\n\r\n")

// pulse is what a connection that we opened shows of its peer. Only some answer pings: one that has done so once and doesn't any
// more is gone, of others nothing follows, but what is on the way (NAT, firewall) has seen that the connection is used.
type pulse struct {
	asked   atomic.Bool // a ping waits for its pong
	answers atomic.Bool // the peer has answered one
}

// pong takes a line end, and tells whether it is the answer to a ping.
func (p *pulse) pong() bool {
	if !p.asked.CompareAndSwap(true, false) {
		return false
	}
	p.answers.Store(true)
	return true
}

// ping writes one, and closes the connection if a peer that knows how to doesn't answer.
func (f *Flow) ping() error {
	if f.pulse.asked.Swap(true) && f.pulse.answers.Load() {
		return fmt.Errorf("%s: no answer to a ping: %w", f, ErrClosed)
	}
	if f.pulse.answers.Load() {
		time.AfterFunc(pingTime, func() {
			if f.pulse.asked.Load() {
				f.shut()
			}
		})
	}
	return f.put(ping)
}

// sooner is a time up to a fifth earlier, so that not all come at once.
func sooner(d time.Duration) time.Duration {
	if d < 5 {
		return d
	}
	return d - rand.N(d/5)
}
