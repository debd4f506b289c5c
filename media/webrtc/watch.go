package webrtc

import "sync"

// Event is what an endpoint tells Config.Watch of ICE and DTLS: one of the types below.
type Event interface{ event() }

// CandidateFound is a candidate of ours (RFC 8838 9): for the peer, if SDP doesn't have it.
type CandidateFound struct {
	Candidate string // candidate:…
	MID       string // of the media line, as in SDP
	Line      int    // its index, from 0
}

// GatheringDone says that there will be no more candidates.
type GatheringDone struct{}

// ComponentChanged is another state of ICE.
type ComponentChanged struct{ State ICEState }

// PairSelected is another path that is used: its two ends, as candidates.
type PairSelected struct{ Local, Remote string }

// HandshakeChanged is another state of DTLS.
type HandshakeChanged struct{ State DTLSState }

func (CandidateFound) event()   {}
func (GatheringDone) event()    {}
func (ComponentChanged) event() {}
func (PairSelected) event()     {}
func (HandshakeChanged) event() {}

// ICEState of an endpoint.
type ICEState uint8

const (
	ICEDisconnected ICEState = iota // nothing is looked for yet, or the peer has gone
	ICEGathering                    // candidates are looked for
	ICEConnecting                   // checks run
	ICEConnected                    // a path is found
	ICEReady                        // and no better one is looked for
	ICEFailed                       // there is none
)

func (s ICEState) String() string {
	return [...]string{"DISCONNECTED", "GATHERING", "CONNECTING", "CONNECTED", "READY", "FAILED", "", ""}[s&7]
}

// DTLSState of an endpoint.
type DTLSState uint8

const (
	DTLSNew DTLSState = iota
	DTLSConnecting
	DTLSConnected
	DTLSClosed
	DTLSFailed
)

func (s DTLSState) String() string {
	return [...]string{"NEW", "CONNECTING", "CONNECTED", "CLOSED", "FAILED", "", "", ""}[s&7]
}

// watcher tells events in order, one at a time, on whichever goroutine found something out.
type watcher struct {
	tell func(Event)

	mu        sync.Mutex
	idle      sync.Cond // nothing is being told
	queue     []Event
	busy      bool
	closed    bool
	ice       ICEState
	dtls      DTLSState
	gathering bool // candidates are looked for, or will be
	announced bool // ICEGathering is told
	done      bool // gathering is
	checks    bool // have begun
	pair      PairSelected
}

// init says whether gathering is a step of its own: then nothing is told of checks before.
func (w *watcher) init(tell func(Event), gathers bool) {
	w.tell, w.idle.L, w.gathering = tell, &w.mu, gathers
}

// do changes what is known under the lock, and tells what came of it.
func (w *watcher) do(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	change()
	if w.busy {
		return
	}
	w.busy = true
	for len(w.queue) > 0 && !w.closed {
		e := w.queue[0]
		w.queue = w.queue[1:]
		if w.tell != nil {
			w.mu.Unlock()
			w.tell(e)
			w.mu.Lock()
		}
	}
	w.busy = false
	w.idle.Broadcast()
}

// close returns when nothing is told any more.
func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for w.busy {
		w.idle.Wait()
	}
}

func (w *watcher) to(s ICEState) {
	if w.ice != s {
		w.ice = s
		w.queue = append(w.queue, ComponentChanged{s})
	}
}

// up reports whether there is a path.
func (w *watcher) up() bool { return w.ice == ICEConnected || w.ice == ICEReady }

// gather says that candidates are looked for.
func (w *watcher) gather() {
	w.do(func() { w.gathering, w.announced, w.done = true, false, false })
}

// announce says that candidates are looked for, once there is one: so KMS does.
func (w *watcher) announce() {
	if w.gathering && !w.announced {
		w.announced = true
		if !w.up() {
			w.to(ICEGathering)
			if w.checks {
				w.to(ICEConnecting)
			}
		}
	}
}

// tells queues an event that changes nothing here.
func (w *watcher) tells(e Event) { w.do(func() { w.queue = append(w.queue, e) }) }

func (w *watcher) candidate(c CandidateFound) {
	w.do(func() {
		w.queue = append(w.queue, c)
		w.announce()
	})
}

func (w *watcher) gathered() {
	w.do(func() {
		w.announce()
		w.done = true
		w.queue = append(w.queue, GatheringDone{})
		if w.ice == ICEConnected {
			w.to(ICEReady)
		}
	})
}

// step is what a line finds out about ICE.
type step uint8

const (
	netChecking step = iota
	netFound
	netLost
	netFailed
)

// network takes what a line finds out. The pair is that of netFound.
func (w *watcher) network(s step, pair PairSelected) {
	w.do(func() {
		switch s {
		case netChecking:
			w.checks = true
			if !w.up() && (!w.gathering || w.announced) {
				w.to(ICEConnecting)
			}
		case netFound:
			if w.pair != pair {
				w.pair = pair
				w.queue = append(w.queue, pair)
			}
			if !w.up() {
				w.to(ICEConnected)
			}
			if w.ice == ICEConnected && (!w.gathering || w.done) {
				w.to(ICEReady)
			}
		case netLost:
			w.to(ICEDisconnected)
		case netFailed:
			w.to(ICEFailed)
		}
	})
}

func (w *watcher) handshake(s DTLSState) {
	w.do(func() {
		if w.dtls != s && (s != DTLSFailed || w.dtls != DTLSNew) { // without a path no handshake has failed
			w.dtls = s
			w.queue = append(w.queue, HandshakeChanged{s})
		}
	})
}

// Connectivity is what is known of ICE and DTLS now.
type Connectivity struct {
	ICE  ICEState
	DTLS DTLSState
	Pair PairSelected // zero before a path is found
}

// Connectivity tells what is known of ICE and DTLS now.
func (e *Endpoint) Connectivity() Connectivity {
	w := &e.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	return Connectivity{ICE: w.ice, DTLS: w.dtls, Pair: w.pair}
}

// Network takes what a line found out about ICE. It may be called under the line's locks.
func (e *Endpoint) Network(l line, s step, pair PairSelected) {
	if e.speaks(l) {
		e.watch.network(s, pair)
	}
}

// Shaking says that a line's handshake has begun.
func (e *Endpoint) Shaking(l line) {
	if e.speaks(l) {
		e.watch.handshake(DTLSConnecting)
	}
}

// speaks reports whether a line is the one in force, or may come to be.
func (e *Endpoint) speaks(l line) bool {
	r := &e.in
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.agreed == nil || r.agreed.line == l
}

// shaken tells what became of a handshake.
func (e *Endpoint) shaken(s state) {
	switch s {
	case connected:
		e.watch.handshake(DTLSConnected)
	case failed:
		e.watch.handshake(DTLSFailed)
	}
}

// discovered takes what an agent, or our own stack, found of candidates.
func (e *Endpoint) discovered(c candidateFound) {
	if c.value == "" {
		e.watch.gathered()
		return
	}
	at := e.place.Load()
	e.watch.candidate(CandidateFound{Candidate: "candidate:" + c.value, MID: at.mid, Line: at.line})
}

// place is where our media line stands.
type place struct {
	mid  string
	line int
}
