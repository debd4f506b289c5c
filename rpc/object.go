package rpc

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Object is something that a client made, or that the program put there: a node of the tree of objects, with an id.
type Object struct {
	space   *Space
	entry   *entry
	id      string
	tenant  string
	shared  bool // every tenant sees it, no client releases it
	parent  *Object
	created time.Time
	number  uint64 // in order of making
	value   any    // of entry.of; nil until it is made

	announced bool // the watcher knows it

	maker   *session              // who asked for it, if a client did
	most    int                   // objects that the maker's tenant may have, 0 = the space's bound
	holders map[*session]struct{} // sessions that keep it alive; guarded by space.mu
	alone   bool                  // its value was told so last; of the space's goroutine

	children []*Object // oldest first; guarded by space.mu

	// holds counts calls that use the object, and children that aren't closed yet. released is set with the lock
	// of space.mu held; whoever brings a released object's count to zero closes it.
	holds atomic.Int64

	own    notes
	theirs struct { // of an object that is everybody's: what each tenant has written on it
		mu sync.Mutex
		by map[string]*notes
	}

	events events
}

const released = int64(1) << 62

// ID is the object's: <uuid>_namespace.Class, behind its parent's id and a slash.
func (o *Object) ID() string { return o.id }

// Space is where the object is.
func (o *Object) Space() *Space { return o.space }

// Class is what the object was made as.
func (o *Object) Class() *Class { return o.entry.class }

// Tenant is whose object it is, "" if it is everybody's.
func (o *Object) Tenant() string { return o.tenant }

// Value is the Go value behind the object. It may be closed at any time unless the caller is in an operation on it.
func (o *Object) Value() any { return o.value }

// Parent is the owner, nil for the root of a tree.
func (o *Object) Parent() *Object { return o.parent }

// Root is the topmost owner: the pipeline of a media object, itself for a pipeline.
func (o *Object) Root() *Object {
	for o.parent != nil {
		o = o.parent
	}
	return o
}

// Children are the objects that this one owns, oldest first.
func (o *Object) Children() []*Object {
	o.space.mu.RLock()
	defer o.space.mu.RUnlock()
	return slices.Clone(o.children)
}

// Created is when the object was made.
func (o *Object) Created() time.Time { return o.created }

// enter holds the object open for a call. false: it is released.
func (o *Object) enter() bool {
	for {
		n := o.holds.Load()
		if n&released != 0 {
			return false
		}
		if o.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave ends what enter began. The last to leave a released object closes it.
func (o *Object) leave() {
	if o.holds.Add(-1) == released {
		o.space.finish(o)
	}
}

// condemn marks the object released. true: nothing holds it, the caller closes it.
func (o *Object) condemn() bool { return o.holds.Or(released) == 0 }
