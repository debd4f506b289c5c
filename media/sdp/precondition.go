package sdp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Preconditions says what our side makes of preconditions of quality of service (RFC 3312, RFC 4032): what has to be there before
// somebody's phone rings. Our own resources are there at once.
type Preconditions uint8

// The ways to deal with them.
const (
	PreconditionsIgnored  Preconditions = iota // as if they weren't there
	PreconditionsAnswered                      // those of offers are answered
	PreconditionsOffered                       // and our own first offers have some
)

// ErrPrecondition is the refusal of an offer that demands what can't be: its Refusal has the SDP that says so.
var ErrPrecondition = errors.New("preconditions that can't be met")

// way is a set of directions, seen from who writes it.
type way uint8

const (
	send way = 1 << iota
	recv
)

func readWay(s string) (way, bool) {
	i := slices.Index([]string{"none", "send", "recv", "sendrecv"}, s)
	return way(max(0, i)), i >= 0
}

func (w way) String() string { return [...]string{"none", "send", "recv", "sendrecv"}[w] }

// reversed is the same, seen from the other side.
func (w way) reversed() way { return w&send<<1 | w&recv>>1 }

// desire is one a=des line: what must, or should, be there.
type desire struct {
	kind, strength, status string
	way                    way
}

// conditions are the preconditions of a media line, seen from who wrote it.
type conditions struct {
	current map[string]way // of qos, by status type: local, remote, e2e
	desired []desire
}

// maxDesires bounds the a=des lines of a media line that are read.
const maxDesires = 16

// conditions reads those of a line; ok is false if it has none. What can't be read is as if it weren't there.
func (m *Media) conditions() (c conditions, ok bool) {
	c.current = map[string]way{}
	for _, a := range m.Attributes {
		f := strings.Fields(strings.ToLower(a.Value))
		switch {
		case a.Key == "curr" && len(f) == 3 && f[0] == "qos":
			if w, known := readWay(f[2]); known {
				c.current[f[1]] = w
				ok = true
			}
		case a.Key == "des" && len(f) == 4 && len(c.desired) < maxDesires:
			if w, known := readWay(f[3]); known {
				c.desired = append(c.desired, desire{f[0], f[1], f[2], w})
				ok = true
			}
		}
	}
	return c, ok
}

// Unmet tells whether a line demands of the resources of who wrote it what isn't there yet: until then the other side's phone
// isn't to ring (RFC 3312 5.1).
func (m *Media) Unmet() bool {
	c, _ := m.conditions()
	return c.unmet()
}

func (c conditions) unmet() bool {
	return slices.ContainsFunc(c.desired, func(d desire) bool {
		return d.kind == "qos" && d.strength == "mandatory" && d.status == "local" && d.way&^c.current["local"] != 0
	})
}

// impossible are the demands that no gateway can meet: of a kind that we don't know, or from end to end, where we are no end.
func (c conditions) impossible() (list []Attribute) {
	for _, d := range c.desired {
		if d.strength != "mandatory" || d.kind == "qos" && (d.status != "e2e" || d.way&^c.current["e2e"] == 0) {
			continue
		}
		why := "failure"
		if d.kind != "qos" {
			why = "unknown"
		}
		list = append(list, Attribute{"des", fmt.Sprintf("%s %s %s %s", clean(d.kind), why, clean(d.status), d.way)})
	}
	return list
}

// answered are the lines that answer them (RFC 3312 5.1.2, 5.1.3): ours are met; what isn't met of theirs is to be confirmed.
func (c conditions) answered() []Attribute {
	theirs := c.current["local"].reversed()
	list := []Attribute{{"curr", "qos local sendrecv"}, {"curr", "qos remote " + theirs.String()}}
	for _, x := range [...]struct{ ours, theirs string }{{"local", "remote"}, {"remote", "local"}} {
		some := false
		for _, d := range c.desired {
			if d.kind == "qos" && d.status == x.theirs && slices.Contains([]string{"none", "optional", "mandatory"}, d.strength) {
				list = append(list, Attribute{"des", fmt.Sprintf("qos %s %s %s", d.strength, x.ours, d.way.reversed())})
				some = true
			}
		}
		if !some {
			list = append(list, Attribute{"des", "qos none " + x.ours + " sendrecv"})
		}
	}
	if c.unmet() {
		list = append(list, Attribute{"conf", "qos remote sendrecv"})
	}
	return list
}

// precondition answers those of the offer's line on ours. An error is a *Refusal with SDP.
func (s *Session) precondition(local, remote *Media, t Terms) error {
	if t.Preconditions == PreconditionsIgnored {
		return nil
	}
	c, ok := remote.conditions()
	if !ok {
		return nil
	}
	if cant := c.impossible(); len(cant) > 0 {
		line := Media{Kind: remote.Kind, Port: local.Port, Addr: local.Addr, Proto: remote.Proto, Formats: remote.Formats, Attributes: cant}
		d := &Description{Origin: s.origin, Name: s.name, Media: []Media{line}}
		r := Refuse(ErrPrecondition, "%s can't be met", cant[0].Value)
		var err error
		if r.SDP, err = d.Marshal(); err != nil {
			return err
		}
		return r
	}
	local.Attributes = append(local.Attributes, c.answered()...)
	return nil
}

// offeredConditions are our own: ours are met, and the peer may have its own.
func offeredConditions() []Attribute {
	return []Attribute{{"curr", "qos local sendrecv"}, {"curr", "qos remote none"}, {"des", "qos mandatory local sendrecv"}, {"des", "qos optional remote sendrecv"}}
}
