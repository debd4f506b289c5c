package wire

import (
	"strings"
	"testing"
)

// FuzzLists: what is taken apart at commas and semicolons has no part that could be more than one, and loses nothing but space
// and empty parts.
func FuzzLists(f *testing.F) {
	for _, s := range []string{"a, b", `"a,b" <sip:x;y>;q=1, <sip:z,w>`, `Q.850;cause=16;text="a;b=\"c\""`, ";;,,;;,;", `"\`, `<<a>,>,b`, "timer , 100rel,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kept := 0
		for _, part := range SplitList(s) {
			if part == "" || part != strings.TrimSpace(part) {
				t.Fatalf("%q has the part %q", s, part)
			}
			kept += len(part)
			if again := SplitList(part); len(again) != 1 {
				t.Fatalf("%q: the part %q falls apart into %q", s, part, again)
			}
			for _, p := range SplitParams(part) {
				name, _, _ := strings.Cut(p, "=")
				Param("x;"+p, strings.TrimSpace(name))
			}
		}
		if most := len(strings.TrimSpace(s)); kept > most {
			t.Fatalf("%q became more", s)
		}
	})
}

// FuzzVia: a value that is read names a host that can be written again.
func FuzzVia(f *testing.F) {
	for _, s := range []string{"SIP/2.0/UDP a:5060;branch=z9hG4bKx;rport", "SIP / 2.0 / TCP [::1] ; received = 1.2.3.4", "SIP/2.0/UDP [2001:db8:::192.0.2.1]:1", "SIP/7.0/UDP h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVia(s)
		if err != nil {
			return
		}
		back, err := ParseVia("SIP/2.0/" + v.Transport + " " + HostPort(v.Host, v.Port))
		if err != nil || back.Host != v.Host || back.Port != v.Port {
			t.Fatalf("%q became %+v (%v)", s, back, err)
		}
	})
}
