package main

import (
	"errors"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
)

type quotes struct{}

func (quotes) Sell(p billing.Payer, number string) (billing.Quote, bool) {
	return billing.Quote{Tariff: "retail", Prefix: "49900", Destination: "Premium", Currency: "USD", Minute: decimal.RequireFromString("0.04"), PerMinute: decimal.RequireFromString("0.0000015"), Blocked: number == "+4990012", Talk: time.Minute}, p.User == "anna" || p.Trunk == "customer"
}

func (quotes) Buy(trunk, _ string) (billing.Quote, bool) {
	return billing.Quote{Tariff: "wholesale", Prefix: "49", Currency: "USD", PerMinute: decimal.RequireFromString("0.0123"), Minute: decimal.RequireFromString("0.05")}, trunk == "telco"
}

func (quotes) InHouse(amount decimal.Decimal, currency string) (decimal.Decimal, bool) {
	return amount.Mul(decimal.RequireFromString("0.9")), currency == "USD"
}

func TestLoss(t *testing.T) {
	for _, v := range []struct {
		call *call.Call
		hop  gateway.Hop
		want string
	}{
		{&call.Call{Payer: "anna"}, gateway.Hop{Trunk: "telco"}, "it would be at a loss: a call of a minute costs 0.045 there (tariff wholesale, prefix 49) and brings 0.036 (tariff retail, prefix 49900)"},
		{&call.Call{Trunk: "customer"}, gateway.Hop{Trunk: "telco"}, "it would be at a loss: a call of a minute costs 0.045 there (tariff wholesale, prefix 49) and brings 0.036 (tariff retail, prefix 49900)"},
		{&call.Call{Payer: "anna"}, gateway.Hop{Trunk: "backup", Cost: 40_000, Priced: true}, "it would be at a loss: a call of a minute costs 0.04 there (the route's cost) and brings 0.036 (tariff retail, prefix 49900)"},
		{&call.Call{Payer: "anna"}, gateway.Hop{Trunk: "backup", Cost: 36_000, Priced: true}, ""},
		{&call.Call{Payer: "anna"}, gateway.Hop{Trunk: "backup"}, ""},                 // nobody knows
		{&call.Call{Payer: "ben"}, gateway.Hop{Trunk: "telco"}, ""},                   // likewise
		{&call.Call{User: "ben", Trunk: "customer"}, gateway.Hop{Trunk: "telco"}, ""}, // the trunk that it was last tried on pays for nothing
	} {
		if got := (charger{quotes{}}).Loss(t.Context(), v.call, v.hop); got != v.want {
			t.Errorf("%+v by %+v: %q, expected %q", v.call, v.hop, got, v.want)
		}
	}
}

func TestCharger(t *testing.T) {
	c := charger{quotes{}}
	_, err := c.Authorize(t.Context(), &call.Call{Payer: "anna", Direction: call.Out, ToN: "+4990012"})
	var refused *gateway.Refusal
	if !errors.As(err, &refused) || refused.Cause.SIP != 403 || refused.Cause.Text != "tariff retail blocks numbers that begin with 49900 (Premium)" {
		t.Errorf("a blocked number: %v", err)
	}
	g, err := c.Authorize(t.Context(), &call.Call{Payer: "anna", Direction: call.Out, ToN: "+4930"})
	if err != nil || g.Price != 2 || g.For != time.Minute || g.Final {
		t.Errorf("%+v %v, expected a price rounded up", g, err)
	}
	if _, err := c.Extend(t.Context(), g); !errors.As(err, &refused) || refused.Cause.Text != "the call costs the most that tariff retail lets one cost" {
		t.Errorf("%v", err)
	}
	for _, x := range []*call.Call{{Payer: "anna", Direction: call.Internal, ToN: "+4990012"}, {Payer: "ben", Direction: call.Out, ToN: "+4990012"}, {Payer: "anna", Direction: call.In, ToN: "+4990012"}} {
		if g, err := c.Authorize(t.Context(), x); err != nil || g != (gateway.Grant{}) {
			t.Errorf("%+v: %+v %v, expected leave without a price", x, g, err)
		}
	}
	if p, known := c.Cost(t.Context(), "telco", "+4930"); p != 12300 || !known {
		t.Errorf("%v %v", p, known)
	}
}
