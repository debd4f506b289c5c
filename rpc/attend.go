package rpc

import "sync"

// Attended is a value of an object that wants to know whether a client is there to care for it: a phone call doesn't go
// on for ever when the program that made it has gone.
//
// Attended(false) is called when the last session that refers to the object has lost its connection, or when the object
// has no such session at all; Attended(true) when one of them has a connection again. A new object counts as attended:
// the first call is Attended(false). The calls come one after another from the space's own goroutine, tell each change
// of state once (a drop and a reconnect in quick succession may go untold), and return at once: they start a timer, say.
// They may come until the value is closed, and not after it.
type Attended interface{ Attended(there bool) }

func (o *Object) asksAttendance() bool {
	_, ok := o.value.(Attended)
	return ok
}

// Attended reports whether a session that refers to the object has a connection now.
func (o *Object) Attended() bool {
	o.space.mu.RLock()
	defer o.space.mu.RUnlock()
	for by := range o.holders {
		if by.conn.Load() != nil {
			return true
		}
	}
	return false
}

// attendance collects the objects whose state may have changed.
type attendance struct {
	wake chan struct{} // of one

	mu    sync.Mutex
	asked map[*Object]struct{}
}

func (a *attendance) ask(objects ...*Object) {
	if len(objects) == 0 {
		return
	}
	a.mu.Lock()
	if a.asked == nil {
		a.asked = map[*Object]struct{}{}
	}
	for _, o := range objects {
		a.asked[o] = struct{}{}
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// tellAttended runs on the space's goroutine.
func (s *Space) tellAttended() {
	s.attend.mu.Lock()
	asked := s.attend.asked
	s.attend.asked = nil
	s.attend.mu.Unlock()
	for o := range asked {
		there := o.Attended()
		if there != o.alone || !o.enter() { // released ones don't care any more
			continue
		}
		o.alone = !there
		s.protect("attended", o.id, func() error {
			o.value.(Attended).Attended(there)
			return nil
		})
		o.leave()
	}
}

// attention asks for all objects that a session refers to: its connection came or went.
func (s *Space) attention(by *session) {
	var changed []*Object
	s.mu.RLock()
	for o := range by.holds {
		if o.asksAttendance() {
			changed = append(changed, o)
		}
	}
	s.mu.RUnlock()
	s.attend.ask(changed...)
}
