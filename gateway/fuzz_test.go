package gateway

import (
	"strings"
	"testing"
)

// FuzzTarget: whatever a program wants to dial, what is left of it is one word that can't break out of a message.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"+4930123", "sip:a@b", "tel:+49;phone-context=x", "sip:%0d%0a@b", "SIPS:x", "a@b", "sip:a@b?X=y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		digits, uri, err := parseTarget("target", s)
		if err != nil {
			return
		}
		if strings.ContainsAny(digits, "\r\n\x00 <>\"") {
			t.Errorf("%q dials %q", s, digits)
		}
		if !uri.IsZero() && uri.Check() != nil {
			t.Errorf("%q dials %q: %v", s, uri, uri.Check())
		}
	})
}
