// Package player is an element that plays what a stream of units holds: a file, say. Sound goes out as the file has it wherever
// sinks take that; what is linear at a rate that nobody speaks is brought to one that is.
package player

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/container"
)

// Stream is what is played. Close has a Read that is waiting return.
type Stream interface {
	container.Reader
	Close() error
}

// Live is a Stream that goes on whether it is read or not. Its time doesn't while Pause has what comes left out. What is here beside
// Stream's neither blocks nor calls the player.
type Live interface {
	Stream
	Pause(on bool)
	// Refresh has whoever sends asked for a key picture. Asked often, it asks seldom.
	Refresh()
}

// Seeker is a Live that can be sought where its Duration isn't 0: a server that has a file sends it in the time that it plays. After a Pause
// it goes on where it is sought.
type Seeker interface {
	Live
	// Wake has a Read that waits return a unit of track -1.
	Wake()
	// From is where it goes on after a Seek, which the server chooses. It is asked by whoever reads.
	From() time.Duration
}

// Config of a player.
type Config struct {
	// Open opens what is to be played, from its beginning. It is called at each Play after a Stop or the end, and gives up when
	// ctx ends.
	Open     func(ctx context.Context) (Stream, error)
	Ahead    time.Duration // what must be there before it begins, and goes on after it had to wait; at most two and a half seconds
	Clock    *media.Clock
	Registry *media.Registry
	// Post is told media.Ended and media.Failed, and media.Lacks when there is sound, or video, that can't be played beside what can;
	// Changed each other state, before them. Both may be nil; neither blocks or calls the player.
	Post    func(media.Notice)
	Changed func(State)
}

// State of a player.
type State uint8

const (
	Stopped State = iota
	Playing
	Paused
)

// Info is what is known of the stream once it is open.
type Info struct {
	Known    bool
	Duration time.Duration // 0 = unknown
	Seekable bool
}

// Errors.
var (
	ErrNothing = errors.New("player: nothing in it can be played")
	ErrPart    = errors.New("player: a part of it can't be played")
	ErrClosed  = errors.New("player: closed")
	ErrStopped = errors.New("player: stopped")
)

// Player is the element. It is silent until Play.
type Player struct {
	cfg   Config
	audio lane
	video lane

	control sync.Mutex // one of Play, Pause, Stop, Seek and Close at a time
	stop    func()     // of the clock; may be nil
	closed  bool

	mu       sync.Mutex // of what follows, which the clock and the reading goroutine change; short
	state    State
	ticking  bool
	run      *run          // what is open; nil while stopped
	at       time.Duration // what has been played
	waiting  bool          // for Ahead
	ticked   time.Time     // when something could be sent last
	starved  uint64        // ticks
	released sync.WaitGroup
	frames   atomic.Uint64
	keyless  atomic.Bool // somebody needs a key picture
}

// New makes a player.
func New(cfg Config) (*Player, error) {
	if cfg.Open == nil || cfg.Clock == nil {
		return nil, errors.New("player: needs something to play, and a clock")
	}
	cfg.Ahead = min(cfg.Ahead, 2500*time.Millisecond)
	p := &Player{cfg: cfg}
	p.audio.init(media.Audio, cfg.Registry, nil)
	p.video.init(media.Video, cfg.Registry, p.asked)
	return p, nil
}

// asked notes what those who see ask for. They may do so while a tick sends.
func (p *Player) asked(fb media.Feedback) {
	if fb.Kind == media.KeyFrame {
		p.keyless.Store(true)
	}
}

// Play begins, or goes on after Pause. While it plays it does nothing.
func (p *Player) Play() error {
	p.control.Lock()
	defer p.control.Unlock()
	if err := p.open(); err != nil {
		return err
	}
	if p.become(Playing) {
		p.stop = p.cfg.Clock.While(p.tick)
	}
	return nil
}

// Pause stands still; before Play it makes everything ready.
func (p *Player) Pause() error {
	p.control.Lock()
	defer p.control.Unlock()
	if err := p.open(); err != nil {
		return err
	}
	p.become(Paused)
	p.rest()
	return nil
}

// Stop ends playing; the next Play begins anew.
func (p *Player) Stop() {
	p.control.Lock()
	defer p.control.Unlock()
	p.end(Stopped)
}

// open has a stream read, if none is. The control is held.
func (p *Player) open() error {
	if p.closed {
		return ErrClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		return nil
	}
	p.waiting = true
	p.audio.clear()
	p.video.clear()
	p.run = newRun(p)
	if p.at > 0 { // it was sought before
		p.run.wanted = &seeking{p.at, make(chan error, 1)}
	}
	p.released.Go(p.run.read)
	return nil
}

// become changes the state and tells. It reports whether the clock must begin to tick.
func (p *Player) become(s State) (begin bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil { // it ended, or failed, meanwhile
		return false
	}
	resumes := p.state == Paused && s == Playing
	p.change(s)
	if p.run.live != nil {
		p.run.live.Pause(s == Paused)
	}
	if resumes {
		p.run.resume()
	}
	begin = s == Playing && !p.ticking
	p.ticking = p.ticking || begin
	return begin
}

