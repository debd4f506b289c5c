package webrtc

import (
	"math"
	"sync"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/video"
)

// pictureIn is the peer's picture on its way in: of a simulcast, each of its sizes. Packets come on a goroutine for each; flow
// lets one at a time through, and Close wait for them. mu is for those who look meanwhile, and nobody is called under it.
type pictureIn struct {
	r      *rich
	source media.Source

	flow   sync.Mutex
	closed bool        // under flow
	frame  media.Frame // under flow

	mu       sync.Mutex
	line     *pionLine // nil before an agreement, and while there is no picture in it
	receives bool
	in       [128]*media.Format
	key      [128]func([]byte) bool
	layers   [layersMax + 1]layerIn
	epoch    uint32
	told     bool        // Flowing was
	limit    media.Rates // as set
	said     float64     // bit/s that the sinks can take; 0 = not said
	remb     rtpstream.Remb
	asked    uint64 // bit/s of the peer, latest

	unknown, malformed, rejected uint64
}

// layerIn is one of the peer's streams of pictures.
type layerIn struct {
	seq      rtpstream.Sequence
	format   *media.Format
	wanted   bool  // a key picture is asked for and hasn't come
	at       int64 // when it was asked for last
	pictures video.Counter
	plis     uint64
}

func (n *pictureIn) init(r *rich) {
	n.r = r
	n.source.Init(r.e.cfg.Registry, n.heed)
}

// change sets another agreement in force.
func (n *pictureIn) change(s *scene, l *pionLine) {
	var list []*media.Format
	n.mu.Lock()
	n.line, n.receives = nil, false
	n.in, n.key = [128]*media.Format{}, [128]func([]byte) bool{}
	if s != nil && s.picture != nil {
		for _, f := range s.picture.formats {
			g := n.r.get(f.Format)
			n.in[f.Recv], n.key[f.Recv] = g, video.Key(f.Codec)
			list = append(list, g)
		}
		n.line, n.receives = l, s.picture.direction.Receives()
	}
	n.mu.Unlock()
	n.source.SetFormats(list...)
}

// get is the one pointer of a format under its payload type.
func (r *rich) get(f sdp.Format) *media.Format {
	return r.formats.Get(f, f.PT)
}

// speaker is the line that carries the picture now, nil if none.
func (n *pictureIn) speaker() *pionLine {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.line
}

// receive takes one packet of the peer's. layer is 0, or which of a simulcast's.
func (n *pictureIn) receive(l *pionLine, layer uint8, p []byte, now int64) {
	n.flow.Lock()
	defer n.flow.Unlock()
	if n.closed || layer > layersMax {
		return
	}
	n.mu.Lock()
	pass, ask, first := n.packet(l, layer, p, now)
	var ssrc uint32
	if ask {
		ssrc = n.layers[layer].seq.SSRC
	}
	n.mu.Unlock()
	if ask {
		n.request(l, ssrc)
	}
	if first {
		n.r.e.cfg.Notify(media.Flowing{From: l.from(), Format: n.frame.Format})
	}
	if pass {
		n.source.Send(&n.frame)
	}
}

// packet takes one packet up to the frame in it. ask says that a request for a key picture is due.
func (n *pictureIn) packet(l *pionLine, layer uint8, p []byte, now int64) (pass, ask, first bool) {
	if n.line != l {
		n.rejected++
		return
	}
	var h rtpstream.Header
	ok := h.Parse(p)
	var payload []byte
	if ok {
		payload, ok = h.Payload(p)
	}
	if !ok {
		n.malformed++
		return
	}
	y := &n.layers[layer]
	v := y.seq.Next(&h, now)
	if v == rtpstream.Drop {
		return
	}
	if v == rtpstream.Begin {
		n.epoch++
	}
	y.seq.Bytes += uint64(len(payload))
	format := n.in[h.PT]
	if format == nil || len(payload) == 0 { // probing for bandwidth
		y.seq.Skip(&h, v)
		if format == nil {
			n.unknown++
		}
		return
	}
	y.format = format
	if y.seq.Pace(h.TS, uint32(format.Clock), now) {
		n.epoch++
	}
	key := n.key[h.PT](payload)
	if key {
		y.wanted = false
	}
	ask = y.due(now)
	fr := &n.frame
	fr.Kind, fr.Format, fr.Payload, fr.Timestamp, fr.Marker = media.Video, format, payload, h.TS, h.Marker
	fr.Sequence, fr.Epoch, fr.Arrival, fr.Key, fr.Layer = y.seq.Number(&h, v), n.epoch, now, key, layer
	y.pictures.Count(fr, now)
	first = !n.told
	n.told = true
	return n.receives, ask, first
}

