package rpc

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Event is something that an object told its subscribers.
type Event struct {
	Object string          // its id
	Type   string          // the event's name
	Data   json.RawMessage // as it goes out in onEvent's data; shared by all subscribers, nobody changes it
	frame  []byte          // the whole message, shared too
}

// Subscriber takes events: a session does. It is told events of one object one at a time, in the order in which they
// were raised. Event queues what it gets, within bounds, and returns; it must not call into the object.
type Subscriber interface{ Event(Event) }

// Bounds of the subscriptions to one object: of all subscribers, and of each.
const (
	MaxSubscriptions    = 16384
	MaxOwnSubscriptions = 256
)

// events are an object's subscriptions. The lock is held while subscribers are told, which is what keeps the order.
type events struct {
	mu   sync.Mutex
	list map[string]*audience
	ids  map[string]subscription
	each map[Subscriber]int
	over bool
}

type subscription struct {
	event string
	who   Subscriber
}

// audience counts each subscriber's subscriptions to one event: however many there are, it is told once.
type audience struct {
	order []listener
	count map[Subscriber]int
}

type listener struct {
	who    Subscriber
	tenant string
	all    bool // of an admin
}

func (e *events) add(event string, who Subscriber, as Scope) (string, error) {
	id := uuid.NewString()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.over:
		return "", errReleased
	case len(e.ids) >= MaxSubscriptions:
		return "", Errorf(NotEnoughResources, "Object has its %d subscriptions already", MaxSubscriptions)
	case e.each[who] >= MaxOwnSubscriptions:
		return "", Errorf(NotEnoughResources, "You have %d subscriptions to the object already", MaxOwnSubscriptions)
	}
	if e.list == nil {
		e.list, e.ids, e.each = map[string]*audience{}, map[string]subscription{}, map[Subscriber]int{}
	}
	a := e.list[event]
	if a == nil {
		a = &audience{count: map[Subscriber]int{}}
		e.list[event] = a
	}
	if a.count[who]++; a.count[who] == 1 {
		a.order = append(a.order, listener{who, as.tenant, as.all})
	}
	e.each[who]++
	e.ids[id] = subscription{event, who}
	return id, nil
}

// remove ends a subscription. One that another subscriber has stays, if owner says whose it must be. It reports whether
// the owner has none left.
func (e *events) remove(id string, owner Subscriber) (none bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.ids[id]; ok && (owner == nil || owner == s.who) {
		e.end(id, s)
	}
	return e.each[owner] == 0
}

// drop ends all subscriptions of one subscriber.
func (e *events) drop(who Subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.each[who] == 0 {
		return
	}
	for id, s := range e.ids {
		if s.who == who {
			e.end(id, s)
		}
	}
}

// end ends a subscription; the lock is held.
func (e *events) end(id string, s subscription) {
	delete(e.ids, id)
	if e.each[s.who]--; e.each[s.who] == 0 {
		delete(e.each, s.who)
	}
	a := e.list[s.event]
	if a.count[s.who]--; a.count[s.who] > 0 {
		return
	}
	delete(a.count, s.who)
	for i, l := range a.order {
		if l.who == s.who {
			a.order = append(a.order[:i:i], a.order[i+1:]...)
			break
		}
	}
	if len(a.order) == 0 {
		delete(e.list, s.event)
	}
}

// close ends all subscriptions, and returns who had some.
func (e *events) close() []Subscriber {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Subscriber
	for who := range e.each {
		out = append(out, who)
	}
	e.over, e.list, e.ids, e.each = true, nil, nil, nil
	return out
}

// Raise tells the object's subscribers of an event: a value of a type that EventType registered and that the class (or
// one it extends) lists. It may be called from any goroutine, but not from a Subscriber, and not on the packet path,
// since it encodes: Post is for that. After the object's release it does nothing. An event that the class doesn't list is
// a mistake of the program: it is logged and goes nowhere.
func (o *Object) Raise(event any) { o.tell(event, time.Now(), "") }

