package mediatest

import (
	"bytes"
	"testing"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/sdp"
)

// PictureElement checks all that Element does on an endpoint that has agreed on video with another one. make is as Endpoint's.
func PictureElement(t *testing.T, make func() (media.Endpoint, func())) {
	t.Helper()
	Element(t, func() (media.Element, func()) {
		p := &party{tb: t, make: make}
		a, b := p.new(), p.new()
		p.agree(a, b, media.Want{Video: true}, media.Want{Video: true})
		p.ends = p.ends[1:] // the suite closes a
		return a, p.close
	})
}

// Pictures checks what every endpoint keeps that carries video, by VP8 between endpoints of one make that offer and answer a line of
// it. make is as Endpoint's.
func Pictures(t *testing.T, make func() (media.Endpoint, func())) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(*party)
	}{
		{"pictures flow both ways", picturesBothWays},
		{"pictures without sound", picturesAlone},
		{"a key picture comes first", keyComesFirst},
		{"who sees asks for a key picture", keyIsAskedFor},
		{"pictures are held and resumed", picturesHeld},
		{"an offer of pictures is rolled back", picturesRolledBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &party{tb: t, make: make}
			defer p.close()
			c.check(p)
		})
	}
}

// pictures is where video enters and leaves.
var pictures = media.Pad{Kind: media.Video}

// patience is for what takes a moment on a machine with nothing else to do.
const patience = 30 * time.Second

// camera shows pictures of two packets that have a mark in them.
type camera struct {
	*Talker
	party *party
}

// film links a camera to an endpoint, as soon as that takes VP8.
func (p *party) film(e media.Endpoint) *camera {
	p.tb.Helper()
	k := e.Sink(pictures)
	if k == nil {
		p.tb.Fatal("the endpoint takes no pictures")
	}
	c := &camera{party: p}
	p.until("VP8 is taken", func() bool {
		for _, f := range formats(k) {
			if f.Codec == "VP8" {
				c.Talker = NewTalker(nil, f)
				return true
			}
		}
		return false
	})
	c.Link(k)
	p.done = append([]func(){c.Close}, p.done...)
	return c
}

