package main

// Tariff is the rules by which a deck of prices is applied to calls.
type Tariff struct {
	ID       string   `yaml:"id"`
	Deck     string   `yaml:"deck"`     // name of the deck, see patchbay deck; the id if empty
	Zone     string   `yaml:"zone"`     // of windows: of the IANA database
	Windows  []Window `yaml:"windows"`  // parts of the week that a deck may have prices of its own for; of several that hold the first
	Spanning string   `yaml:"spanning"` // at_start, split: which window a call that lasts into another is in
	Seconds  string   `yaml:"seconds"`  // ceil, floor, nearest
	Rounding string   `yaml:"rounding"` // half-up, half-even, up, down: once, at the end
	Decimals int      `yaml:"decimals"` // of an amount
	MaxCost  string   `yaml:"max_cost"` // of a call whose row has none
	Over     string   `yaml:"over"`     // free, disconnect: what becomes of a call that costs the most it may
}

// Window is a part of the week.
type Window struct {
	Name  string   `yaml:"name"`
	Times []string `yaml:"times"` // Mon-Fri 08:00-18:00
}

// Rating is what calls are rated by beside the tariffs that users, tenants and trunks have.
type Rating struct {
	Currency string      `yaml:"currency"` // the house's
	Loss     string      `yaml:"loss"`     // allow, refuse: what becomes of a hop that costs more than the call brings
	Exchange []Exchange  `yaml:"exchange"`
	Runs     []RatingRun `yaml:"runs"`
}

// Exchange is what one unit of a currency is worth.
type Exchange struct {
	Currency string `yaml:"currency"`
	Rate     string `yaml:"rate"` // in the house's currency
}

// RatingRun rates calls once more, beside what is sold and bought.
type RatingRun struct {
	ID     string `yaml:"id"`
	Tariff string `yaml:"tariff"`
	Tenant string `yaml:"tenant"` // whose calls; all if empty
	Trunk  string `yaml:"trunk"`  // likewise
}
