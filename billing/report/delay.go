package report

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Classes of delays: exact to 128 ms, then 64 for each doubling. The last has all of 35 minutes and more.
const (
	exactDelays = 128
	classes     = 1024
)

// delays are calls by class of post-dial delay, as patchbay.delay_class numbers them.
type delays struct {
	n   [classes]int64
	all int64
}

func (d *delays) put(class, n int64) error {
	if class < 0 || class >= classes {
		return fmt.Errorf("class %d of delays: expected 0 to %d", class, classes-1)
	}
	d.n[class] += n
	d.all += n
	return nil
}

func (d *delays) add(o *delays) {
	for i, n := range o.n {
		d.n[i] += n
	}
	d.all += o.all
}

// percentile is the middle of the class of the delay that so many percent don't exceed (nearest rank): above 128 ms it is less than 0.8 % from
// that. nil: there are none.
func (d *delays) percentile(percent int64) any {
	if d == nil || d.all <= 0 {
		return nil
	}
	rank := (d.all*percent + 99) / 100
	for class, n := range d.n {
		if rank -= n; rank <= 0 {
			return middle(int64(class))
		}
	}
	return nil
}

// middle is that of a class, in ms.
func middle(class int64) int64 {
	if class < exactDelays {
		return class
	}
	doublings := class/64 - 1
	return (class-64*doublings)<<doublings + 1<<doublings/2
}

// Bins are what the rollups have of delays: class times 2^40 and calls, which are less than none where some were taken away from others.
const (
	binShift  = 40
	arrayHead = 20 // of a one-dimensional array as Postgres sends it: dimensions, nulls, type, length, lower bound
	arrayStep = 12 // of a bigint: its length, and itself
)

// putBins adds an array of bins as Postgres sends it.
func (d *delays) putBins(b []byte) error {
	if len(b) < arrayHead { // of none there are no dimensions
		return nil
	}
	if (len(b)-arrayHead)%arrayStep != 0 {
		return fmt.Errorf("delays of %d bytes are no array of bins", len(b))
	}
	for b = b[arrayHead:]; len(b) > 0; b = b[arrayStep:] {
		bin := int64(binary.BigEndian.Uint64(b[4:]))
		class := (bin + 1<<(binShift-1)) >> binShift
		if err := d.put(class, bin-class<<binShift); err != nil {
			return err
		}
	}
	return nil
}

// delays asks for those of each group, and adds them.
func (p *part) delays(ctx context.Context, db Querier, keys []string, groups map[string]*group) error {
	d := *p
	keys = keys[:len(keys):len(keys)]
	if p.table == "counted" {
		d.where += " AND pdd_ms IS NOT NULL"
		return d.ask(ctx, db, "counted", append(keys, "patchbay.delay_class(pdd_ms)", "count(pdd_ms)"), len(keys)+1, groups, func(g *group, v []any) error {
			return g.sums.delays().put(v[0].(int64), v[1].(int64))
		})
	}
	return d.ask(ctx, db, "rollup_delay", append(keys, "array_send(bins)"), ungrouped, groups, func(g *group, v []any) error {
		return g.sums.delays().putBins(v[0].([]byte))
	})
}
