package wire

import (
	"bytes"
	"strings"
)

// Glance is what a message says of where it belongs, as it came, read without looking at anything else: nothing of it has been
// validated, and a part that isn't found is empty.
type Glance struct {
	Method []byte // of the request line; nil: a response
	URI    []byte // request-URI
	Via    []byte // the topmost value
	CallID []byte
	ToTag  []byte
	CSeq   []byte // the method in it
}

// glanceLines bounds how far Look reads.
const glanceLines = 40

// Look glances at a message. It costs a small part of Parse, for those who must decide whether to read it at all.
func Look(data []byte) (g Glance) {
	line, rest, _ := bytes.Cut(data, []byte("\r\n"))
	if first, more, ok := bytes.Cut(line, []byte(" ")); ok && !bytes.HasPrefix(first, []byte("SIP/")) {
		g.Method = first
		g.URI, _, _ = bytes.Cut(more, []byte(" "))
	}
	for n := 0; n < glanceLines && len(rest) > 0; n++ {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		g.take(bytes.TrimSpace(name), bytes.TrimSpace(value))
		if g.Via != nil && g.CallID != nil && g.CSeq != nil && g.ToTag != nil {
			break
		}
	}
	return g
}

func (g *Glance) take(name, value []byte) {
	is := func(short byte, long string) bool {
		return len(name) == 1 && name[0]|0x20 == short || len(name) == len(long) && strings.EqualFold(string(name), long)
	}
	switch {
	case g.Via == nil && is('v', "via"):
		g.Via, _, _ = bytes.Cut(value, []byte(","))
	case g.CallID == nil && is('i', "call-id"):
		g.CallID = value
	case g.ToTag == nil && is('t', "to"):
		g.ToTag = parameter(value, "tag")
	case g.CSeq == nil && len(name) == 4 && strings.EqualFold(string(name), "cseq"):
		_, method, _ := bytes.Cut(value, []byte(" "))
		g.CSeq = bytes.TrimSpace(method)
	}
}

// parameter is the value of the last parameter of that name; nil if there is none.
func parameter(value []byte, name string) []byte {
	for {
		i := bytes.LastIndexByte(value, ';')
		if i < 0 {
			return nil
		}
		n, v, _ := bytes.Cut(value[i+1:], []byte("="))
		if strings.EqualFold(string(bytes.TrimSpace(n)), name) {
			return bytes.TrimSpace(v)
		}
		value = value[:i]
	}
}

// Branch is that of the topmost Via.
func (g *Glance) Branch() []byte { return parameter(g.Via, "branch") }

// Key is Message.Key of the transaction that a request belongs to, CANCEL to that of its INVITE; "" if its Via names none.
func (g *Glance) Key() string {
	via, err := parseVia(string(g.Via), true)
	if err != nil || !strings.HasPrefix(via.Branch, magic) {
		return ""
	}
	m, method := Message{Via: via}, string(g.Method)
	if method == "CANCEL" {
		method = "INVITE"
	}
	return m.Key(method)
}
