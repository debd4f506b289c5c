package rpc_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// watched is an object that wants to know whether somebody is there.
type watched struct {
	Element
	mu   sync.Mutex
	told []bool
}

func (w *watched) Attended(there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, there)
}

func (w *watched) was() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.told)
}

// An object is told when the last client that cares for it has lost its connection, and when one is back.
func TestAttended(t *testing.T) {
	f := newFamily()
	class := &rpc.Class{Module: "toy", Name: "Phone", Extends: f.element, Parent: f.pipeline,
		New: rpc.Make(func(self *rpc.Object, p *pipe) *watched { return &watched{Element: Element{self: self}} }, rpc.Arg("mediaPipeline"))}
	f.add(class)
	r := newRigOf(t, f, rpc.Config{})
	s := serveRig(t, r, rpc.ServerConfig{}, rpc.Principal{Name: "reader", Tenant: "a", Roles: rpc.Read})
	one, two, reader := s.dial(t, ""), s.dial(t, ""), s.dial(t, "reader")
	pipe := one.do("create", `"type":"MediaPipeline","sessionId":"one"`)
	phone := one.do("create", `"type":"Phone","constructorParams":{"mediaPipeline":"`+pipe+`"}`)
	o, _ := s.a.Object(phone)
	w := o.Value().(*watched)
	two.do("ref", `"object":"`+phone+`","sessionId":"two"`)
	reader.do("describe", `"object":"`+phone+`"`)
	told := func(want string) {
		t.Helper()
		eventually(t, "it is told "+want+", was told "+w.was(), func() bool { return w.was() == want })
	}
	if !o.Attended() {
		t.Error("not attended at first")
	}
	s.hangUp(one)
	if !o.Attended() || w.was() != "[]" {
		t.Errorf("while the second is there: %s", w.was())
	}
	s.hangUp(two)
	told("[false]")
	if o.Attended() {
		t.Error("attended by nobody")
	}
	one = s.dial(t, "")
	one.ask("connect", `"sessionId":"one"`)
	told("[false true]")
	one.do("unref", `"object":"`+phone+`","sessionId":"one"`)
	told("[false true false]") // two still refers to it, without a connection
	two = s.dial(t, "")
	two.do("ping", `"sessionId":"two"`)
	told("[false true false true]")
	two.do("closeSession", `"sessionId":"two"`)
	eventually(t, "the object is gone", func() bool { _, err := s.a.Object(phone); return err != nil })
	if w.was() != "[false true false true]" {
		t.Errorf("told after its release: %s", w.was())
	}

	placed := &watched{}
	p, err := s.space.Place(rpc.Placement{Class: class, Value: placed, Tenant: "a"})
	if err != nil {
		t.Fatal(err)
	}
	w = placed
	told("[false]") // nobody has taken it
	two.do("ref", `"object":"`+p.ID()+`","sessionId":"two"`)
	told("[false true]")
}
