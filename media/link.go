package media

import (
	"sync"
	"sync/atomic"
)

// Source is where frames leave an element. It holds the links to sinks, and the converters that those need, keyed by
// target format: all sinks that want one format share one conversion. The zero value works and converts nothing; an
// element hands NewSource its pipeline's registry.
//
// Control methods (Link, Unlink, Override, SetFormats) may be called from any goroutine. Send is called by one
// goroutine at a time.
type Source struct {
	conv *Registry
	back func(Feedback)

	// Guarded by topology, which orders every change of links in the process: changes are rare and short, and a
	// lock per source would have to be taken in pairs.
	formats  []*Format
	links    []*link
	override []*Source // the last one speaks instead of this source
	covers   []*Source // sources that this one overrides now
	shared   map[laneKey]Converter

	routes  atomic.Pointer[[]lane]
	dropped atomic.Uint64

	said sync.Mutex
	heed map[*Inlet]Feedback // last Bitrate, by sink
	loss map[*Inlet]Feedback
}

// topology orders all changes of links. It is the package's only variable; it holds no state.
var topology sync.Mutex

type link struct {
	sink Sink
	in   *Inlet
}

type laneKey struct{ from, to string }

// lane is what happens to frames of one format.
type lane struct {
	from   *Format
	direct []route
	via    []conversion
}

type route struct {
	sink Sink
	in   *Inlet
	to   *Format // the sink's own
}

type conversion struct {
	with Converter
	out  *Frame // scratch
	to   []route
}

// NewSource makes a source that converts with reg (nil: only relays) and hands merged feedback of its sinks to back
// (nil: ignores it). back may be called from any goroutine, also on the packet path: it must not block.
func NewSource(reg *Registry, back func(Feedback)) *Source { return &Source{conv: reg, back: back} }

// SetFormats tells what the source may send from now on, and rebuilds the routes to its sinks at once.
func (s *Source) SetFormats(f ...*Format) {
	topology.Lock()
	defer topology.Unlock()
	s.formats = append([]*Format(nil), f...)
	s.rebuild()
}

// Formats is what the source may send.
func (s *Source) Formats() []*Format {
	topology.Lock()
	defer topology.Unlock()
	return append([]*Format(nil), s.formats...)
}

// Link feeds k from s. It never fails: where formats aren't known yet, or don't meet, nothing flows until they do. A
// sink has one source: an earlier link of k ends.
func (s *Source) Link(k Sink) {
	topology.Lock()
	defer topology.Unlock()
	in := k.inlet()
	if in.home == s {
		return
	}
	if in.home != nil {
		in.home.drop(in)
	}
	in.home = s
	s.links = append(s.links, &link{k, in})
	in.admit(s.speaker())
	s.speaker().rebuild()
}

// Unlink ends the link to k, if there is one. After it returned no frame of s is in k, or enters it.
func (s *Source) Unlink(k Sink) {
	topology.Lock()
	defer topology.Unlock()
	if in := k.inlet(); in.home == s {
		s.drop(in)
	}
}

// Close ends all links and overrides of the source.
func (s *Source) Close() {
	topology.Lock()
	defer topology.Unlock()
	for len(s.links) > 0 {
		s.drop(s.links[0].in)
	}
	for len(s.covers) > 0 {
		s.covers[0].restore(s)
	}
	s.override, s.formats, s.shared = nil, nil, nil
	s.rebuild()
}

// Sinks lists what the source feeds, in the order of linking.
func (s *Source) Sinks() []Sink {
	topology.Lock()
	defer topology.Unlock()
	out := make([]Sink, len(s.links))
	for i, l := range s.links {
		out[i] = l.sink
	}
	return out
}

// Override lets other speak to all sinks of s, now and while it lasts, instead of s: DTMF, hold music, announcements.
// Of several overrides the last one speaks. restore ends this one; it may be called more than once.
func (s *Source) Override(other *Source) (restore func()) {
	topology.Lock()
	defer topology.Unlock()
	before := s.speaker()
	s.override = append(s.override, other)
	other.covers = append(other.covers, s)
	s.handOver(before)
	var once sync.Once
	return func() {
		once.Do(func() {
			topology.Lock()
			defer topology.Unlock()
			s.restore(other)
		})
	}
}

func (s *Source) restore(other *Source) {
	before := s.speaker()
	if remove(&s.override, other) {
		remove(&other.covers, s)
		s.handOver(before)
	}
}

// handOver makes the speaker of s the one its sinks let in.
func (s *Source) handOver(before *Source) {
	now := s.speaker()
	now.rebuild() // the new one finds its way before it is let in
	for _, l := range s.links {
		l.in.admit(now)
	}
	if before != now {
		before.rebuild()
	}
}

// speaker is who feeds the sinks of s now.
func (s *Source) speaker() *Source {
	if n := len(s.override); n > 0 {
		return s.override[n-1]
	}
	return s
}

