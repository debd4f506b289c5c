package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/rating"
)

var deckName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func newDeckCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deck", Short: "Import prices, see what they change, let them hold, rate calls", Args: cobra.NoArgs}
	cmd.AddCommand(newDeckImportCommand(), newDeckDiffCommand(), newDeckActivateCommand(), newDeckListCommand(), newDeckShowCommand(), newDeckRateCommand(), newDeckRerateCommand())
	return cmd
}

// decks opens the database for as long as use runs.
func (r *records) decks(cmd *cobra.Command, use func(context.Context, *billing.Reader) error) error {
	cfg, err := r.where()
	if err != nil {
		return err
	}
	return r.decksOf(cmd, cfg, use)
}

func (r *records) decksOf(cmd *cobra.Command, cfg billing.Config, use func(context.Context, *billing.Reader) error) error {
	cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	reader, err := billing.OpenDecks(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	return errors.Join(use(cmd.Context(), reader), reader.Close())
}

func newDeckImportCommand() *cobra.Command {
	var r records
	var currency string
	cmd := &cobra.Command{
		Use:   "import DECK FILE.csv",
		Short: "Keep a file of prices as the next version of a deck; it isn't used before it is activated",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !deckName.MatchString(args[0]) {
				return fmt.Errorf("deck %q: expected a name of letters, digits, and . _ -", args[0])
			}
			cfg, err := r.where()
			if err != nil {
				return err
			}
			currency := cmp.Or(currency, cfg.Rating.Currency)
			if !currencyCode.MatchString(currency) {
				return fmt.Errorf("--currency %q: expected three letters of ISO 4217, such as EUR", currency)
			}
			content, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			return r.decksOf(cmd, cfg, func(ctx context.Context, d *billing.Reader) error {
				kept, err := d.Import(ctx, args[0], currency, filepath.Base(args[1]), content)
				if err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), kept)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "deck %s version %d: %d rates in %s, staged\nsee what it changes: patchbay deck diff %s --version %d\n",
					kept.Name, kept.Version, kept.Rates, kept.Currency, kept.Name, kept.Version)
				return err
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&currency, "currency", "", "of the prices (ISO 4217); rating.currency of the settings if empty")
	return cmd
}

