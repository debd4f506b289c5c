package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
)

func newWebhookCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "webhook", Short: "Look at what webhooks haven't been told yet, and tell it again", Args: cobra.NoArgs}
	cmd.AddCommand(newWebhookListCommand(), newWebhookChangeCommand("retry [ID...]", "Tell messages again, at once: dead letters, or those that wait", "are tried again", (*billing.Reader).Redeliver),
		newWebhookChangeCommand("drop [ID...]", "Remove messages: nobody is told them any more", "are removed", (*billing.Reader).Forget))
	return cmd
}

func newWebhookListCommand() *cobra.Command {
	var r records
	var f billing.DeliveryFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List messages that wait (pending) or were given up (dead), the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := deliveryState(f.State); err != nil {
				return err
			}
			if f.Limit < 1 || f.Limit > 100_000 {
				return fmt.Errorf("--limit %d: expected 1 to 100000", f.Limit)
			}
			return r.read(cmd, func(ctx context.Context, reader *billing.Reader) error {
				list, err := reader.Deliveries(ctx, f)
				if err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), append([]billing.Delivery{}, list...))
				}
				return listDeliveries(cmd.OutOrStdout(), list, &r)
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&f.Hook, "hook", "", "those of the webhook with this id; file:NODE is the file of finished calls")
	cmd.Flags().StringVar(&f.State, "state", "", "pending or dead")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "at most so many")
	return cmd
}

func deliveryState(s string) error {
	if s != "" && s != "pending" && s != "dead" {
		return fmt.Errorf("--state %q: expected pending or dead", s)
	}
	return nil
}

func listDeliveries(w io.Writer, list []billing.Delivery, r *records) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tHOOK\tCALL\tKIND\tSTATE\tSINCE\tATTEMPTS\tNEXT\tERROR")
	for _, d := range list {
		next, why := "-", ""
		if d.State == "pending" {
			next = d.Due.In(r.zone()).Format("01-02 15:04:05")
		}
		if d.Error != nil {
			why = plain(*d.Error)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.ID, plain(d.Hook), d.Call, d.Kind, d.State, d.Since.In(r.zone()).Format("01-02 15:04:05"), d.Attempts, next, clip(why, 80))
	}
	return t.Flush()
}

func newWebhookChangeCommand(use, short, done string, change func(*billing.Reader, context.Context, billing.DeliveryFilter) (int64, error)) *cobra.Command {
	var r records
	f := billing.DeliveryFilter{}
	var all bool
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  short + ". Name them by the ids that `patchbay webhook list` shows, or choose them by --hook, --state or --all.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := deliveryState(f.State); err != nil {
				return err
			}
			for _, a := range args {
				id, err := strconv.ParseInt(a, 10, 64)
				if err != nil || id < 1 {
					return fmt.Errorf("id %q: expected a number that patchbay webhook list shows", a)
				}
				f.IDs = append(f.IDs, id)
			}
			if len(args) == 0 && f.Hook == "" && f.State == "" && !all {
				return fmt.Errorf("nothing is chosen: expected ids, --hook, --state or --all")
			}
			return r.decks(cmd, func(ctx context.Context, reader *billing.Reader) error {
				n, err := change(reader, ctx, f)
				if err != nil {
					return err
				}
				if n == 0 {
					return fmt.Errorf("there are no such messages")
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d messages %s\n", n, done)
				return err
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&f.Hook, "hook", "", "those of the webhook with this id")
	cmd.Flags().StringVar(&f.State, "state", "", "pending or dead")
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}
