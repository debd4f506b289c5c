package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestLook(t *testing.T) {
	invite := "INVITE sip:100@home SIP/2.0\r\nv: SIP/2.0/UDP a.test:5070;branch=z9hG4bK1;rport, SIP/2.0/UDP b\r\nSubject: x\r\nt : <sip:100@home;tag=no> ;Tag=yes\r\n" +
		"f: <sip:a@b>;tag=f\r\nI: id@x\r\nCSeq:  7  INVITE \r\n\r\nTo: <sip:z>;tag=body\r\n"
	g := Look([]byte(invite))
	for what, c := range map[string][2]string{
		"method": {string(g.Method), "INVITE"}, "URI": {string(g.URI), "sip:100@home"}, "Call-ID": {string(g.CallID), "id@x"}, "tag": {string(g.ToTag), "yes"},
		"CSeq": {string(g.CSeq), "INVITE"}, "branch": {string(g.Branch()), "z9hG4bK1"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %q, expected %q", what, c[0], c[1])
		}
	}
	g = Look([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK2\r\nTo: <sip:a>\r\n\r\nCall-ID: body\r\n"))
	if g.Method != nil || g.CallID != nil || g.ToTag != nil || string(g.Branch()) != "z9hG4bK2" {
		t.Errorf("%+v", g)
	}
}

// FuzzLook: what a glance finds is what the parser finds, wherever both find something, and its key is the transaction's.
func FuzzLook(f *testing.F) {
	f.Add([]byte("INVITE sip:100@home SIP/2.0\r\nVia: SIP/2.0/UDP a.test:5070;branch=z9hG4bK1\r\nTo: <sip:100@home>;tag=t\r\nFrom: <sip:a@b>;tag=f\r\nCall-ID: id\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("SIP/2.0 180 Ringing\r\nv: SIP/2.0/TCP h;branch=z9hG4bK2\r\nt: sip:a;tag=1\r\nf: sip:b;tag=2\r\ni: x@y\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n"))
	f.Add([]byte("BYE sip:a SIP/2.0\r\n\r\n"))
	p := NewParser(Limits{Bytes: 65535, Headers: 128})
	f.Fuzz(func(t *testing.T, data []byte) {
		g := Look(data)
		m, ref := p.Parse(data)
		if ref != nil {
			return
		}
		if m.IsRequest != (g.Method != nil) || m.IsRequest && m.Method != string(g.Method) {
			t.Errorf("method %q, the parser's is %q", g.Method, m.Method)
		}
		if bytes.Contains(data, []byte("\r\n ")) || bytes.Contains(data, []byte("\r\n\t")) {
			return // folded: nothing is missed but a glance
		}
		if g.CallID != nil && string(g.CallID) != m.CallID {
			t.Errorf("Call-ID %q, the parser's is %q", g.CallID, m.CallID)
		}
		if tag := m.To.Tag(); g.ToTag != nil && !strings.Contains(m.Headers.Get("To"), `"`) && string(g.ToTag) != tag {
			t.Errorf("tag %q, the parser's is %q", g.ToTag, tag)
		}
		method := m.Method
		if method == "CANCEL" {
			method = "INVITE"
		}
		if key := g.Key(); m.IsRequest && key != "" && key != m.Key(method) {
			t.Errorf("key %q, the parser's is %q", key, m.Key(method))
		}
	})
}
