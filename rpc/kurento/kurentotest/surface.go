package kurentotest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// Client reaches a server. Its errors are *rpc.Error, as clients see them.
type Client interface {
	Create(class string, params map[string]any) (id string, err error)
	Invoke(object, op string, params map[string]any) (json.RawMessage, error)
	Describe(object string) (rpc.Description, error)
	Subscribe(object, event string) (subscription string, err error)
	Release(object string) error
	// Events are those that came since the last time.
	Events() []rpc.Event
}

// Config of a check.
type Config struct {
	Table *Table
	// Missing are the classes that can't be created, with what the server says of each; code NotSupported.
	Missing map[string]string
	// Values are legal ones for Class.parameter or Class.property, where one of the type isn't legal as such.
	Values map[string]any
}

// Surface checks all classes of the table.
func Surface(t *testing.T, cfg Config, client Client) {
	s := &surface{cfg.Table, cfg, client}
	names := slices.Sorted(maps.Keys(s.Classes))
	for _, name := range names {
		t.Run(name, func(t *testing.T) { s.class(t, name) })
	}
	for name := range cfg.Missing {
		if _, ok := s.Classes[name]; !ok {
			t.Errorf("%s is said to be missing: it is no class", name)
		}
	}
}

type surface struct {
	*Table
	cfg    Config
	client Client
}

func (s *surface) class(t *testing.T, name string) {
	k := s.Classes[name]
	defer s.events(t)
	if k.Abstract {
		for _, n := range []string{name, k.Type} {
			_, err := s.client.Create(n, nil)
			wantCode(t, "create "+n, err, rpc.TypeNotAvailable)
		}
		if name == "ServerManager" {
			s.object(t, name, "manager_ServerManager")
		}
		return
	}
	if why, ok := s.cfg.Missing[name]; ok {
		for _, n := range []string{name, k.Type} {
			_, err := s.client.Create(n, s.params(t, name))
			if wantCode(t, "create "+n, err, rpc.NotSupported); rpc.Outside(err).Message != why {
				t.Errorf("create %s says %q, want %q", n, rpc.Outside(err).Message, why)
			}
		}
		s.constructor(t, name)
		return
	}
	for _, n := range []string{name, k.Type} {
		id := s.create(t, n)
		if err := s.checkID(name, quoted(id)); err != nil || !strings.HasSuffix(id, "_"+k.Type) {
			t.Errorf("create %s: id %s: %v", n, id, err)
		}
		s.object(t, name, id)
		if err := s.client.Release(id); err != nil {
			t.Errorf("release: %v", err)
		}
		_, err := s.client.Describe(id)
		wantCode(t, "describe after release", err, rpc.ObjectNotFound)
	}
	s.constructor(t, name)
}

// object checks one of a class.
func (s *surface) object(t *testing.T, name, id string) {
	k := s.Classes[name]
	d, err := s.client.Describe(id)
	if err != nil || d.Type != name || d.QualifiedType != k.Type || !slices.Equal(d.Hierarchy, k.Hierarchy) {
		t.Errorf("describe: %s %s %q, %v", d.Type, d.QualifiedType, d.Hierarchy, err)
	}
	for _, c := range s.lineage(name) {
		for _, p := range c.Properties {
			s.property(t, name, bare(c.Type), id, p)
		}
		for _, m := range c.Methods {
			s.wrongParams(t, bare(c.Type)+"."+m.Name, m.Params, func(params map[string]any) error {
				_, err := s.client.Invoke(id, m.Name, params)
				return err
			})
		}
		for _, e := range c.Events {
			if sub, err := s.client.Subscribe(id, e); err != nil || sub == "" {
				t.Errorf("subscribe to %s: %q, %v", e, sub, err)
			}
		}
	}
	_, err = s.client.Subscribe(id, "MadeUp")
	wantCode(t, "subscribe to MadeUp", err, rpc.EventNotSupported)
	_, err = s.client.Invoke(id, "madeUp", nil)
	wantCode(t, "invoke madeUp", err, rpc.UnknownOperation)
	if s.is(name, "MediaElement") { // so that events come
		for _, op := range []string{"connect", "disconnect"} {
			if _, err := s.client.Invoke(id, op, map[string]any{"sink": id}); err != nil {
				t.Errorf("%s: %v", op, err)
			}
		}
	}
}

