package webrtc

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

// When too many messages, or too many bytes, wait for a channel the oldest go, and the newest is always there.
func TestOutbox(t *testing.T) {
	for _, c := range []struct {
		size, many, stay int
	}{{1, 1000, messagesMax}, {dataMax, 100, messageBytes / dataMax}, {messageBytes / 2, 10, 2}, {1, messagesMax, messagesMax}} {
		var b outbox
		var lost uint64
		for i := range c.many {
			m := message{p: make([]byte, c.size)}
			m.p[0] = byte(i)
			lost += b.put(m)
		}
		if len(b.list) != c.stay || lost != uint64(c.many-c.stay) || b.bytes != c.stay*c.size {
			t.Errorf("%d messages of %d bytes: %d wait with %d bytes, %d went, expected %d to stay", c.many, c.size, len(b.list), b.bytes, lost, c.stay)
		}
		for i := c.many - c.stay; i < c.many; i++ {
			if m, ok := b.take(); !ok || m.p[0] != byte(i) {
				t.Fatalf("message %d is %v", i, m.p)
			}
		}
		if _, ok := b.take(); ok || b.bytes != 0 {
			t.Errorf("%d bytes are left", b.bytes)
		}
	}
}

// A source that says more than the path takes loses what is oldest: what it said last comes, in order, and nothing twice.
func TestChannelsOverrun(t *testing.T) {
	p := port(t)
	l, s := newScreen(t, p, webrtctest.ScreenConfig{Data: "theirs", Audio: true}, nil)
	await(t, "the peer's channel", func() bool { _, opened, _ := l.Channels(); return opened == 1 })
	talker := media.NewSource(nil, nil)
	sink := l.Sink(media.Pad{Kind: media.Data})
	text := sink.Caps().Formats[0]
	talker.SetFormats(text)
	talker.Link(sink)
	tail := strings.Repeat(".", 50_000)
	said := 0
	say := func(what string) {
		talker.Send(&media.Frame{Kind: media.Data, Format: text, Payload: []byte(what), Sequence: uint16(said), Epoch: 1})
	}
	// What SCTP has taken is lost no more: the first message is there before there are too many.
	say("0" + tail)
	said++
	await(t, "what was said first", func() bool { return len(s.Said()) > 0 })
	for end := time.Now().Add(60 * time.Second); ; {
		for range 50 {
			say(strconv.Itoa(said) + tail)
			said++
		}
		var n media.Snapshot
		l.Stats(&n)
		if n.Notes["webrtc.data.dropped"] > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a path that takes all there is")
		}
	}
	say("end")
	await(t, "what was said last", func() bool { list := s.Said(); return len(list) > 0 && list[len(list)-1] == "end" })
	list := s.Said()
	last := -1
	for _, m := range list[:len(list)-1] {
		n, err := strconv.Atoi(strings.TrimRight(m, "."))
		if err != nil || n <= last {
			t.Fatalf("message %.20q came after %d", m, last)
		}
		last = n
	}
	if last != said-1 || len(list)-1 >= said {
		t.Errorf("%d messages of %d came, the last is %d", len(list)-1, said, last)
	}
	if got := fmt.Sprint(list[0][:1]); got != "0" {
		t.Errorf("the first message is %.10q: what SCTP had taken was lost", list[0])
	}
}
