package webrtc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	prtp "github.com/pion/rtp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

func pictures() []*media.Format {
	h264 := media.VideoFormat("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
	return []*media.Format{media.VideoFormat("VP8", ""), media.VideoFormat("VP9", ""), h264, media.VideoFormat("H265", ""), media.VideoFormat("AV1", "")}
}

// newScreen makes a peer for pictures and the leg that it talks to, and connects them.
func newScreen(t *testing.T, p *Port, cfg webrtctest.ScreenConfig, change func(*Config)) (*leg, *webrtctest.Screen) {
	t.Helper()
	l := newLeg(t, p, func(c *Config) {
		c.Video, c.Data = pictures(), true
		if change != nil {
			change(c)
		}
	})
	s := must[*webrtctest.Screen](t)(webrtctest.NewScreen(cfg))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	offer := must[[]byte](t)(s.Offer(context.Background()))
	a := must[media.Pending](t)(l.Answer(context.Background(), offer, media.Want{}))
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(a.SDP()); err != nil {
		t.Fatalf("%v\n%s", err, a.SDP())
	}
	select {
	case <-s.Connected():
	case <-time.After(30 * time.Second):
		t.Fatalf("not connected\n%s", a.SDP())
	}
	return l, s
}

// camera shows pictures of three packets, 20 a second, until the test ends; when it is asked for a key picture the next is one.
type camera struct {
	screen *webrtctest.Screen
	codec  string
	stop   chan struct{}
	work   sync.WaitGroup
}

func shoot(t *testing.T, s *webrtctest.Screen, codec string, layers int) {
	c := &camera{screen: s, codec: codec, stop: make(chan struct{})}
	c.work.Go(func() { c.run(max(layers, 1)) })
	t.Cleanup(func() {
		close(c.stop)
		c.work.Wait()
	})
}

func (c *camera) run(layers int) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	asked, first := 0, true
	seq := make([]uint16, layers)
	for ts := uint32(1000); ; ts += 4500 {
		key := first || c.screen.Asked() > asked
		asked, first = c.screen.Asked(), false
		for layer := range layers {
			for i := range 3 {
				p := &prtp.Packet{Header: prtp.Header{Version: 2, SequenceNumber: seq[layer], Timestamp: ts, Marker: i == 2}}
				p.Payload = append(payloadOf(c.codec, key, i == 0), make([]byte, 60<<(2*layer))...)
				seq[layer]++
				_ = c.screen.Show(layer, p)
			}
		}
		select {
		case <-tick.C:
		case <-c.stop:
			return
		}
	}
}

// payloadOf is the beginning of a packet's payload.
func payloadOf(codec string, key, first bool) []byte {
	b := map[string][2][]byte{
		"VP8":  {{0x10, 0x51}, {0x10, 0x50}},
		"VP9":  {{0xc8, 0x01, 0x00}, {0x88, 0x01, 0x00}},
		"H264": {{0x7c, 0x81}, {0x7c, 0x85}},
		"H265": {{0x62, 0x01, 0x81}, {0x62, 0x01, 0x93}},
		"AV1":  {{0x10, 0x32}, {0x18, 0x0a}},
	}[codec][0]
	if key {
		b = map[string][]byte{"VP8": {0x10, 0x50}, "VP9": {0x88, 0x01, 0x00}, "H264": {0x7c, 0x85}, "H265": {0x62, 0x01, 0x93}, "AV1": {0x18, 0x0a}}[codec]
	}
	if !first {
		b = map[string][]byte{"VP8": {0x00, 0x00}, "VP9": {0xc0, 0x01, 0x00}, "H264": {0x7c, 0x01}, "H265": {0x62, 0x01, 0x01}, "AV1": {0x90, 0x00}}[codec]
	}
	return append([]byte(nil), b...)
}

func videoOf(t *testing.T, l *leg) (*media.Source, media.Sink) {
	t.Helper()
	at := media.Pad{Kind: media.Video}
	if l.Source(at) == nil || l.Sink(at) == nil {
		t.Fatal("the leg has no pads of video")
	}
	return l.Source(at), l.Sink(at)
}

