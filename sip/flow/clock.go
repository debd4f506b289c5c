package flow

import (
	"sync"
	"time"
)

// clock is when the reader of a connection gives up. A message that is begun has its own time, whatever else comes
// meanwhile; and who isn't welcome has none beyond that of the first message.
type clock struct {
	mu      sync.Mutex
	set     func(time.Time) error // the connection's; nil before its reader runs
	first   time.Time             // zero: it is welcome
	idle    time.Time
	partial time.Time // zero: no message is begun
}

// start begins to count for the flow's reader.
func (c *clock) start(f *Flow, set func(time.Time) error, first time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = set
	if f.accepted && !f.welcome.Load() {
		c.first = time.Now().Add(first)
	}
}

// alive notes a sign of life: the next is awaited for so long.
func (c *clock) alive(idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = time.Now().Add(idle)
	c.apply()
}

// begun notes until when a message that is begun must be whole; zero: none is begun.
func (c *clock) begun(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partial = until
	c.apply()
}

// welcome lets the connection stay, also if its reader already waits.
func (c *clock) welcome() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = time.Time{}
	c.apply()
}

// apply sets the nearest of what counts; mu is held.
func (c *clock) apply() {
	if c.set == nil || c.idle.IsZero() {
		return
	}
	at := c.idle
	if !c.partial.IsZero() {
		at = c.partial
	}
	if !c.first.IsZero() && c.first.Before(at) {
		at = c.first
	}
	c.set(at) // fails only once the connection is closed: then so does the read
}
