package webrtc

import (
	"errors"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/media/rtpstream"
)

// rich is what an endpoint has that may carry more than audio: pictures each way, and data channels. What stands behind it is a
// PeerConnection then, once the first offer has asked for either.
type rich struct {
	e       *Endpoint
	in      pictureIn
	out     pictureOut
	control rtpstream.Control
	data    channels
	formats rtpstream.Formats
}

const (
	pictureReport = time.Second            // between reports of pictures: a browser's picture of loss and delay is as old
	keyEvery      = 500 * time.Millisecond // between two requests of ours for a key picture
)

func newRich(e *Endpoint) *rich {
	r := &rich{e: e}
	r.control.Init()
	r.control.Name = e.control.Name // one peer, one clock: sound and picture are in step by it
	r.in.init(r)
	r.out.init(r)
	r.data.init(r)
	return r
}

// change sets another agreement in force, nil for none.
func (r *rich) change(a *agreement) {
	var s *scene
	var l *pionLine
	if a != nil && a.deal.scene != nil {
		s = a.deal.scene
		l, _ = a.line.(*pionLine)
	}
	if l == nil {
		s = nil
	}
	r.in.change(s, l)
	r.out.change(s, l)
	r.data.change(s, l)
}

// tick is called about once a second.
func (r *rich) tick(now int64) {
	l := r.in.speaker()
	if l == nil {
		return
	}
	r.out.retell()
	if !r.control.Due(pictureReport, now) {
		return
	}
	r.report(l, now, false)
}

// report sends reports of both pictures, and how much the peer may send.
func (r *rich) report(l *pionLine, now int64, bye bool) {
	sent := r.out.sent(now, time.Now())
	blocks := r.in.blocks()
	if len(blocks) == 0 && sent.Packets == 0 && !bye {
		return
	}
	for i := range max(1, len(blocks)) {
		if i < len(blocks) {
			sent.About, sent.Hears = blocks[i], true
			r.control.Answer(&sent.About, now)
		}
		b := sent.Append(nil, r.control.Name, now, 5*pictureReport, bye && i == 0)
		if i == 0 {
			b = append(b, r.in.estimate(sent.SSRC, now)...)
		}
		_ = l.SendControl(b) // the next comes in a second
	}
}

// stats adds the streams of both directions, and what the channels counted.
func (r *rich) stats(s *media.Snapshot) {
	in, out := r.in.streams(), r.out.stream()
	for i := range in {
		var none media.Stream
		r.control.Stats(&in[i], &none)
	}
	var none media.Stream
	r.control.Stats(&none, &out)
	s.Streams = append(s.Streams, in...)
	if out.Packets > 0 {
		s.Streams = append(s.Streams, out)
	}
	r.in.notes(s)
	r.out.notes(s)
	r.data.notes(s)
}

// close ends the pads and the goroutine of data. The line is still there.
func (r *rich) close(now int64) {
	if l := r.in.speaker(); l != nil && r.out.stream().Packets > 0 {
		r.report(l, now, true)
	}
	r.in.close()
	r.out.shut()
	r.data.close()
}

// source and sink are the pads of a kind, nil if there is none.
func (r *rich) source(p media.Pad) *media.Source {
	switch {
	case p == media.Pad{Kind: media.Video} && len(r.e.cfg.Video) > 0:
		return &r.in.source
	case p == media.Pad{Kind: media.Data} && r.e.cfg.Data:
		return &r.data.source
	}
	return nil
}

func (r *rich) sink(p media.Pad) media.Sink {
	switch {
	case p == media.Pad{Kind: media.Video} && len(r.e.cfg.Video) > 0:
		return &r.out
	case p == media.Pad{Kind: media.Data} && r.e.cfg.Data:
		return &r.data.sink
	}
	return nil
}

// SetRates bounds the rates of pictures from now on. An endpoint that carries none takes no notice.
func (e *Endpoint) SetRates(r media.Rates) {
	if e.rich == nil {
		return
	}
	n, s := &e.rich.in, &e.rich.out
	n.mu.Lock()
	n.limit = r
	n.mu.Unlock()
	s.mu.Lock()
	s.limit = r
	s.mu.Unlock()
	s.retell()
}

// SetRemb has what a peer may send be estimated on these terms, beside what it finds itself, from now on. An endpoint that carries no pictures, and
// a peer's that sends several sizes, takes no notice.
func (e *Endpoint) SetRemb(p media.Remb) {
	if e.rich == nil {
		return
	}
	n, s := &e.rich.in, &e.rich.out
	n.mu.Lock()
	n.remb.Set(p)
	n.mu.Unlock()
	s.mu.Lock()
	s.first = float64(p.OnConnect)
	s.mu.Unlock()
	s.retell()
}

// Traffic is what went over an endpoint's path.
type Traffic struct {
	Sent, Received uint64        // bytes; of a leg of our own stack those of RTP alone
	RTT            time.Duration // 0 = not known
	Outgoing       float64       // bit/s that the path takes, as far as is known; 0 = not
}

// Traffic tells what went over the path.
func (e *Endpoint) Traffic() (t Traffic) {
	a := e.agreed.Load()
	if a == nil {
		return t
	}
	st := a.line.Stats()
	t.Sent, t.Received, t.RTT = st.Sent, st.Came, st.RTT
	if _, own := a.line.(*peer); own {
		in, out := e.in.stats(), e.sink.stats()
		e.control.Stats(&in, &out)
		t.Sent, t.Received, t.RTT = out.Bytes+rtpstream.HeaderSize*out.Packets, in.Bytes+rtpstream.HeaderSize*in.Packets, out.RTT
	}
	if e.rich != nil {
		e.rich.out.mu.Lock()
		t.Outgoing = e.rich.out.path
		e.rich.out.mu.Unlock()
	}
	return t
}

// ErrNoPicture is the refusal to ask a peer for a key picture that sends none.
var ErrNoPicture = errors.New("webrtc: no pictures come")

// RequestKeyframe asks the peer for a picture that needs no other.
func (e *Endpoint) RequestKeyframe() error {
	if e.rich == nil || e.rich.in.speaker() == nil {
		return ErrNoPicture
	}
	e.rich.in.want(0)
	return nil
}
