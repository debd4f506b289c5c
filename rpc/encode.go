package rpc

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
)

// encoding is the writing of one result or event.
type encoding struct {
	space *Space // knows the objects' ids; nil where there are none
	buf   []byte
	err   error // the first thing that can't be said
}

func (e *encoding) raw(s string) { e.buf = append(e.buf, s...) }

func (e *encoding) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoding) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, err := json.Marshal(s) // also mends what isn't UTF-8
			if err != nil {
				e.fail(err)
				b = []byte(`""`)
			}
			e.buf = append(e.buf, b...)
			return
		}
	}
	e.buf = append(e.buf, '"')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '"')
}

func encodeString(e *encoding, v reflect.Value) { e.text(v.String()) }

func encodeBool(e *encoding, v reflect.Value) { e.buf = strconv.AppendBool(e.buf, v.Bool()) }

func encodeInt(e *encoding, v reflect.Value) { e.buf = strconv.AppendInt(e.buf, v.Int(), 10) }

// encodeInt32 holds what Java reads as an int to its range: a counter that outgrew it stays at its end.
func encodeInt32(e *encoding, v reflect.Value) {
	e.buf = strconv.AppendInt(e.buf, min(max(v.Int(), math.MinInt32), math.MaxInt32), 10)
}

// encodeFloat writes a float32 by the shortest text of the double that equals it (0.1 is 0.10000000149011612): Java
// tells floats from doubles by that. JSON has neither infinity nor NaN; they are sent as 0, since a missing number
// would lose the whole message.
func encodeFloat(e *encoding, v reflect.Value) {
	f := v.Float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	form := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		form = 'e'
	}
	e.buf = strconv.AppendFloat(e.buf, f, form, -1, 64)
}
