package gateway

import (
	"strings"

	"github.com/patchbay/patchbay/sip"
	"github.com/patchbay/patchbay/sip/wire"
)

// earlyField says whether early media may be heard (RFC 5009). It counts between those who trust each other: of all others early
// media is heard as it comes, as it was before there was such a field.
const earlyField = "P-Early-Media"

// maxGates bounds the early dialogs of one INVITE whose early media is kept apart.
const maxGates = 16

// gate is an early dialog's early media: it is there once SDP is, and heard unless the peer has shut it.
type gate struct{ there, shut bool }

// provisional takes the SDP of a provisional response, and tells whether early media is to be heard from now on: it comes, or was there
// and is let through; or not any more, since the peer has shut what was heard.
func (l *sipLeg) provisional(e sip.Event) (early, shut bool) {
	g, known := l.gates[e.Tag]
	told := false
	if v := e.Headers.Get(earlyField); v != "" && l.trusted() {
		g.shut, told = !hearable(v), true
	}
	comes := isSDP(e.Content, e.Body)
	if comes {
		if err := l.early(e.Tag, e.Body, !g.shut); err != nil {
			l.log.Warn("early media not taken", "status", e.Status, "err", err)
			return false, false
		}
		g.there, early = true, !g.shut
	} else if told && g.there && !g.shut {
		if err := l.unveil(e.Tag); err != nil {
			l.log.Warn("early media not let through", "status", e.Status, "err", err)
			return false, false
		}
		early = true
	}
	if known || len(l.gates) < maxGates {
		if l.gates == nil {
			l.gates = map[string]gate{}
		}
		l.gates[e.Tag] = g
	}
	switch {
	case early:
		l.aloud = e.Tag
	case g.shut && l.aloud == e.Tag:
		l.aloud, shut = "", true
	}
	return early, shut
}

// hearable tells whether a response's P-Early-Media lets its sender be heard. Of several directions the first is that of our first
// stream, the only one; what isn't understood shuts nothing.
func hearable(v string) bool {
	first, _, _ := strings.Cut(v, ",")
	first, _, _ = strings.Cut(first, ";")
	switch strings.ToLower(strings.TrimSpace(first)) {
	case "inactive", "recvonly":
		return false
	}
	return true
}

func (l *sipLeg) trusted() bool { return l.trunk != nil && l.trunk.Trusted }

// asksEarly tells whether the peer of the caller's leg wants to hear of early media by P-Early-Media.
func (l *sipLeg) asksEarly() bool {
	if !l.trusted() {
		return false
	}
	for _, line := range l.d.Request().Headers.Lines(earlyField) {
		for _, v := range wire.SplitList(line) {
			if strings.EqualFold(strings.TrimSpace(v), "supported") {
				return true
			}
		}
	}
	return false
}
