package sip

import (
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// replaced finds the dialog that a Replaces value names, and checks that it may be replaced by an INVITE that comes to us
// (RFC 3891 3). ua nil: any user agent's.
func (f *Front) replaced(v string, ua *UA) (*Dialog, *wire.Refusal) {
	refuse := func(status int, why string) (*Dialog, *wire.Refusal) {
		return nil, &wire.Refusal{Status: status, Header: "Replaces", Why: why}
	}
	to, hasTo := wire.Param(v, "to-tag")
	from, hasFrom := wire.Param(v, "from-tag")
	if !hasTo || !hasFrom {
		return refuse(400, "expected to-tag and from-tag")
	}
	callID, _, _ := strings.Cut(v, ";")
	d := f.dialog(strings.TrimSpace(callID), to)
	if d == nil || ua != nil && d.ua != ua {
		return refuse(481, "names no dialog of ours")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, early := wire.Param(v, "early-only")
	switch {
	case d.legs[from] == nil || d.legs[from].ended || d.phase == confirmed && d.legs[from] != d.winner:
		return refuse(481, "names no dialog of ours")
	case d.over:
		return refuse(603, "names a dialog that has ended")
	case d.phase != confirmed && d.inbound && ua != nil:
		return refuse(481, "names a call that rings at us")
	case d.phase == confirmed && early:
		return refuse(486, "is for an early dialog, this one is answered")
	}
	return d, nil
}

// Replaced finds the dialog of ours that the value of a Replaces header field names, as its peer writes it in a Refer-To
// (RFC 3891 6.1): answered, or ringing, at the peer or for it. nil: there is none.
func (f *Front) Replaced(value string) *Dialog {
	d, _ := f.replaced(value, nil)
	return d
}

// catchUp bounds how long an INVITE with Replaces waits for what has come before it.
const catchUp = 200 * time.Millisecond

// caughtUp waits until what came before, in the dialog whose place an INVITE shall take, has been looked at: each Call-ID has a queue of its
// own, and the response that has made an early dialog may still stand in it when the INVITE that names its tag comes.
func (u *UA) caughtUp(m *wire.Message) {
	callID, _, _ := strings.Cut(m.Headers.Get("Replaces"), ";")
	if callID = strings.TrimSpace(callID); callID == "" || callID == m.CallID {
		return
	}
	done := make(chan struct{})
	if !u.front.serial.Do(callID, func() { close(done) }) {
		return
	}
	limit := time.NewTimer(catchUp) // the other may wait for us just so
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

// replacing finds the dialog whose place an INVITE shall take; nil: none. One that may not be taken is refused: served as a
// call of its own, the INVITE would ring somebody who is talking already.
func (u *UA) replacing(m *wire.Message) (*Dialog, *wire.Refusal) {
	if !m.Headers.Has("Replaces") {
		return nil, nil
	}
	lines := m.Headers.Lines("Replaces")
	if len(lines) > 1 {
		return nil, &wire.Refusal{Status: 400, Header: "Replaces", Why: "stands more than once"}
	}
	d, ref := u.front.replaced(lines[0], u)
	if ref == nil && !u.cfg.Replaces {
		ref = &wire.Refusal{Status: 420, Header: "Replaces", Why: "is not supported", Extra: []Header{{Name: "Unsupported", Value: "replaces"}}}
	}
	if ref != nil {
		return nil, ref
	}
	return d, nil
}
