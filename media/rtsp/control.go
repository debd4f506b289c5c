package rtsp

import (
	"errors"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"github.com/patchbay/patchbay/media/container"
)

// Pause has what comes left out. A server of what has a length pauses too, and goes on where it is sought next. One of something live
// goes on: to it, the stream is still wanted.
func (s *Stream) Pause(on bool) {
	s.ring.pause(on, time.Now(), func() {
		if s.ring.duration > 0 && s.halts.CompareAndSwap(false, true) {
			s.behind.Go(s.halt)
		}
	})
}

// Wake has a Read that waits return a unit of track -1.
func (s *Stream) Wake() { s.ring.wake() }

// From is where the server chose to go on after a Seek: as a rule at the key picture before.
func (s *Stream) From() time.Duration { return s.from }

// Seek has the server play from elsewhere (RFC 2326 10.5), at once or, while it pauses, after that. A server that won't goes on where it is.
func (s *Stream) Seek(to time.Duration) error {
	if s.ring.duration == 0 {
		return container.ErrSeek
	}
	s.talk.Lock()
	defer s.talk.Unlock()
	s.from = to
	if s.ring.isPaused() {
		return nil
	}
	if err := s.rests(); err != nil {
		return refusal(err)
	}
	back := s.ring.reached()
	err := s.play(to)
	if refusal(err) == container.ErrSeek && s.play(back) == nil {
		return container.ErrSeek
	}
	return plain(err)
}

// refusal is ErrSeek where the server answered, and said no.
func refusal(err error) error {
	if _, no := errors.AsType[liberrors.ErrClientBadStatusCode](err); no {
		return container.ErrSeek
	}
	if err == nil {
		return nil
	}
	return plain(err)
}

// halt has the server pause, and keeps it so. One that can't goes on, and what it sends is left out.
func (s *Stream) halt() {
	s.talk.Lock()
	s.halts.Store(false)
	halted := s.ring.isPaused() && s.rests() == nil
	if halted {
		s.ring.halt()
	}
	halted, s.keeps = halted && !s.keeps, halted || s.keeps
	s.talk.Unlock()
	if !halted { // or another does
		return
	}
	t := time.NewTicker(s.rest)
	defer t.Stop()
	for more := true; more; {
		select {
		case <-s.gone:
			return
		case <-t.C:
			more = s.remind()
		}
	}
}

// remind tells a server that pauses that the stream is still wanted, and reports whether it pauses.
func (s *Stream) remind() bool {
	s.talk.Lock()
	defer s.talk.Unlock()
	if s.keeps = !s.plays && s.ring.isPaused(); !s.keeps {
		return false
	}
	_, _ = s.client.Options(s.at) // what ends the connection ends the stream
	return true
}

// rests has a server that plays pause. Who calls it talks.
func (s *Stream) rests() error {
	if !s.plays {
		return nil
	}
	_, err := s.client.Pause()
	s.plays = err != nil
	return err
}

// play has a server that doesn't play begin, from a place or near it. Who calls it talks, or nobody else can yet.
func (s *Stream) play(at time.Duration) error {
	s.ring.move()
	res, err := s.client.Play(&headers.Range{Value: &headers.RangeNPT{Start: s.first + at}})
	if err != nil {
		return err
	}
	s.plays, s.from = true, at
	var r headers.Range
	if s.ring.duration > 0 && r.Unmarshal(res.Header["Range"]) == nil {
		if npt, ok := r.Value.(*headers.RangeNPT); ok && npt.Start >= s.first && npt.Start-s.first <= s.ring.duration {
			s.from = npt.Start - s.first
		}
	}
	s.ring.moved(s.from, s.starts(res.Header["RTP-Info"]))
	return nil
}

// starts are what a server says of where its tracks begin. What it says of something live is of no use: there it is what comes that counts.
func (s *Stream) starts(h base.HeaderValue) []*start {
	var info headers.RTPInfo
	if s.ring.duration == 0 || info.Unmarshal(h) != nil {
		return nil
	}
	list := make([]*start, len(s.ring.tracks))
	for i, t := range s.ring.tracks {
		for _, e := range info {
			if e.SequenceNumber != nil && e.Timestamp != nil && t.medium.Control != "" && strings.HasSuffix(e.URL, t.medium.Control) {
				list[i] = &start{*e.SequenceNumber, *e.Timestamp, s.from}
			}
		}
	}
	return list
}

// pulse is how often a server wants to hear of a session (RFC 2326 12.37), and a bit oftener.
func pulse(h base.HeaderValue) time.Duration {
	const usual = 20 * time.Second
	var v headers.Session
	if v.Unmarshal(h) != nil || v.Timeout == nil || *v.Timeout == 0 {
		return usual
	}
	return min(usual, time.Duration(min(*v.Timeout, 3600))*time.Second/3)
}

// longest is the longest stream that is believed to have an end.
const longest = 1000 * time.Hour

// length reads from a description where the stream begins and how long it is (RFC 2326 C.1.5); 0 = it doesn't say, or has no end.
func length(description []byte) (first, length time.Duration) {
	for line := range strings.Lines(string(description)) {
		value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "a=range:")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		if end, ok := strings.CutPrefix(value, "npt=now-"); ok { // GStreamer's of a file whose beginning it hasn't looked for
			value = "npt=0-" + end
		}
		var r headers.Range
		if r.Unmarshal(base.HeaderValue{value}) != nil {
			continue
		}
		if npt, ok := r.Value.(*headers.RangeNPT); ok && npt.End != nil && npt.Start >= 0 && *npt.End > npt.Start && *npt.End <= longest {
			return npt.Start, *npt.End - npt.Start
		}
	}
	return 0, 0
}
