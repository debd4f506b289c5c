package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay/patchbay/billing"
	"github.com/patchbay/patchbay/billing/report"
	"github.com/patchbay/patchbay/gateway/call"
)

func newCDRCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "cdr", Short: "Look at call records", Args: cobra.NoArgs}
	cmd.AddCommand(newCDRListCommand(), newCDRShowCommand())
	return cmd
}

func newCDRListCommand() *cobra.Command {
	var (
		r            records
		f            billing.Filter
		since, until string
		state        string
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List calls, the newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			now := time.Now()
			if f.From, err = moment(since, now, r.zone()); err != nil {
				return fmt.Errorf("--since %w", err)
			}
			if f.To, err = moment(until, now, r.zone()); err != nil {
				return fmt.Errorf("--until %w", err)
			}
			if f.Limit < 1 || f.Limit > 100_000 {
				return fmt.Errorf("--limit %d: expected 1 to 100000", f.Limit)
			}
			switch f.State = call.State(state); f.State {
			case "", call.Open, call.Partial, call.Closed, call.Recovered:
			default:
				return fmt.Errorf("--state %q: expected open, partial, closed or recovered", state)
			}
			return r.read(cmd, func(ctx context.Context, reader *billing.Reader) error {
				calls, err := reader.List(ctx, f)
				if err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), append([]*call.Call{}, calls...)) // [] if there are none, not null
				}
				return listCalls(cmd.OutOrStdout(), calls, r.zone())
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&since, "since", "", "calls that began at or after: 2026-03-14, 2026-03-14T15:09, or 2h ago written as 2h")
	cmd.Flags().StringVar(&until, "until", "", "calls that began before; written like --since")
	cmd.Flags().StringVar(&f.Tenant, "tenant", "", "calls of this tenant")
	cmd.Flags().StringVar(&f.User, "user", "", "calls from or to the user with this id")
	cmd.Flags().StringVar(&f.Trunk, "trunk", "", "calls from or to the trunk with this id")
	cmd.Flags().StringVar(&f.Number, "number", "", "calls from or to a number that ends so")
	cmd.Flags().StringVar(&state, "state", "", "calls in this state: open, partial (open for long), closed, recovered")
	cmd.Flags().IntVar(&f.Cause, "cause", 0, "calls that ended with this Q.850 cause")
	cmd.Flags().IntVar(&f.SIP, "sip", 0, "calls that ended with this SIP status")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "at most so many")
	return cmd
}

