package rtp

import (
	"slices"
	"strings"
	"time"

	prtcp "github.com/pion/rtcp"

	"github.com/patchbay/patchbay/media/rtpstream"
	"github.com/patchbay/patchbay/media/sdp"
)

const (
	nackMost  = 64                           // packets that are asked for at a time
	nackSpan  = 90                           // numbers back: what is older comes too late to be taken
	nackFirst = int64(5 * time.Millisecond)  // that a packet may be late before it is asked for
	nackEvery = int64(40 * time.Millisecond) // between two requests
	nackTries = 4
)

// wanted is a packet that is missing.
type wanted struct {
	number uint16
	asked  int64 // when it was asked for last, at first when it was missed
	tries  uint8
}

// misses are the packets of a stream that haven't come (RFC 4585 6.2.1). The receiver's lock guards it.
type misses struct {
	list [nackMost]wanted
	n    int
	top  uint16 // the highest number
	sent uint64 // requests
}

// takes follows the stream, and reports whether there is something to be asked for.
func (m *misses) takes(h *rtpstream.Header, v rtpstream.Verdict, now int64) bool {
	switch v {
	case rtpstream.Begin:
		m.n, m.top = 0, h.Seq
	case rtpstream.Take:
		for n := m.top + 1; n != h.Seq; n++ {
			if h.Seq-n <= nackSpan && m.n < nackMost {
				m.list[m.n] = wanted{number: n, asked: now}
				m.n++
			}
		}
		m.top = h.Seq
	case rtpstream.Late:
		m.keep(func(w *wanted) bool { return w.number != h.Seq })
	}
	if m.n == 0 {
		return false
	}
	m.keep(func(w *wanted) bool {
		return m.top-w.number <= nackSpan && (w.tries < nackTries || now-w.asked < nackEvery)
	})
	return slices.ContainsFunc(m.list[:m.n], func(w wanted) bool { return w.due(m.top, now) })
}

// due says whether it is time to ask. What several packets overtook won't come by itself.
func (w *wanted) due(top uint16, now int64) bool {
	if w.tries == 0 {
		return top-w.number > 2 || now-w.asked >= nackFirst
	}
	return w.tries < nackTries && now-w.asked >= nackEvery
}

// keep leaves out what isn't to be kept.
func (m *misses) keep(which func(*wanted) bool) {
	n := 0
	for i := range m.n {
		if which(&m.list[i]) {
			m.list[n] = m.list[i]
			n++
		}
	}
	m.n = n
}

// ask is what is to be asked for now, in order.
func (m *misses) ask(now int64) (numbers []uint16) {
	for i := range m.n {
		if w := &m.list[i]; w.due(m.top, now) {
			w.asked = now
			w.tries++
			numbers = append(numbers, w.number)
		}
	}
	if numbers != nil {
		m.sent++
	}
	return numbers
}

// askLost sends a NACK.
func (e *Endpoint) askLost() {
	e.in.mu.Lock()
	ssrc, numbers := e.in.seq.SSRC, e.in.pictures.misses.ask(e.cfg.now())
	e.in.mu.Unlock()
	if len(numbers) > 0 {
		e.tellPeer(&prtcp.TransportLayerNack{SenderSSRC: e.sink.SSRC, MediaSSRC: ssrc, Nacks: prtcp.NackPairsFromSequenceNumbers(numbers)})
	}
}

// repeats reports whether a peer says on its line that packets can be asked for again: whatever it lists of rtcp-fb for some format.
func repeats(m *sdp.Media) bool { return feeds(m, "nack") }

// feeds reports whether a line has a kind of feedback for some format.
func feeds(m *sdp.Media, what string) bool {
	return speaks(m) && slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool {
		if a.Key != "rtcp-fb" {
			return false
		}
		f := strings.Fields(a.Value)
		return len(f) == 2 && f[1] == what
	})
}
