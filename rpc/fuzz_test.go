package rpc_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

// FuzzInvoke sends arbitrary documents as parameters. None may end in anything but a valid result or an error that a
// client may see, and a valid document that Go's own decoder gives the same numbers for must give the same sum.
func FuzzInvoke(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":2}`, `{"list":["a",1]}`, `{"map":{"x":1}}`, `{"caps":{"codec":"x","frames":{"numerator":1}}}`, `null`, `[]`, ``, `{`,
		`{"sink":null}`, `{"f":1e400}`, `{"a":-9223372036854775808,"b":0}`, `{"stats":{"__type__":"LevelStats"}}`, `{"\u0061":"\ud800"}`,
		strings.Repeat(`{"a":`, 40), `{"a":1,"b":2}}`, "{\"a\":\"\xff\"}", `{"s":"\\"}`, ` {"a" : 1 , "b" :2 } `, `{"":{}}`,
	} {
		f.Add(s)
	}
	r := newRig(f, rpc.Config{})
	ops := []string{"add", "join", "count", "not", "half", "maybe", "setCaps", "connect", "grow", "whose", "setName", "addTag", "setGain", "getStats"}
	f.Fuzz(func(t *testing.T, params string) {
		if len(params) > 64<<10 {
			return
		}
		ctx := context.Background()
		for _, op := range ops {
			got, err := r.a.Invoke(ctx, r.vol.ID(), op, []byte(params))
			if err != nil {
				if code := rpc.Outside(err).Code; code == rpc.Internal {
					t.Fatalf("%s %q: %v", op, params, err)
				}
				continue
			}
			if !json.Valid(got) {
				t.Fatalf("%s %q = %q", op, params, got)
			}
			if op == "add" {
				checkSum(t, params, got)
			}
		}
		r.vol.Value().(*volume).sinks = nil
		for len(r.vol.Tags()) > 0 {
			r.vol.RemoveTag(r.vol.Tags()[0].Key)
		}
		if o, err := r.a.New(ctx, "Volume", []byte(params)); err == nil {
			r.a.Release(o.ID())
		}
	})
}

func checkSum(t *testing.T, params string, got json.RawMessage) {
	var p map[string]json.RawMessage
	if err := json.Unmarshal([]byte(params), &p); err != nil {
		t.Fatalf("add took %q: %v", params, err)
	}
	var a, b, sum int64
	if json.Unmarshal(p["a"], &a) != nil || json.Unmarshal(p["b"], &b) != nil {
		return // a fraction or a boolean
	}
	if err := json.Unmarshal(got, &sum); err != nil || sum != a+b {
		t.Fatalf("add %q = %s, want %d", params, got, a+b)
	}
}
