package main

import (
	"strings"

	"github.com/patchbay/patchbay/gateway/call"
)

// rated tells what the call costs whom.
func (s *story) rated(when, verb string, list []call.Rating) {
	var parts []string
	for _, r := range list {
		who := r.Account + " pays "
		switch r.Side {
		case "buy":
			who = "we pay for " + r.Account + " "
		case "custom":
			who = r.Run + " counts "
		}
		if r.Problem != "" {
			parts = append(parts, who+"nothing: "+r.Problem)
			continue
		}
		parts = append(parts, who+r.Amount+" "+r.Currency+" ("+r.Tariff+", prefix "+r.Prefix+")")
	}
	s.say(when, "the call %s: %s", verb, strings.Join(parts, "; "))
}
