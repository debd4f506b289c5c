package sip

import (
	"strings"

	"github.com/patchbay/patchbay/sip/wire"
)

// replacing refuses an INVITE that shall take the place of another dialog (RFC 3891 3), which we don't do and don't
// announce: served as a call of its own it would ring somebody who is talking already. nil: it replaces nothing.
func (u *UA) replacing(m *wire.Message) *wire.Refusal {
	if !m.Headers.Has("Replaces") {
		return nil
	}
	lines := m.Headers.Lines("Replaces")
	if len(lines) > 1 {
		return &wire.Refusal{Status: 400, Header: "Replaces", Why: "stands more than once"}
	}
	to, hasTo := wire.Param(lines[0], "to-tag")
	from, hasFrom := wire.Param(lines[0], "from-tag")
	if !hasTo || !hasFrom {
		return &wire.Refusal{Status: 400, Header: "Replaces", Why: "expected to-tag and from-tag"}
	}
	callID, _, _ := strings.Cut(lines[0], ";")
	d := u.front.dialog(strings.TrimSpace(callID), to)
	if d == nil || d.ua != u {
		return &wire.Refusal{Status: 481, Header: "Replaces", Why: "names no dialog of ours"}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, early := wire.Param(lines[0], "early-only")
	switch {
	case d.legs[from] == nil:
		return &wire.Refusal{Status: 481, Header: "Replaces", Why: "names no dialog of ours"}
	case d.over:
		return &wire.Refusal{Status: 603, Header: "Replaces", Why: "names a dialog that has ended"}
	case d.phase != confirmed && d.inbound:
		return &wire.Refusal{Status: 481, Header: "Replaces", Why: "names a call that rings at us"}
	case d.phase == confirmed && early:
		return &wire.Refusal{Status: 486, Header: "Replaces", Why: "is for an early dialog, this one is answered"}
	}
	return &wire.Refusal{Status: 420, Header: "Replaces", Why: "is not supported", Extra: []Header{{Name: "Unsupported", Value: "replaces"}}}
}
