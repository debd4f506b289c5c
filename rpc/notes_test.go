package rpc_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// kept is a subscriber that keeps what it is told.
type kept struct {
	mu   sync.Mutex
	data []string
}

func (k *kept) Event(ev rpc.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data = append(k.data, string(ev.Data))
}

// What a tenant writes on an object that is everybody's no other tenant reads, be it name, tags or the tags of events.
func TestNotesOfEverybodysObjects(t *testing.T) {
	r := newRig(t, rpc.Config{})
	const id = "manager_ServerManager"
	a, b := r.a, r.space.Tenant("b")
	as := func(s rpc.Scope, op, params string) string {
		t.Helper()
		out, err := s.Invoke(context.Background(), id, op, []byte(params))
		if err != nil {
			return rpc.Outside(err).Message
		}
		return string(out)
	}
	toA, toB := &kept{}, &kept{}
	for who, s := range map[*kept]rpc.Scope{toA: a, toB: b} {
		if _, err := s.Subscribe(id, "Error", who); err != nil {
			t.Fatal(err)
		}
	}
	as(a, "setName", `{"name":"a's"}`)
	as(a, "addTag", `{"key":"k","value":"secret"}`)
	as(a, "setSendTagsInEvents", `{"sendTagsInEvents":true}`)
	as(b, "addTag", `{"key":"other","value":"b's"}`)
	for _, x := range []struct {
		who              rpc.Scope
		op, params, want string
	}{
		{a, "getName", "", `"a's"`}, {b, "getName", "", `"` + id + `"`},
		{a, "getTag", `{"key":"k"}`, `"secret"`}, {b, "getTag", `{"key":"k"}`, "Tag key 'k' not found"},
		{a, "getTags", "", `[{"key":"k","value":"secret"`}, {b, "getTags", "", `[{"key":"other","value":"b's"`},
		{a, "getSendTagsInEvents", "", "true"}, {b, "getSendTagsInEvents", "", "false"},
	} {
		if got := as(x.who, x.op, x.params); !strings.HasPrefix(got, x.want) {
			t.Errorf("%s of tenant %s: %s, expected %s", x.op, x.who.Name(), got, x.want)
		}
	}
	manager, err := a.Object(id)
	if err != nil {
		t.Fatal(err)
	}
	tell := func() { manager.Raise(rpc.ErrorRaised{Description: "d"}) }
	tell()
	as(b, "setSendTagsInEvents", `{"sendTagsInEvents":true}`)
	as(a, "removeTag", `{"key":"k"}`)
	tell()
	for _, x := range []struct {
		who  *kept
		want []string
	}{
		{toA, []string{`"tags":[{"key":"k","value":"secret"`, `"tags":[]`}},
		{toB, []string{`"tags":[]`, `"tags":[{"key":"other","value":"b's"`}},
	} {
		if !slices.EqualFunc(x.who.data, x.want, strings.Contains) {
			t.Errorf("told %q, expected %q", x.who.data, x.want)
		}
	}
	if manager.Name() != id || len(manager.Tags()) != 0 || manager.SendTagsInEvents() {
		t.Errorf("the program's own are %q, %v, %v", manager.Name(), manager.Tags(), manager.SendTagsInEvents())
	}
}
