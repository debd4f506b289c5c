package gateway

import "github.com/patchbay/patchbay/media"

// Codecs are those that a call is likely to be offered with, best first, before it is known where it goes: what the request
// asks for, else its trunk's, else those of the tenant's first trunk or user.
func (g *Gateway) Codecs(r DialRequest) []string {
	if len(r.Codecs) > 0 {
		return r.Codecs
	}
	for _, t := range g.cfg.Trunks {
		if t.Tenant == r.Tenant && (r.Trunk == "" || t.ID == r.Trunk) {
			return t.Codecs
		}
	}
	for _, u := range g.cfg.Users {
		if u.Tenant == r.Tenant {
			return u.Codecs
		}
	}
	return []string{"PCMU", "PCMA"}
}

// Formats are those that a list of codec names means; names that aren't PCMU, PCMA or opus mean none.
func Formats(codecs []string) []*media.Format { return formats(codecs, "") }

// preferred is what an application prefers in the call that it makes.
func (c *Call) preferred() []*media.Format {
	if c.wish == nil {
		return nil
	}
	return Formats(c.wish.Prefer)
}
