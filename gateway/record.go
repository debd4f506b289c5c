package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/media"
)

// record numbers a call's events and hands them to the journal. Only the call's goroutine uses it.
type record struct {
	g    *Gateway
	call call.Call // the projection so far: what Router, Charger and the API see
	seq  uint64
	// lenient: the call goes on where its record can't be written. It is one for help.
	lenient bool

	family atomic.Pointer[call.ID] // LinkedID, for whoever asks
}

// linked is the first call of the family; any goroutine may ask.
func (r *record) linked() call.ID {
	if id := r.family.Load(); id != nil {
		return *id
	}
	return call.ID{}
}

func (r *record) event(leg int, at time.Time, d call.Data) call.Event {
	r.seq++
	e := call.Event{Call: r.call.ID, Seq: r.seq, At: at, Mono: r.g.clock.at(at), Leg: leg, Data: d}
	if err := r.call.Apply(e); err != nil {
		r.g.log.Error("record does not follow", "call", r.call.ID, "err", err)
	}
	if id := r.call.LinkedID; id != r.linked() {
		r.family.Store(&id)
	}
	return e
}

// note writes an event that rides on the next commit.
func (r *record) note(leg int, at time.Time, d call.Data) { r.g.cfg.Journal.Note(r.event(leg, at, d)) }

// errStalled is what a commit returns that took too long to wait for.
var errStalled = errors.New("records can't be written in time")

// commitTime is how long a call waits for its record before it is refused, or goes on unconfirmed.
const commitTime = 2 * time.Second

// commit makes everything noted so far durable, with these.
func (r *record) commit(es ...call.Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTime)
	defer cancel()
	if err := r.g.cfg.Journal.Commit(ctx, es...); err != nil {
		r.g.log.Error("record not durable", "call", r.call.ID, "seq", r.seq, "err", err)
		if r.lenient {
			return nil
		}
		return errors.Join(errStalled, err)
	}
	return nil
}

// counted reads what an endpoint counted. answered is CLOCK_MONOTONIC of the leg's answer, 0 if none.
func counted(e media.Element, answered int64) *call.Quality {
	if e == nil {
		return nil
	}
	var s media.Snapshot
	e.Stats(&s)
	q := &call.Quality{}
	for _, st := range s.Streams {
		if st.Inbound {
			q.Received += st.Packets
			q.ReceivedB += st.Bytes
			q.Lost += st.Lost
			q.Duplicate += st.Duplicate
			q.Reordered += st.Reordered
			q.Rejected += st.Rejected
			q.JitterMS = msf(st.Jitter)
			q.JitterMaxMS = max(q.JitterMaxMS, msf(st.JitterMax))
			q.LastRTPMono = max(q.LastRTPMono, st.Last)
			if st.First != 0 && answered != 0 {
				d := max(0, (st.First-answered)/1e6)
				q.FirstRTPMS = &d
			}
			continue
		}
		q.Sent += st.Packets
		q.SentB += st.Bytes
		q.RemoteLost += st.Lost
		q.RemoteJit = msf(st.Jitter)
		q.RTTMS = msf(st.RTT)
	}
	return q
}

func msf(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
