package main

import (
	"fmt"
	"regexp"

	"github.com/patchbay/patchbay/billing/rating"
)

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// rating: tariffs, and who has which.
func (d *document) rating(c *Config) {
	ids := map[string]string{}
	for i, t := range c.Tariffs {
		f := fmt.Sprintf("tariffs[%d]", i)
		d.id(f+".id", t.ID)
		d.once(ids, f+".id", t.ID, "this id")
		t.complete() // what isn't said is right
		d.id(f+".deck", t.Deck)
		d.choice(f+".spanning", t.Spanning, []string{"at_start", "split"})
		d.choice(f+".seconds", t.Seconds, []string{"ceil", "floor", "nearest"})
		d.choice(f+".rounding", t.Rounding, []string{"half-up", "half-even", "up", "down"})
		d.choice(f+".over", t.Over, []string{"free", "disconnect"})
		d.count(f+".decimals", t.Decimals, 1, rating.MaxDecimals)
		d.money(f+".max_cost", t.MaxCost)
		for j, w := range t.Windows {
			d.id(fmt.Sprintf("%s.windows[%d].name", f, j), w.Name)
		}
		t.MaxCost = ""
		if _, err := (Tariff{ID: t.ID, Zone: t.Zone, Windows: t.Windows}).rating(); err != nil {
			d.bad(f, "%v", err)
		}
	}
	for i, u := range c.Users {
		f := fmt.Sprintf("users[%d].tariff", i)
		d.tariff(f, u.Tariff, ids)
		d.tariff(f+"_in", u.TariffIn, ids)
		d.tariff(f+"_internal", u.TariffInternal, ids)
	}
	for i, t := range c.Tenants {
		f := fmt.Sprintf("tenants[%d].tariff", i)
		d.tariff(f, t.Tariff, ids)
		d.tariff(f+"_in", t.TariffIn, ids)
		d.tariff(f+"_internal", t.TariffInternal, ids)
	}
	for i, t := range c.Trunks {
		f := fmt.Sprintf("trunks[%d].tariff", i)
		d.tariff(f, t.Tariff, ids)
		d.tariff(f+"_in", t.TariffIn, ids)
		d.tariff(f+"_sell", t.TariffSell, ids)
	}
	if !currencyCode.MatchString(c.Rating.Currency) {
		d.bad("rating.currency", "expected three letters of ISO 4217, such as EUR")
	}
	d.choice("rating.loss", c.Rating.Loss, []string{"allow", "refuse"})
	for i, x := range c.Rating.Exchange {
		f := fmt.Sprintf("rating.exchange[%d]", i)
		if !currencyCode.MatchString(x.Currency) || x.Currency == c.Rating.Currency {
			d.bad(f+".currency", "expected three letters of ISO 4217, other than rating.currency")
		}
		if p, err := rating.ParsePrice(x.Rate); err != nil || !p.IsPositive() {
			d.bad(f+".rate", "expected a decimal number above 0, such as 0.92")
		}
	}
	runs := map[string]string{}
	for i, r := range c.Rating.Runs {
		f := fmt.Sprintf("rating.runs[%d]", i)
		d.id(f+".id", r.ID)
		d.once(runs, f+".id", r.ID, "this id")
		if r.Tariff == "" {
			d.bad(f+".tariff", "missing, expected the id of a tariff")
		}
		d.tariff(f+".tariff", r.Tariff, ids)
	}
}

func (d *document) tariff(field, id string, known map[string]string) {
	if _, ok := known[id]; id != "" && !ok {
		d.bad(field, "there is no tariff %q, expected %s%s", id, oneOf(names(known)), meant(id, names(known)))
	}
}

func (d *document) money(field, v string) {
	if v == "" {
		return
	}
	if _, err := rating.ParsePrice(v); err != nil {
		d.bad(field, "%v", err)
	}
}
