package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
)

func newDBCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Look after the database of records: state, backup, restore, upgrade, move", Args: cobra.NoArgs}
	cmd.AddCommand(newDBStatusCommand(), newDBBackupCommand(), newDBRestoreCommand(), newDBUpgradeCommand(), newDBMoveCommand())
	return cmd
}

func newDBStatusCommand() *cobra.Command {
	var r records
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the database's version, size, tables and months, and what the journal still has",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.read(cmd, func(ctx context.Context, reader *billing.Reader) error {
				s, err := reader.Status(ctx)
				if err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), s)
				}
				return showStatus(cmd.OutOrStdout(), s, r.zone())
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func showStatus(w io.Writer, s *billing.Status, zone *time.Location) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if s.Database != "" {
		fmt.Fprintf(t, "database\t%s, Postgres %s, %s\n", plain(s.Database), plain(s.Server), roughly(s.Bytes))
		schema := "up to date"
		if s.Schema < s.Known {
			schema = fmt.Sprintf("this program brings it to %d when the gateway starts", s.Known)
		} else if s.Schema > s.Known {
			schema = fmt.Sprintf("newer than this program, which knows %d", s.Known)
		}
		fmt.Fprintf(t, "schema\t%d: %s\n", s.Schema, schema)
		if s.Moved {
			fmt.Fprintln(t, "moved\trecords are elsewhere; nothing is written here any more")
		}
	}
	for _, p := range s.Partitions {
		fmt.Fprintf(t, "table %s\t%d months, %s to %s, %s\n", p.Table, p.Count, p.First, p.Last, roughly(p.Bytes))
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "node %s\tepoch %d, written up to record %d at %s\n", plain(n.Node), n.Epoch, n.LSN, n.At.In(zone).Format("2006-01-02 15:04:05"))
	}
	waits := "nothing waits"
	if s.Outbox > 0 {
		waits = fmt.Sprintf("%d events wait, %s", s.Outbox, roughly(s.OutboxB))
		if s.Oldest != nil {
			waits += ", the oldest of " + s.Oldest.In(zone).Format("2006-01-02 15:04:05")
		}
	}
	fmt.Fprintf(t, "journal\t%s\n", waits)
	fmt.Fprintf(t, "dead letters\t%d\n", s.Dead)
	for _, h := range s.Webhooks {
		fmt.Fprintf(t, "webhook %s\t%d wait, %d were given up\n", plain(h.Hook), h.Pending, h.Dead)
	}
	return t.Flush()
}

// roughly tells a number of bytes in the unit that suits it.
func roughly(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range [...]string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// keeping are all settings of records, of which flushing the journal needs prices and hooks too.
func (r *records) keeping(cmd *cobra.Command) (billing.Config, error) {
	c, err := r.settings("tariffs", "rating", "webhooks", "tenants")
	if err != nil {
		return billing.Config{}, err
	}
	c.complete()
	cfg := c.billing(slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError})))
	c.leave(&cfg)
	cfg.Rating, err = c.rating()
	return cfg, err
}

