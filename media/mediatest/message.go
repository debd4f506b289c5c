package mediatest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
)

// Talks is an endpoint with data channels.
type Talks struct {
	media.Endpoint
	Open func() error // opens a channel to the peer; it may fail until the two are connected
	Done func()       // takes down what stands around the endpoint; may be nil
}

// Messages checks what every endpoint keeps that carries data, between endpoints of one make. make makes a fresh one each time.
func Messages(t *testing.T, make func() Talks) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(*party, [2]Talks)
	}{
		{"messages flow both ways", messagesBothWays},
		{"without a channel they are dropped", messagesToNobody},
		{"a flood of messages ends", messagesInFloods},
		{"closed amid messages", closedAmidMessages},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pair []Talks
			p := &party{tb: t}
			p.make = func() (media.Endpoint, func()) {
				e := make()
				pair = append(pair, e)
				return e.Endpoint, e.Done
			}
			defer p.close()
			a, b := p.new(), p.new()
			p.agree(a, b, media.Want{}, media.Want{})
			c.check(p, [2]Talks(pair))
		})
	}
}

// messages is where data enters and leaves.
var messages = media.Pad{Kind: media.Data}

// writer says messages into an endpoint; they come out at the reader.
type writer struct {
	text, bytes *Talker
	of          media.Sink
}

func newWriter(p *party, e Talks) *writer {
	p.tb.Helper()
	k := e.Sink(messages)
	if k == nil {
		p.tb.Fatal("the endpoint takes no messages")
	}
	w := &writer{of: k}
	for _, f := range formats(k) {
		switch f.Codec {
		case "TEXT":
			w.text = NewTalker(nil, f)
		case "BINARY":
			w.bytes = NewTalker(nil, f)
		}
	}
	if w.text == nil || w.bytes == nil {
		p.tb.Fatalf("messages are taken as %v, want text and bytes", formats(k))
	}
	p.done = append([]func(){w.text.Close, w.bytes.Close}, p.done...)
	return w
}

// say sends a message, as text or as bytes.
func (w *writer) say(text bool, b []byte) {
	t := w.bytes
	if text {
		t = w.text
	}
	t.Link(w.of)
	t.Say(b)
}

func newReader(p *party, e Talks) *Recorder {
	src := e.Source(messages)
	r := NewRecorder(src.Formats()...)
	src.Link(r)
	p.done = append([]func(){func() { src.Unlink(r) }}, p.done...)
	return r
}

// opened opens a channel from a to b, and waits until both have it.
func (p *party) opened(a, b Talks) {
	p.tb.Helper()
	p.until("a channel", func() bool { return a.Open() == nil })
	w, r := newWriter(p, a), newReader(p, b)
	v, q := newWriter(p, b), newReader(p, a)
	p.until("the channel's messages", func() bool {
		w.say(true, []byte("ping"))
		v.say(true, []byte("ping"))
		return r.Len() > 0 && q.Len() > 0
	})
}

func messagesBothWays(p *party, pair [2]Talks) {
	p.opened(pair[0], pair[1])
	for i, from := range pair {
		w, r := newWriter(p, from), newReader(p, pair[1-i])
		var want [][]byte
		for j, n := range []int{1, 2, 100, 1200, 5000, 16000} {
			b := bytes.Repeat([]byte{'a' + byte(j)}, n)
			want = append(want, b, b)
			w.say(true, b)
			w.say(false, b)
		}
		p.until("all messages", func() bool { return len(said(r)) >= len(want) })
		for j, f := range said(r) {
			codec := "BINARY"
			if j%2 == 0 {
				codec = "TEXT"
			}
			if !bytes.Equal(f.Payload, want[j]) || f.Format.Codec != codec || f.Kind != media.Data {
				p.tb.Errorf("message %d: %d bytes as %s, want %d as %s", j, len(f.Payload), f.Format, len(want[j]), codec)
			}
		}
	}
}

// said is what came but for what opened has sent.
func said(r *Recorder) (list []media.Frame) {
	for _, f := range r.Frames() {
		if !bytes.Equal(f.Payload, []byte("ping")) {
			list = append(list, f)
		}
	}
	return list
}

func messagesToNobody(p *party, pair [2]Talks) {
	w, r := newWriter(p, pair[0]), newReader(p, pair[1])
	w.say(true, []byte("nobody"))
	w.say(false, nil)
	p.opened(pair[0], pair[1])
	if list := said(r); len(list) != 0 {
		p.tb.Errorf("%d messages came that were sent before there was a channel", len(list))
	}
}

func messagesInFloods(p *party, pair [2]Talks) {
	p.opened(pair[0], pair[1])
	w, r := newWriter(p, pair[0]), newReader(p, pair[1])
	const many = 5000
	b := bytes.Repeat([]byte{'x'}, 4000)
	begin := time.Now()
	for i := range uint32(many) {
		binary.BigEndian.PutUint32(b, i)
		w.say(false, b)
	}
	if d := time.Since(begin); d > patience { // 20 MB: none is waited for
		p.tb.Errorf("%d messages were taken in %s", many, d)
	}
	binary.BigEndian.PutUint32(b, many)
	p.until("a message after it", func() bool {
		w.say(false, b)
		list := said(r)
		return len(list) > 0 && binary.BigEndian.Uint32(list[len(list)-1].Payload) == many
	})
	next := uint32(0)
	for _, f := range said(r) {
		n := binary.BigEndian.Uint32(f.Payload)
		if n < next || len(f.Payload) != len(b) {
			p.tb.Fatalf("message %d of %d bytes came when %d was due", n, len(f.Payload), next)
		}
		next = min(n+1, many) // the last was sent more than once
	}
}

func closedAmidMessages(p *party, pair [2]Talks) {
	p.opened(pair[0], pair[1])
	w, v := newWriter(p, pair[0]), newWriter(p, pair[1])
	r := newReader(p, pair[1])
	for range 200 {
		w.say(false, make([]byte, 4000))
		v.say(true, make([]byte, 4000))
	}
	p.must("close", errors.Join(within(patience, pair[0].Close), within(patience, pair[1].Close)))
	n := r.Len()
	w.say(false, make([]byte, 10))
	time.Sleep(3 * media.Tick)
	if m := r.Len(); m != n {
		p.tb.Errorf("%d messages came after close", m-n)
	}
}
