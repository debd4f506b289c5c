package media

import (
	"errors"
	"sync"
)

// Switch sends audio and video that come into one of its ports out of others.
type Switch struct {
	reg *Registry

	mu      sync.Mutex
	ports   map[*Port]*Port // whom each hears; nil = nobody
	speaker *Port           // whom all ports hear, those to come too; nil = each has its own, or none
}

// NewSwitch makes a switch without ports. They convert with reg; nil = they only relay.
func NewSwitch(reg *Registry) *Switch { return &Switch{reg: reg, ports: map[*Port]*Port{}} }

// Port is an element that enters a switch: what comes into its sinks goes into the switch, what that gives it leaves by its
// sources.
type Port struct {
	of      *Switch
	in, out *PassThrough
}

// ErrStranger says that a port isn't one of the switch's, or not any more.
var ErrStranger = errors.New("media: not a port of this switch")

// Add makes a port.
func (h *Switch) Add() *Port {
	p := &Port{of: h, in: NewPassThrough(h.reg), out: NewPassThrough(h.reg)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports[p] = nil
	h.feed(p, h.speaker)
	return p
}

// Connect sends what comes into one port out of another, instead of what left there before. A port may hear itself.
func (h *Switch) Connect(from, to *Port) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.has(from) || !h.has(to) {
		return ErrStranger
	}
	h.feed(to, from)
	return nil
}

// Broadcast sends what comes into one port out of all, itself included; of those to come, too.
func (h *Switch) Broadcast(from *Port) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.has(from) {
		return ErrStranger
	}
	h.speaker = from
	for p := range h.ports {
		h.feed(p, from)
	}
	return nil
}

// Silence sends nothing out of any port, until Connect or Broadcast.
func (h *Switch) Silence() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.speaker = nil
	for p := range h.ports {
		h.feed(p, nil)
	}
}

// Feeder is the port whose media leaves another one, nil if there is none.
func (h *Switch) Feeder(p *Port) *Port {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ports[p]
}

func (h *Switch) has(p *Port) bool {
	_, ok := h.ports[p]
	return ok
}

// feed says whom a port hears, nil for nobody.
func (h *Switch) feed(p, from *Port) {
	was := h.ports[p]
	h.ports[p] = from
	for _, kind := range [...]Kind{Audio, Video} {
		at := Pad{Kind: kind}
		switch {
		case from != nil:
			from.in.Source(at).Link(p.out.Sink(at))
		case was != nil:
			was.in.Source(at).Unlink(p.out.Sink(at))
		}
	}
}

// Sink is where media of the pad's kind enters the switch.
func (p *Port) Sink(at Pad) Sink { return p.in.Sink(at) }

// Source is where what the switch gives the port leaves.
func (p *Port) Source(at Pad) *Source { return p.out.Source(at) }

// Stats adds nothing.
func (p *Port) Stats(*Snapshot) {}

// Close takes the port out of its switch. Who heard it hears nobody then.
func (p *Port) Close() error {
	h := p.of
	h.mu.Lock()
	delete(h.ports, p)
	for other, from := range h.ports {
		if from == p {
			h.ports[other] = nil
		}
	}
	if h.speaker == p {
		h.speaker = nil
	}
	h.mu.Unlock()
	return errors.Join(p.in.Close(), p.out.Close())
}
