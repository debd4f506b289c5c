package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// Step is one question on the way from a name to its servers, and what was answered.
type Step struct {
	Name, Type string        // as asked; beside types of records, hosts (the hosts file) and addresses (what the system knows)
	Records    []string      // their values; none: there are none
	TTL        time.Duration // the least of the answer
	Err        error         // there was no answer
}

// tracer notes steps. Both families of addresses are asked for at once.
type tracer struct {
	mu    sync.Mutex
	steps []Step
}

func (t *tracer) note(s Step) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, s)
}

// answered notes what came to a question.
func (t *tracer) answered(host string, typ uint16, m *mdns.Msg, list []mdns.RR, err error) {
	if t == nil {
		return
	}
	s := Step{Name: host, Type: mdns.TypeToString[typ], Err: err}
	for _, rr := range list {
		s.Records = append(s.Records, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	if err == nil && len(list) > 0 {
		s.TTL = life(m, list)
	}
	t.note(s)
}

// Explain asks anew, whatever is remembered, for what Targets would find, and tells each step. Servers that failed lately
// aren't put last. The steps that were taken are told with an error too.
func (r *Resolver) Explain(ctx context.Context, q Query) ([]Step, []Target, error) {
	fresh := &Resolver{cfg: r.cfg, exchange: r.exchange, now: r.now, trace: &tracer{}}
	fresh.hosts.path = r.hosts.path
	list, err := fresh.Targets(ctx, q)
	steps := fresh.trace.steps
	slices.SortStableFunc(steps, func(a, b Step) int {
		if a.Name != b.Name {
			return 0
		}
		return cmp.Compare(a.Type, b.Type) // A before AAAA
	})
	return steps, list, err
}

// Missing reports whether the step's name has no record of the type, which is no failure.
func (s Step) Missing() bool { return s.Err == nil && len(s.Records) == 0 }

// String is "NAPTR of carrier.test: 10 10 "s" …, TTL 1m0s".
func (s Step) String() string {
	what := s.Type + " of " + s.Name + ": "
	switch {
	case s.Err != nil && errors.Is(s.Err, context.DeadlineExceeded):
		return what + "no answer in time"
	case s.Err != nil:
		return what + s.Err.Error()
	case s.Missing():
		return what + "none"
	case s.TTL == 0:
		return what + strings.Join(s.Records, "; ")
	}
	return fmt.Sprintf("%s%s (TTL %v)", what, strings.Join(s.Records, "; "), s.TTL)
}
