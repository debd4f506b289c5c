package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/gateway/numbering"
	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// diverted is one step by which a call was led away from whom it was for. Lists have the first one first.
type diverted struct {
	number string // who had been called; E.164 if it is understood
	name   string
	reason string // as Diversion names it (RFC 5806 4)
	times  int    // how many steps it stands for; at least 1
	hidden bool   // who it was must not be told
}

// reasons are the reasons of Diversion, and the causes that stand for them in History-Info (RFC 4458 2, RFC 7544 6.3). The
// first of a cause is the one that it means.
var reasons = [...]struct {
	reason string
	cause  int
}{{"unknown", 404}, {"user-busy", 486}, {"no-answer", 408}, {"unconditional", 302}, {"deflection", 480}, {"deflection", 487}, {"unavailable", 503},
	{"time-of-day", 404}, {"do-not-disturb", 404}, {"follow-me", 302}, {"out-of-service", 503}, {"away", 404}}

func causeOf(reason string) int {
	for _, r := range reasons {
		if strings.EqualFold(r.reason, reason) {
			return r.cause
		}
	}
	return 404
}

func reasonOf(cause int) string {
	for _, r := range reasons {
		if r.cause == cause {
			return r.reason
		}
	}
	return "unknown"
}

// maxTimes bounds what a peer's counter adds.
const maxTimes = 100

func diversionsIn(list []diverted) int {
	n := 0
	for _, d := range list {
		n += d.times
	}
	return n
}

// readDiversions reads what a trusted carrier says of the call's way here: History-Info, and Diversion where there is none
// (RFC 7544 3: what both say is the same).
func readDiversions(h sip.Headers, t *trunk) []diverted {
	if list := readHistory(h, t); len(list) > 0 {
		return list
	}
	var out []diverted
	for _, na := range addressesOf(h, "Diversion") {
		d := diverted{name: clip(na.Display), reason: "unknown", times: 1}
		d.number = t.read(na.URI)
		if r, ok := na.Param("reason"); ok && wire.IsToken(r) && len(r) <= maxName {
			d.reason = strings.ToLower(r)
		}
		if n, ok := na.Param("counter"); ok {
			if n, err := strconv.Atoi(n); err == nil && n > 1 {
				d.times = min(n, maxTimes)
			}
		}
		if p, ok := na.Param("privacy"); ok && !strings.EqualFold(p, "off") {
			d.hidden = true
		}
		if len(out) < maxMarks {
			out = append(out, d)
		}
	}
	slices.Reverse(out) // the last one stands first (RFC 5806 5)
	return out
}

// read is the number of who diverted; "" of one that is too long: a part of it is somebody else's.
func (t *trunk) read(u sip.URI) string {
	_, n := t.plan.InURI(numbering.Caller, u)
	if tooLong(n.Number) {
		return ""
	}
	return n.Number
}

// readHistory reads History-Info: a target with a cause was reached by diversion from the one before it (RFC 4458 2).
func readHistory(h sip.Headers, t *trunk) []diverted {
	var out []diverted
	var before *sip.NameAddr
	for _, na := range addressesOf(h, "History-Info") {
		cause, diverts := na.URI.Param("cause")
		if n, err := strconv.Atoi(cause); diverts && err == nil && before != nil && len(out) < maxMarks {
			out = append(out, diverted{number: t.read(before.URI), name: clip(before.Display), reason: reasonOf(n), times: 1, hidden: hiddenEntry(before.URI)})
		}
		before = &na
	}
	return out
}

// hiddenEntry tells whether an entry of History-Info has its own privacy, in its URI's header fields (RFC 7044 10.1).
func hiddenEntry(u sip.URI) bool {
	for p := range strings.SplitSeq(u.Headers, "&") {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(k, "Privacy") && !strings.EqualFold(v, "none") {
			return true
		}
	}
	return false
}

// tell writes diversions for a carrier, in the header fields that it wants. to is where the call goes now.
func (t *trunk) tell(list []diverted, to sip.URI, private bool) ([]sip.Header, error) {
	var out []sip.Header
	for _, how := range t.Headers.Diversion {
		f := t.writeDiversion
		if how == "history-info" {
			f = t.writeHistory
		}
		h, err := f(list, to, private)
		if err != nil {
			return nil, err
		}
		out = append(out, h...)
	}
	return out, nil
}

// party is who diverted, in a carrier's form; nobody, if that isn't the carrier's to know.
func (t *trunk) party(d diverted, private bool) (sip.NameAddr, error) {
	if (d.hidden || private) && !t.Trusted || d.number == "" {
		return anonymousCaller(), nil
	}
	u, err := t.plan.URI(t.plan.Out(numbering.Caller, d.number).Number, t.Domain)
	return sip.NameAddr{URI: u, Display: d.name}, err
}

func (t *trunk) writeDiversion(list []diverted, _ sip.URI, private bool) ([]sip.Header, error) {
	var out []sip.Header
	for _, d := range slices.Backward(list) {
		na, err := t.party(d, private)
		if err != nil {
			return nil, err
		}
		na.Params = append(na.Params, sip.Parameter{Name: "reason", Value: d.reason})
		if d.times > 1 {
			na.Params = append(na.Params, sip.Parameter{Name: "counter", Value: strconv.Itoa(d.times)})
		}
		if d.hidden || private {
			na.Params = append(na.Params, sip.Parameter{Name: "privacy", Value: "full"})
		}
		if err := na.Check(); err != nil {
			return nil, err
		}
		out = append(out, sip.Header{Name: "Diversion", Value: na.String()})
	}
	return out, nil
}

// writeHistory writes each target under the one that it was diverted from (RFC 7044 10.3): 1, 1.1, 1.1.1.
func (t *trunk) writeHistory(list []diverted, to sip.URI, private bool) ([]sip.Header, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var out []sip.Header
	index, cause := "1", 0
	for i := range len(list) + 1 {
		na := sip.NameAddr{URI: to}
		hidden := false
		if i < len(list) {
			var err error
			if na, err = t.party(list[i], private); err != nil {
				return nil, err
			}
			hidden = list[i].hidden || private
		}
		if na.URI.Scheme == "tel" { // its parameters have no place for a cause
			u, err := sip.NewURI(number(na.URI), t.Domain, 0)
			if err != nil {
				return nil, err
			}
			na.URI = u.With("user", "phone")
		}
		if cause != 0 {
			na.URI = na.URI.With("cause", strconv.Itoa(cause))
		}
		if hidden {
			na.URI.Headers = "Privacy=history"
		}
		na.Params = []sip.Parameter{{Name: "index", Value: index}}
		if i > 0 {
			na.Params = append(na.Params, sip.Parameter{Name: "mp", Value: index[:strings.LastIndexByte(index, '.')]})
		}
		if err := na.Check(); err != nil {
			return nil, fmt.Errorf("History-Info: %w", err)
		}
		out = append(out, sip.Header{Name: "History-Info", Value: na.String()})
		if i < len(list) {
			index, cause = index+".1", causeOf(list[i].reason)
		}
	}
	return out, nil
}