func newDeckDiffCommand() *cobra.Command {
	var r records
	var version, against, limit int
	cmd := &cobra.Command{
		Use:   "diff DECK",
		Short: "Show what a version changes: new, dearer, cheaper, blocked and removed prefixes",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.decks(cmd, func(ctx context.Context, d *billing.Reader) error {
				after, err := d.Deck(ctx, args[0], orLast(version))
				if err != nil {
					return err
				}
				rows, err := d.Rates(ctx, after)
				if err != nil {
					return err
				}
				var old []rating.Rate
				before, err := d.Deck(ctx, args[0], against)
				switch {
				case err == nil:
					if old, err = d.Rates(ctx, before); err != nil {
						return err
					}
				case against != 0 || !errors.Is(err, billing.ErrNoDeck):
					return err
				}
				report := rating.Diff(old, rows)
				if r.json {
					return writeJSON(cmd.OutOrStdout(), report)
				}
				return showDiff(cmd.OutOrStdout(), before, after, report, limit)
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().IntVar(&version, "version", 0, "the version; the one imported last if 0")
	cmd.Flags().IntVar(&against, "against", 0, "the version that it is compared with; the one that holds now if 0")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many rows; 0 = all")
	return cmd
}

// orLast makes the version imported last of none.
func orLast(version int) int {
	if version == 0 {
		return -1
	}
	return version
}

func showDiff(w io.Writer, before, after billing.Deck, r rating.Report, limit int) error {
	was := "nothing"
	if before.Name != "" {
		was = fmt.Sprintf("version %d", before.Version)
		if before.Currency != after.Currency {
			fmt.Fprintf(w, "the currency changes from %s to %s\n", before.Currency, after.Currency)
		}
	}
	fmt.Fprintf(w, "deck %s version %d against %s: %d the same", after.Name, after.Version, was, r.Same)
	for _, c := range [...]rating.Change{rating.New, rating.Dearer, rating.Cheaper, rating.Block, rating.Unblock, rating.Other, rating.Removed} {
		if n := r.Counts[c]; n > 0 {
			fmt.Fprintf(w, ", %d %s", n, c)
		}
	}
	fmt.Fprintln(w)
	if len(r.Rows) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CHANGE\tPREFIX\tDESTINATION\tWINDOW\tFROM\tOLD\tNEW\tPERCENT")
	for i, d := range r.Rows {
		if limit > 0 && i == limit {
			fmt.Fprintf(t, "and %d more: --limit 0 shows all\n", len(r.Rows)-limit)
			break
		}
		percent := "-"
		if d.Percent != nil {
			percent = d.Percent.StringFixed(1)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", d.Change, d.Prefix, cmp.Or(plain(d.Destination), "-"), cmp.Or(plain(d.Window), "-"), d.From, sum(d.Old), sum(d.New), percent)
	}
	return t.Flush()
}

func sum(d *decimal.Decimal) string {
	if d == nil {
		return "-"
	}
	return d.String()
}

func newDeckActivateCommand() *cobra.Command {
	var r records
	var version int
	var from string
	cmd := &cobra.Command{
		Use:   "activate DECK",
		Short: "Let a version hold from an instant on, until that of the next",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := instant(from, r.zone())
			if err != nil {
				return fmt.Errorf("--from %w", err)
			}
			c, err := r.settings("tariffs", "rating")
			if err != nil {
				return err
			}
			return r.decks(cmd, func(ctx context.Context, d *billing.Reader) error {
				v, err := d.Deck(ctx, args[0], orLast(version))
				if err != nil {
					return err
				}
				if err := c.fits(ctx, d, v); err != nil {
					return err
				}
				if v, err = d.Activate(ctx, v, at); err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), v)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "deck %s version %d holds from %s on\n", v.Name, v.Version, v.EffectiveFrom.In(r.zone()).Format(time.RFC3339))
				return err
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().IntVar(&version, "version", 0, "the version; the one imported last if 0")
	cmd.Flags().StringVar(&from, "from", "", "2026-04-01, or 2026-04-01T00:00; now if empty")
	return cmd
}

// fits tells whether the tariffs of the settings know the windows that a version has prices for.
func (c Config) fits(ctx context.Context, d *billing.Reader, v billing.Deck) error {
	rates, err := c.rating()
	if err != nil {
		return err
	}
	for _, t := range rates.Tariffs {
		if t.Deck != v.Name {
			continue
		}
		p, err := d.Prices(ctx, v)
		if err != nil {
			return err
		}
		if err := t.Fits(p); err != nil {
			return err
		}
	}
	return nil
}

// instant reads a date or a time, also one to come; nothing is now.
func instant(s string, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Now(), nil
	}
	return moment(s, time.Now(), zone)
}

func newDeckListCommand() *cobra.Command {
	var r records
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the versions of decks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.decks(cmd, func(ctx context.Context, d *billing.Reader) error {
				list, err := d.Decks(ctx)
				if err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), append([]billing.Deck{}, list...))
				}
				t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				fmt.Fprintln(t, "DECK\tVERSION\tCURRENCY\tRATES\tIMPORTED\tHOLDS FROM\tFILE")
				for _, v := range list {
					from := "staged"
					if v.EffectiveFrom != nil {
						from = v.EffectiveFrom.In(r.zone()).Format(timeLayout)
					}
					fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\t%s\t%s\n", v.Name, v.Version, v.Currency, v.Rates, v.ImportedAt.In(r.zone()).Format(timeLayout), from, plain(v.File))
				}
				return t.Flush()
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func newDeckShowCommand() *cobra.Command {
	var r records
	var version, limit int
	var prefix string
	cmd := &cobra.Command{
		Use:   "show DECK",
		Short: "Show the prices of a version",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.decks(cmd, func(ctx context.Context, d *billing.Reader) error {
				v, err := d.Deck(ctx, args[0], version)
				if err != nil {
					return err
				}
				rows, err := d.Rates(ctx, v)
				if err != nil {
					return err
				}
				var chosen []rating.Rate
				for _, x := range rows {
					if strings.HasPrefix(x.Prefix, strings.TrimPrefix(prefix, "+")) && (limit == 0 || len(chosen) < limit) {
						chosen = append(chosen, x)
					}
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), append([]rating.Rate{}, chosen...))
				}
				t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				fmt.Fprintln(t, "PREFIX\tDESTINATION\tWINDOW\tFROM\tPRICE\tFIRST\tNEXT\tFEE\tMINIMUM\tMAXIMUM\tFREE\tBLOCKED")
				for _, x := range chosen {
					fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s\t%s\t%s\t%d\t%v\n", x.Prefix, cmp.Or(plain(x.Destination), "-"), cmp.Or(plain(x.Window), "-"), x.From, x.Price,
						x.First, x.Next, x.Fee, x.MinCharge, x.MaxCost, x.Free, x.Blocked)
				}
				return t.Flush()
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().IntVar(&version, "version", 0, "the version; the one that holds now if 0")
	cmd.Flags().StringVar(&prefix, "prefix", "", "only prefixes that begin so")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many rows; 0 = all")
	return cmd
}
