package media

import "slices"

// Interrupt lets by speak to k alone, now and while it lasts, whatever feeds k, whether anything does, and whatever is
// linked to it meanwhile: DTMF to one of several listeners. Where Override replaces a source for all its sinks, this
// replaces all sources for one sink. A later interruption ends an earlier one of the same sink. restore ends this one; it
// may be called more than once. A detached sink isn't interrupted, and a closed source interrupts nothing.
func Interrupt(k Sink, by *Source) (restore func()) {
	alter(func(c *change) {
		in := k.inlet()
		if in.gone || by.closed {
			return
		}
		if in.guest != nil {
			in.dismiss(c, in.guest)
		}
		in.guest = by
		by.visits = append(by.visits, &link{k, in})
		by.rebuild() // it finds its way before it is let in
		in.admit(c, by)
		if in.home != nil {
			in.home.speaker().rebuild()
		}
	})
	return func() { alter(func(c *change) { k.inlet().dismiss(c, by) }) }
}

// settle says whose frames enter the sink unless somebody interrupts.
func (in *Inlet) settle(c *change, s *Source) {
	if in.guest != nil {
		s = in.guest
	}
	in.admit(c, s)
}

// dismiss ends the interruption by a source, if there is one.
func (in *Inlet) dismiss(c *change, by *Source) {
	if in.guest != by || by == nil {
		return
	}
	in.guest = nil
	by.visits = slices.DeleteFunc(slices.Clone(by.visits), func(l *link) bool { return l.in == in })
	var now *Source
	if in.home != nil {
		now = in.home.speaker()
		now.rebuild()
	}
	in.admit(c, now)
	by.rebuild()
}
