package rtpstream

import (
	"math"
	"testing"
	"time"

	"github.com/thesyncim/gopus"
)

// An Opus encoder with discontinuous transmission leaves out what nobody says, but for a packet every 400 ms (RFC 6716 2.1.9): that is silence,
// to the time it takes to be sure of it.
func TestOpusLeavesSilenceOut(t *testing.T) {
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: 48000, Channels: 1, Application: gopus.ApplicationVoIP})
	if err != nil {
		t.Fatal(err)
	}
	if err := enc.SetFrameSize(960); err != nil {
		t.Fatal(err)
	}
	enc.SetDTX(true)
	const spoken, quiet, all = 100, 250, 400 // packets of 20 ms
	var q Sequence
	h, sent := Header{SSRC: 1}, 0
	pcm, buf := make([]int16, 960), make([]byte, 1276)
	for i := range all {
		for j := range pcm {
			pcm[j] = 0
			if i < spoken || i >= spoken+quiet {
				at := float64(i*960+j) / 48000
				pcm[j] = int16(6000 * math.Sin(2*math.Pi*220*at) * (1 + math.Sin(2*math.Pi*4*at)) / 2)
			}
		}
		n, err := enc.EncodeInt16(pcm, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n > 2 { // fewer bytes needn't be sent
			now := int64(1e9) + int64(i)*20e6
			h.TS = uint32(i * 960)
			if q.Next(&h, now) != Drop {
				q.Pace(h.TS, 48000, now)
			}
			h.Seq++
			sent++
		}
	}
	if sent > all-quiet/2 {
		t.Fatalf("%d of %d packets are sent: the encoder leaves nothing out", sent, all)
	}
	if got, most := q.Stream().Silence, (quiet+2)*20*time.Millisecond; got > most || got < most-time.Second {
		t.Errorf("%v of silence of %v", got, quiet*20*time.Millisecond)
	}
}
