package kurento

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
)

// flow watches one pad of an element: whether media comes by, and in which format. The packet path is asked for the next
// frame alone, by media's Await, once in a period of the poll: a pad that is watched costs a packet what others cost.
type flow struct {
	element     *Element
	out         bool
	kind        MediaType
	description string
	passed      func(media.Passed) // is called on the packet path

	// Guarded by the pipeline's graph: the pad, nil while the element has none there.
	source *media.Source
	sink   media.Sink

	moved   atomic.Bool                  // since the last poll
	format  atomic.Pointer[media.Format] // of the last frame that was awaited
	delay   atomic.Int64                 // from the network to the pad, ns, averaged; 0 = unknown
	flowing atomic.Bool                  // as events told
	told    transcoding                  // of the poll's goroutine
}

// transcoding is what MediaTranscodingStateChanged told of a pad: each once, and what converts doesn't go back.
type transcoding uint8

const (
	undecided transcoding = iota
	relays
	converts
)

// flows polls all pads of a server, on one goroutine.
type flows struct {
	every time.Duration
	news  chan *flow // pads that have something to tell before the next poll
	stop  chan struct{}
	still sync.WaitGroup

	mu    sync.Mutex
	watch map[*flow]struct{}
}

func newFlows(every time.Duration) *flows {
	return &flows{every: every, news: make(chan *flow, 4096), stop: make(chan struct{}), watch: map[*flow]struct{}{}}
}

func (s *flows) start() { s.still.Go(s.run) }

// close ends the polling; it is called once.
func (s *flows) close() {
	close(s.stop)
	s.still.Wait()
}

func (s *flows) run() {
	poll := time.NewTicker(s.every)
	defer poll.Stop()
	for {
		select {
		case <-s.stop:
			return
		case f := <-s.news:
			f.look()
		case <-poll.C:
			for _, f := range s.list() {
				f.poll()
			}
		}
	}
}

// tell has the goroutine look at a pad soon. It never blocks: what is lost, the next poll finds.
func (s *flows) tell(f *flow) {
	select {
	case s.news <- f:
	default:
	}
}

func (s *flows) add(f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch[f] = struct{}{}
}

func (s *flows) remove(f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watch, f)
}

func (s *flows) list() []*flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*flow, 0, len(s.watch))
	for f := range s.watch {
		out = append(out, f)
	}
	return out
}

// watchPads watches the pads that the element has now, and no others. It is called with the graph held, whenever pads or
// descriptions change.
func (e *Element) watchPads() {
	for _, f := range e.flows {
		f.aim(nil, nil)
	}
	if e.media != nil {
		for _, p := range e.pads() {
			for _, out := range [...]bool{false, true} {
				e.watchPad(p.kind, p.description, out)
			}
		}
	}
	e.flows = slices.DeleteFunc(e.flows, func(f *flow) bool {
		gone := f.source == nil && f.sink == nil && (e.closed || !f.flowing.Load())
		if gone {
			e.pipeline.core.flows.remove(f)
		}
		return gone
	})
}

type named struct {
	kind        MediaType
	description string
}

// pads are all that the element may have, of audio and video.
func (e *Element) pads() []named {
	out := []named{{MediaTypeAudio, defaultDescription}, {MediaTypeVideo, defaultDescription}}
	p, ok := e.media.(media.Padder)
	if !ok {
		return out
	}
	for _, pad := range p.Pads() {
		kind := map[media.Kind]MediaType{media.Audio: MediaTypeAudio, media.Video: MediaTypeVideo}[pad.Kind]
		if kind != "" && pad.Name != "" {
			out = append(out, named{kind, pad.Name})
		}
	}
	return out
}

func (e *Element) watchPad(kind MediaType, description string, out bool) {
	var source *media.Source
	var sink media.Sink
	if out {
		source = e.sourcePad(kind, description)
	} else {
		sink = e.sinkPad(kind, description)
	}
	if source == nil && sink == nil {
		return
	}
	f := e.flow(kind, description, out)
	if f == nil {
		f = &flow{element: e, kind: kind, description: description, out: out}
		f.passed = f.pass
		e.flows = append(e.flows, f)
		e.pipeline.core.flows.add(f)
	}
	f.aim(source, sink)
}

// flow finds what watches a pad, nil if nothing does. The graph is held.
func (e *Element) flow(kind MediaType, description string, out bool) *flow {
	for _, f := range e.flows {
		if f.kind == kind && f.description == description && f.out == out {
			return f
		}
	}
	return nil
}

// aim turns to another pad.
func (f *flow) aim(source *media.Source, sink media.Sink) {
	if f.source == source && f.sink == sink {
		return
	}
	if f.source != nil {
		f.source.Await(nil)
	}
	if f.sink != nil {
		media.Await(f.sink, nil)
	}
	f.source, f.sink = source, sink
	f.await()
}

func (f *flow) await() {
	if f.source != nil {
		f.source.Await(f.passed)
	}
	if f.sink != nil {
		media.Await(f.sink, f.passed)
	}
}

// pass is told of a frame, on the packet path.
func (f *flow) pass(p media.Passed) {
	f.format.Store(p.Format)
	f.moved.Store(true)
	if now := f.element.pipeline.core.cfg.Now; now != nil && p.Arrival != 0 && f.element.pipeline.latency.Load() {
		f.measure(now() - p.Arrival)
	}
	if !f.flowing.Load() {
		f.element.pipeline.core.flows.tell(f)
	}
}

// measure takes a delay into the average, as a part of an eighth.
func (f *flow) measure(delay int64) {
	if delay <= 0 {
		return
	}
	if was := f.delay.Load(); was != 0 {
		delay = was + (delay-was)/8
	}
	f.delay.Store(delay)
}

// look tells of what came since the last poll.
func (f *flow) look() {
	if f.moved.Load() && !f.flowing.Swap(true) {
		f.raise(MediaFlowStateFlowing)
	}
	f.decide()
}

// poll tells of what came, or didn't come any more, and awaits the next frame.
func (f *flow) poll() {
	f.look()
	if !f.moved.Swap(false) {
		if f.flowing.Swap(false) {
			f.raise(MediaFlowStateNotFlowing)
		}
		return // still awaited
	}
	f.element.pipeline.graph.Lock()
	defer f.element.pipeline.graph.Unlock()
	f.await()
}

// raise tells of a state, behind what the packet path has posted before: that DTLS is connected, say.
func (f *flow) raise(state MediaFlowState) {
	if f.out {
		f.element.self.Post(MediaFlowOutStateChanged{state, f.description, f.kind})
	} else {
		f.element.self.Post(MediaFlowInStateChanged{state, f.description, f.kind})
	}
}

// decide tells once that what leaves the pad reaches its sinks as it is, and once that some of it is converted.
func (f *flow) decide() {
	if !f.out || f.told == converts {
		return
	}
	relayed, converted := f.ways()
	switch {
	case converted > 0:
		f.told = converts
		f.element.self.Post(MediaTranscodingStateChanged{MediaTranscodingStateTranscoding, f.description, f.kind})
	case relayed > 0 && f.told == undecided:
		f.told = relays
		f.element.self.Post(MediaTranscodingStateChanged{MediaTranscodingStateNotTranscoding, f.description, f.kind})
	}
}

// ways counts the sinks that what flows reaches.
func (f *flow) ways() (relayed, converted int) {
	f.element.pipeline.graph.Lock()
	source := f.source
	f.element.pipeline.graph.Unlock()
	if source == nil {
		return 0, 0
	}
	return source.Ways(f.format.Load())
}
