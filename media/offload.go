package media

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Inline is the most that a conversion may cost, in microseconds for 20 ms, to run on the goroutine that pushes the frame.
// What costs more would hold up all the calls of a socket loop: workers do it, see Registry.
const Inline = 20

// ringSize is how many frames wait for a worker, of one converter: 160 ms of 20 ms frames. Audio that is older is worth
// less than what comes after it, so the oldest is dropped.
const ringSize = 8

// slotSize is the room of a slot at first: a packet of the network fits. It grows for elements that make larger frames.
const slotSize = 1500

// maxHops bounds how often a frame goes from worker to worker: links that form a circle through workers end there.
const maxHops = 4

// workers do costly conversions. Their run queue holds each job at most once, so that a job is done by one worker at a time
// and in order.
type workers struct {
	mu          sync.Mutex
	some        sync.Cond // more jobs, or closed
	first, last *job
	limit       int // how many run once there is something to do; 0 = the default, below 0 = none: all is done inline
	running     int
	closed      atomic.Bool // written under mu
	wait        sync.WaitGroup

	jobs            atomic.Int64
	frames, dropped atomic.Uint64
}

// job is one converter that runs off the packet path, its ring and where its frames go.
type job struct {
	*workers
	src  *Source
	work *conversion
	to   atomic.Pointer[[]route]
	next *job // in the run queue; guarded by workers.mu

	mu     sync.Mutex
	ring   [ringSize]Frame
	head   int
	count  int
	queued bool // in the run queue or with a worker
	ended  bool

	in   Frame // a worker's own: what it converts
	beat int
}

// OffloadStats is what the workers of a registry did.
type OffloadStats struct {
	Converters int64  // that run on workers now
	Workers    int    // goroutines
	Frames     uint64 // converted
	Dropped    uint64 // because their ring was full, or the registry closed
}

// Offload tells what the workers did. A Dropped that grows says that there are more costly conversions than the machine can do.
func (r *Registry) Offload() OffloadStats {
	w := &r.workers
	w.mu.Lock()
	defer w.mu.Unlock()
	return OffloadStats{Converters: w.jobs.Load(), Workers: w.running, Frames: w.frames.Load(), Dropped: w.dropped.Load()}
}

// SetWorkers sets how many goroutines do costly conversions, before the first one is made. 0 is one less than
// GOMAXPROCS, at least one: a core stays free for the socket loops. Below 0 there are none, and whatever a conversion costs
// runs where the frame is pushed.
func (r *Registry) SetWorkers(n int) {
	r.workers.mu.Lock()
	defer r.workers.mu.Unlock()
	r.workers.limit = n
}

// Close ends the workers and awaits them; twice is as good as once. Frames that need them are dropped from then on. It
// must not be called from Push.
func (r *Registry) Close() error {
	w := &r.workers
	w.mu.Lock()
	w.closed.Store(true)
	w.first, w.last = nil, nil
	w.some.Broadcast()
	w.mu.Unlock()
	w.wait.Wait()
	return nil
}

// hire makes a job of a conversion of s, and starts the workers with the first one. nil if there are to be none.
func (w *workers) hire(s *Source, c *conversion) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit < 0 {
		return nil
	}
	for limit := w.most(); !w.closed.Load() && w.running < limit; w.running++ {
		w.wait.Go(w.run)
	}
	j := &job{workers: w, src: s, work: c, in: Frame{Payload: make([]byte, 0, slotSize)}}
	room := make([]byte, ringSize*slotSize)
	for i := range j.ring {
		j.ring[i].Payload = room[i*slotSize : i*slotSize : (i+1)*slotSize]
	}
	w.jobs.Add(1)
	return j
}

func (w *workers) most() int {
	if w.limit > 0 {
		return w.limit
	}
	return max(runtime.GOMAXPROCS(0)-1, 1)
}

// put copies a frame into the ring and sees that a worker comes by. It never blocks longer than a copy takes.
func (j *job) put(f *Frame) {
	if f.hops >= maxHops || len(f.Payload) > maxPayload || j.closed.Load() {
		j.lose(1)
		return
	}
	j.mu.Lock()
	if j.ended {
		j.mu.Unlock()
		return
	}
	full := j.count == ringSize
	if full {
		j.head = (j.head + 1) % ringSize
		j.count--
	}
	slot := &j.ring[(j.head+j.count)%ringSize]
	payload := append(slot.Payload[:0], f.Payload...)
	*slot = *f
	slot.Payload = payload
	j.count++
	idle := !j.queued
	j.queued = true
	j.mu.Unlock()
	if full {
		j.lose(1)
	}
	if idle {
		j.enqueue(j)
	}
}

func (j *job) lose(n uint64) {
	j.dropped.Add(n)
	j.src.dropped.Add(n)
}

// enqueue puts a job at the end of the run queue.
func (w *workers) enqueue(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed.Load() {
		return
	}
	if w.first == nil {
		w.first = j
	} else {
		w.last.next = j
	}
	w.last = j
	w.some.Signal()
}

// run is one worker: a frame of a job, then the next job's turn.
func (w *workers) run() {
	for {
		w.mu.Lock()
		for w.first == nil && !w.closed.Load() {
			w.some.Wait()
		}
		if w.closed.Load() {
			w.mu.Unlock()
			return
		}
		j := w.first
		w.first, j.next = j.next, nil
		if w.first == nil {
			w.last = nil
		}
		w.mu.Unlock()
		if j.turn() {
			w.enqueue(j)
		}
	}
}

// turn converts the oldest frame and pushes what comes of it. It reports whether there is another.
func (j *job) turn() (again bool) {
	if j.take() {
		j.work.work(j.src, &j.in, *j.to.Load(), j)
		j.frames.Add(1)
	}
	j.mu.Lock()
	again = j.count > 0
	j.queued = again
	over := j.ended && !again
	j.mu.Unlock()
	if over {
		release(j.work.with)
	}
	return again
}

// take swaps the oldest frame of the ring for the one that was done last.
func (j *job) take() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.count == 0 {
		return false
	}
	slot := &j.ring[j.head]
	j.in, *slot = *slot, j.in
	j.head = (j.head + 1) % ringSize
	j.count--
	j.in.hops++
	return true
}

// end is called once, when no route needs the job any more. A worker that has it finishes its frame; the frame isn't let
// into a sink that was unlinked.
func (j *job) end() {
	j.jobs.Add(-1)
	j.mu.Lock()
	j.ended = true
	j.count = 0
	over := !j.queued
	j.mu.Unlock()
	if over {
		release(j.work.with)
	}
}

// heed tells a converter the loss of its packets, once in so many frames.
func (j *job) heed(to []route) {
	if j.beat++; j.beat%50 != 0 {
		return
	}
	if h, ok := j.work.with.(Heeder); ok {
		h.Heed(j.src.lossOf(to))
	}
}

// lossOf is the greatest loss that the sinks of these routes said last.
func (s *Source) lossOf(to []route) (loss float64) {
	s.said.Lock()
	defer s.said.Unlock()
	for i := range to {
		loss = max(loss, s.loss[to[i].in])
	}
	return loss
}
