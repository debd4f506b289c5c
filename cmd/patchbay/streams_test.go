package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media/stream"
)

// What an application wants is done in order, one after the other; of more than may wait it is told that it isn't done.
func TestWishesOfApplications(t *testing.T) {
	f := newFollower()
	ctx, cancel := context.WithCancel(t.Context())
	begun, goes := make(chan string, 100), make(chan bool)
	var done sync.WaitGroup
	done.Go(func() {
		each(ctx, f.dials, func(_ context.Context, digits string) {
			begun <- digits
			<-goes
		})
	})
	var want []string
	for i := range 17 { // the first is being sent, 16 wait
		digits := fmt.Sprint(i)
		want = append(want, digits)
		f.post(stream.Event{Kind: stream.Dial, Text: digits})
		if i == 0 {
			if is := <-begun; is != digits {
				t.Errorf("%s is sent first", is)
			}
		}
	}
	for i := range 1000 {
		f.post(stream.Event{Kind: stream.Dial, Text: fmt.Sprint("9", i)})
	}
	if len(f.refused) != cap(f.refused) {
		t.Errorf("%d are refused", len(f.refused))
	}
	if is := <-f.refused; !strings.Contains(is, `digits is "90"`) {
		t.Errorf("what is refused is told as %s", is)
	}
	time.Sleep(20 * time.Millisecond)
	if n := len(begun); n != 0 {
		t.Errorf("%d more are sent while one is", n)
	}
	is := []string{"0"}
	for range 16 {
		goes <- true
		is = append(is, <-begun)
	}
	goes <- true
	if !slices.Equal(is, want) {
		t.Errorf("sent are %v, expected %v", is, want)
	}
	f.post(stream.Event{Kind: stream.Transfer, Text: "401"})
	<-f.refused
	for len(f.refused) > 0 {
		<-f.refused
	}
	f.post(stream.Event{Kind: stream.Transfer, Text: "402"})
	if told := <-f.refused; !strings.Contains(told, `to is "402"`) {
		t.Errorf("a transfer too many is told as %s", told)
	}
	cancel()
	done.Wait()
}
