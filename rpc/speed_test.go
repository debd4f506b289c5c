package rpc_test

import (
	"context"
	"testing"

	"github.com/patchbay/patchbay/rpc"
)

func BenchmarkInvoke(b *testing.B) {
	r := newRig(b, rpc.Config{})
	ctx := context.Background()
	for _, c := range []struct{ name, op, params string }{
		{"getter", "getGain", ""},
		{"two numbers", "add", `{"a":1,"b":2}`},
		{"two strings", "addTag", `{"key":"k","value":"v"}`},
		{"object", "connect", `{"sink":"` + r.vol.ID() + `","mediaType":"AUDIO"}`},
		{"register", "setCaps", `{"caps":{"codec":"PCMU","rate":1,"frames":{"numerator":1,"__module__":"kurento","__type__":"Fraction"},"__module__":"kurento","__type__":"AudioCaps"}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			params := []byte(c.params)
			id := r.vol.ID()
			v := r.vol.Value().(*volume)
			for b.Loop() {
				if _, err := r.a.Invoke(ctx, id, c.op, params); err != nil {
					b.Fatal(err)
				}
				v.sinks = v.sinks[:0]
			}
		})
	}
	b.Run("event", func(b *testing.B) {
		b.ReportAllocs()
		if _, err := r.a.Subscribe(r.vol.ID(), "Error", drop{}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			r.vol.Raise(rpc.ErrorRaised{Description: "x", Code: 1, Kind: "INVALID_URI"})
		}
	})
}

type drop struct{}

func (drop) Event(rpc.Event) {}

// A call of a getter and of a small operation allocates little, whoever else is on the machine.
func TestInvokeAllocations(t *testing.T) {
	r := newRig(t, rpc.Config{})
	ctx := context.Background()
	params := []byte(`{"a":1,"b":2}`)
	for op, most := range map[string]float64{"getGain": 6, "add": 14} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := r.a.Invoke(ctx, r.vol.ID(), op, params); err != nil {
				t.Fatal(err)
			}
		})
		if n > most {
			t.Errorf("%s allocates %v times, want at most %v", op, n, most)
		}
	}
}
