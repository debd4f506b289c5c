package main

import "time"

// Webhook is another program that is told of calls over HTTP.
type Webhook struct {
	ID      string        `yaml:"id"`
	URL     Secret        `yaml:"url"`    // https://…; it may have a token in it
	Secret  Secret        `yaml:"secret"` // that messages are signed with; from the environment or a file alone
	Events  []string      `yaml:"events"` // start, answer, end, rated; all if empty
	Tenant  string        `yaml:"tenant"` // whose calls; all if empty
	Private bool          `yaml:"private"`
	CA      string        `yaml:"ca"`       // PEM file: who may vouch for the server; the system's if empty
	Timeout time.Duration `yaml:"timeout"`  // of one attempt
	GiveUp  time.Duration `yaml:"give_up"`  // a message that isn't taken for so long becomes a dead letter
	AtOnce  int           `yaml:"parallel"` // messages on their way at a time
}

// CallsFile is where finished calls are written, a line of JSON each.
type CallsFile struct {
	Path    string        `yaml:"path"` // none if empty
	MaxSize Size          `yaml:"max_size"`
	MaxAge  time.Duration `yaml:"max_age"`
	Keep    int           `yaml:"keep"` // old files; 0 = all
}