func (s *surface) property(t *testing.T, name, class, id string, p prop) {
	member := class + "." + p.Name
	accessor := strings.ToUpper(p.Name[:1]) + p.Name[1:]
	get := func() json.RawMessage {
		raw, err := s.client.Invoke(id, "get"+accessor, nil)
		if err != nil {
			t.Errorf("get %s: %v", member, err)
			return nil
		}
		rootless := name == "ServerManager" || name == "MediaPipeline" && p.Name == "parent"
		if string(raw) == "null" && rootless && (p.Name == "parent" || p.Name == "mediaPipeline") {
			return raw
		}
		if err := s.Check(p.Type, raw); err != nil {
			t.Errorf("get %s: %v", member, err)
		}
		return raw
	}
	get()
	value := s.value(t, member, p.Type)
	_, err := s.client.Invoke(id, "set"+accessor, map[string]any{p.Name: value})
	if p.ReadOnly || p.Final {
		wantCode(t, "set "+member, err, rpc.UnknownOperation)
		return
	}
	if err != nil {
		t.Errorf("set %s to %v: %v", member, value, err)
	} else if got := get(); !holds(got, value) {
		t.Errorf("%s is %s after it was set to %v", member, got, value)
	}
	s.wrongParams(t, "set of "+member, []param{{Name: p.Name, Type: p.Type}}, func(params map[string]any) error {
		_, err := s.client.Invoke(id, "set"+accessor, params)
		return err
	})
}

func (s *surface) constructor(t *testing.T, name string) {
	s.wrongParams(t, name+".new", s.Classes[name].Constructor, func(params map[string]any) error {
		id, err := s.client.Create(name, params)
		if err == nil {
			err = fmt.Errorf("made %s", id)
		}
		return err
	})
}

// wrongParams calls with each parameter missing and of a wrong kind.
func (s *surface) wrongParams(t *testing.T, member string, params []param, call func(map[string]any) error) {
	all := map[string]any{}
	class, _, _ := strings.Cut(strings.TrimPrefix(member, "set of "), ".")
	for _, p := range params {
		all[p.Name] = s.value(t, class+"."+p.Name, p.Type)
	}
	for _, p := range params {
		with := maps.Clone(all)
		delete(with, p.Name)
		if !p.Optional {
			wantCode(t, member+" without "+p.Name, call(with), rpc.BadParam)
		}
		with[p.Name] = s.wrong(p.Type)
		err := call(with)
		if code := rpc.Outside(err).Code; err == nil || code != rpc.BadParam && code != rpc.Unexpected {
			t.Errorf("%s with %s = %v: %v, want %d or %d", member, p.Name, with[p.Name], err, rpc.BadParam, rpc.Unexpected)
		}
		if s.Classes[p.Type].Type != "" {
			with[p.Name] = "gone_kurento." + p.Type
			wantCode(t, member+" with an unknown "+p.Name, call(with), rpc.ObjectNotFound)
		}
	}
	if len(params) > 0 && !params[0].Optional {
		wantCode(t, member+" without parameters", call(nil), rpc.BadParam)
	}
}

func wantCode(t *testing.T, what string, err error, code rpc.Code) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Code != code {
		t.Errorf("%s: %v, want code %d", what, err, code)
	}
}

// create makes an object of a class, and what it needs.
func (s *surface) create(t *testing.T, class string) string {
	t.Helper()
	id, err := s.client.Create(class, s.params(t, bare(class)))
	if err != nil {
		t.Fatalf("create %s: %v", class, err)
	}
	return id
}

// params are the required ones of a class's constructor.
func (s *surface) params(t *testing.T, class string) map[string]any {
	t.Helper()
	params := map[string]any{}
	for _, p := range s.Classes[class].Constructor {
		if !p.Optional {
			params[p.Name] = s.value(t, class+"."+p.Name, p.Type)
		}
	}
	return params
}

// value is a legal one of a type.
func (s *surface) value(t *testing.T, of, kind string) any {
	t.Helper()
	if v, ok := s.cfg.Values[of]; ok {
		return v
	}
	if item, ok := strings.CutSuffix(kind, "[]"); ok {
		return []any{s.value(t, of, item)}
	}
	if item, ok := strings.CutSuffix(kind, "<>"); ok {
		return map[string]any{"key": s.value(t, of, item)}
	}
	if x := s.ComplexTypes[kind]; x != nil {
		if x.Format == "ENUM" {
			return x.Values[0]
		}
		m := map[string]any{"__module__": "kurento", "__type__": kind}
		for _, f := range s.fields(s.ComplexTypes, kind) {
			m[f.Name] = s.value(t, kind+"."+f.Name, f.Type)
		}
		return m
	}
	switch kind {
	case "String":
		return "x"
	case "boolean":
		return true
	case "int", "int64":
		return float64(1)
	case "float", "double":
		return 0.25
	}
	return s.create(t, map[string]string{"MediaObject": "MediaPipeline", "MediaElement": "PassThrough", "Hub": "Dispatcher"}[kind]+
		map[bool]string{true: kind}[!s.Classes[kind].Abstract])
}

// holds reports whether what came back has what was set.
func holds(raw json.RawMessage, value any) bool {
	var got any
	if json.Unmarshal(raw, &got) != nil {
		return false
	}
	want, ok := value.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, value)
	}
	m, ok := got.(map[string]any)
	for name, v := range want {
		ok = ok && reflect.DeepEqual(m[name], v)
	}
	return ok
}

// events checks what came.
func (s *surface) events(t *testing.T) {
	for _, ev := range s.client.Events() {
		if err := s.CheckEvent(ev.Type, ev.Object, ev.Data); err != nil {
			t.Error(err)
		}
	}
}

func quoted(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}
