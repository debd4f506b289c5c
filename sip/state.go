package sip

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/patchbay/patchbay/sip/wire"
)

// State is all that is needed to end a dialog in another process, as after a crash. It is plain data for JSON.
type State struct {
	UA         string `json:"ua"`
	CallID     string `json:"call_id"`
	LocalTag   string `json:"local_tag"`
	RemoteTag  string `json:"remote_tag,omitempty"`
	Inbound    bool   `json:"inbound,omitempty"`
	Phase      string `json:"phase"` // "calling", "early" or "confirmed"
	Local      string `json:"local"` // our From or To value, without tag
	Remote     string `json:"remote"`
	LocalCSeq  uint32 `json:"local_cseq"`
	RemoteCSeq uint32 `json:"remote_cseq,omitempty"`

	Target  string   `json:"target,omitempty"` // remote target
	Routes  []string `json:"routes,omitempty"`
	Contact string   `json:"contact,omitempty"` // ours
	Network string   `json:"network,omitempty"`
	Peer    string   `json:"peer,omitempty"` // address and port

	// Of an INVITE that isn't answered, or whose 2xx may not have left: what CANCEL, or our final response, must repeat.
	RequestURI   string   `json:"request_uri,omitempty"`
	Branch       string   `json:"branch,omitempty"`
	InviteCSeq   uint32   `json:"invite_cseq,omitempty"`
	InviteRoutes []string `json:"invite_routes,omitempty"`
	Invite       string   `json:"invite,omitempty"` // inbound: what a response needs of the INVITE
}

// State is the dialog now.
func (d *Dialog) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := State{
		UA: d.ua.cfg.Name, CallID: d.callID, LocalTag: d.localTag, Inbound: d.inbound, Phase: d.phase.String(),
		Local: d.local, Remote: d.peer, LocalCSeq: d.cseq, Contact: d.contact,
	}
	if f := d.road(); f != nil {
		s.Network, s.Peer = f.Network(), f.Remote().String()
	}
	if l := d.winner; l != nil {
		s.RemoteTag, s.RemoteCSeq, s.Target, s.Routes = l.tag, l.cseq, l.target.String(), l.routes
	}
	if d.phase == confirmed {
		return s
	}
	if d.out != nil && d.out.o.method != "" {
		s.RequestURI, s.Branch, s.InviteCSeq, s.InviteRoutes = d.out.o.uri.String(), d.out.o.branch, d.out.o.cseq, d.out.o.routes
	}
	if d.in != nil {
		s.Invite = head(d.in.m)
	}
	return s
}

// head writes an INVITE with what its responses repeat (RFC 3261 8.2.6.2), and the Contact that it must have.
func head(m *wire.Message) string {
	repeated := func(name string) bool {
		switch wire.Canonical(name) {
		case "via", "from", "to", "call-id", "cseq", "timestamp", "contact":
			return true
		}
		return false
	}
	n := 256 // for the first line and the last
	for i := range m.Headers {
		if h := &m.Headers[i]; repeated(h.Name) {
			n += len(h.Name) + len(h.Value) + len(": \r\n")
		}
	}
	b := make([]byte, 0, n)
	b = append(append(b, m.Method...), ' ')
	b = append(m.URI.AppendTo(b), " SIP/2.0\r\n"...)
	for i := range m.Headers {
		if h := &m.Headers[i]; repeated(h.Name) {
			b = append(append(b, h.Name...), ": "...)
			b = append(append(b, h.Value...), "\r\n"...)
		}
	}
	return string(append(b, "Content-Length: 0\r\n\r\n"...))
}

