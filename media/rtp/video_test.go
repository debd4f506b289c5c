package rtp

import (
	"context"
	"strings"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/udp"
)

func videoFormats() []*media.Format {
	return []*media.Format{media.VideoFormat("VP8", ""), media.VideoFormat("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")}
}

// lines are where endpoints of a test take their ports.
type lines struct {
	net   *udp.Net
	ports *udp.Ports
}

func newLines(t *testing.T) *lines {
	n, p := network(t)
	return &lines{n, p}
}

func newVideoPair(t *testing.T, n *lines, want media.Want, srtp bool) (a, b *Endpoint) {
	t.Helper()
	make := func() *Endpoint {
		e, err := New(Config{Net: n.net, Ports: n.ports, Bind: localhost, Video: videoFormats(), Feedback: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	a, b = make(), make()
	want.Video = true
	if srtp {
		want.SRTP = media.SRTPRequire
	}
	o, err := a.Offer(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Answer(context.Background(), o.SDP(), want)
	if err != nil {
		t.Fatalf("%v\n%s", err, o.SDP())
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := o.Accept("", p.SDP()); err != nil {
		t.Fatalf("%v\n%s", err, p.SDP())
	}
	if err := o.Commit(""); err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{o.SDP(), p.SDP()} {
		if !strings.Contains(string(body), "\nm=video ") || strings.Contains(string(body), "\nm=video 0") || strings.Contains(string(body)[strings.Index(string(body), "m=video"):], "ptime") {
			t.Fatalf("the line of video isn't as it should be:\n%s", body)
		}
	}
	return a, b
}

// shown is a sink that counts what it gets, and asks its source for what it is told to.
type shown struct {
	media.Inlet
	caps *media.Caps
	got  chan media.Frame
}

func (k *shown) Caps() *media.Caps { return k.caps }
func (k *shown) Push(f *media.Frame) {
	c := *f
	c.Payload = append([]byte(nil), f.Payload...)
	select {
	case k.got <- c:
	default:
	}
}

// Video goes from one endpoint to another from a key picture on, plain and under keys; who is without one asks for it, and the
// peer is told.
func TestVideo(t *testing.T) {
	for _, c := range []struct {
		name string
		want media.Want
		srtp bool
	}{{"with audio", media.Want{}, false}, {"alone", media.Want{NoAudio: true}, false}, {"under keys", media.Want{}, true}} {
		t.Run(c.name, func(t *testing.T) {
			n := newLines(t)
			a, b := newVideoPair(t, n, c.want, c.srtp)
			at := media.Pad{Kind: media.Video}
			vp8 := media.VideoFormat("VP8", "")
			asked := make(chan media.Feedback, 100)
			camera := media.NewSource(nil, func(fb media.Feedback) {
				if fb.Kind == media.KeyFrame {
					select {
					case asked <- fb:
					default:
					}
				}
			})
			camera.SetFormats(vp8)
			camera.Link(a.Sink(at))
			k := &shown{caps: &media.Caps{Formats: []*media.Format{vp8}}, got: make(chan media.Frame, 100)}
			b.Source(at).Link(k)
			seq := uint16(0)
			send := func(key bool) {
				p := append([]byte{0x10, 0x51}, make([]byte, 1000)...)
				if key {
					p[1] = 0x50
				}
				camera.Send(&media.Frame{Kind: media.Video, Format: vp8, Payload: p, Timestamp: uint32(seq) * 4500, Sequence: seq, Marker: true, Key: key, Epoch: 1})
				seq++
			}
			send(false)
			if len(asked) != 1 {
				t.Fatal("no key picture was asked for at the start")
			}
			<-asked
			next := func(what string) media.Frame {
				t.Helper()
				select {
				case f := <-k.got:
					return f
				case <-time.After(30 * time.Second):
					t.Fatalf("%s doesn't come", what)
				}
				return media.Frame{}
			}
			for i := range 6 {
				send(i == 0)
				f := next("a picture")
				if f.Kind != media.Video || f.Key != (i == 0) || !f.Marker || len(f.Payload) != 1002 {
					t.Errorf("frame %d came as %v, key %t, marker %t, %d bytes", i, f.Kind, f.Key, f.Marker, len(f.Payload))
				}
			}
			k.Upstream(media.Feedback{Kind: media.KeyFrame})
			select {
			case <-asked:
			case <-time.After(30 * time.Second):
				t.Fatal("the key picture that the far sink asks for isn't asked for here")
			}
			var in, out media.Snapshot
			b.Stats(&in)
			a.Stats(&out)
			count := func(s media.Snapshot, inbound bool) (n uint64) {
				for _, st := range s.Streams {
					if st.Inbound == inbound && st.Format != nil && st.Format.Kind == media.Video {
						n = st.Packets
					}
				}
				return n
			}
			if i, o := count(in, true), count(out, false); i != 6 || o != 6 {
				t.Errorf("%d packets came, %d were sent, expected 6", i, o)
			}
		})
	}
}

// A peer's REMB bounds what our source may send, within what is set.
func TestVideoBound(t *testing.T) {
	n := newLines(t)
	a, _ := newVideoPair(t, n, media.Want{}, false)
	at := media.Pad{Kind: media.Video}
	said := make(chan float64, 100)
	camera := media.NewSource(nil, func(fb media.Feedback) {
		if fb.Kind == media.Bitrate {
			select {
			case said <- fb.Value:
			default:
			}
		}
	})
	camera.SetFormats(media.VideoFormat("VP8", ""))
	camera.Link(a.Sink(at))
	// becomes waits for a bound; until then, and for some seconds of the clock after it, the one before is told.
	before := 500_000.0
	becomes := func(want float64) {
		t.Helper()
		for v := range said {
			if v == want {
				break
			}
			if v != before {
				t.Fatalf("bounded to %v, expected %v", v, want)
			}
		}
		before = want
		for range 3 {
			if v := <-said; v != want {
				t.Fatalf("bounded to %v by and by, expected %v still", v, want)
			}
		}
	}
	a.SetRates(media.Rates{MinSend: 100_000, MaxSend: 500_000})
	becomes(500_000)
	a.video.heardFeedback([]prtcp.Packet{&prtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 50_000}}, 0)
	becomes(100_000)
	a.video.heardFeedback([]prtcp.Packet{&prtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 400_000}}, 0)
	becomes(400_000)
}

// An endpoint without video refuses its line, and goes on with audio.
func TestVideoRefused(t *testing.T) {
	n := newLines(t)
	a, err := New(Config{Net: n.net, Ports: n.ports, Bind: localhost, Video: videoFormats(), Feedback: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := New(Config{Net: n.net, Ports: n.ports, Bind: localhost})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	o, err := a.Offer(context.Background(), media.Want{Video: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Answer(context.Background(), o.SDP(), media.Want{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(p.SDP()), "\nm=video 0 ") {
		t.Fatalf("video isn't refused:\n%s", p.SDP())
	}
	if err := o.Accept("", p.SDP()); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(""); err != nil {
		t.Fatal(err)
	}
	if caps := a.Sink(media.Pad{Kind: media.Video}).Caps(); caps != nil {
		t.Errorf("video goes as %v", caps.Formats)
	}
	if a.RequestKeyframe() != ErrNoPicture {
		t.Error("a key picture is asked for where there is no video")
	}
}
