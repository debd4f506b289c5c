package main

import (
	"cmp"
	"time"
)

// Emergency is how calls for help go: past all limits.
type Emergency struct {
	Numbers []string `yaml:"numbers"` // that users and applications dial; the first stands for urn:service:sos as well
	Without string   `yaml:"without"` // refuse, alternative: what a call gets that nothing takes
	To      []Helper `yaml:"to"`      // tried in order, whatever comes of each; the routes decide if empty
}

// Helper is who answers calls for help. One of Trunk, User and Group is set.
type Helper struct {
	Trunk string        `yaml:"trunk"`
	User  string        `yaml:"user"`
	Group string        `yaml:"group"`
	Ring  time.Duration `yaml:"ring"` // limits.ring if 0
}

// Outbound bounds what an account, a user's or a tenant's, calls out through trunks. 0 and nothing bound nothing.
type Outbound struct {
	Allow     []string      `yaml:"allow"`   // beginnings of numbers as they leave for trunks, home, any; of a tenant any if empty
	Deny      []string      `yaml:"deny"`    // likewise; of several that fit the longest decides, of equals this
	Premium   string        `yaml:"premium"` // refuse or allow numbers that are dear by their kind; nothing: allow
	MaxCalls  int           `yaml:"max_calls"`
	MaxRate   float64       `yaml:"max_rate"` // calls that begin per second
	Duration  time.Duration `yaml:"duration"` // of one call, from its answer
	TalkHour  time.Duration `yaml:"talk_hour"`
	TalkDay   time.Duration `yaml:"talk_day"`
	SpendHour string        `yaml:"spend_hour"` // a decimal number
	SpendDay  string        `yaml:"spend_day"`
	LockAfter int           `yaml:"lock_after"` // so many refused numbers within an hour lock the account
}

// Tenant is an owner of users, trunks and routes.
type Tenant struct {
	ID       string   `yaml:"id"`
	Outbound Outbound `yaml:"outbound"`  // of all its users and applications together
	Tariff   string   `yaml:"tariff"`    // what its users and applications pay for calls through trunks
	TariffIn string   `yaml:"tariff_in"` // for calls from trunks

	TariffInternal string `yaml:"tariff_internal"` // for calls within the house
}

// or takes from another what is nothing here.
func (o Outbound) or(other Outbound) Outbound {
	if len(o.Allow) == 0 {
		o.Allow = other.Allow
	}
	if len(o.Deny) == 0 {
		o.Deny = other.Deny
	}
	return Outbound{o.Allow, o.Deny, cmp.Or(o.Premium, other.Premium), cmp.Or(o.MaxCalls, other.MaxCalls), cmp.Or(o.MaxRate, other.MaxRate), cmp.Or(o.Duration, other.Duration),
		cmp.Or(o.TalkHour, other.TalkHour), cmp.Or(o.TalkDay, other.TalkDay), cmp.Or(o.SpendHour, other.SpendHour), cmp.Or(o.SpendDay, other.SpendDay),
		cmp.Or(o.LockAfter, other.LockAfter)}
}
