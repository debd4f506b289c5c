package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
)

// tellEvery is how often the command says how far it has come: what takes less isn't worth a line.
const tellEvery = time.Second

func newReportCommand() *cobra.Command {
	var r records
	var format string
	var long strings.Builder
	long.WriteString("Tell what calls came to. Reports:\n\n")
	for _, s := range report.Reports() {
		fmt.Fprintf(&long, "  %-13s %s\n", s.Name, s.About)
	}
	cmd := &cobra.Command{
		Use:       "report NAME",
		Short:     "Tell what calls came to: traffic, money, quality, worst, concurrency, destinations",
		Long:      long.String(),
		Args:      cobra.ExactArgs(1),
		ValidArgs: report.Names(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.json {
				format = report.JSON
			}
			if !has(report.Formats(), format) {
				return fmt.Errorf("--format %q: expected %s", format, strings.Join(report.Formats(), ", "))
			}
			q, err := report.Parse(args[0], func(name string) (string, bool) {
				f := cmd.Flags().Lookup(name)
				if name == "zone" && !f.Changed && r.utc {
					return "UTC", true
				}
				return f.Value.String(), f.Changed
			}, time.Now())
			if err != nil {
				return flagged(err)
			}
			return r.readFor(cmd, reportTime, func(ctx context.Context, reader *billing.Reader) error {
				told := time.Now()
				out, err := reader.Report(ctx, q, func(done, of int) {
					if time.Since(told) >= tellEvery {
						told = time.Now()
						fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d\n", done, of)
					}
				})
				if err != nil {
					return flagged(err)
				}
				if err := out.Write(cmd.OutOrStdout(), format); err != nil {
					return err
				}
				if out.Truncated && (format == report.CSV || format == report.NDJSON) { // which can't say so themselves
					fmt.Fprintf(cmd.ErrOrStderr(), "only the first %d rows: --limit N gives more\n", len(out.Rows))
				}
				return nil
			})
		},
	}
	r.flags(cmd)
	for _, p := range report.Params() {
		cmd.Flags().String(p.Name, "", p.About)
	}
	cmd.Flags().StringVar(&format, "format", report.Table, strings.Join(report.Formats(), ", "))
	return cmd
}

// flagged says which flag is wrong.
func flagged(err error) error {
	if bad := (*report.Error)(nil); errors.As(err, &bad) && bad.Field != "report" {
		return fmt.Errorf("--%s %s", bad.Field, bad.Text)
	}
	return err
}
