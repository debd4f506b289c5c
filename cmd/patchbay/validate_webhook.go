package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/webhook"
)

var webhookEvents = []string{"start", "answer", "end", "rated"}

// webhooks: who is told of calls, and the file of finished ones.
func (d *document) webhooks(c *Config) {
	ids := map[string]string{}
	for i, h := range c.Webhooks {
		f := fmt.Sprintf("webhooks[%d]", i)
		d.id(f+".id", h.ID)
		d.once(ids, f+".id", h.ID, "this id")
		if h.URL == "" {
			d.bad(f+".url", "missing, expected https://… that takes POST")
		} else if err := (webhook.Target{URL: string(h.URL), Private: h.Private}).Check(); err != nil {
			d.bad(f+".url", "%v", err)
		}
		d.webhookSecret(f+".secret", h.Secret)
		for j, e := range h.Events {
			d.choice(fmt.Sprintf("%s.events[%d]", f, j), e, webhookEvents)
		}
		d.tenant(f+".tenant", h.Tenant)
		if h.CA != "" && !filepath.IsAbs(h.CA) {
			d.bad(f+".ca", "expected an absolute path of a file")
		}
		if h.Timeout != 0 { // which is the default
			d.between(f+".timeout", h.Timeout, time.Second, time.Minute)
		}
		if h.GiveUp != 0 {
			d.between(f+".give_up", h.GiveUp, time.Minute, 6*24*time.Hour)
		}
		d.count(f+".parallel", h.AtOnce, 0, 32)
	}
	if len(c.Webhooks) > 16 {
		d.bad("webhooks", "has %d entries, expected at most 16", len(c.Webhooks))
	}
	d.callsFile(c)
	if c.Billing.Database == billing.None && (len(c.Webhooks) > 0 || c.Billing.CallsFile.Path != "") {
		d.bad("billing.database", "expected a database: webhooks and billing.calls_file are told from there")
	}
}

func (d *document) webhookSecret(field string, s Secret) {
	raw := d.places[field].raw
	switch {
	case s == "":
		d.bad(field, "missing, expected ${NAME} or file:PATH")
	case !strings.Contains(raw, "${") && !strings.HasPrefix(raw, "file:"):
		d.bad(field, "expected ${NAME} or file:PATH: who reads the settings could sign in our name")
	default:
		if _, err := webhook.Key(string(s)); err != nil {
			d.bad(field, "%v", err)
		}
	}
}

func (d *document) callsFile(c *Config) {
	f := c.Billing.CallsFile
	if f.Path != "" && !filepath.IsAbs(f.Path) {
		d.bad("billing.calls_file.path", "expected an absolute path of a file")
	}
	if f.MaxSize != 0 && f.MaxSize < 64<<10 {
		d.bad("billing.calls_file.max_size", "expected at least 64KiB, or 0B: any")
	}
	if f.MaxAge != 0 {
		d.between("billing.calls_file.max_age", f.MaxAge, time.Minute, 366*24*time.Hour)
	}
	d.count("billing.calls_file.keep", f.Keep, 0, 1_000_000)
}
