package sip

import (
	"encoding/json"
	"strconv"
)

// AppendJSON appends what json.Marshal makes of s, byte for byte, without looking at types: every call writes its dialogs down
// several times.
func (s *State) AppendJSON(b []byte) []byte {
	begun := len(b)
	key := func(name string) {
		c := byte(',')
		if len(b) == begun {
			c = '{'
		}
		b = append(append(append(b, c, '"'), name...), '"', ':')
	}
	text := func(name, v string) {
		key(name)
		b = appendText(b, v)
	}
	textIf := func(name, v string) {
		if v != "" {
			text(name, v)
		}
	}
	number := func(name string, n uint32) {
		key(name)
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	numberIf := func(name string, n uint32) {
		if n != 0 {
			number(name, n)
		}
	}
	listIf := func(name string, list []string) {
		if len(list) == 0 {
			return
		}
		key(name)
		c := byte('[')
		for _, v := range list {
			b = appendText(append(b, c), v)
			c = ','
		}
		b = append(b, ']')
	}
	text("ua", s.UA)
	text("call_id", s.CallID)
	text("local_tag", s.LocalTag)
	textIf("remote_tag", s.RemoteTag)
	if s.Inbound {
		key("inbound")
		b = append(b, "true"...)
	}
	text("phase", s.Phase)
	text("local", s.Local)
	text("remote", s.Remote)
	number("local_cseq", s.LocalCSeq)
	numberIf("remote_cseq", s.RemoteCSeq)
	textIf("target", s.Target)
	listIf("routes", s.Routes)
	textIf("contact", s.Contact)
	textIf("network", s.Network)
	textIf("peer", s.Peer)
	textIf("request_uri", s.RequestURI)
	textIf("branch", s.Branch)
	numberIf("invite_cseq", s.InviteCSeq)
	listIf("invite_routes", s.InviteRoutes)
	textIf("invite", s.Invite)
	return append(b, '}')
}

// appendText appends a JSON string. What SIP rarely has is left to encoding/json.
func appendText(b []byte, s string) []byte {
	begun, from := len(b), 0
	b = append(b, '"')
	for i := range len(s) {
		var escape string
		switch c := s[i]; {
		case c == '<':
			escape = `\u003c`
		case c == '>':
			escape = `\u003e`
		case c == '&':
			escape = `\u0026`
		case c == '"':
			escape = `\"`
		case c == '\\':
			escape = `\\`
		case c == '\r':
			escape = `\r`
		case c == '\n':
			escape = `\n`
		case c < ' ' || c >= 0x7f:
			all, _ := json.Marshal(s) // of a string it can't fail
			return append(b[:begun], all...)
		default:
			continue
		}
		b = append(append(b, s[from:i]...), escape...)
		from = i + 1
	}
	return append(append(b, s[from:]...), '"')
}
