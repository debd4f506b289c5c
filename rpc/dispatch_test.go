package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

func TestArguments(t *testing.T) {
	r := newRig(t, rpc.Config{})
	for _, c := range []struct{ op, params, want string }{
		{"add", `{"a":1,"b":2}`, `3`},
		{"add", ` { "b" : 2 , "a" : 40 } `, `42`},
		{"add", `{"a":9007199254740993,"b":0}`, `9007199254740993`}, // no detour over a double
		{"add", `{"a":2.9,"b":-1.9}`, `1`},                          // fractions are cut
		{"add", `{"a":true,"b":null}`, `1`},
		{"add", `{"a":1e3,"b":0,"c":{"unknown":[1,2]}}`, `1000`},
		{"add", `{"a":5,"b":1,"a":6}`, `7`}, // the last of two counts
		{"add", `{"\u0061":1,"b":2}`, `3`},
		{"join", `{"list":["x",1,1.50,true,null,"ü\n"]}`, `"x|1|1.50|true||ü\n|"`},
		{"join", `{"list":null}`, `""`},
		{"join", `{"list":[]}`, `""`},
		{"count", `{"map":{"x":1,"y":true,"z":2.5}}`, `4`},
		{"count", `{"map":null}`, `0`},
		{"not", `{"b":0}`, `true`},
		{"not", `{"b":7.5}`, `false`},
		{"not", `{"b":null}`, `true`},
		{"half", `{"f":5}`, `2.5`},
		{"half", `{"f":true}`, `0.5`},
		{"half", `{"f":1e-9}`, `5e-10`},
		{"maybe", ``, `null`},
		{"maybe", `{"s":null}`, `null`},
		{"maybe", `{"s":"\u003cx\u003e \"q\""}`, `"\u003cx\u003e \"q\""`},
		{"grow", `{"stats":{"__type__":"LevelStats","id":"l","timestampMillis":1,"level":2}}`, `"l"`},
		{"grow", `{"stats":{"id":"b","timestampMillis":1}}`, `"base b"`},
		{"whose", `{"object":"manager_ServerManager"}`, `"manager_ServerManager"`},
		{"start", ``, `null`},
		{"start", `{}`, `null`},
		{"getGain", ``, `0.10000000149011612`}, // a float32, widened
	} {
		if got := r.invoke(r.vol, c.op, c.params); got != c.want {
			t.Errorf("%s %s = %s, want %s", c.op, c.params, got, c.want)
		}
	}
}

func TestArgumentsRefused(t *testing.T) {
	r := newRig(t, rpc.Config{})
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	many := "[" + strings.Repeat("1,", 10_000) + "1]"
	for _, c := range []struct {
		code             rpc.Code
		op, params, says string
	}{
		{rpc.BadParam, "add", ``, "'operationParams' is required"},
		{rpc.BadParam, "add", `null`, "'operationParams' is required"},
		{rpc.BadParam, "add", `[1,2]`, "'operationParams' parameter should be a object, not [1,2]"},
		{rpc.BadParam, "add", `{"a":1}`, "'b' parameter should be a integer: it is missing"},
		{rpc.BadParam, "add", `{"a":"1","b":2}`, `'a' parameter should be a integer, not "1"`},
		{rpc.BadParam, "add", `{"a":1e30,"b":2}`, `'a' parameter should be a integer, not 1e30`},
		{rpc.BadParam, "add", `{"a":9223372036854775808,"b":2}`, "'a' parameter should be a integer"},
		{rpc.BadParam, "count", `{"map":{"x":2147483648}}`, "'map' parameter should be a integer, not 2147483648"},
		{rpc.BadParam, "count", `{"map":[]}`, "'map' parameter should be a map"},
		{rpc.BadParam, "not", `{"b":"true"}`, "'b' parameter should be a boolean"},
		{rpc.BadParam, "half", `{"f":1e999}`, "'f' parameter should be a double"},
		{rpc.BadParam, "join", `{"list":"x"}`, "'list' parameter should be a list"},
		{rpc.BadParam, "join", `{"list":[{}]}`, "'list' parameter should be a string"},
		{rpc.BadParam, "join", `{"list":` + many + `}`, "more than 10000 items"},
		{rpc.BadParam, "join", `{"list":` + deep + `}`, "nested too deep"},
		{rpc.BadParam, "join", `{"list":`, "no valid JSON"},
		{rpc.BadParam, "setCaps", `{"caps":{"rate":1}}`, "'caps.codec' parameter should be a string: it is missing"},
		{rpc.BadParam, "setCaps", `{"caps":{"codec":"x","rate":1e39}}`, "'caps.rate' parameter should be a double"},
		{rpc.BadParam, "setCaps", `{"caps":{"codec":"x","kind":"SMELL"}}`, "Invalid value for 'MediaType': 'caps.kind' parameter is \"SMELL\", should be one of AUDIO, VIDEO"},
		{rpc.BadParam, "setCaps", `{"caps":{"codec":"x","frames":{}}}`, "'caps.frames.numerator' parameter should be a integer: it is missing"},
		{rpc.Unexpected, "setCaps", `{"caps":{"codec":"x","__type__":"Fraction"}}`, "register of type \"Fraction\", should be AudioCaps"},
		{rpc.Unexpected, "grow", `{"stats":{"id":"x","__type__":"Fraction"}}`, "is a register of type Fraction, should be a Stats"},
		{rpc.ObjectNotFound, "connect", `{"sink":null}`, "Object '' not found"},
		{rpc.ObjectNotFound, "connect", `{"sink":"nobody"}`, "Object 'nobody' not found"},
		{rpc.ObjectNotFound, "connect", `{"sink":"` + r.pipe.ID() + `"}`, "it is a MediaPipeline, should be a MediaElement"},
		{rpc.NotCommitted, "connect", `{"sink":"newref:3"}`, "newref:3"},
		{rpc.BadParam, "connect", `{"sink":7}`, "'sink' parameter should be a string"},
		{rpc.BadParam, "connect", `{"sink":"` + r.vol.ID() + `","mediaType":"X"}`, "Invalid value for 'MediaType'"},
		{rpc.UnknownOperation, "dance", `{"x":1,"y":2}`, "Method 'dance' with 2 parameters not found"},
		{rpc.UnknownOperation, "setId", `{"id":"x"}`, "Method 'setId' with 1 parameters not found"},
	} {
		if got := r.refused(c.code, r.vol, c.op, c.params); !strings.Contains(got, c.says) {
			t.Errorf("%s %.80s: %q, want %q", c.op, c.params, got, c.says)
		}
	}
}

