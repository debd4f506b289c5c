package media

// Passed is a frame that somebody awaited.
type Passed struct {
	Format  *Format
	Arrival int64 // the frame's: CLOCK_MONOTONIC, ns; 0 if an element made it
}

// Await has do called once by the next frame that s sends, whether anybody takes it or not. do is called
// on the packet path: it neither blocks nor calls into the source. A later Await takes its place; nil takes it away, though
// it may be running. What this costs while nothing is awaited is nothing that could be measured.
func (s *Source) Await(do func(Passed)) {
	if do == nil {
		s.awaited.Store(0)
		s.await.Store(nil)
		return
	}
	s.await.Store(&do)
	s.awaited.Store(1)
}

func (s *Source) arrived(f *Frame) {
	if !s.awaited.CompareAndSwap(1, 0) {
		return
	}
	if do := s.await.Load(); do != nil {
		(*do)(Passed{f.Format, f.Arrival})
	}
}

// Await has do called once by the next frame that is let into k, with its format as k takes it. do is called on the packet
// path: it neither blocks nor calls into the sink or what feeds it. A later Await takes its place; nil takes it away: when
// it returns do isn't running.
func Await(k Sink, do func(Passed)) {
	in := k.inlet()
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case do == nil && in.await != nil:
		in.seen, in.was = in.was, nil
	case do != nil && in.await == nil:
		in.seen, in.was = nil, in.seen
	}
	in.await = do
}

// Ways counts the sinks that frames of a format of the source's reach now: as they are, and by conversion. It compares
// pointers, as Send does, and takes no lock.
func (s *Source) Ways(f *Format) (relayed, converted int) {
	t := s.routes.Load()
	if t == nil || f == nil {
		return 0, 0
	}
	for i := range t.lanes {
		if t.lanes[i].from != f {
			continue
		}
		for j := range t.lanes[i].via {
			converted += len(t.lanes[i].via[j].to)
		}
		return len(t.lanes[i].direct), converted
	}
	return 0, 0
}

// SetCodec has the source send audio in this codec to all sinks that take it, converted if need be, though they may take
// what it has as it is. "" leaves it to formats and sinks.
func (s *Source) SetCodec(codec string) {
	alter(func(*change) {
		if s.codec != codec && !s.closed {
			s.codec = codec
			s.rebuild()
		}
	})
}

// narrow is what of a sink's caps is asked for, where SetCodec asks for something the sink takes and f can be.
func (s *Source) narrow(caps *Caps, f *Format) *Caps {
	if s.codec == "" || caps == nil || f.Kind != Audio {
		return caps
	}
	var some []*Format
	for _, g := range caps.Formats {
		if g.Codec == s.codec && (g.Same(f) || s.conv.Converts(f, g)) {
			some = append(some, g)
		}
	}
	if len(some) == 0 {
		return caps
	}
	return &Caps{some}
}
