package rtp

import (
	"slices"
	"testing"

	"github.com/patchbay/patchbay/media"
)

// key is one packet of a telephone-event.
type key struct {
	code     byte
	end      bool
	duration uint16
	ts       uint32
	at       int64 // ms
}

func (k key) payload() []byte {
	b := []byte{k.code, 10, byte(k.duration >> 8), byte(k.duration)}
	if k.end {
		b[1] |= 0x80
	}
	return b
}

func TestEvents(t *testing.T) {
	five := media.Digit{Digit: '5', Duration: 100}
	for _, c := range []struct {
		name string
		keys []key
		want []media.Digit
		rest []media.Digit // by expire, a second later
	}{
		{"told once at its first end", []key{{5, false, 160, 1000, 0}, {5, false, 320, 1000, 20}, {5, true, 800, 1000, 100}, {5, true, 800, 1000, 100}, {5, true, 800, 1000, 100}},
			[]media.Digit{five}, nil},
		{"one end packet is enough", []key{{5, true, 800, 1000, 0}}, []media.Digit{five}, nil},
		{"lost end", []key{{5, false, 160, 1000, 0}, {5, false, 800, 1000, 80}}, nil, []media.Digit{five}},
		{"lost end, then another", []key{{5, false, 800, 1000, 0}, {9, false, 160, 5000, 300}, {9, true, 400, 5000, 400}, {9, true, 400, 5000, 400}},
			[]media.Digit{five, {Digit: '9', Duration: 50}}, nil},
		{"lost all but ends", []key{{5, false, 800, 1000, 0}, {9, true, 400, 5000, 400}, {9, true, 400, 5000, 400}, {9, true, 400, 5000, 400}},
			[]media.Digit{five, {Digit: '9', Duration: 50}}, nil},
		{"lost all but one end", []key{{5, false, 800, 1000, 0}, {9, true, 400, 5000, 400}}, []media.Digit{five}, []media.Digit{{Digit: '9', Duration: 50}}},
		{"the same digit twice", []key{{5, true, 800, 1000, 0}, {5, true, 800, 1000, 0}, {5, true, 800, 3000, 250}, {5, true, 800, 3000, 250}}, []media.Digit{five, five}, nil},
		{"an older one's packet comes late", []key{{5, true, 800, 1000, 0}, {9, false, 160, 3000, 250}, {5, true, 800, 1000, 260}, {9, true, 400, 3000, 300}},
			[]media.Digit{five, {Digit: '9', Duration: 50}}, nil},
		{"an end overtaken", []key{{5, true, 800, 1000, 0}, {5, false, 640, 1000, 1}}, []media.Digit{five}, nil},
		{"a long one in segments", []key{{11, false, 0xffff, 1000, 0}, {11, false, 800, 1000 + 0xffff, 8300}, {11, true, 1600, 1000 + 0xffff, 8400}},
			[]media.Digit{{Digit: '#', Duration: (0xffff + 1600) / 8}}, nil},
		{"letters", []key{{10, true, 80, 1, 0}, {12, true, 80, 2000, 0}, {15, true, 80, 4000, 0}}, []media.Digit{{Digit: '*', Duration: 10}, {Digit: 'A', Duration: 10}, {Digit: 'D', Duration: 10}}, nil},
		{"no digits", []key{{16, true, 80, 1, 0}, {36, true, 80, 2000, 0}, {255, true, 80, 4000, 0}}, nil, nil},
		{"timestamps wrap", []key{{5, true, 800, 0xfffffff0, 0}, {5, true, 800, 2000, 300}}, []media.Digit{five, five}, nil},
	} {
		var v events
		var got, rest []media.Digit
		var now int64
		for _, k := range c.keys {
			now = 1e9 + k.at*1e6
			if d, ok := v.packet(k.payload(), k.ts, 8000, now); ok {
				got = append(got, d)
			}
			if d, ok := v.expire(now + lostEndsAt - 50e6); ok {
				t.Errorf("%s: %v expired too early", c.name, d)
			}
		}
		if d, ok := v.expire(now + 1e9); ok {
			rest = append(rest, d)
		}
		if !slices.Equal(got, c.want) || !slices.Equal(rest, c.rest) {
			t.Errorf("%s: told %v and %v, want %v and %v", c.name, got, rest, c.want, c.rest)
		}
	}
	var v events
	if _, ok := v.packet([]byte{5, 0x80, 1}, 1, 8000, 1); ok || v.known {
		t.Error("a short payload is a digit")
	}
}

// Digits are told, and relayed as they come: one timestamp and one marker for each.
func TestDigitsAreRelayed(t *testing.T) {
	a, b := newDesk(t, nil), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two)
	one.say(1)
	last := two.hear()
	press(one, 7)
	var ts uint32
	for i, k := range keys(7) {
		p := two.hear()
		if p.pt != 101 || string(p.payload) != string(k.payload()) || p.seq != last.seq+1 || p.marker != (i == 0) {
			t.Errorf("packet %d came as %+v, %x", i, p.header, p.payload)
		}
		if i == 0 {
			ts = p.ts
		}
		if p.ts != ts || p.ts != last.ts+160 && i == 0 {
			t.Errorf("packet %d has timestamp %d, the digit began at %d, audio was at %d", i, p.ts, ts, last.ts)
		}
		last = p
	}
	one.say(2)
	if p := two.hear(); p.pt != 0 || p.seq != last.seq+1 || p.ts != ts+5*160 {
		t.Errorf("audio goes on at %+v after %+v", p.header, last.header)
	}
	await(t, "the digit", func() bool { return len(notices[media.Digit](a)) == 1 })
	if d := notices[media.Digit](a)[0]; d.Digit != '7' || d.Duration != 60 {
		t.Errorf("told %+v", d)
	}
	if in, _ := a.counts(); in.Lost != 0 || in.Packets != 7 {
		t.Errorf("counted %+v", in)
	}
}

// keys are the packets of a digit of 60 ms with its end said three times.
func keys(code byte) []key {
	return []key{{code: code, duration: 160}, {code: code, duration: 320}, {code: code, duration: 480, end: true}, {code: code, duration: 480, end: true}, {code: code, duration: 480, end: true}}
}

func press(p *phone, code byte) {
	start := p.ts
	for i, k := range keys(code) {
		p.pt, p.ts, p.marker = 101, start, i == 0
		p.write(p.packet(k.payload()))
	}
	p.pt, p.ts = 0, start+5*160
}

// A peer without telephone-events gets none and sees no gap where they were.
func TestDigitsLeaveNoGap(t *testing.T) {
	a, b := newDesk(t, nil), newDesk(t, nil)
	bridge(a, b)
	one, two := newPhone(t, "127.0.0.1"), newPhone(t, "127.0.0.1")
	a.call(one)
	b.call(two, "m=audio %d RTP/AVP 0")
	if a.Negotiated().Events != true || b.Negotiated().Events != false {
		t.Error("who has events is told wrongly")
	}
	one.say(1)
	first := two.hear()
	press(one, 3)
	one.say(2)
	if k := two.hear(); k.seq != first.seq+1 || k.payload[0] != 2 {
		t.Errorf("%+v after %+v", k.header, first.header)
	}
}
