package webrtc

import (
	"math"
	"sync"

	prtcp "github.com/pion/rtcp"
)

// Terms of a reach. Times are in ns, rates in bit/s, growth is by so much a second.
const (
	reachKept   = 512            // packets whose feedback is awaited
	reachWindow = int64(400e6)   // over which it looks at a path, if so much was sent
	reachPause  = int64(1e9)     // and at most; also how long a path is clear before more is tried, and between two falls
	reachBase   = int64(10e9)    // the shortest way of so long, and of as long before, is the path's without a queue
	reachClear  = int64(20e6)    // a queue that never gets shorter is none up to here
	reachFull   = int64(60e6)    // and one from here on
	reachJump   = int64(5e9)     // and from here on the peer has another clock
	reachWait   = int64(4e9)     // since a fall, before more is tried than the path took then
	reachForget = int64(30e9)    // since a fall, until what the path took is of no account
	reachQueued = 3000           // bytes whose waiting tells the path's rate
	reachFew    = 4              // packets that show something
	reachBack   = 2.0            // growth up to near what the path took
	reachBeyond = 1.15           // and beyond that
	reachFast   = 1.5            // where it isn't known what the path takes
	reachSlow   = 1.08           // and where what is sent shows nothing
	reachNear   = 0.85           // of what the path took
	reachFall   = 0.7            // of it, so that its queue ends
	reachFalls  = 3              // in a row that shorten no queue: it isn't ours, the path has become longer
	reachShown  = 1.1            // of what the path took: it takes more now
	reachUsed   = 2.0            // of what is sent, and
	reachSpare  = float64(100e3) // so much more: to here what is sent shows something
	reachLoss   = 0.1            // of the packets: heavy
	reachFaint  = 0.02           // none to speak of
)

// reach finds how much more than Google Congestion Control says a path takes. We send what others make, who send what they are told: once little is
// sent there is little feedback, and the estimate, which moves by feedback only, stays low for as long as its filter needs to forget a queue. A reach
// looks at what a feedback means by itself: the queue that stands in the path (the shortest wait of a while, so that neither a key picture nor jitter
// counts) and loss. While there is neither, more is told, until there is; then it goes back below what came through, and remembers that.
type reach struct {
	mu   sync.Mutex
	sent [reachKept]reachSent // by number
	ref  int64                // time of the latest feedback's reference, 64 ms; by the peer's clock
	told bool                 // there was one
	base [2]int64             // shortest way of this while and of the one before, by two clocks
	turn int64                // when this while began

	began  int64 // of the window
	came   int
	lost   int
	timed  bool
	bytes  int64
	least  int64 // shortest way in it
	last   int64 // latest arrival in it, by the peer's clock
	past   int64 // and before it
	queued int64 // bytes that had waited behind others, and
	busy   int64 // how long after the one before each of them came

	at    int64   // end of the window before
	loss  float64 // smoothed
	used  float64 // what comes through, held for a while
	rate  float64 // the result; 0 = nothing is known
	took  float64 // what came through when there was too much; 0 = not known
	fell  int64   // when that was
	falls int     // in a row
	clear int64   // since when there is no queue; 0 = there is one
}

// reachSent is a packet on its way.
type reachSent struct {
	at    int64 // 0 = none
	seq   uint16
	bytes uint16
}

// send notes a packet by its transport-wide number.
func (r *reach) send(seq uint16, bytes int, now int64) {
	r.mu.Lock()
	r.sent[seq%reachKept] = reachSent{at: now, seq: seq, bytes: uint16(min(bytes, math.MaxUint16))}
	r.mu.Unlock()
}

// now is what the path takes at least, if anything is known.
func (r *reach) now() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rate
}

// hear takes a feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1), and what Google Congestion Control says.
func (r *reach) hear(fb *prtcp.TransportLayerCC, estimate float64, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref := int64(fb.ReferenceTime & 0xffffff)
	if r.told {
		ref = r.ref + (ref-r.ref+1<<23)&0xffffff - 1<<23 // the nearest that has these bits
	}
	r.ref, r.told = ref, true
	arrival, seq, left, deltas := ref*64e6, fb.BaseSequenceNumber, fb.PacketStatusCount, fb.RecvDeltas
	one := func(symbol uint16) bool {
		if left == 0 {
			return false
		}
		switch symbol {
		case prtcp.TypeTCCPacketNotReceived:
			r.missed(seq)
		case prtcp.TypeTCCPacketReceivedSmallDelta, prtcp.TypeTCCPacketReceivedLargeDelta:
			if len(deltas) == 0 {
				return false
			}
			arrival += deltas[0].Delta * 1000
			deltas = deltas[1:]
			r.arrived(seq, arrival, now)
		}
		seq++
		left--
		return true
	}
	for _, c := range fb.PacketChunks {
		switch c := c.(type) {
		case *prtcp.RunLengthChunk:
			for n := c.RunLength; n > 0 && one(c.PacketStatusSymbol); n-- {
			}
		case *prtcp.StatusVectorChunk:
			for _, s := range c.SymbolList {
				if !one(s) {
					break
				}
			}
		}
	}
	n := r.came + r.lost
	if r.began == 0 {
		r.began = now
	}
	if took := now - r.began; took >= reachWindow && n >= reachFew || took >= reachPause && n > 0 {
		r.look(estimate, now)
	}
}

