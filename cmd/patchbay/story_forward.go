package main

import (
	"fmt"

	"github.com/patchbay/patchbay/gateway/call"
)

// forward tells where a call went on to, and by whose word.
func (s *story) forward(d call.Forward, when string) {
	by := "trunk " + d.Trunk + " redirects"
	if d.User != "" {
		by = fmt.Sprintf("user %s forwards (%s)", d.User, d.Reason)
	}
	if d.Refuse {
		s.say(when, "%s %s to %s, which isn't followed: %s", by, d.From, d.To, d.Text)
		return
	}
	s.say(when, "%s %s to %s", by, d.From, d.To)
}
