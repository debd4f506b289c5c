// Package hub is the switch of hubs whose ports send what comes into others.
package hub

import (
	"errors"
	"sync"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/passthrough"
)

// Hub is a switch between its ports.
type Hub struct {
	reg *media.Registry

	mu      sync.Mutex
	ports   map[*Port]bool
	speaker *Port // whom all ports hear, those to come too; nil = each has its own, or none
}

// New makes a hub without ports. They convert with reg; nil = they only relay.
func New(reg *media.Registry) *Hub { return &Hub{reg: reg, ports: map[*Port]bool{}} }

// Port is an element that enters a hub: what comes into its sinks goes into the hub, what the hub gives it leaves by its
// sources.
type Port struct {
	hub     *Hub
	in, out *passthrough.PassThrough
}

// ErrStranger says that a port isn't one of the hub's, or not any more.
var ErrStranger = errors.New("hub: not a port of this hub")

// kinds are what a hub switches.
var kinds = [...]media.Pad{{Kind: media.Audio}, {Kind: media.Video}}

// Add makes a port.
func (h *Hub) Add() *Port {
	p := &Port{hub: h, in: passthrough.New(h.reg), out: passthrough.New(h.reg)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports[p] = true
	if h.speaker != nil {
		h.speaker.feed(p)
	}
	return p
}

// Connect sends what comes into one port out of another, instead of what left there before. A port may hear itself.
func (h *Hub) Connect(from, to *Port) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ports[from] || !h.ports[to] {
		return ErrStranger
	}
	from.feed(to)
	return nil
}

// Broadcast sends what comes into one port out of all, itself included; of those to come, too. nil makes all silent.
func (h *Hub) Broadcast(from *Port) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if from != nil && !h.ports[from] {
		return ErrStranger
	}
	was := h.speaker
	h.speaker = from
	for p := range h.ports {
		switch {
		case from != nil:
			from.feed(p)
		case was != nil:
			was.leave(p)
		}
	}
	return nil
}

func (p *Port) feed(to *Port) {
	for _, at := range kinds {
		p.in.Source(at).Link(to.out.Sink(at))
	}
}

func (p *Port) leave(to *Port) {
	for _, at := range kinds {
		p.in.Source(at).Unlink(to.out.Sink(at))
	}
}

// Sink is where media of the pad's kind enters the hub.
func (p *Port) Sink(at media.Pad) media.Sink { return p.in.Sink(at) }

// Source is where what the hub gives the port leaves.
func (p *Port) Source(at media.Pad) *media.Source { return p.out.Source(at) }

// Stats adds nothing.
func (p *Port) Stats(*media.Snapshot) {}

// Close takes the port out of its hub. Who heard it is silent then.
func (p *Port) Close() error {
	p.hub.mu.Lock()
	delete(p.hub.ports, p)
	if p.hub.speaker == p {
		p.hub.speaker = nil
	}
	p.hub.mu.Unlock()
	return errors.Join(p.in.Close(), p.out.Close())
}
