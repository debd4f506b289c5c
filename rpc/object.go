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

	mu       sync.Mutex
	name     string
	tags     []Tag
	sendTags bool

	events events
}

const released = int64(1) << 62

// Tag is a note of an application on an object.
type Tag struct {
	Key   string `rpc:"key"`
	Value string `rpc:"value"`
}

// Bounds of what an application may write on one object.
const (
	MaxTags = 256
	MaxText = 16 << 10 // bytes of a name, of a tag's key and of its value
)

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

// Name is what the application calls the object, its id at first.
func (o *Object) Name() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.name == "" {
		return o.id
	}
	return o.name
}

// SetName names the object; "" gives it its id for a name again.
func (o *Object) SetName(name string) error {
	if err := bounded("name", name); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.name = name
	return nil
}

// SendTagsInEvents says whether events of the object carry its tags.
func (o *Object) SendTagsInEvents() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sendTags
}

// SetSendTagsInEvents says whether events of the object are to carry its tags.
func (o *Object) SetSendTagsInEvents(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sendTags = on
}

// AddTag sets a tag, over one of that key.
func (o *Object) AddTag(key, value string) error {
	if err := bounded("key", key); err != nil {
		return err
	}
	if err := bounded("value", value); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.tags {
		if o.tags[i].Key == key {
			o.tags[i].Value = value
			return nil
		}
	}
	if len(o.tags) == MaxTags {
		return Errorf(IllegalParam, "Tag '%s' is one more than the %d that an object may have", brief(key), MaxTags)
	}
	o.tags = append(o.tags, Tag{key, value})
	return nil
}

// RemoveTag takes a tag away, if it is there.
func (o *Object) RemoveTag(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tags = slices.DeleteFunc(o.tags, func(t Tag) bool { return t.Key == key })
}

// Tag gives a tag's value, TagNotFound without one.
func (o *Object) Tag(key string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.tags {
		if t.Key == key {
			return t.Value, nil
		}
	}
	return "", Errorf(TagNotFound, "Tag key '%s' not found", brief(key))
}

// Tags are all tags, in the order in which they were added.
func (o *Object) Tags() []Tag {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.tags)
}

func bounded(what, s string) error {
	if len(s) > MaxText {
		return Errorf(IllegalParam, "'%s' has %d bytes, may have %d", what, len(s), MaxText)
	}
	return nil
}

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
