package main

import "github.com/prometheus/client_golang/prometheus"

// routing exports what became of calls by route and of attempts by trunk. Labels are names of the settings.
func (c collector) routing(gauge, count func(*prometheus.Desc, float64, ...string)) {
	routes, attempts := c.s.gateway.Outcomes()
	for o, n := range routes {
		count(desc("route_calls_total", "Ended calls by route: users and groups are their own numbers', none those that no route took.", "route", "result"), float64(n), orNone(o.Route), o.Result)
	}
	for o, n := range attempts {
		count(desc("trunk_attempts_total", "Attempts at a trunk: answered, busy, noanswer, refused (4xx, 6xx), failed (5xx, silence, transport), cancelled (the caller's doing, or another answered), passed (full, down or put aside).",
			"trunk", "result"), float64(n), o.Trunk, o.Result)
	}
	helps, barred, locked := c.s.gateway.Tolls()
	count(desc("emergency_calls_total", "Calls for help."), float64(helps))
	count(desc("toll_refused_total", "Calls through trunks that an account wasn't allowed."), float64(barred))
	count(desc("toll_locked_total", "Times that an account was locked after refused numbers: somebody has its password."), float64(locked))
	count(desc("toll_new_countries_total", "Times that a user called a country for the first time that isn't the home country."), float64(c.s.gateway.NewCountries()))
	gauge(desc("toll_locks", "Accounts that are locked now."), float64(len(c.s.gateway.Locks())))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
