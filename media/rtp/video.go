package rtp

import (
	"context"
	"errors"
	"slices"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
	"github.com/patchbay/patchbay/media/udp"
	"github.com/patchbay/patchbay/media/video"
)

// keyEvery is the least time between two requests for a key picture.
const keyEvery = int64(500 * time.Millisecond)

// pictures is what an endpoint of video keeps beside what one of audio does. It is guarded by the locks of the way it is of.
type pictures struct {
	// The way in; under the receiver's lock.
	key    func([]byte) bool // of the format that comes
	wanted bool              // a key picture is asked for and hasn't come
	asked  int64
	plis   uint64
	misses misses
	came   video.Counter

	// The way out; under the sender's lock.
	waits  bool // for a key picture
	begun  bool
	epoch  uint32
	at     int64 // when one was asked for last
	again  again
	cutter *video.Cutter // nil before the first frame
	went   video.Counter
	most   int    // bytes of a payload
	plied  uint64 // how often the peer asked for one, by PLI and by FIR
	fired  uint64

	// What is said of rates; under the receiver's lock.
	limit  media.Rates
	remb   rtpstream.Remb
	target uint64  // what the peer was asked for, bit/s
	asks   float64 // bit/s that our sinks can take; 0 = not said
	path   float64 // bit/s that the peer says its path takes; 0 = not said
	first  float64 // and what it is taken for until then, if it will say
}

// newVideo makes a line of video, without ports before there is one in SDP. Its silence says nothing of the session.
func newVideo(cfg Config) (*Endpoint, error) {
	notify := cfg.Notify
	cfg.Formats, cfg.Video, cfg.Timeout, cfg.Ptime = cfg.Video, nil, -1, 0
	cfg.Notify = func(n media.Notice) {
		if _, ok := n.(media.Flowing); ok {
			notify(n)
		}
	}
	e := &Endpoint{cfg: cfg, session: sdp.NewVideo("-", cfg.Advertise), pictures: &pictures{waits: true, most: maxPayload}}
	return e, e.init(e.heed)
}

// only is a description with that line alone.
func only(d *sdp.Description, i int) *sdp.Description {
	one := *d
	one.Media = d.Media[i : i+1]
	return &one
}

// videoLine is where a description has video; -1 = it has none in use.
func videoLine(d *sdp.Description) int {
	return slices.IndexFunc(d.Media, func(m sdp.Media) bool { return m.Kind == "video" && m.Port != 0 && m.RTP() })
}

// with puts the line of another description into its place in one of ours, and writes that.
func with(d *sdp.Description, i int, other *sdp.Description) ([]byte, error) {
	whole := *d
	whole.Media = slices.Clone(d.Media)
	if other != nil && i >= 0 && i < len(whole.Media) && len(other.Media) > 0 {
		whole.Media[i] = other.Media[0]
	}
	return whole.Marshal()
}

// offerVideo makes the offer of the line of video, if one is wanted; at is its place in local.
func (e *Endpoint) offerVideo(ctx context.Context, w media.Want, local *sdp.Description) (o *offer, at int, err error) {
	at = slices.IndexFunc(local.Media, func(m sdp.Media) bool { return m.Kind == "video" })
	if e.video == nil || at < 0 || !w.Video {
		return nil, -1, nil
	}
	v := e.video
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := errors.Join(v.ready(ctx, w), v.listen()); err != nil {
		return nil, -1, err
	}
	o, err = v.offerOn(w)
	return o, at, err
}

// answerVideo makes the answer to an offer's line of video; nil if there is none that can be had.
func (e *Endpoint) answerVideo(ctx context.Context, remote *sdp.Description, w media.Want) (p *pending, at int) {
	at = videoLine(remote)
	if e.video == nil || at < 0 {
		return nil, -1
	}
	v := e.video
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := errors.Join(v.ready(ctx, w), v.listen()); err != nil {
		v.cfg.Log.Warn("video is refused", "endpoint", v.cfg.Name, "err", err)
		return nil, -1
	}
	p, err := v.answerOn(only(remote, at), w)
	if err != nil {
		return nil, -1 // the line is refused
	}
	return p, at
}

// acceptVideo takes an answer's line of video. The error says why it isn't used.
func (o *offer) acceptVideo(tag string, body []byte, remote *sdp.Description) error {
	if o.video == nil || o.at >= len(remote.Media) || remote.Media[o.at].Port == 0 {
		return sdp.Refuse(sdp.ErrNoAudio, "The answer has no video")
	}
	o.video.e.mu.Lock()
	defer o.video.e.mu.Unlock()
	return o.video.accept(tag, body, only(remote, o.at))
}