// Optional parameters of an operation count while each earlier one is there; null is there, and means the default.
func TestOptionalChain(t *testing.T) {
	r := newRig(t, rpc.Config{})
	sink := r.make("toy.Volume", `{"mediaPipeline":"`+r.pipe.ID()+`"}`)
	for _, c := range []struct {
		params string
		want   [3]string
	}{
		{``, [3]string{"", "default", "default"}},
		{`,"mediaType":"VIDEO"`, [3]string{"VIDEO", "default", "default"}},
		{`,"mediaType":"VIDEO","sourceMediaDescription":"s"`, [3]string{"VIDEO", "s", "default"}},
		{`,"sourceMediaDescription":"s","sinkMediaDescription":"t"`, [3]string{"", "default", "default"}},
		{`,"mediaType":"AUDIO","sinkMediaDescription":"t"`, [3]string{"AUDIO", "default", "default"}},
		{`,"mediaType":null,"sourceMediaDescription":"s"`, [3]string{"", "s", "default"}},
	} {
		r.invoke(r.vol, "connect", `{"sink":"`+sink.ID()+`"`+c.params+`}`)
		v := r.vol.Value().(*volume)
		v.mu.Lock()
		got := [3]string{string(v.heard[0].(kind)), v.heard[1].(string), v.heard[2].(string)}
		v.mu.Unlock()
		if got != c.want {
			t.Errorf("connect %s: %q, want %q", c.params, got, c.want)
		}
	}
	if got, want := r.invoke(r.vol, "getSinks", ""), `"`+sink.ID()+`"`; !strings.Contains(got, want) {
		t.Errorf("getSinks = %s, want %s in it", got, want)
	}
}

func TestRegisters(t *testing.T) {
	r := newRig(t, rpc.Config{})
	r.invoke(r.vol, "setCaps", `{"caps":{"codec":8,"frames":{"numerator":30},"tags":null,"extra":1,"__module__":"kurento","__type__":"AudioCaps"}}`)
	want := `{"codec":"8","rate":0.03999999910593033,"frames":{"numerator":30,"denominator":1,"__module__":"kurento","__type__":"Fraction"},` +
		`"tags":[],"kind":"AUDIO","__module__":"kurento","__type__":"AudioCaps"}`
	if got := r.invoke(r.vol, "getCaps", ""); got != want {
		t.Errorf("getCaps = %s\nwant      %s", got, want)
	}
	r.invoke(r.vol, "setCaps", `{"caps":{"codec":"x","rate":null,"__type__":null}}`)
	if got := r.invoke(r.vol, "getCaps", ""); strings.Contains(got, "frames") || !strings.Contains(got, `"rate":0.0399`) {
		t.Errorf("getCaps = %s: wants no frames, and the default rate", got)
	}
	want = `{"base":{"id":"base","timestampMillis":1,"__module__":"kurento","__type__":"Stats"},` +
		`"level":{"id":"level","timestampMillis":5000000000,"level":0.5,"__module__":"toy","__type__":"LevelStats"}}`
	if got := r.invoke(r.vol, "getStats", ""); got != want {
		t.Errorf("getStats = %s\nwant       %s", got, want)
	}
}

