package leg

import (
	"errors"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/dtmf"
	"github.com/patchbay/patchbay/media/echo"
	"github.com/patchbay/patchbay/media/pcm"
	"github.com/patchbay/patchbay/media/tone"
	"github.com/patchbay/patchbay/media/wav"
)

// Play lets e speak to the peer from now on, instead of what spoke before, which is closed. The leg owns e from here. An
// element that must be started is.
func (l *Leg) Play(e media.Element) error {
	if err := l.pipe.Add(e); err != nil {
		return err
	}
	l.mu.Lock()
	before := l.playing
	l.playing = e
	l.mu.Unlock()
	if k := e.Sink(media.Pad{}); k != nil {
		l.ep.Source(media.Pad{}).Link(k)
	}
	e.Source(media.Pad{}).Link(l.ep.Sink(media.Pad{}))
	if s, ok := e.(interface{ Start() }); ok {
		s.Start()
	}
	if before != nil {
		return l.pipe.Remove(before)
	}
	return nil
}

// Echo sends the peer's audio back to it, as it comes.
func (l *Leg) Echo() error {
	return l.Play(echo.New(echo.Config{Registry: l.cfg.Media.registry}))
}

// Clip plays c to the peer, once, or again and again. post is told media.Ended on the clock's goroutine; it may be nil.
func (l *Leg) Clip(c *wav.Clip, loop bool, post func(media.Notice)) error {
	p, err := wav.NewPlayer(wav.PlayerConfig{Clip: c, Loop: loop, Clock: l.cfg.Media.clock, Registry: l.cfg.Media.registry, Post: post})
	if err != nil {
		return err
	}
	return l.Play(p)
}

// Tone plays a tone to the peer. post is told media.Ended if the tone ends; it may be nil.
func (l *Leg) Tone(s tone.Sound, post func(media.Notice)) error {
	t, err := tone.New(tone.Config{Sound: s, Clock: l.cfg.Media.clock, Registry: l.cfg.Media.registry, Post: post})
	if err != nil {
		return err
	}
	return l.Play(t)
}

// Silence plays digital silence: packets flow, so that the peer and what is between know where we are.
func (l *Leg) Silence() error {
	return l.Clip(wav.FromSamples(make([]int16, pcm.PerFrame)), true, nil)
}

// ErrNoEvents is a peer that takes no telephone-events.
var ErrNoEvents = errors.New("the peer takes no telephone-events (RFC 4733)")

// Press sends DTMF digits (0-9 * # A-D), each for so long (0 = 100 ms), in place of the audio. done gets one value when
// they are sent.
func (l *Leg) Press(digits string, each time.Duration) (done <-chan struct{}, err error) {
	if !l.agreed().events {
		return nil, ErrNoEvents
	}
	ch := make(chan struct{}, 1)
	over := make(chan struct{}, 1)
	s, err := dtmf.NewSender(dtmf.Config{Clock: l.cfg.Media.clock, Registry: l.cfg.Media.registry, Post: func(media.Notice) { over <- struct{}{} }})
	if err != nil {
		return nil, err
	}
	if err := l.pipe.Add(s); err != nil {
		return nil, err
	}
	restore := l.speak(s.Source(media.Pad{}))
	if err := s.Dial(digits, each); err != nil {
		restore()
		return nil, errors.Join(err, l.pipe.Remove(s))
	}
	l.pressing.Go(func() {
		select {
		case <-over:
		case <-l.quit:
		case <-l.pumped:
		}
		restore()
		_ = l.pipe.Remove(s) // a sender has nothing that could fail to close
		ch <- struct{}{}
	})
	return ch, nil
}

// speak lets src speak to the peer for a while.
func (l *Leg) speak(src *media.Source) (restore func()) {
	l.mu.Lock()
	e := l.playing
	l.mu.Unlock()
	if e != nil {
		return e.Source(media.Pad{}).Override(src)
	}
	k := l.ep.Sink(media.Pad{})
	src.Link(k)
	return func() { src.Unlink(k) }
}
