package sip

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/sip/wire"
)

// FuzzFields: what peers write into the header fields that the stack itself reads. What comes out is within bounds, and what we
// write of it is one line.
func FuzzFields(f *testing.F) {
	for _, v := range []string{
		"1800;refresher=uac", "0", "4294967296", `Q.850;cause=16;text="Normal"`, `SIP ;cause=600, Q.850;cause="17"`, "12345@x;to-tag=a;from-tag=b;early-only", "1 2 INVITE",
		`"a" <sip:a@b>;reason=unconditional;counter=3`, "<sip:a@b?Replaces=x%3Bto-tag%3D1>", "multipart/mixed;boundary=x", "100rel, timer",
	} {
		f.Add(v, []byte("--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--"))
	}
	f.Fuzz(func(t *testing.T, v string, body []byte) {
		h := Headers{}
		for _, name := range []string{"Session-Expires", "Min-SE", "Reason", "Replaces", "RAck", "Diversion", "P-Asserted-Identity", "Refer-To", "Supported", "Require", "Content-Type"} {
			h = append(h, Header{Name: name, Value: v})
		}
		if d, _ := expires(h); d < 0 {
			t.Errorf("Session-Expires %q is %v", v, d)
		}
		if d := minimum(h); d < 0 {
			t.Errorf("Min-SE %q is %v", v, d)
		}
		if _, _, method := rack(v); strings.ContainsAny(method, " \r\n") {
			t.Errorf("RAck %q: method %q", v, method)
		}
		for _, r := range Reasons(h) {
			if r.check() == nil && wire.CheckHeader(Header{Name: "Reason", Value: r.String()}) != nil {
				t.Errorf("Reason %q would be sent as %q", v, r)
			}
		}
		preferred(Reasons(h))
		r := Request{Headers: h}
		for _, a := range append(r.Asserted(), r.Diversions()...) {
			if a.Check() == nil && wire.CheckHeader(Header{Name: "To", Value: a.String()}) != nil {
				t.Errorf("%q would be sent as %q", v, a)
			}
		}
		asks(h, "Supported", "timer")
		m := &wire.Message{Headers: h, Body: body}
		if _, b := content(m); len(b) > len(body) {
			t.Errorf("a body of %d bytes has a part of %d", len(body), len(b))
		}
	})
}
