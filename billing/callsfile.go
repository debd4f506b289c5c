package billing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchbay/patchbay/billing/ndjson"
)

// callsFile is the file of this node's finished calls. Lines are written in the order in which they came to the database; they go from the
// table once they are durable. After a crash in between they are found at the file's end, and not written again: it goes on as
// a new file only while the table has none of its lines.
type callsFile struct {
	cfg   ndjson.Config
	file  *ndjson.File
	owned bool
	seen  map[string]bool // ids of lines that the table may still have
}

func bornOf(line []byte) time.Time {
	var m struct {
		At time.Time `json:"at"`
	}
	if json.Unmarshal(line, &m) != nil {
		return time.Time{}
	}
	return m.At
}

func (f *callsFile) close() {
	if f != nil && f.file != nil {
		_ = f.file.Close()
	}
}

// open opens the file and finds out which lines it has already.
func (f *callsFile) open() error {
	if f.file != nil {
		return nil
	}
	file, err := ndjson.Open(f.cfg)
	if err != nil {
		return err
	}
	lines, err := file.Last(courierBatch)
	if err != nil {
		_ = file.Close()
		return err
	}
	f.file, f.seen = file, make(map[string]bool, len(lines))
	for _, l := range lines {
		var m struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(l, &m) == nil {
			f.seen[m.ID] = true
		}
	}
	return nil
}

type lineRow struct {
	ID   int64  `db:"delivery_id"`
	Body string `db:"body"`
}

// writeLines writes what waits for the file, a batch at a time.
func (c *courier) writeLines(ctx context.Context) error {
	f := c.file
	if f == nil || !f.owned {
		return nil
	}
	for {
		if err := f.open(); err != nil {
			return err
		}
		rows, err := c.conn.Query(ctx, `SELECT delivery_id, body FROM patchbay.webhook_delivery WHERE hook = $1 AND state = 'pending' ORDER BY delivery_id LIMIT $2`,
			fileHook(c.cfg.Node), courierBatch)
		if err != nil {
			return fmt.Errorf("read finished calls: %w", err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[lineRow])
		if err != nil {
			return fmt.Errorf("read finished calls: %w", err)
		}
		if err := c.appendLines(list); err != nil {
			// Some of them may be there: whoever opens the file finds out.
			f.close()
			f.file = nil
			return err
		}
		if len(list) > 0 {
			ids := make([]int64, len(list))
			for i, r := range list {
				ids[i] = r.ID
			}
			if _, err := c.conn.Exec(ctx, deleteDelivered, ids); err != nil {
				return fmt.Errorf("note finished calls: %w", err)
			}
			c.stats.lines.Add(uint64(len(list)))
		}
		clear(f.seen) // the table has none of them any more
		if err := f.file.Rotate(); err != nil {
			return err
		}
		if len(list) < courierBatch {
			return nil
		}
	}
}

func (c *courier) appendLines(list []lineRow) error {
	f := c.file
	var lines [][]byte
	for _, r := range list {
		var m struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(r.Body), &m); err != nil {
			return fmt.Errorf("line %d of finished calls: %w", r.ID, err)
		}
		if !f.seen[m.ID] {
			lines = append(lines, []byte(r.Body))
			f.seen[m.ID] = true
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return f.file.Append(lines...)
}