// feedbackOf are the messages about video that a line's peer may send, and is sent (RFC 4585); repeats says that
// lost packets are asked for.
func feedbackOf(repeats bool) []sdp.Attribute {
	var out []sdp.Attribute
	for _, what := range []string{"nack", "nack pli", "ccm fir", "goog-remb"} {
		if what == "nack" && !repeats {
			continue
		}
		out = append(out, sdp.Attribute{Key: "rtcp-fb", Value: "* " + what})
	}
	return out
}

// speaks reports whether a line's profile has feedback.
func speaks(m *sdp.Media) bool { return len(m.Proto) > 0 && m.Proto[len(m.Proto)-1] == 'F' }

// picture fills in what a frame of video has. The caller holds the receiver's lock.
func (n *pictures) picture(f *media.Frame, now int64) (ask bool) {
	f.Kind, f.Key = media.Video, n.key != nil && n.key(f.Payload)
	if f.Key {
		n.wanted = false
	}
	n.came.Count(f, now)
	return n.due(now)
}

// typed takes another format that comes.
func (n *pictures) typed(f *media.Format) {
	if n.key = nil; f != nil {
		n.key = video.Key(f.Codec)
	}
}

func (n *pictures) due(now int64) bool {
	if !n.wanted || n.asked != 0 && now-n.asked < keyEvery {
		return false
	}
	n.asked = now
	n.plis++
	return true
}

// lets says whether a frame goes out, and whether a key picture is to be asked for: one comes first, and after whatever else is sent
// of another stream.
func (n *pictures) lets(f *media.Frame, now func() int64) (goes, ask bool) {
	if !n.begun || f.Epoch != n.epoch {
		n.begun, n.epoch, n.waits = true, f.Epoch, true
	}
	if !n.waits {
		return true, false
	}
	if !f.Key {
		if t := now(); n.at == 0 || t-n.at >= keyEvery {
			n.at, ask = t, true
		}
		return false, ask
	}
	n.waits = false
	return true, false
}

// pictured is a sender's packet time where it sends video, whose packets are longer than it says.
const pictured = 254

// show sends a frame of video, from a key picture on. The caller holds the sender's lock.
func (s *sender) show(f *media.Frame) {
	if s.e.pictures == nil {
		s.dropped++
		return
	}
	goes, ask := s.e.pictures.lets(f, s.e.cfg.now)
	if ask {
		s.Upstream(media.Feedback{Kind: media.KeyFrame})
	}
	if !goes {
		return
	}
	failed := s.unsent + s.reused + s.dropped
	if s.slice(f); failed == s.unsent+s.reused+s.dropped {
		s.e.pictures.went.Count(f, s.e.cfg.now())
	}
}

// slice sends a frame of video as one packet, or as several that are no longer than they may be. The caller holds the sender's lock.
func (s *sender) slice(f *media.Frame) {
	n := s.e.pictures
	if n.cutter == nil || n.cutter.Codec() != f.Format.Codec {
		if n.cutter = video.NewCutter(f.Format.Codec, n.most); n.cutter == nil {
			s.dropped++
			return
		}
		s.Pause() // its numbers aren't those before
	}
	pieces, first, ok := n.cutter.Cut(f.Payload, f.Sequence, f.Epoch)
	if !ok {
		s.dropped++
		return
	}
	one := *f
	for i, p := range pieces {
		one.Payload, one.Sequence, one.Marker = p, first+uint16(i), f.Marker && i == len(pieces)-1
		if len(p) > maxPayload {
			s.dropped++
			continue
		}
		s.write(&one)
	}
}

// SetMTU bounds what packets of video that are sent have, from their header on and without what SRTP adds, bytes. An endpoint that carries none
// takes no notice.
func (e *Endpoint) SetMTU(bytes int) {
	if v := e.video; v != nil {
		v.sink.mu.Lock()
		defer v.sink.mu.Unlock()
		v.pictures.most = min(bytes-rtpstream.HeaderSize, maxPayload)
		if c := v.pictures.cutter; c != nil {
			c.SetMost(v.pictures.most)
		}
	}
}

// heed takes what the sinks of our video say.
func (e *Endpoint) heed(fb media.Feedback) {
	switch fb.Kind {
	case media.KeyFrame:
		e.in.mu.Lock()
		e.pictures.wanted = true
		ask := e.in.seq.Started && e.pictures.due(e.cfg.now())
		e.in.mu.Unlock()
		if ask {
			e.askKey()
		}
	case media.Bitrate:
		e.in.mu.Lock()
		e.pictures.asks = fb.Value
		e.in.mu.Unlock()
		e.askRate(e.cfg.now())
	}
}

