package kurento_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// said tells connection events as text: + and - are connected and disconnected.
func said(r *rig, events []map[string]any, names map[string]*rpc.Object) []string {
	r.Helper()
	var out []string
	for _, e := range events {
		sign := map[any]string{"ElementConnected": "+", "ElementDisconnected": "-"}[e["type"]]
		out = append(out, fmt.Sprintf("%s%s>%s %v %v>%v", sign, nameOf(e["source"], names), nameOf(e["sink"], names), e["mediaType"],
			e["sourceMediaDescription"], e["sinkMediaDescription"]))
	}
	return out
}

func nameOf(id any, names map[string]*rpc.Object) string {
	for n, o := range names {
		if o.ID() == id {
			return n
		}
	}
	return fmt.Sprint(id)
}

// connections tells what an operation lists.
func connections(r *rig, o *rpc.Object, op, params string, names map[string]*rpc.Object) string {
	r.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(r.call(o, op, params)), &list); err != nil {
		r.Fatal(err)
	}
	var out []string
	for _, c := range list {
		if c["__module__"] != "kurento" || c["__type__"] != "ElementConnectionData" {
			r.Errorf("markers of %v", c)
		}
		out = append(out, fmt.Sprintf("%s>%s %v %v>%v", nameOf(c["source"], names), nameOf(c["sink"], names), c["type"], c["sourceDescription"], c["sinkDescription"]))
	}
	return strings.Join(out, "; ")
}

func TestConnect(t *testing.T) {
	r := newRig(t, kurentoConfig())
	a, b, c := r.in("PassThrough"), r.in("kurento.PassThrough"), r.in("PassThrough")
	names := map[string]*rpc.Object{"a": a, "b": b, "c": c}
	e := r.listen(a, "ElementConnected", "ElementDisconnected")
	for _, o := range []*rpc.Object{b, c} {
		r.join(e, o, "ElementConnected", "ElementDisconnected")
	}
	step := func(o *rpc.Object, op, params string, want ...string) {
		t.Helper()
		if got := r.call(o, op, params); got != "null" {
			t.Errorf("%s %s = %s, want null", op, params, got)
		}
		if got := said(r, e.take(), names); !slices.Equal(got, want) {
			t.Errorf("%s %s:\n%q, want\n%q", op, params, got, want)
		}
	}
	sink := func(o *rpc.Object, rest string) string { return `{"sink":"` + o.ID() + `"` + rest + `}` }
	lists := func(o *rpc.Object, op, params, want string) {
		t.Helper()
		if got := connections(r, o, op, params, names); got != want {
			t.Errorf("%s %s = %q, want %q", op, params, got, want)
		}
	}

	step(a, "connect", sink(b, ""), "+a>b AUDIO default>default", "+a>b VIDEO default>default", "+a>b DATA default>default")
	lists(a, "getSinkConnections", "", "a>b AUDIO default>default; a>b DATA default>default; a>b VIDEO default>default")
	lists(b, "getSourceConnections", "", "a>b AUDIO default>default; a>b DATA default>default; a>b VIDEO default>default")
	lists(b, "getSourceConnections", `{"mediaType":"VIDEO"}`, "a>b VIDEO default>default")
	lists(b, "getSourceConnections", `{"mediaType":"VIDEO","description":"other"}`, "")
	lists(b, "getSinkConnections", "", "")
	lists(a, "getSourceConnections", "", "")
	// A sink slot has one source, a source fans out.
	step(c, "connect", sink(b, `,"mediaType":"AUDIO"`), "-a>b AUDIO default>default", "+c>b AUDIO default>default")
	step(a, "connect", sink(c, `,"mediaType":"VIDEO"`), "+a>c VIDEO default>default")
	lists(a, "getSinkConnections", `{"mediaType":"VIDEO"}`, "a>b VIDEO default>default; a>c VIDEO default>default")
	step(a, "connect", sink(c, `,"mediaType":"VIDEO"`), "-a>c VIDEO default>default", "+a>c VIDEO default>default")
	// Descriptions count after a kind alone; slots differ by theirs.
	step(a, "connect", sink(c, `,"sourceMediaDescription":"x"`), "+a>c AUDIO default>default", "-a>c VIDEO default>default", "+a>c VIDEO default>default", "+a>c DATA default>default")
	step(a, "connect", sink(c, `,"mediaType":"AUDIO","sourceMediaDescription":"x","sinkMediaDescription":"y"`), "+a>c AUDIO x>y")
	lists(c, "getSourceConnections", `{"mediaType":"AUDIO"}`, "a>c AUDIO default>default; a>c AUDIO x>y")
	lists(c, "getSourceConnections", `{"mediaType":"AUDIO","description":"y"}`, "a>c AUDIO x>y")
	lists(a, "getSinkConnections", `{"mediaType":"AUDIO","description":"x"}`, "a>c AUDIO x>y")
	// Disconnecting never fails, and tells even of what wasn't there.
	step(a, "disconnect", sink(c, `,"mediaType":"AUDIO"`), "-a>c AUDIO default>default")
	step(a, "disconnect", sink(c, `,"mediaType":"AUDIO"`), "-a>c AUDIO default>default")
	step(a, "disconnect", sink(c, ""), "-a>c AUDIO default>default", "-a>c VIDEO default>default", "-a>c DATA default>default")
	lists(c, "getSourceConnections", "", "a>c AUDIO x>y")
	// An element loops back.
	step(c, "connect", sink(c, `,"mediaType":"AUDIO"`), "+c>c AUDIO default>default")
	lists(c, "getSourceConnections", "", "c>c AUDIO default>default; a>c AUDIO x>y")
	// Release ends both directions.
	r.a.Release(c.ID())
	want := []string{"-a>c AUDIO x>y", "-c>b AUDIO default>default", "-c>c AUDIO default>default"}
	got := said(r, e.take(), names)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("release: %q, want %q", got, want)
	}
	lists(a, "getSinkConnections", "", "a>b DATA default>default; a>b VIDEO default>default")
	r.refused(rpc.ObjectNotFound, a, "connect", sink(c, ""))

	other := r.make("MediaPipeline", "{}")
	far := r.make("PassThrough", `{"mediaPipeline":"`+other.ID()+`"}`)
	if got := r.refused(rpc.NotConnected, a, "connect", sink(far, "")); got != "Media elements do not share pipeline" {
		t.Errorf("says %q", got)
	}
	if n := len(e.take()); n != 0 {
		t.Errorf("%d events of a refused connection", n)
	}
	r.refused(rpc.ObjectNotFound, a, "connect", `{"sink":"`+r.pipe.ID()+`"}`)
	r.refused(rpc.BadParam, a, "connect", sink(b, `,"mediaType":"SMELL"`))
	r.refused(rpc.BadParam, a, "connect", `{}`)
}

