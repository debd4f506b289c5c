// Package echo is an element that sends back what it receives.
package echo

import "github.com/patchbay/patchbay/media"

// Config of an echo.
type Config struct {
	Registry *media.Registry // for sinks that don't take what comes; may be nil
	Formats  []*media.Format // that it takes, best first; nil = PCMU and PCMA
	Events   bool            // sends DTMF back too
}

// Echo is the element. Frames go back as they come, the same payloads.
type Echo struct{ media.Filter }

// New makes an echo.
func New(cfg Config) *Echo {
	formats := cfg.Formats
	if formats == nil {
		formats = []*media.Format{media.PCMU(), media.PCMA()}
	}
	if cfg.Events {
		formats = append(formats[:len(formats):len(formats)], media.TelephoneEvent(8000), media.TelephoneEvent(48000))
	}
	e := new(Echo)
	e.Init(cfg.Registry, formats...)
	return e
}

// Sink is the input, for the zero Pad.
func (e *Echo) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return e
	}
	return nil
}
