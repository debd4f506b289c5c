package rpc

import (
	"encoding/json"
	"testing"
)

// FuzzWalk compares the reading of parameters with encoding/json: the same members with the same values.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : [1, {"b":"}"}] , "c":"\"" } `, `{"a":1,"a":2}`, `{"\u00e9":null,"":-1.5e3}`, "{\"\xff\":true}", `[]`, `{"a":tru}`, `{"a":{}}{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = trim(raw)
		if len(raw) == 0 || raw[0] != '{' || checkJSON(raw) != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%q passes, but %v", raw, err)
		}
		got := map[string]string{}
		for w := members(raw); w.next(); {
			got[string(w.key)] = string(w.val)
			if len(w.val) > 0 && w.val[0] == '[' {
				checkItems(t, w.val)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%q has members %q, want %q", raw, got, want)
		}
		for key, val := range want {
			if got[key] != string(val) {
				t.Fatalf("%q: member %q is %q, want %q", raw, key, got[key], val)
			}
		}
	})
}

func checkItems(t *testing.T, raw []byte) {
	var want []json.RawMessage
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	n := 0
	for w := items(raw); w.next(); n++ {
		if n >= len(want) || string(want[n]) != string(w.val) {
			t.Fatalf("%q: item %d is %q", raw, n, w.val)
		}
	}
	if n != len(want) {
		t.Fatalf("%q has %d items, want %d", raw, n, len(want))
	}
}

func TestDepth(t *testing.T) {
	deep := func(n int) []byte {
		b := []byte(`{"x":"[[[","a":`)
		for range n - 1 {
			b = append(b, '[')
		}
		for range n - 1 {
			b = append(b, ']')
		}
		return append(b, '}')
	}
	if err := checkJSON(deep(maxDepth)); err != nil {
		t.Errorf("%d deep: %v", maxDepth, err)
	}
	if err := checkJSON(deep(maxDepth + 1)); err != errDepth {
		t.Errorf("%d deep: %v, want %v", maxDepth+1, err, errDepth)
	}
}