func (s *Source) drop(in *Inlet) {
	for i, l := range s.links {
		if l.in == in {
			s.links = append(s.links[:i:i], s.links[i+1:]...)
			break
		}
	}
	in.home = nil
	in.admit(nil)
	s.speaker().rebuild()
	s.forget(in)
}

// admit says whose frames enter the sink. It returns once no frame of another is inside.
func (in *Inlet) admit(s *Source) {
	in.mu.Lock()
	in.cur = s
	in.mu.Unlock()
}

// audience is every link that the source feeds: its own unless somebody overrides it, and those of sources it overrides.
func (s *Source) audience() []*link {
	var out []*link
	if s.speaker() == s {
		out = append(out, s.links...)
	}
	for _, c := range s.covers {
		if c.speaker() == s {
			out = append(out, c.links...)
		}
	}
	return out
}

// rebuild computes the routes anew and swaps them in one step. Frames in flight take the old ones, which their sinks
// refuse if they aren't linked any more.
func (s *Source) rebuild() {
	links := s.audience()
	lanes := make([]lane, 0, len(s.formats))
	used := map[laneKey]Converter{}
	for _, f := range s.formats {
		ln := lane{from: f}
		via := map[laneKey]int{}
		for _, l := range links {
			caps := l.sink.Caps()
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
				c := s.shared[key]
				if c == nil {
					c = s.conv.converter(f, to)
				}
				used[key] = c
				i = len(ln.via)
				via[key] = i
				ln.via = append(ln.via, conversion{with: c, out: &Frame{Payload: make([]byte, 0, maxPayload)}})
			}
			ln.via[i].to = append(ln.via[i].to, route{l.sink, l.in, to})
		}
		lanes = append(lanes, ln)
	}
	s.shared = used
	s.routes.Store(&lanes)
}

// maxPayload holds 60 ms of stereo L16 at 48 kHz, the largest frame a converter makes.
const maxPayload = 48 * 60 * 2 * 2

// Send pushes f to every sink that takes it, converting once per target format. f is the caller's again afterwards.
func (s *Source) Send(f *Frame) {
	lanes := s.routes.Load()
	if lanes == nil {
		s.dropped.Add(1)
		return
	}
	for i := range *lanes {
		ln := &(*lanes)[i]
		if ln.from != f.Format {
			continue
		}
		for j := range ln.direct {
			r := &ln.direct[j]
			r.in.push(r.sink, s, f, r.to)
		}
		for j := range ln.via {
			c := &ln.via[j]
			payload := c.out.Payload[:0]
			*c.out = *f
			c.out.Payload = payload
			if !c.with.Convert(c.out, f) {
				continue
			}
			for k := range c.to {
				r := &c.to[k]
				r.in.push(r.sink, s, c.out, r.to)
			}
		}
		if len(ln.direct)+len(ln.via) == 0 {
			s.dropped.Add(1)
		}
		return
	}
	s.dropped.Add(1)
}

// Dropped counts frames that no sink took.
func (s *Source) Dropped() uint64 { return s.dropped.Load() }

// Path says how frames of the source's format f reach k.
type Path struct {
	From, To  *Format
	Converted bool
}

// Path tells how frames of each of the source's formats reach k now; formats that don't reach it are missing.
func (s *Source) Path(k Sink) []Path {
	var out []Path
	lanes := s.routes.Load()
	if lanes == nil {
		return nil
	}
	for _, ln := range *lanes {
		for _, r := range ln.direct {
			if r.sink == k {
				out = append(out, Path{ln.from, r.to, false})
			}
		}
		for _, c := range ln.via {
			for _, r := range c.to {
				if r.sink == k {
					out = append(out, Path{ln.from, r.to, true})
				}
			}
		}
	}
	return out
}

// heard merges what one sink says with what the others said last.
func (s *Source) heard(in *Inlet, fb Feedback) {
	if s.back == nil {
		return
	}
	s.said.Lock()
	merged := fb
	switch fb.Kind {
	case Bitrate:
		merged = merge(&s.heed, in, fb, func(a, b float64) bool { return a < b })
	case Loss:
		merged = merge(&s.loss, in, fb, func(a, b float64) bool { return a > b })
	}
	s.said.Unlock()
	s.back(merged)
}

func (s *Source) forget(in *Inlet) {
	s.said.Lock()
	delete(s.heed, in)
	delete(s.loss, in)
	s.said.Unlock()
}

func merge(m *map[*Inlet]Feedback, in *Inlet, fb Feedback, worse func(a, b float64) bool) Feedback {
	if *m == nil {
		*m = map[*Inlet]Feedback{}
	}
	(*m)[in] = fb
	for _, o := range *m {
		if worse(o.Value, fb.Value) {
			fb.Value = o.Value
		}
	}
	return fb
}

func remove(list *[]*Source, s *Source) bool {
	for i, o := range *list {
		if o == s {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return true
		}
	}
	return false
}
