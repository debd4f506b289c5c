package rpc

import (
	"fmt"
	"testing"
	"time"
)

// Answers are kept for 20 s, within bounds of number and size; what still runs is kept however long it takes.
func TestAnswers(t *testing.T) {
	all := &budget{most: 1 << 30}
	a := answers{all: all}
	now := time.Now()
	add := func(id string, size int) *answer {
		t.Helper()
		x, fresh := a.add([]byte(id), now)
		if !fresh {
			t.Fatalf("%s is there already", id)
		}
		if size > 0 {
			a.done(x, make([]byte, size), now)
		}
		return x
	}
	known := func(id string) bool {
		x, fresh := a.add([]byte(id), now)
		if fresh {
			a.remove(x)
		}
		return !fresh
	}
	running := add("running", 0)
	add("first", 10)
	now = now.Add(answerLife - time.Millisecond)
	if !known("first") || !known("running") {
		t.Error("forgotten within 20 s")
	}
	now = now.Add(time.Millisecond)
	a.done(running, []byte("x"), now)
	if known("first") || known("running") {
		t.Error("known after 20 s")
	}
	if x, fresh := a.add([]byte("1"), now); !fresh {
		t.Error("1 is there already")
	} else if y, fresh := a.add([]byte(`"1"`), now); !fresh { // the reply has the id as it came
		t.Error(`1 and "1" are one id`)
	} else {
		a.remove(x) // refused
		a.done(y, []byte("y"), now)
	}
	for i := range maxAnswers + 10 {
		add(fmt.Sprint("n", i), 1)
	}
	if known("n0") || !known(fmt.Sprint("n", maxAnswers)) || len(a.by) > maxAnswers {
		t.Errorf("%d answers are kept, want at most %d, the latest", len(a.by), maxAnswers)
	}
	for i := range 10 {
		add(fmt.Sprint("big", i), maxAnswerSize/4)
	}
	if a.bytes > maxAnswerSize || !known("big9") || known("big0") {
		t.Errorf("%d bytes are kept, want at most %d", a.bytes, maxAnswerSize)
	}
	x := add("asked again", 0)
	for range 100 {
		x.wait(new(conn))
	}
	if n := len(a.done(x, []byte("r"), now)); n != 16 {
		t.Errorf("%d others wait for a reply, want 16", n)
	}
	a.drop()
	if n := all.used.Load(); n != 0 || len(a.by) != 0 {
		t.Errorf("%d bytes and %d answers are held after the end", n, len(a.by))
	}
}
