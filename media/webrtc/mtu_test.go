package webrtc

import (
	"testing"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/webrtc/webrtctest"
)

// Pictures go to a peer in packets that are no longer than is set, and are whole to it, whichever codec they have.
func TestPicturesCut(t *testing.T) {
	for _, codec := range []string{"VP8", "VP9", "H264"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			p := port(t)
			l, s := newScreen(t, p, webrtctest.ScreenConfig{Codecs: []string{codec}, Camera: true, Audio: true}, nil)
			l.SetMTU(68)
			shoot(t, s, codec, 1)
			source, own := videoOf(t, l)
			source.Link(own)
			await(t, "the camera's own picture", func() bool { return s.Seen().Pictures > 10 })
			var n media.Snapshot
			l.Stats(&n)
			in, out := streamOf(n, true), streamOf(n, false)
			came, went := float64(in.Bytes)/float64(in.Packets), float64(out.Bytes)/float64(out.Packets)
			if came < 60 || went > 56 {
				t.Errorf("packets of %.0f bytes came, of %.0f went; expected 60 and more, and 56 at most", came, went)
			}
		})
	}
}

// What a peer may send is asked of it less once much gets lost, on the terms that are set, and a source is told a first bound before the peer's path
// is known.
func TestRembOfPictures(t *testing.T) {
	var out pictureOut
	var in pictureIn
	r := &rich{}
	in.r, out.r = r, r
	in.remb.Set(media.Remb{Packets: 100, Losses: 12, Decrement: 0.5, Threshold: 0.8, Exponential: 0.04, LinearLeast: 50, LinearGrade: 30})
	in.layers[0].seq.Started, in.layers[0].seq.SSRC = true, 7
	const half = int64(5e8)
	seq, now := uint16(0), half
	// pass is a second in which each n-th packet of 100 is lost; it gives what the peer is asked for, 0 = nothing.
	pass := func(n int) uint64 {
		for i := range 100 {
			if seq++; n == 0 || i%n != 1 {
				in.feed(seq, now)
			}
		}
		now += 2 * half
		b := in.estimate(1, now)
		if b == nil {
			return 0
		}
		list, err := prtcp.Unmarshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(list[0].(*prtcp.ReceiverEstimatedMaximumBitrate).Bitrate)
	}
	pass(0)
	if got := pass(0); got != 0 {
		t.Errorf("without loss the peer is asked for %d bit/s", got)
	}
	lost := pass(4) // 75 of 1000 bytes come in a second
	if lost < 290_000 || lost > 310_000 {
		t.Errorf("at heavy loss of 600 kbit/s the peer is asked for %d bit/s, expected the half", lost)
	}
	if got := pass(0); got <= lost || got > 2*lost {
		t.Errorf("after it the peer is asked for %d bit/s, expected a little more than %d", got, lost)
	}
	in.limit.MaxReceive = 100_000
	if got := pass(0); got > 100_000 {
		t.Errorf("the peer is asked for %d bit/s, expected the bound", got)
	}

	out.first = 300_000
	if got := out.bound(); got != 300_000 {
		t.Errorf("a source is told %v bit/s at first", got)
	}
	out.path = 2e6
	if got := out.bound(); got != 2e6 {
		t.Errorf("a source is told %v bit/s when the path is known", got)
	}
}

// feed counts a packet of 1000 bytes.
func (n *pictureIn) feed(seq uint16, now int64) {
	h := header(seq)
	n.layers[0].seq.Next(&h, now)
	n.layers[0].seq.Bytes += 1000
}

func header(seq uint16) rtpstream.Header {
	return rtpstream.Header{Seq: seq, SSRC: 7, TS: uint32(seq) * 900}
}
