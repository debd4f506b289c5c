package sip

import (
	"testing"
	"time"
)

func TestPuzzled(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPuzzled()
	p.now = func() time.Time { return now }
	var phone, other asker
	other.from[0] = 1
	step := func(a asker, after time.Duration, tried, want bool) {
		t.Helper()
		now = now.Add(after)
		if got := p.asked(a, tried); got != want {
			t.Errorf("asked simply: %v, expected %v", got, want)
		}
	}
	step(phone, 0, false, false)
	step(phone, 100*time.Millisecond, false, false) // two at once
	step(phone, 30*time.Second, false, true)        // it came back without an answer
	p.answered(phone)
	step(phone, time.Hour, false, true) // it can't do better
	step(other, 0, false, false)
	p.answered(other)
	step(other, time.Minute, false, false)
	step(other, time.Minute, true, false) // a wrong password is an answer too
	step(phone, 3*time.Hour, false, false)
}
