package rtp

import (
	"testing"

	"github.com/patchbay/patchbay/media"
)

// key is one packet of a telephone-event.
type key struct {
	code     byte
	end      bool
	duration uint16
}

func (k key) payload() []byte {
	b := []byte{k.code, 10, byte(k.duration >> 8), byte(k.duration)}
	if k.end {
		b[1] |= 0x80
	}
	return b
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
		if p.PT != 101 || string(p.payload) != string(k.payload()) || p.Seq != last.Seq+1 || p.Marker != (i == 0) {
			t.Errorf("packet %d came as %+v, %x", i, p.Header, p.payload)
		}
		if i == 0 {
			ts = p.TS
		}
		if p.TS != ts || p.TS != last.TS+160 && i == 0 {
			t.Errorf("packet %d has timestamp %d, the digit began at %d, audio was at %d", i, p.TS, ts, last.TS)
		}
		last = p
	}
	one.say(2)
	if p := two.hear(); p.PT != 0 || p.Seq != last.Seq+1 || p.TS != ts+5*160 {
		t.Errorf("audio goes on at %+v after %+v", p.Header, last.Header)
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
	if k := two.hear(); k.Seq != first.Seq+1 || k.payload[0] != 2 {
		t.Errorf("%+v after %+v", k.Header, first.Header)
	}
}
