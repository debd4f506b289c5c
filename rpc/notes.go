package rpc

import (
	"context"
	"slices"
	"sync"
)

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

// notes are what applications wrote on an object. The zero value is an object as it was made.
type notes struct {
	mu       sync.Mutex
	name     string
	tags     []Tag
	sendTags bool
}

// notesOf are the object's as a tenant has written and reads them: on what is everybody's, none sees another's.
func (o *Object) notesOf(tenant string) *notes {
	if !o.shared || tenant == "" {
		return &o.own
	}
	o.theirs.mu.Lock()
	defer o.theirs.mu.Unlock()
	if o.theirs.by == nil {
		o.theirs.by = map[string]*notes{}
	}
	n := o.theirs.by[tenant]
	if n == nil {
		n = &notes{}
		o.theirs.by[tenant] = n
	}
	return n
}

// notesFor are those of the client whose request is served.
func (o *Object) notesFor(ctx context.Context) *notes {
	s, _ := ScopeOf(ctx)
	return o.notesOf(s.tenant)
}

// Name is what the application calls the object, its id at first. Of an object that is everybody's it is what the program calls
// it, as is the case with all that follows: tenants have names and tags of their own for those.
func (o *Object) Name() string { return o.named(&o.own) }

func (o *Object) named(n *notes) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.name == "" {
		return o.id
	}
	return n.name
}

// SetName names the object; "" gives it its id for a name again.
func (o *Object) SetName(name string) error { return o.own.setName(name) }

// SendTagsInEvents says whether events of the object carry its tags.
func (o *Object) SendTagsInEvents() bool { return o.own.sends() }

// SetSendTagsInEvents says whether events of the object are to carry its tags.
func (o *Object) SetSendTagsInEvents(on bool) { o.own.send(on) }

// AddTag sets a tag, over one of that key.
func (o *Object) AddTag(key, value string) error { return o.own.add(key, value) }

// RemoveTag takes a tag away, if it is there.
func (o *Object) RemoveTag(key string) { o.own.remove(key) }

// Tag gives a tag's value, TagNotFound without one.
func (o *Object) Tag(key string) (string, error) { return o.own.tag(key) }

// Tags are all tags, in the order in which they were added.
func (o *Object) Tags() []Tag { return o.own.all() }

// The members of the class MediaObject.

func (o *Object) clientName(ctx context.Context) string { return o.named(o.notesFor(ctx)) }

func (o *Object) setClientName(ctx context.Context, name string) error {
	return o.notesFor(ctx).setName(name)
}

func (o *Object) clientSends(ctx context.Context) bool        { return o.notesFor(ctx).sends() }
func (o *Object) setClientSends(ctx context.Context, on bool) { o.notesFor(ctx).send(on) }

func (o *Object) addClientTag(ctx context.Context, key, value string) error {
	return o.notesFor(ctx).add(key, value)
}

func (o *Object) removeClientTag(ctx context.Context, key string) { o.notesFor(ctx).remove(key) }

func (o *Object) clientTag(ctx context.Context, key string) (string, error) {
	return o.notesFor(ctx).tag(key)
}

func (o *Object) clientTags(ctx context.Context) []Tag { return o.notesFor(ctx).all() }

func (n *notes) setName(name string) error {
	if err := bounded("name", name); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.name = name
	return nil
}

func (n *notes) sends() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sendTags
}

func (n *notes) send(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sendTags = on
}

func (n *notes) add(key, value string) error {
	if err := bounded("key", key); err != nil {
		return err
	}
	if err := bounded("value", value); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.tags {
		if n.tags[i].Key == key {
			n.tags[i].Value = value
			return nil
		}
	}
	if len(n.tags) == MaxTags {
		return Errorf(IllegalParam, "Tag '%s' is one more than the %d that an object may have", brief(key), MaxTags)
	}
	n.tags = append(n.tags, Tag{key, value})
	return nil
}

func (n *notes) remove(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tags = slices.DeleteFunc(n.tags, func(t Tag) bool { return t.Key == key })
}

func (n *notes) tag(key string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.tags {
		if t.Key == key {
			return t.Value, nil
		}
	}
	return "", Errorf(TagNotFound, "Tag key '%s' not found", brief(key))
}

func (n *notes) all() []Tag {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.tags)
}

func bounded(what, s string) error {
	if len(s) > MaxText {
		return Errorf(IllegalParam, "'%s' has %d bytes, may have %d", what, len(s), MaxText)
	}
	return nil
}
