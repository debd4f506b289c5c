package rpc

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
)

// Release ends an object and all that it owns. None of them can be found when it returns. Each is closed (an element by
// its pipeline, others by Close) at once, or, while a call on it is running, when the last such call has returned;
// children before their parent. Releasing twice is as good as once.
func (s *Space) Release(o *Object) {
	s.mu.Lock()
	ready := s.remove(o, nil)
	s.mu.Unlock()
	for _, r := range ready {
		s.finish(r)
	}
}

// remove takes a tree out of the space, if it is there, and adds what can be closed at once; s.mu is held.
func (s *Space) remove(o *Object, ready []*Object) []*Object {
	if s.objects[o.id] != o {
		return ready
	}
	if p := o.parent; p != nil {
		if i := slices.Index(p.children, o); i >= 0 {
			p.children = slices.Delete(p.children, i, i+1)
		}
	}
	return s.condemn(o, ready)
}

// condemn marks a tree released, the youngest and deepest first, and returns what can be closed at once.
func (s *Space) condemn(o *Object, ready []*Object) []*Object {
	for _, c := range slices.Backward(o.children) {
		ready = s.condemn(c, ready)
	}
	o.children = nil
	delete(s.objects, o.id)
	for holder := range o.holders {
		delete(holder.holds, o)
	}
	o.holders = nil
	if s.counts[o.tenant]--; s.counts[o.tenant] == 0 {
		delete(s.counts, o.tenant)
	}
	if o.condemn() {
		ready = append(ready, o)
	}
	return ready
}

// finish closes a released object that nothing holds any more.
func (s *Space) finish(o *Object) {
	s.protect("release", o.id, func() error {
		if p, e := o.membership(); p != nil {
			return p.Remove(e)
		}
		return closeValue(o.value)
	})
	s.mu.Lock()
	for _, key := range o.keys() {
		delete(s.values, key)
	}
	s.mu.Unlock()
	if o.announced {
		s.cfg.Watch.Released(o)
	}
	for _, who := range o.events.close() {
		if by, ok := who.(*session); ok {
			by.forget(o)
		}
	}
	if o.parent != nil {
		o.parent.leave()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live--; s.live == 0 && s.closed {
		close(s.still)
	}
}

func closeValue(v any) error {
	if c, ok := v.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// protect runs code of a class: a panic or an error becomes a line in the log.
func (s *Space) protect(what, id string, f func() error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("class panicked", "during", what, "object", id, "err", r, "stack", string(debug.Stack()))
		}
	}()
	if err := f(); err != nil {
		s.log.Warn("object closed with an error", "during", what, "object", id, "err", err)
	}
}

// Close refuses new objects, releases all there are and waits until they are closed, or until ctx ends. It may be called
// again.
func (s *Space) Close(ctx context.Context) error {
	s.mu.Lock()
	var roots []*Object
	if !s.closed {
		s.closed = true
		close(s.stop)
		if s.live == 0 {
			close(s.still)
		}
	}
	for _, o := range s.objects {
		if o.parent == nil {
			roots = append(roots, o)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(roots, func(a, b *Object) int { return cmp.Compare(b.number, a.number) })
	for _, o := range roots {
		s.Release(o)
	}
	defer func() { <-s.told }()
	select {
	case <-s.still:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close objects: calls are still running: %w", ctx.Err())
	}
}