// take is the packet of a number that waits for its feedback, which it has now.
func (r *reach) take(seq uint16) (s reachSent, ok bool) {
	p := &r.sent[seq%reachKept]
	if p.at == 0 || p.seq != seq {
		return s, false
	}
	s = *p
	p.at = 0
	return s, true
}

func (r *reach) missed(seq uint16) {
	if _, ok := r.take(seq); ok {
		r.lost++
	}
}

func (r *reach) arrived(seq uint16, arrival, now int64) {
	s, ok := r.take(seq)
	if !ok {
		return
	}
	way := arrival - s.at
	if r.turn == 0 || now-r.turn >= reachBase {
		r.base[1] = r.base[0]
		if r.turn == 0 {
			r.base[1] = way
		}
		r.base[0], r.turn = way, now
	}
	r.base[0] = min(r.base[0], way)
	if !r.timed || way < r.least {
		r.least = way
	}
	r.timed = true
	if gap := arrival - r.last; way-min(r.base[0], r.base[1]) > reachClear && gap >= 0 && gap < reachWindow {
		r.queued += int64(s.bytes)
		r.busy += gap
	}
	r.last = max(r.last, arrival)
	r.came++
	r.bytes += int64(s.bytes)
}

// look ends a window.
func (r *reach) look(estimate float64, now int64) {
	span := r.last - r.past
	if r.past == 0 || span <= 0 {
		span = now - r.began
	}
	rate := float64(r.bytes) * 8e9 / float64(span)
	part := float64(r.lost) / float64(r.came+r.lost)
	r.loss += 0.2 * (part - r.loss)
	r.used = max(rate, 0.8*r.used+0.2*rate)
	queue := r.least - min(r.base[0], r.base[1])
	if r.timed && queue > reachJump {
		r.base = [2]int64{r.least, r.least}
		queue = 0
	}
	passed := min(now-r.at, reachPause)
	switch {
	case r.timed && queue > reachFull || min(part, r.loss) > reachLoss:
		if r.queued > reachQueued && r.busy > 0 { // a queue empties at the path's rate, however little is sent
			rate = max(rate, float64(r.queued)*8e9/float64(r.busy))
		}
		r.fall(rate, now)
	case r.timed && queue < reachClear && max(part, r.loss) <= reachFaint:
		r.rise(rate, estimate, now, float64(passed)/1e9)
	}
	r.at, r.began, r.past = now, now, r.last
	r.came, r.lost, r.bytes, r.timed, r.least, r.queued, r.busy = 0, 0, 0, false, 0, 0, 0
}

// fall takes it that more was sent than the path takes, which is the rate.
func (r *reach) fall(rate float64, now int64) {
	r.clear = 0
	if r.fell != 0 && now-r.fell < reachPause {
		return // what was told shows only now
	}
	r.fell, r.took = now, rate
	r.rate = min(0.9*r.rate, reachFall*rate)
	r.loss = 0 // what is lost from here on is the new rate's
	if r.falls++; r.falls > reachFalls && r.timed {
		r.base = [2]int64{r.least, r.least}
		r.falls = 0
	}
}

// rise takes it that a rate went through without a queue, for so many seconds.
func (r *reach) rise(rate, estimate float64, now int64, seconds float64) {
	r.falls = 0
	r.rate = max(r.rate, estimate)
	if r.clear == 0 {
		r.clear = now
	}
	if now-r.clear < reachPause {
		return
	}
	if rate > reachShown*r.took || now-r.fell > reachForget {
		r.took = 0
	}
	grown := func(by float64) float64 { return r.rate * math.Pow(by, seconds) }
	shown := reachUsed*r.used + reachSpare
	var next float64
	switch near := reachNear * r.took; {
	case r.took == 0:
		next = max(min(grown(reachFast), shown), grown(reachSlow))
	case r.rate < near:
		next = min(grown(reachBack), near)
	case now-r.fell >= reachWait:
		next = min(grown(reachBeyond), shown, reachUsed*r.took)
	}
	r.rate = min(max(r.rate, next), pathMost)
}
