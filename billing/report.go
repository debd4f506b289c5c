package billing

import (
	"context"
	"fmt"

	"github.com/patchbay/patchbay/billing/report"
)

// Report answers a question about many calls from the database. What the journal alone holds yet isn't in it: a fraction of a second's
// calls, as long as the database is there. progress may be nil. An error that is a *report.Error is the asker's.
func (r *Reader) Report(ctx context.Context, q report.Query, progress report.Progress) (*report.Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return nil, fmt.Errorf("reports are made by the database: %w", r.why)
	}
	q.House = r.cfg.Rating.Currency
	return report.Run(ctx, r.conn, q, progress)
}