// askRate tells the peer how much it may send: what our sinks can take and, on the terms of Remb, what its path seems to, within what is set.
func (e *Endpoint) askRate(now int64) {
	e.in.mu.Lock()
	n := e.pictures
	ssrc, started := e.in.seq.SSRC, e.in.seq.Started
	rate := n.asks
	if seems := n.remb.Look(e.in.seq.Stream(), now); seems > 0 && (rate == 0 || seems < rate) {
		rate = seems
	}
	if rate > 0 {
		if most := float64(n.limit.MaxReceive); most > 0 {
			rate = min(rate, most)
		}
		rate = max(rate, float64(n.limit.MinReceive))
	}
	n.target = uint64(rate)
	e.in.mu.Unlock()
	if started && rate > 0 {
		e.tellPeer(&prtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: e.sink.SSRC, Bitrate: float32(rate), SSRCs: []uint32{ssrc}})
	}
}

// SetRemb has what a peer may send be estimated on these terms from now on. An endpoint that carries no video takes no notice.
func (e *Endpoint) SetRemb(p media.Remb) {
	if v := e.video; v != nil {
		v.in.mu.Lock()
		v.pictures.remb.Set(p)
		v.pictures.first = float64(p.OnConnect)
		v.in.mu.Unlock()
		v.retell()
	}
}

// askKey sends a PLI.
func (e *Endpoint) askKey() {
	e.in.mu.Lock()
	ssrc := e.in.seq.SSRC
	e.in.mu.Unlock()
	e.tellPeer(&prtcp.PictureLossIndication{SenderSSRC: e.sink.SSRC, MediaSSRC: ssrc})
}

// tellPeer sends feedback, behind a report (RFC 4585 3.1), to a peer that knows it.
func (e *Endpoint) tellPeer(p prtcp.Packet) {
	a := e.agreed.Load()
	if a == nil || !a.feedback || a.silent {
		return
	}
	more, err := p.Marshal()
	if err == nil {
		e.sendCompound(a, e.cfg.now(), false, more)
	}
}

// heardFeedback takes the peer's feedback about our video.
func (e *Endpoint) heardFeedback(list []prtcp.Packet, now int64) {
	for _, q := range list {
		switch q := q.(type) {
		case *prtcp.PictureLossIndication:
			if q.MediaSSRC == e.sink.SSRC {
				e.sink.count(&e.pictures.plied)
				e.sink.Upstream(media.Feedback{Kind: media.KeyFrame})
			}
		case *prtcp.TransportLayerNack:
			if q.MediaSSRC == e.sink.SSRC {
				e.sink.again(q.Nacks, now)
			}
		case *prtcp.FullIntraRequest:
			for _, f := range q.FIR {
				if f.SSRC == e.sink.SSRC {
					e.sink.count(&e.pictures.fired)
					e.sink.Upstream(media.Feedback{Kind: media.KeyFrame})
				}
			}
		case *prtcp.ReceiverEstimatedMaximumBitrate:
			e.estimated(float64(q.Bitrate))
		}
	}
}

// estimated takes what the peer says that its path takes, in bit/s.
func (e *Endpoint) estimated(rate float64) {
	e.in.mu.Lock()
	e.pictures.path = rate
	e.in.mu.Unlock()
	e.retell()
}

// retell tells the source of our video, which may be another than before, what it may send: what the path takes, within what is set.
func (e *Endpoint) retell() {
	a := e.agreed.Load()
	e.in.mu.Lock()
	limit, rate := e.pictures.limit, e.pictures.path
	if rate == 0 && a != nil && a.estimates {
		rate = e.pictures.first
	}
	e.in.mu.Unlock()
	if most := float64(limit.MaxSend); most > 0 && (rate == 0 || rate > most) {
		rate = most
	}
	if rate > 0 {
		e.sink.Upstream(media.Feedback{Kind: media.Bitrate, Value: max(rate, float64(limit.MinSend))})
	}
}

// SetRates bounds the rates of video from now on. An endpoint that carries none takes no notice.
func (e *Endpoint) SetRates(r media.Rates) {
	if v := e.video; v != nil {
		v.in.mu.Lock()
		v.pictures.limit = r
		v.in.mu.Unlock()
		v.retell()
	}
}

// ErrNoPicture is the refusal to ask a peer for a key picture that sends none, or knows no such request.
var ErrNoPicture = errors.New("rtp: no pictures come, or the peer can't be asked for one")

// RequestKeyframe asks the peer for a picture that needs no other.
func (e *Endpoint) RequestKeyframe() error {
	v := e.video
	if v == nil {
		return ErrNoPicture
	}
	if a := v.agreed.Load(); a == nil || !a.feedback || a.silent {
		return ErrNoPicture
	}
	v.heed(media.Feedback{Kind: media.KeyFrame})
	return nil
}

var _ udp.Handler = (*rtpHandler)(nil)
