package media

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Source is where frames leave an element. It holds the links to sinks, and the converters that those need, keyed by
// target format: all sinks that want one format share one conversion. The zero value works and converts nothing; an
// element hands NewSource its pipeline's registry.
//
// Control methods (Link, Unlink, Override, SetFormats, Close) may be called from any goroutine, but not from Push. Send
// is called by one goroutine at a time.
type Source struct {
	conv *Registry
	back func(Feedback)

	// Guarded by topology, which orders every change of links in the process: changes are rare and short, and a
	// lock per source would have to be taken in pairs.
	formats []*Format
	links   []*link
	over    []*cover // who speaks instead of this source; the last one does
	covers  []*cover // where this source speaks instead of another
	visits  []*link  // sinks that it interrupts
	shared  map[laneKey]*conversion
	closed  bool

	codec string // what SetCodec asked for
	relay *relay // nil: it makes what it sends

	await atomic.Pointer[func(Passed)]

	said sync.Mutex
	heed map[*Inlet]float64 // last Bitrate, by sink
	loss map[*Inlet]float64

	// What a frame touches stands at the end, where an element that embeds the source goes on with its own.
	dropped atomic.Uint64
	sending bool          // the sender's own: a frame that comes back in a circle of links ends here
	awaited atomic.Uint32 // not 0: await wants the next frame
	routes  atomic.Pointer[table]
}

// topology orders all changes of links. It is the package's only variable; it holds no state.
var topology sync.Mutex

// change is one change of links. What it has to tell is told after the lock is free.
type change struct{ told []saying }

type saying struct {
	to func(Feedback)
	fb Feedback
}

// alter does a change of links.
func alter(do func(*change)) {
	var c change
	func() {
		topology.Lock()
		defer topology.Unlock()
		do(&c)
	}()
	for _, s := range c.told {
		s.to(s.fb)
	}
}

type link struct {
	sink Sink
	in   *Inlet
}

// cover is one override: by speaks instead of on.
type cover struct{ on, by *Source }

// NewSource makes a source that converts with reg (nil: only relays) and hands merged feedback of its sinks to back
// (nil: ignores it). back may be called from any goroutine, also on the packet path: it must not block.
func NewSource(reg *Registry, back func(Feedback)) *Source {
	s := new(Source)
	s.Init(reg, back)
	return s
}

// Init is NewSource for a source that is part of a larger struct. It is called before anything else is.
func (s *Source) Init(reg *Registry, back func(Feedback)) {
	if back == nil && reg != nil {
		back = func(Feedback) {} // its converters heed what nobody else does
	}
	s.conv, s.back = reg, back
}

// SetFormats tells what the source may send from now on, and rebuilds the routes to its sinks at once. A frame finds
// its way by the pointer it carries, so these are the pointers that frames must carry.
func (s *Source) SetFormats(f ...*Format) {
	alter(func(*change) {
		if !s.closed {
			s.formats = slices.Clone(f)
			s.rebuild()
		}
	})
}

// Formats is what the source may send.
func (s *Source) Formats() []*Format {
	topology.Lock()
	defer topology.Unlock()
	return slices.Clone(s.formats)
}

// Link feeds k from s. It never fails: where formats aren't known yet, or don't meet, nothing flows until they do. A
// sink has one source: an earlier link of k ends. A closed source, or a detached sink, isn't linked any more.
func (s *Source) Link(k Sink) {
	alter(func(c *change) {
		in := k.inlet()
		if in.home == s || in.gone || s.closed {
			return
		}
		if in.home != nil {
			in.home.drop(c, in)
		}
		in.home = s
		s.links = append(s.links, &link{k, in})
		in.settle(c, s.speaker())
		s.speaker().rebuild()
	})
}

// Unlink ends the link to k, if there is one. After it returned no frame of s is in k, or enters it.
func (s *Source) Unlink(k Sink) {
	alter(func(c *change) {
		if in := k.inlet(); in.home == s {
			s.drop(c, in)
		}
	})
}

// Close ends all links and overrides of the source, for good. When it returns no frame of s is in any sink.
func (s *Source) Close() {
	alter(func(c *change) {
		s.closed = true
		for len(s.links) > 0 {
			s.drop(c, s.links[0].in)
		}
		for len(s.covers) > 0 {
			s.covers[0].end(c)
		}
		for len(s.over) > 0 {
			s.over[0].end(c)
		}
		for len(s.visits) > 0 {
			s.visits[0].in.dismiss(c, s)
		}
		s.formats = nil
		s.rebuild()
	})
}

// Sinks lists what is linked to the source, in the order of linking, whoever speaks to them now.
func (s *Source) Sinks() []Sink {
	topology.Lock()
	defer topology.Unlock()
	out := make([]Sink, len(s.links))
	for i, l := range s.links {
		out[i] = l.sink
	}
	return out
}

// Override lets other speak to all sinks that are linked to s, now and while it lasts, instead of s: DTMF, hold music,
// announcements. Of several overrides the last one speaks. restore ends this one; it may be called in any order, and more
// than once. other keeps its own links. A source can't override itself; a closed one neither overrides nor is overridden.
func (s *Source) Override(other *Source) (restore func()) {
	o := &cover{on: s, by: other}
	alter(func(c *change) {
		if s == other || s.closed || other.closed {
			return
		}
		before := s.speaker()
		s.over = append(s.over, o)
		other.covers = append(other.covers, o)
		s.handOver(c, before)
	})
	return func() { alter(o.end) }
}

// end takes an override back; the second time it does nothing.
func (o *cover) end(c *change) {
	before := o.on.speaker()
	if remove(&o.on.over, o) {
		remove(&o.by.covers, o)
		o.on.handOver(c, before)
	}
}

// handOver makes the speaker of s the one its sinks let in.
func (s *Source) handOver(c *change, before *Source) {
	now := s.speaker()
	now.rebuild() // the new one finds its way before it is let in
	for _, l := range s.links {
		l.in.settle(c, now)
	}
	if before != now {
		before.rebuild()
	}
}

// speaker is who feeds the sinks of s now.
func (s *Source) speaker() *Source {
	if n := len(s.over); n > 0 {
		return s.over[n-1].by
	}
	return s
}

// drop ends the link to the sink of in, which is one of s.
func (s *Source) drop(c *change, in *Inlet) {
	s.links = slices.DeleteFunc(slices.Clone(s.links), func(l *link) bool { return l.in == in })
	in.home = nil
	in.settle(c, nil)
	s.speaker().rebuild()
}

// audience is every link that the source feeds: its own unless somebody overrides it, those of sources it overrides, and
// the sinks that it interrupts. A sink that is interrupted is in no other's.
func (s *Source) audience() []*link {
	var out []*link
	add := func(links []*link) {
		for _, l := range links {
			if l.in.guest == nil {
				out = append(out, l)
			}
		}
	}
	if s.speaker() == s {
		add(s.links)
	}
	for i, o := range s.covers {
		again := slices.ContainsFunc(s.covers[:i], func(p *cover) bool { return p.on == o.on })
		if o.on.speaker() == s && !again {
			add(o.on.links)
		}
	}
	return append(out, s.visits...)
}

func remove(list *[]*cover, o *cover) bool {
	i := slices.Index(*list, o)
	if i < 0 {
		return false
	}
	*list = slices.Delete(slices.Clone(*list), i, i+1)
	return true
}