// due reports whether the peer is to be asked for a key picture now, and notes that it is. It is asked again while none comes.
func (y *layerIn) due(now int64) bool {
	if !y.wanted || y.at != 0 && now-y.at < int64(keyEvery) {
		return false
	}
	y.at = now
	y.plis++
	return true
}

// heed takes what the picture's sinks say. It may be called on the packet path.
func (n *pictureIn) heed(fb media.Feedback) {
	switch fb.Kind {
	case media.KeyFrame:
		n.want(fb.Layer)
	case media.Bitrate:
		n.mu.Lock()
		lower := n.said == 0 || fb.Value < n.said*0.95
		n.said = fb.Value
		l := n.line
		n.mu.Unlock()
		if lower && l != nil { // upwards the next report will do
			_ = l.SendControl(n.estimate(n.r.out.SSRC, udp.Now()))
		}
	}
}

// want asks for a key picture of a layer, of all for 0, as soon as it may be.
func (n *pictureIn) want(layer uint8) {
	now := udp.Now()
	var due []uint32
	n.mu.Lock()
	l := n.line
	for i := range n.layers {
		y := &n.layers[i]
		if l == nil || !y.seq.Started || layer != 0 && int(layer) != i {
			continue
		}
		y.wanted = true
		if y.due(now) {
			due = append(due, y.seq.SSRC)
		}
	}
	n.mu.Unlock()
	for _, ssrc := range due {
		n.request(l, ssrc)
	}
}

// request sends a PLI (RFC 4585 6.3.1).
func (n *pictureIn) request(l *pionLine, ssrc uint32) {
	b, err := (&prtcp.PictureLossIndication{SenderSSRC: n.r.out.SSRC, MediaSSRC: ssrc}).Marshal()
	if err == nil {
		_ = l.SendControl(b) // it is asked for again while none comes
	}
}

// estimate is what the peer may send at most, as REMB; nil if nothing bounds it, or it doesn't send.
func (n *pictureIn) estimate(sender uint32, now int64) []byte {
	n.mu.Lock()
	rate := n.said
	if seems := n.remb.Look(n.layers[0].seq.Stream(), now); seems > 0 && (rate == 0 || seems < rate) {
		rate = seems
	}
	if most := float64(n.limit.MaxReceive); most > 0 && (rate == 0 || rate > most) {
		rate = most
	}
	if rate > 0 {
		rate = max(rate, float64(n.limit.MinReceive))
	}
	var ssrcs []uint32
	for i := range n.layers {
		if y := &n.layers[i]; y.seq.Started {
			ssrcs = append(ssrcs, y.seq.SSRC)
		}
	}
	layered := len(ssrcs) > 1
	n.asked = uint64(rate)
	n.mu.Unlock()
	if rate == 0 || layered || len(ssrcs) == 0 {
		return nil
	}
	b, err := (&prtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: sender, Bitrate: float32(min(rate, math.MaxUint32)), SSRCs: ssrcs}).Marshal()
	if err != nil {
		return nil
	}
	return b
}

// blocks report the peer's streams.
func (n *pictureIn) blocks() (out []rtpstream.Block) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.layers {
		if y := &n.layers[i]; y.seq.Started && y.format != nil {
			out = append(out, y.seq.Block())
		}
	}
	return out
}

// streams are the peer's, as they were counted.
func (n *pictureIn) streams() (out []media.Stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var nacks uint64
	now := udp.Now()
	if n.line != nil {
		nacks = n.line.nacks.Load()
	}
	for i := range n.layers {
		y := &n.layers[i]
		if !y.seq.Started {
			continue
		}
		st := y.seq.Stream()
		st.Format, st.Epochs, st.Layer = y.format, n.epoch, uint8(i)
		st.PLIs, st.Target = y.plis, n.asked
		y.pictures.Tell(&st, now)
		st.NACKs, nacks = nacks, 0
		out = append(out, st)
	}
	return out
}

func (n *pictureIn) notes(s *media.Snapshot) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Note("webrtc.video.malformed", float64(n.malformed))
	s.Note("webrtc.video.unknown", float64(n.unknown))
	s.Note("webrtc.video.rejected", float64(n.rejected))
}

func (n *pictureIn) close() {
	n.flow.Lock()
	n.closed = true
	n.flow.Unlock()
	n.source.Close()
}
