package billing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchbay/patchbay/gateway/call"
)

// work is one batch: what goes to the database in one transaction. It stays as it is until that transaction is known
// to have been committed.
type work struct {
	last   uint64 // lsn of its last record
	newest time.Time
	oldest time.Time
	events []eventRow
	calls  []*touched
	months map[month]bool
	dead   []deadLetter

	failures int // of its transaction
}

type eventRow struct {
	lsn  uint64
	e    call.Event
	data []byte // JSON
}

// touched is a call that the batch changed, as it is behind the batch's last event.
type touched struct {
	lsn  uint64
	call *call.Call
	all  bool         // legs
	legs map[int]bool // that changed

	notices []notice    // for webhooks
	end     *call.Event // if the batch has it
}

type deadLetter struct {
	lsn  uint64
	part string
	id   *call.ID
	seq  *uint64
	raw  []byte
	err  string
}

// next reads the next batch from the journal; work stays nil if there is none.
func (p *projector) next() error {
	records, damage, err := p.journal.read(&p.cur, p.batch)
	if err != nil {
		return err
	}
	w := &work{months: make(map[month]bool)}
	if p.done == 0 || !p.began {
		p.journal.mu.Lock()
		damage = append(damage, p.journal.damage...)
		p.journal.mu.Unlock()
	}
	for _, d := range damage {
		p.journal.stats.damaged.Add(1)
		p.log.Error("the journal is damaged", "err", d)
		w.dead = append(w.dead, deadLetter{lsn: d.First, part: "journal", err: d.Error()})
		w.last = max(w.last, d.Last)
	}
	if len(records) == 0 && len(damage) == 0 {
		return nil
	}
	at := make(map[call.ID]*touched)
	for _, r := range records {
		w.last = max(w.last, r.lsn)
		if r.isEvent() {
			p.take(w, at, r)
		}
	}
	if !w.oldest.IsZero() {
		p.journal.stats.oldest.Store(w.oldest.UnixNano())
	}
	p.work = w
	return nil
}

// take applies one record's event to its call and enters the rows that this makes.
func (p *projector) take(w *work, at map[call.ID]*touched, r record) {
	id, seq := r.key()
	fresh := r.lsn > p.done
	e, err := r.event()
	if err != nil {
		if fresh {
			w.bury(r, id, seq, err)
		}
		return
	}
	b := p.calls[id]
	if b == nil {
		if seq != 1 {
			if fresh && p.journal.isLost(id) {
				w.bury(r, id, seq, errors.New("the call's beginning isn't in the journal"))
			}
			return // the rest of a call that is in the database
		}
		b = &builder{}
		p.calls[id] = b
	}
	answered := b.call != nil && b.call.AnsweredAt != nil
	out, err := b.add(e)
	if err != nil && fresh {
		w.bury(r, id, seq, err)
	}
	if r.kind == recordClosing {
		delete(p.calls, id)
	}
	if !fresh || b.call == nil {
		return
	}
	if m := monthOf(id.Started()); m.usable() {
		w.months[m] = true
	} else {
		w.bury(r, id, seq, fmt.Errorf("the call's id says it began in %s", m))
		return
	}
	for _, e := range out {
		var data []byte
		if r.data > 0 && e.Seq == seq {
			data = r.payload[r.data : len(r.payload)-1]
		}
		w.enter(r.lsn, e, data, b.call, at)
	}
	p.tell(at[id], out, answered)
}

// enter adds the event's row and marks what it changed. data are the event's in JSON, if that was made already.
func (w *work) enter(lsn uint64, e call.Event, data []byte, c *call.Call, at map[call.ID]*touched) {
	if data == nil {
		var err error
		if data, err = json.Marshal(e.Data); err != nil { // it was read from JSON a moment ago
			data = []byte(`{}`)
		}
	}
	w.events = append(w.events, eventRow{lsn, e, cleanJSON(data)})
	if w.oldest.IsZero() || e.At.Before(w.oldest) {
		w.oldest = e.At
	}
	w.newest = e.At
	t := at[e.Call]
	if t == nil {
		t = &touched{call: c, legs: make(map[int]bool)}
		at[e.Call] = t
		w.calls = append(w.calls, t)
	}
	t.lsn = lsn
	switch e.Data.(type) {
	case call.Interim, call.PartialRecord, call.End, call.RecoveredEnd: // what legs talked, and counted
		t.all = true
	}
	t.legs[e.Leg] = true
}

func (w *work) bury(r record, id call.ID, seq uint64, err error) {
	w.dead = append(w.dead, deadLetter{lsn: r.lsn, part: "event", id: &id, seq: &seq, raw: r.payload[eventHeader:], err: err.Error()})
}

// isLost reports whether the journal was found without the call's beginning.
func (j *journal) isLost(id call.ID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, lost := j.lost[id]
	return lost
}

// clean makes a text that Postgres takes: it has no character 0.
func clean(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}

// cleanJSON does the same to JSON, where the character is written \u0000.
func cleanJSON(s []byte) []byte {
	if !bytes.Contains(s, []byte(`\u0000`)) {
		return s
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if bytes.HasPrefix(s[i:], []byte(`\u0000`)) {
			b = append(b, `\ufffd`...)
			i += 5
			continue
		}
		b = append(b, s[i:i+2]...) // so that an escaped backslash doesn't begin another escape
		i++
	}
	return b
}