// RaiseFor is Raise for an event that concerns one tenant, on an object that every tenant sees: only those are told who may
// see what the tenant owns. "" is everybody.
func (o *Object) RaiseFor(tenant string, event any) { o.tell(event, time.Now(), tenant) }

// Post is Raise for the packet path: it never blocks, and the subscribers are told soon, by the space's own goroutine.
// Events of one object that are posted stay in order among themselves. When thousands wait already, the event is lost,
// and the log says so. After the space was closed nothing is told.
func (o *Object) Post(event any) {
	select {
	case o.space.posted <- posting{o, event, time.Now()}:
	default:
		o.space.lost.Add(1)
	}
}

// maxPosted bounds the posted events of a space that wait to be told.
const maxPosted = 4096

type posting struct {
	object *Object
	event  any
	at     time.Time
}

// tellPosted is the space's goroutine.
func (s *Space) tellPosted() {
	defer close(s.told)
	for {
		select {
		case <-s.stop:
			return
		case p := <-s.posted:
			p.object.tell(p.event, p.at, "")
		case <-s.attend.wake:
			s.tellAttended()
		}
		if n := s.lost.Swap(0); n > 0 {
			s.log.Warn("events were lost: too many were posted at once", "lost", n, "most", maxPosted)
		}
	}
}

func (o *Object) tell(event any, at time.Time, tenant string) {
	c := o.space.classes
	s := c.structs[reflect.TypeOf(event)]
	if s == nil || s.typ.form != eventForm || !o.entry.events[s.typ.name] {
		o.space.log.Error("event isn't one of the object's class", "object", o.id, "event", fmt.Sprintf("%T", event))
		return
	}
	o.events.mu.Lock()
	defer o.events.mu.Unlock()
	a := o.events.list[s.typ.name]
	if a == nil {
		return
	}
	var last *notes // whose tags the message has; those of one object are most often the same for all
	var ev Event
	for _, l := range a.order {
		if tenant != "" && !l.all && l.tenant != tenant {
			continue
		}
		if n := o.notesOf(l.tenant); n != last {
			var err error
			if ev, err = o.encodeEvent(s, event, at, n); err != nil {
				o.space.log.Error("event can't be encoded", "object", o.id, "event", s.typ.name, "err", err)
				return
			}
			last = n
		}
		l.who.Event(ev)
	}
}

// encodeEvent writes the whole message, once for all subscribers who have the same tags on the object; its data is a part of it.
func (o *Object) encodeEvent(s *structure, event any, now time.Time, n *notes) (Event, error) {
	e := &encoding{space: o.space, buf: make([]byte, 0, 512)}
	e.raw(`{"jsonrpc":"2.0","method":"onEvent","params":{"value":{"data":`)
	begin := len(e.buf)
	e.raw(`{"source":`)
	e.text(o.id)
	e.raw(`,"timestampMillis":"`)
	e.buf = strconv.AppendInt(e.buf, now.UnixMilli(), 10)
	e.raw(`","tags":`)
	if n.sends() {
		o.encodeTags(e, n)
	} else {
		e.raw("[]")
	}
	e.raw(",")
	if s.typ.typed {
		e.raw(`"type":`)
		e.text(s.typ.name)
		e.raw(",")
	}
	s.encodeFields(e, reflect.ValueOf(event))
	e.buf[len(e.buf)-1] = '}' // the last comma
	end := len(e.buf)
	e.raw(`,"object":`)
	e.text(o.id)
	e.raw(`,"type":`)
	e.text(s.typ.name)
	e.raw("}}}")
	return Event{Object: o.id, Type: s.typ.name, Data: e.buf[begin:end:end], frame: e.buf}, e.err
}

func (o *Object) encodeTags(e *encoding, n *notes) {
	k := o.space.tags
	if k == nil { // the register Tag isn't in this table
		e.raw("[]")
		return
	}
	k.encode(e, reflect.ValueOf(n.all()))
}
