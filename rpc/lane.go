package rpc

// A session executes its requests one after another, on one goroutine: the reader's if nothing runs. An operation that waits (Op.Waits) leaves that line: it
// runs in a lane of its object's, and what comes for the object until it is done follows it there.

// maxLanes bounds what runs beside the line; more waits in it.
const maxLanes = 1024

// lane is what comes for an object after an operation that waits.
type lane struct{ queue []*task }

// run executes what is queued, and ends.
func (s *session) run() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.running = false
			s.queue = nil
			s.mu.Unlock()
			return
		}
		t := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		s.mu.Unlock()
		if t.method.alone {
			s.awaitLanes()
		} else if s.aside(t) {
			continue
		}
		s.perform(t)
	}
}

// lead executes a task on the caller's goroutine, and leaves what came meanwhile to another.
func (s *session) lead(t *task) {
	if !s.aside(t) {
		s.perform(t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.running = false
		return
	}
	s.server.work.Go(s.run) // the caller is counted
}

// perform executes a task whose turn it is.
func (s *session) perform(t *task) {
	s.mu.Lock()
	s.waiting--
	s.bytes -= len(t.request.params)
	s.mu.Unlock()
	reply := t.execute()
	s.touch()
	s.pending.Add(-1) // before the reply: who is told that this session is closed may want its place at once
	s.finish(t, reply)
}

// aside puts a task into its object's lane, if there is one or if it needs one.
func (s *session) aside(t *task) bool {
	id, waits := t.target()
	if id == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lanes[id]; l != nil {
		l.queue = append(l.queue, t)
		return true
	}
	if !waits || len(s.lanes) >= maxLanes {
		return false
	}
	if s.lanes == nil {
		s.lanes = map[string]*lane{}
	}
	l := &lane{queue: []*task{t}}
	s.lanes[id] = l
	s.server.work.Go(func() { s.runLane(id, l) }) // the caller is being waited for, so the count isn't zero
	return true
}

func (s *session) runLane(id string, l *lane) {
	for {
		s.mu.Lock()
		if len(l.queue) == 0 {
			delete(s.lanes, id)
			s.still.Broadcast()
			s.mu.Unlock()
			return
		}
		t := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		s.mu.Unlock()
		s.perform(t)
	}
}

func (s *session) awaitLanes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.lanes) > 0 {
		s.still.Wait()
	}
}

// target is the object that a request is made to, "" if there is none, and whether it may take long.
func (t *task) target() (id string, waits bool) {
	id, err := t.request.text("object", true)
	if err != nil || t.method.name != "invoke" {
		return id, false
	}
	o, err := t.scope.Object(id)
	if err != nil {
		return id, false
	}
	name, err := t.request.text("operation", true)
	if err != nil {
		return id, false
	}
	op := o.entry.ops[name]
	return id, op != nil && op.waits
}