// change tells of another state; the lock is held, so that it is told in order.
func (p *Player) change(s State) {
	if p.state != s {
		p.state = s
		if p.cfg.Changed != nil {
			p.cfg.Changed(s)
		}
	}
}

func (p *Player) post(n media.Notice) {
	if p.cfg.Post != nil {
		p.cfg.Post(n)
	}
}

// end closes what is open. The control is held.
func (p *Player) end(s State) {
	p.mu.Lock()
	run := p.run
	p.run = nil
	p.at = 0
	p.change(s)
	p.mu.Unlock()
	p.rest()
	if run != nil {
		run.close()
	}
	p.released.Wait()
}

// rest stops the clock. The control is held.
func (p *Player) rest() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	p.mu.Lock()
	p.ticking = false
	p.mu.Unlock()
}

// Position is what has been played.
func (p *Player) Position() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// Seek goes on from another position; while nothing is played, the next Play begins there. It waits until the stream is open, and
// fails with container.ErrSeek where the position can't be found.
func (p *Player) Seek(ctx context.Context, to time.Duration) error {
	p.control.Lock()
	defer p.control.Unlock()
	p.mu.Lock()
	run := p.run
	if run == nil && !p.closed {
		p.at = max(to, 0)
	}
	p.mu.Unlock()
	if run == nil {
		return nil
	}
	return run.seek(ctx, max(to, 0))
}

// Info is what is known by now.
func (p *Player) Info() Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return Info{}
	}
	return p.run.info
}

// State is the player's now.
func (p *Player) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// tick sends what is due within the next 20 ms. It reports whether there is more to come.
func (p *Player) tick(now time.Time) (more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	run := p.run
	if run == nil || p.state != Playing {
		p.ticking = false
		return false
	}
	ended := run.done
	if !ended && p.hold(run) {
		p.starved++
		return true
	}
	p.pass(now)
	p.at += p.step(run)
	p.send(&p.audio)
	p.send(&p.video)
	if p.keyless.Swap(false) && run.live != nil {
		run.live.Refresh()
	}
	run.more.Broadcast()
	if !ended || p.audio.count > 0 || p.video.count > 0 || p.at < run.until {
		return true
	}
	p.run, p.at, p.ticking = nil, 0, false
	run.cancel()
	p.change(Stopped)
	if run.err != nil {
		p.post(media.Failed{Err: run.err})
	} else {
		p.post(media.Ended{})
	}
	return false
}

// pass has timestamps go on with the time in which nothing was sent, because of a pause, of a stream that is slow, or of a machine that
// is: to those who hear, what comes then is late otherwise, for ever.
func (p *Player) pass(now time.Time) {
	if lost := now.Sub(p.ticked) - media.Tick; !p.ticked.IsZero() && lost >= media.Tick {
		p.audio.pass(lost)
		p.video.pass(lost)
	}
	p.ticked = now
}

// hold reports whether there is too little to go on with.
func (p *Player) hold(run *run) bool {
	ahead := p.ahead(run)
	switch {
	case p.waiting:
		p.waiting = ahead < cmp.Or(p.cfg.Ahead, media.Tick) && !p.audio.full() && !p.video.full()
	case ahead < media.Tick:
		p.waiting = true
	}
	return p.waiting
}

// late is how much more than Ahead a live stream may be ahead: its clock, or what it sent at once at its beginning.
const late = 300 * time.Millisecond

// step is how far a tick goes. Live streams whose clocks are faster are kept up with.
func (p *Player) step(run *run) time.Duration {
	if run.live != nil && p.ahead(run) > p.cfg.Ahead+late {
		return media.Tick + media.Tick/50
	}
	return media.Tick
}

// ahead is how much can be played.
func (p *Player) ahead(run *run) time.Duration {
	if !run.opened {
		return 0
	}
	return run.last - p.at
}

// send sends a lane's frames that are due. The lock is held, and a sink may post, but calls nothing of the player's.
func (p *Player) send(l *lane) {
	for l.count > 0 {
		s := &l.slots[l.head]
		if s.at >= p.at {
			return
		}
		l.send(s)
		p.frames.Add(1)
		l.head = (l.head + 1) % len(l.slots)
		l.count--
		l.bytes -= len(s.data)
	}
}

// Source is the audio, or the video, of the stream.
func (p *Player) Source(pad media.Pad) *media.Source {
	switch pad {
	case media.Pad{}:
		return p.audio.src
	case media.Pad{Kind: media.Video}:
		return p.video.src
	}
	return nil
}

// Sink is nil: a player hears nothing.
func (p *Player) Sink(media.Pad) media.Sink { return nil }

// Stats notes frames sent, and ticks at which there was nothing to send.
func (p *Player) Stats(s *media.Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Note("player.frames", float64(p.frames.Load()))
	s.Note("player.starved", float64(p.starved))
}

// Close ends playing, for good. Nothing is posted but the change of state.
func (p *Player) Close() error {
	p.control.Lock()
	defer p.control.Unlock()
	p.closed = true
	p.end(Stopped)
	p.audio.src.Close()
	p.video.src.Close()
	return nil
}
