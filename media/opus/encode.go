package opus

import (
	"encoding/binary"

	"github.com/thesyncim/gopus"

	"github.com/patchbay/patchbay/media"
)

const (
	// most is the largest packet that we make: one frame of 20 ms (RFC 6716 3.2.1).
	most = 1276
	// lossy is the least complexity where packets are lost.
	lossy = 3
)

// encoder makes Opus packets of 20 ms of L16 frames of any length up to 120 ms. Lost frames are left to the receiver: it conceals
// an Opus stream better than we would conceal PCM.
type encoder struct {
	rate
	enc *gopus.Encoder
	per int // samples of a packet

	in  cursor
	due uint32 // timestamp of the next frame

	line timeline // of what comes out
	seq  uint16
	mark bool
	pcm  []int16 // not yet encoded
}

// newEncoder makes an encoder. It isn't used again: gopus's Reset leaves filters and voice detection as they were (v0.1.2), so
// that packets would begin with a trace of another call, and a new one takes 40 us.
func newEncoder(r rate) media.Converter {
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: r.hz, Channels: 1, Application: gopus.ApplicationVoIP})
	must(err)
	must(enc.SetBitrate(r.bits))
	must(enc.SetComplexity(r.complexity))
	must(enc.SetFrameSize(r.hz / 50))
	must(enc.SetSignal(gopus.SignalVoice))
	enc.SetVBR(true)
	enc.SetFEC(true)
	enc.SetDTX(false)
	return &encoder{rate: r, enc: enc, per: r.hz / 50, pcm: make([]int16, 0, r.hz/50+longest*r.hz/Clock)}
}

// Heed sets how much loss the redundancy is made for. The encoder adds none below 10 %, at these rates: loss that can be
// heard counts as that. Redundancy is worth something from complexity 2 on (TestLoss), so while there is loss it is 3.
func (e *encoder) Heed(loss float64) {
	percent, effort := 0, e.complexity
	if loss > 0.02 {
		percent, effort = int(min(max(loss*100, 10), 50)), max(effort, lossy)
	}
	must(e.enc.SetPacketLoss(percent))
	must(e.enc.SetComplexity(effort))
}

// Convert encodes a frame.
func (e *encoder) Convert(dst, src *media.Frame) bool {
	n := len(src.Payload) / 2
	if n == 0 || len(src.Payload)%2 != 0 || n > longest*e.hz/Clock {
		return false
	}
	gap, where := e.in.take(src)
	switch where {
	case behind:
		return false // what follows it is out
	case anew:
		e.begin(src)
	}
	if len(e.pcm) >= e.per {
		e.pcm = e.pcm[:0] // nobody had room for it
	}
	e.skip(src, gap)
	if src.Marker && len(e.pcm) == 0 {
		e.mark = true
	}
	for p := src.Payload; len(p) >= 2; p = p[2:] {
		e.pcm = append(e.pcm, int16(binary.BigEndian.Uint16(p)))
	}
	e.due = src.Timestamp + uint32(n)
	return e.More(dst)
}

// begin starts another stream of numbers. The encoder goes on: so does the decoder that listens.
func (e *encoder) begin(src *media.Frame) {
	e.due = src.Timestamp
	e.seq, e.mark = src.Sequence, src.Marker
	e.line.begin(src.Timestamp, e.hz, Clock)
	e.pcm = e.pcm[:0]
}

// skip goes on after what is missing before a frame, gap frames after the last: as loss where frames were lost, as a new
// talkspurt where the sender paused. A packet that was begun is lost with it, so that time stays right.
func (e *encoder) skip(src *media.Frame, gap int) {
	missing := int64(int32(src.Timestamp - e.due))
	if missing <= 0 {
		return
	}
	missing += int64(len(e.pcm))
	e.line.at += missing
	e.pcm = e.pcm[:0]
	if gap > 0 {
		e.seq += uint16(min((missing+int64(e.per)-1)/int64(e.per), farthest))
	} else {
		e.mark = true
	}
}

// More makes a packet of what waits, if that is 20 ms.
func (e *encoder) More(dst *media.Frame) bool {
	if len(e.pcm) < e.per || cap(dst.Payload) < most {
		return false
	}
	n, err := e.enc.EncodeInt16(e.pcm[:e.per], dst.Payload[:most])
	e.pcm = e.pcm[:copy(e.pcm, e.pcm[e.per:])]
	dst.Timestamp, dst.Sequence, dst.Marker = e.line.stamp(), e.seq, e.mark
	e.line.at += int64(e.per)
	e.seq++
	if err != nil || n == 0 {
		return false
	}
	dst.Payload = dst.Payload[:n]
	e.mark = false
	return true
}
