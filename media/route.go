package media

// table is what a source knows of its ways, swapped whole at each change. At its head stands what almost every frame
// needs, so that a packet whose call isn't in the processor's cache touches one line of it.
type table struct {
	only  *Format // the format that one sink takes as it is, and nobody else takes; nil if there is none
	first route   // that sink
	warm  Warmer  // that sink, if it is one

	lanes  []lane
	wanted *Format

	_ [128 - 88]byte // a size that the allocator aligns
}

// lane is what happens to frames of one format.
type lane struct {
	from   *Format
	direct []route
	via    []branch
}

type route struct {
	sink Sink
	in   *Inlet
	to   *Format // the sink's own
}

// branch is one conversion and all who get its result.
type branch struct {
	*conversion
	to []route
}

type laneKey struct{ from, to string }

// conversion belongs to the source, across changes of its routes, so that a codec's state survives them. Only Send
// touches it, or only its job's worker: a frame that is still on its way by the old routes is done before the next one
// comes by the new.
type conversion struct {
	with Converter
	more Splitter // with, if it is one
	out  *Frame   // scratch
	job  *job     // nil: it runs where the frame is pushed
}

// conversion makes what converts from one format to another.
func (s *Source) conversion(from, to *Format) *conversion {
	c := &conversion{with: s.conv.converter(from, to), out: &Frame{Payload: make([]byte, 0, maxPayload)}}
	c.more, _ = c.with.(Splitter)
	if cost, _ := s.conv.cost(from, to); cost > Inline {
		c.job = s.conv.workers.hire(s, c)
	}
	return c
}

// maxPayload holds 60 ms of stereo L16 at 48 kHz, the largest frame a converter makes.
const maxPayload = 48 * 60 * 2 * 2

// rebuild computes the routes anew and swaps them in one step. Frames in flight take the old ones, which their sinks
// refuse if they aren't linked any more. It is called under topology.
func (s *Source) rebuild() {
	links := s.audience()
	for _, l := range links {
		if l.in.follow != nil {
			l.in.follow(s.formats)
		}
	}
	t := &table{lanes: make([]lane, 0, len(s.formats))}
	used := map[laneKey]*conversion{}
	for _, f := range s.formats {
		t.lanes = append(t.lanes, s.lane(f, links, used))
	}
	t.wanted = wanted(t.lanes, links)
	t.shortcut()
	before := s.shared
	s.shared = used
	t.tellJobs()
	s.routes.Store(t)
	for k, c := range before {
		if used[k] == nil && c.job != nil {
			c.job.end()
		}
	}
	if s.relay != nil && s.relay.through != nil {
		s.relay.through.prefer(t.wanted)
	}
}

// shortcut puts the audio that goes one way, unconverted, at the head: the first of such formats that the sinks want.
func (t *table) shortcut() {
	for i := range t.lanes {
		ln := &t.lanes[i]
		if ln.from.Kind == Event || len(ln.direct) != 1 || len(ln.via) != 0 {
			continue
		}
		if t.only == nil || ln.from == t.wanted {
			t.only, t.first = ln.from, ln.direct[0]
			t.warm, _ = t.first.sink.(Warmer)
		}
	}
}

// tellJobs tells the workers' jobs where their frames go. Lanes that share a job, because their formats differ in nothing
// but the payload type, have the same sinks.
func (t *table) tellJobs() {
	for _, ln := range t.lanes {
		for i := range ln.via {
			if b := &ln.via[i]; b.job != nil {
				b.job.to.Store(&b.to)
			}
		}
	}
}

// lane finds the ways of one format and notes the conversions it uses.
func (s *Source) lane(f *Format, links []*link, used map[laneKey]*conversion) lane {
	ln := lane{from: f}
	via := map[laneKey]int{}
	for _, l := range links {
		caps := s.narrow(l.sink.Caps(), f)
		if to := caps.Find(f); to != nil {
			ln.direct = append(ln.direct, route{l.sink, l.in, to})
			continue
		}
		to := s.conv.choose(f, caps)
		if to == nil {
			continue
		}
		key := laneKey{f.String(), to.String()}
		i, ok := via[key]
		if !ok {
			c := used[key]
			if c == nil {
				c = s.shared[key]
			}
			if c == nil {
				c = s.conversion(f, to)
			}
			used[key] = c
			i = len(ln.via)
			via[key] = i
			ln.via = append(ln.via, branch{conversion: c})
		}
		ln.via[i].to = append(ln.via[i].to, route{l.sink, l.in, to})
	}
	return ln
}

