package main

import (
	"strings"
	"testing"

	"github.com/patchbay/patchbay/gateway/call"
)

// Of a call that was forwarded: who forwarded it, who pays, how much, why so much, and what is left.
func TestStoryOfMoney(t *testing.T) {
	sell := call.Rating{Side: "sell", Account: "user:ben", Tariff: "retail", Deck: "retail", Version: 3, Prefix: "49", Destination: "Germany", Price: "0.06", Fee: "0.05",
		First: 60, Next: 1, Seconds: 66, Amount: "0.116", Currency: "EUR", House: "0.116", HouseIn: "EUR"}
	buy := call.Rating{Side: "buy", Account: "trunk:telco", Tariff: "wholesale", Deck: "telco", Version: 7, Prefix: "4930", Price: "0.0123", First: 30, Next: 6, Seconds: 66,
		Amount: "0.01353", Currency: "USD", House: "0.012177", HouseIn: "EUR"}
	dear, unknown, lost := buy, buy, buy
	dear.House = "0.2"
	unknown.House, unknown.HouseIn = "", ""
	lost.Problem, lost.Amount = "deck telco version 7 has no prefix of +4930123456", ""
	agent := call.Rating{Side: "custom", Run: "agent", Account: "tenant:default", Tariff: "retail", Deck: "retail", Version: 3, Prefix: "49", Price: "0.06", First: 60, Next: 1, Seconds: 66, Amount: "0.07", Currency: "EUR"}
	const (
		benPays = "user:ben pays 0.116 EUR (fee 0.05, 66 s at 0.06 a minute in units of 60 and 1 s, tariff retail, deck retail 3, prefix 49 Germany)"
		wePay   = "we pay for trunk:telco 0.01353 USD (66 s at 0.0123 a minute in units of 30 and 6 s, tariff wholesale, deck telco 7, prefix 4930)"
	)
	for _, v := range []struct {
		ratings []call.Rating
		want    string
	}{
		{[]call.Rating{sell, buy}, "the call costs: " + benPays + "; " + wePay + "; margin 0.103823 EUR\n"},
		{[]call.Rating{sell, dear}, wePay + "; a loss: -0.084 EUR\n"},
		{[]call.Rating{sell, unknown}, wePay + "\n"},
		{[]call.Rating{sell, lost}, "we pay for trunk:telco nothing: deck telco version 7 has no prefix of +4930123456\n"},
		{[]call.Rating{sell, agent}, benPays + "; agent counts 0.07 EUR (66 s at 0.06 a minute in units of 60 and 1 s, tariff retail, deck retail 3, prefix 49)\n"},
	} {
		c, events := play(t, append(append(begins[:2:2], scene{1, 0, call.Forward{User: "ben", From: "402", To: "030123456", Reason: "busy", Depth: 1}}, begins[2], begins[3]),
			scene{5200, 2, call.Answer{}}, scene{71000, 1, call.LegEnd{Cause: call.Normal, HungUp: true}}, scene{71000, 0, call.End{By: call.Caller, Cause: call.Normal}}))
		told := tell(c, append(events, call.Event{Call: storyID, Seq: c.Version + 1, At: storyZero, Data: call.Rated{Ratings: v.ratings}}), storyZero.Location())
		if strings.Contains(told, "+0 ms  the call costs") || !strings.Contains(told, "\n               the call costs: ") {
			t.Errorf("the price has a time that it isn't of:\n%s", told)
		}
		if !strings.Contains(told, v.want) || !strings.Contains(told, "user ben forwards (busy) 402 to 030123456") {
			t.Errorf("%s\nexpected %s", told, v.want)
		}
		if n := strings.Count(told, "\n"); n > 10 {
			t.Errorf("%d lines, expected ten at most:\n%s", n, told)
		}
	}
}
