package dtmf

import (
	"slices"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// part is one packet of a telephone-event.
type part struct {
	code     byte
	end      bool
	duration uint16
	ts       uint32
	at       int64 // ms
}

func (k part) payload() []byte {
	b := []byte{k.code, 10, byte(k.duration >> 8), byte(k.duration)}
	if k.end {
		b[1] |= 0x80
	}
	return b
}

func TestReader(t *testing.T) {
	five := media.Digit{Digit: '5', Duration: 100}
	for _, c := range []struct {
		name string
		keys []part
		want []media.Digit
		rest []media.Digit // by Expire, a second later
	}{
		{"told once at its first end", []part{{5, false, 160, 1000, 0}, {5, false, 320, 1000, 20}, {5, true, 800, 1000, 100}, {5, true, 800, 1000, 100}, {5, true, 800, 1000, 100}},
			[]media.Digit{five}, nil},
		{"one end packet is enough", []part{{5, true, 800, 1000, 0}}, []media.Digit{five}, nil},
		{"lost end", []part{{5, false, 160, 1000, 0}, {5, false, 800, 1000, 80}}, nil, []media.Digit{five}},
		{"lost end, then another", []part{{5, false, 800, 1000, 0}, {9, false, 160, 5000, 300}, {9, true, 400, 5000, 400}, {9, true, 400, 5000, 400}},
			[]media.Digit{five, {Digit: '9', Duration: 50}}, nil},
		{"lost all but ends", []part{{5, false, 800, 1000, 0}, {9, true, 400, 5000, 400}, {9, true, 400, 5000, 400}, {9, true, 400, 5000, 400}},
			[]media.Digit{five, {Digit: '9', Duration: 50}}, nil},
		{"lost all but one end", []part{{5, false, 800, 1000, 0}, {9, true, 400, 5000, 400}}, []media.Digit{five}, []media.Digit{{Digit: '9', Duration: 50}}},
		{"the same digit twice", []part{{5, true, 800, 1000, 0}, {5, true, 800, 1000, 0}, {5, true, 800, 3000, 250}, {5, true, 800, 3000, 250}}, []media.Digit{five, five}, nil},
		{"an older one's packet comes late", []part{{5, true, 800, 1000, 0}, {9, false, 160, 3000, 250}, {5, true, 800, 1000, 260}, {9, true, 400, 3000, 300}},
			[]media.Digit{five, {Digit: '9', Duration: 50}}, nil},
		{"an end overtaken", []part{{5, true, 800, 1000, 0}, {5, false, 640, 1000, 1}}, []media.Digit{five}, nil},
		{"a long one in segments", []part{{11, false, 0xffff, 1000, 0}, {11, false, 800, 1000 + 0xffff, 8300}, {11, true, 1600, 1000 + 0xffff, 8400}},
			[]media.Digit{{Digit: '#', Duration: (0xffff + 1600) / 8}}, nil},
		{"letters", []part{{10, true, 80, 1, 0}, {12, true, 80, 2000, 0}, {15, true, 80, 4000, 0}}, []media.Digit{{Digit: '*', Duration: 10}, {Digit: 'A', Duration: 10}, {Digit: 'D', Duration: 10}}, nil},
		{"no digits", []part{{16, true, 80, 1, 0}, {36, true, 80, 2000, 0}, {255, true, 80, 4000, 0}}, nil, nil},
		{"timestamps wrap", []part{{5, true, 800, 0xfffffff0, 0}, {5, true, 800, 2000, 300}}, []media.Digit{five, five}, nil},
	} {
		var v Reader
		var got, rest []media.Digit
		var now int64
		for _, k := range c.keys {
			now = 1e9 + k.at*1e6
			if d, ok := v.Packet(k.payload(), k.ts, 8000, now); ok {
				got = append(got, d)
			}
			if d, ok := v.Expire(now + LostAfter - 50e6); ok {
				t.Errorf("%s: %v expired too early", c.name, d)
			}
		}
		if d, ok := v.Expire(now + 1e9); ok {
			rest = append(rest, d)
		}
		if !slices.Equal(got, c.want) || !slices.Equal(rest, c.rest) {
			t.Errorf("%s: told %v and %v, want %v and %v", c.name, got, rest, c.want, c.rest)
		}
	}
	var v Reader
	if _, ok := v.Packet([]byte{5, 0x80, 1}, 1, 8000, 1); ok || v.known {
		t.Error("a short payload is a digit")
	}
}
