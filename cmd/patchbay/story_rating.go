package main

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/gateway/call"
)

// rated tells what the call costs whom and why, and what is left.
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
		parts = append(parts, who+r.Amount+" "+r.Currency+" ("+priced(r)+")")
	}
	s.say(when, "the call %s: %s%s", verb, strings.Join(parts, "; "), margin(list))
}

// priced is how an amount came about: 66 s at 0.0123 a minute in units of 30 and 6 s, tariff retail, deck retail 3, prefix 49.
func priced(r call.Rating) string {
	how := "tariff " + r.Tariff
	if r.Price != "" {
		how = fmt.Sprintf("%d s at %s a minute in units of %d and %d s, ", r.Seconds, r.Price, r.First, r.Next) + how
	}
	if r.Before > 0 {
		how = fmt.Sprintf("leg %d goes on behind %d s of another call, ", r.Leg, r.Before) + how
	}
	if r.Fee != "" {
		how = "fee " + r.Fee + ", " + how
	}
	if r.Deck != "" {
		how += fmt.Sprintf(", deck %s %d", r.Deck, r.Version)
	}
	how += ", prefix " + r.Prefix
	if r.Destination != "" {
		how += " " + r.Destination
	}
	return how
}

// margin is what is left of what is paid to us, where all of both sides is known; "" otherwise.
func margin(list []call.Rating) string {
	sums, seen, in := map[string]decimal.Decimal{}, map[string]bool{}, ""
	for _, r := range list {
		if r.Side == "custom" {
			continue
		}
		d, err := decimal.NewFromString(r.House)
		if err != nil || r.Problem != "" || in != "" && in != r.HouseIn { // of two currencies there is no sum
			return ""
		}
		sums[r.Side], seen[r.Side], in = sums[r.Side].Add(d), true, r.HouseIn
	}
	if !seen["sell"] || !seen["buy"] {
		return ""
	}
	left, word := sums["sell"].Sub(sums["buy"]), "margin"
	if left.IsNegative() {
		word = "a loss:"
	}
	return fmt.Sprintf("; %s %s %s", word, left, in)
}