// wanted picks the audio format that most sinks take as it is; of equals the one that the first sink likes best.
func wanted(lanes []lane, links []*link) *Format {
	most := 0
	for i := range lanes {
		if lanes[i].from.Kind == Audio {
			most = max(most, len(lanes[i].direct))
		}
	}
	if most == 0 {
		return nil
	}
	for _, l := range links {
		caps := l.sink.Caps()
		if caps == nil {
			continue
		}
		for _, g := range caps.Formats {
			for i := range lanes {
				if f := lanes[i].from; f.Kind == Audio && len(lanes[i].direct) == most && f.Same(g) {
					return f
				}
			}
		}
	}
	return nil
}

// Wanted is which of the source's audio formats reaches the most sinks without conversion, nil if none does. A source that
// can speak several formats sends this one. It may be called on the packet path.
func (s *Source) Wanted() *Format {
	if t := s.routes.Load(); t != nil {
		return t.wanted
	}
	return nil
}

// Heard reports whether there is a sink that takes any of the source's formats, converted or not. It may be called on the packet path.
func (s *Source) Heard() bool {
	t := s.routes.Load()
	if t == nil {
		return false
	}
	for i := range t.lanes {
		if len(t.lanes[i].direct)+len(t.lanes[i].via) > 0 {
			return true
		}
	}
	return false
}

// Send pushes f to every sink that takes it, converting once per target format. f is the caller's again afterwards. A
// frame that comes back to the source that is sending it, because links form a circle, is dropped.
func (s *Source) Send(f *Frame) {
	t := s.routes.Load()
	if s.awaited.Load() != 0 {
		s.arrived(f)
	}
	if t == nil || s.sending {
		s.dropped.Add(1)
		return
	}
	if t.only == f.Format && f.Format != nil {
		s.sending = true
		t.first.in.push(t.first.sink, s, f, t.first.to)
		s.sending = false
		return
	}
	for i := range t.lanes {
		ln := &t.lanes[i]
		if ln.from != f.Format {
			continue
		}
		if len(ln.direct)+len(ln.via) == 0 {
			break
		}
		s.sending = true
		for j := range ln.direct {
			r := &ln.direct[j]
			r.in.push(r.sink, s, f, r.to)
		}
		for j := range ln.via {
			if b := &ln.via[j]; b.job != nil {
				b.job.put(f)
			} else {
				b.work(s, f, b.to, nil)
			}
		}
		s.sending = false
		return
	}
	s.dropped.Add(1)
}

// Warm has the processor fetch what the next frame of the source will touch, if it goes the most common way. It may be called
// at any time.
func (s *Source) Warm() {
	if t := s.routes.Load(); t != nil && t.warm != nil {
		t.warm.Warm()
	}
}

// work converts a frame of s and pushes what comes of it. j is the job of the worker that does it, nil on the packet path.
func (c *conversion) work(s *Source, f *Frame, to []route, j *job) {
	if j != nil {
		j.heed(to)
	}
	payload := c.out.Payload[:0]
	*c.out = *f
	c.out.Payload = payload
	for ok := c.with.Convert(c.out, f); ok; ok = c.more != nil && c.more.More(c.out) {
		for k := range to {
			r := &to[k]
			r.in.push(r.sink, s, c.out, r.to)
		}
		c.out.Payload = c.out.Payload[:0]
	}
}

// Dropped counts frames that no sink took, or that the workers had no time for.
func (s *Source) Dropped() uint64 { return s.dropped.Load() }

// Path says how frames of one of a source's formats reach a sink.
type Path struct {
	From, To  *Format
	Converted bool
}

// Path tells how frames of each of the source's formats reach k now; formats that don't reach it are missing.
func (s *Source) Path(k Sink) []Path {
	t := s.routes.Load()
	if t == nil {
		return nil
	}
	var out []Path
	for _, ln := range t.lanes {
		for _, r := range ln.direct {
			if r.sink == k {
				out = append(out, Path{ln.from, r.to, false})
			}
		}
		for _, b := range ln.via {
			for _, r := range b.to {
				if r.sink == k {
					out = append(out, Path{ln.from, r.to, true})
				}
			}
		}
	}
	return out
}