func newCDRShowCommand() *cobra.Command {
	var r records
	cmd := &cobra.Command{
		Use:   "show CALL-ID",
		Short: "Show one call's record; the beginning of the id is enough",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.read(cmd, func(ctx context.Context, reader *billing.Reader) error {
				c, events, err := reader.Show(ctx, args[0])
				if err != nil {
					return err
				}
				if r.json {
					return writeJSON(cmd.OutOrStdout(), struct {
						*call.Call
						Events []call.Event `json:"events"`
					}{c, events})
				}
				return showCall(cmd.OutOrStdout(), c, events, r.zone())
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// moment reads a date, a date with a time, or a duration before now; nothing is the zero time.
func moment(s string, now time.Time, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := report.Day(s, zone); err == nil {
		return t, nil
	}
	for _, layout := range [...]string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: expected a date (2026-03-14), a time (2026-03-14T15:09), or how long ago (2h)", s)
}

const timeLayout = "2006-01-02 15:04:05"

func listCalls(w io.Writer, calls []*call.Call, zone *time.Location) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "BEGAN\tCALL\tFROM\tTO\tOVER\tRANG\tTALKED\tENDED BY\tCAUSE")
	for _, c := range calls {
		row := []string{c.SetupAt.In(zone).Format(timeLayout), c.ID.String(), party(c.From, c.User, c.Trunk), c.To, over(c),
			optional(c.Ring), "", string(c.EndedBy), ""}
		switch {
		case c.AnsweredAt != nil && c.EndedAt != nil:
			row[6] = millis(c.Bill)
		case c.AnsweredAt != nil:
			row[6] = "talking"
		}
		if c.Live() {
			row[8] = string(c.State)
		} else {
			row[8] = c.Cause.String()
		}
		for i := range row {
			row[i] = cmp.Or(plain(row[i]), "-")
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

func party(number, user, trunk string) string {
	switch {
	case user != "" && user != number:
		return number + " (user " + user + ")"
	case trunk != "":
		return number + " (trunk " + trunk + ")"
	}
	return number
}

// over is the trunk or user of the attempt that was answered, else of the last one.
func over(c *call.Call) string {
	to := ""
	for _, l := range c.Legs {
		if l.Role != call.CalleeLeg {
			continue
		}
		if to = "user " + l.User; l.Trunk != "" {
			to = "trunk " + l.Trunk
		}
		if l.AnsweredAt != nil {
			break
		}
	}
	return to
}

func optional(ms *int64) string {
	if ms == nil {
		return ""
	}
	return millis(*ms)
}

// showCall prints a record field by field, its legs, and its events.
func showCall(w io.Writer, c *call.Call, events []call.Event, zone *time.Location) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, plain(value))
		}
	}
	when := func(at *time.Time) string {
		if at == nil {
			return ""
		}
		return at.In(zone).Format("2006-01-02 15:04:05.000 MST")
	}
	row("call", c.ID.String())
	row("state", string(c.State))
	row("tenant", c.Tenant)
	row("direction", string(c.Direction))
	row("from", party(c.From, c.User, c.Trunk))
	row("to", c.To)
	if c.ToN != c.To {
		row("sent on to", c.ToN)
	}
	row("route", c.Route)
	row("began", when(&c.SetupAt))
	row("rang", when(c.ProgressAt))
	row("answered", when(c.AnsweredAt))
	row("ended", when(c.EndedAt))
	row("post-dial delay", optional(c.PDD))
	row("ringing", optional(c.Ring))
	if c.EndedAt != nil {
		row("lasted", millis(c.Duration))
		row("talked", millis(c.Bill))
		row("ended by", string(c.EndedBy))
		row("cause", c.Cause.String())
	}
	if c.AnsweredAt != nil {
		row("transcoded", map[bool]string{false: "no", true: "yes"}[c.Transcoded])
	}
	row("MOS", scores(c))
	row("suspicious", suspicions(c))
	if c.PartialNo > 0 {
		row("partial records", fmt.Sprint(c.PartialNo))
	}
	if c.Incomplete {
		row("incomplete", "yes: the end is an estimate, or events were lost")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range c.Legs {
		showLeg(t, l, when)
	}
	fmt.Fprintln(t)
	for _, e := range events {
		detail, err := json.Marshal(e.Data)
		if err != nil {
			return fmt.Errorf("event %d: %w", e.Seq, err)
		}
		leg := ""
		if e.Leg > 0 {
			leg = fmt.Sprintf("leg %d", e.Leg)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", e.Seq, e.At.In(zone).Format("15:04:05.000"), leg, e.Data.Kind(), clip(plain(string(detail)), 120))
	}
	return t.Flush()
}

func showLeg(t *tabwriter.Writer, l *call.Leg, when func(*time.Time) string) {
	name := string(l.Role)
	if l.Attempt > 0 {
		name = fmt.Sprintf("attempt %d", l.Attempt)
	}
	fmt.Fprintf(t, "\nleg %d\t%s, %s\n", l.No, name, plain(cmp.Or(l.User, l.Trunk, l.FromURI)))
	for _, f := range [...][2]string{
		{"SIP Call-ID", l.SIPCallID}, {"request URI", l.RequestURI}, {"user agent", l.UserAgent},
		{"asserted caller", l.PAI}, {"preferred caller", l.PPI}, {"Remote-Party-ID", l.RPID}, {"privacy", l.Privacy}, {"diversion", l.Diversion}, {"history", l.HistoryInfo},
		{"charging vector", l.Charging}, {"access network", l.Access}, {"answered", when(l.AnsweredAt)},
		{"ended", when(l.EndedAt)}, {"codec", l.Media.Codec},
	} {
		if f[1] != "" {
			fmt.Fprintf(t, "  %s\t%s\n", f[0], plain(f[1]))
		}
	}
	if l.Signalling.IsValid() {
		fmt.Fprintf(t, "  signalling\t%s/%s\n", l.Signalling, cmp.Or(l.Transport, "udp"))
	}
	if m := l.Media; m.Codec != "" {
		fmt.Fprintf(t, "  media\t%s\n", transport(l))
		to := "where is not on record"
		switch {
		case m.Remote.IsValid():
			to = m.Remote.String()
		case l.Kind == "webrtc" && l.EndedAt != nil:
			to = "nowhere: ICE found no path"
		}
		if m.Local.IsValid() {
			fmt.Fprintf(t, "  RTP\t%s to %s\n", m.Local, to)
		}
	}
	if !l.Cause.IsZero() {
		fmt.Fprintf(t, "  cause\t%s\n", plain(l.Cause.String()))
	}
	if l.Quality != nil {
		fmt.Fprintf(t, "  quality\t%s\n", quality(l.Quality))
	}
	if text := sound(l); text != "" {
		fmt.Fprintf(t, "  sound\t%s\n", text)
	}
}

// transport says what carries a leg's media, and how it is encrypted.
func transport(l *call.Leg) string {
	how := map[string]string{"dtls": "DTLS-SRTP", "sdes": "SRTP with keys in SDP", "none": "RTP, not encrypted", "": "RTP"}[l.Media.SRTP]
	if how == "" {
		how = plain(l.Media.SRTP)
	}
	if l.Kind == "webrtc" {
		return "WebRTC, " + how
	}
	return how
}

// clip keeps a cell to so many characters.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
