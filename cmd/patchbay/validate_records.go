package main

import (
	"path/filepath"
	"time"

	"github.com/patchbay/patchbay/billing"
)

// records checks how calls that go on stand in records, and for how long all of it is kept.
func (d *document) records(b *Billing) {
	if b.PartialAfter != 0 {
		d.between("billing.partial_after", b.PartialAfter, time.Minute, 24*time.Hour)
		d.between("billing.partial_every", b.PartialEvery, time.Minute, 24*time.Hour)
	}
	for _, r := range [...]struct {
		field string
		days  int
	}{{"events", b.Retention.Events}, {"quality", b.Retention.Quality}, {"calls", b.Retention.Calls}} {
		if r.days != 0 && (r.days < 7 || r.days > 36500) {
			d.bad("billing.retention."+r.field, "expected 7 to 36500 days, or 0: for ever")
		}
	}
	if e := b.Retention.Export; e != "" && e != billing.None && !filepath.IsAbs(e) {
		d.bad("billing.retention.export", "expected an absolute path of a folder, or none")
	}
	if calls := b.Retention.Calls; calls != 0 && (outlives(b.Retention.Events, calls) || outlives(b.Retention.Quality, calls)) {
		d.bad("billing.retention.calls", "expected at least as many days as events and quality have")
	}
}

// outlives tells whether what is kept for so many days is there longer than calls are.
func outlives(days, calls int) bool { return days == 0 || days > calls }
