package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/rating"
)

func newDeckRateCommand() *cobra.Command {
	var r records
	var name, at string
	var talk time.Duration
	cmd := &cobra.Command{
		Use:   "rate NUMBER",
		Short: "Show what a call to a number costs, and how that is reckoned",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			when, err := instant(at, r.zone())
			if err != nil {
				return fmt.Errorf("--at %w", err)
			}
			c, err := r.settings("tariffs", "rating")
			if err != nil {
				return err
			}
			rates, err := c.rating()
			if err != nil {
				return err
			}
			var known []string
			for _, t := range rates.Tariffs {
				known = append(known, t.ID)
				if t.ID != name {
					continue
				}
				return r.decks(cmd, func(ctx context.Context, d *billing.Reader) error {
					return rateOne(ctx, cmd.OutOrStdout(), d, t, rating.Call{Number: args[0], At: when, Answered: true, Talk: talk}, r.json)
				})
			}
			return fmt.Errorf("--tariff %q: expected %s, of the settings that --config names", name, oneOf(known))
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&name, "tariff", "", "id of the tariff")
	cmd.Flags().DurationVar(&talk, "talk", time.Minute, "how long the call lasts from its answer")
	cmd.Flags().StringVar(&at, "at", "", "when it is answered: 2026-03-29T01:30; now if empty")
	return cmd
}

func rateOne(ctx context.Context, w io.Writer, d *billing.Reader, t *rating.Tariff, c rating.Call, asJSON bool) error {
	v, err := d.DeckAt(ctx, t.Deck, c.At)
	if err != nil {
		return err
	}
	p, err := d.Prices(ctx, v)
	if err != nil {
		return err
	}
	x, err := t.Rate(p, c)
	if errors.Is(err, rating.ErrNoRate) {
		return fmt.Errorf("deck %s version %d has no prefix of %s", v.Name, v.Version, c.Number)
	}
	if asJSON {
		return writeJSON(w, x)
	}
	blocked := ""
	if x.Blocked {
		blocked = ", blocked"
	}
	fmt.Fprintf(w, "%s is of prefix %s (%s)%s in deck %s version %d\n", c.Number, x.Prefix, plain(x.Destination), blocked, x.Deck, x.Version)
	fmt.Fprintf(w, "%s are %d s (%s), rated %d s in units of %d and %d s\n", c.Talk, x.Seconds, x.SecondsMode, x.Rated, x.First, x.Next)
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tab, "connect fee\t\t\t%s\n", x.Fee)
	for _, s := range x.Segments {
		window := ""
		if s.Window != "" {
			window = ", " + plain(s.Window)
		}
		fmt.Fprintf(tab, "from second %d%s\t%d s\tat %s\t%s\n", s.From, window, s.Seconds, s.Price, s.Amount)
	}
	if x.Minimum {
		fmt.Fprintln(tab, "the minimum charge is more, and taken\t\t\t")
	}
	if x.Maximum {
		fmt.Fprintln(tab, "the most that a call may cost is less, and taken\t\t\t")
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if x.Ends != nil {
		fmt.Fprintf(w, "the call is ended after %d s\n", *x.Ends)
	}
	_, err = fmt.Fprintf(w, "%s %s (%s to %d digits)\n", x.Rounded.StringFixed(int32(x.Decimals)), x.Currency, x.Rounding, x.Decimals)
	return err
}

func newDeckRerateCommand() *cobra.Command {
	var r records
	var from, to, trunk, account string
	var dry bool
	cmd := &cobra.Command{
		Use:   "rerate",
		Short: "Rate calls again, by the decks that held when they were answered",
		Long: `Rate calls again, by the decks that held when they were answered and by the tariffs of the settings. What differs is shown, and
kept as new ratings beside the old ones; webhooks that want to know of ratings are told by the gateway. With --dry-run it is shown only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s billing.Selection
			var err error
			if from == "" {
				return errors.New("--from: missing, expected a date (2026-03-14), a time (2026-03-14T15:09), or how long ago (2h)")
			}
			if s.From, err = moment(from, time.Now(), r.zone()); err != nil {
				return fmt.Errorf("--from %w", err)
			}
			if s.To, err = instant(to, r.zone()); err != nil {
				return fmt.Errorf("--to %w", err)
			}
			s.Trunk, s.Account = trunk, account
			c, err := r.settings("tariffs", "rating", "webhooks", "tenants")
			if err != nil {
				return err
			}
			rates, err := c.rating()
			if err != nil {
				return err
			}
			cfg, err := r.where()
			if err != nil {
				return err
			}
			c.leave(&cfg)
			return r.decksOf(cmd, cfg, func(ctx context.Context, d *billing.Reader) error {
				return rerate(ctx, cmd.OutOrStdout(), d, rates, s, dry, &r)
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&from, "from", "", "calls that began at or after: 2026-03-14, 2026-03-14T15:09, or 2h ago written as 2h")
	cmd.Flags().StringVar(&to, "to", "", "calls that began before; written like --from; now if empty")
	cmd.Flags().StringVar(&trunk, "trunk", "", "calls from or to the trunk with this id")
	cmd.Flags().StringVar(&account, "account", "", "ratings of user:ID, tenant:ID or trunk:ID")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show the differences and keep nothing")
	return cmd
}

func rerate(ctx context.Context, w io.Writer, d *billing.Reader, rates billing.Rating, s billing.Selection, dry bool, r *records) error {
	deltas := []billing.Delta{}
	sums, err := d.Rerate(ctx, rates, s, dry, func(x billing.Delta) error { deltas = append(deltas, x); return nil })
	if err != nil {
		return err
	}
	if r.json {
		return writeJSON(w, struct {
			billing.Rerated
			Dry    bool            `json:"dryRun"`
			Deltas []billing.Delta `json:"deltas"`
		}{sums, dry, deltas})
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(deltas) > 0 {
		fmt.Fprintln(t, "BEGAN\tCALL\tSIDE\tACCOUNT\tNUMBER\tOLD\tNEW\tCURRENCY\tNOTE")
	}
	for _, x := range deltas {
		side := x.Side
		if x.Run != "" {
			side = x.Run
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Began.In(r.zone()).Format(timeLayout), x.Call, side, plain(x.Account), plain(x.Number), sum(x.Old), sum(x.New), x.Currency, cmp.Or(noteOf(x), "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	kept := "kept as new ratings"
	if dry {
		kept = "nothing was kept: --dry-run"
	}
	fmt.Fprintf(w, "%d calls, %d ratings, %d differ (%s)\n", sums.Calls, sums.Ratings, sums.Changed, kept)
	if sums.Left > 0 {
		fmt.Fprintf(w, "%d ratings stay as they are: nobody has a tariff for them any more\n", sums.Left)
	}
	for _, side := range slices.Sorted(maps.Keys(sums.Sum)) {
		fmt.Fprintf(w, "%s: %s\n", side, sums.Sum[side])
	}
	return nil
}

// noteOf is what differs beside the amount.
func noteOf(d billing.Delta) string {
	var notes []string
	if d.Problem != "" {
		notes = append(notes, d.Problem)
	}
	if d.Was != "" {
		notes = append(notes, "was in "+d.Was)
	}
	if d.WasOf != "" {
		notes = append(notes, d.WasOf+" has paid")
	}
	if d.Exchange {
		notes = append(notes, "what "+d.Currency+" is worth is known now")
	}
	return plain(strings.Join(notes, "; "))
}