// Restore remakes a dialog from its State, in whatever state it was: Hangup then sends BYE, CANCEL or a final
// response. A State that is confirmed and holds the INVITE is one whose 2xx may not have left: Hangup sends BYE, and a final response, which a
// caller who was answered passes over. It can do nothing else before it is hung up; events come as ever.
func (u *UA) Restore(s State) (*Dialog, error) {
	if s.UA != u.cfg.Name {
		return nil, fmt.Errorf("sip: State.UA %q: expected %q", s.UA, u.cfg.Name)
	}
	for what, v := range map[string]string{"CallID": s.CallID, "LocalTag": s.LocalTag, "Local": s.Local, "Remote": s.Remote, "Contact": s.Contact, "Branch": s.Branch, "RemoteTag": s.RemoteTag} {
		if err := wire.Safe("State."+what, v); err != nil {
			return nil, err
		}
	}
	if s.CallID == "" || s.LocalTag == "" {
		return nil, fmt.Errorf("sip: State.CallID %q, LocalTag %q: expected both", s.CallID, s.LocalTag)
	}
	d := u.newDialog(s.CallID, s.LocalTag, s.Inbound)
	d.local, d.peer, d.contact, d.cseq = s.Local, s.Remote, s.Contact, s.LocalCSeq
	peer, err := netip.ParseAddrPort(s.Peer)
	if err != nil {
		return nil, fmt.Errorf("sip: State.Peer %q: expected address and port: %w", s.Peer, err)
	}
	if d.flow, err = u.flowTo(u.ctx, Destination{Network: s.Network, Addr: peer}); err != nil {
		if s.Target == "" {
			return nil, err
		}
		d.flow, d.source = nil, peer // a phone's connection is gone; it may still be reached there
	}
	d.request = &Request{}
	if s.Target != "" {
		l := &leg{tag: s.RemoteTag, routes: s.Routes, cseq: s.RemoteCSeq}
		if l.target, err = ParseURI(s.Target); err != nil {
			return nil, fmt.Errorf("sip: State.Target: %w", err)
		}
		d.legs[l.tag], d.winner = l, l
	}
	switch {
	case s.Phase == "confirmed" && d.winner != nil:
		if s.Inbound && s.Invite != "" && d.flow != nil {
			d.doubtful = true
			err = u.restoreInbound(d, s, confirmed)
			break
		}
		d.phase = confirmed
		err = u.front.addDialog(d)
	case s.Inbound && s.Invite != "":
		err = u.restoreInbound(d, s, ringing)
	case !s.Inbound && s.Branch != "" && d.flow != nil:
		err = u.restoreDialed(d, s)
	default:
		err = fmt.Errorf("sip: State of phase %q holds too little to end it", s.Phase)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// restoreDialed takes over an INVITE that another process sent: its responses come to us, CANCEL can be sent.
func (u *UA) restoreDialed(d *Dialog, s State) error {
	d.winner = nil
	uri, err := ParseURI(s.RequestURI)
	if err != nil {
		return fmt.Errorf("sip: State.RequestURI: %w", err)
	}
	d.phase = ringing // it may have been: CANCEL for an INVITE that never got a 1xx is answered 481 at worst
	d.out = &calls{heard: true, o: outgoing{
		method: "INVITE", uri: uri, from: d.local + ";tag=" + d.localTag, to: d.peer, callID: d.callID, cseq: s.InviteCSeq,
		routes: s.InviteRoutes, branch: s.Branch,
	}}
	req, err := u.build(&d.out.o, d.flow, nil)
	if err != nil {
		return err
	}
	t := &clientTx{ua: u, key: clientKey(s.Branch, "INVITE"), callID: d.callID, invite: true, req: req, flow: d.flow, heard: true}
	r := &round{tx: t, cseq: s.InviteCSeq}
	t.onResponse, t.onFail = func(m *wire.Message) { d.onResponse(r, m) }, func(err error) { d.onFail(r, err) }
	d.out.round = r
	if err := u.front.addDialog(d); err != nil {
		return err
	}
	if err := u.front.addClient(t); err != nil {
		d.abort()
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.after(defaultRing, d.noAnswer)
	return nil
}

// restoreInbound takes over an INVITE that another process received: it can be refused.
func (u *UA) restoreInbound(d *Dialog, s State, at phase) error {
	m, ref := u.front.parser.Parse([]byte(s.Invite))
	if ref != nil {
		return fmt.Errorf("sip: State.Invite: %w", ref)
	}
	if !m.IsRequest || m.Method != "INVITE" || d.flow == nil {
		return fmt.Errorf("sip: State.Invite: expected an INVITE and its peer")
	}
	t := u.newServerTx(d.flow, m, s.LocalTag, time.Now())
	t.dialog = d
	d.phase, d.in = at, t
	if err := u.front.addDialog(d); err != nil {
		return err
	}
	if err := u.front.adopt(t.answering); err != nil {
		d.abort()
		return err
	}
	return nil
}

func (f *Front) adopt(t *answering) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.servers[t.key] != nil {
		return fmt.Errorf("sip: transaction %s exists", t.key)
	}
	f.servers[t.key] = t
	return nil
}
