package gateway

import "time"

// outlet is where a leg's events go, until they go somewhere else.
type outlet struct {
	events chan LegEvent
	left   chan struct{} // closed when they do
}

func newOutlet(events chan LegEvent) *outlet { return &outlet{events, make(chan struct{})} }

// Events implements Leg.
func (l *sipLeg) Events() <-chan LegEvent { return l.out.Load().events }

// Yield implements Leg. Once it returns nothing more comes to the channel before; what came there is the caller's to hand on.
func (l *sipLeg) Yield(to chan LegEvent) {
	close(l.out.Load().left) // who is about to send lets go
	l.sending.Lock()
	defer l.sending.Unlock()
	l.out.Store(newOutlet(to))
}

// send tells the call of something, and waits until there is room.
func (l *sipLeg) send(e LegEvent) {
	e.Leg = l
	if e.At.IsZero() {
		e.At = time.Now()
	}
	for !l.emit(e) {
	}
}

// emit is one try; false when the events go elsewhere by now.
func (l *sipLeg) emit(e LegEvent) bool {
	l.sending.Lock()
	defer l.sending.Unlock()
	o := l.out.Load()
	select {
	case o.events <- e:
	case <-l.gone:
	case <-o.left:
		return false
	}
	return true
}
