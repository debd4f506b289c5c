package rpc

// A session keeps objects alive by references: it gets one to each object that it makes or uses, and to all that owns
// the object; and whoever refers to an owner refers to what is made in it from then on. So a session that refers to an
// object refers to its owners, and an object without a reference owns nothing that has one. What loses its last
// reference is released. What the program placed and nobody has used, and what is everybody's, needs none.
//
// References are guarded by the space's lock, from both ends: Object.holders and session.holds.

// refer makes a session keep an object alive. false: it is released.
func (s *Space) refer(o *Object, by *session) bool {
	s.mu.RLock()
	there, held := s.objects[o.id] == o, by.holds[o]
	s.mu.RUnlock()
	if held || o.shared {
		return there
	}
	s.mu.Lock()
	if s.objects[o.id] != o {
		s.mu.Unlock()
		return false
	}
	changed := s.link(o, by, nil)
	s.mu.Unlock()
	s.attend.ask(changed...)
	return true
}

// link adds the references of an object and its owners; s.mu is held. It returns those whose value asks for attendance.
func (s *Space) link(o *Object, by *session, changed []*Object) []*Object {
	for ; o != nil && !o.shared && !by.holds[o]; o = o.parent {
		by.holds[o] = true
		if o.holders == nil {
			o.holders = map[*session]struct{}{}
		}
		o.holders[by] = struct{}{}
		if o.asksAttendance() {
			changed = append(changed, o)
		}
	}
	return changed
}

// inherit gives a new object its references; s.mu is held.
func (s *Space) inherit(o *Object) {
	if o.parent != nil {
		for by := range o.parent.holders {
			s.link(o, by, nil)
		}
	}
	if o.maker != nil && o.maker.keeps() {
		s.link(o, o.maker, nil)
	}
	if o.asksAttendance() {
		s.attend.ask(o)
	}
}

// unrefer ends a session's reference to an object and to all that it owns. What has no reference then is released.
func (s *Space) unrefer(o *Object, by *session) {
	s.mu.Lock()
	var lost, changed []*Object
	if by.holds[o] {
		lost, changed = s.unlink(o, by, lost, changed)
	}
	var ready []*Object
	for _, x := range lost { // children come before their owners
		if len(x.holders) == 0 {
			ready = s.remove(x, ready)
		}
	}
	s.mu.Unlock()
	for _, x := range lost {
		x.events.drop(by)
		by.forget(x)
	}
	for _, r := range ready {
		s.finish(r)
	}
	s.attend.ask(changed...)
}

// unlink takes the references of a tree away; s.mu is held.
func (s *Space) unlink(o *Object, by *session, lost, changed []*Object) (all, asking []*Object) {
	for _, c := range o.children {
		lost, changed = s.unlink(c, by, lost, changed)
	}
	if by.holds[o] {
		delete(by.holds, o)
		delete(o.holders, by)
		lost = append(lost, o)
		if o.asksAttendance() {
			changed = append(changed, o)
		}
	}
	return lost, changed
}

// unreferAll ends all references of a session. With destroy what it referred to is released, whoever else does too.
func (s *Space) unreferAll(by *session, destroy bool) {
	s.mu.Lock()
	var changed, ready []*Object
	held := make([]*Object, 0, len(by.holds))
	for o := range by.holds {
		held = append(held, o)
		delete(o.holders, by)
		if o.asksAttendance() {
			changed = append(changed, o)
		}
	}
	clear(by.holds)
	for _, o := range held {
		if destroy || len(o.holders) == 0 {
			ready = s.remove(o, ready)
		}
	}
	s.mu.Unlock()
	for _, r := range ready {
		s.finish(r)
	}
	by.forgetAll()
	s.attend.ask(changed...)
}