// Pictures of each codec go from one peer to others, which begin with a key picture whenever they come.
func TestPictures(t *testing.T) {
	for _, codec := range []string{"VP8", "VP9", "H264", "H265", "AV1"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			p := port(t)
			from, cam := newScreen(t, p, webrtctest.ScreenConfig{Codecs: []string{codec}, Camera: true, Audio: true}, nil)
			shoot(t, cam, codec, 1)
			source, own := videoOf(t, from)
			source.Link(own)
			await(t, "the camera's own picture", func() bool { return cam.Seen().Pictures > 5 })
			to, late := newScreen(t, p, webrtctest.ScreenConfig{Codecs: []string{"VP8", codec}[btoi(codec == "VP8"):]}, nil)
			asked := cam.Asked()
			_, sink := videoOf(t, to)
			source.Link(sink)
			await(t, "the late peer's picture", func() bool { return late.Seen().Pictures > 5 && late.Seen().Codec == codec })
			if cam.Asked() == asked {
				t.Error("no key picture was asked for when the late peer came")
			}
			asked = cam.Asked()
			if err := late.AskKey(); err != nil {
				t.Fatal(err)
			}
			await(t, "a key picture for who asked", func() bool { return cam.Asked() > asked })
			await(t, "counts", func() bool {
				var in, out media.Snapshot
				from.Stats(&in)
				to.Stats(&out)
				i, o := streamOf(in, true), streamOf(out, false)
				return i.Pictures > 10 && i.Keys >= 2 && i.PLIs >= 2 && i.Lost == 0 && i.Format.Codec == codec && o.Pictures > 5 && o.Keys >= 1 && o.PLIs >= 1 && o.Reported
			})
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// streamOf is a snapshot's stream of pictures in one direction.
func streamOf(s media.Snapshot, inbound bool) media.Stream {
	for _, st := range s.Streams {
		if st.Inbound == inbound && st.Format != nil && st.Format.Kind == media.Video {
			return st
		}
	}
	return media.Stream{}
}

// What is lost on the way to a peer, or on the way from one, comes again.
func TestPicturesLost(t *testing.T) {
	t.Parallel()
	p := port(t)
	from, cam := newScreen(t, p, webrtctest.ScreenConfig{Camera: true}, nil)
	to, screen := newScreen(t, p, webrtctest.ScreenConfig{Lose: func(seq uint16) bool { return seq%20 == 7 }}, nil)
	shoot(t, cam, "VP8", 1)
	source, _ := videoOf(t, from)
	_, sink := videoOf(t, to)
	source.Link(sink)
	await(t, "pictures", func() bool { n := screen.Seen(); return n.Lost >= 5 && n.Repaired >= 4 && n.Pictures > 40 })
	var s media.Snapshot
	to.Stats(&s)
	if o := streamOf(s, false); o.NACKs == 0 || o.Resent == 0 {
		t.Errorf("%d requests came, %d packets went again", o.NACKs, o.Resent)
	}
}

// The endpoint offers, with or without audio, and one that carries none of it refuses.
func TestPicturesOffered(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  media.Want
		video bool
		lines []string
	}{
		{"with audio", media.Want{Video: true}, true, []string{"m=audio", "m=video", "m=application"}},
		{"without audio", media.Want{Video: true, NoAudio: true}, true, []string{"m=video", "m=application"}},
		{"carried by none", media.Want{Video: true}, false, []string{"m=audio", "m=video 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := port(t)
			l := newLeg(t, p, func(cfg *Config) {
				if c.video {
					cfg.Video, cfg.Data = pictures(), true
				}
			})
			o := must[media.Offer](t)(l.Offer(context.Background(), c.want))
			for _, line := range c.lines {
				if !strings.Contains(string(o.SDP()), "\n"+line) {
					t.Errorf("no %s in\n%s", line, o.SDP())
				}
			}
			if !c.video {
				return
			}
			s := must[*webrtctest.Screen](t)(webrtctest.NewScreen(webrtctest.ScreenConfig{Camera: true, Audio: true, Codecs: []string{"H264"}}))
			t.Cleanup(func() { _ = s.Close() })
			answer := must[[]byte](t)(s.Answer(context.Background(), o.SDP()))
			if err := o.Accept("", answer); err != nil {
				t.Fatalf("%v\n%s\n%s", err, o.SDP(), answer)
			}
			if err := o.Commit(""); err != nil {
				t.Fatal(err)
			}
			shoot(t, s, "H264", 1)
			source, sink := videoOf(t, l)
			source.Link(sink)
			await(t, "its own picture", func() bool { return s.Seen().Pictures > 5 })
		})
	}
}

// A sink with a bound has the source asked for no more.
func TestPicturesBound(t *testing.T) {
	p := port(t)
	from, cam := newScreen(t, p, webrtctest.ScreenConfig{Camera: true}, nil)
	to, screen := newScreen(t, p, webrtctest.ScreenConfig{}, nil)
	shoot(t, cam, "VP8", 1)
	source, _ := videoOf(t, from)
	_, sink := videoOf(t, to)
	to.SetRates(media.Rates{MaxSend: 300_000})
	source.Link(sink)
	await(t, "pictures", func() bool { return screen.Seen().Pictures > 5 })
	await(t, "a bound of 300 kbit/s", func() bool { b := cam.Bound(); return b > 290_000 && b < 301_000 })
	from.SetRates(media.Rates{MaxReceive: 200_000})
	await(t, "a bound of 200 kbit/s", func() bool { b := cam.Bound(); return b > 190_000 && b < 201_000 })
	from.SetRates(media.Rates{MinReceive: 400_000})
	await(t, "a bound of 400 kbit/s", func() bool { b := cam.Bound(); return b > 390_000 && b < 401_000 })
}

// Of a simulcast each viewer gets the largest picture that it can take.
func TestSimulcast(t *testing.T) {
	t.Parallel()
	p := port(t)
	from, cam := newScreen(t, p, webrtctest.ScreenConfig{Camera: true, Layers: []string{"l", "m", "h"}}, nil)
	wide, a := newScreen(t, p, webrtctest.ScreenConfig{}, nil)
	narrow, b := newScreen(t, p, webrtctest.ScreenConfig{}, nil)
	shoot(t, cam, "VP8", 3)
	source, _ := videoOf(t, from)
	narrow.SetRates(media.Rates{MaxSend: 40_000}) // the layers take 30, 120 and 460 kbit/s
	for _, l := range []*leg{wide, narrow} {
		_, sink := videoOf(t, l)
		source.Link(sink)
	}
	size := func(l *leg) float64 {
		var s media.Snapshot
		l.Stats(&s)
		before := streamOf(s, false)
		time.Sleep(300 * time.Millisecond)
		s = media.Snapshot{}
		l.Stats(&s)
		after := streamOf(s, false)
		return float64(after.Bytes-before.Bytes) / max(float64(after.Packets-before.Packets), 1)
	}
	await(t, "the largest for who can take it", func() bool { return size(wide) > 900 })
	await(t, "the smallest for who can't", func() bool { n := size(narrow); return n > 50 && n < 100 })
	if a.Seen().Pictures == 0 || b.Seen().Pictures == 0 {
		t.Errorf("shown %+v, %+v", a.Seen(), b.Seen())
	}
	var s media.Snapshot
	from.Stats(&s)
	layers := map[uint8]bool{}
	for _, st := range s.Streams {
		if st.Inbound && st.Format != nil && st.Format.Kind == media.Video {
			layers[st.Layer] = true
		}
	}
	if len(layers) != 3 {
		t.Errorf("streams of layers %v", layers)
	}
}

// Messages go both ways by channels that either side has opened, and come back from a leg that is linked to itself.
func TestChannels(t *testing.T) {
	p, w := port(t), &witness{}
	l, s := newScreen(t, p, webrtctest.ScreenConfig{Data: "theirs", Audio: true}, func(c *Config) { c.Watch = w.event })
	at := media.Pad{Kind: media.Data}
	l.Source(at).Link(l.Sink(at))
	opened := func(n int) bool {
		_, opened, _ := l.Channels()
		return opened == uint64(n)
	}
	await(t, "the peer's channel", func() bool { return opened(1) })
	if err := s.Say("hello"); err != nil {
		t.Fatal(err)
	}
	await(t, "its echo", func() bool { return fmt.Sprint(s.Said()) == "[hello]" })
	if err := l.OpenChannel(ChannelOptions{Label: "ours", Protocol: "p", Unordered: true, MaxLife: -1, MaxAgain: 3}); err != nil {
		t.Fatal(err)
	}
	await(t, "our channel", func() bool { state, label := s.Channel(); return opened(2) && state == "open" && label == "ours" })
	list, _, _ := l.Channels()
	if len(list) != 2 || list[0].ID%2 == list[1].ID%2 {
		t.Errorf("channels are %+v, expected an even and an odd id", list)
	}
	if err := s.Say("twice"); err != nil {
		t.Fatal(err)
	}
	await(t, "its echo on both", func() bool { return fmt.Sprint(s.Said()) == "[hello twice twice]" })
	for _, c := range list {
		if c.Label == "ours" {
			if err := l.CloseChannel(c.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	await(t, "its end", func() bool {
		_, _, closed := l.Channels()
		state, _ := s.Channel()
		return closed == 1 && state == "closed"
	})
	if err := l.CloseChannel(77); err != ErrNoChannel {
		t.Errorf("closing what isn't there: %v", err)
	}
	var told []string
	w.mu.Lock()
	for _, e := range w.told {
		switch e.(type) {
		case ChannelOpened, ChannelClosed:
			told = append(told, fmt.Sprintf("%T", e))
		}
	}
	w.mu.Unlock()
	if fmt.Sprint(told) != "[webrtc.ChannelOpened webrtc.ChannelOpened webrtc.ChannelClosed]" {
		t.Errorf("told %v", told)
	}
	if err := newLeg(t, p, nil).OpenChannel(ChannelOptions{}); err != ErrNoData {
		t.Errorf("a leg without channels opens one: %v", err)
	}
}
