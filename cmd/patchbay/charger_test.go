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

func (quotes) Sell(user, _, number string) (billing.Quote, bool) {
	return billing.Quote{Tariff: "retail", Prefix: "49900", Destination: "Premium", PerMinute: decimal.RequireFromString("0.0000015"), Blocked: number == "+4990012", Talk: time.Minute}, user == "anna"
}

func (quotes) Buy(trunk, _ string) (billing.Quote, bool) {
	return billing.Quote{PerMinute: decimal.RequireFromString("0.0123")}, trunk == "telco"
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
	for _, x := range []*call.Call{{Payer: "anna", Direction: call.Internal, ToN: "+4990012"}, {Payer: "ben", Direction: call.Out, ToN: "+4990012"}} {
		if g, err := c.Authorize(t.Context(), x); err != nil || g != (gateway.Grant{}) {
			t.Errorf("%+v: %+v %v, expected leave without a price", x, g, err)
		}
	}
	if p, known := c.Cost(t.Context(), "telco", "+4930"); p != 12300 || !known {
		t.Errorf("%v %v", p, known)
	}
}
