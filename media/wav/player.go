package wav

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/g711"
	"github.com/patchbay/patchbay/media/pcm"
)

// PlayerConfig is the Config of a player.
type PlayerConfig struct {
	Clip     *Clip
	Loop     bool // again and again, without a gap
	Clock    *media.Clock
	Registry *media.Registry    // for sinks that take neither PCMU nor PCMA
	Post     func(media.Notice) // is told media.Ended; may be nil
}

// Player is an element that plays a clip. It is silent until Start.
type Player struct {
	cfg    PlayerConfig
	out    *pcm.Out
	at     int // samples
	buf    [pcm.PerFrame]byte
	frames atomic.Uint64
	on     sync.Once

	mu     sync.Mutex
	stop   func()
	closed bool
}

// NewPlayer makes a player.
func NewPlayer(cfg PlayerConfig) (*Player, error) {
	if cfg.Clip == nil || len(cfg.Clip.mu) == 0 || cfg.Clock == nil {
		return nil, errors.New("wav: a player needs a clip with samples, and a clock")
	}
	return &Player{cfg: cfg, out: pcm.NewOut(cfg.Registry)}, nil
}

// Start begins to play. A second time it does nothing.
func (p *Player) Start() {
	p.on.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed {
			p.stop = p.cfg.Clock.While(p.tick)
		}
	})
}

// tick sends 20 ms.
func (p *Player) tick(time.Time) (more bool) {
	law := p.out.Law()
	codes := p.cfg.Clip.mu
	if law == g711.A() {
		codes = p.cfg.Clip.a
	}
	p.out.Send(law, p.next(codes, law.Code(0)), true)
	p.frames.Add(1)
	if p.at < len(codes) {
		return true
	}
	if p.cfg.Post != nil {
		p.cfg.Post(media.Ended{})
	}
	return false
}

// next is the next 20 ms: a piece of the clip where it is whole, else put together.
func (p *Player) next(codes []byte, silence byte) []byte {
	if rest := codes[p.at:]; len(rest) >= pcm.PerFrame {
		p.at += pcm.PerFrame
		p.wrap(len(codes))
		return rest[:pcm.PerFrame]
	}
	for n := 0; n < pcm.PerFrame; {
		if p.at == len(codes) {
			p.buf[n] = silence
			n++
			continue
		}
		m := copy(p.buf[n:], codes[p.at:])
		p.at += m
		n += m
		p.wrap(len(codes))
	}
	return p.buf[:]
}

func (p *Player) wrap(n int) {
	if p.cfg.Loop && p.at == n {
		p.at = 0
	}
}

// Source is the output, for the zero Pad.
func (p *Player) Source(pad media.Pad) *media.Source {
	if pad == (media.Pad{}) {
		return p.out.Source()
	}
	return nil
}

// Sink is nil: a player hears nothing.
func (p *Player) Sink(media.Pad) media.Sink { return nil }

// Stats notes the frames sent.
func (p *Player) Stats(s *media.Snapshot) { s.Note("player.frames", float64(p.frames.Load())) }

// Close ends playing. Ended isn't posted. It must not be called from Post.
func (p *Player) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.stop != nil {
		p.stop()
	}
	p.out.Source().Close()
	return nil
}