func TestProperties(t *testing.T) {
	r := newRig(t, rpc.Config{})
	ctx := context.Background()
	if err := r.a.Set(ctx, r.vol.ID(), "gain", []byte(`2.5`)); err != nil {
		t.Fatal(err)
	}
	if got, err := r.a.Get(ctx, r.vol.ID(), "gain"); err != nil || string(got) != "2.5" {
		t.Errorf("gain = %s, %v", got, err)
	}
	r.code(rpc.IllegalParam, "gain 11", r.a.Set(ctx, r.vol.ID(), "gain", []byte(`11`)))
	r.code(rpc.BadParam, "gain x", r.a.Set(ctx, r.vol.ID(), "gain", []byte(`"x"`)))
	r.code(rpc.BadParam, "smuggled", r.a.Set(ctx, r.vol.ID(), "gain", []byte(`1},"x":{`)))
	r.code(rpc.UnknownOperation, "id", r.a.Set(ctx, r.vol.ID(), "id", []byte(`"x"`)))
	_, err := r.a.Get(ctx, r.vol.ID(), "colour")
	r.code(rpc.UnknownOperation, "colour", err)
	_, err = r.a.Get(ctx, r.vol.ID(), "")
	r.code(rpc.UnknownOperation, "empty", err)
	for prop, want := range map[string]string{
		"id": r.vol.ID(), "name": r.vol.ID(), "parent": r.pipe.ID(), "mediaPipeline": r.pipe.ID(),
	} {
		if got, err := r.a.Get(ctx, r.vol.ID(), prop); err != nil || string(got) != `"`+want+`"` {
			t.Errorf("%s = %s, %v, want %s", prop, got, err, want)
		}
	}
	if got, _ := r.a.Get(ctx, r.pipe.ID(), "parent"); string(got) != "null" {
		t.Errorf("a pipeline's parent is %s", got)
	}
	if got, _ := r.a.Get(ctx, r.pipe.ID(), "children"); string(got) != `["`+r.vol.ID()+`"]` {
		t.Errorf("a pipeline's children are %s", got)
	}
}

// What goes wrong inside says nothing outside, and something in the log.
func TestInnerErrors(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, rpc.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for op, secret := range map[string]string{"explode": "secret of the house", "fail": "hunter2", "wrong": "SMELL"} {
		log.Reset()
		if got := r.refused(rpc.Internal, r.vol, op, ""); got != "Internal error" {
			t.Errorf("%s says %q outside", op, got)
		}
		if !strings.Contains(log.String(), secret) {
			t.Errorf("%s: log doesn't say %q: %s", op, secret, log.String())
		}
	}
	_, err := r.a.New(context.Background(), "Volume", []byte(`{"mediaPipeline":"`+r.pipe.ID()+`","gain":13}`))
	if got := r.code(rpc.Internal, "gain 13", err); got != "Internal error" {
		t.Errorf("constructor says %q outside", got)
	}
	if got := r.refused(rpc.NotSupported, r.vol, "busy", ""); got != "device is busy" {
		t.Errorf("busy says %q", got)
	}
	if got := r.invoke(r.vol, "add", `{"a":1,"b":1}`); got != "2" {
		t.Errorf("after a panic 1+1 is %s", got)
	}
}

func TestErrorWire(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{rpc.Errorf(rpc.ObjectNotFound, "Object 'x' not found"), `{"code":40101,"message":"Object 'x' not found","data":{"type":"MEDIA_OBJECT_NOT_FOUND"}}`},
		{rpc.Errorf(rpc.UnknownMethod, "Method not found."), `{"code":-32601,"message":"Method not found."}`},
		{rpc.Errorf(rpc.AnswerProcessed, "x"), `{"code":40210,"message":"x","data":{"type":"SDP_END_POINT_ANSWER_ALREADY_PROCCESED"}}`},
		{context.Canceled, `{"code":-32603,"message":"Internal error"}`},
	} {
		b, err := json.Marshal(rpc.Outside(c.err).Wire())
		if err != nil || string(b) != c.want {
			t.Errorf("%v: %s, %v, want %s", c.err, b, err, c.want)
		}
	}
	seen := map[string]rpc.Code{}
	for code := rpc.Code(40000); code < 41000; code++ {
		name := code.String()
		if name == "" {
			continue
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%d and %d are both %s", code, other, name)
		}
		seen[name] = code
	}
	if len(seen) != 36 {
		t.Errorf("%d codes have names, want the 36 of the table", len(seen))
	}
}
