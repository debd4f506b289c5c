package mediatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// wire is a network in memory. Its descriptions are one line: who, direction, formats.
type wire struct {
	mu   sync.Mutex
	ends []*near
}

// near is an endpoint on a wire, as simple as the rules allow.
type near struct {
	media.Inlet
	w    *wire
	id   int
	src  *media.Source
	own  []*media.Format
	caps atomic.Pointer[media.Caps]
	bad  string // the mistake it makes

	mu     sync.Mutex
	now    deal
	closed bool
}

// deal is an agreement.
type deal struct {
	peer    *near
	dir     sdp.Direction
	formats []*media.Format
}

func (w *wire) new(bad string) *near {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &near{w: w, id: len(w.ends), src: media.NewSource(nil, nil), own: []*media.Format{media.PCMU(), media.PCMA()}, bad: bad}
	w.ends = append(w.ends, e)
	return e
}

func (e *near) Caps() *media.Caps     { return e.caps.Load() }
func (e *near) Stats(*media.Snapshot) {}
func (e *near) Sink(p media.Pad) media.Sink {
	if p == (media.Pad{}) {
		return e
	}
	return nil
}

func (e *near) Source(p media.Pad) *media.Source {
	if p == (media.Pad{}) {
		return e.src
	}
	return nil
}

func (e *near) Push(f *media.Frame) {
	e.mu.Lock()
	d := e.now
	e.mu.Unlock()
	if d.peer != nil && d.dir.Sends() && slices.Contains(d.formats, f.Format) {
		d.peer.receive(e, f)
	}
}

func (e *near) receive(from *near, f *media.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now.peer != from && e.bad != "hears anybody" || !e.now.dir.Receives() || e.closed {
		return
	}
	for _, g := range e.now.formats {
		if g.Same(f.Format) {
			was := f.Format
			f.Format = g
			e.src.Send(f)
			f.Format = was
		}
	}
}

func (e *near) apply(d deal) {
	e.mu.Lock()
	e.now = d
	e.mu.Unlock()
	e.caps.Store(&media.Caps{Formats: d.formats})
	e.src.SetFormats(d.formats...)
	media.Renegotiate(e)
}

func (e *near) Close() error {
	e.mu.Lock()
	e.closed, e.now = true, deal{}
	e.mu.Unlock()
	e.Detach()
	e.src.Close()
	return nil
}

func (e *near) body(dir sdp.Direction, formats []*media.Format) []byte {
	var names []string
	for _, f := range formats {
		names = append(names, f.Codec)
	}
	return fmt.Appendf(nil, "near %d %d %s", e.id, dir, strings.Join(names, ","))
}

// read reads a description, as seen from e.
func (e *near) read(body []byte) (deal, error) {
	var id, dir int
	var names string
	if _, err := fmt.Sscanf(string(body), "near %d %d %s", &id, &dir, &names); err != nil {
		return deal{}, fmt.Errorf("bad description: %w", err)
	}
	d := deal{peer: e.w.ends[id], dir: sdp.Direction(dir).Reverse()}
	for _, f := range e.own {
		if slices.Contains(strings.Split(names, ","), f.Codec) {
			d.formats = append(d.formats, f)
		}
	}
	if len(d.formats) == 0 {
		return deal{}, errors.New("no common format")
	}
	return d, nil
}

func (e *near) Remote(body []byte) (*sdp.Description, error) {
	if _, err := e.read(body); err != nil {
		return nil, err
	}
	return &sdp.Description{}, nil
}

// wanted is those of formats that w allows.
func wanted(w media.Want, formats []*media.Format) (out []*media.Format) {
	for _, f := range formats {
		if w.Formats == nil || (&media.Caps{Formats: w.Formats}).Find(f) != nil {
			out = append(out, f)
		}
	}
	return out
}

func (e *near) Offer(_ context.Context, w media.Want) (media.Offer, error) {
	o := &nearOffer{e: e, before: e.now, had: e.caps.Load() != nil, deals: map[string]deal{}}
	o.body = e.body(w.Direction, wanted(w, e.own))
	if e.bad == "offers at once" && o.had {
		d := e.now
		d.dir = w.Direction
		e.apply(d)
	}
	return o, nil
}

type nearOffer struct {
	e      *near
	body   []byte
	deals  map[string]deal
	before deal
	had    bool
	done   bool
}

func (o *nearOffer) SDP() []byte { return o.body }
func (o *nearOffer) Accept(tag string, answer []byte) error {
	d, err := o.e.read(answer)
	if err == nil {
		o.deals[tag] = d
	}
	return err
}

func (o *nearOffer) Activate(tag string) error {
	d, ok := o.deals[tag]
	if !ok || o.done || o.e.closed {
		return errors.New("no such dialog")
	}
	o.e.apply(d)
	return nil
}

func (o *nearOffer) Commit(tag string) error {
	err := o.Activate(tag)
	o.done = o.done || err == nil
	return err
}

func (o *nearOffer) Rollback() {
	if !o.done && o.had && o.e.bad != "forgets rollback" {
		o.e.apply(o.before)
	}
	o.done = true
}

func (e *near) Answer(_ context.Context, offer []byte, w media.Want) (media.Pending, error) {
	d, err := e.read(offer)
	if err != nil {
		return nil, err
	}
	if d.formats = wanted(w, d.formats); len(d.formats) == 0 {
		return nil, errors.New("no common format")
	}
	d.dir = d.dir.And(w.Direction)
	a := &nearAnswer{e: e, deal: d, body: e.body(d.dir, d.formats)}
	if e.bad == "answers at once" {
		e.apply(d)
	}
	return a, nil
}

type nearAnswer struct {
	e    *near
	deal deal
	body []byte
	done bool
}

func (a *nearAnswer) SDP() []byte { return a.body }
func (a *nearAnswer) Rollback()   { a.done = true }
func (a *nearAnswer) Commit() error {
	if a.done || a.e.closed {
		return errors.New("no such answer")
	}
	a.done = true
	a.e.apply(a.deal)
	return nil
}

func TestGoodEndpointPasses(t *testing.T) {
	w := new(wire)
	Endpoint(t, func() (media.Endpoint, func()) { return w.new(""), nil })
}

func TestBadEndpointsFail(t *testing.T) {
	for check, bad := range map[string]string{
		"nothing is fixed before commit": "answers at once",
		"an answer is rolled back":       "answers at once",
		"a re-offer is rolled back":      "offers at once",
		"several answers to one offer":   "hears anybody",
	} {
		w := new(wire)
		v := &verdict{TB: t}
		done := make(chan struct{})
		for _, c := range endpointChecks {
			if c.name == check {
				go func() {
					defer close(done)
					c.check(&party{tb: v, hurry: true, make: func() (media.Endpoint, func()) { return w.new(bad), nil }})
				}()
				<-done
			}
		}
		if len(v.said) == 0 {
			t.Errorf("%s: an endpoint that %s passed", check, bad)
		}
	}
}
