package billing

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// Whatever a disk returns: no panic, no endless loop, no record out of order, and damage that adds up.
func FuzzScan(f *testing.F) {
	s := &segment{journal: uuid.New(), no: 1, first: 1}
	h, err := parseSegmentHeader("x", s.header())
	if err != nil {
		f.Fatal(err)
	}
	var b []byte
	for i, e := range story(time.Now(), 1) {
		p, _, err := encode(&e)
		if err != nil {
			f.Fatal(err)
		}
		b = appendRecord(b, h.seed, uint64(i+1), uint64(i), recordEvent, p)
	}
	f.Add(b, 700, byte(1), false)
	f.Add(b, 30, byte(0xff), true)
	f.Add(b[:len(b)-5], 0, byte(0), true)
	f.Add([]byte{}, 0, byte(0), false)
	f.Fuzz(func(t *testing.T, b []byte, at int, flip byte, tail bool) {
		b = append([]byte(nil), b...)
		if len(b) > 0 {
			b[(at%len(b)+len(b))%len(b)] ^= flip
		}
		limit := uint64(12)
		if tail {
			limit = 0
		}
		last, seen := uint64(0), uint64(0)
		end, want, damage, err := h.scan(b, segmentHeader, 1, limit, func(r record) error {
			if r.lsn <= last {
				t.Errorf("record %d behind %d", r.lsn, last)
			}
			last = r.lsn
			seen++
			return nil
		})
		lost := uint64(0)
		for _, d := range damage {
			lost += d.Last - d.First + 1
		}
		if err != nil || want != seen+lost+1 || end > segmentHeader+int64(len(b)) {
			t.Errorf("read %d, lost %d, next is %d, end %d of %d, %v", seen, lost, want, end, len(b), err)
		}
	})
}

func FuzzCleanJSON(f *testing.F) {
	f.Add("a\x00b", `\u0000`)
	f.Add("\\u0000", "\\\x00")
	f.Fuzz(func(t *testing.T, k, v string) {
		b, err := json.Marshal(map[string]string{k: v})
		if err != nil || !utf8.ValidString(k) || !utf8.ValidString(v) { // the encoder mends what is no UTF-8
			return
		}
		var got map[string]string
		if err := json.Unmarshal(cleanJSON(b), &got); err != nil {
			t.Fatal(err)
		}
		for gk, gv := range got {
			if gk != clean(k) || gv != clean(v) {
				t.Errorf("%q: %q became %q: %q, expected %q: %q", k, v, gk, gv, clean(k), clean(v))
			}
		}
	})
}
