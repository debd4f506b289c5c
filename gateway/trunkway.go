package gateway

import (
	"cmp"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// next is the host that requests of a trunk are sent to: the outbound proxy if there is one, else where they would go.
func (t *Trunk) next(hp sip.HostPort) sip.HostPort {
	if t.Outbound.IsZero() {
		return hp
	}
	return t.Outbound
}

// hosts are all of the carrier that we send to, and that send to us.
func (t *Trunk) hosts() []sip.HostPort {
	return []sip.HostPort{t.Proxy, t.Registrar, t.Outbound}
}

// preloaded is the route set that REGISTER begins with: the outbound proxy (RFC 3261 8.1.2).
func (t *Trunk) preloaded() []sip.URI {
	if t.Outbound.IsZero() {
		return nil
	}
	u, err := sip.NewURI("", t.Outbound.Host, t.Outbound.Port)
	if err != nil {
		return nil // the settings are checked
	}
	if t.Network != "udp" {
		u = u.With("transport", t.Network)
	}
	return []sip.URI{u.With("lr", "")}
}

// routes is the route set that a call begins with: the outbound proxy, then what the registrar said (RFC 3608). Later requests of
// the call have that of its dialog.
func (t *trunk) routes() []sip.URI {
	out := t.preloaded()
	reg := t.reg.Load()
	if reg == nil {
		return out
	}
	for _, v := range reg.Status().ServiceRoute {
		if n, err := sip.ParseNameAddr(v); err == nil && n.URI.Check() == nil {
			out = append(out, n.URI)
		}
	}
	return out
}

// sooner notes when the caller may try again: the first time that one of the ways may be open.
func (c *Call) sooner(d time.Duration) {
	if d > 0 && (c.again == 0 || d < c.again) {
		c.again = d
	}
}

// comeBack is what a 503 tells the caller to wait, in seconds (RFC 3261 20.33).
func (c *Call) comeBack() time.Duration {
	return min(max(cmp.Or(c.again, 5*time.Second), time.Second), maxAside)
}
