package sip

import (
	"strconv"
	"strings"

	"github.com/patchbay/patchbay/sip/wire"
)

// serve handles a request of the peer within the dialog, in order.
func (d *Dialog) serve(t *serverTx) {
	m := t.m
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.legs[m.From.Tag()]
	switch {
	case l == nil || l.ended:
		t.respond(481, "", nil, nil)
		return
	case d.over:
		if m.Method == "BYE" { // it crossed ours
			t.respond(200, "", nil, nil)
		} else {
			t.respond(481, "", nil, nil)
		}
		return
	case l.cseq != 0 && m.CSeq <= l.cseq:
		t.respond(500, "CSeq Out of Order", nil, nil)
		return
	}
	l.cseq = m.CSeq
	d.follow(l, t.flow)
	switch m.Method {
	case "BYE":
		d.onBye(t, l)
	case "INVITE":
		d.onOffer(t, l)
	case "UPDATE":
		d.onUpdate(t, l)
	case "PRACK":
		d.onPrack(t, l)
	case "INFO":
		if ref := d.ua.refuseInfo(m); ref != nil {
			t.refuse(ref)
			return
		}
		t.respond(200, "", nil, nil)
		d.emit(d.event(KindInfo, m, t.at))
	case "NOTIFY":
		d.onNotify(t)
	case "REFER":
		d.onRefer(t, l)
	case "OPTIONS":
		t.respond(200, "", []Header{d.ua.allow(), {Name: "Accept", Value: sdpType}, d.ua.supported()}, nil)
	default:
		t.respond(405, "", []Header{d.ua.allow()}, nil)
	}
}

// refuseInfo finds why an INFO isn't taken. One whose type we know is, whatever package it claims: phones that send
// DTMF so have negotiated none. nil: it is taken.
func (u *UA) refuseInfo(m *wire.Message) *wire.Refusal {
	ctype := wire.MediaType(m.Headers.Get("Content-Type"))
	for _, t := range u.cfg.InfoTypes {
		if t == "*/*" || len(m.Body) > 0 && strings.EqualFold(t, ctype) {
			return nil
		}
	}
	if pkg := m.Headers.Get("Info-Package"); pkg != "" {
		// An empty Recv-Info says that there is no package we would take (RFC 6086 5.2.2).
		return &wire.Refusal{Status: 469, Header: "Info-Package", Why: pkg, Extra: []Header{{Name: "Recv-Info"}}}
	}
	if v, _ := wire.Param(m.Headers.Get("Content-Disposition"), "handling"); len(m.Body) == 0 || strings.EqualFold(v, "optional") {
		return nil
	}
	return &wire.Refusal{Status: 415, Header: "Content-Type", Why: ctype, Extra: []Header{{Name: "Accept", Value: strings.Join(u.cfg.InfoTypes, ", ")}}}
}

func (d *Dialog) onBye(t *serverTx, l *leg) {
	if !d.inbound && d.phase != confirmed {
		// A fork of ours that isn't answered went away: the others may still answer.
		t.respond(200, "", nil, nil)
		delete(d.legs, l.tag)
		return
	}
	invite := d.in
	if !d.inbound || d.phase == confirmed {
		invite = nil
	}
	e := d.event(KindEnded, t.m, t.at)
	e.By = ByPeer
	d.end(e)
	d.confirm(e, func() {
		t.respond(200, "", nil, nil)
		if invite != nil {
			invite.respond(487, "", nil, nil) // RFC 3261 15.1.2
		}
	})
}

// confirm answers the request that ended the dialog, once Config.Ending has had its say.
func (d *Dialog) confirm(e Event, answer func()) {
	hook := d.ua.cfg.Ending
	if hook == nil || !d.ua.spawn(func() {
		hook(d, e)
		answer()
	}) {
		answer()
	}
}

// onNotify takes NOTIFY, for the REFERs we sent and for what peers tell within a dialog by custom.
func (d *Dialog) onNotify(t *serverTx) {
	event := wire.MediaType(t.m.Headers.Get("Event"))
	if event == "refer" && d.refers == 0 {
		t.respond(481, "Subscription Does Not Exist", nil, nil)
		return
	}
	t.respond(200, "", nil, nil)
	e := d.event(KindNotify, t.m, t.at)
	if event == "refer" {
		e.Status, e.Phrase = sipfrag(e.Body)
		if strings.HasPrefix(strings.ToLower(t.m.Headers.Get("Subscription-State")), "terminated") {
			d.refers--
		}
	}
	d.emit(e)
}

// sipfrag reads the status line of a message/sipfrag body (RFC 3420).
func sipfrag(body []byte) (status int, phrase string) {
	line, _, _ := strings.Cut(string(body), "\n")
	version, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
	code, phrase, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if !ok || err != nil || n < 100 || n > 699 || !strings.EqualFold(version, "SIP/2.0") {
		return 0, ""
	}
	return n, phrase
}
