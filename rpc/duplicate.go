package rpc

import "time"

// A client that repeats a request within its session gets the reply that it missed, and the request isn't executed again.
const (
	answerLife    = 20 * time.Second
	maxAnswers    = 1024
	maxAnswerSize = 1 << 20 // bytes of one session's answers; above, and above maxAnswers, the oldest go
)

// answer is a reply, or the promise of one.
type answer struct {
	id    string
	reply []byte // nil: the request is still running
	begun time.Time
	wants []*conn // that asked for it again
	gone  bool
}

// wait has the reply sent to another connection too.
func (a *answer) wait(c *conn) {
	if len(a.wants) < 16 {
		a.wants = append(a.wants, c)
	}
}

// answers are a session's, oldest first; guarded by the session's lock.
type answers struct {
	by    map[string]*answer
	order []*answer
	bytes int
	all   *budget // of all sessions: when it is used up, those that hold more than a fair share forget the oldest
}

// add finds the answer to a request, or promises one; fresh tells which.
func (a *answers) add(id []byte, now time.Time) (x *answer, fresh bool) {
	a.trim(now)
	if x := a.by[string(id)]; x != nil {
		return x, false
	}
	if a.by == nil {
		a.by = map[string]*answer{}
	}
	x = &answer{id: string(id), begun: now}
	a.by[x.id] = x
	a.order = append(a.order, x)
	return x, true
}

// done keeps a promise. It returns who else waits for the reply.
func (a *answers) done(x *answer, reply []byte, now time.Time) []*conn {
	x.reply = reply
	if !x.gone {
		a.bytes += len(reply)
		a.all.used.Add(int64(len(reply)))
	}
	others := x.wants
	x.wants = nil
	a.trim(now)
	return others
}

// remove forgets an answer; its place in the order goes in time.
func (a *answers) remove(x *answer) {
	if x.gone {
		return
	}
	x.gone = true
	a.bytes -= len(x.reply)
	a.all.used.Add(-int64(len(x.reply)))
	delete(a.by, x.id)
}

// trim forgets what is too old or too much. What is still running stays, and goes to the end: there is no more of it than
// tasks and lanes.
func (a *answers) trim(now time.Time) {
	for range len(a.order) {
		x := a.order[0]
		full := len(a.order) > maxAnswers || a.bytes > maxAnswerSize || a.bytes > fairShare && a.all.used.Load() > a.all.most
		if !x.gone && x.reply != nil && !full && now.Sub(x.begun) < answerLife {
			return
		}
		a.order[0] = nil
		a.order = a.order[1:]
		if !x.gone && x.reply == nil {
			a.order = append(a.order, x)
		} else {
			a.remove(x)
		}
	}
	if len(a.order) == 0 {
		a.order = nil
	}
}

// drop forgets all, when the session ends.
func (a *answers) drop() {
	for _, x := range a.order {
		if x != nil {
			a.remove(x)
		}
	}
	a.order = nil
}
