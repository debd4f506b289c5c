package leg

import (
	"math"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/media"
	"github.com/patchbay/patchbay/sip"
)

// Report is a leg as it is now, or as it was when it ended. Times are in milliseconds, levels in dBm0.
type Report struct {
	CallID   string         `json:"sip_call_id"`
	Began    time.Time      `json:"began"`
	Answered *time.Time     `json:"answered,omitempty"`
	Ended    *time.Time     `json:"ended,omitempty"`
	EndedBy  string         `json:"ended_by,omitempty"` // us, peer, timeout, transport
	Status   int            `json:"status,omitempty"`   // of a refusal
	Phrase   string         `json:"phrase,omitempty"`
	Reason   string         `json:"reason,omitempty"` // RFC 3326, of whoever ended it
	Codec    string         `json:"codec,omitempty"`
	Ptime    int            `json:"ptime_ms,omitempty"`
	Local    netip.AddrPort `json:"rtp_local,omitzero"`
	Remote   netip.AddrPort `json:"rtp_remote,omitzero"`
	Cipher   string         `json:"srtp,omitempty"`        // of a browser: SRTP's profile as IANA names it, with keys from DTLS
	SetUp    float64        `json:"srtp_set_up,omitempty"` // from offer and answer to those keys
	Held     bool           `json:"held"`
	Digits   string         `json:"digits"` // DTMF heard
	Heard    Heard          `json:"heard"`
	Sent     uint64         `json:"packets_sent"`
}

// Heard is what was measured of the peer's audio since the leg began, or since Listen.
type Heard struct {
	Seconds    float64 `json:"seconds"`
	Level      float64 `json:"dbm0"`          // over all of it
	Strongest  Tone    `json:"strongest"`     // in its last second
	Silences   uint64  `json:"silences"`      // quiet for over 60 ms
	Pauses     uint64  `json:"pauses"`        // over 60 ms between packets, beyond their own length
	Longest    float64 `json:"longest_pause"` // of these pauses, also of shorter ones
	FirstAudio *int64  `json:"first_audio"`   // from the answer to the first packet; negative: media came before the answer
	Packets    uint64  `json:"packets"`
	Lost       int64   `json:"lost"`
	Rejected   uint64  `json:"rejected"` // from strangers
	Jitter     float64 `json:"jitter"`
	RTT        float64 `json:"rtt"` // 0 = unknown
}

// Listen begins the measurement anew.
func (l *Leg) Listen() error { return l.ear.again() }

// Report tells what is known now.
func (l *Leg) Report() Report {
	l.neg.Lock()
	held := l.held
	l.neg.Unlock()
	r := Report{CallID: l.d.CallID(), Held: held, Heard: l.heard()}
	n := l.agreed()
	r.Codec, r.Ptime, r.Local, r.Remote, r.Cipher, r.SetUp = n.codec, n.ptime, n.local, n.remote, n.profile, ms(n.setUp)
	var s media.Snapshot
	l.ep.Stats(&s)
	for _, x := range s.Streams {
		if !x.Inbound {
			r.Sent += x.Packets
			continue
		}
		h := &r.Heard
		h.Packets, h.Lost, h.Rejected = h.Packets+x.Packets, h.Lost+x.Lost, h.Rejected+x.Rejected
		h.Jitter, h.RTT = max(h.Jitter, ms(x.Jitter)), max(h.RTT, ms(x.RTT))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Began, r.Digits = l.began, string(l.digits)
	if !l.answered.IsZero() {
		at := l.answered
		r.Answered = &at
		if first := l.ear.second.began(); !first.IsZero() {
			after := first.Sub(at.Round(0)).Milliseconds()
			r.Heard.FirstAudio = &after
		}
	}
	if e := l.ended; e.Kind == Ended {
		r.Ended, r.EndedBy, r.Status, r.Phrase = &e.At, Who(e.By), e.Status, e.Phrase
		if !e.Reason.IsZero() {
			r.Reason = e.Reason.String()
		}
	}
	return r
}

func (l *Leg) heard() Heard {
	m, strongest := l.ear.read()
	return Heard{Seconds: m.Time.Seconds(), Level: math.Round(m.Level*100) / 100, Strongest: strongest,
		Silences: m.Silence.Count, Pauses: m.Pauses.Count, Longest: ms(m.Pauses.Longest)}
}

func ms(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Millisecond)*10) / 10 }

// Who names who ended a call, seen from our side.
func Who(b sip.By) string {
	if b == sip.ByLocal {
		return "us"
	}
	return b.String()
}
