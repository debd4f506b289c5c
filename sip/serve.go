package sip

import (
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip/auth"
	"github.com/patchbay/patchbay/sip/flow"
	"github.com/patchbay/patchbay/sip/wire"
)

// refuseBroken answers a request that couldn't be read, without state.
func (u *UA) refuseBroken(fl *flow.Flow, m *wire.Message, ref *wire.Refusal) {
	u.front.drops.add(DropMalformed)
	extra := append(ref.Extra, warning(ref.Error()))
	u.answer(fl, m, ref.Status, ref.Phrase(), extra)
}

// serve handles one request, in the order of its Call-ID.
func (u *UA) serve(fl *flow.Flow, m *wire.Message, at time.Time) {
	f := u.front
	if t := f.server(serverKey(m)); t != nil {
		switch {
		case m.Method != "ACK":
			t.receive()
			return
		case t.answered() >= 300:
			t.ack()
			return
		}
	}
	if m.Method == "ACK" {
		if d := f.dialog(m.CallID, m.To.Tag()); d != nil {
			d.onAck(m, at)
			return
		}
		f.drops.add(DropAck)
		return
	}
	if u.users != nil && m.To.Tag() == "" && (m.Method == "REGISTER" || m.Method == "INVITE") && !u.hears(fl, m) {
		return
	}
	t, merged, err := f.addServer(u, fl, m, at)
	if err != nil {
		f.drops.add(DropTransactions)
		return
	}
	if ref := m.Refuse(u.policy()); ref != nil {
		t.refuse(ref)
		return
	}
	switch {
	case m.Method == "CANCEL":
		u.serveCancel(t)
	case m.To.Tag() != "":
		u.serveInside(t)
	case merged:
		t.respond(482, "Merged Request", nil, nil)
	default:
		u.serveOutside(t)
	}
}

func (u *UA) serveCancel(t *serverTx) {
	invite := u.front.server(t.m.Key("INVITE"))
	if invite == nil || invite.callID != t.m.CallID {
		t.respond(481, "", nil, nil)
		return
	}
	t.tag = invite.tag
	t.respond(200, "", nil, nil)
	invite.mu.Lock()
	d := invite.dialog
	invite.mu.Unlock()
	if d != nil {
		d.onCancel(invite, t.m, t.at)
	}
}

// serveInside handles a request within a dialog.
func (u *UA) serveInside(t *serverTx) {
	d := u.front.dialog(t.m.CallID, t.m.To.Tag())
	if d == nil || d.ua != u {
		t.respond(481, "", nil, nil)
		return
	}
	t.tag = t.m.To.Tag()
	d.serve(t)
}

// serveOutside handles a request that begins something.
func (u *UA) serveOutside(t *serverTx) {
	// A sips URI asks for TLS on every hop (RFC 5630 3.1.3): nobody shall believe that a call in the clear was secret.
	if t.m.URI.Scheme == "sips" && t.flow.Network() != "wss" && t.flow.Network() != "tls" {
		t.refuse(&wire.Refusal{Status: 416, Header: "Request-URI", Why: "a sips URI over " + t.flow.Network() + ": expected TLS"})
		return
	}
	switch t.m.Method {
	case "OPTIONS":
		if u.here(t) {
			u.serveOptions(t)
		}
	case "REGISTER":
		if user := u.admit(t, false); user != "" && u.here(t) {
			u.cfg.Registrar.serve(t, user)
		}
	case "INVITE":
		u.serveInvite(t)
	case "NOTIFY":
		t.respond(489, "", []Header{{Name: "Allow-Events", Value: "refer"}}, nil)
	case "REFER":
		t.respond(403, "REFER Outside a Dialog", nil, nil)
	default: // BYE, INFO, UPDATE belong to dialogs
		t.respond(481, "", nil, nil)
	}
}

// here tells whether the request-URI's host is ours (RFC 3261 8.2.2.1); otherwise the request was answered.
func (u *UA) here(t *serverTx) bool {
	uri := t.m.URI
	if u.cfg.Hosts == nil || uri.Scheme != "sip" && uri.Scheme != "sips" || u.cfg.Hosts(strings.ToLower(uri.Host)) {
		return true
	}
	t.refuse(&wire.Refusal{Status: 404, Header: "Request-URI", Why: "host " + uri.Host + " is not ours"})
	return false
}

func (u *UA) serveOptions(t *serverTx) {
	var c Capabilities
	if u.cfg.Options != nil {
		c = u.cfg.Options()
	}
	if c.Status == 0 {
		c.Status = 200
	}
	if len(c.Accept) == 0 {
		c.Accept = []string{sdpType}
	}
	h := []Header{u.allow(), {Name: "Accept", Value: strings.Join(c.Accept, ", ")}, u.supported()}
	for _, extra := range c.Headers {
		if wire.CheckHeader(extra) == nil && !reserved(extra.Name) {
			h = append(h, extra)
		}
	}
	if len(c.Body) > 0 {
		h = append(h, Header{Name: "Content-Type", Value: sdpType})
	}
	t.respond(c.Status, "", h, c.Body)
}

// admit authenticates a request against our users; "" means it was answered. Without users everyone is admitted, as
// "-".
func (u *UA) admit(t *serverTx, proxy bool) (user string) {
	if u.users == nil {
		return "-"
	}
	source, from, claimed := t.source().Addr(), originOf(t.flow), u.users.Claimed(proxy, t.m.Headers)
	if wait := u.front.suspects.wait(from, claimed); wait > 0 {
		t.terminate()
		u.banned(t.flow, t.m, wait)
		return ""
	}
	user, result := u.users.Verify(source, proxy, t.m.Method, t.m.URI.String(), t.m.Headers)
	if user != "" {
		t.flow.Trust()
		u.front.gate.know(source, false)
		u.front.suspects.right(from, user)
		u.front.puzzled.answered(askerOf(t.flow, t.m))
		return user
	}
	u.count.challenged.Add(1)
	switch {
	case result == auth.Replay:
		// Nobody's guess: the password is right. SIP.js begins each refresh of a registration so, with the credentials
		// of the one before; an office full of it must not be banned.
		u.count.refused.Add(1)
		u.log.Debug("credentials used again", "method", t.m.Method, "source", t.source())
	case result.Suspicious():
		u.count.refused.Add(1)
		u.log.Info("wrong credentials", "method", t.m.Method, "source", t.source(), "result", result.String())
		if u.front.suspects.failed(from, claimed) {
			u.log.Warn("too many wrong credentials: not heard for a while", "user", claimed, "source", t.source(), "wait", guessWindow)
		}
	}
	status, challenge := u.challenge(t.flow, t.m, proxy, result)
	t.respond(status, "", challenge, nil)
	return ""
}

func (u *UA) serveInvite(t *serverTx) {
	user := u.admit(t, true)
	if user == "" {
		return
	}
	if user == "-" {
		user = ""
	}
	if !u.here(t) {
		return
	}
	u.caughtUp(t.m)
	other, ref := u.replacing(t.m)
	if ref != nil {
		t.refuse(ref)
		return
	}
	if ref := u.tooShort(t.m); ref != nil {
		t.refuse(ref)
		return
	}
	d, err := u.newInbound(t, user, other)
	if err != nil {
		u.log.Warn("INVITE refused", "err", err, "source", t.source())
		t.respond(503, "", []Header{{Name: "Retry-After", Value: "5"}}, nil)
		return
	}
	t.respond(100, "", nil, nil)
	if !u.spawn(func() { u.cfg.Invite(d) }) {
		d.Reject(503, "")
	}
}
