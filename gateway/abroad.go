package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/patchbay/patchbay/gateway/call"
	"github.com/patchbay/patchbay/gateway/numbering"
)

// Words that stand for destinations in Toll.Allow.
const (
	Home     = "home" // the home country, and numbers too short to be of another
	Anywhere = "any"
)

// localDigits is the most digits of a number that can't be one of another country: the shortest there, with their country code, have seven
// (ITU-T E.164: +290, +683).
const localDigits = 6

// resides finds the account's home country: the node's, else that of the user's own numbers; none if they tell nothing.
func (a *account) resides(country string, numbers ...string) error {
	a.home = strings.ToUpper(country)
	for _, n := range numbers {
		if c, _ := numbering.Country(n); a.home == "" && len(c) == 2 {
			a.home = c
		}
	}
	var err error
	a.plan, err = numbering.New(numbering.Config{Country: a.home})
	return err
}

// reads understands a number as it is dialled at the account's home.
func (a *account) reads(number string) string {
	if a.plan == nil {
		return number
	}
	if n := a.plan.In(numbering.Called, number).Number; n != "" {
		return n
	}
	return number
}

// fits is how much of a number an entry of the account's lists says, in digits; -1 if it isn't about it.
func (a *account) fits(entry, number string) int {
	switch entry {
	case Anywhere:
		return 0
	case Home:
		country, code := numbering.Country(number)
		switch {
		case country == "" && !local(number):
			return -1
		case country == "" && countDigits(number) <= localDigits:
			return 0
		case country == "" && numbering.Nested("+"+number):
			return -1
		case country == "": // many carriers are given international numbers without a sign
			country, code = numbering.Country("+" + number)
		}
		if country != "" && country == a.home {
			return code
		}
		return -1
	}
	if p := international(entry); strings.HasPrefix(international(number), p) {
		return len(p)
	}
	return -1
}

// local tells that a number doesn't say of itself that it is international.
func local(number string) bool {
	return !strings.HasPrefix(number, "+") && !strings.HasPrefix(number, "00")
}

// countDigits counts those of all scripts: somebody further on may read them as ours.
func countDigits(s string) (n int) {
	for _, c := range s {
		if unicode.IsDigit(c) {
			n++
		}
	}
	return n
}

// barred says why a number is none that the account may call.
func (a *account) barred(number string) string {
	country, _ := numbering.Country(number)
	switch {
	case !slices.Contains(a.Allow, Home) || a.fits(Home, number) >= 0:
		return clip(number) + " is none of the numbers that " + a.name + " may call"
	case a.home == "":
		return clip(number) + " may be abroad: " + a.name + " has no home country (sip.country), and allow doesn't list it"
	case country == "":
		return clip(number) + " isn't understood as a number of " + a.home + ", and allow of " + a.name + " doesn't list it"
	}
	return clip(number) + " is in " + country + ": " + a.name + " may call " + a.home + " and what allow lists"
}

// firstIn tells that the account has never called a country before, which isn't its home; "" = it has.
func (a *account) firstIn(number string) (country string) {
	number = a.reads(number)
	if country, _ = numbering.Country(number); country == "" && countDigits(number) > localDigits && numbering.Valid("+"+number) {
		country, _ = numbering.Country("+" + number)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if country == "" || country == a.home || a.seen[country] {
		return ""
	}
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[country] = true
	return country
}

// goesAbroad tells everybody whom it concerns that an account calls a country for the first time.
func (c *Call) goesAbroad(a *account, number string) {
	country := a.firstIn(number)
	if country == "" {
		return
	}
	text := a.name + " calls " + country + " for the first time: " + clip(number)
	c.rec.note(0, time.Now(), call.Alarm{Account: a.name, Country: country, Text: text})
	c.log.Warn("account calls a new country", "account", a.name, "country", country, "number", clip(number))
	c.g.tally.countries.Add(1)
	c.g.keepCountries()
}

// NewCountries counts the times that an account called a country for the first time, since the start.
func (g *Gateway) NewCountries() uint64 { return g.tally.countries.Load() }

// openCountries reads which countries accounts have called before the restart.
func (g *Gateway) openCountries() error {
	if g.cfg.Countries == "" {
		return nil
	}
	b, err := os.ReadFile(g.cfg.Countries)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("countries that were called: %w", err)
	}
	var kept map[string][]string
	if err := json.Unmarshal(b, &kept); err != nil {
		return fmt.Errorf("countries that were called, in %s: %w", g.cfg.Countries, err)
	}
	for name, list := range kept {
		a := g.accounts[name]
		if a == nil {
			continue
		}
		a.seen = map[string]bool{}
		for _, country := range list {
			a.seen[country] = true
		}
	}
	return nil
}

// keepCountries writes them down. A failure is told in the log: at worst a country is new once more after a restart.
func (g *Gateway) keepCountries() {
	if g.cfg.Countries == "" {
		return
	}
	g.keeping.Lock()
	defer g.keeping.Unlock()
	kept := map[string][]string{}
	for name, a := range g.accounts {
		a.mu.Lock()
		for country := range a.seen {
			kept[name] = append(kept[name], country)
		}
		a.mu.Unlock()
		slices.Sort(kept[name])
	}
	if err := writeJSON(g.cfg.Countries, kept); err != nil {
		g.log.Error("countries that were called not kept for a restart", "err", err)
	}
}

// writeJSON writes a file that is whole at any time.
func writeJSON(file string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = os.WriteFile(file+".new", append(b, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	return err
}
