package call

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// filler makes values at random.
type filler struct{ *rand.Rand }

// fill sets v, and what is below it, to zero or to something that JSON may have to take care of.
func (r filler) fill(v reflect.Value) {
	if r.IntN(4) == 0 {
		v.SetZero()
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*p = json.RawMessage(pick(r, `{}`, `[]`, `"a"`, `0`, `-1.5e3`, `{"a":{"b":[1,20,"x",true,false,null,{}]},"c":"\u00e9\n\"\\\/"}`, `{ "a" : 1 }`, `"<&>"`, `"é"`, `[[1],[]]`, "\"\u2028\""))
		return
	case *time.Time:
		*p = time.Unix(r.Int64N(1e10), pick[int64](r, 0, 5, 120_000, 123_456_789)).In(pick(r, time.UTC, time.FixedZone("", 5400)))
		return
	case *netip.AddrPort:
		*p = netip.MustParseAddrPort(pick(r, "192.0.2.1:5060", "[2001:db8::1]:0", "[fe80::1%eth<0]:9", "[::ffff:192.0.2.1]:65535"))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(pick(r, "a", "+49 30", `"quoted\"`, "<sip:a@b>&", "tab\tnewline\n\x00\x7f", "äöü\u2028\u2029", "broken \xff\xc3", ""))
	case reflect.Int, reflect.Int64:
		v.SetInt(pick[int64](r, 0, 1, -7, 12, math.MaxInt64, math.MinInt64))
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		v.SetUint(pick[uint64](r, 0, 7, 255, math.MaxUint64))
	case reflect.Float64:
		v.SetFloat(pick[float64](r, 0, 1.25, 4.36, -0.001, 1e-7, 1e21, 123456789.125, math.MaxFloat64, 5e-324))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 3))
		for i := range v.Len() {
			r.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			r.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(5) {
			x := reflect.New(v.Type().Elem()).Elem()
			r.fill(x)
			v.SetMapIndex(reflect.ValueOf(pick(r, 1, 2, 3, 10, 21, -4)), x)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			r.fill(v.Field(i))
		}
	default:
		panic(v.Type().String())
	}
}

func pick[T any](r filler, list ...T) T { return list[r.IntN(len(list))] }

// Events are written as encoding/json does, whatever is in them, and read again.
func TestEventAsJSON(t *testing.T) {
	r := filler{rand.New(rand.NewPCG(1, 2))}
	for _, e := range every() {
		for range 300 {
			v := reflect.New(reflect.TypeOf(e.Data)).Elem()
			r.fill(v)
			r.fill(reflect.ValueOf(&e.Call).Elem())
			r.fill(reflect.ValueOf(&e.At).Elem())
			e.Leg, e.Data = r.IntN(3), v.Interface().(Data)
			data, err := json.Marshal(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			want, err := json.Marshal(wire{e.Call, e.Seq, e.At, e.Mono, e.Leg, e.Data.Kind(), data})
			if err != nil {
				t.Fatal(err)
			}
			got, at, err := e.AppendJSON([]byte("before"))
			if err != nil || string(got) != "before"+string(want) {
				t.Fatalf("%s is written as\n%s, %v, expected\n%s", e.Data.Kind(), got, err, want)
			}
			if tail := string(got[at:]); tail != string(data)+"}" {
				t.Fatalf("data of %s are said to be %s", want, tail)
			}
			var again Event
			if err := again.UnmarshalJSON(want); err != nil || again.Data.Kind() != e.Data.Kind() {
				t.Fatalf("%s is read as %s, %v", want, again.Data.Kind(), err)
			}
		}
	}
}

// What JSON has no words for is an error, and nothing is appended.
func TestEventNotJSON(t *testing.T) {
	for name, e := range map[string]Event{
		"no number":           {Data: LegEnd{Quality: &Quality{JitterMS: math.NaN()}}},
		"no JSON":             {Data: Dialog{Dialog: json.RawMessage(`{"a":`)}},
		"no JSON, left out":   {Data: Answer{Dialog: json.RawMessage(`}`)}},
		"more than one value": {Data: Dialog{Dialog: json.RawMessage(`{},{}`)}},
		"a year of 5 digits":  {At: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), Data: Hold{}},
		"no data":             {},
	} {
		if b, _, err := e.AppendJSON([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
}

// What is taken for compact JSON is what encoding/json makes of it.
func FuzzCompact(f *testing.F) {
	for _, s := range []string{`{"a":[1,"b",{"c":null}],"d":"\u00e9"}`, `[]`, `{}`, `0`, `01`, `1.5`, `"<"`, `[1,]`, `{"a":1,}`, `{"a"}`, `"\x"`, `tru`, `[ 1]`, `{"a":1}x`, `"\u12"`, `[[[[]]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := compact(b, 0)
		if !ok {
			return
		}
		if n > len(b) {
			t.Fatalf("%q ends at %d", b, n)
		}
		if w, err := json.Marshal(json.RawMessage(b[:n])); err != nil || !bytes.Equal(w, b[:n]) {
			t.Fatalf("%q is taken for compact; it is %q, %v", b[:n], w, err)
		}
	})
}
