package main

import (
	"crypto/x509"
	"fmt"
	"os"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/webhook"
)

// tell completes the settings of records with who is told of calls.
func (c Config) tell(b *billing.Config) error {
	c.leave(b)
	for i, h := range c.Webhooks {
		t := webhook.Target{URL: string(h.URL), Secret: string(h.Secret), Private: h.Private, Timeout: h.Timeout}
		if h.CA != "" {
			pem, err := os.ReadFile(h.CA)
			if err != nil {
				return fmt.Errorf("webhook %s: ca: %w", h.ID, err)
			}
			list, err := certificatesOf(pem)
			if err != nil {
				return fmt.Errorf("webhook %s: ca %s: %w", h.ID, h.CA, err)
			}
			t.Roots = x509.NewCertPool()
			for _, x := range list {
				t.Roots.AddCert(x)
			}
		}
		b.Hooks[i].Target = t
	}
	return nil
}

// leave completes them for those who leave messages to a gateway that delivers them: they need not know where to, nor any secret.
func (c Config) leave(b *billing.Config) {
	for _, h := range c.Webhooks {
		hook := billing.Hook{ID: h.ID, Tenant: h.Tenant, Parallel: h.AtOnce, GiveUp: h.GiveUp}
		for _, e := range h.Events {
			hook.Kinds = append(hook.Kinds, "call."+e)
		}
		b.Hooks = append(b.Hooks, hook)
	}
	f := c.Billing.CallsFile
	b.CallsFile = billing.CallsFile{Path: f.Path, MaxSize: int64(f.MaxSize), MaxAge: f.MaxAge, Keep: f.Keep}
}