// The manager tells each tenant of its own objects alone, by ids that are registered when the event leaves.
func TestManagerTells(t *testing.T) {
	r := newRig(t, kurentoConfig())
	manager, err := r.a.Object("manager_ServerManager")
	if err != nil {
		t.Fatal(err)
	}
	mine := r.listen(manager, "ObjectCreated", "ObjectDestroyed")
	theirs := &rig{TB: t, space: r.space, a: r.space.Tenant("b")}
	other := theirs.listen(manager, "ObjectCreated", "ObjectDestroyed")
	e := r.in("PassThrough")
	r.a.Release(r.pipe.ID())
	var got []string
	for _, ev := range mine.take() {
		if ev["type"] != nil || ev["source"] != "manager_ServerManager" {
			t.Errorf("event %v", ev)
		}
		got = append(got, fmt.Sprint(ev["event"], ev["object"], ev["objectId"]))
	}
	want := []string{"ObjectCreated" + e.ID() + "<nil>", "ObjectDestroyed<nil>" + e.ID(), "ObjectDestroyed<nil>" + r.pipe.ID()}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if heard := other.take(); len(heard) != 0 {
		t.Errorf("another tenant was told %v", heard)
	}
	if _, err := theirs.a.New(context.Background(), "MediaPipeline", nil); err != nil {
		t.Fatal(err)
	}
	if n := len(other.take()); n != 1 {
		t.Errorf("a tenant was told %d times of its own pipeline", n)
	}
}
