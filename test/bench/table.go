//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// table is one number of calls; its first row is the floor.
type table struct{ rows []*row }

// row is one design's runs.
type row struct {
	design design
	runs   []measurement
}

func newTable(ds []design) *table {
	t := &table{}
	for _, d := range ds {
		t.rows = append(t.rows, &row{design: d})
	}
	return t
}

func (r *row) add(m measurement) { r.runs = append(r.runs, m) }

// span is the median of a figure and its extremes; an even number of runs
// takes the lower of the two in the middle.
type span struct{ min, median, max float64 }

func (r *row) span(figure func(measurement) float64) span {
	var v []float64
	for _, m := range r.runs {
		v = append(v, figure(m))
	}
	return spanOf(v)
}

func spanOf(v []float64) span {
	slices.Sort(v)
	return span{v[0], v[(len(v)-1)/2], v[len(v)-1]}
}

func (r *row) cpu() span    { return r.span(func(m measurement) float64 { return m.cpu }) }
func (r *row) p50() span    { return r.span(func(m measurement) float64 { return m.p50 }) }
func (r *row) p99() span    { return r.span(func(m measurement) float64 { return m.p99 }) }
func (r *row) allocs() span { return r.span(func(m measurement) float64 { return m.allocs }) }

// ratios is the design's cost to the floor's. A round's two runs stand side by
// side in time, so the ratio is taken within rounds.
func (t *table) ratios(r *row) span {
	quotients := &row{}
	for i, m := range r.runs {
		quotients.add(measurement{cpu: m.cpu / t.rows[0].runs[i].cpu})
	}
	return quotients.cpu()
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	defer tw.Flush()
	fmt.Fprintf(tw, "\tCPU us/packet [min..max]\tto %s [min..max]\tp50 us\tp99 us\tloss %%\tallocations/packet\tgenerator busy %%\n", t.rows[0].design.name)
	for _, r := range t.rows {
		cpu, ratio := r.cpu(), t.ratios(r)
		allocs := "-"
		if a := r.allocs(); a.max >= 0 {
			allocs = fmt.Sprintf("%.3f", a.median)
		}
		fmt.Fprintf(tw, "%s\t%.2f [%.2f..%.2f]\t%.2f [%.2f..%.2f]\t%.0f\t%.0f\t%.3f\t%s\t%.0f\n", r.design.name,
			cpu.median, cpu.min, cpu.max, ratio.median, ratio.min, ratio.max,
			r.p50().median, r.p99().median,
			r.span(func(m measurement) float64 { return m.loss }).max,
			allocs,
			r.span(func(m measurement) float64 { return m.busy }).median)
	}
}
