//go:build e2e

package e2e

import (
	"slices"
	"testing"

	"github.com/patchbay/patchbay/web/webtest"
)

// messages go between two pages, text and bytes, both ways, on channels that either side has opened, ordered or not; the program is told of
// their ends. And pictures come in packets as small as the program wants them.
func (r *tutorials) messages(t *testing.T, mirror *viewer) {
	guest := r.page("guest", webtest.CallConfig{Watches: true, Data: true}, false)
	r.step("invoke", o{"name": guest.name, "method": "setMtu", "args": []any{400}}, nil)
	r.step("connect", o{"from": mirror.name, "to": guest.name}, nil)
	r.step("connect", o{"from": guest.name, "to": mirror.name, "kind": "DATA"}, nil)
	heard := func(v *viewer, want ...string) {
		t.Helper()
		var list []string
		if !eventually(videoPatience, func() bool {
			var err error
			list, _, err = v.page.Said(r.ctx)
			r.must(err)
			return len(list) >= len(want) && slices.Equal(list[len(list)-len(want):], want)
		}) {
			t.Fatalf("%s has %q, expected %q in the end", v.name, list, want)
		}
	}
	open := func(v *viewer) bool {
		_, state, err := v.page.Said(r.ctx)
		r.must(err)
		return state == "open"
	}
	r.step("invoke", o{"name": mirror.name, "method": "createDataChannel", "args": []any{"again", true, -1, -1, ""}}, nil)
	if !eventually(videoPatience, func() bool { return open(guest) && open(mirror) }) {
		t.Fatal("the channels don't open")
	}
	r.must(guest.page.Say(r.ctx, "hello, wörld"))
	heard(mirror, "hello, wörld")
	r.must(mirror.page.SayBytes(r.ctx, []byte{0, 1, 255}))
	heard(guest, "bytes 0,1,255")

	r.step("invoke", o{"name": guest.name, "method": "createDataChannel", "args": []any{"quick", false, -1, 3, "game"}}, nil)
	var terms webtest.Terms
	want := webtest.Terms{Label: "quick", Protocol: "game", Retransmits: 3}
	if !eventually(videoPatience, func() bool {
		var err error
		terms, err = guest.page.Terms(r.ctx)
		r.must(err)
		return terms == want && open(guest)
	}) {
		t.Fatalf("the guest has a channel %+v, expected %+v", terms, want)
	}
	r.must(guest.page.Say(r.ctx, "quick"))
	heard(mirror, "quick")
	r.must(guest.page.CloseChannel(r.ctx))
	if !eventually(videoPatience, func() bool {
		guest.fetch()
		return slices.ContainsFunc(guest.told, func(e o) bool { return e["event"] == "DataChannelClosed" })
	}) {
		t.Errorf("the program isn't told that a channel is closed: %v", guest.told)
	}

	guest.sees(320, 180)
	var in webtest.Inbound
	if !eventually(videoPatience, func() bool {
		var err error
		in, err = guest.page.Inbound(r.ctx)
		r.must(err)
		return in.Packets >= 100
	}) {
		t.Errorf("%v packets came", in.Packets)
	} else if mean := in.Bytes / in.Packets; mean > 400-12 || mean < 50 {
		t.Errorf("packets have %.0f bytes of payload in the mean, expected 388 at most", mean)
	}
	r.step("release", o{"name": guest.name}, nil)
}
