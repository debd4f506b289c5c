package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/rating"
	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/gateway/call"
)

// rating is the tariff as the rater takes it.
func (t Tariff) rating() (*rating.Tariff, error) {
	c := rating.Config{ID: t.ID, Deck: cmp.Or(t.Deck, t.ID), Zone: t.Zone, Spanning: rating.Spanning(t.Spanning), Seconds: rating.Seconds(t.Seconds),
		Rounding: rating.Rounding(t.Rounding), Decimals: cmp.Or(t.Decimals, 4), Over: rating.Over(t.Over)}
	for _, w := range t.Windows {
		c.Windows = append(c.Windows, rating.Window{Name: w.Name, Times: w.Times})
	}
	if t.MaxCost != "" {
		var err error
		if c.MaxCost, err = rating.ParsePrice(t.MaxCost); err != nil {
			return nil, fmt.Errorf("max_cost %q: %w", t.MaxCost, err)
		}
	}
	return rating.NewTariff(c)
}

// rating is who has which tariff; the settings were found good.
func (c Config) rating() (billing.Rating, error) {
	r := billing.Rating{Users: map[string]string{}, Tenants: map[string]string{}, Trunks: map[string]string{}, Sources: map[string]string{},
		In: noTariffs(), Internal: noTariffs(), Currency: c.Rating.Currency, FX: map[string]decimal.Decimal{}}
	for _, t := range c.Tariffs {
		x, err := t.rating()
		if err != nil {
			return r, fmt.Errorf("tariff %s: %w", t.ID, err)
		}
		r.Tariffs = append(r.Tariffs, x)
	}
	for _, u := range c.Users {
		r.Users[u.ID], r.In.Users[u.ID], r.Internal.Users[u.ID] = u.Tariff, u.TariffIn, u.TariffInternal
	}
	for _, t := range c.Tenants {
		r.Tenants[t.ID], r.In.Tenants[t.ID], r.Internal.Tenants[t.ID] = t.Tariff, t.TariffIn, t.TariffInternal
	}
	for _, t := range c.Trunks {
		r.Trunks[t.ID], r.In.Trunks[t.ID], r.Sources[t.ID] = t.Tariff, t.TariffIn, t.TariffSell
	}
	for _, x := range c.Rating.Exchange {
		p, err := rating.ParsePrice(x.Rate)
		if err != nil {
			return r, fmt.Errorf("rating.exchange %s: %w", x.Currency, err)
		}
		r.FX[x.Currency] = p
	}
	for _, x := range c.Rating.Runs {
		r.Runs = append(r.Runs, billing.Run{Name: x.ID, Tariff: x.Tariff, Tenant: x.Tenant, Trunk: x.Trunk})
	}
	return r, nil
}

func noTariffs() billing.Parties {
	return billing.Parties{Users: map[string]string{}, Tenants: map[string]string{}, Trunks: map[string]string{}}
}

// quoter tells prices: the store of records.
type quoter interface {
	Sell(p billing.Payer, number string) (billing.Quote, bool)
	Buy(trunk, number string) (billing.Quote, bool)
	InHouse(amount decimal.Decimal, currency string) (decimal.Decimal, bool)
}

// charger asks tariffs before a call goes to a trunk. A call that has no price is let go: records come first, and prices may be away
// with their database.
type charger struct{ q quoter }

// Authorize implements gateway.Charger: who pays may call the number, as long as the tariff lets a call last.
func (c charger) Authorize(_ context.Context, x *call.Call) (gateway.Grant, error) {
	if x.Direction != call.Out {
		return gateway.Grant{}, nil
	}
	q, known := c.q.Sell(payer(x), x.Dialled())
	if !known {
		return gateway.Grant{}, nil
	}
	if q.Blocked {
		text := fmt.Sprintf("tariff %s blocks numbers that begin with %s", q.Tariff, q.Prefix)
		if q.Destination != "" {
			text += " (" + q.Destination + ")"
		}
		return gateway.Grant{}, &gateway.Refusal{Cause: call.Cause{Q850: 21, SIP: 403, Text: text}}
	}
	return gateway.Grant{ID: q.Tariff, Price: millionths(q.PerMinute), For: q.Talk}, nil
}

// payer is who pays where a call goes out through a trunk.
func payer(x *call.Call) billing.Payer {
	p := billing.Payer{User: x.Payer, Tenant: x.Tenant}
	if x.User == "" && x.App == "" {
		p.Trunk = x.Trunk
	}
	return p
}

// Loss implements gateway.Margins.
func (c charger) Loss(_ context.Context, x *call.Call, h gateway.Hop) string {
	sell, known := c.q.Sell(payer(x), x.Dialled())
	if !known {
		return ""
	}
	brings, known := c.q.InHouse(sell.Minute, sell.Currency)
	if !known {
		return ""
	}
	buy, known := c.q.Buy(h.Trunk, h.Number)
	costs, source := decimal.New(int64(h.Cost), -6), "the route's cost"
	if known {
		source = "tariff " + buy.Tariff + ", prefix " + buy.Prefix
		costs, known = c.q.InHouse(buy.Minute, buy.Currency)
	} else {
		known = h.Priced
	}
	if !known || costs.LessThanOrEqual(brings) {
		return ""
	}
	return fmt.Sprintf("it would be at a loss: a call of a minute costs %s there (%s) and brings %s (tariff %s, prefix %s)", costs, source, brings, sell.Tariff, sell.Prefix)
}

// Extend ends the call: it costs the most that a call may.
func (c charger) Extend(_ context.Context, g gateway.Grant) (gateway.Grant, error) {
	return g, &gateway.Refusal{Cause: call.Cause{Q850: 16, Text: "the call costs the most that tariff " + g.ID + " lets one cost"}}
}

// Settle has nothing to do: the call is rated as its end is written down.
func (charger) Settle(gateway.Grant, gateway.Used) {}

// Cost implements gateway.Rates.
func (c charger) Cost(_ context.Context, trunk, number string) (gateway.Price, bool) {
	q, known := c.q.Buy(trunk, number)
	return millionths(q.PerMinute), known
}

// millionths rounds up, so that nothing seems cheaper than it is.
func millionths(d decimal.Decimal) gateway.Price {
	return gateway.Price(d.Shift(6).Ceil().IntPart())
}
