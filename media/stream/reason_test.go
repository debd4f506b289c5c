package stream

import (
	"strings"
	"testing"
)

// A reason that is too long is cut between two characters.
func TestReasonIsCut(t *testing.T) {
	for reason, want := range map[string]string{
		"":                                     "application stopped",
		"bye\r\nnow":                           "bye  now",
		strings.Repeat("x", 99) + "éa":         strings.Repeat("x", 99),
		strings.Repeat("x", 98) + "éa":         strings.Repeat("x", 98) + "é",
		strings.Repeat("y", 97) + "\U0001f44b": strings.Repeat("y", 97),
	} {
		if is := clip(reason); is != want {
			t.Errorf("%q becomes %q, expected %q", reason, is, want)
		}
	}
}
