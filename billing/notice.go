package billing

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/billing/webhook"
	"github.com/patchbay/patchbay/gateway/call"
)

// Kinds of what webhooks tell.
const (
	TellStart  = "call.start"
	TellAnswer = "call.answer"
	TellEnd    = "call.end"
	TellRated  = "call.rated"

	tellDone = "call.done" // a line of the file of finished calls
)

// TellKinds are those that a hook may ask for.
func TellKinds() []string { return []string{TellStart, TellAnswer, TellEnd, TellRated} }

// Hook is another program that is told of calls.
type Hook struct {
	ID     string
	Target webhook.Target
	Kinds  []string // of TellKinds; all if empty
	Tenant string   // whose calls; all if empty

	// Parallel is how many messages are on their way at a time, of different calls. Default 4.
	Parallel int
	// GiveUp is how long a message is tried before it becomes a dead letter. Default 24 h.
	GiveUp time.Duration
}

func (h Hook) wants(kind, tenant string) bool {
	return (h.Tenant == "" || h.Tenant == tenant) && (len(h.Kinds) == 0 || slices.Contains(h.Kinds, kind))
}

// notice is something to tell: made of an event as the journal is projected, so that it's told if and only if the event is on record.
type notice struct {
	kind string
	seq  uint64
	body []byte
}

// Message is the body of a webhook and a line of the file of finished calls.
type message struct {
	ID      string        `json:"id"` // the same whenever it is told again
	Type    string        `json:"type"`
	At      time.Time     `json:"at"`
	Call    *call.Call    `json:"call"` // as it was then
	Ratings []call.Rating `json:"ratings,omitempty"`

	// Of a call that was rated again: what some of its ratings took the place of.
	Superseded []superseded `json:"superseded,omitempty"`
}

// superseded is a rating that another of its side and run has taken the place of.
type superseded struct {
	Side     string `json:"side"`
	Run      string `json:"run,omitempty"`
	Revision int    `json:"revision"`
	Amount   string `json:"amount,omitempty"` // decimal; "": there was no price
	Currency string `json:"currency"`
}

func messageID(id call.ID, seq uint64) string { return id.String() + ":" + strconv.FormatUint(seq, 10) }

func note(kind string, e call.Event, c *call.Call, ratings []call.Rating, old ...superseded) (notice, error) {
	if kind != tellDone {
		short := *c
		short.Legs = nil
		c = &short
	}
	b, err := json.Marshal(message{messageID(e.Call, e.Seq), kind, e.At, c, ratings, old})
	return notice{kind, e.Seq, []byte(cleanJSON(b))}, err
}

// tell notes what the call's new events are worth telling; answered is whether the call was before them.
func (p *projector) tell(t *touched, events []call.Event, answered bool) {
	if len(p.cfg.Hooks) == 0 && p.cfg.CallsFile.Path == "" || t == nil {
		return
	}
	add := func(kind string, e call.Event) {
		n, err := note(kind, e, t.call, nil)
		if err != nil {
			p.log.Error("webhook", "call", e.Call, "kind", kind, "err", err)
			return
		}
		t.notices = append(t.notices, n)
	}
	for _, e := range events {
		switch k := e.Data.Kind(); {
		case k == call.KindStart:
			add(TellStart, e)
		case k == call.KindEnd || k == call.KindRecovered:
			add(TellEnd, e)
			t.end = &e
		case t.call.AnsweredAt != nil && !answered:
			add(TellAnswer, e)
			answered = true
		}
	}
}

const insertDelivery = `INSERT INTO patchbay.webhook_delivery (hook, call_id, seq, kind, body) SELECT h, $2, $3, $4, $5 FROM unnest($1::text[]) h ON CONFLICT DO NOTHING`

// deliveries are the statements that leave to the courier what is to be told of a call; ratings are those of its end.
func (p *projector) deliveries(t *touched, rated *call.Event) []statement {
	list := t.notices
	var ratings []call.Rating
	if d, ok := ratedData(rated); ok && t.end != nil {
		ratings = d.Ratings
		if n, err := note(TellRated, *rated, t.call, ratings); err == nil {
			list = append(list, n)
		}
	}
	if t.end != nil && p.cfg.CallsFile.Path != "" {
		if n, err := note(tellDone, *t.end, t.call, ratings); err == nil {
			list = append(list, n)
		}
	}
	var out []statement
	id := uuid.UUID(t.call.ID)
	for _, n := range list {
		var to []string
		if n.kind == tellDone {
			to = []string{fileHook(p.cfg.Node)}
		}
		for _, h := range p.cfg.Hooks {
			if n.kind != tellDone && h.wants(n.kind, t.call.Tenant) {
				to = append(to, h.ID)
			}
		}
		if len(to) > 0 {
			out = append(out, statement{t.lsn, "webhook " + n.kind, id, insertDelivery, []any{to, id, n.seq, n.kind, string(n.body)}, n.body})
			p.told = true
		}
	}
	return out
}

func ratedData(e *call.Event) (call.Rated, bool) {
	if e == nil {
		return call.Rated{}, false
	}
	d, ok := e.Data.(call.Rated)
	return d, ok
}

// fileHook stands in the table for the file of a node's finished calls.
func fileHook(node string) string { return "file:" + clean(node) }