// until polls.
func (p *party) until(what string, ok func() bool) {
	p.tb.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(media.Tick) {
		if time.Now().After(end) {
			p.tb.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// show sends one picture.
func (c *camera) show(key bool, mark byte) {
	head := byte(0x51) // RFC 6386 9.1: not a key frame
	if key {
		head = 0x50
	}
	c.next.Key = key
	c.next.Marker = false
	c.part(append([]byte{0x10, head}, bytes.Repeat([]byte{mark}, 300)...), 0)
	c.next.Key, c.next.Marker = false, true
	c.part(append([]byte{0x00}, bytes.Repeat([]byte{mark}, 200)...), uint32(c.Format.Clock/20))
}

// part sends a packet of a picture, after which so much time has passed.
func (c *camera) part(payload []byte, passes uint32) {
	c.next.Payload = payload
	c.next.Arrival = time.Since(birth).Nanoseconds()
	c.Send(&c.next)
	c.next.Payload = nil
	c.next.Sequence++
	c.next.Timestamp += passes
}

// screen keeps what an endpoint's pictures are.
type screen struct {
	*Recorder
	of media.Endpoint
}

func (p *party) watch(e media.Endpoint) *screen {
	s := &screen{NewRecorder(), e}
	e.Source(pictures).Link(s.Recorder)
	p.done = append([]func(){func() { e.Source(pictures).Unlink(s.Recorder) }}, p.done...)
	return s
}

// marks are those of the packets that came, and whether each picture among them was whole and in its turn.
func (s *screen) marks(tb testing.TB) (list []byte) {
	tb.Helper()
	s.Take(s.of.Source(pictures).Formats()...)
	media.Renegotiate(s.of)
	var last media.Frame
	for i, f := range s.Frames() {
		begins := len(f.Payload) == 302
		switch {
		case f.Kind != media.Video || f.Format == nil || f.Format.Codec != "VP8":
			tb.Fatalf("frame %d is %s in %s", i, f.Kind, f.Format)
		case begins == f.Marker, begins && f.Key != (f.Payload[1] == 0x50), !begins && len(f.Payload) != 201:
			tb.Fatalf("frame %d of %d bytes: marker %v, key %v", i, len(f.Payload), f.Marker, f.Key)
		case !begins && last.Epoch == f.Epoch && last.Sequence+1 == f.Sequence && last.Timestamp != f.Timestamp:
			tb.Fatalf("the packets of a picture have the timestamps %d and %d", last.Timestamp, f.Timestamp)
		}
		if begins {
			list = append(list, f.Payload[2])
		}
		last = f
	}
	return list
}

// shown shows pictures until one with that mark is seen: a key picture first, then others.
func (p *party) shown(c *camera, s *screen, mark byte) {
	p.tb.Helper()
	asked := len(c.Heard())
	c.show(true, mark)
	p.until("a picture", func() bool {
		again := len(c.Heard()) > asked // what came before the path was there
		asked = len(c.Heard())
		c.show(again, mark)
		return bytes.IndexByte(s.marks(p.tb), mark) >= 0
	})
}

// unseen shows pictures of which none may be seen.
func (p *party) unseen(c *camera, s *screen, key bool, mark byte) {
	p.tb.Helper()
	for range 10 {
		c.show(key, mark)
		time.Sleep(media.Tick)
	}
	if bytes.IndexByte(s.marks(p.tb), mark) >= 0 {
		p.tb.Fatal("pictures are shown and must not be")
	}
}

func (p *party) joined(offers media.Want) (a, b media.Endpoint) {
	p.tb.Helper()
	a, b = p.new(), p.new()
	offers.Video = true
	p.agree(a, b, offers, media.Want{Video: true})
	return a, b
}

func picturesBothWays(p *party) {
	a, b := p.joined(media.Want{})
	from, to := p.film(a), p.watch(b)
	p.shown(from, to, 0x11)
	back, seen := p.film(b), p.watch(a)
	p.shown(back, seen, 0x22)
	p.flows(a, b, 0x33) // and sound beside
}

func picturesAlone(p *party) {
	a, b := p.joined(media.Want{NoAudio: true})
	from, to := p.film(a), p.watch(b)
	p.shown(from, to, 0x11)
}

func keyComesFirst(p *party) {
	a, b := p.joined(media.Want{})
	from, to := p.film(a), p.watch(b)
	p.unseen(from, to, false, 0x10)
	p.until("a key picture is asked for, once there is somebody to see it", func() bool {
		from.show(false, 0x10)
		return len(from.Heard()) > 0
	})
	p.shown(from, to, 0x11)
	from.Anew() // another source
	from.next.Marker = false
	p.unseen(from, to, false, 0x12)
	p.shown(from, to, 0x13)
}

func keyIsAskedFor(p *party) {
	a, b := p.joined(media.Want{})
	from, to := p.film(a), p.watch(b)
	p.shown(from, to, 0x11)
	before := len(from.Heard())
	to.Upstream(media.Feedback{Kind: media.KeyFrame})
	p.until("a key picture is asked for", func() bool {
		from.show(false, 0x12)
		for _, fb := range from.Heard()[before:] {
			if fb.Kind == media.KeyFrame {
				return true
			}
		}
		return false
	})
}

func picturesHeld(p *party) {
	a, b := p.joined(media.Want{})
	from, to := p.film(a), p.watch(b)
	p.shown(from, to, 0x11)
	p.agree(a, b, media.Want{Video: true, Direction: sdp.Inactive}, media.Want{Video: true})
	p.unseen(from, to, true, 0x12)
	p.agree(b, a, media.Want{Video: true}, media.Want{Video: true})
	p.shown(from, to, 0x13)
}

func picturesRolledBack(p *party) {
	a, b := p.joined(media.Want{})
	from, to := p.film(a), p.watch(b)
	p.shown(from, to, 0x11)
	o := p.offer(a, media.Want{Video: true, Direction: sdp.Inactive})
	ans := p.answer(b, o.SDP(), media.Want{Video: true})
	p.must("accept", o.Accept("x", ans.SDP()))
	ans.Rollback()
	o.Rollback()
	p.shown(from, to, 0x12)
}
