package main

import "time"

// Routing is how the route of a call is found.
type Routing struct {
	Order string `yaml:"order"` // listed: the first that takes the call; longest: the one that says most of the number
}

// Hours are the times at which a route takes calls; none = always.
type Hours struct {
	Zone  string   `yaml:"zone"`  // of the IANA database; UTC if empty
	Week  []string `yaml:"week"`  // Mon-Fri 08:00-18:00
	Also  []string `yaml:"also"`  // days on which it takes calls whatever week says: 2026-12-24, 12-24..12-26, 12-31 08:00-12:00
	Never []string `yaml:"never"` // days on which it takes none
}

// Group rings several callees for one number.
type Group struct {
	ID       string        `yaml:"id"`
	Tenant   string        `yaml:"tenant"`
	Numbers  []string      `yaml:"numbers"`  // who calls one of them reaches the group
	Strategy string        `yaml:"strategy"` // parallel, sequential, random
	Ring     time.Duration `yaml:"ring"`     // limits.ring if 0
	Members  []Member      `yaml:"members"`
}

// Member is a callee of a group. One of User and Trunk is set.
type Member struct {
	User   string        `yaml:"user"`
	Trunk  string        `yaml:"trunk"`
	Number string        `yaml:"number"` // that is called at the trunk
	Ring   time.Duration `yaml:"ring"`   // the group's if 0
}

// Outcomes are what a trunk's failures mean for a call: retry, SIP statuses or classes such as 5xx.
type Outcomes struct {
	Next  []string      `yaml:"next"`  // the next hop is tried
	Stop  []string      `yaml:"stop"`  // the call ends
	Later []string      `yaml:"later"` // the next hop is tried, and the trunk is left alone for aside
	Aside time.Duration `yaml:"aside"`
}

// Forward is where a user's calls go: user:ID, group:ID or a number.
type Forward struct {
	Always   string        `yaml:"always"`
	Busy     string        `yaml:"busy"`
	NoAnswer string        `yaml:"no_answer"`
	After    time.Duration `yaml:"after"` // how long the phones ring before no_answer; limits.ring if 0
	Offline  string        `yaml:"offline"`
}