func newDBBackupCommand() *cobra.Command {
	var r records
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "backup FILE.zip",
		Short: "Write all records to a file, while the gateway runs or not",
		Long: `Write all records, as they are at one instant, to a file, and its SHA-256 to FILE.zip.sha256. What the journal had when the command began
is in it. The file is a ZIP with a file in the text form of COPY for each table; any later version of Postgres can be restored to.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := r.keeping(cmd)
			if err != nil {
				return err
			}
			wait, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			if err := billing.Flush(wait, cfg); err != nil {
				return fmt.Errorf("bring the journal to the database: %w", err)
			}
			return r.copying(cmd, cfg, billing.OpenReader, func(ctx context.Context, d *billing.Reader) error {
				m, err := d.Backup(ctx, args[0])
				if err != nil {
					return err
				}
				return r.copied(cmd, m, "backed up to "+args[0])
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().DurationVar(&patience, "wait", time.Minute, "how long the journal may take to get to the database")
	return cmd
}

// copying opens the database for as long as use runs; copies may take long.
func (r *records) copying(cmd *cobra.Command, cfg billing.Config, open func(context.Context, billing.Config) (*billing.Reader, error), use func(context.Context, *billing.Reader) error) error {
	d, err := open(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	return errors.Join(use(cmd.Context(), d), d.Close())
}

// copied tells what a copy has.
func (r *records) copied(cmd *cobra.Command, m *billing.Manifest, what string) error {
	if r.json {
		return writeJSON(cmd.OutOrStdout(), m)
	}
	rows, total := map[string]int64{}, int64(0)
	for _, t := range m.Tables {
		rows[t.Name] = t.Rows
		total += t.Rows
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls, %d rows of %d tables %s; checked by counts and sums\n", rows["call"], total, len(m.Tables), what)
	for _, k := range slices.Sorted(maps.Keys(m.Sums)) {
		fmt.Fprintf(&b, "  sum of %s: %s\n", k, m.Sums[k])
	}
	_, err := io.WriteString(cmd.OutOrStdout(), b.String())
	return err
}

func newDBRestoreCommand() *cobra.Command {
	var r records
	var force bool
	cmd := &cobra.Command{
		Use:   "restore FILE.zip",
		Short: "Fill an empty database from a backup; the gateway must be stopped",
		Long: `Fill an empty database from a backup, and check that it then has what the backup had. With --force one that has records takes them
out, once the backup's are all there. Events that the journal still has come to it when the gateway starts.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := r.keeping(cmd)
			if err != nil {
				return err
			}
			if _, err := billing.ReadBackup(args[0]); err != nil {
				return err
			}
			return r.copying(cmd, cfg, billing.OpenDecks, func(ctx context.Context, d *billing.Reader) error {
				m, err := d.Restore(ctx, args[0], force)
				if errors.Is(err, billing.ErrNotEmpty) {
					return fmt.Errorf("%w: --force removes them", err)
				}
				if err != nil {
					return err
				}
				return r.copied(cmd, m, "restored from "+args[0])
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "remove the records that are there")
	return cmd
}

func newDBUpgradeCommand() *cobra.Command {
	var r records
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Bring the private database of an older Postgres to the newest that is installed",
		Long: `Bring the private database (billing.database: auto) of an older Postgres to the newest that is installed. Both must be installed, and the
gateway stopped. Records are copied and checked; the old data stay beside the new ones until you remove them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := r.keeping(cmd)
			if err != nil {
				return err
			}
			m, kept, to, err := billing.Upgrade(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if to == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "the database is of the newest Postgres that is installed: there is nothing to do")
				return err
			}
			return r.copied(cmd, m, fmt.Sprintf("brought to Postgres %d; the old ones are in %s", to, kept))
		},
	}
	r.flags(cmd)
	return cmd
}

func newDBMoveCommand() *cobra.Command {
	var r records
	var force bool
	cmd := &cobra.Command{
		Use:   "migrate-to postgres://USER@HOST/DATABASE",
		Short: "Move all records to another database, while the gateway runs or not",
		Long: `Move all records to another database, and check that it then has what this one has. A running gateway goes on and refuses nothing: its events
wait in its journal until it is started again with the new billing.database, and then follow. The old database stays as it is,
closed for writing. A password is better not written here: PGPASSWORD, ~/.pgpass and ${NAME} are read.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			url := os.Expand(args[0], os.Getenv)
			if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
				return errors.New("the new database: expected postgres://USER@HOST/DATABASE")
			}
			cfg, err := r.keeping(cmd)
			if err != nil {
				return err
			}
			return r.copying(cmd, cfg, billing.OpenDecks, func(ctx context.Context, d *billing.Reader) error {
				m, err := d.MoveTo(ctx, url, force)
				if errors.Is(err, billing.ErrNotEmpty) {
					return fmt.Errorf("%w: --force removes them", err)
				}
				if err != nil {
					return err
				}
				return r.copied(cmd, m, "moved; now set billing.database to the new one and start the gateway again")
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "remove the records that the new database has")
	return cmd
}
