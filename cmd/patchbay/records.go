package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/gateway/call"
)

// records are the flags of every command that reads records.
type records struct {
	config, data string
	json, utc    bool
}

func (r *records) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.config, "config", "", "settings file that says where records are")
	cmd.Flags().StringVar(&r.data, "data", "", "data folder; node.data of the settings if empty")
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON; times are UTC")
	cmd.Flags().BoolVar(&r.utc, "utc", false, "tell times in UTC instead of the local zone")
}

func (r *records) zone() *time.Location {
	if r.utc {
		return time.UTC
	}
	return time.Local
}

// where finds the records. Of the settings only node and billing matter: the secrets of users and trunks, which may not
// be at hand where one looks at records, need not be readable.
func (r *records) where() (billing.Config, error) {
	c, err := r.settings()
	return billing.Config{
		Dir:      cmp.Or(c.Billing.Dir, filepath.Join(c.Node.Data, "billing")),
		Database: string(c.Billing.Database),
		Node:     c.Node.Name,
		Rating:   billing.Rating{Currency: c.Rating.Currency},
	}, err
}

// delivery are the settings of webhooks that only the gateway needs, which delivers.
var delivery = regexp.MustCompile(`\.(url|secret|ca)$`)

// settings are those that tell of records; sections are others that matter.
func (r *records) settings(sections ...string) (Config, error) {
	c := defaults()
	if r.config != "" {
		read, d, err := readConfig(r.config, os.LookupEnv)
		if err != nil {
			return c, err
		}
		var own Mistakes
		for _, m := range d.wrong() {
			section, _, _ := strings.Cut(m.Field, ".")
			section, _, _ = strings.Cut(section, "[") // webhooks[0].id is of webhooks
			if section == "webhooks" && delivery.MatchString(m.Field) {
				continue
			}
			if section == "" || section == "node" || section == "billing" || slices.Contains(sections, section) || len(sections) > 0 && strings.Contains(m.Field, ".tariff") {
				own = append(own, m)
			}
		}
		if len(own) > 0 {
			return c, own
		}
		c = read
	}
	if r.data != "" {
		abs, err := filepath.Abs(r.data)
		if err != nil {
			return c, fmt.Errorf("data folder %q: %w", r.data, err)
		}
		c.Node.Data = abs
	}
	return c, nil
}

// read opens the records for as long as use runs. What is wrong with the keeping of them is told on standard error.
func (r *records) read(cmd *cobra.Command, use func(context.Context, *billing.Reader) error) error {
	return r.readFor(cmd, time.Minute, use)
}

// readFor is read, with so much time.
func (r *records) readFor(cmd *cobra.Command, limit time.Duration, use func(context.Context, *billing.Reader) error) error {
	cfg, err := r.where()
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.Dir); err != nil {
		return fmt.Errorf("no records: %w (is it another --data or --config?)", err)
	}
	cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, cancel := context.WithTimeout(cmd.Context(), limit)
	defer cancel()
	reader, err := billing.OpenReader(ctx, cfg)
	if err != nil {
		return err
	}
	if why := reader.Database(); why != nil && cfg.Database != billing.None {
		fmt.Fprintf(cmd.ErrOrStderr(), "patchbay: only what the journal holds: %v\n", why)
	}
	return errors.Join(use(ctx, reader), reader.Close())
}

// plain keeps what peers have written from moving the cursor of whoever reads it.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

func newWhyCommand() *cobra.Command {
	var r records
	cmd := &cobra.Command{
		Use:   "why CALL-ID",
		Short: "Tell one call's story: where it came from, what was tried, how it ended",
		Long:  "Tell one call's story: where it came from, what was tried, how it ended. The beginning of the id is enough.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.read(cmd, func(ctx context.Context, reader *billing.Reader) error {
				c, events, err := reader.Show(ctx, args[0])
				if err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), explained(c, events))
				}
				_, err = fmt.Fprint(cmd.OutOrStdout(), tell(c, events, r.zone()))
				return err
			})
		},
	}
	r.flags(cmd)
	return cmd
}

// explanation is a story for programs.
type explanation struct {
	Call  call.ID  `json:"call"`
	Story []string `json:"story"` // a line each
}

func explained(c *call.Call, events []call.Event) explanation {
	lines := strings.Split(strings.TrimSpace(tell(c, events, time.UTC)), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return explanation{c.ID, lines}
}
